/*
 * test_trc_find.c - secrets are found where they stand, and plain numbers are not.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"

#include <string.h>

#include "traces/base/arena.h"
#include "traces/payload/v2_proto.h"
#include "traces/tool/trc_find.h"
#include "traces/tool/trc_secret.h"

struct seen {
    size_t n[TRC_FIND_COUNT], all;
    struct trc_finding last;
};

static void count(void *ctx, const struct trc_finding *f)
{
    struct seen *s = ctx;
    s->n[f->kind]++;
    s->all++;
    s->last = *f;
}

static struct seen in_text(const char *text)
{
    struct seen s = {0};
    trc_find_text(span_str(text), count, &s);
    return s;
}

static struct seen in_body(const char *text)
{
    struct seen s = {0};
    struct arena a = {0};
    struct err e = {0};
    check_ok(trc_find_body(span_str(text), &a, count, &s, &e), &e);
    arena_done(&a);
    return s;
}

static void each_kind_is_found_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum trc_find_kind kind;
        size_t at, bytes;
    } cases[] = {
        {"x: bearer abcdef0123456789", TRC_FIND_BEARER, 3, 23},
        {"(eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.c2ln)", TRC_FIND_JWT, 1, 40},
        {"id=AKIAABCDEFGHIJKLMNOP;", TRC_FIND_AWS_KEY, 3, 20},
        {"-----BEGIN RSA PRIVATE KEY-----", TRC_FIND_PRIVATE_KEY, 0, 26},
        {"-----BEGIN PRIVATE KEY-----", TRC_FIND_PRIVATE_KEY, 0, 22},
        {"<ann.b+c@mail.example.org>", TRC_FIND_EMAIL, 1, 24},
        {"[4111111111111111]", TRC_FIND_CARD, 1, 16},
        {"12 4111 1111 1111 1111.", TRC_FIND_CARD, 3, 19},
        {"3782-822463-10005", TRC_FIND_CARD, 0, 17},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct seen s = in_text(cases[i].text);
        check_int(s.all, ==, 1);
        check_int(s.last.kind, ==, cases[i].kind);
        check_int(s.last.at, ==, cases[i].at);
        check_int(s.last.bytes, ==, cases[i].bytes);
    }
}

static void what_only_resembles_a_secret_is_not_told(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "the bearer of news",         /* no token */
        "4111111111111112",           /* check digit */
        "0.4111111111111111",         /* a fraction */
        "4111111111111111.5",         /* another */
        "a4111111111111111",          /* within a word */
        "41111111111111110000",       /* longer than any card */
        "9999999999999995",           /* nobody issues these */
        "AKIAABCDEFGHIJKLMNO",        /* 19 */
        "AKIAABCDEFGHIJKLMNOPQ",      /* 21 */
        "eyJhbGciOiJub25lIn0",        /* one part */
        "-----BEGIN PUBLIC KEY-----", /* for everybody */
        "a@b",
        "@example.org",
        "a@.org",
        "@",
        "",
        "e",
        "4 1 1 1"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_int(in_text(cases[i]).all, ==, 0);
}

static void members_are_judged_by_name_and_escapes_hide_nothing(void **state)
{
    (void)state;
    struct seen s = in_body("{\"Password\":\"hunter2\",\"max_tokens\":5,\"token\":7}");
    check_int(s.n[TRC_FIND_NAMED], ==, 1);
    check_int(s.last.at, ==, 13);
    check_int(s.last.bytes, ==, 7);
    check_int(in_body("{\"access_token\":[\"a\",\"b\"]}").n[TRC_FIND_NAMED], ==, 2);
    check_int(in_body("{\"password\":\"xxxxxxx\"}").all, ==, 0); /* masked */
    s = in_body("{\"to\":\"ann\\u0040example.org\"}");
    check_int(s.all, ==, 1);
    check_int(s.last.kind, ==, TRC_FIND_EMAIL);
    check_true(s.last.inside);
    s = in_body("{\"inputs\":[{\"name\":\"secret\",\"shape\":[1],\"datatype\":"
                "\"BYTES\",\"data\":[\"plain\"]}]}");
    check_int(s.n[TRC_FIND_NAMED], ==, 1);
    check_int(in_body("{\"password\":\"cut of").all, ==, 0); /* no whole text */
}

static void json_is_looked_at_value_by_value_and_once(void **state)
{
    (void)state;
    struct seen s =
        in_body("{\"a\":[4111111111111111, "
                "0.4111111111111111],\"b\":\"\\nann@example.org\",\"x@y.org\":null}");
    check_int(s.all, ==, 3);
    check_int(s.n[TRC_FIND_CARD], ==, 1);
    check_int(s.n[TRC_FIND_EMAIL], ==, 2);
    check_int(in_body("[\"\\nBearer abcdef0123456789\"]").n[TRC_FIND_BEARER], ==, 1);
    s = in_body("[\"ann@example.org\", \"bob@example.org\"");
    check_int(s.all, ==, 2); /* no JSON: a text */
}

/* In a message a text lies between the byte that tells its length and the tag of what
 * follows; both may look like letters, here A and B. */
static void what_lies_between_letters_in_a_message_is_found(void **state)
{
    (void)state;
    char jwt[65 + 1] = "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.";
    memset(jwt + 36, 's', 65 - 36);
    const struct span texts[] = {span_str(jwt), SPAN_LIT("4111111111111111"),
                                 SPAN_LIT("AKIAABCDEFGHIJKLMNOP"), SPAN_LIT("plain")};
    const struct pay_tensor t = {.name = SPAN_LIT("text"),
                                 .type = PAY_BYTES,
                                 .shape = {4},
                                 .rank = 1,
                                 .element_count = 4,
                                 .bytes = texts};
    const struct pay_message m = {
        .model_name = SPAN_LIT("m"), .tensors = &t, .tensor_count = 1};
    struct buf body = {0};
    struct arena a = {0};
    struct err e = {0};
    struct seen s = {0};
    v2_proto_request(&m, &body);
    struct span bytes = buf_view(&body);
    check_int(in_text("AeyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.").all, ==, 0);
    check_ok(trc_find_body(bytes, &a, count, &s, &e), &e);
    check_int(s.all, ==, 3);
    check_int(s.n[TRC_FIND_JWT], ==, 1);
    check_int(s.n[TRC_FIND_CARD], ==, 1);
    check_int(s.n[TRC_FIND_AWS_KEY], ==, 1);
    check_true(span_eq(span_sub(bytes, s.last.at, s.last.at + s.last.bytes), texts[2]));
    buf_done(&body);
    arena_done(&a);
}

static void a_query_is_judged_by_its_names(void **state)
{
    (void)state;
    struct seen s = {0};
    trc_find_path(SPAN_LIT("/v2/models/m/infer?a=1&api_key=k9&b"), count, &s);
    check_int(s.all, ==, 1);
    check_int(s.last.at, ==, 31);
    check_int(s.last.bytes, ==, 2);
}

static void headers_follow_one_rule(void **state)
{
    (void)state;
    static const char *const asked[] = {"X-User", "authorization"};
    check_int(trc_header_fate(SPAN_LIT("x-user"), asked, 2), ==, TRC_HEADER_KEPT);
    check_int(trc_header_fate(SPAN_LIT("x-user"), NULL, 0), ==, TRC_HEADER_DENIED);
    check_int(trc_header_fate(SPAN_LIT("authorization"), asked, 2), ==,
              TRC_HEADER_DENIED);
    check_int(trc_header_fate(SPAN_LIT("seldon-model"), NULL, 0), ==, TRC_HEADER_KEPT);
    check_int(trc_header_fate(SPAN_LIT("traceparent"), NULL, 0), ==,
              TRC_HEADER_PRESENCE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_is_found_with_its_place),
        cmocka_unit_test(what_only_resembles_a_secret_is_not_told),
        cmocka_unit_test(members_are_judged_by_name_and_escapes_hide_nothing),
        cmocka_unit_test(json_is_looked_at_value_by_value_and_once),
        cmocka_unit_test(what_lies_between_letters_in_a_message_is_found),
        cmocka_unit_test(a_query_is_judged_by_its_names),
        cmocka_unit_test(headers_follow_one_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
