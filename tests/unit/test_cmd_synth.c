/*
 * test_cmd_synth.c - `reprise synth` from its words to the operations in the file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/check.h"
#include "tests/unit/made_trace.h"
#include "traces/base/clk.h"

static struct made synth(const char *words, const char *environment)
{
    struct made m = made_by(trc_cmd_synth, words, environment);
    check_int(m.status, ==, EXIT_DONE);
    return m;
}

static void check_status(const char *words, const char *environment, int status)
{
    struct made m = made_by(trc_cmd_synth, words, environment);
    if (m.status != status)
        fail_msg("'%s' gave status %d, wanted %d", words, m.status, status);
    made_free(&m);
}

static size_t count_type(const struct made *m, const char *type)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++)
        n += span_eq_str(m->ops[i]->stream->model_type, type);
    return n;
}

static void constant_arrivals_fill_the_duration_exactly(void **state)
{
    (void)state;
    struct made m = synth("synth --rate 250 --duration 2s", NULL);
    check_int(m.n, ==, 500);
    for (size_t i = 0; i < m.n; i++) {
        check_int(m.ops[i]->arrival_ns, ==, (int64_t)i * 4 * CLK_MS);
        check_span(m.ops[i]->stream->name, "iris0");
        check_int(m.ops[i]->flags, ==, OP_FLAG_SYNTHETIC);
    }
    made_free(&m);
}

static void the_trace_says_how_it_was_made_and_nothing_of_the_clock(void **state)
{
    (void)state;
    struct made m =
        synth("synth --model-type iris,tfsimple:2 --count 10 --seed 77", NULL);
    check_int(m.n, ==, 10);
    check_str(trc_reader_note(m.r, "synth.seed"), "77");
    check_str(trc_reader_note(m.r, "tool.version"), REPRISE_VERSION);
    check_str(trc_reader_note(m.r, "tool.command"), "synth");
    const char *options = trc_reader_note(m.r, "synth.options");
    check_str_has(options, "\"type\":\"tfsimple\",\"weight\":2,\"instances\":1,"
                           "\"prefix\":\"tfsimple\",\"batch\":1");
    check_str_has(
        options,
        "\"arrivals\":\"constant\",\"rate\":[{\"from\":10,\"to\":10}],\"count\":10}");
    check_int(trc_reader_info(m.r)->epoch_wall_ns, ==, 0);
    made_free(&m);
    m = synth("synth --count 1 --epoch 2031-05-04T12:00:00Z", NULL);
    check_int(trc_reader_info(m.r)->epoch_wall_ns, ==, INT64_C(1935662400) * CLK_SEC);
    made_free(&m);
}

static void what_was_once_synthesized_stays_the_same_for_ever(void **state)
{
    (void)state;
    /* The hash over all operations, written down once: it changes when times, choices,
     * names, bodies or ids do, and must not from build to build or machine to machine.
     */
    struct made m =
        synth("synth --model-type iris:3,tfsimple_string --instances 5 --popularity "
              "zipf:1.1 --rate 100 --duration 20s --arrivals gamma:2 --protocol both "
              "--batch 1:8,4:1 --values random --ids",
              NULL);
    char hash[40];
    const uint64_t *h = trc_reader_info(m.r)->content_hash;
    snprintf(hash, sizeof hash, "%016llx%016llx", (unsigned long long)h[1],
             (unsigned long long)h[0]);
    check_str(hash, "a8afc33e8d30845a06f67789aaaf477d");
    made_free(&m);
}

static void poisson_arrivals_have_poisson_counts(void **state)
{
    (void)state;
    struct made m = synth("synth --rate 1000 --duration 100s --arrivals poisson", NULL);
    check_true(fabs((double)m.n - 100000) < 3.3 * sqrt(100000));
    double counts[1000] = {0}, sum = 0, squares = 0;
    for (size_t i = 0; i < m.n; i++) {
        check_true(m.ops[i]->arrival_ns < 100 * CLK_SEC);
        counts[m.ops[i]->arrival_ns / (100 * CLK_MS)]++;
    }
    for (size_t i = 0; i < 1000; i++) {
        sum += counts[i];
        squares += counts[i] * counts[i];
    }
    double mean = sum / 1000, dispersion = (squares / 1000 - mean * mean) / mean;
    check_true(fabs(dispersion - 1) < 0.15);
    made_free(&m);
}

static void types_follow_weights_and_instances_zipf(void **state)
{
    (void)state;
    struct made m =
        synth("synth --model-type iris:3,tfsimple --instances 10,2 --popularity zipf:1 "
              "--count 40000 --protocol both --grpc-share 0.25",
              NULL);
    double n = (double)m.n, iris = (double)count_type(&m, "iris"), grpc = 0, hot = 0;
    for (size_t i = 0; i < m.n; i++) {
        grpc += m.ops[i]->stream->protocol == OP_GRPC;
        hot += span_eq_str(m.ops[i]->stream->name, "iris0");
    }
    check_true(fabs(iris / n - 0.75) < 0.008);
    check_true(fabs(grpc / n - 0.25) < 0.008);
    check_true(fabs(hot / iris - 1 / 2.9289682) < 0.01); /* sum of 1/i for 1..10 */
    const struct trc_counts *counts = trc_reader_counts(m.r);
    check_int(counts->model_count, ==, 12);
    made_free(&m);
}

static void stages_of_a_k6_job_move_over_with_its_variables(void **state)
{
    (void)state;
    /* 125 in the ramp from 5 to 20, 600 held, 60 down to 10, 100 held. */
    static const char job[] =
        "MODEL_TYPE=iris,tfsimple MAX_NUM_MODELS=3,0 REQUEST_RATES=20,10 "
        "CONSTANT_RATE_DURATIONS_SECONDS=30,10,99 INFER_BATCH_SIZE=2,4 "
        "MODELNAME_PREFIX=m,t";
    struct made m = synth("synth", job);
    check_int(m.n, ==, 885);
    check_int(m.ops[0]->arrival_ns, <, 200 * CLK_MS); /* 5/s, and rising */
    check_int(m.ops[0]->arrival_ns, >, 190 * CLK_MS);
    check_int(m.ops[124]->arrival_ns, ==, 10 * CLK_SEC);
    check_int(m.ops[884]->arrival_ns, ==, 54 * CLK_SEC);
    check_int(count_type(&m, "iris"), ==, 885); /* tfsimple has no instance */
    check_int(trc_reader_counts(m.r)->model_count, ==, 3);
    for (size_t i = 0; i < m.n; i++)
        check_true(span_starts(m.ops[i]->stream->name, "m"));
    made_free(&m);
    /* As k6: a list that is too short is not used; both stages hold half of 30 s. */
    m = synth("synth", "REQUEST_RATES=20,10 CONSTANT_RATE_DURATIONS_SECONDS=30");
    check_str_has(
        trc_reader_note(m.r, "synth.options"),
        "[{\"duration_ns\":5000000000,\"from\":5,\"to\":20},{\"duration_ns\":"
        "15000000000,\"from\":20,\"to\":20},{\"duration_ns\":5000000000,\"from\":20,"
        "\"to\":10},{\"duration_ns\":15000000000,\"from\":10,\"to\":10}]");
    made_free(&m);
    m = synth("synth", "REQUEST_RATE=40 CONSTANT_RATE_DURATION_SECONDS=3");
    check_int(m.n, ==, 120);
    made_free(&m);
    /* Without REQUEST_RATES that script only ramps: (5 + 15) / 2 * 10 s. */
    m = synth("synth --stages ramp",
              "REQUEST_RATE=15 CONSTANT_RATE_DURATION_SECONDS=10 REQUEST_RATES=1");
    check_int(m.n, ==, 100);
    check_int(m.ops[99]->arrival_ns, ==, 10 * CLK_SEC);
    made_free(&m);
}

static void options_win_over_variables(void **state)
{
    (void)state;
    struct made m =
        synth("synth --stages none --rate 20 --duration 1s --model-type add10",
              "REQUEST_RATES=7,8 MODEL_TYPE=iris REQUEST_RATE=99 "
              "CONSTANT_RATE_DURATION_SECONDS=500");
    check_int(m.n, ==, 20);
    check_int(count_type(&m, "add10"), ==, 20);
    made_free(&m);
}

static void protocols_of_k6_move_over(void **state)
{
    (void)state;
    static const struct {
        const char *environment;
        bool rest, grpc;
    } cases[] = {{"INFER_TYPE=REST", true, false},
                 {"INFER_TYPE=rest", false, true}, /* k6 wants the exact word */
                 {"INFER_HTTP_ITERATIONS=1 INFER_GRPC_ITERATIONS=1", true, true},
                 {"INFER_HTTP_ITERATIONS=0", false, true},
                 {"INFER_GRPC_ITERATIONS=0", true, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct made m = synth("synth --count 100", cases[i].environment);
        const struct trc_counts *counts = trc_reader_counts(m.r);
        check_int(counts->protocol[OP_REST] > 0, ==, cases[i].rest);
        check_int(counts->protocol[OP_GRPC] > 0, ==, cases[i].grpc);
        made_free(&m);
    }
    struct made m = synth("synth --count 9 --protocol grpc", "INFER_TYPE=REST");
    check_int(trc_reader_counts(m.r)->protocol[OP_GRPC], ==, 9);
    made_free(&m);
    check_status("synth --count 1", "INFER_HTTP_ITERATIONS=5", EXIT_USAGE);
    check_status("synth --count 1", "INFER_HTTP_ITERATIONS=0 INFER_GRPC_ITERATIONS=0",
                 EXIT_USAGE);
}

static void pipelines_and_k6_bodies_are_marked(void **state)
{
    (void)state;
    struct made m = synth("synth --count 3 --k6-compatible --ids", "VIA_PIPELINE=true");
    for (size_t i = 0; i < m.n; i++) {
        check_int(m.ops[i]->stream->resource, ==, OP_PIPELINE);
        check_int(m.ops[i]->flags, ==, OP_FLAG_SYNTHETIC | OP_FLAG_K6);
        check_int(m.ops[i]->id.n, ==, 36);
    }
    made_free(&m);
}

static void what_makes_no_sense_is_a_usage_error(void **state)
{
    (void)state;
    static const char *const words[] = {
        "synth --rate 0",
        "synth --rate -1",
        "synth --duration 0s",
        "synth --duration 10",
        "synth --duration 400h --stages 1,x",
        "synth --duration 9000h",
        "synth --count 0",
        "synth --arrivals zeta",
        "synth --arrivals gamma:0",
        "synth --stages 10,20 --stage-durations 1s,2s,3s",
        "synth --stages 10,20 --stage-durations 1,2",
        "synth --stages -5",
        "synth --stages ,",
        "synth --epoch tomorrow",
        "synth --model-type nosuch",
        "synth --k6-compatible --protocol grpc --model-type synth",
        "synth extra",
        "synth --seed x",
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        check_status(words[i], NULL, EXIT_USAGE);
    check_status("synth", "CONSTANT_RATE_DURATION_SECONDS=30s", EXIT_USAGE);
    check_status("synth", "REQUEST_RATES=10 CONSTANT_RATE_DURATIONS_SECONDS=x",
                 EXIT_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constant_arrivals_fill_the_duration_exactly),
        cmocka_unit_test(the_trace_says_how_it_was_made_and_nothing_of_the_clock),
        cmocka_unit_test(what_was_once_synthesized_stays_the_same_for_ever),
        cmocka_unit_test(poisson_arrivals_have_poisson_counts),
        cmocka_unit_test(types_follow_weights_and_instances_zipf),
        cmocka_unit_test(stages_of_a_k6_job_move_over_with_its_variables),
        cmocka_unit_test(options_win_over_variables),
        cmocka_unit_test(protocols_of_k6_move_over),
        cmocka_unit_test(pipelines_and_k6_bodies_are_marked),
        cmocka_unit_test(what_makes_no_sense_is_a_usage_error),
    };
    return cmocka_run_group_tests_name("cmd_synth", tests, NULL, NULL);
}
