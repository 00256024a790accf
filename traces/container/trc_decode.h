/*
 * trc_decode.h - raw groups of a block to records, checked whole: FORMAT.md, 5.1
 * to 5.6.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CONTAINER_TRC_DECODE_H
#define TRACES_CONTAINER_TRC_DECODE_H

#include "traces/base/arena.h"
#include "traces/container/trc_blobs.h"
#include "traces/container/trc_column.h"
#include "traces/container/trc_reader.h"

struct trc_pin {
    struct trc_blob_block *blobs;
    struct trc_pin *next;
};

/* What stands behind the trc_block that a caller holds; `pub` comes first. */
struct trc_block_own {
    struct trc_block pub;
    struct trc_head head;
    uint8_t *raw[TRC_GROUPS]; /* owned; records point into them */
    struct arena arena;
    struct op *ops; /* owned: operations, or late answers */
    struct outcome *outcomes;
    struct trc_columns columns; /* what pub.columns points to */
    void *values;               /* owned: the arrays of columns, one allocation */
    struct trc_pin *pins;       /* blobs in use, in the arena */
};
void trc_block_own_free(struct trc_block_own *b);

/* Where bodies in blobs come from. Fills *out (KEPT, or ELIDED when its blobs are
 * lost); what it points to lives as long as b. */
struct trc_blob_source {
    int (*fetch)(void *arg, struct trc_block_own *b, uint64_t first, uint32_t fragments,
                 struct op_body *out, struct err *e);
    void *arg;
};

/* Beside the bits of enum trc_read: bodies and answers' bodies whose group is not
 * wanted are elided, of 0 bytes and hash 0, and their records are flagged as truncated.
 */
#define TRC_READ_LACKING 16u

/* b->head and b->raw are set; fills b->pub and what it owns. columns: of outcomes, the
 * columns to give instead of records (bits of trc_columns.h), or 0. first_index and
 * ordinals are the caller's to check. ERR_FORMAT, ERR_LIMIT, ERR_NOMEM. */
int trc_decode_block(struct trc_block_own *b, uint64_t at, unsigned groups,
                     uint32_t columns, const struct trc_blob_source *blobs,
                     struct err *e) MUST_USE;

#endif
