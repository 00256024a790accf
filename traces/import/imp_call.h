/*
 * imp_call.h - an HTTP call that a foreign file tells of, said as an operation.
 *
 * The rules are those of capture: an operation is an inference over V2 REST or gRPC;
 * headers are denied but for accept-encoding, seldon-model and those that are asked for
 * (of traceparent and x-seldon-route only their presence stays, of credentials
 * nothing); the query of a path is cut unless it is asked for. Thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_IMPORT_IMP_CALL_H
#define TRACES_IMPORT_IMP_CALL_H

#include "traces/base/arena.h"
#include "traces/import/imp_out.h"

#define IMP_NAME_MAX 256u
#define IMP_PATH_MAX 4096u
#define IMP_ID_MAX   1024u

/* What the user asks for. */
struct imp_rule {
    enum op_tier tier;
    const char *const *keep; /* names of headers, in any case */
    size_t keep_count;
    bool keep_query;
};

/* As the file has it; names of headers in any case, lines of HTTP/2's own (":path")
 * among them. */
struct imp_call {
    struct span method, target; /* target: path and query, or a whole URL */
    const struct op_header *headers;
    uint32_t header_count;
    bool framed; /* a gRPC body has its prefix of 5 bytes */
    struct op_body body;
};

/* Whether the content type is gRPC's. */
bool imp_is_grpc(const struct imp_call *c);
struct span imp_header(const struct imp_call *c,
                       const char *name); /* first; or empty */
/* Takes the prefix off a body that is one whole message, not compressed. */
bool imp_grpc_message(struct span framed, struct span *message);

/* Path and query of a target that may be a whole URL. */
struct span imp_path_of(struct span target);
/* Those headers that the rule keeps, names in lower case, as the stream's; counts the
 * others. False: more than a trace is given, or no memory. */
bool imp_take_headers(const struct imp_rule *rule, const struct imp_call *c,
                      struct arena *a, struct op_stream *s, struct imp_out_done *done);

/* Gives a stream without a model type that of the table, where the model's name and the
 * request's tensors say so. */
void imp_call_type(struct op_stream *s, const struct op_body *request, struct arena *a);

/* Makes *s and *op (request, id, stream) of a call; the rest of op is as it was. They
 * borrow from the call and the arena. True: it is an operation. False: it is left out,
 * *why says so. Counts headers and queries in *done. */
bool imp_call_make(const struct imp_rule *rule, const struct imp_call *c,
                   struct arena *a, struct op_stream *s, struct op *op,
                   enum imp_left *why, struct imp_out_done *done);

#endif
