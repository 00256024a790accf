/*
 * test_flow_wait.c - which segments wait for others, in which order they are taken, and
 * for how long and with how much memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"

#include <stdlib.h>
#include <string.h>

#include "capture/flow_wait.h"
#include "pktbuild.h"

#define JUMP ((uint32_t)CAP_FLOW_JUMP_BYTES)

/* A table with two flows, between one client's ports and a server. */
struct bench {
    struct cap_flows *f;
    struct flow *fl, *other;
};

static struct flow *new_flow(uint16_t port)
{
    struct flow *fl = calloc(1, sizeof *fl);
    assert_non_null(fl);
    fl->list = LIST_ACTIVE;
    fl->syn_side = -1;
    fl->end[0] = pkt_end(false, 1, port);
    fl->end[1] = pkt_end(false, 2, 9000);
    return fl;
}

static void start(struct bench *b)
{
    *b = (struct bench){.f = calloc(1, sizeof *b->f)};
    assert_non_null(b->f);
    b->fl = new_flow(40000);
    b->other = new_flow(40001);
}

static void take(struct bench *b, struct flow_waiting *w)
{
    flow_wait_take(b->f, w);
    free(w);
}

static void finish(struct bench *b)
{
    while (b->fl->wait_first)
        take(b, b->fl->wait_first);
    while (b->other->wait_first)
        take(b, b->other->wait_first);
    check_true(!b->f->wait_first && !b->f->wait_last);
    check_true(!b->fl->wait_last && !b->other->wait_last);
    check_int(b->fl->wait_count + b->other->wait_count, ==, 0);
    check_int(b->fl->wait_memory + b->other->wait_memory, ==, 0);
    check_int(b->f->totals.memory_bytes, ==, 0);
    check_int(b->f->totals.waiting_bytes, ==, 0);
    free(b->fl);
    free(b->other);
    free(b->f);
}

/* Of fl, by a side. */
static struct cap_segment segment(const struct flow *fl, int side, uint32_t seq,
                                  uint32_t ack, uint8_t flags, const char *payload)
{
    struct span bytes = span_str(payload);
    return (struct cap_segment){.src = fl->end[side],
                                .dst = fl->end[!side],
                                .seq = seq,
                                .ack = ack,
                                .flags = flags,
                                .payload = bytes,
                                .payload_bytes = (uint32_t)bytes.n};
}

static struct flow_waiting *add(struct bench *b, struct flow *fl, int side,
                                uint32_t seq, uint32_t ack, uint8_t flags,
                                const char *payload)
{
    struct cap_segment s = segment(fl, side, seq, ack, flags, payload);
    check_true(flow_wait_add(b->f, fl, &s));
    return fl->wait_last;
}

static bool waits(struct bench *b, int side, uint32_t seq, uint32_t ack, uint8_t flags,
                  const char *payload)
{
    struct cap_segment s = segment(b->fl, side, seq, ack, flags, payload);
    return flow_must_wait(b->f, b->fl, side, &s);
}

/* Whether bytes of the flow are known up to there, in both directions. */
static void anchor(struct flow *fl, uint32_t client, uint32_t server)
{
    flow_anchor(&fl->from[0], client);
    flow_anchor(&fl->from[1], server);
}

/* --- whether to wait -------------------------------------------------------------- */

static void the_first_of_a_connection_waits_if_it_has_bytes(void **state)
{
    (void)state;
    struct bench b;
    start(&b);
    struct cap_segment s = segment(b.fl, 0, 5, 0, CAP_ACK, "bytes");
    check_true(flow_must_wait(b.f, NULL, 0, &s));
    s.flags |= CAP_RST;
    check_true(!flow_must_wait(b.f, NULL, 0, &s));
    s.flags = CAP_SYN;
    check_true(!flow_must_wait(b.f, NULL, 0, &s));
    s = segment(b.fl, 0, 5, 0, CAP_ACK, "");
    check_true(!flow_must_wait(b.f, NULL, 0, &s));
    s.payload_bytes = 1; /* of which none was captured */
    check_true(flow_must_wait(b.f, NULL, 0, &s));
    finish(&b);
}

static void before_its_direction_is_known_what_has_bytes_or_ends_it_waits(void **state)
{
    (void)state;
    struct bench b;
    start(&b);
    check_true(waits(&b, 0, 5, 0, 0, "bytes"));
    check_true(waits(&b, 0, 5, 0, CAP_FIN, ""));
    check_true(!waits(&b, 0, 5, 0, 0, ""));
    check_true(!waits(&b, 0, 5, 0, CAP_RST, "bytes"));
    check_true(!waits(&b, 0, 5, 0, CAP_SYN, "bytes"));
    b.fl->list = LIST_OVER;
    check_true(!waits(&b, 0, 5, 0, 0, "bytes"));
    b.fl->list = LIST_EMPTY;
    check_true(waits(&b, 0, 5, 0, 0, "bytes"));
    finish(&b);
}

static void what_comes_in_its_place_does_not_wait(void **state)
{
    (void)state;
    struct bench b;
    start(&b);
    anchor(b.fl, 1000, 7000);
    check_true(!waits(&b, 0, 1000, 7000, CAP_ACK, "bytes"));
    check_true(!waits(&b, 0, 1500, 7000, CAP_ACK, "bytes")); /* held elsewhere */
    check_true(!waits(&b, 0, 1500, 7000, CAP_ACK | CAP_FIN, ""));
    finish(&b);
}

static void a_reset_waits_for_the_bytes_before_it(void **state)
{
    (void)state;
    struct bench b;
    start(&b);
    anchor(b.fl, 1000, 7000);
    check_true(!waits(&b, 0, 1000, 0, CAP_RST, ""));
    check_true(waits(&b, 0, 1001, 0, CAP_RST, ""));
    check_true(!waits(&b, 0, 999, 0, CAP_RST, ""));
    check_true(waits(&b, 0, 1000 + JUMP, 0, CAP_RST, ""));
    check_true(!waits(&b, 0, 1001 + JUMP, 0, CAP_RST, "")); /* of another connection */
    anchor(b.fl, UINT32_MAX - 4, 7000); /* round the end of numbers */
    check_true(waits(&b, 0, 3, 0, CAP_RST, ""));
    check_true(!waits(&b, 0, UINT32_MAX - 5, 0, CAP_RST, ""));
    finish(&b);
}

static void an_acknowledgement_waits_for_what_it_acknowledges(void **state)
{
    (void)state;
    struct bench b;
    start(&b);
    anchor(b.fl, 1000, 7000);
    check_true(!waits(&b, 1, 7000, 1000, CAP_ACK, "answer"));
    check_true(waits(&b, 1, 7000, 1001, CAP_ACK, "answer"));
    check_true(waits(&b, 1, 7000, 1001, CAP_ACK, "")); /* though it has no bytes */
    check_true(!waits(&b, 1, 7000, 1001, 0, "answer"));
    check_true(waits(&b, 1, 7000, 1000 + JUMP, CAP_ACK, ""));
    check_true(!waits(&b, 1, 7000, 1001 + JUMP, CAP_ACK, ""));
    struct stream *client = &b.fl->from[0];
    client->acked = client->next + 50; /* acknowledged before, and they did not come */
    check_true(!waits(&b, 1, 7000, 1050, CAP_ACK, ""));
    check_true(waits(&b, 1, 7000, 1051, CAP_ACK, ""));
    client->acked = client->next - 50;
    check_true(!waits(&b, 1, 7000, 1000, CAP_ACK, ""));
    check_true(waits(&b, 1, 7000, 1001, CAP_ACK, ""));
    client->fin = true; /* it counts as a byte, once all before it has come */
    client->end = client->next + 1;
    check_true(waits(&b, 1, 7000, 1001, CAP_ACK, ""));
    client->end = client->next;
    check_true(!waits(&b, 1, 7000, 1001, CAP_ACK, ""));
    check_true(waits(&b, 1, 7000, 1002, CAP_ACK, ""));
    client->fin = false;
    check_true(waits(&b, 1, 7000, 1001, CAP_ACK, ""));
    finish(&b);
}

/* Of a peer of whom nothing was seen: the SYN's answer says where it begins, else what
 * waits does. So it is for one that is silent. */
static void an_acknowledgement_of_an_unknown_peer_waits_for_its_forerunner(void **state)
{
    (void)state;
    for (int silent = 0; silent < 2; silent++) {
        struct bench b;
        start(&b);
        flow_anchor(&b.fl->from[1], 7000);
        if (silent) {
            flow_anchor(&b.fl->from[0], 900);
            b.fl->from[0].silent = true;
        }
        check_true(!waits(&b, 1, 7000, 1001, CAP_ACK, ""));
        uint64_t before = b.f->totals.steps;
        add(&b, b.fl, 1, 7000, 0, 0, "own"); /* of the same direction: none */
        struct flow_waiting *empty = add(&b, b.fl, 0, 1000, 0, CAP_FIN, "");
        check_true(!waits(&b, 1, 7000, 1001, CAP_ACK, ""));
        check_int(b.f->totals.steps, ==, before + 2);
        struct flow_waiting *bytes = add(&b, b.fl, 0, 1000, 0, 0, "b");
        check_true(waits(&b, 1, 7000, 1001, CAP_ACK, ""));
        check_true(!waits(&b, 1, 7000, 1000, CAP_ACK, "")); /* not this byte yet */
        check_true(!waits(&b, 1, 7000, 1001, 0, ""));
        take(&b, bytes);
        take(&b, empty);
        check_true(!waits(&b, 1, 7000, 1001, CAP_ACK, ""));
        b.fl->syn_side = 0;
        check_int(waits(&b, 1, 7000, 1001, CAP_ACK, ""), ==, !silent);
        finish(&b);
    }
}

/* --- those that wait -------------------------------------------------------------- */

static void the_sender_is_told_by_address_and_port(void **state)
{
    (void)state;
    struct bench b;
    start(&b);
    check_int(flow_wait_side(add(&b, b.fl, 0, 1, 0, 0, "a")), ==, 0);
    check_int(flow_wait_side(add(&b, b.fl, 1, 1, 0, 0, "a")), ==, 1);
    b.fl->end[1] = b.fl->end[0]; /* of one address, as on the loopback interface, */
    b.fl->end[1].port = 9000;
    check_int(flow_wait_side(add(&b, b.fl, 1, 1, 0, 0, "a")), ==, 1);
    b.fl->end[1] = pkt_end(false, 2, 40000); /* and of one port */
    check_int(flow_wait_side(add(&b, b.fl, 1, 1, 0, 0, "a")), ==, 1);
    check_int(flow_wait_side(add(&b, b.fl, 0, 1, 0, 0, "a")), ==, 0);
    finish(&b);
}

static void a_copy_waits_in_the_order_of_coming(void **state)
{
    (void)state;
    struct bench b;
    char text[] = "bytes";
    start(&b);
    b.f->clock = 77;
    b.f->packets = 88;
    struct flow_waiting *w[4];
    w[0] = add(&b, b.fl, 0, 10, 20, CAP_ACK, text);
    w[1] = add(&b, b.other, 0, 11, 20, CAP_ACK, "o");
    w[2] = add(&b, b.fl, 1, 12, 20, CAP_ACK, "");
    w[3] = add(&b, b.fl, 1, 13, 20, CAP_ACK, "last");
    memset(text, 'x', sizeof text);
    check_span(w[0]->seg.payload, "bytes");
    check_int(w[0]->seg.seq, ==, 10);
    check_int(w[0]->seg.ack, ==, 20);
    check_int(w[0]->since, ==, 77);
    check_int(w[0]->packets, ==, 88);
    check_true(w[0]->owner == b.fl && w[1]->owner == b.other);
    check_int(b.f->totals.waited, ==, 4);
    check_int(b.f->totals.waiting_bytes, ==, 10);
    check_int(b.fl->wait_count, ==, 3);
    check_int(b.other->wait_count, ==, 1);
    check_int(b.fl->wait_memory, ==, 3 * sizeof(struct flow_waiting) + 9);
    check_int(b.f->totals.memory_bytes, ==, 4 * sizeof(struct flow_waiting) + 10);
    check_true(b.f->wait_first == w[0] && w[0]->newer == w[1] && w[1]->newer == w[2] &&
               w[2]->newer == w[3] && !w[3]->newer && b.f->wait_last == w[3]);
    check_true(b.fl->wait_first == w[0] && w[0]->after == w[2] && w[2]->after == w[3] &&
               !w[3]->after && b.fl->wait_last == w[3]);
    /* One from the middle, the first, the last. */
    take(&b, w[2]);
    check_true(w[0]->after == w[3] && w[3]->before == w[0]);
    check_true(w[1]->newer == w[3] && w[3]->older == w[1]);
    take(&b, w[0]);
    check_true(b.fl->wait_first == w[3] && !w[3]->before);
    check_true(b.f->wait_first == w[1] && !w[1]->older);
    take(&b, w[3]);
    check_true(!b.fl->wait_first && !b.fl->wait_last);
    check_true(b.f->wait_last == w[1] && !w[1]->newer);
    check_int(b.fl->wait_memory, ==, 0);
    check_int(b.f->totals.waiting_bytes, ==, 1);
    check_int(b.f->totals.waited, ==, 4);
    finish(&b);
}

static void only_so_many_wait(void **state)
{
    (void)state;
    struct bench b;
    start(&b);
    for (uint32_t i = 0; i < FLOW_WAIT_COUNT; i++)
        add(&b, b.fl, 0, i, 0, 0, "");
    struct cap_segment s = segment(b.fl, 0, 5, 0, 0, "");
    check_true(!flow_wait_add(b.f, b.fl, &s));
    check_int(b.fl->wait_count, ==, FLOW_WAIT_COUNT);
    check_true(flow_wait_add(b.f, b.other, &s)); /* each flow for itself */
    finish(&b);
}

static void memory_of_a_flow_and_of_all_is_bounded_to_the_byte(void **state)
{
    (void)state;
    struct bench b;
    const size_t most = CAP_FLOW_HOLD_BYTES - sizeof(struct flow_waiting);
    char *bytes = calloc(1, most + 1);
    assert_non_null(bytes);
    start(&b);
    struct cap_segment s = segment(b.fl, 0, 5, 0, 0, "");
    s.payload = span_of(bytes, most + 1);
    check_true(!flow_wait_add(b.f, b.fl, &s));
    s.payload.n = most;
    check_true(flow_wait_add(b.f, b.fl, &s));
    s.payload.n = 0;
    check_true(!flow_wait_add(b.f, b.fl, &s));
    take(&b, b.fl->wait_first);
    const uint64_t used = CAP_FLOW_MEMORY_BYTES - sizeof(struct flow_waiting);
    b.f->totals.memory_bytes = used + 1;
    check_true(!flow_wait_add(b.f, b.fl, &s));
    b.f->totals.memory_bytes = used;
    check_true(flow_wait_add(b.f, b.fl, &s));
    b.f->totals.memory_bytes -= used;
    free(bytes);
    finish(&b);
}

/* --- who is taken ----------------------------------------------------------------- */

static void whoever_need_not_wait_any_more_is_ready(void **state)
{
    (void)state;
    struct bench b;
    start(&b);
    check_true(flow_wait_ready(b.f, b.fl) == NULL);
    anchor(b.fl, 1000, 7000);
    struct flow_waiting *early = add(&b, b.fl, 1, 7000, 1010, CAP_ACK, "answer");
    struct flow_waiting *next = add(&b, b.fl, 0, 1000, 7000, CAP_ACK, "question..");
    check_true(flow_wait_ready(b.f, b.fl) == next);
    take(&b, next);
    uint64_t before = b.f->totals.steps;
    check_true(flow_wait_ready(b.f, b.fl) == NULL);
    check_int(b.f->totals.steps, ==, before + 1);
    flow_anchor(&b.fl->from[0], 1010);
    check_true(flow_wait_ready(b.f, b.fl) == early);
    finish(&b);
}

/* Nothing that waits is to come after the end. */
static void a_reset_is_taken_last(void **state)
{
    (void)state;
    struct bench b;
    start(&b);
    anchor(b.fl, 1000, 7000);
    struct flow_waiting *reset = add(&b, b.fl, 0, 1000, 0, CAP_RST, "");
    struct flow_waiting *waiting = add(&b, b.fl, 1, 7000, 1010, CAP_ACK, "answer");
    check_true(flow_wait_ready(b.f, b.fl) == NULL);
    take(&b, waiting);
    check_true(flow_wait_ready(b.f, b.fl) == reset);
    finish(&b);
}

static void the_one_that_was_sent_first_is_told_by_its_numbers(void **state)
{
    (void)state;
    struct bench b;
    start(&b);
    /* Of one direction, round the end of numbers. */
    struct flow_waiting *late = add(&b, b.fl, 0, 5, 0, 0, "late");
    check_true(flow_wait_first_sent(b.f, b.fl) == late);
    struct flow_waiting *soon = add(&b, b.fl, 0, UINT32_MAX, 0, 0, "soon");
    add(&b, b.fl, 0, UINT32_MAX, 0, 0, "as soon");
    uint64_t before = b.f->totals.steps;
    check_true(flow_wait_first_sent(b.f, b.fl) == soon);
    check_int(b.f->totals.steps, ==, before + 2 * 3); /* and once more, in vain */
    finish(&b);

    /* Of both: what is acknowledged was sent before. */
    start(&b);
    struct flow_waiting *answer = add(&b, b.fl, 1, 7000, 1001, CAP_ACK, "answer");
    struct flow_waiting *asked = add(&b, b.fl, 0, 1000, 7000, CAP_ACK, "a");
    check_true(flow_wait_first_sent(b.f, b.fl) == asked);
    asked->seg.seq = 1001; /* behind what is acknowledged */
    check_true(flow_wait_first_sent(b.f, b.fl) == answer);
    asked->seg.seq = 1000;
    asked->seg.payload_bytes = 0; /* it sent nothing that could be acknowledged, */
    check_true(flow_wait_first_sent(b.f, b.fl) == answer);
    asked->seg.flags |= CAP_FIN; /* but for its end */
    check_true(flow_wait_first_sent(b.f, b.fl) == asked);
    answer->seg.flags = 0; /* acknowledges nothing */
    check_true(flow_wait_first_sent(b.f, b.fl) == answer);
    asked->seg.payload_bytes = 1;
    finish(&b);
}

/* The first looks later than one that comes after it in the list; that one, than one
 * before both. */
static void before_goes_through_several(void **state)
{
    (void)state;
    struct bench b;
    start(&b);
    struct flow_waiting *ask = add(&b, b.fl, 0, 1000, 7000, 0, "ask");
    add(&b, b.fl, 0, 1010, 7000, 0, "more");
    struct flow_waiting *third = add(&b, b.fl, 1, 7000, 1003, CAP_ACK, "told");
    check_true(flow_wait_first_sent(b.f, b.fl) == ask);
    take(&b, ask);
    /* "more" stands first and neither of the others is told to be before it. */
    check_true(flow_wait_first_sent(b.f, b.fl) == b.fl->wait_first);
    check_true(b.fl->wait_first != third);
    finish(&b);
}

/* Numbers may go round in a circle, of what was sent again. */
static void a_circle_of_numbers_ends(void **state)
{
    (void)state;
    struct bench b;
    start(&b);
    add(&b, b.fl, 0, 1000, 7001, CAP_ACK, "a");
    add(&b, b.fl, 1, 7000, 1001, CAP_ACK, "b");
    uint64_t before = b.f->totals.steps;
    check_true(flow_wait_first_sent(b.f, b.fl) != NULL);
    check_int(b.f->totals.steps, ==, before + 4 * 2);
    finish(&b);
}

static void the_grace_is_over_after_packets_and_time_or_time_alone(void **state)
{
    (void)state;
    struct bench b;
    start(&b);
    check_true(!flow_wait_is_over(b.f));
    b.f->clock = 1000;
    b.f->packets = 50;
    struct flow_waiting *first = add(&b, b.other, 0, 1, 0, 0, "a");
    b.f->clock = 1000 + CAP_FLOW_GRACE_NS;
    b.f->packets = 50 + CAP_FLOW_GRACE_PACKETS;
    check_true(flow_wait_is_over(b.f));
    add(&b, b.fl, 0, 1, 0, 0, "a"); /* it is the oldest that counts */
    check_true(flow_wait_is_over(b.f));
    b.f->clock--;
    check_true(!flow_wait_is_over(b.f));
    b.f->clock++;
    b.f->packets--;
    check_true(!flow_wait_is_over(b.f));
    b.f->clock = 1000 + CAP_FLOW_GRACE_MOST_NS - 1;
    check_true(!flow_wait_is_over(b.f));
    b.f->clock++;
    check_true(flow_wait_is_over(b.f));
    take(&b, first);
    b.f->packets++;
    check_true(!flow_wait_is_over(b.f)); /* no packet came since the second did */
    finish(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_of_a_connection_waits_if_it_has_bytes),
        cmocka_unit_test(before_its_direction_is_known_what_has_bytes_or_ends_it_waits),
        cmocka_unit_test(what_comes_in_its_place_does_not_wait),
        cmocka_unit_test(a_reset_waits_for_the_bytes_before_it),
        cmocka_unit_test(an_acknowledgement_waits_for_what_it_acknowledges),
        cmocka_unit_test(
            an_acknowledgement_of_an_unknown_peer_waits_for_its_forerunner),
        cmocka_unit_test(the_sender_is_told_by_address_and_port),
        cmocka_unit_test(a_copy_waits_in_the_order_of_coming),
        cmocka_unit_test(only_so_many_wait),
        cmocka_unit_test(memory_of_a_flow_and_of_all_is_bounded_to_the_byte),
        cmocka_unit_test(whoever_need_not_wait_any_more_is_ready),
        cmocka_unit_test(a_reset_is_taken_last),
        cmocka_unit_test(the_one_that_was_sent_first_is_told_by_its_numbers),
        cmocka_unit_test(before_goes_through_several),
        cmocka_unit_test(a_circle_of_numbers_ends),
        cmocka_unit_test(the_grace_is_over_after_packets_and_time_or_time_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
