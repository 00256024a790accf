/*
 * test_kafka_topic.c - names of topics, keys of all releases, framing of values.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "check.h"

#include "traces/wire/kafka_topic.h"

static struct kafka_topic topic(const char *text)
{
    return kafka_topic_of(span_str(text), "seldon", "default");
}

static void topics_say_what_they_are_for(void **state)
{
    (void)state;
    struct kafka_topic t = topic("seldon.default.model.iris.inputs");
    check_int(t.kind, ==, KAFKA_TOPIC_INPUTS);
    check_int(t.resource, ==, OP_MODEL);
    check_span(t.name, "iris");
    t = topic("seldon.default.pipeline.two-steps.outputs");
    check_int(t.kind, ==, KAFKA_TOPIC_OUTPUTS);
    check_int(t.resource, ==, OP_PIPELINE);
    check_span(t.name, "two-steps");
    check_int(topic("seldon.default.errors.errors").kind, ==, KAFKA_TOPIC_ERRORS);
    t = topic("seldon.default.model.errors.inputs.outputs");
    check_int(t.kind, ==, KAFKA_TOPIC_OUTPUTS);
    check_span(t.name, "errors.inputs");
    t = kafka_topic_of(span_str("a.b.ns.model.m.inputs"), "a.b", "ns");
    check_span(t.name, "m");
}

static void other_topics_are_none_of_ours(void **state)
{
    (void)state;
    static const char *const others[] = {
        "",
        "seldon",
        "seldon.default",
        "seldon.default.",
        "seldon.default.model",
        "seldon.default.model.iris",
        "seldon.default.model.inputs",
        "seldon.default.model..inputs",
        "seldon.default.model.iris.inputs2",
        "seldon.defaults.model.iris.inputs",
        "seldom.default.model.iris.inputs",
        "seldon.default.experiment.iris.inputs",
        "seldon.default.errors.errors.inputs",
        "seldon.other.errors.errors",
        "seldon-default.model.iris.inputs",
        "__consumer_offsets",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        check_int(topic(others[i]).kind, ==, KAFKA_TOPIC_OTHER);
}

static struct kafka_key key(const char *text, const char *owner)
{
    return kafka_key_of(span_str(text), span_str(owner));
}

static void keys_of_all_releases_give_the_request_id(void **state)
{
    (void)state;
    struct kafka_key k = key("cq2r9", "iris");
    check_int(k.style, ==, KAFKA_KEY_ID);
    check_int(k.partition, ==, -1);
    check_span(k.id, "cq2r9");
    k = key("iris.cq2r9", "iris");
    check_int(k.style, ==, KAFKA_KEY_NAME_ID);
    check_span(k.id, "cq2r9");
    k = key("12.iris.cq2r9", "iris");
    check_int(k.style, ==, KAFKA_KEY_PARTITION_NAME_ID);
    check_int(k.partition, ==, 12);
    check_span(k.id, "cq2r9");
}

static void an_id_may_look_like_anything(void **state)
{
    (void)state;
    check_span(key("0.iris.1.iris.x", "iris").id, "1.iris.x");
    check_span(key("3.other.x", "iris").id, "3.other.x");
    check_span(key("iris.", "iris").id, "iris.");
    check_span(key("irisx.1", "iris").id, "irisx.1");
    check_span(key("99999999999.iris.x", "iris").id, "99999999999.iris.x");
    check_span(key("-1.iris.x", "iris").id, "-1.iris.x");
    check_span(key("1.iris.x", "").id, "1.iris.x");
    check_span(key("", "iris").id, "");
    check_span(key("7.7.7", "7").id, "7"); /* a name of digits: the newest style wins */
}

static struct kafka_value value(const char *bytes, size_t n)
{
    return kafka_value_of(span_of(bytes, n));
}
#define VALUE(text) value(text, sizeof(text) - 1)

static void framing_is_recognised_and_taken_off(void **state)
{
    (void)state;
    struct kafka_value v = VALUE("\0\0\0\1\2\0\x0a\4iris");
    check_int(v.framing, ==, KAFKA_FRAMING_SCHEMA);
    check_int(v.schema, ==, 258);
    check_true(v.first_message);
    check_span(v.body, "\x0a\4iris");
    v = VALUE("\0\0\0\0\7\4\2\0body"); /* the first message within the second */
    check_int(v.framing, ==, KAFKA_FRAMING_SCHEMA);
    check_int(v.first_message, ==, false);
    check_span(v.body, "body");
    v = VALUE("\0\0\0\0\7\2\0body"); /* the first, in full */
    check_int(v.first_message, ==, true);
    check_span(v.body, "body");
    v = VALUE("\0\0\0\0\7\0"); /* an empty message */
    check_int(v.framing, ==, KAFKA_FRAMING_SCHEMA);
    check_int(v.body.n, ==, 0);
}

static void bare_values_stay_as_they_are(void **state)
{
    (void)state;
    check_int(VALUE("").framing, ==, KAFKA_FRAMING_NONE);
    check_int(VALUE("{\"id\":1}").framing, ==, KAFKA_FRAMING_NONE);
    check_span(VALUE("\x0a\4iris").body, "\x0a\4iris");
}

static void broken_framing_is_said_and_nothing_is_cut(void **state)
{
    (void)state;
    check_int(VALUE("\0").framing, ==, KAFKA_FRAMING_BROKEN);
    check_int(VALUE("\0\0\0\1\2").framing, ==, KAFKA_FRAMING_BROKEN);
    check_int(VALUE("\0\0\0\1\2\4\2").framing, ==, KAFKA_FRAMING_BROKEN);
    check_int(VALUE("\0\0\0\1\2\1abc").framing, ==, KAFKA_FRAMING_BROKEN); /* -1 */
    check_int(VALUE("\0\0\0\1\2\xff\xff\3abc").framing, ==, KAFKA_FRAMING_BROKEN);
    check_int(VALUE("\0\0\0\1\2\xff\xff\3abc").body.n, ==, 11);
}

static void what_is_written_reads_back(void **state)
{
    static const struct kafka_topic topics[] = {
        {KAFKA_TOPIC_INPUTS, OP_MODEL, {(const uint8_t *)"iris", 4}},
        {KAFKA_TOPIC_OUTPUTS, OP_PIPELINE, {(const uint8_t *)"a.b", 3}},
        {KAFKA_TOPIC_ERRORS, OP_MODEL, {0}},
    };
    static const char *const names[] = {"p.q.ns.model.iris.inputs",
                                        "p.q.ns.pipeline.a.b.outputs",
                                        "p.q.ns.errors.errors"};
    static const char *const keys[] = {"id-1", "iris.id-1", "1000203040.iris.id-1"};
    struct buf b = {0};
    (void)state;
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++) {
        buf_reset(&b);
        kafka_topic_write(topics[i].kind, topics[i].resource, topics[i].name, "p.q",
                          "ns", &b);
        check_str(buf_text(&b), names[i]);
        struct kafka_topic t = kafka_topic_of(buf_view(&b), "p.q", "ns");
        check_int(t.kind, ==, topics[i].kind);
        check_int(t.resource, ==, topics[i].resource);
        check_true(span_eq(t.name, topics[i].name));
    }
    for (int style = KAFKA_KEY_ID; style <= KAFKA_KEY_PARTITION_NAME_ID; style++) {
        buf_reset(&b);
        kafka_key_write((enum kafka_key_style)style, 1000203040, SPAN_LIT("iris"),
                        SPAN_LIT("id-1"), &b);
        check_str(buf_text(&b), keys[style]);
        struct kafka_key k = kafka_key_of(buf_view(&b), SPAN_LIT("iris"));
        check_int(k.style, ==, style);
        check_span(k.id, "id-1");
    }
    buf_reset(&b);
    kafka_key_write(KAFKA_KEY_PARTITION_NAME_ID, 0, SPAN_LIT("iris"), SPAN_LIT("x"),
                    &b);
    check_str(buf_text(&b), "0.iris.x");
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topics_say_what_they_are_for),
        cmocka_unit_test(other_topics_are_none_of_ours),
        cmocka_unit_test(keys_of_all_releases_give_the_request_id),
        cmocka_unit_test(an_id_may_look_like_anything),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(framing_is_recognised_and_taken_off),
        cmocka_unit_test(bare_values_stay_as_they_are),
        cmocka_unit_test(broken_framing_is_said_and_nothing_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
