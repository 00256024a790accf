/* test_screen.c - the text of the live view over the whole terminal.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <string.h>

#include "replay/screen.h"
#include "traces/base/clk.h"

static struct rep_progress progress;
static struct rep_tally tally;
static struct rep_health health;
static struct rep_progress_counts counts;
static struct rep_screen_view view;
static struct buf text;

static void add(enum out_cause cause, uint16_t status)
{
    struct outcome o = outcome_empty();
    o.cause = cause;
    o.status = status;
    o.due_ns = o.ready_ns = 0;
    o.sent_ns = 3 * CLK_US;
    o.first_ns = o.done_ns = 2 * CLK_MS;
    o.attempts = 1;
    (void)rep_tally_add(&tally, &o, NULL);
    rep_progress_add(&progress, &o);
}

static int setup(void **state)
{
    (void)state;
    if (rep_progress_init(&progress, NULL, NULL) < 0 ||
        rep_tally_init(&tally, NULL) < 0)
        return -1;
    progress.total = 8000;
    progress.span_ns = 8 * CLK_SEC;
    counts = (struct rep_progress_counts){
        .due = 2000, .sent = 1990, .in_flight = 7, .waiting = 3};
    health = (struct rep_health){.verdict = REP_VALID};
    view = (struct rep_screen_view){.title = "t.trace to envoy",
                                    .out = "t.run",
                                    .progress = &progress,
                                    .counts = &counts,
                                    .tally = &tally,
                                    .health = &health,
                                    .now_ns = 2 * CLK_SEC,
                                    .wall = {INT64_C(1800000000) * CLK_SEC}};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rep_progress_done(&progress);
    rep_tally_done(&tally);
    buf_done(&text);
    return 0;
}

static void all_that_matters_is_on_it(void **state)
{
    (void)state;
    for (int i = 0; i < 97; i++)
        add(OUT_OK, 200);
    add(OUT_STATUS, 503);
    add(OUT_STATUS, 503);
    add(OUT_RESET, 0);
    rep_screen_text(&view, 100, 200, &text);
    check_str_has(buf_text(&text), "reprise replay t.trace to envoy\n");
    check_str_has(buf_text(&text),
                  "position    2 s of 8 s (25 %), ends 2027-01-15T08:00:06.000Z\n");
    check_str_has(buf_text(&text), "operations  due 2000 of 8000, sent 1990, ok 97, "
                                   "failed 3, dropped 0, refused 0\n");
    check_str_has(buf_text(&text), "rate        due 1k/s, sent 995/s, done 50/s\n");
    check_str_has(buf_text(&text), "in flight   7, waiting 3\n");
    check_str_has(buf_text(&text), "  response, from due     p50 2 ms ");
    check_str_has(buf_text(&text), "health      VALID so far\n");
    check_str_has(buf_text(&text), "errors\n  http 503               2\n"
                                   "  reset                  1\n");
}

static void causes_and_held_lines_are_told(void **state)
{
    (void)state;
    health = (struct rep_health){
        .verdict = REP_INVALID, .count = 1, .causes = {{REP_INVALID, "steal", "much"}}};
    view.held = 3;
    rep_screen_text(&view, 100, 200, &text);
    check_str_has(buf_text(&text), "health      INVALID so far\n  steal: much\n");
    check_str_has(buf_text(&text), "log lines   3, shown at the end\n");
}

static void nothing_is_wider_or_longer_than_the_terminal(void **state)
{
    (void)state;
    for (unsigned rows = 1; rows < 30; rows++) {
        for (unsigned columns = 1; columns < 120; columns += 7) {
            unsigned lines = 0;
            buf_reset(&text);
            rep_screen_text(&view, rows, columns, &text);
            for (const char *at = buf_text(&text); *at; lines++) {
                size_t n = strcspn(at, "\n");
                check_int(n, <=, columns);
                at += n + 1;
            }
            check_int(lines, <=, rows);
            check_int(lines, >, 0);
        }
    }
}

static void what_is_over_time_ends_now(void **state)
{
    (void)state;
    view.now_ns = 9 * CLK_SEC;
    rep_screen_text(&view, 100, 200, &text);
    check_str_has(buf_text(&text), "(100 %), ends 2027-01-15T08:00:00.000Z\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_that_matters_is_on_it),
        TEST(causes_and_held_lines_are_told),
        TEST(nothing_is_wider_or_longer_than_the_terminal),
        TEST(what_is_over_time_ends_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
