/* test_json_scan.c - traces/payload/json_scan and base64.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "traces/base/rng.h"
#include "traces/payload/base64.h"
#include "traces/payload/json_scan.h"

static struct arena arena;
static struct err e;

static int clean(void **state)
{
    (void)state;
    arena_done(&arena);
    e = (struct err){0};
    return 0;
}

/* Skips over a whole text, from a copy that ends where the heap block ends. */
static int skim(struct span text, struct err *why)
{
    struct json_scan s;
    uint8_t *exact = malloc(text.n ? text.n : 1);
    assert_non_null(exact);
    if (text.n)
        memcpy(exact, text.p, text.n);
    json_scan_init(&s, span_of(exact, text.n), &arena, why);
    json_scan_skip(&s);
    int rc = json_scan_end(&s);
    free(exact);
    return rc;
}

static void wrong(const char *text, uint64_t at, const char *why)
{
    check_int(skim(span_str(text), &e), ==, ERR_FORMAT);
    check_str_has(e.text, why);
    check_true(e.has_at);
    check_int(e.at, ==, at);
    err_clear(&e);
}

static void right(const char *text)
{
    check_ok(skim(span_str(text), &e), &e);
}

static void values_of_all_kinds_are_taken(void **state)
{
    (void)state;
    right(" {\"a\" : [ 1 , -0.5e+3 , \"x\" , true , false , null , {} , [] ] , \"\" : "
          "0 } ");
    right("0");
    right("\"\\u00e9\\ud83d\\ude00\\n\\/\"");
}

static void every_fault_has_its_place(void **state)
{
    (void)state;
    wrong("", 0, "unexpected end");
    wrong("[1,]", 3, "not a JSON value");
    wrong("[1 2]", 3, "expected ',' or ']'");
    wrong("{\"a\" 1}", 5, "expected ':'");
    wrong("{\"a\":1,}", 7, "expected a member name");
    wrong("{1:2}", 1, "expected a member name");
    wrong("[1", 2, "unexpected end");
    wrong("{\"a\":1", 6, "unexpected end");
    wrong("[1}", 2, "expected ',' or ']'");
    wrong("nul", 0, "not a JSON value");
    wrong("[01]", 2, "malformed number");
    wrong("[1.]", 3, "malformed number");
    wrong("[-]", 2, "malformed number");
    wrong("[1e]", 3, "malformed number");
    wrong("[+1]", 1, "not a JSON value");
    wrong("\"ab", 3, "string without an end");
    wrong("\"a\\\"", 4, "string without an end");
    wrong("\"a\nb\"", 2, "control character");
    wrong("[\"\\x\"]", 2, "bad escape");
    wrong("[\"ab\\ud800\"]", 4, "bad escape");
    wrong("[\"\\udc00\\ud800\"]", 2, "bad escape");
    wrong("[\"\\u12g4\"]", 2, "bad escape");
    wrong("[\"a\xff\"]", 3, "not UTF-8");
    wrong("[\"\xc0\x80\"]", 2, "not UTF-8");
    wrong("[\"\xed\xa0\x80\"]", 2, "not UTF-8");
    wrong("1 2", 2, "something follows");
}

static void strings_are_unescaped_and_may_hold_a_nul(void **state)
{
    (void)state;
    struct json_scan s;
    struct span text;
    json_scan_init(&s, SPAN_LIT("\"a\\u0000\\t\\u20ac\\ud83d\\ude00\\\\\""), &arena,
                   &e);
    check_true(json_scan_string(&s, &text));
    check_int(text.n, ==, 11);
    check_true(memcmp(text.p, "a\0\t\xe2\x82\xac\xf0\x9f\x98\x80\\", 11) == 0);
    check_int(json_scan_end(&s), ==, 0);
}

static void strings_without_escapes_are_borrowed(void **state)
{
    (void)state;
    static const char json[] = "\"gr\xc3\xbc\xc3\x9f\"";
    struct json_scan s;
    struct span text;
    json_scan_init(&s, SPAN_LIT(json), &arena, &e);
    check_true(json_scan_string(&s, &text));
    check_true((const char *)text.p == json + 1);
    check_int(arena.used, ==, 0);
}

static void nesting_has_a_limit(void **state)
{
    (void)state;
    char text[2 * (JSON_DEPTH_MAX + 1) + 1];
    memset(text, '[', sizeof text);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    check_ok(skim(span_of(text, 2 * JSON_DEPTH_MAX), &e), &e);
    memset(text, '[', sizeof text);
    check_int(skim(span_of(text, sizeof text), &e), ==, ERR_LIMIT);
    check_int(e.at, ==, JSON_DEPTH_MAX);
}

static void long_numbers_have_a_limit(void **state)
{
    (void)state;
    char text[JSON_NUMBER_MAX + 1];
    memset(text, '7', sizeof text);
    check_ok(skim(span_of(text, JSON_NUMBER_MAX), &e), &e);
    check_int(skim(span_of(text, sizeof text), &e), ==, ERR_LIMIT);
}

static void an_error_is_kept_and_everything_after_it_says_no(void **state)
{
    (void)state;
    struct json_scan s;
    struct span text;
    bool yes;
    json_scan_init(&s, SPAN_LIT("[x, 1]"), &arena, &e);
    check_true(json_scan_open(&s, JSON_KIND_ARRAY));
    check_true(json_scan_element(&s));
    check_true(!json_scan_number(&s, &text));
    check_true(!json_scan_bool(&s, &yes) && !json_scan_element(&s) &&
               !json_scan_skip(&s));
    check_int(json_scan_fail(&s, ERR_LIMIT, 0, "later"), ==, ERR_FORMAT);
    check_int(json_scan_end(&s), ==, ERR_FORMAT);
    check_int(e.at, ==, 1);
}

/* --- numbers ----------------------------------------------------------------- */

static void whole_numbers_are_exact_to_the_last_digit(void **state)
{
    (void)state;
    int64_t v;
    uint64_t u;
    check_true(json_number_i64(SPAN_LIT("9223372036854775807"), &v) && v == INT64_MAX);
    check_true(json_number_i64(SPAN_LIT("-9223372036854775808"), &v) && v == INT64_MIN);
    check_true(!json_number_i64(SPAN_LIT("9223372036854775808"), &v));
    check_true(json_number_u64(SPAN_LIT("18446744073709551615"), &u) &&
               u == UINT64_MAX);
    check_true(!json_number_u64(SPAN_LIT("18446744073709551616"), &u));
    check_true(!json_number_u64(SPAN_LIT("-1"), &u));
    check_true(json_number_u64(SPAN_LIT("-0"), &u) && u == 0);
    check_true(json_number_i64(SPAN_LIT("12e2"), &v) && v == 1200);
    check_true(json_number_i64(SPAN_LIT("12.50e1"), &v) && v == 125);
    check_true(json_number_i64(SPAN_LIT("3.000"), &v) && v == 3);
    check_true(json_number_i64(SPAN_LIT("0e99999999"), &v) && v == 0);
    check_true(!json_number_i64(SPAN_LIT("1e99999999"), &v));
    check_true(!json_number_i64(SPAN_LIT("0.1"), &v));
    check_true(!json_number_i64(SPAN_LIT("1e-1"), &v));
}

static void doubles_are_the_nearest_ones(void **state)
{
    (void)state;
    static const char *const numbers[] = {
        "0.1",
        "-0.0",
        "1e22",
        "1e23",
        "123456789012345678",
        "1.7976931348623157e308",
        "4.9406564584124654e-324",
        "2.2250738585072011e-308",
        "9007199254740993",
        "0.30000000000000004",
        "1e400",
        "8.5e-3",
        "5e-324",
        "1234.5678E-10",
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        double want = strtod(numbers[i], NULL),
               got = json_number_f64(span_str(numbers[i]));
        check_true(got == want && signbit(got) == signbit(want));
    }
    struct rng rng;
    rng_init(&rng, 11);
    for (int i = 0; i < 20000; i++) {
        char text[64];
        uint64_t digits = rng_u64(&rng) >> rng_below(&rng, 60);
        int exponent = (int)rng_below(&rng, 60) - 30;
        snprintf(text, sizeof text, "%llue%d", (unsigned long long)digits, exponent);
        if (json_number_f64(span_str(text)) != strtod(text, NULL))
            fail_msg("%s", text);
    }
}

/* --- against another reader
 * ----------------------------------------------------------- */

/* Damaged and sound texts: we accept what jansson accepts. It refuses on top of that
 * numbers that it cannot hold, which these are not. */
static void accepts_what_jansson_accepts(void **state)
{
    (void)state;
    static const char seed[] =
        "{\"inputs\":[{\"name\":\"a\\u00e9\\n\",\"shape\":[1,2],\"d\":[[0.5,-1e2],true,"
        "null,\"\xc3\xa9\"]}],\"id\":\"x\"}";
    static const char tokens[] = "{}[]\",:\\u0123456789.-+eEtruefalsn \xc3\xa9\xff\x01";
    struct rng rng;
    int accepted = 0;
    rng_init(&rng, 5);
    for (int i = 0; i < 30000; i++) {
        char text[sizeof seed];
        size_t n = sizeof seed - 1;
        memcpy(text, seed, n);
        for (uint64_t k = rng_below(&rng, 4); k > 0; k--)
            text[rng_below(&rng, n)] = tokens[rng_below(&rng, sizeof tokens - 1)];
        json_t *tree = json_loadb(text, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        int rc = skim(span_of(text, n), NULL);
        if ((tree != NULL) != (rc == 0))
            fail_msg("jansson %s: %.*s", tree ? "accepts" : "refuses", (int)n, text);
        accepted += rc == 0;
        json_decref(tree);
        arena_reset(&arena);
    }
    check_int(accepted, >, 5000);
    check_int(accepted, <, 25000);
}

/* --- base64 ------------------------------------------------------------------ */

static void base64_goes_there_and_back(void **state)
{
    (void)state;
    static const struct {
        const char *plain, *coded;
    } cases[] = {{"", ""},
                 {"f", "Zg=="},
                 {"fo", "Zm8="},
                 {"foo", "Zm9v"},
                 {"foob", "Zm9vYg=="},
                 {"fooba", "Zm9vYmE="},
                 {"foobar", "Zm9vYmFy"},
                 {"\xff\xfe\xfb", "//77"}};
    struct buf out = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct span plain;
        buf_reset(&out);
        base64_encode(span_str(cases[i].plain), &out);
        check_str(buf_text(&out), cases[i].coded);
        check_ok(base64_decode(span_str(cases[i].coded), &arena, &plain, &e), &e);
        check_span(plain, cases[i].plain);
    }
    buf_done(&out);
}

static void base64_is_strict(void **state)
{
    (void)state;
    static const char *const bad[] = {"Zg",   "Zg=",  "Z===",     "====",   "Zh==",
                                      "Zm9=", "Zm 9", "Zg==Zg==", "Zm9v\n", "Zm-_"};
    struct span plain;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check_int(base64_decode(span_str(bad[i]), &arena, &plain, NULL), ==,
                  ERR_FORMAT);
}

#define T(f) cmocka_unit_test_teardown(f, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(values_of_all_kinds_are_taken),
        T(every_fault_has_its_place),
        T(strings_are_unescaped_and_may_hold_a_nul),
        T(strings_without_escapes_are_borrowed),
        T(nesting_has_a_limit),
        T(long_numbers_have_a_limit),
        T(an_error_is_kept_and_everything_after_it_says_no),
        T(whole_numbers_are_exact_to_the_last_digit),
        T(doubles_are_the_nearest_ones),
        T(accepts_what_jansson_accepts),
        T(base64_goes_there_and_back),
        T(base64_is_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
