/*
 * op.h - the data model of a trace: what should happen, and when.
 *
 * A trace is a sequence of operations in order of arrival. What operations have in
 * common (protocol, tier, resource, path, headers) stands once in an op_stream; an
 * operation adds its time, its body and its identity. These structs are what container/
 * writes and reads (FORMAT.md gives the bytes), what synth, import and capture produce,
 * and what replay consumes. They borrow: spans stay valid as long as the block they
 * came from.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_OP_H
#define TRACES_OP_H

#include "traces/base/err.h"
#include "traces/base/span.h"

enum op_protocol { OP_REST, OP_GRPC, OP_KAFKA, OP_CONTROL, OP_PROTOCOL_COUNT };

/* Where a request enters SCv2. OP_TIER_ANY: not recorded anywhere, replay decides. */
enum op_tier {
    OP_TIER_ANY,
    OP_TIER_ENVOY,
    OP_TIER_RPROXY,
    OP_TIER_SERVER,
    OP_TIER_PIPELINEGATEWAY, /* a pipeline, through the pipeline gateway */
    OP_TIER_MODELGATEWAY,    /* a model, through the pipeline gateway and Kafka */
    OP_TIER_KAFKA,
    OP_TIER_COUNT
};

enum op_resource { OP_MODEL, OP_PIPELINE, OP_EXPERIMENT, OP_RESOURCE_COUNT };

/* Names as they stand in options, in files and in JSON; NULL-terminated, in enum order.
 */
extern const char *const op_protocol_names[]; /* "rest" "grpc" "kafka" "control" */
extern const char *const op_tier_names[];     /* "any" "envoy" "rproxy" … */
extern const char *const op_resource_names[]; /* "model" "pipeline" "experiment" */

struct op_header {
    struct span name, value; /* name in lower case */
};

/* Invariants: name is not empty and has no suffix (".pipeline" is resource); path is
 * what the client sent (REST: path and query; gRPC: "/package.Service/Method"; Kafka:
 * topic), or empty where it follows from the tier; headers hold the allowed subset in
 * wire order. */
struct op_stream {
    enum op_protocol protocol;
    enum op_tier tier;
    enum op_resource resource;
    struct span name; /* model, pipeline or experiment, as a client calls it: "iris1" */
    struct span model_type; /* "iris"; empty when not known */
    struct span method;     /* REST verb; empty otherwise */
    struct span path;
    struct span content_type, content_encoding;
    const struct op_header *headers;
    uint32_t header_count;
};

enum op_body_state {
    OP_BODY_NONE,   /* the operation has no body */
    OP_BODY_KEPT,   /* data is the body (gRPC: the message without its prefix) */
    OP_BODY_ELIDED, /* only length and hash are known */
};

struct op_body {
    enum op_body_state state;
    struct span data; /* KEPT only */
    uint64_t bytes;   /* length of the whole body, kept or not */
    uint64_t hash[2]; /* XXH3-128 of the whole body, low half first; 0 when NONE */
};

/* One message of a stream: of a gRPC call that streams, or an event of server-sent
 * events. */
struct op_message {
    int64_t at_ns;  /* its first byte (gRPC: of its prefix), since the arrival */
    uint64_t bytes; /* of the body: gRPC without the prefix; events with their framing,
                       the blank line at their end included */
};

/* How a body comes apart into the messages of a stream, in order. count is 0 where the
 * body is one message, as in unary calls. Else the bytes of all messages are together
 * those of the body (which is NONE when all are empty): message 0 is its first
 * v[0].bytes, and so on. */
struct op_messages {
    const struct op_message *v;
    uint32_t count; /* <= OP_MESSAGES_MAX */
};
#define OP_MESSAGES_MAX 65535u

/* Bits of op.flags, as stored. */
enum op_flag {
    OP_FLAG_TRUNCATED = 1u << 0,   /* the body was cut by the capture */
    OP_FLAG_REDACTED = 1u << 1,    /* something was taken out on purpose */
    OP_FLAG_INFERRED = 1u << 2,    /* method and name were inferred from the body */
    OP_FLAG_OPAQUE = 1u << 3,      /* headers could not be read */
    OP_FLAG_GAP = 1u << 4,         /* bytes are missing near this operation */
    OP_FLAG_SAMPLED = 1u << 5,     /* stands for more operations than itself: weight */
    OP_FLAG_DEQUANTIZED = 1u << 6, /* time was spread in a grid cell by a rule */
    OP_FLAG_SYNTHETIC = 1u << 7,   /* made, not recorded */
    OP_FLAG_K6 = 1u << 8, /* body as SCv2's k6 tests build it, defects included */
};

#define OP_NONE      UINT32_MAX /* an ordinal that is not known */
#define OP_TIME_NONE INT64_MIN  /* a time that did not come */

struct op {
    uint64_t index;     /* position in its trace, from 0 */
    int64_t arrival_ns; /* since the trace's epoch: first byte of the request; >= 0 */
    const struct op_stream *stream;
    uint32_t stream_index; /* of *stream in its block's table */
    uint32_t flags;
    struct op_body request;
    struct op_messages request_messages;
    struct span id;       /* request id as recorded; empty: none */
    uint32_t connection;  /* ordinal of the client connection, or OP_NONE */
    uint32_t conn_stream; /* ordinal of the stream or request on it, or OP_NONE */
    uint32_t client;      /* ordinal of the client, or OP_NONE */
    uint32_t tokens_in, tokens_out; /* of LLM traces, or OP_NONE */
    float weight;                   /* 1 unless sampled */

    /* What was answered when this was recorded; first_ns is OP_TIME_NONE if nothing
     * was. */
    int64_t first_ns, last_ns; /* first and last byte of the answer, since arrival */
    uint16_t status;           /* HTTP status; 0: none */
    int16_t grpc_status;       /* gRPC code; -1: none */
    /* What the response, as it was kept, is encoded in: a list of content_encoding.h.
     * 0: nothing, or it was not told. gRPC: of its messages. */
    uint16_t response_codings;
    struct op_body response;
    struct op_messages response_messages;
};

/* A valid op with nothing in it: ordinals OP_NONE, times OP_TIME_NONE, weight 1. */
struct op op_empty(void);
/* Everything that an answer is made of becomes op's own; its flags are added. Spans are
 * borrowed as before. */
void op_take_answer(struct op *op, const struct op *answer);

/* True when both describe the same kind of operation (all fields equal by value). */
bool op_stream_equal(const struct op_stream *a, const struct op_stream *b);

/* XXH3-128 of a body, as op_body.hash holds it. */
void op_body_hash(struct span body, uint64_t hash[2]);
/* The same of a body that comes in pieces and is not kept. new gives NULL when out of
 * memory; end gives the hash of all that was added, and begins anew. */
struct op_hash;
struct op_hash *op_hash_new(void);
void op_hash_add(struct op_hash *h, struct span piece);
void op_hash_end(struct op_hash *h, uint64_t hash[2]);
void op_hash_free(struct op_hash *h); /* NULL is fine */
/* Whether the messages are together as many bytes as the body; always so when count is
 * 0. */
bool op_messages_fit(const struct op_messages *m, const struct op_body *body);
/* A KEPT body around data (hash computed), or NONE when data is empty. */
struct op_body op_body_of(struct span data);

#endif
