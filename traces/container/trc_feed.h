/*
 * trc_feed.h - columns of integers on their way into records or arrays, each value
 * within its range; shared by trc_decode.c and trc_outcomes.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CONTAINER_TRC_FEED_H
#define TRACES_CONTAINER_TRC_FEED_H

#include "traces/container/trc_decode.h"

#define TRC_CHUNK 256 /* rows that are decoded together: their values stay near */

/* A block while it is decoded. */
struct trc_decoding {
    struct trc_block_own *b;
    uint64_t at;
    char name[48];
    struct trc_group groups[TRC_GROUPS];
    const struct trc_blob_source *blobs;
    struct op_body *bodies[2]; /* requests, responses; freed at the end */
    size_t body_count[2];
    unsigned wanted;
    struct err *e;
};

/* ERR_FORMAT where the column is absent and there are records. */
int trc_required(struct trc_decoding *d, int group, unsigned id) MUST_USE;

/* One integer column. */
struct trc_feeder {
    struct trc_decoding *d;
    const struct trc_group *g;
    unsigned id;
    struct trc_ints it;
    int64_t low, high; /* inclusive; TRC_NULL passes when null_ok */
    bool null_ok;
};
/* def stands for each value of an absent column; TRC_NULL allows "none". */
int trc_feeder_open(struct trc_feeder *f, struct trc_decoding *d, int group,
                    unsigned id, int64_t def, int64_t low, int64_t high) MUST_USE;
/* The next n values, each within its range. */
int trc_feed(struct trc_feeder *f, int64_t *v, size_t n) MUST_USE;
/* Nothing may be left over. */
int trc_feeder_end(const struct trc_feeder *f) MUST_USE;
/* What is wrong with the column; ERR_FORMAT. */
int trc_complain(const struct trc_feeder *f, const char *reason);

/* References of a column, turned into indices of the table beside it; -1: none. */
struct trc_resolver {
    struct trc_feeder f;
    size_t next, count;
};
int trc_resolver_open(struct trc_resolver *r, struct trc_decoding *d, int group,
                      unsigned id, size_t count) MUST_USE;
int trc_resolve(struct trc_resolver *r, int64_t *v, size_t n) MUST_USE;
int trc_resolver_end(struct trc_resolver *r) MUST_USE;

#endif
