/*
 * trc_column.h - column groups: integers and bytes, written and read (FORMAT.md,
 * section 5).
 *
 * TRC_NULL stands for "none" in a nullable column; all other values lie in
 * (INT64_MIN, INT64_MAX]. Readers check every length and every value's form; they
 * borrow the raw group. Not thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CONTAINER_TRC_COLUMN_H
#define TRACES_CONTAINER_TRC_COLUMN_H

#include "traces/container/trc_format.h"

#define TRC_NULL INT64_MIN

/* A raw group in the making. `cuts` are places where a column that is worth its own
 * entropy tables begins or ends: the compressor closes a zstd block there. */
#define TRC_CUTS_MAX 32
struct trc_group_out {
    struct buf raw;
    size_t cuts[TRC_CUTS_MAX];
    unsigned cut_count;
    struct buf scratch;
};
void trc_group_out_reset(struct trc_group_out *g);
void trc_group_out_done(struct trc_group_out *g);

/* Appends a column; ids must ascend. ints: leaves the column out when every value is
 * def (TRC_NULL: none). prefix: bytes in front of the integer column (a count, a base),
 * or {0}; a column with a prefix is never left out. */
void trc_put_bytes(struct trc_group_out *g, unsigned id, bool required,
                   struct span content);
/* The same, but that the content is to follow by other means: it must be the group's
 * last. */
void trc_put_head(struct trc_group_out *g, unsigned id, bool required, size_t bytes);
void trc_put_ints(struct trc_group_out *g, unsigned id, bool required,
                  const int64_t *values, size_t n, int64_t def);
void trc_put_prefixed(struct trc_group_out *g, unsigned id, bool required,
                      struct span prefix, const int64_t *values, size_t n);

/* A raw group, taken apart. Fails on columns that must be understood and are not in
 * known (ids, 0 ends), on repeated or descending ids, and on lengths that do not fit.
 */
struct trc_group {
    const char *block, *name; /* "OPS block 7", "schedule": for errors */
    uint64_t at;              /* of the block in the file */
    unsigned count;
    struct {
        unsigned id;
        struct span content;
    } columns[TRC_COLUMNS_MAX];
};
int trc_group_parse(struct trc_group *g, struct span raw, const uint8_t *known,
                    struct err *e) MUST_USE;
bool trc_group_find(const struct trc_group *g, unsigned id, struct span *content);
/* "OPS block 7: schedule column 2: <reason> at byte N", ERR_FORMAT. */
int trc_column_error(const struct trc_group *g, unsigned id, const char *reason,
                     struct err *e);

struct trc_ints {
    const uint8_t *p, *end;
    bool constant, is_signed, nullable;
    int64_t value; /* when constant */
};
/* An integer column of n values (def for each when it is absent), or one at content. */
int trc_ints_open(struct trc_ints *it, const struct trc_group *g, unsigned id,
                  int64_t def, struct err *e) MUST_USE;
bool trc_ints_init(struct trc_ints *it, struct span content);
/* The next n values; false when the column is malformed or ends early. */
bool trc_ints_take(struct trc_ints *it, int64_t *out, size_t n) MUST_USE;
bool trc_ints_ended(const struct trc_ints *it); /* nothing left over */
/* All n values of a column at once, into out; ERR_FORMAT. */
int trc_ints_all(const struct trc_group *g, unsigned id, int64_t def, int64_t *out,
                 size_t n, struct err *e) MUST_USE;

#endif
