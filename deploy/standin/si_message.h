/*
 * si_message.h - one call at the stand-in: what was asked, and what will be answered.
 *
 * Tiers work on these structs alone and know neither sockets nor framing. Everything
 * hangs off the call's arena (or is static) and lives until the call is released. A
 * call belongs to the one thread of the stand-in.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DEPLOY_STANDIN_SI_MESSAGE_H
#define DEPLOY_STANDIN_SI_MESSAGE_H

#include "traces/base/arena.h"
#include "traces/op.h"

/* Header fields in wire order. A zeroed one is a valid empty list; the array grows in
 * the arena. Names compare without case. */
struct si_fields {
    struct op_header *v;
    uint32_t n, cap;
};

/* Both borrow name and value. Running out of memory drops the field. */
void si_fields_add(struct si_fields *f, struct arena *a, struct span name,
                   struct span value);
/* Replaces the value of the first field of that name where it stands, or adds the
 * field. */
void si_fields_set(struct si_fields *f, struct arena *a, struct span name,
                   struct span value);
void si_fields_remove(struct si_fields *f, const char *name); /* all of that name */
/* The first and the last of that name; NULL when there is none. */
const struct op_header *si_fields_first(const struct si_fields *f, const char *name);
const struct op_header *si_fields_last(const struct si_fields *f, const char *name);
uint32_t si_fields_count(const struct si_fields *f, const char *name);
/* The value of the first of that name; empty when there is none. */
struct span si_fields_get(const struct si_fields *f, const char *name);

enum si_fate {
    SI_ANSWERED, /* the answer below goes out */
    SI_HANGS,    /* nothing ever goes out */
    SI_DROPPED,  /* connection (HTTP/1) or stream (HTTP/2) is cut, unanswered */
};

struct si_request {
    bool grpc, http2;
    uint8_t minor_version;                 /* HTTP/1.x */
    bool has_body;                         /* a body was announced or came */
    bool wants_close;                      /* the client keeps no connection alive */
    struct span method, target, authority; /* authority: HTTP/2 */
    struct si_fields fields;               /* without HTTP/2's pseudo headers */
    struct span body;                      /* gRPC: length-prefixed messages */
};

#define SI_NO_GRPC (-1)

struct si_reply {
    enum si_fate fate;
    uint16_t status;         /* HTTP */
    struct si_fields fields; /* content-length included where the tier sends one */
    struct span body;
    bool streams;    /* body is messages, or events, that may go out one by one */
    bool chunked;    /* HTTP/1: no content-length, chunked framing */
    bool close;      /* the connection ends behind it */
    bool reset;      /* … with RST, if the client does not close first */
    int grpc_status; /* SI_NO_GRPC for REST */
    struct span grpc_message;
    bool grpc_has_message;     /* a message field is sent though it is empty */
    struct si_fields trailers; /* behind grpc-status and grpc-message */
    /* What it costs: */
    bool served;      /* reached a model: takes service time, may be hit by a fault */
    uint32_t runs;    /* how often the model ran for it; 0 counts as 1 */
    int64_t extra_ns; /* back-off, reloads, first-call stalls */
    /* The value of x-envoy-upstream-service-time is written when the answer goes out:
     * whole milliseconds since the request came. */
    bool has_elapsed;
};

/* What the model behind this call does wrong, decided before the tiers see it. */
struct si_mishap {
    uint16_t status; /* HTTP status that the model raises; 0: nothing goes wrong */
};

struct si_call {
    struct si_request request;
    struct si_reply reply;
    struct si_mishap mishap;
    struct arena arena;
    struct span flight_key; /* pipeline gateway: answers are matched by this */
};

/* Text made in the call's arena; empty when out of memory. */
struct span si_text(struct arena *a, const char *format, ...) PRINTF_LIKE(2, 3);
struct span si_lower_case(struct arena *a, struct span s);
struct span si_join(struct arena *a, struct span x, char between, struct span y);

/* The answer of a REST tier itself: status, content type (NULL: none), body. Adds
 * content-length last. */
void si_reply_rest(struct si_call *c, uint16_t status, const char *content_type,
                   struct span body);
/* A gRPC failure: no message, only status and text. */
void si_reply_grpc(struct si_call *c, int code, struct span text);

#endif
