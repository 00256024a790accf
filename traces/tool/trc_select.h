/*
 * trc_select.h - which records are meant: by model, tier, protocol, status and time.
 *
 * Lists are comma lists; an empty list means all; a record must pass every list. Times
 * are arrivals of operations and dues of outcomes. Read-only once made; thread-safe
 * then.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_TOOL_TRC_SELECT_H
#define TRACES_TOOL_TRC_SELECT_H

#include "traces/base/arena.h"
#include "traces/outcome.h"

enum trc_status_kind {
    TRC_STATUS_HTTP,    /* one code */
    TRC_STATUS_HUNDRED, /* 4xx */
    TRC_STATUS_GRPC,
    TRC_STATUS_OK,
    TRC_STATUS_FAILED,
    TRC_STATUS_NONE,  /* no answer */
    TRC_STATUS_CAUSE, /* of an outcome */
};
struct trc_status_item {
    enum trc_status_kind kind;
    int value;
};

struct trc_select {
    struct span *models;
    size_t model_count;
    uint32_t tiers, protocols; /* bit per enum value; 0: all */
    struct trc_status_item *statuses;
    size_t status_count;
    int64_t from_ns, to_ns; /* inclusive, exclusive; to_ns INT64_MAX: no end */
    struct arena arena;
};

/* Options as text; NULL or empty: all. ERR_USAGE names what is not known. */
int trc_select_init(struct trc_select *s, const char *models, const char *tiers,
                    const char *protocols, const char *statuses, int64_t from_ns,
                    int64_t to_ns, struct err *e) MUST_USE;
void trc_select_done(struct trc_select *s);

bool trc_select_stream(const struct trc_select *s, const struct op_stream *stream);
bool trc_select_op(const struct trc_select *s, const struct op *o);
bool trc_select_outcome(const struct trc_select *s, const struct outcome *o);

#endif
