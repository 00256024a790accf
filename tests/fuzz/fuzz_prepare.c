/*
 * fuzz_prepare.c - whatever a trace holds, what goes out is one request and no more.
 *
 * The input is cut into the fields of an operation. A REST request that is not refused
 * must be read by the strict parser as exactly one request with the method, path and
 * body that the outcome will claim, and with each routing header at most once; a gRPC
 * message must be as long as its prefix says, and a record's value what was recorded as
 * one, or a message that names its model. No field of a trace may smuggle a second
 * request, or a header that routes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "replay/prepare.h"
#include "traces/wire/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEADERS_MAX 8

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* A field: one byte of length, then the bytes. */
static struct span take(struct cursor *c)
{
    size_t n = cursor_u8(c), left = cursor_left(c);
    return cursor_take(c, n < left ? n : left);
}

static uint32_t occurrences(const struct http1_head *h, const char *name)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < h->field_count; i++)
        n += span_eq_nocase(h->fields[i].name, name);
    return n;
}

static void check_rest(const struct rep_request *r)
{
    static const char *const once[] = {"host",           "seldon-model",
                                       "x-request-id",   "seldon-internal-model",
                                       "content-length", "accept-encoding"};
    struct http1_parser p;
    struct buf wire = {0}, body = {0};
    struct err e = {0};
    bool ended = false;

    buf_span(&wire, r->stream->head);
    buf_span(&wire, r->wire[0]);
    buf_span(&wire, r->wire[1]);
    require(!wire.failed);
    http1_init(&p, HTTP1_REQUEST, UINT64_MAX);
    for (struct span in = buf_view(&wire); !ended;) {
        struct span piece = {0};
        int event = http1_feed(&p, &in, &piece, &e);
        require(event != HTTP1_MORE && event >= 0);
        if (event == HTTP1_DATA)
            buf_span(&body, piece);
        ended = event == HTTP1_END;
        require(!ended || in.n == 0);
    }
    require(span_eq(p.head.method, r->stream->as_sent.method));
    require(span_eq(p.head.target, r->stream->as_sent.path));
    require(span_eq(buf_view(&body), r->body));
    require(p.head.keep_alive && !p.head.chunked);
    for (size_t i = 0; i < sizeof once / sizeof *once; i++)
        require(occurrences(&p.head, once[i]) <= 1);
    require(occurrences(&p.head, "x-seldon-route") == 0);
    http1_done(&p);
    buf_done(&wire);
    buf_done(&body);
}

static void check_grpc(const struct rep_request *r)
{
    struct cursor c = cursor_of(r->wire[0]);
    require(cursor_u8(&c) == 0);
    require(cursor_u32_be(&c) == cursor_left(&c) + r->wire[1].n);
    require(!c.bad);
    require(r->out.bytes_out == cursor_left(&c) + r->wire[1].n);
    require(r->stream->field_count < REP_FIELDS_MAX);
    for (uint32_t i = 4; i < r->stream->field_count; i++)
        require(r->stream->fields[i].name.n > 0 &&
                r->stream->fields[i].name.p[0] != ':');
}

static const struct rep_route *find_route(void *arg, enum op_resource resource,
                                          struct span name, const char **why)
{
    static struct rep_route route;
    (void)arg;
    *why = NULL;
    route = (struct rep_route){resource, name, SPAN_LIT("topic")};
    return &route;
}

/* A record's value: what was recorded as one, or a message that names its model. */
static void check_record(const struct rep_request *r)
{
    require(r->wire[1].n == 0 && r->wire[0].n == r->out.bytes_out);
    require(r->stream->field_count < REP_FIELDS_MAX);
    require(r->id.n > 0 && r->minted);
    for (uint32_t i = 0; i < r->stream->field_count; i++)
        require(!span_eq_nocase(r->stream->fields[i].name, "x-request-id"));
    if (r->op->stream->protocol == OP_KAFKA)
        require(span_eq(r->wire[0], r->body));
    else
        require(r->wire[0].n > 2 && r->wire[0].p[0] == 0x0a); /* field 1 comes first */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rep_preparer preparer;
    struct cursor c = cursor_of(span_of(data, size));
    struct op_header headers[HEADERS_MAX];
    struct rep_plan_config config = {.http = "127.0.0.1:9000",
                                     .grpc = "127.0.0.1:9001",
                                     .versions = {.common = 1},
                                     .deadline_ns = CLK_SEC,
                                     .workers = 1};
    struct op_stream s = {.headers = headers};
    struct op op = op_empty();
    struct rep_request r = {0};
    struct rep_stream *stream = NULL;
    struct arena arena = {0};

    config.routes.find = find_route;
    config.tier = (enum op_tier)(cursor_u8(&c) % OP_TIER_COUNT);
    config.ids = (enum rep_ids)(cursor_u8(&c) % 3);
    s.protocol = (enum op_protocol)(cursor_u8(&c) % OP_PROTOCOL_COUNT);
    s.resource = (enum op_resource)(cursor_u8(&c) % OP_RESOURCE_COUNT);
    s.header_count = cursor_u8(&c) % HEADERS_MAX;
    s.name = take(&c);
    s.method = take(&c);
    s.path = take(&c);
    s.content_type = take(&c);
    s.content_encoding = take(&c);
    for (uint32_t i = 0; i < s.header_count; i++) {
        headers[i].name = take(&c);
        headers[i].value = take(&c);
    }
    op.id = take(&c);
    op.stream = &s;
    op.request = op_body_of(cursor_take(&c, cursor_left(&c)));

    preparer.config = &config;
    rep_preparer_next_slice(&preparer);
    require(rep_prepare_stream(&preparer, &s, &arena, &stream, NULL) == 0);
    require(rep_prepare_request(&preparer, &op, stream, &arena, &r, NULL) == 0);
    if (!r.refusal && config.tier == OP_TIER_KAFKA)
        check_record(&r);
    else if (!r.refusal && s.protocol == OP_REST)
        check_rest(&r);
    else if (!r.refusal)
        check_grpc(&r);
    rep_preparer_done(&preparer);
    memset(&preparer, 0, sizeof preparer);
    arena_done(&arena);
    return 0;
}
