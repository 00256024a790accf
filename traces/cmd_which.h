/*
 * cmd_which.h - the options by which `trace cat` and `trace filter` choose records.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CMD_WHICH_H
#define TRACES_CMD_WHICH_H

#include "traces/base/opt.h"
#include "traces/tool/trc_select.h"

struct trc_which {
    const char *models, *tiers, *protocols, *statuses; /* lists; NULL: all */
    int64_t from_ns, to_ns;                            /* only if they were given */
};

#define TRC_WHICH_ROW(where, row, field, kind, word, text)                             \
    {                                                                                  \
        .name = (row), .type = (kind),                                                 \
        .at = (where) + offsetof(struct trc_which, field), .arg = (word),              \
        .help = (text)                                                                 \
    }
/* The rows, for a struct trc_which that lies at `where`. */
#define TRC_WHICH_OPTS(where)                                                          \
    TRC_WHICH_ROW(where, "model", models, OPT_STR, "LIST",                             \
                  "only these models, pipelines or experiments"),                      \
        TRC_WHICH_ROW(where, "tier", tiers, OPT_STR, "LIST", "only these tiers"),      \
        TRC_WHICH_ROW(where, "protocol", protocols, OPT_STR, "LIST",                   \
                      "only these protocols: rest, grpc, kafka, control"),             \
        TRC_WHICH_ROW(where, "status", statuses, OPT_STR, "LIST",                      \
                      "only these answers: 503, 5xx, grpc:14, grpc:UNAVAILABLE, ok, "  \
                      "failed, none, and causes of failure in runs (deadline, reset "  \
                      "and so on)"),                                                   \
        TRC_WHICH_ROW(where, "from", from_ns, OPT_DURATION, "TIME",                    \
                      "from this time on (arrival in a trace, due in a run)"),         \
        TRC_WHICH_ROW(where, "to", to_ns, OPT_DURATION, "TIME",                        \
                      "up to this time, itself excluded")

/* Makes *s of what was given to the command `page`. ERR_USAGE names the wrong word. The
 * caller calls trc_select_done, after failure too. */
int trc_which_select(const struct opt_cmd *page, const struct trc_which *w,
                     struct trc_select *s, struct err *e) MUST_USE;

#endif
