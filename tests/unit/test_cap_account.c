/*
 * test_cap_account.c - every byte and every request has one place.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/account.h"
#include "traces/capture_notes.h"
#include "traces/container/trc_reader.h"

struct bench {
    struct cap_tallies tallies;
    struct cap_flow_totals flows;
    struct cap_parse_totals parse;
    struct cap_order_counts order;
    struct cap_source_counts source;
    struct cap_kwire_counts kwire;
    struct cap_parts parts;
};

/* 1000 bytes of requests, all in records and framing; 2000 of answers. */
static void whole(struct bench *b)
{
    *b = (struct bench){0};
    b->tallies.recorded = 10;
    b->tallies.recorded_bytes[0] = 900;
    b->tallies.recorded_bytes[1] = 1800;
    for (int dir = 0; dir < 2; dir++) {
        b->flows.dir[dir].payload_bytes = dir ? 2000 : 1000;
        b->flows.dir[dir].delivered_bytes = dir ? 2000 : 1000;
        b->parse.dir[dir].record_bytes = b->tallies.recorded_bytes[dir];
        b->parse.dir[dir].framing_bytes = dir ? 200 : 100;
    }
    b->source = (struct cap_source_counts){.packets = 40, .drops_known = true};
    b->parts = (struct cap_parts){&b->tallies, &b->flows, &b->parse, &b->order, NULL,
                                  &b->source,  &b->kwire, NULL,      NULL};
}

static double share_of(const struct bench *b)
{
    double share = -1;
    check_true(cap_account_share(&b->parts, &share));
    return share;
}

static void bytes_add_up_or_the_difference_is_told(void **state)
{
    (void)state;
    struct bench b;
    struct cap_direction d;
    whole(&b);
    cap_account_direction(&b.parts, 1, &d);
    check_int(d.seen, ==, 2000);
    check_int(d.records, ==, 1800);
    check_int(d.unexplained, ==, 0);

    b.flows.dir[1].payload_bytes += 7 + 11 + 13 + 17;
    b.flows.dir[1].gap_bytes = 7;
    b.flows.dir[1].duplicate_bytes = 11;
    b.flows.dir[1].stray_bytes = 13;
    b.flows.dir[1].held_bytes = 17;
    cap_account_direction(&b.parts, 1, &d);
    check_int(d.unexplained, ==, 0);
    check_int(d.pending, ==, 17);

    b.order.shed_body_bytes[1] = 500; /* moves from records to shed */
    cap_account_direction(&b.parts, 1, &d);
    check_int(d.records, ==, 1300);
    check_int(d.shed, ==, 500);
    check_int(d.unexplained, ==, 0);

    b.tallies.recorded_bytes[1] -= 3;
    cap_account_direction(&b.parts, 1, &d);
    check_int(d.unexplained, ==, 3);
    b.tallies.recorded_bytes[1] += 5;
    cap_account_direction(&b.parts, 1, &d);
    check_int(d.unexplained, ==, -2);
}

static void coverage_is_one_only_when_nothing_is_missing(void **state)
{
    (void)state;
    struct bench b;
    whole(&b);
    check_true(share_of(&b) == 1);
    b.flows.dir[0].duplicate_bytes = 500; /* sent twice is not missing */
    b.flows.dir[0].payload_bytes += 500;
    b.tallies.passed = 3;
    b.tallies.passed_bytes[0] = 100;
    b.flows.dir[0].payload_bytes += 100;
    b.kwire.unread_bytes[1] = 100000;
    b.flows.dir[1].payload_bytes += 100000;
    check_true(share_of(&b) == 1);

    b.flows.dir[0].gap_bytes = 31; /* of 3100 that matter + 31 */
    b.flows.dir[0].payload_bytes += 31;
    double share = share_of(&b);
    check_true(share > 3100.0 / 3131 - 1e-9 && share < 3100.0 / 3131 + 1e-9);

    whole(&b);
    b.tallies.unnamed = 10; /* half of the requests, few of the bytes */
    check_true(share_of(&b) == 0.5);
    whole(&b);
    b.parse.lost_to_gap = 10;
    check_true(share_of(&b) == 0.5);
    whole(&b);
    b.source.kernel_drops = 10;
    check_true(share_of(&b) == 0.8);
    whole(&b);
    b.tallies.recorded_bytes[0] -= 100; /* what is not explained is missing */
    check_true(share_of(&b) < 1);
    b = (struct bench){0};
    check_true(!cap_account_share(&b.parts, &share));
}

static void seconds_add_up_to_the_totals(void **state)
{
    (void)state;
    struct bench b;
    static struct cap_series s;
    uint64_t recorded = 0, seen = 0, drops = 0;
    whole(&b);
    for (int64_t t = 0; t < 10000; t += 1 + t % 3) {
        b.tallies.recorded += 2;
        b.flows.dir[0].payload_bytes += 100;
        b.source.kernel_drops += t % 5 == 0;
        cap_series_add(&s, &b.parts, t * CLK_SEC);
    }
    check_int(s.width_s, ==, 8); /* 10000 s in at most 2048 rows */
    check_true(s.n <= CAP_SERIES_MAX && s.n > 1240);
    for (uint32_t i = 0; i < s.n; i++) {
        recorded += s.rows[i].recorded;
        seen += s.rows[i].seen_bytes;
        drops += s.rows[i].drops;
    }
    check_int(recorded, ==, b.tallies.recorded);
    check_int(seen, ==, b.flows.dir[0].payload_bytes + b.flows.dir[1].payload_bytes);
    check_int(drops, ==, b.source.kernel_drops);
    cap_series_add(&s, &b.parts, INT64_MAX); /* a clock that leaps */
    check_true(s.n <= CAP_SERIES_MAX);
}

static void the_trace_says_it_in_its_notes(void **state)
{
    (void)state;
    struct bench b;
    static struct cap_series s;
    struct err e = {0};
    struct trc_writer *w;
    struct trc_reader *r;
    struct trc_options options = {.kind = TRC_TRACE};
    char path[] = "/tmp/test_cap_account.XXXXXX";
    int fd = mkstemp(path);
    check_int(fd, >=, 0);
    close(fd);
    whole(&b);
    b.tallies.unnamed = 1;
    cap_unmapped_add(&b.tallies.unmapped, 8080);
    b.flows.dir[0].gap_bytes = 1;
    b.flows.dir[0].payload_bytes += 1;
    cap_series_add(&s, &b.parts, 3 * CLK_SEC);
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    check_ok(cap_account_note(&b.parts, &s, w, &e), &e);
    check_ok(trc_writer_close(w, &e), &e);
    check_ok(trc_reader_open(&r, path, &e), &e);
    check_str(trc_reader_note(r, NOTE_COVERAGE_SHARE), "0.909090909");
    check_str_has(trc_reader_note(r, NOTE_COVERAGE),
                  "90.91 %: 10 requests recorded, 1 lost; 1 of 3001 bytes missing; 0 "
                  "packets dropped");
    check_str(trc_reader_note(r, "coverage.requests.lost.unnamed"), "1");
    check_str(trc_reader_note(r, "coverage.requests.unmapped"), "8080: 1");
    check_str(trc_reader_note(r, "coverage.to_server.gaps"), "1");
    check_str(trc_reader_note(r, "coverage.to_client.records"), "1800");
    check_str(trc_reader_note(r, "coverage.series.0000"), "3 1 10 1 3001 1 0\n");
    check_true(trc_reader_note(r, "coverage.to_server.unexplained") == NULL);
    trc_reader_close(r);
    unlink(path);
}

static void ports_without_a_tier_are_told_by_the_first_eight(void **state)
{
    (void)state;
    struct bench b;
    struct buf text = {0};
    whole(&b);
    cap_account_text(&b.parts, &text);
    check_true(strstr(buf_text(&text), "no tier") == NULL);
    for (uint16_t port = 9001; port <= 9010; port++)
        cap_unmapped_add(&b.tallies.unmapped, port);
    cap_unmapped_add(&b.tallies.unmapped, 9008);
    check_int(b.tallies.unmapped.n, ==, CAP_UNMAPPED_MAX);
    check_int(b.tallies.unmapped.elsewhere, ==, 2);
    buf_reset(&text);
    cap_account_text(&b.parts, &text);
    check_str_has(buf_text(&text), "requests to port 9001: 1, 9002: 1, ");
    check_str_has(buf_text(&text), ", 9008: 2, others: 2; --map");
    struct jsonw w = {.out = &text};
    buf_reset(&text);
    jsonw_object(&w);
    cap_account_json(&b.parts, &w);
    jsonw_end(&w);
    check_str_has(buf_text(&text), "\"9008\":2,\"others\":2}");
    buf_done(&text);
}

static void nearly_everything_is_not_everything(void **state)
{
    (void)state;
    struct bench b;
    struct buf text = {0};
    whole(&b);
    b.tallies.recorded = 4000000000;
    b.parse.lost_malformed = 1;
    cap_account_text(&b.parts, &text);
    check_str_has(buf_text(&text), "99.999999 %");
    check_str_has(buf_text(&text), "lost (malformed) 1");
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_add_up_or_the_difference_is_told),
        cmocka_unit_test(coverage_is_one_only_when_nothing_is_missing),
        cmocka_unit_test(seconds_add_up_to_the_totals),
        cmocka_unit_test(the_trace_says_it_in_its_notes),
        cmocka_unit_test(ports_without_a_tier_are_told_by_the_first_eight),
        cmocka_unit_test(nearly_everything_is_not_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
