/*
 * test_mix.c - operations as the options of a mix say: names, shares, bodies, refusals.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/synth/mix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/check.h"

static struct mix_options plain(void)
{
    return (struct mix_options){.model_types = "iris",
                                .instances = "1",
                                .popularity = "uniform",
                                .batches = "1",
                                .grpc_share = 0.5};
}

static struct mix *mix_of(const struct mix_options *o, uint64_t seed)
{
    struct mix *m;
    struct err e = {0};
    check_ok(mix_new(&m, o, seed, &e), &e);
    return m;
}

static void refused(const struct mix_options *o, const char *says)
{
    struct mix *m;
    struct err e = {0};
    check_int(mix_new(&m, o, 1, &e), ==, ERR_USAGE);
    check_true(m == NULL);
    check_str_has(e.text, says);
}

static struct op next(struct mix *m, uint32_t batch)
{
    struct op op;
    struct err e = {0};
    check_ok(mix_next(m, batch, &op, &e), &e);
    return op;
}

static void an_operation_says_what_the_tier_does_not_decide(void **state)
{
    (void)state;
    struct mix_options o = plain();
    struct mix *m = mix_of(&o, 1);
    struct op op = next(m, 0);
    check_int(op.stream->protocol, ==, OP_REST);
    check_int(op.stream->tier, ==, OP_TIER_ANY);
    check_int(op.stream->resource, ==, OP_MODEL);
    check_span(op.stream->name, "iris0");
    check_span(op.stream->model_type, "iris");
    check_span(op.stream->method, "POST");
    check_span(op.stream->path, "");
    check_span(op.stream->content_type, "application/json");
    check_int(op.flags, ==, OP_FLAG_SYNTHETIC);
    check_int(op.request.state, ==, OP_BODY_KEPT);
    check_str_has((const char *)op.request.data.p, "{\"inputs\":[{\"name\":\"");
    check_int(op.id.n, ==, 0);
    mix_free(m);
    o.protocol = MIX_GRPC;
    o.pipeline = true;
    m = mix_of(&o, 1);
    op = next(m, 0);
    check_int(op.stream->protocol, ==, OP_GRPC);
    check_int(op.stream->resource, ==, OP_PIPELINE);
    check_span(op.stream->method, "");
    check_span(op.stream->content_type, "");
    mix_free(m);
}

static void types_instances_protocols_and_batches_come_in_their_shares(void **state)
{
    (void)state;
    struct mix_options o = plain();
    o.model_types = "iris:3,tfsimple_string,add10:0";
    o.instances = "1,4,1";
    o.popularity = "zipf:1";
    o.protocol = MIX_BOTH;
    o.grpc_share = 0.2;
    o.batches = "1:8,4:1";
    struct mix *m = mix_of(&o, 9);
    check_int(mix_models(m), ==, 6);
    enum { N = 50000 };
    double iris = 0, strings = 0, grpc = 0, first = 0, big = 0;
    struct mix_options one = plain();
    struct mix *single = mix_of(&one, 1);
    uint64_t small_bytes = next(single, 1).request.bytes;
    mix_free(single);
    for (int i = 0; i < N; i++) {
        struct op op = next(m, 0);
        grpc += op.stream->protocol == OP_GRPC;
        strings += span_eq_str(op.stream->model_type, "tfsimple_string");
        first += span_eq_str(op.stream->name, "tfsimple-string0");
        if (!span_eq_str(op.stream->model_type, "iris"))
            continue;
        iris++;
        check_span(op.stream->name, "iris0");
        big += op.stream->protocol == OP_REST && op.request.bytes > small_bytes;
    }
    check_true(iris + strings == N);
    check_true(fabs(iris / N - 0.75) < 0.008);
    check_true(fabs(grpc / N - 0.2) < 0.008);
    check_true(fabs(first / strings - 12.0 / 25) < 0.02); /* 1 of 1 + 1/2 + 1/3 + 1/4 */
    check_true(fabs(big / (iris * 0.8) - 1.0 / 9) < 0.01);
    mix_free(m);
}

static void lists_are_one_for_all_or_one_per_type(void **state)
{
    (void)state;
    struct mix_options o = plain();
    o.model_types = "iris,tfsimple";
    o.batches = "2,3";
    o.prefixes = "a,b-";
    struct mix *m = mix_of(&o, 1);
    struct buf json = {0};
    struct jsonw w = {.out = &json};
    jsonw_object(&w);
    mix_describe(m, &w);
    jsonw_end(&w);
    check_str_has(buf_text(&json),
                  "[{\"type\":\"iris\",\"weight\":1,\"instances\":1,\"prefix\":\"a\","
                  "\"batch\":2},{\"type\":\"tfsimple\",\"weight\":1,\"instances\":1,"
                  "\"prefix\":\"b-\",\"batch\":3}]");
    buf_done(&json);
    bool a = false, b = false;
    for (int i = 0; i < 50; i++) {
        struct op op = next(m, 0);
        a |= span_eq_str(op.stream->name, "a0");
        b |= span_eq_str(op.stream->name, "b-0");
    }
    check_true(a && b);
    mix_free(m);
    o.batches = "1,2,3";
    refused(&o, "--batch: 3 values for 2 model types");
    o.batches = "1";
    o.instances = "1,2,3";
    refused(&o, "--instances: 3 values for 2 model types");
    o.instances = "0,5"; /* leaves iris out, and its place in the lists too */
    m = mix_of(&o, 1);
    check_int(mix_models(m), ==, 5);
    for (int i = 0; i < 20; i++)
        check_true(span_starts(next(m, 0).stream->name, "b-"));
    mix_free(m);
}

static void whole_names_stand_without_an_index(void **state)
{
    (void)state;
    struct mix_options o = plain();
    o.names = "my-model";
    struct mix *m = mix_of(&o, 1);
    check_span(next(m, 0).stream->name, "my-model");
    mix_free(m);
    o.instances = "2";
    refused(&o, "--instances 1");
    o.instances = "1";
    o.names = "My_Model";
    refused(&o, "--model-name: 'My_Model' is not a name");
    o.names = "a-";
    refused(&o, "is not a name");
}

static void two_types_never_share_a_model(void **state)
{
    (void)state;
    struct mix_options o = plain();
    o.model_types = "iris,tfsimple";
    o.prefixes = "model";
    refused(&o, "iris and tfsimple would share the name");
    o.prefixes = "m,m1";
    o.instances = "11,1"; /* m10 is both */
    refused(&o, "'m10'");
    o.instances = "10,1";
    mix_free(mix_of(&o, 1));
    o.prefixes = "m,m0"; /* m00 is no index of m */
    o.instances = "100,100";
    mix_free(mix_of(&o, 1));
    o.model_types = "iris,iris";
    o.prefixes = NULL;
    refused(&o, "iris and iris");
    o.prefixes = "a,b";
    mix_free(mix_of(&o, 1));
}

static void constant_bodies_are_built_once_and_others_differ(void **state)
{
    (void)state;
    struct mix_options o = plain();
    o.model_types = "tfsimple";
    struct mix *m = mix_of(&o, 1);
    const uint8_t *p = next(m, 0).request.data.p;
    check_true(next(m, 0).request.data.p == p);
    mix_free(m);
    for (int values = MT_COUNTING; values <= MT_RANDOM; values++) {
        o.values = values;
        m = mix_of(&o, 1);
        struct op op = next(m, 0);
        uint64_t hash = op.request.hash[0];
        op = next(m, 0);
        check_true(op.request.hash[0] != hash);
        mix_free(m);
        m = mix_of(&o, 1); /* but the same again from the same seed */
        op = next(m, 0);
        check_true(op.request.hash[0] == hash);
        mix_free(m);
    }
}

static void a_given_batch_is_cut_to_what_the_type_carries(void **state)
{
    (void)state;
    struct mix_options o = plain();
    o.model_types = "tfsimple"; /* at most 8 */
    struct mix *m = mix_of(&o, 1);
    uint64_t eight = next(m, 8).request.bytes;
    check_int(next(m, 100).request.bytes, ==, eight);
    check_true(next(m, 1).request.bytes < eight);
    mix_free(m);
    o.model_types = "add10"; /* has no batch */
    m = mix_of(&o, 1);
    check_int(next(m, 7).request.bytes, ==, next(m, 1).request.bytes);
    mix_free(m);
    o.model_types = "tfsimple";
    o.batches = "9";
    refused(&o, "tfsimple takes at most 8, not 9");
    o.batches = "1:1,9:1";
    refused(&o, "tfsimple takes at most 8, not 9");
    o.model_types = "tfresnet152"; /* 602,112 bytes an item, 64 MiB in all */
    o.batches = "112";
    refused(&o, "tfresnet152 takes at most 111");
}

static void ids_are_different_uuids(void **state)
{
    (void)state;
    struct mix_options o = plain();
    o.ids = true;
    struct mix *m = mix_of(&o, 1);
    char last[37] = "";
    for (int i = 0; i < 100; i++) {
        struct op op = next(m, 0);
        char id[37];
        check_int(op.id.n, ==, 36);
        memcpy(id, op.id.p, 36);
        id[36] = '\0';
        for (int k = 0; k < 36; k++) {
            bool dash = k == 8 || k == 13 || k == 18 || k == 23;
            check_true(dash ? id[k] == '-' : strchr("0123456789abcdef", id[k]) != NULL);
        }
        check_true(id[14] == '4' && strchr("89ab", id[19]));
        check_true(strcmp(id, last) != 0);
        strcpy(last, id);
    }
    mix_free(m);
}

static void one_choice_does_not_shift_the_draws_of_another(void **state)
{
    (void)state;
    struct mix_options o = plain(), other;
    o.model_types = "iris,tfsimple";
    o.instances = "50";
    other = o;
    other.protocol = MIX_BOTH;
    other.ids = true;
    other.values = MT_RANDOM;
    other.batches = "1:1,2:1";
    struct mix *a = mix_of(&o, 3), *b = mix_of(&other, 3);
    for (int i = 0; i < 200; i++)
        check_true(span_eq(next(a, 0).stream->name, next(b, 0).stream->name));
    mix_free(a);
    mix_free(b);
}

static void k6_bodies_are_marked_and_impossible_ones_refused(void **state)
{
    (void)state;
    struct mix_options o = plain();
    o.k6 = true;
    struct mix *m = mix_of(&o, 1);
    check_int(next(m, 0).flags, ==, OP_FLAG_SYNTHETIC | OP_FLAG_K6);
    mix_free(m);
    o.model_types = "iris,add10";
    o.protocol = MIX_BOTH;
    refused(&o, "--k6-compatible: add10 by grpc: k6 puts 0.1 into int_contents");
    o.protocol = MIX_REST;
    mix_free(mix_of(&o, 1));
    o.values = MT_RANDOM;
    refused(&o, "--k6-compatible sends constant values");
}

static void nonsense_names_its_option(void **state)
{
    (void)state;
    struct mix_options o = plain();
    o.model_types = "iris,nosuch";
    refused(&o, "--model-type: unknown model type 'nosuch'; known: ");
    o.model_types = "iris,,tfsimple";
    refused(&o, "--model-type: the list has an empty item");
    o.model_types = "iris:x";
    refused(&o, "--model-type: weight of 'iris'");
    o.model_types = "iris:0";
    refused(&o, "--model-type: weights sum to 0");
    o = plain();
    o.instances = "0";
    refused(&o, "no type has any");
    o.instances = "1000001";
    refused(&o, "not a number from 0 to 1000000");
    o = plain();
    o.batches = "0";
    refused(&o, "--batch: '0' is not a number from 1 to 4096");
    o = plain();
    o.popularity = "zipf";
    refused(&o, "--popularity: unknown popularity 'zipf'");
    o = plain();
    o.grpc_share = NAN;
    refused(&o, "--grpc-share: ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_operation_says_what_the_tier_does_not_decide),
        cmocka_unit_test(types_instances_protocols_and_batches_come_in_their_shares),
        cmocka_unit_test(lists_are_one_for_all_or_one_per_type),
        cmocka_unit_test(whole_names_stand_without_an_index),
        cmocka_unit_test(two_types_never_share_a_model),
        cmocka_unit_test(constant_bodies_are_built_once_and_others_differ),
        cmocka_unit_test(a_given_batch_is_cut_to_what_the_type_carries),
        cmocka_unit_test(ids_are_different_uuids),
        cmocka_unit_test(one_choice_does_not_shift_the_draws_of_another),
        cmocka_unit_test(k6_bodies_are_marked_and_impossible_ones_refused),
        cmocka_unit_test(nonsense_names_its_option),
    };
    return cmocka_run_group_tests_name("mix", tests, NULL, NULL);
}
