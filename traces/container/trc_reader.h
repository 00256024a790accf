/*
 * trc_reader.h - reads a trace or a run front to back, or from a time or index on.
 *
 * Works without index and footer, and from a pipe ("-"). Every checksum is verified
 * before its bytes are decompressed, every length is bounded before it is believed, and
 * a block is validated whole before its first record is handed out. One thread at a
 * time; a block, once handed out, may be read and freed by any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CONTAINER_TRC_READER_H
#define TRACES_CONTAINER_TRC_READER_H

#include "traces/container/trc_columns.h"
#include "traces/container/trc_writer.h"

/* Records of one block; everything they point to lives until trc_block_free. */
struct trc_block {
    uint64_t offset;      /* of the block in the file */
    uint64_t first_index; /* index of its first record in the file */
    uint32_t count;
    uint32_t stream_count;
    const struct op_stream *streams;
    const struct op *ops;              /* TRC_TRACE */
    const struct outcome *outcomes;    /* TRC_RUN */
    const struct trc_columns *columns; /* the same, after trc_reader_want_columns */
    /* Answers that came after their operation was written: op.index says which
     * operation of the file is meant, the answer's fields hold it, and flags what it
     * adds to the operation's. A block has either ops or late. */
    uint32_t late_count;
    const struct op *late;
};
void trc_block_free(struct trc_block *b); /* NULL is fine; any thread */

/* Valid from open on where the footer could be read (complete), else only what the
 * first META block says, and totals grow as blocks are read. */
struct trc_info {
    enum trc_kind kind;
    uint16_t version_major, version_minor;
    bool complete;       /* closed properly: index and footer present and sound */
    uint64_t file_bytes; /* 0 for a pipe */
    uint64_t records;
    uint64_t blocks;
    int64_t first_ns, last_ns; /* least and greatest arrival (trace) or due (run) */
    int64_t resolution_ns, epoch_wall_ns;
    uint64_t content_hash[2]; /* over operations, not over blocks: survives repacking */
    uint64_t payload_bytes;   /* of kept request bodies, before dedup */
};

/* What of a block is decoded. Bodies and answer hashes need PAYLOAD (and ANSWERS for
 * those of answers); what is not read stays as op_empty or outcome_empty gives it. The
 * checksums of groups that are not read are not verified. */
enum trc_read {
    TRC_READ_SCHEDULE = 1, /* always: times, streams, flags, indices */
    TRC_READ_ANSWERS = 2,
    TRC_READ_IDS = 4,
    TRC_READ_PAYLOAD = 8,
    TRC_READ_ALL = 15,
};

struct trc_reader;
int trc_reader_open(struct trc_reader **r, const char *path, struct err *e) MUST_USE;
/* The same, but a pipe is waited for only until stopped(arg), which is asked some
 * twenty times a second on the thread that reads; open and next then end with
 * ERR_STOPPED. */
int trc_reader_open_until(struct trc_reader **r, const char *path,
                          bool (*stopped)(void *arg), void *arg,
                          struct err *e) MUST_USE;
void trc_reader_close(struct trc_reader *r); /* NULL is fine */
/* Borrowed from r. */
const struct trc_info *trc_reader_info(const struct trc_reader *r);
/* Bits of enum trc_read for the blocks to come; TRC_READ_ALL from the start. */
void trc_reader_want(struct trc_reader *r, unsigned groups);
/* From now on blocks of outcomes give these columns (bits of enum trc_column) in place
 * of records, and only the groups that hold them are read: b->columns is set,
 * b->outcomes is NULL. 0: records again, with all groups. */
void trc_reader_want_columns(struct trc_reader *r, uint32_t columns);

/* How many records of what kind, from the footer. */
struct trc_model_count {
    enum op_resource resource;
    struct span name;
    uint64_t count;
};
struct trc_counts {
    uint64_t protocol[OP_PROTOCOL_COUNT], tier[OP_TIER_COUNT];
    uint64_t cause[OUT_CAUSE_COUNT], check[OUT_CHECK_COUNT]; /* of a run */
    const struct trc_model_count *models; /* ascending by resource, then name */
    uint32_t model_count;
    uint64_t other; /* records whose model is not listed: there are too many */
};
/* NULL unless the footer was read; borrowed from r. */
const struct trc_counts *trc_reader_counts(const struct trc_reader *r);

/* Value of a note, or NULL; borrowed until the next block is read. Notes of the close
 * are known at once when the file is complete and seekable, else when the end was
 * reached. */
const char *trc_reader_note(const struct trc_reader *r, const char *key);
/* The i-th note in order of keys; false past the last. */
bool trc_reader_note_at(const struct trc_reader *r, size_t i, const char **key,
                        const char **value);

/* Moves to the next block. 1: *b is set and owned by the caller. 0: clean end.
 * Negative: ERR_FORMAT, ERR_TRUNCATED (no clean end: what came before was whole),
 * ERR_LIMIT, ERR_IO, ERR_NOMEM, with file and offset. After ERR_FORMAT of one block the
 * next call goes on behind it (damaged blocks are skipped, counted by
 * trc_reader_lost_blocks). After
 * ERR_TRUNCATED nothing follows: the next call gives 0. */
int trc_reader_next(struct trc_reader *r, struct trc_block **b, struct err *e) MUST_USE;
uint64_t trc_reader_lost_blocks(const struct trc_reader *r);

/* What damage took away so far, as far as the blocks around it tell. */
struct trc_loss {
    uint64_t blocks;
    uint64_t records; /* at least: those that later blocks say stood before them */
    int64_t from_ns,
        to_ns; /* around them; valid when blocks > 0; to_ns INT64_MAX: the end */
};
struct trc_loss trc_reader_loss(const struct trc_reader *r);
/* Blocks of which a repair keeps a part, their records, and what they lack. */
struct trc_partly {
    uint64_t blocks, records;
    uint64_t lack_answers, lack_ids, lack_payload; /* blocks without that group */
};

/* Next trc_reader_next gives the block that holds the first arrival >= arrival_ns
 * (index if complete, else block headers). ERR_USAGE on a pipe. */
int trc_reader_seek(struct trc_reader *r, int64_t arrival_ns, struct err *e) MUST_USE;

/* Whether late answers may be among the blocks: true where nothing is known of them. */
bool trc_reader_has_late(const struct trc_reader *r);

/* Fills records, blocks, first_ns and last_ns of an incomplete file from its block
 * headers alone; nothing to do for a complete one. Damage is passed over (and counted
 * by trc_reader_lost_blocks until the next call that moves). ERR_USAGE on a pipe. The
 * next trc_reader_next starts at the front. */
int trc_reader_survey(struct trc_reader *r, struct err *e) MUST_USE;

/* Reads everything once (checksums, order, totals, content hash against the footer) and
 * rewinds. 0 sound; else the first fault. */
int trc_reader_verify(struct trc_reader *r, struct err *e) MUST_USE;

#endif
