/*
 * wire_fuzz.h - one run of a capture's parsers over steps that a fuzzer made; see
 * fuzz_h1_capture.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_FUZZ_WIRE_FUZZ_H
#define TESTS_FUZZ_WIRE_FUZZ_H

#include <stdlib.h>
#include <string.h>

#include "capture/stream.h"

struct wire_sums {
    uint64_t exchanges, sum, counted[2];
};

static void wire_add(uint64_t *sum, const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++)
        *sum = (*sum ^ b[i]) * UINT64_C(0x100000001b3);
}

static void wire_message(struct wire_sums *s, const struct cap_message *m)
{
    uint64_t numbers[] = {m->header_count,  m->body.state,    m->body.bytes,
                          m->body.hash[0],  m->loss,          m->grpc_messages,
                          m->counted_bytes, m->headers_opaque};
    wire_add(&s->sum, numbers, sizeof numbers);
    wire_add(&s->sum, m->body.data.p, m->body.data.n);
    for (uint32_t i = 0; i < m->header_count; i++) {
        wire_add(&s->sum, m->headers[i].name.p, m->headers[i].name.n);
        wire_add(&s->sum, m->headers[i].value.p, m->headers[i].value.n);
    }
    for (uint32_t i = 0; i < m->messages_listed; i++)
        wire_add(&s->sum, m->messages[i].body.data.p, m->messages[i].body.data.n);
}

static void wire_hear(void *arg, const struct cap_exchange *x)
{
    struct wire_sums *s = arg;
    s->exchanges++;
    s->counted[0] += x->request.counted_bytes;
    s->counted[1] += x->answer.counted_bytes;
    wire_add(&s->sum, x->path.p, x->path.n);
    wire_add(&s->sum, x->method.p, x->method.n);
    wire_add(&s->sum, &x->status, sizeof x->status);
    wire_add(&s->sum, &x->stream, sizeof x->stream);
    wire_message(s, &x->request);
    wire_message(s, &x->answer);
}

static void wire_check(const struct cap_parse_counts *n, uint64_t seen)
{
    if (n->record_bytes + n->framing_bytes + n->opaque_bytes + n->shed_bytes +
            n->pending_bytes !=
        seen)
        abort();
}

static void wire_give(struct cap_stream *s, int dir, int64_t at, struct span bytes,
                      size_t piece, uint64_t seen[2])
{
    while (bytes.n) {
        size_t n = piece && piece < bytes.n ? piece : bytes.n;
        uint8_t *exact = malloc(n);
        if (!exact)
            abort();
        memcpy(exact, bytes.p, n);
        cap_stream_data(s, dir, (struct clk_wall){at}, span_of(exact, n));
        free(exact);
        seen[dir] += n;
        for (int d = 0; d < 2; d++)
            wire_check(cap_stream_counts(s, d), seen[d]);
        bytes = span_sub(bytes, n, bytes.n);
    }
}

static struct wire_sums wire_run(const uint8_t *data, size_t size, const char *preface,
                                 size_t piece)
{
    struct wire_sums sums = {0};
    bool midway = size && data[0] & 1, small = size && data[0] & 2;
    struct cap_budget budget = {.limit_bytes = small ? 20000 : 1u << 28};
    struct cap_parse_config config = {
        .exchange = wire_hear, .arg = &sums, .budget = &budget};
    struct cap_parse *parse = cap_parse_new(&config, NULL);
    struct cap_flow_info info = {.from_start = !midway};
    struct cap_stream *s = parse ? cap_stream_new(parse, &info) : NULL;
    if (!s)
        abort();
    uint64_t seen[2] = {0};
    int64_t at = 0;
    wire_give(s, 0, at, span_str(preface), piece, seen);
    for (size_t i = 1; i + 1 < size; at += CLK_SEC / 10) {
        uint8_t what = data[i];
        size_t n = data[i + 1];
        i += 2;
        int dir = what & 1;
        if ((what & 0xf0) == 0xf0) {
            cap_stream_gap(s, dir, (struct clk_wall){at}, n);
            continue;
        }
        n = n < size - i ? n : size - i;
        wire_give(s, dir, at, span_of(data + i, n), piece, seen);
        i += n;
    }
    cap_stream_close(s, (struct clk_wall){at}, CAP_END_FILE);
    for (int dir = 0; dir < 2; dir++) {
        const struct cap_parse_counts *n = &cap_parse_totals(parse)->dir[dir];
        wire_check(n, seen[dir]);
        if (n->pending_bytes || n->record_bytes != sums.counted[dir])
            abort();
    }
    if (budget.used_bytes)
        abort();
    cap_parse_free(parse);
    return sums;
}

static inline void wire_fuzz(const uint8_t *data, size_t size, const char *preface)
{
    if (size > 4096)
        return;
    struct wire_sums whole = wire_run(data, size, preface, 0);
    if (size && data[0] & 2)
        return; /* when memory runs out depends on the pieces */
    struct wire_sums bytes = wire_run(data, size, preface, 1);
    struct wire_sums pieces = wire_run(data, size, preface, 5);
    if (whole.sum != bytes.sum || whole.exchanges != bytes.exchanges ||
        whole.sum != pieces.sum)
        abort();
}

#endif
