/*
 * fuzz_http1.c - http1 must tell the same story however its input is split.
 *
 * The first byte chooses request (even) or response (odd), and its second bit an answer
 * to HEAD. Input is fed whole, byte by byte, and in two halves at every place (inputs
 * up to 512 bytes; above, at 64 places). A head that is known, and came with another
 * byte there, is what parsing says it is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "traces/wire/http1_known.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_BODY 100000

/* Everything that was said, folded into two sums and a count of body bytes. */
struct story {
    uint64_t events, head_sum, body_bytes, body_sum;
    int last;
};

static void add(uint64_t *sum, uint64_t v)
{
    *sum = (*sum ^ v) * UINT64_C(0x100000001b3);
}

static void add_span(uint64_t *sum, struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        add(sum, s.p[i]);
    add(sum, s.n);
}

static void add_head(struct story *s, const struct http1_head *h)
{
    add_span(&s->head_sum, h->method);
    add_span(&s->head_sum, h->target);
    add(&s->head_sum, h->status);
    add(&s->head_sum, h->length + h->chunked * 2u + h->keep_alive);
    for (uint32_t i = 0; i < h->field_count; i++) {
        add_span(&s->head_sum, h->fields[i].name);
        add_span(&s->head_sum, h->fields[i].value);
    }
}

static bool feed(struct http1_parser *p, const uint8_t *bytes, size_t n,
                 struct story *s)
{
    /* A copy of its own: reading past it, or borrowing from it too long, is found. */
    uint8_t *exact = malloc(n ? n : 1);
    if (!exact)
        abort();
    memcpy(exact, bytes, n);
    struct span in = {exact, n}, data;
    struct err e = {0};
    int event;
    do {
        event = http1_feed(p, &in, &data, &e);
        if (event == HTTP1_HEAD)
            add_head(s, &p->head);
        for (size_t i = 0; i < data.n; i++)
            add(&s->body_sum, data.p[i]);
        s->body_bytes += data.n;
        if (event != HTTP1_DATA && event != HTTP1_MORE)
            add(&s->events, (uint64_t)(unsigned)event);
        if (event == HTTP1_END)
            add(&s->body_sum, 256);
    } while (event > HTTP1_MORE);
    if ((event == HTTP1_MORE && in.n) || s->body_bytes > MAX_BODY * 1000ull)
        abort(); /* MORE means that all was used */
    if (event < 0 && e.code == ERR_OK)
        abort();
    free(exact);
    s->last = event;
    return event >= 0;
}

static struct story read_split(int how, const uint8_t *bytes, size_t n, size_t cut,
                               size_t step)
{
    struct http1_parser p;
    struct story s = {0};
    http1_init(&p, how & 1 ? HTTP1_RESPONSE : HTTP1_REQUEST, MAX_BODY);
    p.head_request = how & 2;
    bool alive = feed(&p, bytes, cut, &s);
    for (size_t at = cut; alive && at < n; at += step)
        alive = feed(&p, bytes + at, step < n - at ? step : n - at, &s);
    if (alive)
        add(&s.events, (uint64_t)(unsigned)http1_eof(&p, NULL));
    http1_done(&p);
    return s;
}

static void must_equal(struct story a, struct story b)
{
    if (a.events != b.events || a.head_sum != b.head_sum ||
        a.body_bytes != b.body_bytes || a.body_sum != b.body_sum)
        abort();
}

static void known_is_parsed(struct http1_known *k, enum http1_kind kind,
                            struct span bytes)
{
    static struct http1_head a, b;
    struct story x = {0}, y = {0};
    int want = http1_parse_head(kind, bytes, &a, NULL);
    if (http1_known_parse(k, kind, bytes, &b, NULL) != want)
        abort();
    if (want < 0)
        return;
    add_head(&x, &a);
    add_head(&y, &b);
    must_equal(x, y);
    if (a.bytes != b.bytes || a.has_length != b.has_length ||
        a.expect_continue != b.expect_continue || a.minor_version != b.minor_version)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http1_known known[2]; /* of whatever came before */
    uint8_t changed[4096];
    if (size < 1 || size > 4096)
        return 0;
    int how = data[0];
    const uint8_t *bytes = data + 1;
    size_t n = size - 1;
    struct story whole = read_split(how, bytes, n, n, 1);
    must_equal(read_split(how, bytes, n, 0, 1), whole);
    size_t stride = n <= 512 ? 1 : n / 64;
    memcpy(changed, bytes, n);
    for (size_t cut = 1; cut < n; cut += stride) {
        must_equal(read_split(how, bytes, n, cut, n), whole);
        changed[cut] = (uint8_t)(bytes[cut] ^ (how & 0xfc));
        known_is_parsed(&known[how & 1], how & 1, span_of(changed, n));
        changed[cut] = bytes[cut];
    }
    return 0;
}
