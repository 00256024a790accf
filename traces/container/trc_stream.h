/*
 * trc_stream.h - the stream table of a block, interned and read: FORMAT.md,
 * section 5.2.
 *
 * A zeroed table is a valid empty one. Not thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CONTAINER_TRC_STREAM_H
#define TRACES_CONTAINER_TRC_STREAM_H

#include "traces/base/arena.h"
#include "traces/container/trc_column.h"

struct trc_stream {
    struct op_stream s; /* a copy in the table's arena */
    uint64_t hash[2];   /* XXH3-128 of its entry */
    size_t at, n;       /* its entry in `entries` */
    uint32_t count;     /* records of this block */
};

#define TRC_STREAM_CACHE 256
struct trc_streams {
    struct arena arena;
    struct buf entries;
    struct trc_stream *v;
    uint32_t n, cap;
    uint32_t *slots; /* index + 1 by hash; 0 empty */
    uint32_t slot_count;
    uint32_t cache[TRC_STREAM_CACHE]; /* index + 1 by a glance at the stream */
};

void trc_streams_reset(struct trc_streams *t);
void trc_streams_done(struct trc_streams *t);
/* Index of a stream equal to *s, added when it is new. ERR_LIMIT (a string, the headers
 * or the table beyond its limit), ERR_USAGE (an enum out of range), ERR_NOMEM. */
int trc_streams_find(struct trc_streams *t, const struct op_stream *s, uint32_t *index,
                     struct err *e) MUST_USE;
void trc_streams_put(const struct trc_streams *t, struct trc_group_out *g);

/* The entry of a stream, appended to out. */
void trc_stream_encode(const struct op_stream *s, struct buf *out);
/* Column 32 of g; strings are borrowed from the raw group, structs from a. */
int trc_streams_decode(const struct trc_group *g, struct arena *a,
                       const struct op_stream **v, uint32_t *n, struct err *e) MUST_USE;

#endif
