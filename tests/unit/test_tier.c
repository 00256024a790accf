/* test_tier.c - names, headers and paths per tier. SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include "replay/tier.h"

static const struct rep_version listed[] = {{SPAN_LIT("wine"), 7}};
static const struct rep_versions versions = {.common = 1, .listed = listed, .count = 1};

/* "path|seldon-model|seldon-internal-model" for REST, model_name in place of the path
 * for gRPC; "refused: why" where there is no row. */
static const char *sheet(struct buf *out, enum op_tier tier, enum op_protocol protocol,
                         enum op_resource resource, const char *name)
{
    const char *why = NULL;
    const struct rep_tier_rule *rule = rep_tier_rule(tier, protocol, resource, &why);
    struct op_stream s = {
        .protocol = protocol, .resource = resource, .name = span_str(name)};

    buf_reset(out);
    if (!rule) {
        buf_fmt(out, "refused: %s", why);
        return buf_text(out);
    }
    if (protocol == OP_REST)
        rep_tier_path(rule, &versions, &s, out);
    else
        rep_tier_name(&versions, rule->target, s.name, out);
    buf_u8(out, '|');
    rep_tier_name(&versions, rule->seldon_model, s.name, out);
    buf_u8(out, '|');
    rep_tier_name(&versions, rule->internal, s.name, out);
    return buf_text(out);
}

static void every_tier_is_told_what_it_expects_of_a_rest_model(void **state)
{
    struct buf b = {0};
    (void)state;
    check_str(sheet(&b, OP_TIER_ENVOY, OP_REST, OP_MODEL, "iris"),
              "/v2/models/iris/infer|iris|");
    check_str(sheet(&b, OP_TIER_RPROXY, OP_REST, OP_MODEL, "iris"),
              "/v2/models/iris/infer|iris|iris_1");
    check_str(sheet(&b, OP_TIER_SERVER, OP_REST, OP_MODEL, "iris"),
              "/v2/models/iris_1/infer||");
    check_str(sheet(&b, OP_TIER_MODELGATEWAY, OP_REST, OP_MODEL, "iris"),
              "/v2/models/iris/infer|iris.model|");
    check_str_has(sheet(&b, OP_TIER_PIPELINEGATEWAY, OP_REST, OP_MODEL, "iris"),
                  "refused: the tier pipelinegateway takes pipelines only");
    buf_done(&b);
}

static void every_tier_is_told_what_it_expects_of_a_grpc_model(void **state)
{
    struct buf b = {0};
    (void)state;
    check_str(sheet(&b, OP_TIER_ENVOY, OP_GRPC, OP_MODEL, "iris"), "iris_1|iris|");
    check_str(sheet(&b, OP_TIER_RPROXY, OP_GRPC, OP_MODEL, "iris"), "iris|iris|iris_1");
    check_str(sheet(&b, OP_TIER_SERVER, OP_GRPC, OP_MODEL, "iris"), "iris_1||");
    check_str(sheet(&b, OP_TIER_MODELGATEWAY, OP_GRPC, OP_MODEL, "iris"),
              "iris|iris.model|");
    buf_done(&b);
}

static void pipelines_go_to_envoy_and_the_pipeline_gateway_alone(void **state)
{
    struct buf b = {0};
    (void)state;
    for (enum op_protocol p = OP_REST; p <= OP_GRPC; p++) {
        const char *want = p == OP_REST ? "/v2/models/chain/infer|chain.pipeline|"
                                        : "chain|chain.pipeline|";
        check_str(sheet(&b, OP_TIER_ENVOY, p, OP_PIPELINE, "chain"), want);
        check_str(sheet(&b, OP_TIER_PIPELINEGATEWAY, p, OP_PIPELINE, "chain"), want);
        check_str_has(sheet(&b, OP_TIER_RPROXY, p, OP_PIPELINE, "chain"), "refused");
        check_str_has(sheet(&b, OP_TIER_SERVER, p, OP_PIPELINE, "chain"), "refused");
        check_str_has(sheet(&b, OP_TIER_MODELGATEWAY, p, OP_PIPELINE, "chain"),
                      "refused");
    }
    buf_done(&b);
}

static void experiments_go_to_envoy_alone(void **state)
{
    struct buf b = {0};
    (void)state;
    check_str(sheet(&b, OP_TIER_ENVOY, OP_REST, OP_EXPERIMENT, "split"),
              "/v2/models/split/infer|split.experiment|");
    for (enum op_tier t = OP_TIER_RPROXY; t < OP_TIER_COUNT; t++)
        check_str_has(sheet(&b, t, OP_REST, OP_EXPERIMENT, "split"), "refused");
    buf_done(&b);
}

static void kafka_and_control_operations_have_no_row(void **state)
{
    struct buf b = {0};
    (void)state;
    for (enum op_tier t = OP_TIER_ENVOY; t <= OP_TIER_MODELGATEWAY; t++) {
        check_str_has(sheet(&b, t, OP_KAFKA, OP_MODEL, "iris"), "refused: a Kafka");
        check_str_has(sheet(&b, t, OP_CONTROL, OP_MODEL, "iris"), "refused: a control");
    }
    buf_done(&b);
}

static void the_tier_kafka_takes_every_protocol_by_bare_name(void **state)
{
    const char *why = NULL;
    (void)state;
    for (enum op_protocol p = OP_REST; p <= OP_KAFKA; p++)
        for (enum op_resource r = OP_MODEL; r <= OP_PIPELINE; r++) {
            const struct rep_tier_rule *rule = rep_tier_rule(OP_TIER_KAFKA, p, r, &why);
            check_true(rule != NULL);
            check_int(rule->target, ==, REP_NAME_BARE);
            check_int(rule->seldon_model, ==, REP_NAME_NONE);
        }
    check_true(!rep_tier_rule(OP_TIER_KAFKA, OP_KAFKA, OP_EXPERIMENT, &why));
    check_str(why, "the tier kafka takes models and pipelines only");
    check_true(!rep_tier_rule(OP_TIER_KAFKA, OP_CONTROL, OP_MODEL, &why));
    check_true(rep_tier_needs_unique_id(OP_TIER_KAFKA, OP_MODEL));
}

static void records_carry_what_the_gateway_passes_on(void **state)
{
    static const struct {
        const char *name;
        bool rest, record; /* of an operation of that protocol */
    } rows[] = {
        {"x-tenant", true, true},
        {"x-request-id", false, false},
        {"x-seldon-route", false, false},
        {"x-envoy-attempt", false, false},
        {"traceparent", false, true},
        {"seldon-infer-type", false, true},
        {"pipeline", false, false},
        {"x-pipeline-version", false, false},
        {"seldon-pipeline-errors", false, false},
        {"authorization", false, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct op_header h = {span_str(rows[i].name), SPAN_LIT("v")};
        check_int(rep_tier_record_header_passes(OP_REST, &h), ==, rows[i].rest);
        check_int(rep_tier_record_header_passes(OP_GRPC, &h), ==, rows[i].rest);
        check_int(rep_tier_record_header_passes(OP_KAFKA, &h), ==, rows[i].record);
    }
}

static void a_listed_version_beats_the_common_one(void **state)
{
    struct buf b = {0};
    (void)state;
    check_str(sheet(&b, OP_TIER_SERVER, OP_GRPC, OP_MODEL, "wine"), "wine_7||");
    check_str(sheet(&b, OP_TIER_RPROXY, OP_REST, OP_MODEL, "wine"),
              "/v2/models/wine/infer|wine|wine_7");
    buf_done(&b);
}

static const char *path_at(struct buf *b, enum op_tier tier, const char *recorded)
{
    const struct rep_tier_rule *rule = rep_tier_rule(tier, OP_REST, OP_MODEL, NULL);
    struct op_stream s = {.name = SPAN_LIT("iris"), .path = span_str(recorded)};
    buf_reset(b);
    rep_tier_path(rule, &versions, &s, b);
    return buf_text(b);
}

static void a_recorded_path_keeps_all_but_the_name(void **state)
{
    struct buf b = {0};
    (void)state;
    check_str(path_at(&b, OP_TIER_SERVER, "/v2/models/iris_3/ready"),
              "/v2/models/iris_1/ready");
    check_str(path_at(&b, OP_TIER_ENVOY, "/v2/models/iris_3/infer?x=1"),
              "/v2/models/iris/infer?x=1");
    check_str(path_at(&b, OP_TIER_RPROXY, "/v2/models/iris/versions/2/infer"),
              "/v2/models/iris/versions/2/infer");
    check_str(path_at(&b, OP_TIER_SERVER, "/v2/models/iris/versions/2/infer"),
              "/v2/models/iris_1/infer");
    check_str(path_at(&b, OP_TIER_SERVER, "/v2/models/iris"), "/v2/models/iris_1");
    check_str(path_at(&b, OP_TIER_SERVER, "/v2/health/ready"), "/v2/health/ready");
    check_str(path_at(&b, OP_TIER_SERVER, "/v2/models/"), "/v2/models/");
    buf_done(&b);
}

static bool passes(const char *name, const char *value)
{
    return rep_tier_header_passes(&(struct op_header){span_str(name), span_str(value)});
}

static void headers_of_one_hop_of_routing_and_of_credentials_stay_behind(void **state)
{
    static const char *const dropped[] = {"connection",
                                          "Keep-Alive",
                                          "te",
                                          "trailer",
                                          "upgrade",
                                          "transfer-encoding",
                                          "content-length",
                                          "host",
                                          "x-seldon-route",
                                          "seldon-model",
                                          "X-Envoy-Attempt",
                                          "x-forwarded-for",
                                          "proxy-connection",
                                          "x-request-id",
                                          "accept-encoding",
                                          "content-type",
                                          "grpc-timeout",
                                          "authorization",
                                          "cookie",
                                          "seldon-internal-model"};
    (void)state;
    for (size_t i = 0; i < sizeof dropped / sizeof *dropped; i++)
        check_true(!passes(dropped[i], "1"));
    check_true(passes("traceparent", "00-1-2-01"));
    check_true(!passes("traceparent", ""));
    check_true(passes("seldon-logging", "true"));
    check_true(passes("x-customer", "a b\tc"));
}

static void headers_that_would_break_a_request_apart_stay_behind(void **state)
{
    (void)state;
    check_true(!passes("x-a", "1\r\nx-evil: 1"));
    check_true(!passes("x-a", "1\x7f"));
    check_true(!passes("x a", "1"));
    check_true(!passes("x:a", "1"));
    check_true(!passes("", "1"));
    check_true(!passes(":path", "/"));
}

static void names_that_could_not_stand_in_a_path_are_told(void **state)
{
    (void)state;
    check_true(rep_tier_name_ok(SPAN_LIT("iris-1.a_B")));
    check_true(!rep_tier_name_ok(SPAN_LIT("")));
    check_true(!rep_tier_name_ok(SPAN_LIT("a/b")));
    check_true(!rep_tier_name_ok(SPAN_LIT("a\r\nb")));
    check_true(!rep_tier_name_ok(SPAN_LIT("a b")));
}

static void calls_through_the_pipeline_gateway_need_ids_of_their_own(void **state)
{
    (void)state;
    check_true(rep_tier_needs_unique_id(OP_TIER_PIPELINEGATEWAY, OP_PIPELINE));
    check_true(rep_tier_needs_unique_id(OP_TIER_MODELGATEWAY, OP_MODEL));
    check_true(rep_tier_needs_unique_id(OP_TIER_ENVOY, OP_PIPELINE));
    check_true(!rep_tier_needs_unique_id(OP_TIER_ENVOY, OP_MODEL));
    check_true(!rep_tier_needs_unique_id(OP_TIER_SERVER, OP_MODEL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tier_is_told_what_it_expects_of_a_rest_model),
        cmocka_unit_test(every_tier_is_told_what_it_expects_of_a_grpc_model),
        cmocka_unit_test(pipelines_go_to_envoy_and_the_pipeline_gateway_alone),
        cmocka_unit_test(experiments_go_to_envoy_alone),
        cmocka_unit_test(kafka_and_control_operations_have_no_row),
        cmocka_unit_test(the_tier_kafka_takes_every_protocol_by_bare_name),
        cmocka_unit_test(records_carry_what_the_gateway_passes_on),
        cmocka_unit_test(a_listed_version_beats_the_common_one),
        cmocka_unit_test(a_recorded_path_keeps_all_but_the_name),
        cmocka_unit_test(headers_of_one_hop_of_routing_and_of_credentials_stay_behind),
        cmocka_unit_test(headers_that_would_break_a_request_apart_stay_behind),
        cmocka_unit_test(names_that_could_not_stand_in_a_path_are_told),
        cmocka_unit_test(calls_through_the_pipeline_gateway_need_ids_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
