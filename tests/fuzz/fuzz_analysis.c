/*
 * fuzz_analysis.c - runs of any content, scanned, reported and compared.
 *
 * The bytes are not a file (its checksums would refuse them) but a recipe: notes, and
 * outcomes with moments, causes and names that no replay would write. What the writer
 * takes must go through scan, report and compare without a fault, the sums must hold,
 * and the JSON must be JSON.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <jansson.h>

#include "analysis/compare.h"
#include "analysis/report.h"
#include "analysis/run_health.h"
#include "analysis/scan.h"
#include "traces/container/trc_writer.h"
#include "traces/run_notes.h"

#define OUTCOMES_MAX 300

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const keys[] = {
    NOTE_TRACE_HASH,    NOTE_START_WALL,     NOTE_LABEL_ARM,     NOTE_LABEL_PAIR,
    NOTE_HEALTH_CAUSES, NOTE_HEALTH_VERDICT, NOTE_DUE,           NOTE_DURATION,
    NOTE_TARGET_HTTP,   NOTE_SCHEDULE_SPEED, NOTE_LABEL_VERSION, NOTE_INTERRUPTED};
enum { KEYS = sizeof keys / sizeof *keys };

static void put_notes(struct trc_writer *w, struct cursor *c)
{
    char value[64];

    for (unsigned n = cursor_u8(c) % 8; n > 0; n--) {
        const char *key = keys[cursor_u8(c) % KEYS];
        struct span text = cursor_take(c, cursor_u8(c) % (sizeof value - 1));
        snprintf(value, sizeof value, "%.*s", SPAN_ARG(text));
        if (strcmp(key, NOTE_HEALTH_VERDICT) == 0 && text.n > 0)
            snprintf(value, sizeof value, "%s", ana_health_names[text.p[0] % 3]);
        if (trc_writer_note(w, key, value, NULL) < 0)
            return;
    }
}

/* Mostly small steps, so that some runs are sane; now and then anything. */
static int64_t moment(struct cursor *c, int64_t from)
{
    uint8_t kind = cursor_u8(c);
    if (kind == 0)
        return OP_TIME_NONE;
    if (kind == 1)
        return (int64_t)cursor_u64(c);
    return from == OP_TIME_NONE ? kind : from / 2 + from / 2 + kind * INT64_C(37813);
}

static void put_outcomes(struct trc_writer *w, struct cursor *c)
{
    struct op_stream streams[4] = {{0}};

    for (int i = 0; i < 4; i++) {
        streams[i].protocol = cursor_u8(c) % OP_PROTOCOL_COUNT;
        streams[i].tier = cursor_u8(c) % OP_TIER_COUNT;
        streams[i].resource = cursor_u8(c) % OP_RESOURCE_COUNT;
        streams[i].name = cursor_take(c, 1 + cursor_u8(c) % 24);
        streams[i].model_type = cursor_take(c, cursor_u8(c) % 4);
    }
    int64_t due = 0;
    for (unsigned n = 0; n < OUTCOMES_MAX && cursor_left(c) > 0; n++) {
        struct outcome o = outcome_empty();
        uint8_t what = cursor_u8(c);
        o.op_index = n;
        o.stream = &streams[what & 3];
        o.cause = (what >> 2) % OUT_CAUSE_COUNT;
        o.check = (what >> 6) % 3;
        o.due_ns = moment(c, due);
        o.ready_ns = moment(c, o.due_ns);
        o.sent_ns = moment(c, o.ready_ns);
        o.first_ns = moment(c, o.sent_ns);
        o.done_ns = moment(c, o.first_ns);
        o.status = (uint16_t)(what * 7);
        o.grpc_status = (int16_t)(what % 20 - 1);
        due = o.due_ns >= 0 && o.due_ns < INT64_C(1) << 60 ? o.due_ns : due;
        (void)!trc_writer_outcome(w, &o, NULL); /* it may refuse what makes no sense */
    }
}

static bool write_run(const char *path, const uint8_t *data, size_t size)
{
    struct trc_options options = {.kind = TRC_RUN, .block_records = 64};
    struct cursor c = cursor_of(span_of(data, size));
    struct trc_writer *w = NULL;

    if (trc_writer_open(&w, path, &options, NULL) < 0)
        return false;
    put_notes(w, &c);
    put_outcomes(w, &c);
    return trc_writer_close(w, NULL) == 0;
}

static void check_json(struct buf *out)
{
    json_error_t fault;
    json_t *root =
        json_loadb((const char *)out->p, out->n, JSON_REJECT_DUPLICATES, &fault);
    if (!root)
        fprintf(stderr, "line %d: %s\n", fault.line, fault.text);
    assert(root);
    json_decref(root);
}

static void report(const char *path)
{
    struct ana_scan_config config = {.charts = true};
    struct ana_run run;
    struct buf out = {0};

    if (ana_scan(&run, path, &config, NULL) == 0 && ana_health_judge(&run, NULL) == 0) {
        const struct ana_counts *n = &run.all.counts;
        assert(n->due == n->done + n->dropped + n->refused + n->stopped);
        assert(n->done == n->ok + n->failed);
        ana_report_text(&run, true, &out);
        buf_reset(&out);
        ana_report_html(&run, &out);
        buf_reset(&out);
        ana_report_json(&run, &out);
        check_json(&out);
    }
    buf_done(&out);
    ana_run_done(&run);
}

static void compare(const char *a, const char *b)
{
    struct ana_compare_config config = {.a = &a,
                                        .b = &b,
                                        .a_count = 1,
                                        .b_count = 1,
                                        .alpha = 0.05,
                                        .error_margin = 0.001,
                                        .floor_ns = 1000,
                                        .charts = true};
    struct ana_comparison c;
    struct buf out = {0};

    if (ana_compare(&c, &config, NULL) == 0) {
        assert(c.verdict == ANA_INCONCLUSIVE ||
               c.verdict == ANA_INVALID); /* one pair */
        ana_compare_text(&c, true, &out);
        ana_compare_line(&c, &out);
        ana_compare_junit(&c, &out);
        ana_compare_html(&c, &out);
        buf_reset(&out);
        ana_compare_json(&c, &out);
        check_json(&out);
    }
    buf_done(&out);
    ana_comparison_done(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char a[40], b[40];
    int fd_a = memfd_create("a", 0), fd_b = memfd_create("b", 0);

    if (fd_a < 0 || fd_b < 0)
        abort();
    snprintf(a, sizeof a, "/proc/self/fd/%d", fd_a);
    snprintf(b, sizeof b, "/proc/self/fd/%d", fd_b);
    /* B is A without its last byte: mostly the same, sometimes not. */
    if (write_run(a, data, size) && write_run(b, data, size ? size - 1 : 0)) {
        report(a);
        compare(a, b);
    }
    close(fd_a);
    close(fd_b);
    return 0;
}
