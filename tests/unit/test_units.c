/*
 * test_units.c - what is written with units is read exactly, and printed readably.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <string.h>

#include "tests/unit/check.h"
#include "traces/base/units.h"

static void check_duration(const char *text, int64_t wanted)
{
    struct err e = {0};
    int64_t ns = -1;
    check_ok(units_duration(text, &ns, &e), &e);
    check_int(ns, ==, wanted);
}

static void durations_are_read_to_the_nanosecond(void **state)
{
    (void)state;
    check_duration("1ns", 1);
    check_duration("250us", 250000);
    check_duration("1.5s", 1500000000);
    check_duration("0.1s", 100000000);
    check_duration("2m", 120000000000);
    check_duration("1.5h", INT64_C(5400000000000));
    check_duration("007ms", 7000000);
    check_duration("1 s", 1000000000); /* as units_duration_text prints it */
    check_duration("0", 0);
    check_duration("0.0", 0);
    check_duration("0s", 0);
    check_duration("1.0000000000000000000000001s", 1000000000);
    check_duration("0.333333333333h", 1199999999999);
    check_duration("9223372036854775807ns", INT64_MAX);
    check_duration("9223372036.854775807s", INT64_MAX);
}

static void refused_duration(const char *text, const char *why)
{
    struct err e = {0};
    int64_t ns = 77;
    check_int(units_duration(text, &ns, &e), ==, ERR_USAGE);
    check_int(ns, ==, 77);
    check_str_has(e.text, text);
    check_str_has(e.text, why);
}

static void what_is_no_duration_is_refused_with_the_reason(void **state)
{
    (void)state;
    refused_duration("20", "needs a unit: ns us ms s m h");
    refused_duration("1.5", "needs a unit: ns us ms s m h");
    refused_duration("20 ", "needs a unit");
    refused_duration("20sec", "unknown unit; known are: ns us ms s m h");
    refused_duration("20S", "unknown unit");
    refused_duration("1s ", "unknown unit");
    refused_duration("1  s", "unknown unit");
    refused_duration("1s30ms", "unknown unit");
    refused_duration("1e3s", "unknown unit");
    refused_duration("-5s", "must not be negative");
    refused_duration("", "not a number with a unit: ns");
    refused_duration("s", "not a number with a unit");
    refused_duration(".5s", "not a number with a unit");
    refused_duration("1.s", "not a number with a unit");
    refused_duration("+1s", "not a number with a unit");
    refused_duration(" 1s", "not a number with a unit");
    refused_duration("infs", "not a number with a unit");
    refused_duration("9223372036854775808ns", "too large");
    refused_duration("99999999999999999999999999s", "too large");
    refused_duration("99999999999999999999999999", "needs a unit");
    refused_duration("2562048h", "too large");
    refused_duration("0.4ns", "less than 1 ns");
}

static void sizes_know_both_kinds_of_kilo(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } rows[] = {{"0", 0},
                {"1B", 1},
                {"1KB", 1000},
                {"1KiB", 1024},
                {"64MiB", 64 << 20},
                {"1.5GiB", UINT64_C(3) << 29},
                {"2GB", 2000000000},
                {"3MB", 3000000},
                {"18446744073709551615B", UINT64_MAX}};
    struct err e = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t bytes;
        check_ok(units_size(rows[i].text, &bytes, &e), &e);
        check_true(bytes == rows[i].bytes);
    }
    uint64_t bytes;
    check_int(units_size("4096", &bytes, &e), ==, ERR_USAGE);
    check_str(e.text, "'4096' needs a unit: B KB MB GB KiB MiB GiB");
    err_clear(&e);
    check_int(units_size("17179869184GiB", &bytes, &e), ==, ERR_USAGE);
    check_str_has(e.text, "too large");
    err_clear(&e);
    check_int(units_size("1kb", &bytes, &e), ==, ERR_USAGE);
    check_str_has(e.text, "unknown unit");
    err_clear(&e);
    check_int(units_size("0.2B", &bytes, &e), ==, ERR_USAGE);
    check_str_has(e.text, "less than 1 B");
}

static void rates_are_per_second(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double rate;
    } rows[] = {{"200", 200},   {"0", 0},       {"1.5k", 1500},
                {"200/s", 200}, {"12/m", 0.2},  {"3600/h", 1},
                {"2M", 2e6},    {"1.5k/m", 25}, {"0.001", 0.001}};
    struct err e = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double rate;
        check_ok(units_rate(rows[i].text, &rate, &e), &e);
        check_true(rate == rows[i].rate);
    }
    static const char *const bad[] = {"",     "k",   "-1",    "1/",   "1/d",
                                      "1 /s", "1kk", "1/s/s", "0x10", "1e3",
                                      "nan",  "inf", "1,5",   "1.",   "1/sec"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        double rate = 77;
        err_clear(&e);
        check_int(units_rate(bad[i], &rate, &e), ==, ERR_USAGE);
        check_true(rate == 77);
        check_str_has(e.text, bad[i]);
    }
    char huge[400];
    memset(huge, '9', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    double rate;
    err_clear(&e);
    check_int(units_rate(huge, &rate, &e), ==, ERR_USAGE);
    check_str_has(e.text, "too large");
}

static void plain_numbers_are_whole_or_real(void **state)
{
    (void)state;
    struct err e = {0};
    uint64_t u = 7;
    check_ok(units_u64("18446744073709551615", &u, &e), &e);
    check_true(u == UINT64_MAX);
    static const char *const no_u64[] = {"",   "x",   "1.0", "1x", "+1",
                                         " 1", "1e3", "0x1", "-1"};
    for (size_t i = 0; i < sizeof no_u64 / sizeof *no_u64; i++) {
        err_clear(&e);
        check_int(units_u64(no_u64[i], &u, &e), ==, ERR_USAGE);
        check_str_has(e.text, no_u64[i]);
    }
    check_str_has(e.text, "negative");
    err_clear(&e);
    check_int(units_u64("18446744073709551616", &u, &e), ==, ERR_USAGE);
    check_str_has(e.text, "larger than 18446744073709551615");
    check_true(u == UINT64_MAX);

    double f = 7;
    check_ok(units_f64("-1.5e-3", &f, NULL), NULL);
    check_true(f == -1.5e-3);
    static const char *const no_f64[] = {"",   "x",   "1x", "nan",   "inf", " 1",
                                         "1 ", "0x1", "1e", "1e999", "--1", "."};
    for (size_t i = 0; i < sizeof no_f64 / sizeof *no_f64; i++) {
        err_clear(&e);
        check_int(units_f64(no_f64[i], &f, &e), ==, ERR_USAGE);
        check_str_has(e.text, no_f64[i]);
    }
    check_true(f == -1.5e-3);
}

static void durations_print_three_figures_in_the_unit_that_fits(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        const char *text;
    } rows[] = {{0, "0 ns"},
                {1, "1 ns"},
                {999, "999 ns"},
                {1000, "1 us"},
                {1249, "1.25 us"},
                {12345, "12.3 us"},
                {123456, "123 us"},
                {999499, "999 us"},
                {999500, "1 ms"}, /* not "1000 us" */
                {1250000, "1.25 ms"},
                {1500000000, "1.5 s"},
                {59990000000, "1 m"},
                {90000000000, "1.5 m"},
                {3600000000000, "1 h"},
                {-1250000, "-1.25 ms"},
                {INT64_MAX, "2562048 h"},
                {INT64_MIN, "-2562048 h"}};
    char text[UNITS_TEXT_MAX];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_str(units_duration_text(rows[i].ns, text), rows[i].text);
}

static void sizes_and_rates_print_likewise(void **state)
{
    (void)state;
    char text[UNITS_TEXT_MAX];
    check_str(units_size_text(0, text), "0 B");
    check_str(units_size_text(1023, text), "1023 B");
    check_str(units_size_text(1000, text), "1000 B");
    check_str(units_size_text(1536, text), "1.5 KiB");
    check_str(units_size_text(64 << 20, text), "64 MiB");
    check_str(units_size_text(UINT64_MAX, text), "17179869184 GiB");
    check_str(units_rate_text(0, text), "0/s");
    check_str(units_rate_text(200, text), "200/s");
    check_str(units_rate_text(12345, text), "12.3k/s");
    check_str(units_rate_text(999.7, text), "1k/s");
    check_str(units_rate_text(1.5e6, text), "1.5M/s");
    check_str(units_rate_text(0.2, text), "0.2/s");
    check_str(units_rate_text(0.01234, text), "0.0123/s");
    check_str(units_rate_text(-5, text), "-5/s");
    check_str(units_rate_text(NAN, text), "nan/s");
    check_str(units_rate_text(INFINITY, text), "inf/s");
    check_str(units_rate_text(1e300, text), "1e+300/s");
}

/* What is printed reads back within the half of the last figure. */
static void printed_values_read_back(void **state)
{
    (void)state;
    char text[UNITS_TEXT_MAX];
    struct err e = {0};
    for (double v = 1; v < 9e18; v *= 1.37) {
        int64_t ns;
        uint64_t bytes;
        double rate, back;
        check_ok(units_duration(units_duration_text((int64_t)v, text), &ns, &e), &e);
        back = (double)ns;
        check_true(fabs(back - floor(v)) <= 0.00501 * v);
        check_ok(units_size(units_size_text((uint64_t)v, text), &bytes, &e), &e);
        back = (double)bytes;
        check_true(fabs(back - floor(v)) <= 0.00501 * v);
        check_ok(units_rate(units_rate_text(v / 1e9, text), &rate, &e), &e);
        check_true(fabs(rate - v / 1e9) <= 0.00501 * v / 1e9);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read_to_the_nanosecond),
        cmocka_unit_test(what_is_no_duration_is_refused_with_the_reason),
        cmocka_unit_test(sizes_know_both_kinds_of_kilo),
        cmocka_unit_test(rates_are_per_second),
        cmocka_unit_test(plain_numbers_are_whole_or_real),
        cmocka_unit_test(durations_print_three_figures_in_the_unit_that_fits),
        cmocka_unit_test(sizes_and_rates_print_likewise),
        cmocka_unit_test(printed_values_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
