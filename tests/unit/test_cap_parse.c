/*
 * test_cap_parse.c - what the parsers share: exchanges while they come in, what is told
 * of them, what waits for whom, and where their bytes and their memory go.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/parse_own.h"
#include "capture/spare.h"

#define T0 INT64_C(1700000000000000000)

/* One connection of a parser whose exchanges become lines of text. */
struct bench {
    struct cap_budget budget;
    struct cap_spare spares;
    struct cap_parse *w;
    struct cap_conn c;
    struct buf story;
    uint64_t counted[2];
    int aged;
    struct err e;
};

static struct clk_wall ms(int64_t at)
{
    return (struct clk_wall){T0 + at * CLK_MS};
}

static long long in_ms(struct clk_wall at)
{
    return at.ns == 0 ? -1 : (long long)((at.ns - T0) / CLK_MS);
}

/* As tell_body tells the hash of a body that is not kept. */
static const char *hash_of(struct span body)
{
    static char text[24];
    uint64_t hash[2];
    op_body_hash(body, hash);
    snprintf(text, sizeof text, "%08x/%08x", (unsigned)hash[0], (unsigned)hash[1]);
    return text;
}

static void tell_body(struct buf *out, const struct op_body *b)
{
    static const char *const states[] = {"none", "kept", "elided"};
    buf_fmt(out, "%s:%llu:%.*s", states[b->state], (unsigned long long)b->bytes,
            SPAN_ARG(b->data));
    if (b->state == OP_BODY_ELIDED && (b->hash[0] || b->hash[1]))
        buf_fmt(out, "%08x/%08x", (unsigned)b->hash[0], (unsigned)b->hash[1]);
    else
        buf_str(out, b->hash[0] || b->hash[1] ? "#" : "");
}

static void tell_message(struct buf *out, const struct cap_message *m)
{
    check_true(m->buffer != NULL);
    buf_fmt(out, " { @%lld-%lld %llu", in_ms(m->first), in_ms(m->last),
            (unsigned long long)m->counted_bytes);
    for (uint32_t i = 0; i < m->header_count; i++)
        buf_fmt(out, " %.*s=%.*s", SPAN_ARG(m->headers[i].name),
                SPAN_ARG(m->headers[i].value));
    buf_str(out, m->headers_opaque ? " opaque " : " ");
    tell_body(out, &m->body);
    if (m->grpc_messages || m->messages_listed)
        buf_fmt(out, " grpc %u of %llu bytes", m->grpc_messages,
                (unsigned long long)m->message_bytes);
    for (uint32_t i = 0; i < m->messages_listed; i++) {
        buf_fmt(out, " [@%lld-%lld ", in_ms(m->messages[i].first),
                in_ms(m->messages[i].last));
        tell_body(out, &m->messages[i].body);
        buf_str(out, m->messages[i].compressed ? " z]" : "]");
    }
    for (uint32_t i = 0; i < m->arrival_count; i++)
        buf_fmt(out, " <%llu@%lld>", (unsigned long long)m->arrivals[i].from,
                in_ms(m->arrivals[i].at));
    buf_fmt(out, "%s%s loss %d }", m->in_message ? " inside" : "",
            m->grpc_compressed ? " z" : "", m->loss);
}

static void hear(void *arg, const struct cap_exchange *x)
{
    struct bench *b = arg;
    struct buf *out = &b->story;
    static const char *const parts[] = {"whole", "request", "answer"};
    buf_fmt(out, "%s h%d %llu.%u %u>%u%s%s%s '%.*s' '%.*s' '%.*s'", parts[x->part],
            x->wire == CAP_WIRE_HTTP2 ? 2 : 1, (unsigned long long)x->connection,
            x->stream, x->client.port, x->server.port, x->grpc ? " grpc" : "",
            x->inferred ? " inferred" : "", x->gap_near ? " near" : "",
            SPAN_ARG(x->method), SPAN_ARG(x->path), SPAN_ARG(x->authority));
    tell_message(out, &x->request);
    buf_fmt(out, " -> %s%u %d%s", x->answered ? "" : "none ", x->status, x->grpc_status,
            x->grpc_status_inferred ? " inferred" : "");
    tell_message(out, &x->answer);
    buf_str(out, "\n");
    b->counted[0] += x->part == CAP_PART_ANSWER ? 0 : x->request.counted_bytes;
    b->counted[1] += x->part == CAP_PART_REQUEST ? 0 : x->answer.counted_bytes;
}

/* No answer came in time. */
static void aged(void *owner, struct cap_pending *p)
{
    struct bench *b = owner;
    b->aged++;
    check_int(p->half[1].loss, ==, CAP_LOSS_UNANSWERED);
    cap_pending_emit(&b->c, p);
}

static void start(struct bench *b, uint64_t limit)
{
    *b = (struct bench){.budget = {.limit_bytes = limit}};
    struct cap_parse_config config = {.exchange = hear,
                                      .arg = b,
                                      .budget = &b->budget,
                                      .spares = &b->spares,
                                      .unanswered_ns = 10 * CLK_SEC};
    b->w = cap_parse_new(&config, &b->e);
    assert_non_null(b->w);
    b->c = (struct cap_conn){
        .parse = b->w,
        .info = {.ordinal = 12, .client = {.port = 50000}, .server = {.port = 9000}}};
    for (int i = 0; i < 2; i++)
        b->c.keeper[i] = (struct cap_keeper){aged, b};
}

/* All is told or given up: nothing is pending, and no memory is charged. */
static void finish(struct bench *b)
{
    const struct cap_parse_totals *t = cap_parse_totals(b->w);
    for (int dir = 0; dir < 2; dir++) {
        check_int(t->dir[dir].pending_bytes, ==, 0);
        check_int(b->c.counts[dir].pending_bytes, ==, 0);
        check_int(t->dir[dir].record_bytes, ==, b->counted[dir]);
        check_int(b->c.counts[dir].record_bytes, ==, b->counted[dir]);
    }
    check_int(b->budget.used_bytes, ==, b->c.held_bytes);
    check_int(t->exchanges, ==, t->answered + t->unanswered);
    check_true(!b->c.failed);
    cap_parse_free(b->w);
    cap_spare_done(&b->spares);
    buf_done(&b->story);
}

static void check_story(struct bench *b, const char *want)
{
    check_str(buf_text(&b->story), want);
    buf_reset(&b->story);
}

/* Bytes of a message from `at` on; an empty body where text is NULL. */
static void fill(struct bench *b, struct cap_pending *p, int dir, int64_t at,
                 const char *text)
{
    struct cap_half *h = &p->half[dir];
    if (!h->begun)
        h->first = ms(at);
    h->begun = true;
    h->last = ms(at);
    if (text)
        cap_half_body(&b->c, dir, h, ms(at), span_str(text));
}

/* POST /p with a body, seen at `at`; head: bytes that are counted for its head. */
static struct cap_pending *ask(struct bench *b, uint32_t stream, int64_t at,
                               const char *body)
{
    struct cap_pending *p = cap_pending_new(&b->c, stream);
    assert_non_null(p);
    struct cap_half *h = &p->half[0];
    cap_half_hold(&b->c, 0, h, 20);
    p->method = cap_half_text(h, SPAN_LIT("POST"));
    p->path = cap_half_text(h, SPAN_LIT("/p"));
    p->method_known = p->path_known = true;
    fill(b, p, 0, at, body);
    cap_pending_begun(p);
    return p;
}

static void answer(struct bench *b, struct cap_pending *p, int64_t at, const char *body)
{
    cap_half_hold(&b->c, 1, &p->half[1], 30);
    fill(b, p, 1, at, body);
    p->status = 200;
}

static void an_exchange_is_told_with_all_that_is_known_of_it(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 1 << 20);
    struct cap_pending *p = ask(&b, 4, 1, "body");
    p->authority = cap_half_text(&p->half[0], SPAN_LIT("host"));
    cap_half_field(&p->half[0], SPAN_LIT("A"), SPAN_LIT("1"));
    cap_half_field(&p->half[0], SPAN_LIT("b"), SPAN_LIT(""));
    fill(&b, p, 0, 3, NULL);
    answer(&b, p, 5, "told");
    cap_half_field(&p->half[1], SPAN_LIT("c"), SPAN_LIT("2"));
    p->half[1].headers_opaque = true;
    fill(&b, p, 1, 6, NULL);
    cap_pending_emit(&b.c, p);
    check_story(&b, "whole h1 12.4 50000>9000 'POST' '/p' 'host'"
                    " { @1-3 24 a=1 b= kept:4:body# loss 0 }"
                    " -> 200 -1 { @5-6 34 c=2 opaque kept:4:told# loss 0 }\n");
    p = ask(&b, 5, 7, NULL);
    p->h2 = true;
    p->gap_near = true;
    p->half[0].loss = CAP_LOSS_RESET;
    cap_pending_emit(&b.c, p);
    check_story(&b,
                "whole h2 12.5 50000>9000 near 'POST' '/p' ''"
                " { @7-7 20 none:0: loss 4 } -> none 0 -1 { @-1--1 0 none:0: loss 0 "
                "}\n");
    p = ask(&b, 6, 8, NULL);
    b.c.gaps++; /* since it began */
    answer(&b, p, 9, NULL);
    cap_pending_emit(&b.c, p);
    check_story(&b, "whole h1 12.6 50000>9000 near 'POST' '/p' ''"
                    " { @8-8 20 none:0: loss 0 } -> 200 -1 { @9-9 30 none:0: loss 0 "
                    "}\n");
    p = ask(&b, 7, 8, NULL); /* not since then */
    cap_pending_emit(&b.c, p);
    check_true(strstr(buf_text(&b.story), "near") == NULL);
    const struct cap_parse_totals *t = cap_parse_totals(b.w);
    check_int(t->exchanges, ==, 4);
    check_int(t->answered, ==, 2);
    check_int(t->unanswered, ==, 2);
    check_int(t->lost_shed, ==, 0);
    finish(&b);
}

static void what_is_used_again_is_as_new(void **state)
{
    (void)state;
    struct bench b;
    static const uint8_t zeros[offsetof(struct cap_half, text)];
    start(&b, 1 << 20);
    b.c.gaps = 3;
    struct cap_pending *p = ask(&b, 4, 1, "body");
    p->h2 = p->gap_near = p->status_unknown = p->trailers = p->waiting = true;
    p->grpc_status = 7;
    p->half[1].grpc = CAP_GRPC_ON;
    answer(&b, p, 2, "");
    check_int(p->gaps, ==, 3);
    b.c.gaps = 4;
    cap_pending_emit(&b.c, p);
    struct cap_pending *again = cap_pending_new(&b.c, 9);
    check_true(again == p);
    check_int(p->stream, ==, 9);
    check_int(p->gaps, ==, 4);
    check_int(p->grpc_status, ==, -1);
    check_int(p->status, ==, 0);
    check_true(p->conn == &b.c && !p->next && !p->queue && !p->open && !p->late);
    check_true(!p->h2 && !p->gap_near && !p->status_unknown && !p->trailers &&
               !p->waiting && !p->path_known && !p->method_known);
    check_int(p->path.n + p->method.n, ==, 0);
    for (int i = 0; i < 2; i++) {
        struct cap_half *h = &p->half[i];
        check_true(memcmp(h, zeros, sizeof zeros) == 0);
        check_int(h->text.n + h->fields.n + h->body.n + h->parts.n, ==, 0);
    }
    check_true(p->half[0].body.cap > 0); /* its memory stays, uncharged */
    check_int(b.budget.used_bytes, ==, 0);
    cap_pending_drop(&b.c, p, CAP_FATE_SHED);
    finish(&b);
}

/* Of what is used again 64 are kept, with buffers of 64 KiB at most. */
static void spare_memory_is_bounded(void **state)
{
    enum { N = 80 };
    (void)state;
    struct bench b;
    struct cap_pending *p[N];
    static char large[70001];
    memset(large, 'l', sizeof large - 1);
    start(&b, 1 << 24);
    for (uint32_t i = 0; i < N; i++)
        p[i] = ask(&b, i, 1, i == 0 ? large : "small");
    check_true(b.budget.used_bytes > 70000);
    for (uint32_t i = 0; i < N; i++)
        cap_pending_emit(&b.c, p[i]);
    check_int(b.w->pool_count, ==, 64);
    check_int(b.spares.count, ==, 1);
    check_true(p[0]->half[0].body.p == NULL);
    uint32_t n = 0;
    for (const struct cap_pending *one = b.w->pool; one; one = one->next)
        n++;
    check_int(n, ==, 64);
    for (uint32_t i = 0; i < 3; i++)
        p[i] = ask(&b, i, 1, NULL);
    check_int(b.w->pool_count, ==, 61);
    for (uint32_t i = 0; i < 3; i++)
        cap_pending_drop(&b.c, p[i], CAP_FATE_OPAQUE);
    check_int(b.w->pool_count, ==, 64);
    check_int(cap_parse_totals(b.w)->dir[0].opaque_bytes, ==, 60);
    finish(&b);
}

static void what_a_connection_holds_is_charged(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 1 << 20);
    b.budget.used_bytes = 5;
    cap_charge_conn(&b.c, 100);
    check_int(b.budget.used_bytes, ==, 105);
    check_int(b.budget.peak_bytes, ==, 105);
    cap_charge_conn(&b.c, 30);
    check_int(b.budget.used_bytes, ==, 35);
    check_int(b.budget.peak_bytes, ==, 105);
    cap_charge_conn(&b.c, 0);
    b.budget.used_bytes -= 5;
    finish(&b);
}

static void the_fate_of_what_is_given_up_is_counted(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 1 << 20);
    struct cap_pending *p = ask(&b, 1, 1, "body");
    answer(&b, p, 2, "told!");
    cap_half_drop(&b.c, 1, &p->half[1], CAP_FATE_FRAMING);
    check_true(!p->half[1].begun);
    check_int(b.c.counts[1].framing_bytes, ==, 35);
    check_int(b.c.counts[1].pending_bytes, ==, 0);
    answer(&b, p, 3, "again");
    cap_pending_drop(&b.c, p, CAP_FATE_OPAQUE);
    check_int(b.c.counts[0].opaque_bytes, ==, 24);
    check_int(b.c.counts[1].opaque_bytes, ==, 35);
    check_story(&b, "");
    check_int(cap_parse_totals(b.w)->exchanges, ==, 0);
    finish(&b);
}

static void an_answer_moves_whole(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 1 << 20);
    b.c.gaps = 2;
    struct cap_pending *from = cap_pending_new(&b.c, 2);
    answer(&b, from, 5, "told");
    from->status = 503;
    from->grpc_status = 14;
    from->trailers = from->status_unknown = from->gap_near = true;
    b.c.gaps = 4;
    struct cap_pending *to = ask(&b, 1, 1, "body");
    cap_pending_move_answer(to, from);
    check_int(to->gaps, ==, 2); /* of the earlier */
    check_true(to->trailers && to->status_unknown && to->gap_near);
    check_true(!from->half[1].begun);
    cap_pending_drop(&b.c, from, CAP_FATE_SHED);
    cap_pending_emit(&b.c, to);
    check_story(&b, "whole h1 12.1 50000>9000 near 'POST' '/p' ''"
                    " { @1-1 24 kept:4:body# loss 0 }"
                    " -> 503 14 { @5-5 34 kept:4:told# loss 0 }\n");
    check_int(b.c.counts[1].shed_bytes, ==, 0);
    to = ask(&b, 1, 1, "body");
    to->gap_near = true;
    to->gaps = 1;
    from = cap_pending_new(&b.c, 2);
    cap_pending_move_answer(to, from);
    check_int(to->gaps, ==, 1);
    check_true(to->gap_near); /* stays */
    check_true(!to->trailers && !to->status_unknown);
    cap_pending_drop(&b.c, from, CAP_FATE_SHED);
    cap_pending_emit(&b.c, to);
    finish(&b);
}

static void a_body_that_is_not_all_there_has_its_length_alone(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 1 << 20);
    struct cap_pending *p = ask(&b, 1, 1, "body");
    cap_half_gap(&p->half[0], 100);
    cap_pending_emit(&b.c, p);
    check_story(&b, "whole h1 12.1 50000>9000 'POST' '/p' '' { @1-1 24 elided:104: "
                    "loss 1 } -> none 0 -1 { @-1--1 0 none:0: loss 0 }\n");
    finish(&b);
}

static void a_body_over_the_budget_has_its_length_and_hash(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 1 << 20);
    struct cap_pending *p = ask(&b, 1, 1, "bo");
    b.budget.limit_bytes = 0;
    static char more[100000];
    memset(more, 'y', sizeof more - 1);
    fill(&b, p, 0, 2, more);
    check_int(b.c.counts[0].shed_bytes, ==, 2 + 99999);
    cap_pending_emit(&b.c, p);
    struct buf all = {0};
    char want[200];
    buf_fmt(&all, "bo%s", more);
    snprintf(want, sizeof want,
             "whole h1 12.1 50000>9000 'POST' '/p' '' { @1-2 20 elided:100001:%s "
             "loss 2 } -> none 0 -1 { @-1--1 0 none:0: loss 0 }\n",
             hash_of(buf_view(&all)));
    check_story(&b, want);
    buf_done(&all);
    /* Where bytes are missing as well, that is what is said. */
    b.budget.limit_bytes = 1 << 20;
    p = ask(&b, 1, 1, "bo");
    b.budget.limit_bytes = 0;
    fill(&b, p, 0, 2, more);
    cap_half_gap(&p->half[0], 9);
    cap_pending_emit(&b.c, p);
    check_story(&b, "whole h1 12.1 50000>9000 'POST' '/p' '' { @1-2 20 elided:100010: "
                    "loss 1 } -> none 0 -1 { @-1--1 0 none:0: loss 0 }\n");
    finish(&b);
}

/* --- gRPC ------------------------------------------------------------------------- */

static void fill_bytes(struct bench *b, struct cap_pending *p, int dir, int64_t at,
                       struct span bytes)
{
    fill(b, p, dir, at, NULL);
    cap_half_body(&b->c, dir, &p->half[dir], ms(at), bytes);
}

static struct cap_pending *call(struct bench *b, int64_t at, struct span bytes)
{
    struct cap_pending *p = ask(b, 1, at, NULL);
    p->half[0].grpc = CAP_GRPC_ON;
    fill_bytes(b, p, 0, at, bytes);
    return p;
}

static void messages_of_a_stream_are_told_one_by_one(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 1 << 20);
    struct cap_pending *p = call(&b, 1, SPAN_LIT("\0\0\0\0\2ab\1\0\0\0\1"));
    fill_bytes(&b, p, 0, 3, SPAN_LIT("c\0\0\0\0\0"));
    p->half[1].grpc = CAP_GRPC_ON;
    fill_bytes(&b, p, 1, 4, SPAN_LIT("\1\0\0\0\1z"));
    p->grpc_status = 0;
    p->status = 200;
    cap_pending_emit(&b.c, p);
    check_story(&b, "whole h1 12.1 50000>9000 grpc 'POST' '/p' ''"
                    " { @1-3 38 kept:2:ab# grpc 3 of 3 bytes [@1-1 kept:2:ab#]"
                    " [@1-3 kept:1:c# z] [@3-3 none:0:] loss 0 }"
                    " -> 200 0 { @4-4 6 kept:1:z# grpc 1 of 1 bytes [@4-4 kept:1:z# z] "
                    "z loss 0 }\n");
    finish(&b);
}

static void a_message_that_is_cut_off_is_told_as_such(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 1 << 20);
    /* Within the first message: what came of it, behind its prefix. */
    struct cap_pending *p = call(&b, 1, SPAN_LIT("\0\0\0\0\5ab"));
    cap_pending_emit(&b.c, p);
    check_story(&b, "whole h1 12.1 50000>9000 grpc 'POST' '/p' '' { @1-1 27 "
                    "kept:2:ab# inside loss 0 } -> none 0 -1 { @-1--1 0 none:0: "
                    "inside loss 0 }\n");
    /* Within a prefix, at the end of the stream: its sender broke off. */
    p = call(&b, 1, SPAN_LIT("\0\0\0\0\1a\0\0"));
    p->half[0].ended = true;
    cap_pending_emit(&b.c, p);
    check_story(&b, "whole h1 12.1 50000>9000 grpc 'POST' '/p' '' { @1-1 28 "
                    "kept:1:a# grpc 1 of 1 bytes [@1-1 kept:1:a#] inside loss 4 } -> "
                    "none 0 -1 { @-1--1 0 none:0: inside loss 0 }\n");
    /* A loss that is known already stays the reason. */
    p = call(&b, 1, SPAN_LIT("\0\0\0\0\1a\0\0"));
    p->half[0].ended = true;
    p->half[0].loss = CAP_LOSS_UNANSWERED;
    cap_pending_emit(&b.c, p);
    check_str_has(buf_text(&b.story), "inside loss 3 }");
    buf_reset(&b.story);
    /* It ended where a message ended. */
    p = call(&b, 1, SPAN_LIT("\0\0\0\0\1a"));
    p->half[0].ended = true;
    cap_pending_emit(&b.c, p);
    check_str_has(buf_text(&b.story), "[@1-1 kept:1:a#] loss 0 }");
    buf_reset(&b.story);
    /* Bytes are missing, inside of the second message: the first is there. */
    p = call(&b, 1, SPAN_LIT("\0\0\0\0\1a\0\0\0\0\5b"));
    cap_half_gap(&p->half[0], 4);
    cap_pending_emit(&b.c, p);
    check_str_has(buf_text(&b.story),
                  "kept:1:a# grpc 1 of 1 bytes [@1-1 kept:1:a#] inside loss 1 }");
    buf_reset(&b.story);
    /* And behind the first. */
    p = call(&b, 1, SPAN_LIT("\0\0\0\0\1a"));
    cap_half_gap(&p->half[0], 4);
    cap_pending_emit(&b.c, p);
    check_str_has(buf_text(&b.story),
                  "kept:1:a# grpc 1 of 1 bytes [@1-1 kept:1:a#] loss 1 }");
    buf_reset(&b.story);
    /* And inside of the first: only how much there was. */
    p = call(&b, 1, SPAN_LIT("\0\0\0\0\5b"));
    cap_half_gap(&p->half[0], 4);
    cap_pending_emit(&b.c, p);
    check_str_has(buf_text(&b.story), " { @1-1 26 elided:10: inside loss 1 }");
    finish(&b);
}

/* The first message stays; the second is beyond memory: length and hash. */
static void a_message_over_the_budget_has_its_length_and_hash(void **state)
{
    (void)state;
    struct bench b;
    struct buf bytes = {0};
    start(&b, 1 << 20);
    struct cap_pending *p = call(&b, 1, SPAN_LIT("\0\0\0\0\1a"));
    b.budget.limit_bytes = 0;
    buf_span(&bytes, SPAN_LIT("\0\0\1\0\0"));
    memset(buf_grow(&bytes, 1 << 16), 'y', 1 << 16);
    fill_bytes(&b, p, 0, 2, buf_view(&bytes));
    cap_pending_emit(&b.c, p);
    char want[200];
    snprintf(want, sizeof want,
             "kept:1:a# grpc 2 of 65537 bytes [@1-1 kept:1:a#] [@2-2 elided:65536:%s] "
             "loss 2 }",
             hash_of(span_sub(buf_view(&bytes), 5, bytes.n)));
    check_str_has(buf_text(&b.story), want);
    buf_reset(&b.story);
    /* The only one, and it is not whole. */
    b.budget.limit_bytes = 1 << 20;
    p = call(&b, 1, SPAN_LIT(""));
    b.budget.limit_bytes = 0;
    fill_bytes(&b, p, 0, 2, span_sub(buf_view(&bytes), 0, bytes.n - 1));
    cap_pending_emit(&b.c, p);
    check_str_has(buf_text(&b.story), "elided:65540: inside loss 2 }");
    buf_done(&bytes);
    finish(&b);
}

/* A call whose content type is not known is gRPC where both halves look like it. */
static void what_may_be_grpc_is_told_as_one_of_both(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 1 << 20);
    struct cap_pending *p = ask(&b, 1, 1, NULL);
    p->half[0].grpc = CAP_GRPC_MAYBE;
    fill_bytes(&b, p, 0, 1, SPAN_LIT("\0\0\0\0\1a"));
    cap_pending_emit(&b.c, p);
    check_str_has(buf_text(&b.story), "9000 grpc 'POST'");
    buf_reset(&b.story);
    p = ask(&b, 1, 1, NULL);
    p->half[0].grpc = CAP_GRPC_MAYBE;
    fill_bytes(&b, p, 0, 1, SPAN_LIT("\0\0\0\0\2a"));
    cap_pending_emit(&b.c, p);
    check_story(&b, "whole h1 12.1 50000>9000 'POST' '/p' '' { @1-1 26 kept:6:# loss 0 "
                    "} -> none 0 -1 { @-1--1 0 none:0: loss 0 }\n");
    answer(&b, p = ask(&b, 1, 1, NULL), 2, NULL);
    p->half[1].grpc = CAP_GRPC_ON; /* then the request was, too */
    cap_pending_emit(&b.c, p);
    check_str_has(buf_text(&b.story), "9000 grpc 'POST'");
    finish(&b);
}

/* "iris" with a tensor of one INT32, behind its prefix. */
#define MESSAGE                                                                        \
    "\x0a\x04iris\x2a\x12\x0a\x01t\x12\x05INT32\x1a\x01\x01\x2a\x03\x12\x01\x05"
#define INFER SPAN_LIT("\0\0\0\0\x1a" MESSAGE)

/* A call whose path is not known. */
static struct cap_pending *nameless(struct bench *b, struct span bytes)
{
    struct cap_pending *p = call(b, 1, bytes);
    p->path = p->method = CAP_NO_TEXT;
    p->path_known = p->method_known = false;
    return p;
}

static void check_inferred(struct bench *b, struct cap_pending *p, const char *want)
{
    cap_pending_emit(&b->c, p);
    check_str_has(buf_text(&b->story), want);
    buf_reset(&b->story);
}

static void a_path_that_is_not_known_is_told_by_the_message(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 1 << 20);
    const struct cap_parse_totals *t = cap_parse_totals(b.w);
    check_inferred(&b, nameless(&b, INFER),
                   "9000 grpc inferred 'POST' "
                   "'/inference.GRPCInferenceService/ModelInfer' ''");
    check_int(t->inferred, ==, 1);
    struct cap_pending *p = nameless(&b, INFER);
    p->method = cap_half_text(&p->half[0], SPAN_LIT("PUT"));
    p->method_known = true;
    check_inferred(&b, p,
                   "grpc inferred 'PUT' '/inference.GRPCInferenceService/ModelInfer'");
    check_int(t->inferred, ==, 2);
    /* What is known is not guessed at. */
    check_inferred(&b, call(&b, 1, INFER), "9000 grpc 'POST' '/p' ''");
    /* No call of gRPC; compressed; not whole; no tensor; no name; no message at all. */
    p = nameless(&b, INFER);
    p->half[0].grpc = CAP_GRPC_OFF;
    check_inferred(&b, p, "9000 '' '' ''");
    p = nameless(&b, SPAN_LIT("\1\0\0\0\x1a" MESSAGE));
    check_inferred(&b, p, "9000 grpc '' '' ''");
    check_inferred(&b, nameless(&b, SPAN_LIT("\0\0\0\0\x1b" MESSAGE)),
                   "9000 grpc '' '' ''");
    check_inferred(&b, nameless(&b, SPAN_LIT("\0\0\0\0\x06\x0a\x04iris")),
                   "9000 grpc '' '' ''");
    check_inferred(&b,
                   nameless(&b, SPAN_LIT("\0\0\0\0\x14\x2a\x12\x0a\x01t\x12\x05INT32"
                                         "\x1a\x01\x01\x2a\x03\x12\x01\x05")),
                   "9000 grpc '' '' ''");
    check_inferred(&b, nameless(&b, SPAN_LIT("\0\0\0\0\x02\xff\xff")),
                   "9000 grpc '' '' ''");
    check_int(t->inferred, ==, 2);
    finish(&b);
}

/* A call that is answered, whose trailers could not be read. */
static struct cap_pending *unread(struct bench *b)
{
    struct cap_pending *p = call(b, 1, INFER);
    p->half[1].grpc = CAP_GRPC_ON;
    fill_bytes(b, p, 1, 2, SPAN_LIT("\0\0\0\0\1r"));
    p->trailers = p->status_unknown = true;
    return p;
}

static void a_status_that_is_not_known_is_told_by_what_came_with_it(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 1 << 20);
    check_inferred(&b, unread(&b), " -> 0 0 inferred {");
    struct cap_pending *p = unread(&b);
    p->trailers = false;
    check_inferred(&b, p, " -> 0 -1 {");
    p = unread(&b);
    p->status_unknown = false;
    check_inferred(&b, p, " -> 0 -1 {");
    p = unread(&b);
    p->grpc_status = 5;
    check_inferred(&b, p, " -> 0 5 {");
    p = unread(&b);
    p->half[1].loss = CAP_LOSS_GAP;
    check_inferred(&b, p, " -> 0 -1 {");
    p = unread(&b);
    p->half[1].messages = 0;
    check_inferred(&b, p, " -> 0 -1 {");
    p = unread(&b);
    p->half[1].begun = false;
    check_inferred(&b, p, " -> none 0 -1 {");
    p = unread(&b);
    p->half[0].grpc = p->half[1].grpc = CAP_GRPC_OFF;
    p->half[1].messages = 1;
    check_inferred(&b, p, " -> 0 -1 {");
    finish(&b);
}

static void pieces_of_events_are_told_with_their_times(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 1 << 20);
    struct cap_pending *p = ask(&b, 1, 1, NULL);
    cap_half_field(&p->half[1], SPAN_LIT("content-type"),
                   SPAN_LIT("text/event-stream"));
    fill(&b, p, 1, 2, "data: a\n\n");
    fill(&b, p, 1, 4, "data: b\n\n");
    cap_pending_emit(&b.c, p);
    check_story(&b,
                "whole h1 12.1 50000>9000 'POST' '/p' '' { @1-1 20 none:0: loss 0 } -> "
                "0 -1 { @2-4 18 content-type=text/event-stream kept:18:data: a\n\n"
                "data: b\n\n# <0@2> <9@4> loss 0 }\n");
    /* Not messages, should it be a call of gRPC after all. */
    p = call(&b, 1, INFER);
    cap_half_field(&p->half[1], SPAN_LIT("content-type"),
                   SPAN_LIT("text/event-stream"));
    for (int i = 0; i < 12; i++)
        fill(&b, p, 1, 2 + i, ".");
    cap_pending_emit(&b.c, p);
    check_str_has(buf_text(&b.story), " -> 0 -1 { @2-13 12 content-type=text/event-"
                                      "stream kept:12:............# inside loss 0 }");
    finish(&b);
}

/* --- who waits for whom ----------------------------------------------------------- */

static void the_oldest_that_is_not_told_is_known(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 1 << 20);
    check_int(in_ms(cap_parse_oldest(b.w, ms(50))), ==, 50);
    struct cap_pending *p[4];
    for (int i = 0; i < 4; i++)
        p[i] = ask(&b, (uint32_t)i, 10 + i, NULL);
    check_int(in_ms(cap_parse_oldest(b.w, ms(50))), ==, 10);
    check_int(in_ms(cap_parse_oldest(b.w, ms(5))), ==, 5);
    cap_pending_emit(&b.c, p[1]); /* one in the middle, */
    check_int(in_ms(cap_parse_oldest(b.w, ms(50))), ==, 10);
    cap_pending_drop(&b.c, p[0], CAP_FATE_SHED); /* the first, */
    check_int(in_ms(cap_parse_oldest(b.w, ms(50))), ==, 12);
    cap_pending_emit(&b.c, p[3]); /* the last */
    check_int(in_ms(cap_parse_oldest(b.w, ms(50))), ==, 12);
    p[3] = ask(&b, 3, 12, NULL); /* at the same time as the last */
    check_int(b.w->open_late, ==, 0);
    cap_pending_emit(&b.c, p[2]);
    check_int(in_ms(cap_parse_oldest(b.w, ms(50))), ==, 12);
    cap_pending_emit(&b.c, p[3]);
    check_int(in_ms(cap_parse_oldest(b.w, ms(50))), ==, 50);
    check_true(!b.w->open_first && !b.w->open_last);
    finish(&b);
}

/* One that began before another is counted beside the list: none of those is later
 * than the first of them. */
static void one_that_comes_behind_later_ones_is_not_forgotten(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 1 << 20);
    struct cap_pending *first = ask(&b, 0, 10, NULL), *late = ask(&b, 1, 7, NULL);
    check_int(in_ms(cap_parse_oldest(b.w, ms(50))), ==, 7);
    struct cap_pending *later = ask(&b, 2, 8, NULL), *earliest = ask(&b, 3, 5, NULL);
    check_int(in_ms(cap_parse_oldest(b.w, ms(50))), ==, 5);
    check_int(in_ms(cap_parse_oldest(b.w, ms(3))), ==, 3);
    cap_pending_emit(&b.c, earliest);
    cap_pending_emit(&b.c, late);
    check_int(in_ms(cap_parse_oldest(b.w, ms(50))), ==, 5); /* careful, not exact */
    cap_pending_emit(&b.c, later);
    check_int(in_ms(cap_parse_oldest(b.w, ms(50))), ==, 10);
    /* Another time it begins anew. */
    late = ask(&b, 1, 9, NULL);
    check_int(in_ms(cap_parse_oldest(b.w, ms(50))), ==, 9);
    cap_pending_drop(&b.c, late, CAP_FATE_SHED);
    cap_pending_emit(&b.c, first);
    check_int(in_ms(cap_parse_oldest(b.w, ms(50))), ==, 50);
    finish(&b);
}

static void a_request_is_told_ahead_of_a_slow_answer(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 1 << 20);
    const struct cap_parse_totals *t = cap_parse_totals(b.w);
    struct cap_pending *p = ask(&b, 1, 1, "body");
    cap_half_field(&p->half[0], SPAN_LIT("a"), SPAN_LIT("1"));
    fill(&b, p, 0, 100, NULL); /* its last byte */
    cap_pending_asked(p);
    answer(&b, p, 200, "to");
    cap_parse_time(b.w, ms(3099));
    check_story(&b, "");
    cap_parse_time(b.w, ms(3100));
    check_story(&b, "request h1 12.1 50000>9000 'POST' '/p' ''"
                    " { @1-100 24 a=1 kept:4:body# loss 0 }"
                    " -> none 200 -1 { @-1--1 0 none:0: loss 0 }\n");
    check_int(in_ms(cap_parse_oldest(b.w, ms(50))), ==, 50);
    check_int(t->dir[0].record_bytes, ==, 24);
    check_int(t->dir[0].pending_bytes, ==, 0);
    check_int(t->dir[1].pending_bytes, ==, 32);
    check_int(t->exchanges, ==, 0);
    check_true(p->half[0].body.p == NULL && p->half[0].parts.p == NULL);
    cap_parse_time(b.w, ms(3200)); /* once */
    check_story(&b, "");
    fill(&b, p, 1, 4000, "ld");
    cap_pending_emit(&b.c, p);
    check_story(&b, "answer h1 12.1 50000>9000 'POST' '/p' ''"
                    " { @1-100 0 a=1 elided:4: loss 0 }"
                    " -> 200 -1 { @200-4000 34 kept:4:told# loss 0 }\n");
    check_int(t->exchanges, ==, 1);
    check_int(t->answered, ==, 1);
    finish(&b);
}

/* Whoever was asked first is told first; and gone from both lists in any order. */
static void slow_ones_are_told_in_the_order_of_their_last_bytes(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 1 << 20);
    struct cap_pending *p[5];
    for (uint32_t i = 0; i < 5; i++) {
        p[i] = ask(&b, i, 10 + i, NULL);
        cap_pending_asked(p[i]);
    }
    cap_pending_emit(&b.c, p[2]);
    cap_pending_emit(&b.c, p[0]);
    cap_pending_drop(&b.c, p[4], CAP_FATE_OPAQUE);
    buf_reset(&b.story);
    cap_parse_time(b.w, ms(3011));
    check_str_has(buf_text(&b.story), "request h1 12.1 ");
    check_true(strstr(buf_text(&b.story), "12.3") == NULL);
    buf_reset(&b.story);
    cap_parse_time(b.w, ms(3013));
    check_str_has(buf_text(&b.story), "request h1 12.3 ");
    check_true(!b.w->early.head && !b.w->early.tail);
    check_true(b.w->late.head == p[1] && b.w->late.tail == p[3]);
    cap_pending_emit(&b.c, p[3]);
    cap_pending_emit(&b.c, p[1]);
    check_true(!b.w->late.head && !b.w->late.tail);
    /* A call that is asked twice stands in the list once. */
    p[0] = ask(&b, 0, 4000, NULL);
    p[1] = ask(&b, 1, 4000, NULL);
    cap_pending_asked(p[0]);
    cap_pending_asked(p[1]);
    cap_pending_asked(p[0]);
    check_true(b.w->early.head == p[1] && b.w->early.tail == p[0]);
    cap_pending_emit(&b.c, p[1]);
    check_true(b.w->early.head == p[0] && b.w->early.tail == p[0]);
    cap_pending_emit(&b.c, p[0]);
    finish(&b);
}

/* Told is no longer open: once, though it is given up later as well. */
static void what_is_told_early_leaves_the_open_ones_once(void **state)
{
    (void)state;
    struct bench b;
    struct cap_pending *p[4];
    start(&b, 1 << 20);
    for (uint32_t i = 0; i < 3; i++)
        p[i] = ask(&b, i, 10 + i, NULL);
    p[3] = ask(&b, 3, 5, NULL); /* it began before them */
    cap_pending_asked(p[0]);
    cap_pending_asked(p[3]);
    cap_parse_time(b.w, ms(3010));
    check_int(b.w->open_late, ==, 0);
    check_true(b.w->open_first == p[1]);
    cap_pending_emit(&b.c, p[1]);
    check_true(b.w->open_first == p[2] && b.w->open_last == p[2]);
    cap_pending_emit(&b.c, p[0]);
    cap_pending_emit(&b.c, p[3]);
    check_int(b.w->open_late, ==, 0);
    check_true(b.w->open_first == p[2] && b.w->open_last == p[2]);
    check_int(in_ms(cap_parse_oldest(b.w, ms(50))), ==, 12);
    cap_pending_emit(&b.c, p[2]);
    check_true(!b.w->open_first && !b.w->open_last);
    finish(&b);
}

static void where_memory_is_short_requests_are_told_at_once(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 1 << 20);
    struct cap_pending *p = ask(&b, 1, 1, "body");
    cap_pending_asked(p);
    b.budget.limit_bytes = 2 * b.budget.used_bytes; /* to the half, not beyond */
    cap_parse_time(b.w, ms(2));
    check_story(&b, "");
    b.budget.limit_bytes -= 2;
    cap_parse_time(b.w, ms(2));
    check_str_has(buf_text(&b.story), "request h1 12.1 ");
    cap_pending_emit(&b.c, p);
    finish(&b);
}

static void a_request_without_an_answer_ages(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 1 << 20);
    for (int h2 = 0; h2 < 2; h2++) {
        struct cap_pending *p = ask(&b, 1, 1, "body");
        p->h2 = h2;
        b.c.keeper[!h2].aged = NULL; /* is not asked */
        b.c.keeper[h2].aged = aged;
        cap_pending_asked(p);
        cap_parse_time(b.w, ms(9000));
        buf_reset(&b.story);
        cap_parse_time(b.w, ms(10000)); /* 10 s after its last byte at 1 ms … */
        check_int(b.aged, ==, h2);
        cap_parse_time(b.w, ms(10001));
        check_int(b.aged, ==, 1 + h2);
        check_str_has(buf_text(&b.story), "answer h");
        check_str_has(buf_text(&b.story), "none 0 -1 { @-1--1 0 none:0: loss 3 }");
    }
    /* One that is being answered has as much time again, and again. */
    struct cap_pending *p = ask(&b, 1, 1, "body");
    b.c.keeper[0].aged = aged;
    cap_pending_asked(p);
    cap_parse_time(b.w, ms(9000));
    answer(&b, p, 9500, "t");
    cap_parse_time(b.w, ms(10001));
    check_int(b.aged, ==, 2);
    check_true(b.w->late.head == p && p->queued.ns == ms(10001).ns);
    cap_pending_emit(&b.c, p);
    finish(&b);
}

static void without_an_option_ten_minutes_are_waited(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 1 << 20);
    cap_parse_free(b.w);
    struct cap_parse_config config = {
        .exchange = hear, .arg = &b, .budget = &b.budget, .spares = &b.spares};
    b.c.parse = b.w = cap_parse_new(&config, &b.e);
    struct cap_pending *p = ask(&b, 1, 0, NULL);
    cap_pending_asked(p);
    cap_parse_time(b.w, ms(599999));
    check_int(b.aged, ==, 0);
    cap_parse_time(b.w, ms(600000));
    check_int(b.aged, ==, 1);
    finish(&b);
    cap_parse_free(NULL);
}

/* What was guessed of a request stays so when its answer is told. */
static void both_parts_of_a_call_are_inferred_alike(void **state)
{
    (void)state;
    struct bench b;
    start(&b, 1 << 20);
    struct cap_pending *p = nameless(&b, INFER);
    cap_pending_asked(p);
    cap_parse_time(b.w, ms(3001));
    check_str_has(buf_text(&b.story), "request h1 12.1 50000>9000 grpc inferred 'POST' "
                                      "'/inference.GRPCInferenceService/ModelInfer'");
    buf_reset(&b.story);
    p->half[1].grpc = CAP_GRPC_ON;
    fill_bytes(&b, p, 1, 4000, SPAN_LIT("\0\0\0\0\1r"));
    cap_pending_emit(&b.c, p);
    check_str_has(buf_text(&b.story), "answer h1 12.1 50000>9000 grpc inferred '' "
                                      "'/inference.GRPCInferenceService/ModelInfer'");
    buf_reset(&b.story);
    check_int(cap_parse_totals(b.w)->inferred, ==, 1);
    /* And what was not is not guessed later. */
    p = call(&b, 1, INFER);
    cap_pending_asked(p);
    cap_parse_time(b.w, ms(3001));
    p->path_known = false;
    cap_pending_emit(&b.c, p);
    check_str_has(buf_text(&b.story), "answer h1 12.1 50000>9000 grpc 'POST' '/p'");
    finish(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exchange_is_told_with_all_that_is_known_of_it),
        cmocka_unit_test(what_is_used_again_is_as_new),
        cmocka_unit_test(spare_memory_is_bounded),
        cmocka_unit_test(what_a_connection_holds_is_charged),
        cmocka_unit_test(the_fate_of_what_is_given_up_is_counted),
        cmocka_unit_test(an_answer_moves_whole),
        cmocka_unit_test(a_body_that_is_not_all_there_has_its_length_alone),
        cmocka_unit_test(a_body_over_the_budget_has_its_length_and_hash),
        cmocka_unit_test(messages_of_a_stream_are_told_one_by_one),
        cmocka_unit_test(a_message_that_is_cut_off_is_told_as_such),
        cmocka_unit_test(a_message_over_the_budget_has_its_length_and_hash),
        cmocka_unit_test(what_may_be_grpc_is_told_as_one_of_both),
        cmocka_unit_test(a_path_that_is_not_known_is_told_by_the_message),
        cmocka_unit_test(a_status_that_is_not_known_is_told_by_what_came_with_it),
        cmocka_unit_test(pieces_of_events_are_told_with_their_times),
        cmocka_unit_test(the_oldest_that_is_not_told_is_known),
        cmocka_unit_test(one_that_comes_behind_later_ones_is_not_forgotten),
        cmocka_unit_test(a_request_is_told_ahead_of_a_slow_answer),
        cmocka_unit_test(slow_ones_are_told_in_the_order_of_their_last_bytes),
        cmocka_unit_test(where_memory_is_short_requests_are_told_at_once),
        cmocka_unit_test(a_request_without_an_answer_ages),
        cmocka_unit_test(without_an_option_ten_minutes_are_waited),
        cmocka_unit_test(both_parts_of_a_call_are_inferred_alike),
        cmocka_unit_test(what_is_told_early_leaves_the_open_ones_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
