/*
 * trc_messages.h - the messages of streams, of one block: FORMAT.md, section 5.1.1.
 *
 * trc_messages holds those of a block in the making. A zeroed struct is a valid empty
 * one. Not thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CONTAINER_TRC_MESSAGES_H
#define TRACES_CONTAINER_TRC_MESSAGES_H

#include "traces/base/arena.h"
#include "traces/container/trc_column.h"

struct trc_messages {
    struct op_message *v; /* of all lists, joined; times on the grid */
    size_t n, cap;
    struct trc_message_list {
        size_t first;
        uint32_t count;
    } * lists;
    size_t list_n, list_cap;
};
void trc_messages_reset(struct trc_messages *t);
void trc_messages_done(struct trc_messages *t);

/* Whether *m, which is beside `bytes` bytes, is within the limits of a run. ERR_USAGE,
 * ERR_LIMIT. */
int trc_messages_check_run(const struct op_messages *m, uint64_t bytes,
                           struct err *e) MUST_USE;
/* Whether *m can be stored beside body; `what` is "request" or "response". ERR_USAGE,
 * ERR_LIMIT. */
int trc_messages_check(const struct op_messages *m, const struct op_body *body,
                       const char *what, struct err *e) MUST_USE;
/* Keeps a checked *m, whose times become multiples of unit; *ref is its number + 1, or
 * 0 when it has no messages. *m borrows from t until the next add. ERR_NOMEM. */
int trc_messages_add(struct trc_messages *t, struct op_messages *m, int64_t unit,
                     int64_t *ref, struct err *e) MUST_USE;
/* The columns first_id, +1, +2 of n records with these refs; none when there are no
 * messages. ERR_NOMEM. */
int trc_messages_put(const struct trc_messages *t, const int64_t *refs, size_t n,
                     int64_t unit, unsigned first_id, bool required,
                     struct trc_group_out *g, struct err *e) MUST_USE;

/* One list per record from the columns first_id, +1, +2 into *out, which lives in a;
 * *out is NULL when the block has none. ERR_FORMAT, ERR_LIMIT, ERR_NOMEM. */
int trc_messages_decode(const struct trc_group *g, unsigned first_id, uint32_t records,
                        int64_t unit, struct arena *a, struct op_messages **out,
                        struct err *e) MUST_USE;

#endif
