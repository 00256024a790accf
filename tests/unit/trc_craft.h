/*
 * trc_craft.h - files of the container built by hand, block by block, right or wrong.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_UNIT_TRC_CRAFT_H
#define TESTS_UNIT_TRC_CRAFT_H

#include "traces/base/buf.h"
#include "traces/container/trc_zstd.h"

#define CRAFT_FILE_ID 0x1122334455667788u

struct craft {
    struct buf file;
    struct trc_pack *pack;
    uint32_t ordinal, prev_bytes;
    size_t last; /* offset of the last block */
    bool run;
};
void craft_init(struct craft *c, bool run); /* with a META block */
void craft_done(struct craft *c);

/* Appends a block with these raw groups; ordinal, lengths and checksums are made right.
 */
void craft_block(struct craft *c, struct trc_head head,
                 const struct span raw[TRC_GROUPS]);
/* The same for a block of `records` records with no more than group 0 to 3 given as
 * bufs. */
void craft_put(struct craft *c, unsigned kind, uint32_t records, uint64_t first,
               int64_t t_min, int64_t t_max, const struct buf groups[TRC_GROUPS]);
/* Makes the checksum of the header at `at` right again. */
void craft_sign(struct craft *c, size_t at);

/* A column: tag, length, bytes. */
void craft_column(struct buf *group, unsigned id, bool required, struct span content);
/* n integers as a column of plain varints; after prefix. */
void craft_ints(struct buf *group, unsigned id, struct span prefix, const uint64_t *v,
                size_t n);
/* The smallest schedule of n operations of one stream, all at time 0. */
void craft_schedule(struct buf *group, size_t n);

#endif
