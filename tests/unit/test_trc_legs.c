/*
 * test_trc_legs.c - calls are put together by their id, and their time taken apart.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "traces/base/clk.h"
#include "traces/tool/trc_legs.h"

struct row {
    int64_t arrival_ms, took_ms; /* took -1: no answer */
    enum op_tier tier;
    enum op_protocol protocol;
    const char *id;
    int status;
    const char *body;
};

static struct trc_legs legs_of(const struct row *rows, size_t n, const struct row *late,
                               uint64_t late_index)
{
    struct trc_writer *w;
    struct trc_reader *r;
    struct err e = {0};
    struct trc_legs l = {0};
    struct trc_options options = {.kind = TRC_TRACE, .block_records = 4};
    char path[] = "/tmp/test_trc_legs.XXXXXX";
    int fd = mkstemp(path);
    check_int(fd, >=, 0);
    close(fd);
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    for (size_t i = 0; i < n; i++) {
        struct op_stream s = {.protocol = rows[i].protocol,
                              .tier = rows[i].tier,
                              .name = SPAN_LIT("iris")};
        struct op o = op_empty();
        o.stream = &s;
        o.arrival_ns = rows[i].arrival_ms * CLK_MS;
        o.id = span_str(rows[i].id);
        o.request = op_body_of(span_str(rows[i].body));
        if (rows[i].took_ms >= 0) {
            o.first_ns = o.last_ns = rows[i].took_ms * CLK_MS;
            o.status = (uint16_t)rows[i].status;
        }
        check_ok(trc_writer_op(w, &o, &e), &e);
    }
    if (late) {
        struct op o = op_empty();
        o.index = late_index;
        o.first_ns = o.last_ns = late->took_ms * CLK_MS;
        o.status = (uint16_t)late->status;
        check_ok(trc_writer_late(w, &o, &e), &e);
    }
    check_ok(trc_writer_close(w, &e), &e);
    check_ok(trc_reader_open(&r, path, &e), &e);
    check_ok(trc_legs_read(&l, r, &e), &e);
    trc_reader_close(r);
    unlink(path);
    return l;
}

static const struct trc_leg_kind *kind(const struct trc_legs *l, enum op_tier tier,
                                       enum op_protocol protocol)
{
    for (size_t i = 0; i < l->kind_count; i++)
        if (l->kinds[i].tier == tier && l->kinds[i].protocol == protocol)
            return &l->kinds[i];
    return NULL;
}

static void a_tier_owns_what_the_legs_inside_it_do_not(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, 10, OP_TIER_ENVOY, OP_REST, "a", 200, NULL},
        {1, 8, OP_TIER_RPROXY, OP_REST, "a", 200, NULL},
        {3, 4, OP_TIER_SERVER, OP_REST, "a", 200, NULL},
        {20, 20, OP_TIER_ENVOY, OP_REST, "b", 200, NULL},
        {22, 10, OP_TIER_RPROXY, OP_REST, "b", 503, NULL},
        {50, 1, OP_TIER_ENVOY, OP_REST, "alone", 200, NULL},
        {60, 1, OP_TIER_ENVOY, OP_REST, NULL, 200, NULL},
    };
    struct trc_legs l = legs_of(rows, 7, NULL, 0);
    struct buf text = {0};
    check_int(l.operations, ==, 7);
    check_int(l.calls, ==, 2);
    check_int(l.single, ==, 1);
    check_int(l.without_id, ==, 1);
    check_int(l.kind_count, ==, 3);
    const struct trc_leg_kind *envoy = kind(&l, OP_TIER_ENVOY, OP_REST);
    check_int(envoy->legs, ==, 2);
    check_int(envoy->p50_ns, ==, 10 * CLK_MS);
    check_int(envoy->p99_ns, ==, 20 * CLK_MS);
    check_int(envoy->own_p50_ns, ==, 2 * CLK_MS);
    check_int(envoy->own_p99_ns, ==, 10 * CLK_MS);
    const struct trc_leg_kind *rproxy = kind(&l, OP_TIER_RPROXY, OP_REST);
    check_int(rproxy->own_p50_ns, ==, 4 * CLK_MS);
    check_int(rproxy->failed, ==, 1);
    check_int(trc_legs_of(&l, SPAN_LIT("a"), &text), ==, 3);
    check_str_has(buf_text(&text), "server");
    check_int(trc_legs_of(&l, SPAN_LIT("alone"), &text), ==, 0);
    buf_done(&text);
    trc_legs_done(&l);
}

static void a_leg_without_an_id_is_told_by_its_message(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, 20, OP_TIER_PIPELINEGATEWAY, OP_REST, "a", 200, "json a"},
        {2, 10, OP_TIER_ENVOY, OP_GRPC, NULL, 200, "A"},
        {3, 8, OP_TIER_RPROXY, OP_GRPC, "a", 200, "A"},
        /* The same message, but neither around nor within. */
        {30, 10, OP_TIER_ENVOY, OP_GRPC, NULL, 200, "A"},
        /* Two calls at once with one message: either may be meant. */
        {50, 20, OP_TIER_ENVOY, OP_GRPC, NULL, 200, "B"},
        {51, 5, OP_TIER_RPROXY, OP_GRPC, "b1", 200, "B"},
        {52, 5, OP_TIER_RPROXY, OP_GRPC, "b2", 200, "B"},
        /* A call that has its leg at this tier already: a retry, or another's. */
        {80, 20, OP_TIER_ENVOY, OP_GRPC, NULL, 200, "C"},
        {81, 9, OP_TIER_ENVOY, OP_GRPC, "c", 200, "C"},
        {82, 5, OP_TIER_RPROXY, OP_GRPC, "c", 200, "C"},
        /* Two legs within one call: a retry, or that of a call whose other leg was
         * missed. Neither is told, whichever came first. */
        {84, 40, OP_TIER_ENVOY, OP_GRPC, "e", 200, "E"},
        {85, 5, OP_TIER_RPROXY, OP_GRPC, NULL, 200, "E"},
        {90, 20, OP_TIER_ENVOY, OP_GRPC, NULL, 200, NULL},
        {91, 5, OP_TIER_RPROXY, OP_GRPC, "d", 200, NULL},
        {115, 5, OP_TIER_RPROXY, OP_GRPC, NULL, 200, "E"},
    };
    struct trc_legs l = legs_of(rows, sizeof rows / sizeof *rows, NULL, 0);
    struct buf text = {0};
    check_int(l.matched, ==, 1);
    check_int(l.without_id, ==, 6);
    check_int(l.calls, ==, 2);
    check_int(l.single, ==, 4);
    check_int(trc_legs_of(&l, SPAN_LIT("a"), &text), ==, 3);
    const struct trc_leg_kind *gateway = kind(&l, OP_TIER_PIPELINEGATEWAY, OP_REST);
    check_int(gateway->own_p50_ns, ==, 10 * CLK_MS);
    /* 20 ms of call a and 9 of call c; a: 10 + 2 + 8, c: 4 + 5. */
    check_true(gateway->share > 10.0 / 29 - 1e-9 && gateway->share < 10.0 / 29 + 1e-9);
    buf_done(&text);
    trc_legs_done(&l);
}

/* One message all the time, as load generators send it: time tells the calls apart, but
 * not where they overlap. */
static void calls_with_one_message_are_told_by_time_alone(void **state)
{
    (void)state;
    for (int overlap = 0; overlap < 2; overlap++) {
        struct row rows[400];
        char ids[200][16];
        for (int i = 0; i < 200; i++) {
            int at = i * (overlap ? 6 : 10);
            snprintf(ids[i], sizeof ids[i], "c%d", i);
            rows[2 * i] = (struct row){at, 9, OP_TIER_ENVOY, OP_GRPC, ids[i], 200, "A"};
            rows[2 * i + 1] =
                (struct row){at + 1, 7, OP_TIER_RPROXY, OP_GRPC, NULL, 200, "A"};
        }
        struct trc_legs l = legs_of(rows, 400, NULL, 0);
        check_int(l.matched, ==, 200); /* each lies within one call alone */
        trc_legs_done(&l);
        for (int i = 0; overlap && i < 200; i++)
            rows[2 * i].took_ms = 30; /* within several */
        l = legs_of(rows, 400, NULL, 0);
        check_int(l.matched, ==, overlap ? 0 : 200);
        trc_legs_done(&l);
    }
}

static void legs_side_by_side_count_once(void **state)
{
    (void)state;
    /* Two steps of a pipeline at the same time, then one after them. */
    static const struct row rows[] = {
        {0, 100, OP_TIER_PIPELINEGATEWAY, OP_REST, "a", 200, NULL},
        {10, 30, OP_TIER_ENVOY, OP_GRPC, "a", 200, NULL},
        {20, 40, OP_TIER_ENVOY, OP_GRPC, "a", 200, NULL},
        {70, 10, OP_TIER_ENVOY, OP_GRPC, "a", 200, NULL},
    };
    struct trc_legs l = legs_of(rows, 4, NULL, 0);
    check_int(kind(&l, OP_TIER_PIPELINEGATEWAY, OP_REST)->own_p50_ns, ==, 40 * CLK_MS);
    check_int(kind(&l, OP_TIER_ENVOY, OP_GRPC)->legs, ==, 3);
    check_int(kind(&l, OP_TIER_ENVOY, OP_GRPC)->own_p50_ns, ==, 30 * CLK_MS);
    trc_legs_done(&l);
}

static void an_id_used_again_is_no_leg_inside_the_first(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, 10, OP_TIER_ENVOY, OP_REST, "a", 200, NULL},
        {2, 6, OP_TIER_RPROXY, OP_REST, "a", 503, NULL},
        {9, 1, OP_TIER_RPROXY, OP_REST, "a", 200, NULL}, /* a retry, of the same call */
        {50, 10, OP_TIER_ENVOY, OP_REST, "a", 200, NULL},
        {51, 8, OP_TIER_RPROXY, OP_REST, "a", 200, NULL},
        {62, 6, OP_TIER_ENVOY, OP_GRPC, "a", 200, NULL}, /* of another protocol */
        {63, 2, OP_TIER_RPROXY, OP_GRPC, "a", 200, NULL},
        {70, 10, OP_TIER_ENVOY, OP_REST, "a", 200, NULL}, /* at one tier, as b twice */
        {80, 5, OP_TIER_ENVOY, OP_REST, "b", 200, NULL},
        {82, 5, OP_TIER_ENVOY, OP_REST, "b", 200, NULL}, /* at the same time */
        {90, 5, OP_TIER_ENVOY, OP_REST, "b", 200, NULL},
        {100, -1, OP_TIER_ENVOY, OP_REST, "c", 0, NULL}, /* not over for all we know */
        {102, 5, OP_TIER_ENVOY, OP_GRPC, "c", 200, NULL},
    };
    struct buf text = {0};
    struct trc_legs l = legs_of(rows, sizeof rows / sizeof *rows, NULL, 0);
    check_int(l.calls, ==, 4);
    check_int(l.single, ==, 3);
    check_int(kind(&l, OP_TIER_ENVOY, OP_REST)->legs, ==, 3);
    check_int(kind(&l, OP_TIER_RPROXY, OP_REST)->legs, ==, 3);
    check_int(kind(&l, OP_TIER_ENVOY, OP_REST)->own_p50_ns, ==, 2 * CLK_MS);
    check_int(kind(&l, OP_TIER_ENVOY, OP_REST)->own_max_ns, ==, 3 * CLK_MS);
    trc_legs_calls(&l, &text);
    const char *line = buf_text(&text);
    check_str_has(line, "\"arrival_ns\":0,\"took_ns\":10000000,");
    check_str_has(strchr(line, '\n'), "\"arrival_ns\":50000000,\"took_ns\":10000000,");
    buf_done(&text);
    trc_legs_done(&l);
}

static void late_and_missing_answers_are_told_apart(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0, -1, OP_TIER_ENVOY, OP_REST, "a", 0, NULL},
        {1, -1, OP_TIER_RPROXY, OP_REST, "a", 0, NULL},
        {2, 1, OP_TIER_SERVER, OP_REST, "a", 200, NULL},
        {3, 1, OP_TIER_SERVER, OP_REST, "x", 200, NULL},
        {4, 1, OP_TIER_SERVER, OP_REST, "y", 200, NULL},
    };
    static const struct row late = {.took_ms = 9000, .status = 504};
    struct trc_legs l = legs_of(rows, 5, &late, 0);
    const struct trc_leg_kind *envoy = kind(&l, OP_TIER_ENVOY, OP_REST);
    check_int(envoy->answered, ==, 1);
    check_int(envoy->failed, ==, 1);
    check_int(envoy->p50_ns, ==, 9 * CLK_SEC);
    check_int(envoy->own_p50_ns, ==, 9 * CLK_SEC - CLK_MS);
    const struct trc_leg_kind *rproxy = kind(&l, OP_TIER_RPROXY, OP_REST);
    check_int(rproxy->legs, ==, 1);
    check_int(rproxy->answered, ==, 0);
    struct buf json = {0};
    trc_legs_json(&l, &json);
    check_str_has(buf_text(&json), "\"p50_ns\": null");
    buf_done(&json);
    trc_legs_done(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tier_owns_what_the_legs_inside_it_do_not),
        cmocka_unit_test(a_leg_without_an_id_is_told_by_its_message),
        cmocka_unit_test(calls_with_one_message_are_told_by_time_alone),
        cmocka_unit_test(legs_side_by_side_count_once),
        cmocka_unit_test(an_id_used_again_is_no_leg_inside_the_first),
        cmocka_unit_test(late_and_missing_answers_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
