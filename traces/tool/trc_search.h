/*
 * trc_search.h - every place of a trace or a run where a secret may stand, looked at.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_TOOL_TRC_SEARCH_H
#define TRACES_TOOL_TRC_SEARCH_H

#include "traces/tool/trc_find.h"

enum trc_place {
    TRC_PLACE_NOTE,
    TRC_PLACE_NAME,
    TRC_PLACE_PATH,
    TRC_PLACE_HEADER, /* its value, or what its name promises */
    TRC_PLACE_ID,
    TRC_PLACE_REQUEST,
    TRC_PLACE_ANSWER,
    TRC_PLACE_COUNT
};
extern const char *const trc_place_names[]; /* "note" …, in order */

struct trc_hit {
    uint64_t index; /* of the operation or outcome; none for notes */
    enum trc_place place;
    struct span name; /* of the note or header, unless it is a secret; borrowed */
    struct trc_finding found;
};
typedef int trc_search_fn(void *ctx, const struct trc_hit *hit, struct err *e);

struct trc_search_done {
    uint64_t records, hits;
    uint64_t bodies;   /* looked at */
    uint64_t unopened; /* compressed bodies: nothing can be said of them */
    bool unclosed;     /* the input ends without a footer, with nothing lost */
};

/* Reads the file once, a block in memory at a time. What operations share (name, path,
 * headers) is told once a block, for the first of them. An error of fn ends it. */
int trc_search(const char *path, trc_search_fn *fn, void *ctx,
               struct trc_search_done *done, struct err *e) MUST_USE;

#endif
