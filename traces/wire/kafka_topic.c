/*
 * kafka_topic.c - see kafka_topic.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/wire/kafka_topic.h"

#include <string.h>

/* Takes `head` and a dot from the front. */
static bool take_part(struct span *s, const char *head)
{
    size_t n = strlen(head);
    if (!span_starts(*s, head) || s->n <= n || s->p[n] != '.')
        return false;
    *s = span_sub(*s, n + 1, s->n);
    return true;
}

/* What stands behind prefix and namespace. */
static struct kafka_topic topic_tail(struct span topic)
{
    struct kafka_topic t = {.kind = KAFKA_TOPIC_OTHER, .resource = OP_MODEL};
    if (span_eq_str(topic, "errors.errors")) {
        t.kind = KAFKA_TOPIC_ERRORS;
        return t;
    }
    if (take_part(&topic, "pipeline"))
        t.resource = OP_PIPELINE;
    else if (!take_part(&topic, "model"))
        return t;
    bool inputs = span_ends(topic, ".inputs");
    size_t tail = inputs ? strlen(".inputs") : strlen(".outputs");
    if ((!inputs && !span_ends(topic, ".outputs")) || topic.n == tail)
        return t;
    t.kind = inputs ? KAFKA_TOPIC_INPUTS : KAFKA_TOPIC_OUTPUTS;
    t.name = span_sub(topic, 0, topic.n - tail);
    return t;
}

struct kafka_topic kafka_topic_of(struct span topic, const char *prefix,
                                  const char *name_space)
{
    if (!take_part(&topic, prefix) || !take_part(&topic, name_space))
        return (struct kafka_topic){.kind = KAFKA_TOPIC_OTHER, .resource = OP_MODEL};
    return topic_tail(topic);
}

struct kafka_topic kafka_topic_guess(struct span topic)
{
    struct kafka_topic t = {.kind = KAFKA_TOPIC_OTHER, .resource = OP_MODEL};
    size_t parts = 0;
    for (size_t at = 0; at < topic.n && t.kind == KAFKA_TOPIC_OTHER; parts++) {
        if (parts >= 2)
            t = topic_tail(span_sub(topic, at, topic.n));
        at = span_find(topic, '.', at) + 1;
    }
    return t;
}

void kafka_topic_write(enum kafka_topic_kind kind, enum op_resource resource,
                       struct span name, const char *prefix, const char *name_space,
                       struct buf *out)
{
    buf_fmt(out, "%s.%s.", prefix, name_space);
    if (kind == KAFKA_TOPIC_ERRORS) {
        buf_str(out, "errors.errors");
        return;
    }
    buf_str(out, resource == OP_PIPELINE ? "pipeline." : "model.");
    buf_span(out, name);
    buf_str(out, kind == KAFKA_TOPIC_INPUTS ? ".inputs" : ".outputs");
}

/* What follows `owner` and a dot; false where the key has it not. */
static bool after_owner(struct span key, struct span owner, struct span *id)
{
    if (owner.n == 0 || key.n <= owner.n + 1 || key.p[owner.n] != '.' ||
        memcmp(key.p, owner.p, owner.n) != 0)
        return false;
    *id = span_sub(key, owner.n + 1, key.n);
    return true;
}

struct kafka_key kafka_key_of(struct span key, struct span owner)
{
    struct kafka_key k = {.style = KAFKA_KEY_ID, .partition = -1, .id = key};
    uint64_t partition;
    size_t dot = span_find(key, '.', 0);
    if (span_u64(span_sub(key, 0, dot), &partition) && partition <= INT32_MAX &&
        dot < key.n && after_owner(span_sub(key, dot + 1, key.n), owner, &k.id)) {
        k.style = KAFKA_KEY_PARTITION_NAME_ID;
        k.partition = (int32_t)partition;
    } else if (after_owner(key, owner, &k.id)) {
        k.style = KAFKA_KEY_NAME_ID;
    }
    return k;
}

/* One a request, hence without printf. */
static void put_partition(int32_t partition, struct buf *out)
{
    char digits[10];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + partition % 10);
    while ((partition /= 10) > 0);
    buf_add(out, digits + at, sizeof digits - at);
    buf_u8(out, '.');
}

void kafka_key_write(enum kafka_key_style style, int32_t partition, struct span owner,
                     struct span id, struct buf *out)
{
    if (style == KAFKA_KEY_PARTITION_NAME_ID)
        put_partition(partition, out);
    if (style != KAFKA_KEY_ID) {
        buf_span(out, owner);
        buf_u8(out, '.');
    }
    buf_span(out, id);
}

struct kafka_value kafka_value_of(struct span value)
{
    struct kafka_value v = {.framing = KAFKA_FRAMING_NONE, .body = value};
    if (value.n == 0 || value.p[0] != 0)
        return v;
    struct cursor c = cursor_of(value);
    cursor_u8(&c);
    uint32_t schema = cursor_u32_be(&c);
    int64_t count = cursor_zigzag(&c), first = 0;
    v.framing = KAFKA_FRAMING_BROKEN;
    if (c.bad || count < 0 || count > KAFKA_SCHEMA_INDEX_MAX)
        return v;
    for (int64_t i = 0; i < count; i++) {
        int64_t place = cursor_zigzag(&c);
        if (place < 0)
            return v;
        first |= place;
    }
    if (c.bad)
        return v;
    v.framing = KAFKA_FRAMING_SCHEMA;
    v.schema = schema;
    v.first_message = count <= 1 && first == 0;
    v.body = span_sub(value, cursor_offset(&c), value.n);
    return v;
}
