/*
 * trc_reader_own.h - the inside of a reader, shared by trc_reader.c, trc_open.c,
 * trc_audit.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CONTAINER_TRC_READER_OWN_H
#define TRACES_CONTAINER_TRC_READER_OWN_H

#include "traces/container/trc_decode.h"
#include "traces/container/trc_index.h"
#include "traces/container/trc_source.h"
#include "traces/container/trc_zstd.h"

struct trc_audit;

struct trc_reader {
    char *path;
    struct trc_source source;
    struct trc_info info;
    struct trc_unpack *unpack;
    unsigned wanted;
    uint32_t columns; /* of outcomes, in place of records; 0: records */
    uint64_t file_id; /* 0: not known yet */
    struct trc_notes notes;
    struct trc_totals totals; /* of the footer, when info.complete */
    uint64_t footer_at;       /* where the tail says that it stands */
    struct trc_tally tally;
    struct trc_index index; /* of a complete file, or from a survey */
    /* What the index can tell is known: it was read or made, or (unread) the footer has
     * told where it stands and all that is wanted without it. */
    bool indexed, unread;
    struct trc_blob_cache blobs;

    /* Where we are. `loose`: the place was jumped to, so what the next header says
     * about what lies in front of it is taken as it is. */
    bool loose, ended, lossy, prev_known;
    uint32_t ordinal, prev_bytes;
    uint64_t records, blob_count;
    int64_t last_ns; /* t_max of the last block of operations */
    uint64_t lost_blocks, lost_records;
    int64_t loss_from, loss_to; /* valid when lost_blocks > 0 */
    bool in_end;    /* INDEX or FOOTER was met: what follows holds no records */
    bool data_lost; /* more is lost than INDEX and FOOTER */
    bool torn;      /* damage or foreign bytes stand in front of a block of records */

    /* A repair: of a block with damaged groups what is whole is given. */
    bool salvage;
    struct trc_partly partly; /* what was given so */

    bool headers_only;          /* a survey: records are not decoded */
    bool collect;               /* the index is built from the blocks that pass */
    uint64_t survey_end;        /* end of the last block in it */
    struct trc_audit *audit;    /* a verification: everything is checked, or NULL */
    struct err pending;         /* to be told by the next trc_reader_next */
    struct trc_block_own *held; /* to be given by the one after that */
    struct err blob_error;      /* met while a block was decoded */
};

/* Rewinds to the front; seekable only. */
void trc_reader_rewind(struct trc_reader *r);
/* Decompresses the wanted groups of the block at `block` (its header and all its
 * bytes). */
int trc_reader_unpack(struct trc_reader *r, const struct trc_head *h, struct span block,
                      uint64_t at, unsigned wanted, uint8_t *raw[TRC_GROUPS],
                      struct err *e) MUST_USE;
/* Header and bytes of the block at `at` of a seekable file; out is replaced. */
int trc_reader_pread_block(struct trc_reader *r, uint64_t at, struct trc_head *h,
                           struct buf *out, struct err *e) MUST_USE;
/* Group 0 of META, INDEX or FOOTER at `at`, taken in. */
int trc_reader_take_meta(struct trc_reader *r, const struct trc_head *h,
                         struct span block, uint64_t at, struct err *e) MUST_USE;
/* The file is complete: info from the totals. */
void trc_reader_adopt_footer(struct trc_reader *r);
/* Reads the index of a complete file, where it was not yet. Where it cannot be read the
 * file counts as not indexed; only ERR_NOMEM and ERR_IO are errors. */
int trc_reader_need_index(struct trc_reader *r, struct err *e) MUST_USE;
/* Looks for a valid header of this file from the source's place + 1 on, at most `limit`
 * bytes far (0: to the end). 1: found, the source stands there, *h is it. 0: none. */
int trc_reader_find_header(struct trc_reader *r, uint64_t limit, struct trc_head *h,
                           struct err *e) MUST_USE;

#endif
