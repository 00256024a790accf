/*
 * test_campaign.c - plans are read strictly, and the order of runs is the seed's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <string.h>

#include "replay/campaign.h"

#define ARMS                                                                           \
    "\"arms\":[{\"name\":\"A\",\"replay\":[\"--tier\",\"envoy\"]},"                    \
    "{\"name\":\"B\",\"version\":\"2.10.2\"}]"

static int load(struct rep_campaign *c, const char *text, struct err *e)
{
    return rep_campaign_parse(c, span_str(text), e);
}

static void a_plan_is_read_with_its_defaults(void **state)
{
    struct rep_campaign c;
    struct err e = {0};
    (void)state;
    check_ok(load(&c, "{\"trace\":\"t.trace\"," ARMS "}", &e), &e);
    check_str(c.trace, "t.trace");
    check_int(c.pairs, ==, 10);
    check_int(c.spares, ==, 2);
    check_int(c.arm_count, ==, 2);
    check_str(c.arms[0].name, "A");
    check_int(c.arms[0].replay.n, ==, 2);
    check_str(c.arms[1].version, "2.10.2");
    check_int(strlen(c.hash), ==, 32);
    rep_campaign_done(&c);
}

static void white_space_and_order_of_keys_do_not_make_another_plan(void **state)
{
    struct rep_campaign a, b, other;
    struct err e = {0};
    (void)state;
    check_ok(load(&a, "{\"trace\":\"t\",\"seed\":3," ARMS "}", &e), &e);
    check_ok(load(&b, "{ \"seed\": 3,\n" ARMS ",\n \"trace\": \"t\" }", &e), &e);
    check_ok(load(&other, "{\"trace\":\"t\",\"seed\":4," ARMS "}", &e), &e);
    check_str(a.hash, b.hash);
    check_true(strcmp(a.hash, other.hash) != 0);
    rep_campaign_done(&a);
    rep_campaign_done(&b);
    rep_campaign_done(&other);
}

struct bad_plan {
    const char *text, *message;
};

static void a_bad_plan_is_refused_with_the_reason(void **state)
{
    static const struct bad_plan bad[] = {
        {"", "line 1"},
        {"[]", "a plan is a JSON object"},
        {"{" ARMS "}", "\"trace\" is missing"},
        {"{\"trace\":\"t\"}", "\"arms\" is missing"},
        {"{\"trace\":\"\"," ARMS "}", "\"trace\" must be a text"},
        {"{\"trace\":\"t\",\"trace\":\"u\"," ARMS "}", "duplicate object key"},
        {"{\"trace\":\"t\",\"pars\":3," ARMS "}", "unknown key \"pars\""},
        {"{\"trace\":\"t\",\"pairs\":0," ARMS "}", "from 1 to 1000"},
        {"{\"trace\":\"t\",\"pairs\":\"3\"," ARMS "}", "whole number"},
        {"{\"trace\":\"t\",\"pause\":2," ARMS "}", "a duration such as"},
        {"{\"trace\":\"t\",\"pause\":\"2\"," ARMS "}", "\"pause\""},
        {"{\"trace\":\"t\",\"replay\":\"--tier\"," ARMS "}", "list of texts"},
        {"{\"trace\":\"t\",\"arms\":[{\"name\":\"A\"}]}", "2 to 8 arms"},
        {"{\"trace\":\"t\",\"arms\":[{\"name\":\"A\"},{\"name\":\"A\"}]}", "two arms"},
        {"{\"trace\":\"t\",\"arms\":[{\"name\":\"A\"},{\"name\":\"../B\"}]}", "arm 2"},
        {"{\"trace\":\"t\",\"arms\":[{\"name\":\"A\"},{\"nam\":\"B\"}]}",
         "unknown key"},
        {"{\"trace\":\"t\",\"arms\":[{\"name\":\"A\"},3]}", "must be an object"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct rep_campaign c;
        struct err e = {0};
        check_int(load(&c, bad[i].text, &e), ==, ERR_FORMAT);
        check_str_has(e.text, bad[i].message);
        check_int(c.arm_count, ==, 0);
    }
}

static void the_order_is_a_permutation_that_the_seed_decides(void **state)
{
    struct rep_campaign c = {.seed = 5, .arm_count = 3},
                        other = {.seed = 6, .arm_count = 3};
    size_t a[REP_ARMS_MAX], b[REP_ARMS_MAX];
    int differ = 0, first[3] = {0};
    (void)state;
    for (uint64_t pair = 0; pair < 300; pair++) {
        rep_campaign_order(&c, pair, a);
        rep_campaign_order(&c, pair, b);
        check_true(memcmp(a, b, 3 * sizeof a[0]) == 0);
        check_int((1 << a[0]) | (1 << a[1]) | (1 << a[2]), ==, 7);
        rep_campaign_order(&other, pair, b);
        differ += memcmp(a, b, 3 * sizeof a[0]) != 0;
        first[a[0]]++;
    }
    check_int(differ, >, 200);
    for (int i = 0; i < 3; i++) { /* 100 expected; sd 8 */
        check_int(first[i], >, 60);
        check_int(first[i], <, 140);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_is_read_with_its_defaults),
        cmocka_unit_test(white_space_and_order_of_keys_do_not_make_another_plan),
        cmocka_unit_test(a_bad_plan_is_refused_with_the_reason),
        cmocka_unit_test(the_order_is_a_permutation_that_the_seed_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
