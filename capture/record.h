/*
 * record.h - an exchange seen on a connection, said as an operation of a trace.
 *
 * What a request is for is told differently at each tier of Seldon Core v2, and this is
 * where that is known:
 *   envoy            header seldon-model, else the path
 *   rproxy           seldon-internal-model without its version, else seldon-model,
 *                    else the path
 *   server           the path, or model_name of the message; without its version
 *   pipelinegateway  the last seldon-internal-model, else seldon-model
 * A suffix .pipeline, .model or .experiment says what kind of thing is called. On a
 * connection that was joined midway, headers may be unreadable: the name then comes
 * from the message (model_name), and the operation is flagged as inferred. Names of
 * models have no underscore, so that "_3" at a name's end is always a version.
 *
 * Nothing here copies or changes a body: redact.h does, before anything is kept. Pure
 * functions; thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_RECORD_H
#define CAPTURE_RECORD_H

#include "capture/exchange.h"

/* What becomes of an exchange. */
enum cap_recorded {
    CAP_RECORDED_OP,
    CAP_RECORDED_PASSED,  /* no inference: health, metadata, metrics, other services */
    CAP_RECORDED_UNNAMED, /* an inference, but nothing says of which model */
    CAP_RECORDED_REFUSED, /* a name or path beyond what a trace can hold */
};

#define CAP_NAME_MAX     256u
#define CAP_PATH_MAX     4096u
#define CAP_ID_MAX       1024u
#define CAP_VALUE_MAX    1024u /* of content-type and content-encoding */
#define CAP_NAMELESS_MAX 16u

/* Of a record of Kafka that was seen on the wire: in which direction, as how many
 * bytes. */
struct cap_wire_share {
    uint8_t dir;
    uint64_t bytes;
};

/* Borrows from the exchange. op.stream points at `stream`; stream.headers at the
 * exchange's own, all of them: none has been redacted yet. op.arrival_ns is 0: the wall
 * time stands in `at`. op.first_ns and last_ns count from there. */
struct cap_record {
    struct op op;
    struct op_stream stream;
    struct clk_wall at;
    bool query_cut;       /* the path had a query, which is not part of it any more */
    bool cut;             /* the request's body is not all there */
    struct span internal; /* "3" of "iris_3", where the tier shows it; else empty */
    /* Values of headers whose names could not be decoded: one may be the request id,
     * which another leg of the same call can tell (hold.h). Only where op.id is empty.
     */
    struct span nameless[CAP_NAMELESS_MAX];
    uint32_t nameless_count;
    struct cap_wire_share wire[2]; /* of Kafka's records: request, answer */
    struct buf *buffers[2]; /* of the exchange: what request and answer stand in, or
                               NULL */
};

enum cap_recorded cap_record_make(enum op_tier tier, const struct cap_exchange *x,
                                  struct cap_record *r);

/* The answer's half of an exchange whose request was told before: times (since the
 * request's first byte), status, response and what it is encoded in. */
void cap_record_answer(const struct cap_exchange *x, struct op *op);

#endif
