/*
 * fuzz_kafka_framing.c - names, keys and framing of records: what is told lies within
 * what was given, and together with what was taken off it is all of it.
 *
 * Input: the value, a topic and a key, separated by line feeds; each stands alone in
 * memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "traces/wire/kafka_topic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct span alone(struct span s)
{
    uint8_t *p = malloc(s.n ? s.n : 1);
    if (!p)
        abort();
    if (s.n)
        memcpy(p, s.p, s.n);
    return span_of(p, s.n);
}

static void is_tail(struct span whole, struct span tail)
{
    if (tail.n > whole.n || (tail.n && tail.p != whole.p + (whole.n - tail.n)))
        abort();
}

static void try_value(struct span s)
{
    struct kafka_value v = kafka_value_of(s);
    is_tail(s, v.body);
    if (v.framing != KAFKA_FRAMING_SCHEMA && v.body.n != s.n)
        abort();
    if (v.framing == KAFKA_FRAMING_SCHEMA && s.n - v.body.n < 6)
        abort();
    if ((v.framing == KAFKA_FRAMING_NONE) != (s.n == 0 || s.p[0] != 0))
        abort();
}

static void try_key(struct span key, struct span owner)
{
    struct kafka_key k = kafka_key_of(key, owner);
    is_tail(key, k.id);
    size_t head = key.n - k.id.n;
    if ((k.style == KAFKA_KEY_ID) != (head == 0) ||
        (k.style != KAFKA_KEY_ID && k.id.n == 0))
        abort();
    if (head &&
        (head < owner.n + 1 || memcmp(k.id.p - owner.n - 1, owner.p, owner.n) != 0))
        abort();
    if ((k.partition >= 0) != (k.style == KAFKA_KEY_PARTITION_NAME_ID))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span all = span_of(data, size);
    size_t a = span_find(all, '\n', 0),
           b = a < size ? span_find(all, '\n', a + 1) : size;
    struct span value = alone(span_sub(all, 0, a));
    struct span topic = alone(span_sub(all, a + 1, b));
    struct span key = alone(span_sub(all, b + 1, size));
    struct kafka_topic t = kafka_topic_of(topic, "seldon", "default");
    if ((t.name.n > 0) !=
        (t.kind == KAFKA_TOPIC_INPUTS || t.kind == KAFKA_TOPIC_OUTPUTS))
        abort();
    if (t.name.n + strlen("seldon.default.model..inputs") > topic.n && t.name.n)
        abort();
    try_value(value);
    try_key(key, t.name);
    try_key(key, topic);
    union {
        const uint8_t *from;
        void *to;
    } gone[] = {{.from = value.p}, {.from = topic.p}, {.from = key.p}};
    for (size_t i = 0; i < 3; i++)
        free(gone[i].to);
    return 0;
}
