/*
 * made_exchange.c - see made_exchange.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "made_exchange.h"

#include <string.h>

#define SLOTS 4
#define LINES 32

void made_headers(struct cap_message *m, unsigned slot, const char *lines)
{
    static struct op_header headers[SLOTS][LINES];
    struct span left = span_str(lines);
    m->headers = headers[slot % SLOTS];
    m->header_count = 0;
    while (left.n > 0) {
        size_t end = span_find(left, '\n', 0);
        struct span line = span_sub(left, 0, end);
        size_t colon = span_find(line, ':', 0);
        headers[slot % SLOTS][m->header_count++] = (struct op_header){
            span_sub(line, 0, colon), span_trim(span_sub(line, colon + 1, line.n))};
        left = span_sub(left, end + 1, left.n);
    }
}

static struct cap_exchange made(int64_t at_ms, struct span body)
{
    struct cap_exchange x = {.wire = CAP_WIRE_HTTP1,
                             .connection = 7,
                             .stream = 3,
                             .method = SPAN_LIT("POST"),
                             .answered = true,
                             .status = 200,
                             .grpc_status = -1};
    struct clk_wall first = {MADE_EPOCH_NS + at_ms * CLK_MS};
    x.request.first = first;
    x.request.last = (struct clk_wall){first.ns + CLK_MS / 2};
    x.request.body = op_body_of(body);
    x.request.counted_bytes = body.n + 100;
    x.answer.first = (struct clk_wall){first.ns + 2 * CLK_MS};
    x.answer.last = (struct clk_wall){first.ns + 3 * CLK_MS};
    x.answer.body = op_body_of(SPAN_LIT("{\"outputs\":[]}"));
    x.answer.counted_bytes = x.answer.body.bytes + 50;
    return x;
}

struct cap_exchange made_rest(int64_t at_ms, const char *path, const char *lines,
                              const char *body)
{
    struct cap_exchange x = made(at_ms, span_str(body));
    x.path = span_str(path);
    made_headers(&x.request, 0, lines);
    made_headers(&x.answer, 1, "content-type: application/json\n");
    return x;
}

struct cap_exchange made_grpc(int64_t at_ms, const char *lines, struct span body)
{
    struct cap_exchange x = made(at_ms, body);
    x.wire = CAP_WIRE_HTTP2;
    x.grpc = true;
    x.grpc_status = 0;
    x.path = SPAN_LIT("/inference.GRPCInferenceService/ModelInfer");
    x.request.grpc_messages = x.answer.grpc_messages = 1;
    x.answer.body = op_body_of(SPAN_LIT("\x0a\x04iris"));
    made_headers(&x.request, 0, lines);
    made_headers(&x.answer, 1, "content-type: application/grpc\n");
    return x;
}

struct span made_find(const struct op_header *h, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (span_eq_str(h[i].name, name))
            return h[i].value;
    return (struct span){0};
}
