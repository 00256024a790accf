/*
 * outcome.c - see outcome.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/outcome.h"

#include <stdio.h>

#include <xxhash.h>

const char *const out_cause_names[] = {"ok",      "status",  "connect", "reset",
                                       "closed",  "garbage", "too-big", "deadline",
                                       "dropped", "refused", "stopped", NULL};
const char *const out_check_names[] = {"unchecked", "right", "wrong", "crossed", NULL};
const char *const out_wait_names[] = {"none", "slot", "own", "connect", "turn", NULL};

_Static_assert(sizeof out_cause_names / sizeof *out_cause_names == OUT_CAUSE_COUNT + 1,
               "a name for each cause");
_Static_assert(sizeof out_check_names / sizeof *out_check_names == OUT_CHECK_COUNT + 1,
               "a name for each check");
_Static_assert(sizeof out_wait_names / sizeof *out_wait_names == OUT_WAIT_COUNT + 1,
               "a name for each wait");

/* The status codes of gRPC's specification, "Status codes and their use in gRPC". */
static const char *const grpc_names[] = {
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
};

struct outcome outcome_empty(void)
{
    return (struct outcome){
        .due_ns = OP_TIME_NONE,
        .ready_ns = OP_TIME_NONE,
        .sent_ns = OP_TIME_NONE,
        .first_ns = OP_TIME_NONE,
        .done_ns = OP_TIME_NONE,
        .grpc_status = -1,
        .connection = OP_NONE,
    };
}

uint64_t outcome_answer_hash(struct span body)
{
    uint64_t hash = XXH3_64bits(body.p, body.n);
    return hash ? hash : 1;
}

/* A gRPC call may fail below gRPC (a proxy answers 503): then there is no gRPC code,
 * and the HTTP status tells. */
static void status_class(const struct outcome *o, char out[OUT_CLASS_MAX])
{
    const char *name = out_grpc_name(o->grpc_status);
    if (o->stream && o->stream->protocol == OP_KAFKA)
        snprintf(out, OUT_CLASS_MAX, "kafka error");
    else if (o->grpc_status > 0)
        snprintf(out, OUT_CLASS_MAX, "grpc %d%s%s", o->grpc_status, name ? " " : "",
                 name ? name : "");
    else if (o->status != 0)
        snprintf(out, OUT_CLASS_MAX, "http %u", (unsigned)o->status);
    else
        snprintf(out, OUT_CLASS_MAX, "%s", out_cause_names[OUT_STATUS]);
}

char *outcome_class(const struct outcome *o, char out[OUT_CLASS_MAX])
{
    if (o->check == OUT_CROSSED)
        snprintf(out, OUT_CLASS_MAX, "crossed answer");
    else if (o->cause == OUT_STATUS)
        status_class(o, out);
    else if (o->cause == OUT_OK && o->check == OUT_WRONG)
        snprintf(out, OUT_CLASS_MAX, "wrong answer");
    else if ((unsigned)o->cause < OUT_CAUSE_COUNT)
        snprintf(out, OUT_CLASS_MAX, "%s", out_cause_names[o->cause]);
    else
        snprintf(out, OUT_CLASS_MAX, "cause %u", (unsigned)o->cause);
    return out;
}

bool outcome_ok(const struct outcome *o)
{
    return o->cause == OUT_OK && o->check < OUT_WRONG;
}

const char *out_grpc_name(int code)
{
    int count = (int)(sizeof grpc_names / sizeof *grpc_names);
    return code >= 0 && code < count ? grpc_names[code] : NULL;
}
