/*
 * test_cap_account.c - every byte and every request has one place.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"

#include <stdio.h>
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

/* All that is counted, each number another. */
struct every {
    struct cap_tallies tallies;
    struct cap_flow_totals flows;
    struct cap_parse_totals parse;
    struct cap_order_counts order;
    struct cap_link_counts link;
    struct cap_source_counts source;
    struct cap_kwire_counts kwire;
    struct cap_krecords_counts krecords;
    struct cap_kafka_counts kafka;
    struct cap_parts parts;
};

/* Bytes: each count of a direction is a power of two of its own, so that a sum tells
 * what went into it. 1000000 and 2000000 were recorded. */
static void fill_bytes(struct every *v)
{
    for (int dir = 0; dir < 2; dir++) {
        const uint64_t one = dir ? 1 : 1 << 18;
        v->tallies.recorded_bytes[dir] = dir ? 2000000 : 1000000;
        v->order.shed_body_bytes[dir] = one << 0;
        v->tallies.passed_bytes[dir] = one << 1;
        v->krecords.passed_bytes[dir] = one << 2;
        v->kafka.passed_bytes[dir] = one << 3;
        v->tallies.lost_bytes[dir] = one << 4;
        v->kafka.refused_bytes[dir] = one << 5;
        v->parse.dir[dir].framing_bytes = one << 6;
        v->flows.dir[dir].gap_bytes = one << 7;
        v->parse.dir[dir].opaque_bytes = one << 8;
        v->kafka.orphan_bytes[dir] = one << 9;
        v->krecords.opaque_bytes[dir] = one << 10;
        v->parse.dir[dir].shed_bytes = one << 11;
        v->tallies.shed_bytes[dir] = one << 12;
        v->kwire.unread_bytes[dir] = one << 13;
        v->flows.dir[dir].duplicate_bytes = one << 14;
        v->flows.dir[dir].stray_bytes = one << 15;
        v->parse.dir[dir].pending_bytes = one << 16;
        v->flows.dir[dir].held_bytes = one << 17;
        v->kafka.pending_bytes[dir] = one << 18;
        v->krecords.held_bytes[dir] = one << 19;
        /* All of these but for the bodies that were shed, which are recorded ones. */
        v->flows.dir[dir].payload_bytes =
            v->tallies.recorded_bytes[dir] + (one << 20) - (one << 1);
    }
}

static void fill(struct every *v)
{
    *v = (struct every){
        .tallies = {.recorded = 101,
                    .passed = 102,
                    .unnamed = 103,
                    .refused = 104,
                    .shed = 105,
                    .unmapped = {.ports = {{9113, 113}, {9114, 114}},
                                 .n = 2,
                                 .elsewhere = 115},
                    .inferred = 106,
                    .opaque = 107,
                    .cut = 108,
                    .unanswered = 109,
                    .near_gap = 110,
                    .streams = 111,
                    .messages_beyond = 112},
        .flows = {.flows = 201,
                  .flows_midway = 202,
                  .flows_evicted = 203,
                  .copies_dropped = 204,
                  .clock_steps = 205},
        .parse = {.lost_to_gap = 301,
                  .lost_malformed = 302,
                  .lost_limit = 303,
                  .lost_shed = 304},
        .order = {.late_answers = 401,
                  .unmatched_answers = 402,
                  .joined_ids = 403,
                  .moved = 404,
                  .moved_max_ns = 405,
                  .shed_answers = 406,
                  .shed_requests = 407},
        .source = {.packets = 501,
                   .drops_known = true,
                   .kernel_drops = 502,
                   .interface_drops = 503},
        .kwire = {.requests = 601,
                  .responses = 602,
                  .unmatched = 603,
                  .versions_unknown = 604,
                  .malformed = 605,
                  .broken = 606,
                  .too_long = 607,
                  .resyncs = 608},
        .krecords = {.batches = 701,
                     .records = 702,
                     .copies = 703,
                     .late = 704,
                     .old_format = 705,
                     .topics_unknown = 706,
                     .checksums_wrong = 707,
                     .malformed = 708,
                     .cut = 709,
                     .packed = 710,
                     .topics_told = 711,
                     .topics_matched = 712},
        .kafka = {.inputs = 801,
                  .outputs = 802,
                  .errors = 803,
                  .tombstones = 804,
                  .refused = 805,
                  .duplicates = 806,
                  .unmatched = 807},
    };
    for (uint64_t i = 0; i < CAP_SEEN_COUNT; i++)
        v->link.packets[i] = 901 + i;
    fill_bytes(v);
    v->parts =
        (struct cap_parts){&v->tallies, &v->flows, &v->parse,    &v->order, &v->link,
                           &v->source,  &v->kwire, &v->krecords, &v->kafka};
}

static void every_byte_is_told_once_and_by_its_fate(void **state)
{
    (void)state;
    static struct every v;
    fill(&v);
    for (int dir = 0; dir < 2; dir++) {
        const int64_t one = dir ? 1 : 1 << 18;
        struct cap_direction d;
        cap_account_direction(&v.parts, dir, &d);
        check_int(d.records, ==, (dir ? 2000000 : 1000000) - one);
        check_int(d.passed, ==, one * (2 + 4 + 8));
        check_int(d.lost, ==, one * (16 + 32));
        check_int(d.framing, ==, one << 6);
        check_int(d.gaps, ==, one << 7);
        check_int(d.opaque, ==, one * (256 + 512 + 1024));
        check_int(d.shed, ==, one * (1 + 2048 + 4096));
        check_int(d.unread, ==, one << 13);
        check_int(d.duplicates, ==, one << 14);
        check_int(d.stray, ==, one << 15);
        check_int(d.pending, ==, (one << 20) - (one << 16));
        check_int(d.unexplained, ==, 0);
    }
}

static void requests_are_lost_for_six_reasons(void **state)
{
    (void)state;
    static struct every v;
    uint64_t lost[CAP_LOST_COUNT];
    fill(&v);
    cap_account_lost(&v.parts, lost);
    check_int(lost[CAP_LOST_UNNAMED], ==, 103);
    check_int(lost[CAP_LOST_REFUSED], ==, 104 + 805);
    check_int(lost[CAP_LOST_SHED], ==, 105 + 304);
    check_int(lost[CAP_LOST_GAP], ==, 301);
    check_int(lost[CAP_LOST_MALFORMED], ==, 302);
    check_int(lost[CAP_LOST_LIMIT], ==, 303);
    check_int(cap_account_lost_all(&v.parts), ==,
              103 + 104 + 805 + 105 + 304 + 301 + 302 + 303);
    v.parts.kafka = NULL;
    cap_account_lost(&v.parts, lost);
    check_int(lost[CAP_LOST_REFUSED], ==, 104);
}

static void drops_count_where_they_are_known(void **state)
{
    (void)state;
    static struct every v;
    fill(&v);
    check_int(cap_account_drops(&v.parts), ==, 502 + 503);
    v.source.drops_known = false;
    check_int(cap_account_drops(&v.parts), ==, 0);
    v.parts.source = NULL;
    check_int(cap_account_drops(&v.parts), ==, 0);
}

/* Parts that there are none of count nothing, and nothing is read through them. */
static void a_capture_without_parts_saw_nothing(void **state)
{
    (void)state;
    static struct cap_series s;
    const struct cap_parts none = {0};
    struct cap_direction d;
    struct buf text = {0};
    double share;
    cap_account_direction(&none, 0, &d);
    check_int(d.seen, ==, 0);
    check_int(d.unexplained, ==, 0);
    check_int(cap_account_lost_all(&none), ==, 0);
    check_int(cap_account_drops(&none), ==, 0);
    check_true(!cap_account_share(&none, &share));
    cap_series_add(&s, &none, 0);
    check_int(s.n, ==, 1);
    cap_account_text(&none, &text);
    check_str(buf_text(&text),
              "  coverage    nothing was seen: 0 requests recorded, 0 lost; 0 of 0 "
              "bytes missing; dropped packets not known\n"
              "  requests    0 recorded\n"
              "  to server   0 bytes\n"
              "  to client   0 bytes\n");
    buf_done(&text);
}

static void every_count_stands_in_the_summary_under_its_name(void **state)
{
    (void)state;
    static struct every v;
    struct buf text = {0};
    fill(&v);
    cap_account_text(&v.parts, &text);
    check_golden("capture/account.txt", buf_view(&text));
    buf_done(&text);
}

static struct span as_json(const struct cap_parts *p, struct buf *out)
{
    struct jsonw w = {.out = out, .pretty = true};
    jsonw_object(&w);
    cap_account_json(p, &w);
    jsonw_end(&w);
    buf_u8(out, '\n');
    return buf_view(out);
}

static void every_count_stands_in_the_json_under_its_name(void **state)
{
    (void)state;
    static struct every v;
    struct buf text = {0};
    fill(&v);
    check_golden("capture/account.json", as_json(&v.parts, &text));
    buf_reset(&text);
    v.parts = (struct cap_parts){0};
    check_golden("capture/account_of_nothing.json", as_json(&v.parts, &text));
    buf_done(&text);
}

/* The notes that cap_account_note leaves, a line each. */
static struct span as_notes(const struct cap_parts *p, const struct cap_series *s,
                            struct buf *out)
{
    struct err e = {0};
    struct trc_writer *w;
    struct trc_reader *r;
    struct trc_options options = {.kind = TRC_TRACE};
    char path[] = "/tmp/test_cap_account.XXXXXX";
    int fd = mkstemp(path);
    check_int(fd, >=, 0);
    close(fd);
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    check_ok(cap_account_note(p, s, w, &e), &e);
    check_ok(trc_writer_close(w, &e), &e);
    check_ok(trc_reader_open(&r, path, &e), &e);
    unlink(path);
    const char *key, *value;
    for (size_t i = 0; trc_reader_note_at(r, i, &key, &value); i++)
        buf_fmt(out, "%s: %s\n", key, value);
    trc_reader_close(r);
    return buf_view(out);
}

static void every_count_stands_in_the_notes_under_its_name(void **state)
{
    (void)state;
    static struct every v;
    static struct cap_series s;
    struct buf text = {0};
    fill(&v);
    v.flows.dir[1].payload_bytes += 5; /* that nothing explains, */
    v.flows.dir[0].payload_bytes -= 3; /* and that are told twice */
    cap_series_add(&s, &v.parts, 3 * CLK_SEC);
    check_golden("capture/account.notes", as_notes(&v.parts, &s, &text));
    buf_reset(&text);
    v = (struct every){0}; /* counts of 0: most have no note */
    v.parts = (struct cap_parts){&v.tallies, &v.flows, &v.parse,    &v.order, &v.link,
                                 &v.source,  &v.kwire, &v.krecords, &v.kafka};
    s = (struct cap_series){0};
    check_golden("capture/account_of_nothing.notes", as_notes(&v.parts, &s, &text));
    buf_done(&text);
}

/* A connection of Kafka was seen where any of these four is not 0. */
static void kafka_is_told_where_any_of_it_was_seen(void **state)
{
    (void)state;
    static struct every v;
    struct buf text = {0};
    uint64_t *const seen[] = {&v.kwire.requests, &v.kwire.responses, &v.kwire.resyncs,
                              &v.kwire.unread_bytes[0]};
    for (size_t i = 0; i < sizeof seen / sizeof *seen; i++) {
        fill(&v);
        for (size_t k = 0; k < sizeof seen / sizeof *seen; k++)
            *seen[k] = k == i;
        cap_account_text(&v.parts, &text);
        check_str_has(buf_text(&text), "\n  kafka       ");
        buf_reset(&text);
    }
    *seen[3] = 0;
    cap_account_text(&v.parts, &text);
    check_true(strstr(buf_text(&text), "kafka") == NULL);
    /* Each of its parts is there, or none is. */
    const struct cap_parts all = (fill(&v), v.parts);
    for (int i = 0; i < 3; i++) {
        v.parts = all;
        v.parts.kwire = i == 0 ? NULL : all.kwire;
        v.parts.krecords = i == 1 ? NULL : all.krecords;
        v.parts.kafka = i == 2 ? NULL : all.kafka;
        buf_reset(&text);
        cap_account_text(&v.parts, &text);
        check_true(strstr(buf_text(&text), "kafka") == NULL);
    }
    buf_done(&text);
}

/* Every third second has nothing to tell. */
static void
rows_are_merged_field_by_field_and_told_in_notes_of_bounded_size(void **state)
{
    enum { SECONDS = 2 * CAP_SERIES_MAX };
    (void)state;
    static struct every v;
    static struct cap_series s;
    struct buf text = {0};
    v = (struct every){.source.drops_known = true};
    v.parts = (struct cap_parts){
        .tallies = &v.tallies, .flows = &v.flows, .source = &v.source};
    for (int64_t t = 0; t < SECONDS; t++) {
        if (t % 3 == 2)
            continue;
        v.tallies.recorded += 1;
        v.tallies.unnamed += 2;
        v.flows.dir[0].payload_bytes += UINT64_C(10000000000000);
        v.flows.dir[1].gap_bytes += UINT64_C(20000000000000);
        v.source.kernel_drops += 3;
        cap_series_add(&s, &v.parts, t * CLK_SEC + CLK_SEC - 1);
        if (t == CAP_SERIES_MAX - 1)
            check_int(s.width_s, ==, 1);
    }
    check_int(s.width_s, ==, 2);
    check_int(s.n, ==, CAP_SERIES_MAX);
    for (uint32_t i = 0; i < s.n; i++) {
        /* Both seconds of a row, one of them in two rows of three. */
        uint64_t times = i % 3 == 0 ? 2 : 1;
        check_int(s.rows[i].recorded, ==, times);
        check_int(s.rows[i].lost, ==, 2 * times);
        check_int(s.rows[i].seen_bytes, ==, times * 10000000000000);
        check_int(s.rows[i].missing_bytes, ==, times * 20000000000000);
        check_int(s.rows[i].drops, ==, 3 * times);
    }
    memset(&s.rows[1], 0, sizeof s.rows[1]); /* nothing happened: no row */
    const char *notes = strstr((as_notes(&v.parts, &s, &text), buf_text(&text)),
                               "coverage.series.0000: 0 2 2 4 20000000000000 "
                               "40000000000000 6\n4 2 1 2 10000000000000 "
                               "20000000000000 3\n");
    check_true(notes != NULL);
    const char *second = strstr(notes, "coverage.series.0001: ");
    check_true(second != NULL && strstr(notes, "coverage.series.0002: ") == NULL);
    /* The first is full; together they have each row once. */
    check_int(second - notes, >=, 60000);
    check_int(second - notes, <, 60000 + 100);
    const char *end = strstr(second, "coverage.share: ");
    check_true(end != NULL);
    size_t rows = 0;
    for (const char *at = notes; (at = strchr(at, '\n')) != NULL && at < end; at++)
        rows++;
    check_int(rows, ==, CAP_SERIES_MAX - 1 + 2); /* and the end of each note */
    check_str_has(second, "\n4094 2 1 2 10000000000000 20000000000000 3\n");
    buf_done(&text);
}

static void time_before_the_epoch_is_its_first_second(void **state)
{
    (void)state;
    struct bench b;
    static struct cap_series s;
    whole(&b);
    cap_series_add(&s, &b.parts, -5 * CLK_SEC);
    check_int(s.rows[0].recorded, ==, 10);
    b.tallies.recorded++;
    cap_series_add(&s, &b.parts, CLK_SEC);
    check_int(s.rows[1].recorded, ==, 1);
    check_int(s.n, ==, 2);
    b.tallies.recorded++;
    cap_series_add(&s, &b.parts, 0); /* a clock that steps back */
    check_int(s.rows[0].recorded, ==, 11);
    check_int(s.n, ==, 2);
    check_int(s.width_s, ==, 1);
    cap_series_add(&s, &b.parts, (CAP_SERIES_MAX - 1) * CLK_SEC);
    check_int(s.n, ==, CAP_SERIES_MAX);
    cap_series_add(&s, &b.parts, CAP_SERIES_MAX * CLK_SEC);
    check_int(s.width_s, ==, 2);
    check_int(s.n, ==, CAP_SERIES_MAX / 2 + 1);
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

static void half_is_half_of_whatever_was_seen(void **state)
{
    (void)state;
    struct bench b;
    whole(&b);
    b.flows.dir[0].gap_bytes = 3000; /* as much as is there */
    b.flows.dir[0].payload_bytes += 3000;
    check_true(share_of(&b) == 0.5);
    whole(&b);
    b.source = (struct cap_source_counts){
        .packets = 3000, .drops_known = true, .interface_drops = 3000};
    check_true(share_of(&b) == 0.5);
    b.source = (struct cap_source_counts){.drops_known = true, .kernel_drops = 1};
    check_true(share_of(&b) == 0); /* all were dropped */
    whole(&b);
    b.parts.source = NULL;
    check_true(share_of(&b) == 1);
    whole(&b);
    b.tallies.recorded = 0; /* no request, and none that was lost */
    check_true(share_of(&b) == 1);
}

static void requests_to_a_port_are_counted_together(void **state)
{
    (void)state;
    struct cap_unmapped u = {0};
    static const uint16_t ports[] = {80, 81, 80, 80, 81};
    for (size_t i = 0; i < sizeof ports / sizeof *ports; i++)
        cap_unmapped_add(&u, ports[i]);
    check_int(u.n, ==, 2);
    check_int(u.ports[0].port, ==, 80);
    check_int(u.ports[0].requests, ==, 3);
    check_int(u.ports[1].port, ==, 81);
    check_int(u.ports[1].requests, ==, 2);
    check_int(u.elsewhere, ==, 0);
}

static void what_is_not_explained_is_said_aloud(void **state)
{
    (void)state;
    struct bench b;
    struct buf text = {0};
    whole(&b);
    b.tallies.recorded_bytes[1] -= 7;
    cap_account_text(&b.parts, &text);
    check_str_has(
        buf_text(&text),
        "  to client   2000 bytes, records 1793, framing 200, UNEXPLAINED 7\n");
    buf_done(&text);
}

/* A row is told for any one thing that happened in it. */
static void a_row_with_one_number_is_told(void **state)
{
    (void)state;
    struct bench b;
    static struct cap_series s;
    struct buf text = {0};
    whole(&b);
    s.n = 7;
    s.width_s = 1;
    s.rows[0].recorded = 1;
    s.rows[1].lost = 2;
    s.rows[2].seen_bytes = 3;
    s.rows[4].missing_bytes = 4;
    s.rows[6].drops = 5;
    as_notes(&b.parts, &s, &text);
    check_str_has(buf_text(&text),
                  "coverage.series.0000: 0 1 1 0 0 0 0\n1 1 0 2 0 0 0\n"
                  "2 1 0 0 3 0 0\n4 1 0 0 0 4 0\n6 1 0 0 0 0 5\n\n");
    buf_done(&text);
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
    check_int(s.n, ==, CAP_SERIES_MAX);
    check_int(s.width_s, ==, 1 << 20); /* 68 years in all of them, and no more */
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
    static const struct {
        uint64_t lost;
        const char *text, *share;
    } cases[] = {{0, "100 %: ", "1.000000000"},
                 {1, "99.999999 %: ", "0.999999999"},
                 {100, "99.999998 %: ", "0.999999975"},
                 {399990, "99.990001 %: ", "0.999900012"},
                 {400050, "99.99 %: ", "0.999899998"},
                 {4000000000, "50.00 %: ", "0.500000000"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static const struct cap_series none;
        struct bench many;
        struct buf out = {0};
        char want[64];
        whole(&many);
        many.tallies.recorded = 4000000000;
        many.parse.lost_malformed = cases[i].lost;
        as_notes(&many.parts, &none, &out);
        snprintf(want, sizeof want, "coverage: %s", cases[i].text);
        check_str_has(buf_text(&out), want);
        snprintf(want, sizeof want, "coverage.share: %s\n", cases[i].share);
        check_str_has(buf_text(&out), want);
        buf_done(&out);
    }
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
        cmocka_unit_test(every_byte_is_told_once_and_by_its_fate),
        cmocka_unit_test(requests_are_lost_for_six_reasons),
        cmocka_unit_test(drops_count_where_they_are_known),
        cmocka_unit_test(a_capture_without_parts_saw_nothing),
        cmocka_unit_test(every_count_stands_in_the_summary_under_its_name),
        cmocka_unit_test(every_count_stands_in_the_json_under_its_name),
        cmocka_unit_test(every_count_stands_in_the_notes_under_its_name),
        cmocka_unit_test(kafka_is_told_where_any_of_it_was_seen),
        cmocka_unit_test(
            rows_are_merged_field_by_field_and_told_in_notes_of_bounded_size),
        cmocka_unit_test(time_before_the_epoch_is_its_first_second),
        cmocka_unit_test(coverage_is_one_only_when_nothing_is_missing),
        cmocka_unit_test(seconds_add_up_to_the_totals),
        cmocka_unit_test(the_trace_says_it_in_its_notes),
        cmocka_unit_test(ports_without_a_tier_are_told_by_the_first_eight),
        cmocka_unit_test(nearly_everything_is_not_everything),
        cmocka_unit_test(half_is_half_of_whatever_was_seen),
        cmocka_unit_test(requests_to_a_port_are_counted_together),
        cmocka_unit_test(what_is_not_explained_is_said_aloud),
        cmocka_unit_test(a_row_with_one_number_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
