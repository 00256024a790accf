/*
 * route.h - where Kafka takes the requests of a model or pipeline.
 *
 * The feeder asks for a route when it meets a model or pipeline, and may wait for the
 * brokers then; on a sending thread nobody asks. Who answers is behind a function, so
 * that requests are prepared without brokers in tests.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef REPLAY_ROUTE_H
#define REPLAY_ROUTE_H

#include "traces/op.h"

/* Lives as long as the run. */
struct rep_route {
    enum op_resource resource;
    struct span name;  /* of the model or pipeline */
    struct span topic; /* that its requests go to */
};

struct rep_routes {
    /* NULL: there is none, for the reason in *why, a constant text. */
    const struct rep_route *(*find)(void *arg, enum op_resource resource,
                                    struct span name, const char **why);
    void *arg;
};

#endif
