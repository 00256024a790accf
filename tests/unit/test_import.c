/*
 * test_import.c - foreign rows read, refused, sorted; grids found and spread; windows
 * run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/check.h"
#include "traces/base/buf.h"
#include "traces/base/clk.h"
#include "traces/import/imp_azure.h"
#include "traces/import/imp_burst.h"
#include "traces/import/imp_grid.h"
#include "traces/import/imp_mooncake.h"
#include "traces/import/imp_servegen.h"
#include "traces/synth/when.h"

typedef int read_fn(struct zin *in, struct imp_rows *rows, struct err *e);

static int read_text(read_fn *read, const char *text, struct imp_rows *rows,
                     struct err *e)
{
    struct zin *in;
    *rows = (struct imp_rows){0};
    check_ok(zin_open_bytes(&in, span_str(text), e), e);
    int rc = read(in, rows, e);
    zin_close(in);
    return rc;
}

static void refused(read_fn *read, const char *text, enum err_code code,
                    const char *says)
{
    struct imp_rows rows;
    struct err e = {0};
    int rc = read_text(read, text, &rows, &e);
    if (rc != code)
        fail_msg("'%s' gave %d (%s), wanted %d", text, rc, e.text, code);
    check_str_has(e.text, says);
    imp_rows_done(&rows);
}

/* --- moments -------------------------------------------------------------------------
 */

static int64_t moment(const char *text)
{
    struct clk_wall t = {0};
    struct err e = {0};
    check_ok(when_parse(span_str(text), &t, &e), &e);
    return t.ns;
}

static void moments_are_read_to_the_nanosecond(void **state)
{
    (void)state;
    check_int(moment("1970-01-01 00:00:00"), ==, 0);
    check_int(moment("2023-11-16 18:17:03.9799600"), ==, INT64_C(1700158623979960000));
    check_int(moment("2023-11-16T18:17:03.97996Z"), ==, INT64_C(1700158623979960000));
    check_int(moment("2023-11-16T19:17:03.97996+01:00"), ==,
              INT64_C(1700158623979960000));
    check_int(moment("2024-02-29 23:59:59.999999999"), ==,
              INT64_C(1709251199999999999));
    check_int(moment("2000-03-01 00:00:00"), ==, INT64_C(951868800000000000));
}

static void impossible_moments_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "2023-11-16",
                                        "2023-13-16 00:00:00",
                                        "2023-02-29 00:00:00",
                                        "1969-12-31 23:59:59",
                                        "2036-01-01 00:00:00",
                                        "2023-11-16 24:00:00",
                                        "2023-11-16 00:60:00",
                                        "2023-11-16 00:00:60",
                                        "2023-11-16 00:00:00.",
                                        "2023-11-16 00:00:00.1234567890",
                                        "2023-11-16 00:00:00x",
                                        "2023-11-16 00:00:00+1:00",
                                        "2023-11-16 00:00:00+24:00",
                                        "2023/11/16 00:00:00",
                                        "-023-11-16 00:00:00"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct clk_wall t;
        struct err e = {0};
        if (when_parse(span_str(texts[i]), &t, &e) != ERR_FORMAT)
            fail_msg("'%s' was taken", texts[i]);
        check_str_has(e.text, "is not a time");
    }
}

/* --- rows ----------------------------------------------------------------------------
 */

#define AZURE "TIMESTAMP,ContextTokens,GeneratedTokens\n"

static void azure_rows_are_read_whatever_the_order_of_columns(void **state)
{
    (void)state;
    struct imp_rows rows;
    struct err e = {0};
    check_ok(read_text(imp_azure_read,
                       AZURE "2023-11-16 18:15:46.6805900,374,44\r\n"
                             "2023-11-16 18:15:50.9951690,396,109",
                       &rows, &e),
             &e);
    check_int(rows.n, ==, 2);
    check_true(rows.has_calendar);
    check_int(rows.v[0].at_ns, ==, INT64_C(1700158546680590000));
    check_int(rows.v[0].tokens_in, ==, 374);
    check_int(rows.v[0].tokens_out, ==, 44);
    check_int(rows.v[1].at_ns - rows.v[0].at_ns, ==, INT64_C(4314579000));
    imp_rows_done(&rows);
    check_ok(read_text(imp_azure_read,
                       "NumImages,GeneratedTokens,TIMESTAMP,ContextTokens\n"
                       "9,44,2023-11-16 18:15:46,374\n",
                       &rows, &e),
             &e);
    check_int(rows.v[0].tokens_in, ==, 374);
    check_int(rows.v[0].tokens_out, ==, 44);
    imp_rows_done(&rows);
}

static void azure_faults_name_line_and_column(void **state)
{
    (void)state;
    static const char good[] = "2023-11-16 18:15:46.6805900";
    char text[512];
    static const struct {
        const char *row, *says;
    } rows[] = {
        {"x,1,2", "line 3: 'x' is not a time"},
        {"%s,-1,2", "line 3: ContextTokens '-1' is not a number of plain digits"},
        {"%s,1,2.5", "line 3: GeneratedTokens '2.5'"},
        {"%s,nan,2", "line 3: ContextTokens 'nan'"},
        {"%s,1,99999999999",
         "line 3: GeneratedTokens 99999999999 is not in 0..2147483647"},
        {"%s,1,99999999999999999999", "line 3: GeneratedTokens '99999999999999999999'"},
        {"%s,1", "line 3: 2 columns, where the header has 3"},
        {"%s,1,2,3", "line 3: 4 columns"},
        {"\"%s\",1,2", "line 3: quotes"},
        {"", "line 3: 1 columns"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char row[256];
        const char *mark = strstr(rows[i].row, "%s");
        if (mark)
            snprintf(row, sizeof row, "%.*s%s%s", (int)(mark - rows[i].row),
                     rows[i].row, good, mark + 2);
        else
            snprintf(row, sizeof row, "%s", rows[i].row);
        snprintf(text, sizeof text, AZURE "%s,1,2\n%s\n%s,1,2\n", good, row, good);
        refused(imp_azure_read, text, ERR_FORMAT, rows[i].says);
    }
    refused(imp_azure_read, "", ERR_FORMAT, "empty");
    refused(imp_azure_read, AZURE, ERR_FORMAT, "no rows");
    refused(imp_azure_read, "a,b,c\n", ERR_FORMAT,
            "line 1: the header has no column 'TIMESTAMP'");
    refused(imp_azure_read, "TIMESTAMP,ContextTokens,GeneratedTokens,TIMESTAMP\n",
            ERR_FORMAT, "more than one column 'TIMESTAMP'");
}

static void mooncake_rows_are_read(void **state)
{
    (void)state;
    struct imp_rows rows;
    struct err e = {0};
    check_ok(
        read_text(
            imp_mooncake_read,
            "{\"timestamp\": 27482, \"input_length\": 6955, \"output_length\": 52, "
            "\"hash_ids\": [46, 47]}\n"
            "{\"timestamp\": 30535.5, \"input_length\": 1, \"output_length\": 0}\n",
            &rows, &e),
        &e);
    check_int(rows.n, ==, 2);
    check_true(!rows.has_calendar);
    check_int(rows.v[0].at_ns, ==, 27482 * CLK_MS);
    check_int(rows.v[0].tokens_in, ==, 6955);
    check_int(rows.v[1].at_ns, ==, 30535500 * CLK_US);
    imp_rows_done(&rows);
}

static void mooncake_faults_name_line_and_member(void **state)
{
    (void)state;
    static const struct {
        const char *row, *says;
    } rows[] = {
        {"{", "line 1: not JSON"},
        {"[]", "line 1: not a JSON object"},
        {"", "line 1: not JSON"},
        {"{\"input_length\":1,\"output_length\":1}", "'timestamp' is missing"},
        {"{\"timestamp\":\"1\",\"input_length\":1,\"output_length\":1}",
         "'timestamp' is not a number"},
        {"{\"timestamp\":-1,\"input_length\":1,\"output_length\":1}", "timestamp -1"},
        {"{\"timestamp\":1e300,\"input_length\":1,\"output_length\":1}",
         "timestamp 1e+300"},
        {"{\"timestamp\":NaN,\"input_length\":1,\"output_length\":1}", "not JSON"},
        {"{\"timestamp\":1,\"input_length\":1.5,\"output_length\":1}",
         "'input_length' is not a whole number"},
        {"{\"timestamp\":1,\"input_length\":1,\"output_length\":-1}",
         "output_length -1"},
        {"{\"timestamp\":1,\"timestamp\":2,\"input_length\":1,\"output_length\":1}",
         "not JSON: duplicate"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        refused(imp_mooncake_read, rows[i].row[0] ? rows[i].row : "\n", ERR_FORMAT,
                rows[i].says);
    refused(imp_mooncake_read, "", ERR_FORMAT, "the file is empty");
}

static void
rows_out_of_order_are_counted_and_sorted_without_swapping_equals(void **state)
{
    (void)state;
    struct imp_rows rows = {0};
    struct err e = {0};
    struct rng r;
    rng_init(&r, 4);
    for (uint64_t i = 0; i < 1000; i++)
        check_ok(imp_rows_add(&rows, (int64_t)rng_below(&r, 50), i, 0, &e), &e);
    check_true(rows.steps_back > 300 && rows.steps_back < 600);
    check_true(rows.worst_back_ns > 40 && rows.worst_back_ns < 50);
    check_ok(imp_rows_sort(&rows, &e), &e);
    for (size_t i = 1; i < rows.n; i++) {
        check_true(rows.v[i - 1].at_ns <= rows.v[i].at_ns);
        if (rows.v[i - 1].at_ns == rows.v[i].at_ns)
            check_true(rows.v[i - 1].tokens_in < rows.v[i].tokens_in);
    }
    check_int(imp_rows_add(&rows, -1, 0, 0, &e), ==, ERR_LIMIT);
    err_clear(&e);
    check_int(imp_rows_add(&rows, INT64_MAX, 0, 0, &e), ==, ERR_LIMIT);
    imp_rows_done(&rows);
}

/* --- grids ---------------------------------------------------------------------------
 */

/* n Poisson arrivals at rate per second, rounded down to a grid beyond phase. */
static struct imp_rows poisson(size_t n, double rate, int64_t grid_ns, int64_t phase_ns)
{
    struct imp_rows rows = {0};
    struct err e = {0};
    struct rng r;
    rng_init(&r, 21);
    double t = 1000;
    for (size_t i = 0; i < n; i++) {
        t += rng_exponential(&r) / rate;
        int64_t ns = (int64_t)(t * 1e9);
        ns = ns / grid_ns * grid_ns + phase_ns;
        check_ok(imp_rows_add(&rows, ns, i, 0, &e), &e);
    }
    return rows;
}

static struct imp_grid grid_of(const struct imp_rows *rows)
{
    struct imp_grid g;
    imp_grid_find(rows, &g);
    return g;
}

static void each_grid_is_found_with_its_phase(void **state)
{
    (void)state;
    static const int64_t grids[] = {CLK_SEC, 3 * CLK_SEC, 60 * CLK_SEC, 3600 * CLK_SEC};
    for (size_t i = 0; i < sizeof grids / sizeof *grids; i++) {
        double rate = 2e9 / (double)grids[i]; /* two per cell */
        struct imp_rows rows = poisson(5000, rate, grids[i], 123456789);
        struct imp_grid g = grid_of(&rows);
        check_int(g.period_ns, ==, grids[i]);
        check_int(g.phase_ns, ==, 123456789);
        check_true(g.matters && g.share == 1);
        /* Of n rows in cells with Poisson(2) counts, (1 - e^-2) / 2 are first in
         * theirs. */
        check_true(fabs(g.ties - (1 - (1 - exp(-2)) / 2)) < 0.02);
        imp_rows_done(&rows);
    }
}

static void times_off_the_grid_by_a_millisecond_still_lie_on_it(void **state)
{
    (void)state;
    struct imp_rows rows = poisson(5000, 3.4, 3 * CLK_SEC, 0);
    struct rng r;
    rng_init(&r, 2);
    for (size_t i = 0; i < rows.n;
         i++) /* as in Mooncake's file: 0, -1 ms, rarely more */
        rows.v[i].at_ns -= rng_below(&r, 4) == 0    ? CLK_MS
                           : rng_below(&r, 50) == 0 ? -7 * CLK_MS
                                                    : 0;
    struct err e = {0};
    check_ok(imp_rows_sort(&rows, &e), &e);
    struct imp_grid g = grid_of(&rows);
    check_int(g.period_ns, ==, 3 * CLK_SEC);
    check_int(g.phase_ns, ==, 0);
    check_true(g.matters && g.share > 0.97 && g.share < 1);
    char text[IMP_GRID_TEXT_MAX];
    check_str_has(imp_grid_text(&g, rows.n, text), "3 s grid: 98");
    imp_rows_done(&rows);
}

static void free_times_have_no_grid(void **state)
{
    (void)state;
    struct imp_rows rows = poisson(5000, 3.4, 1, 0);
    struct imp_grid g = grid_of(&rows);
    check_int(g.period_ns, ==, 0);
    check_true(!g.matters);
    imp_rows_done(&rows);
}

static void milliseconds_matter_only_where_arrivals_are_dense(void **state)
{
    (void)state;
    struct imp_rows rows = poisson(5000, 3.4, CLK_MS, 0);
    struct imp_grid g = grid_of(&rows);
    check_int(g.period_ns, ==, CLK_MS);
    check_true(!g.matters);
    imp_rows_done(&rows);
    rows = poisson(5000, 500, CLK_MS, 0);
    g = grid_of(&rows);
    check_int(g.period_ns, ==, CLK_MS);
    check_true(g.matters);
    imp_rows_done(&rows);
}

static void equal_times_on_no_grid_matter_too(void **state)
{
    (void)state;
    struct imp_rows rows = poisson(500, 3, 1, 0);
    struct err e = {0};
    for (size_t i = 1; i < rows.n; i += 4)
        rows.v[i].at_ns = rows.v[i - 1].at_ns;
    struct imp_grid g = grid_of(&rows);
    check_int(g.period_ns, ==, 0);
    check_true(g.matters);
    char text[IMP_GRID_TEXT_MAX];
    check_str_has(imp_grid_text(&g, rows.n, text), "25 % of 500 rows repeat the time");
    imp_rows_done(&rows);
    rows = (struct imp_rows){0};
    for (int i = 0; i < 100; i++) /* all at once: no cell can be told */
        check_ok(imp_rows_add(&rows, CLK_SEC, 0, 0, &e), &e);
    g = grid_of(&rows);
    check_true(g.period_ns == 0 && g.matters);
    imp_rows_done(&rows);
}

static void one_or_two_rows_are_not_judged(void **state)
{
    (void)state;
    struct imp_rows rows = {0};
    struct err e = {0};
    check_ok(imp_rows_add(&rows, 5 * CLK_SEC, 0, 0, &e), &e);
    check_true(!grid_of(&rows).matters);
    check_ok(imp_rows_add(&rows, 6 * CLK_SEC, 0, 0, &e), &e);
    check_true(!grid_of(&rows).matters);
    imp_rows_done(&rows);
}

static void spreading_is_uniform_within_each_cell_and_keeps_order(void **state)
{
    (void)state;
    struct imp_rows rows = poisson(20000, 3.4, 3 * CLK_SEC, 5 * CLK_MS);
    int64_t *before = malloc(rows.n * sizeof *before);
    check_true(before != NULL);
    for (size_t i = 0; i < rows.n; i++)
        before[i] = rows.v[i].at_ns;
    struct imp_grid g = grid_of(&rows);
    check_int(g.phase_ns, ==, 5 * CLK_MS);
    struct err e = {0};
    struct rng r;
    rng_init(&r, 8);
    check_ok(imp_grid_spread(&rows, &g, &r, &e), &e);
    double sum = 0, squares = 0;
    for (size_t i = 0; i < rows.n; i++) {
        check_int(rows.v[i].tokens_in, ==, i); /* nobody overtook */
        check_true(rows.v[i].spread);
        check_true(i == 0 || rows.v[i].at_ns >= rows.v[i - 1].at_ns);
        double u = (double)(rows.v[i].at_ns - before[i]) / 3e9;
        check_true(u >= 0 && u < 1);
        sum += u;
        squares += u * u;
    }
    double n = (double)rows.n, mean = sum / n;
    check_true(fabs(mean - 0.5) < 3.3 * sqrt(1 / 12.0 / n));
    check_true(fabs(squares / n - mean * mean - 1 / 12.0) < 0.002);
    check_true(!grid_of(&rows).matters); /* and the grid is gone */
    free(before);
    imp_rows_done(&rows);
}

static void rows_off_the_grid_keep_their_times(void **state)
{
    (void)state;
    struct imp_rows rows = poisson(1000, 3.4, CLK_SEC, 0);
    struct err e = {0};
    for (size_t i = 0; i < rows.n; i += 20)
        rows.v[i].at_ns += 300 * CLK_MS;
    check_ok(imp_rows_sort(&rows, &e), &e);
    struct imp_grid g = grid_of(&rows);
    check_int(g.period_ns, ==, CLK_SEC);
    struct rng r;
    rng_init(&r, 8);
    check_ok(imp_grid_spread(&rows, &g, &r, &e), &e);
    size_t kept = 0;
    for (size_t i = 0; i < rows.n; i++)
        if (!rows.v[i].spread) {
            check_int(rows.v[i].at_ns % CLK_SEC, ==, 300 * CLK_MS);
            kept++;
        }
    check_int(kept, ==, 50);
    imp_rows_done(&rows);
}

/* --- servegen ------------------------------------------------------------------------
 */

#define SERVEGEN "client,window_start_s,rate_rps,iat_cv,family,shape,scale\n"

static int windows_of(const char *text, const struct imp_span *span, uint64_t seed,
                      struct imp_servegen **s, struct err *e)
{
    struct zin *in;
    check_ok(zin_open_bytes(&in, span_str(text), e), e);
    int rc = imp_servegen_read(s, in, span, seed, e);
    zin_close(in);
    return rc;
}

static const char two_clients[] = SERVEGEN "3,0,2,1,Gamma,1,0.5\n"
                                           "3,600,0,0,,0,0\n"
                                           "3,1200,5,3,Weibull,0.5,0.1\n"
                                           "7,0,0,0,,0,0\n"
                                           "7,600,1,4,Gamma,0.0625,16\n"
                                           "7,1200,1,0.5,Gamma,4,0.25\n";

static void windows_give_their_rates_to_their_clients(void **state)
{
    (void)state;
    const struct imp_span all = {0, 3600 * CLK_SEC, NULL};
    double counts[2][3] = {{0}};
    enum { RUNS = 300 };
    for (uint64_t seed = 0; seed < RUNS; seed++) {
        struct imp_servegen *s;
        struct err e = {0};
        check_ok(windows_of(two_clients, &all, seed, &s, &e), &e);
        struct imp_servegen_info info = imp_servegen_info(s);
        check_int(info.clients, ==, 2);
        check_int(info.windows, ==, 4);
        check_int(info.window_ns, ==, 600 * CLK_SEC);
        check_true(info.expected == 1200 + 3000 + 600 + 600);
        int64_t at, last = 0;
        uint32_t client;
        while (imp_servegen_next(s, &at, &client)) {
            check_true(at >= last && at < 1800 * CLK_SEC);
            check_true(client == 3 || client == 7);
            counts[client == 7][at / (600 * CLK_SEC)]++;
            last = at;
        }
        check_true(!imp_servegen_next(s, &at, &client));
        imp_servegen_free(s);
    }
    static const double wanted[2][3] = {{1200, 0, 3000}, {0, 600, 600}};
    static const double cvs[2][3] = {{1, 0, 2.24}, {0, 4, 0.5}};
    for (int c = 0; c < 2; c++)
        for (int w = 0; w < 3; w++) {
            double error = cvs[c][w] * sqrt(wanted[c][w] / RUNS);
            if (fabs(counts[c][w] / RUNS - wanted[c][w]) > 3.5 * error)
                fail_msg("client %d window %d: %g arrivals, wanted %g (error %g)", c, w,
                         counts[c][w] / RUNS, wanted[c][w], error);
        }
}

static void a_part_gives_what_the_whole_gives_there(void **state)
{
    (void)state;
    const struct imp_span all = {0, 1800 * CLK_SEC, NULL};
    bool *only = calloc(IMP_CLIENTS_MAX, sizeof *only);
    check_true(only != NULL);
    only[3] = true;
    const struct imp_span part = {500 * CLK_SEC, 900 * CLK_SEC, only};
    struct imp_servegen *whole, *cut;
    struct err e = {0};
    check_ok(windows_of(two_clients, &all, 5, &whole, &e), &e);
    check_ok(windows_of(two_clients, &part, 5, &cut, &e), &e);
    check_true(imp_servegen_info(cut).expected == 200 + 1000);
    int64_t at, cut_at;
    uint32_t client, cut_client;
    size_t n = 0;
    while (imp_servegen_next(whole, &at, &client)) {
        if (client != 3 || at < 500 * CLK_SEC || at >= 1400 * CLK_SEC)
            continue;
        check_true(imp_servegen_next(cut, &cut_at, &cut_client));
        check_int(cut_client, ==, 3);
        check_int(cut_at, ==, at - 500 * CLK_SEC);
        n++;
    }
    check_true(!imp_servegen_next(cut, &cut_at, &cut_client));
    check_true(n > 800);
    imp_servegen_free(whole);
    imp_servegen_free(cut);
    free(only);
}

static void servegen_faults_name_line_and_column(void **state)
{
    (void)state;
    static const struct {
        const char *row, *says;
    } rows[] = {
        {"70000,0,0,0,,0,0", "line 2: client 70000 is not in 0..65535"},
        {"-1,0,0,0,,0,0", "line 2: client '-1'"},
        {"0,1.5,0,0,,0,0", "line 2: window_start_s '1.5'"},
        {"0,0,nan,0,,0,0", "line 2: rate_rps 'nan'"},
        {"0,0,inf,0,,0,0", "line 2: rate_rps 'inf'"},
        {"0,0,-1,0,,0,0", "line 2: rate_rps -1 is not in 0..1e+06"},
        {"0,0,1e7,0,Gamma,1,1", "line 2: rate_rps 1e7"},
        {"0,0,1e,0,Gamma,1,1", "line 2: rate_rps '1e'"},
        {"0,0,1,-2,Gamma,1,1", "line 2: iat_cv -2"},
        {"0,0,1,1,Pareto,1,1", "line 2: family 'Pareto'"},
        {"0,0,1,1,,1,1", "line 2: rate_rps 1 without a family"},
        {"0,0,1,1,Gamma,0,1", "line 2: gamma shape 0"},
        {"0,0,1,1,Weibull,0.001,1", "line 2: weibull shape 0.001"},
        {"0,0,1,1,Gamma,1", "line 2: 6 columns"},
        {"0,0,1,1,Gamma,1,1\n0,600,1,1,Gamma,1,1\n0,600,1,1,Gamma,1,1",
         "line 4: the window of client 0 at 600 s overlaps the one of line 3"},
        {"0,0,0,0,,0,0", "no window with a rate above 0"},
        {"0,7200,1,1,Gamma,1,1\n0,0,0,0,,0,0", "no window with a rate above 0"},
    };
    const struct imp_span hour = {0, 3600 * CLK_SEC, NULL};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[512];
        snprintf(text, sizeof text, SERVEGEN "%s\n", rows[i].row);
        struct imp_servegen *s;
        struct err e = {0};
        if (windows_of(text, &hour, 1, &s, &e) != ERR_FORMAT)
            fail_msg("'%s' was taken (%s)", rows[i].row, e.text);
        check_true(s == NULL && e.code == ERR_FORMAT);
        check_str_has(e.text, rows[i].says);
    }
    struct imp_servegen *s;
    struct err e = {0};
    check_int(windows_of("a,b\n", &hour, 1, &s, &e), ==, ERR_FORMAT);
    check_str_has(e.text, "line 1: the header has no column 'client'");
}

/* --- BurstGPT ------------------------------------------------------------------------
 */

static int read_burst(struct zin *in, struct imp_rows *rows, struct err *e)
{
    struct imp_burst b = {.log_type = "Conversation log"};
    return imp_burst_read(in, &b, rows, e);
}

#define BURST_HEAD                                                                     \
    "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Log "      \
    "Type\n"

static void sessions_and_elapsed_times_are_kept_where_a_row_has_them(void **state)
{
    (void)state;
    struct imp_rows rows;
    struct err e = {0};
    static const struct imp_row want[] = {
        {5000000000, 472, 18, 0, 0, 1500},
        {5000000001, 1, 0, 0, OP_NONE, OP_NONE},
        {7000000000, 2, 3, 0, 1, 0},
        {9000000000, 4, 5, 0, 0, 4294967294},
    };
    check_ok(read_text(read_burst,
                       BURST_HEAD "5,a,1.4995,ChatGPT,472,18,Conversation log\n"
                                  "6,a,1.4995,ChatGPT,472,18,API log\n"
                                  "5.000000001,,,GPT-4,1,0,Conversation log\n"
                                  "7.0,b,0.0004999,GPT-4,2,3,Conversation log\n"
                                  "9,a,4294967.2944,GPT-4,4,5,Conversation log\n",
                       &rows, &e),
             &e);
    check_int(rows.n, ==, 4);
    check_true(!rows.has_calendar);
    for (size_t i = 0; i < rows.n; i++) {
        check_int(rows.v[i].at_ns, ==, want[i].at_ns);
        check_int(rows.v[i].tokens_in, ==, want[i].tokens_in);
        check_int(rows.v[i].tokens_out, ==, want[i].tokens_out);
        check_int(rows.v[i].client, ==, want[i].client);
        check_int(rows.v[i].took_ms, ==, want[i].took_ms);
    }
    imp_rows_done(&rows);
}

static void rows_that_are_none_of_burstgpt_are_refused(void **state)
{
    (void)state;
    refused(read_burst, "Timestamp,Model,Request tokens\n", ERR_FORMAT,
            "the header has no column 'Response tokens'");
    refused(read_burst, "Timestamp,Model,Request tokens,Response tokens\n", ERR_FORMAT,
            "the header has no column 'Log Type'");
    refused(read_burst, "Timestamp,Timestamp,Model,Request tokens,Response tokens\n",
            ERR_FORMAT, "the header has more than one column 'Timestamp'");
    refused(read_burst, BURST_HEAD, ERR_FORMAT, "a header and no rows");
    refused(read_burst, BURST_HEAD "1,,,m,1,1,API log\n", ERR_FORMAT,
            "no row of that Model and Log Type");
    refused(read_burst, BURST_HEAD "-1,,,m,1,1,API log\n", ERR_FORMAT,
            "line 2: Timestamp '-1' is not a number of seconds");
    refused(read_burst, BURST_HEAD "1,,nan,m,1,1,Conversation log\n", ERR_FORMAT,
            "line 2: Elapsed time 'nan' is not a number of seconds");
    refused(read_burst, BURST_HEAD "1,,4294967.2946,m,1,1,Conversation log\n",
            ERR_LIMIT, "line 2: Elapsed time of more than 49 days");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_and_elapsed_times_are_kept_where_a_row_has_them),
        cmocka_unit_test(rows_that_are_none_of_burstgpt_are_refused),
        cmocka_unit_test(moments_are_read_to_the_nanosecond),
        cmocka_unit_test(impossible_moments_are_refused),
        cmocka_unit_test(azure_rows_are_read_whatever_the_order_of_columns),
        cmocka_unit_test(azure_faults_name_line_and_column),
        cmocka_unit_test(mooncake_rows_are_read),
        cmocka_unit_test(mooncake_faults_name_line_and_member),
        cmocka_unit_test(
            rows_out_of_order_are_counted_and_sorted_without_swapping_equals),
        cmocka_unit_test(each_grid_is_found_with_its_phase),
        cmocka_unit_test(times_off_the_grid_by_a_millisecond_still_lie_on_it),
        cmocka_unit_test(free_times_have_no_grid),
        cmocka_unit_test(milliseconds_matter_only_where_arrivals_are_dense),
        cmocka_unit_test(equal_times_on_no_grid_matter_too),
        cmocka_unit_test(one_or_two_rows_are_not_judged),
        cmocka_unit_test(spreading_is_uniform_within_each_cell_and_keeps_order),
        cmocka_unit_test(rows_off_the_grid_keep_their_times),
        cmocka_unit_test(windows_give_their_rates_to_their_clients),
        cmocka_unit_test(a_part_gives_what_the_whole_gives_there),
        cmocka_unit_test(servegen_faults_name_line_and_column),
    };
    return cmocka_run_group_tests_name("import", tests, NULL, NULL);
}
