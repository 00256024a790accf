/*
 * kafka_proto.c - see kafka_proto.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/kafka_proto.h"

#define PRODUCE_MAX       13
#define PRODUCE_FLEXIBLE  9
#define FETCH_MAX         18
#define FETCH_FLEXIBLE    12
#define TOPIC_IDS         13 /* from this version on, in both */
#define METADATA_MIN      10
#define METADATA_MAX      13
#define FRAME_HEAD        4u
#define LEAST_REQUEST     8u /* api, version, correlation id */
#define NULL_CLIENT       0xffffu
#define UVARINT_MAX_BYTES 5

/* --- heads ------------------------------------------------------------------------ */

static bool is_client_text(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < ' ' || s.p[i] == 0x7f)
            return false;
    return true;
}

bool cap_kafka_head_of(struct span s, struct cap_kafka_head *h)
{
    struct cursor c = cursor_of(s);
    *h = (struct cap_kafka_head){.length = cursor_u32_be(&c)};
    h->api = (int16_t)cursor_u16_be(&c);
    h->version = (int16_t)cursor_u16_be(&c);
    h->correlation = cursor_u32_be(&c);
    unsigned client = cursor_u16_be(&c);
    if (c.bad || h->length < LEAST_REQUEST + 2 || h->length > CAP_KAFKA_LENGTH_MAX ||
        h->api < 0 || h->api > CAP_KAFKA_API_MAX || h->version < 0 ||
        h->version > CAP_KAFKA_VERSION_MAX || h->correlation > INT32_MAX)
        return false;
    h->whole = true;
    if (client == NULL_CLIENT)
        return true;
    if (client > CAP_KAFKA_CLIENT_MAX || client + LEAST_REQUEST + 2 > h->length)
        return false;
    h->whole = cursor_left(&c) >= client;
    h->client = cursor_take(&c, h->whole ? client : cursor_left(&c));
    return is_client_text(h->client);
}

bool cap_kafka_produce_known(int version)
{
    return version >= 0 && version <= PRODUCE_MAX;
}

bool cap_kafka_response_known(int api, int version)
{
    switch (api) {
    case CAP_KAFKA_PRODUCE:
        return cap_kafka_produce_known(version);
    case CAP_KAFKA_FETCH:
        return version >= 0 && version <= FETCH_MAX;
    case CAP_KAFKA_METADATA:
        return version >= METADATA_MIN && version <= METADATA_MAX;
    default:
        return false;
    }
}

/* --- fields of either form -------------------------------------------------------- */

struct reading {
    struct cursor c;
    bool flexible;
    int version;
    cap_kafka_part_fn *fn;
    void *arg;
};

static uint64_t uvarint(struct cursor *c)
{
    size_t before = cursor_offset(c);
    uint64_t v = cursor_varint(c);
    if (cursor_offset(c) - before > UVARINT_MAX_BYTES || v > UINT32_MAX)
        c->bad = true;
    return v;
}

static int64_t take_i64(struct cursor *c)
{
    uint64_t high = cursor_u32_be(c);
    return (int64_t)(high << 32 | cursor_u32_be(c));
}

/* n bytes behind their length; null is empty. */
static struct span take_sized(struct reading *r, bool wide)
{
    uint64_t n;
    if (r->flexible) {
        n = uvarint(&r->c);
        n = n ? n - 1 : 0;
    } else if (wide) {
        n = cursor_u32_be(&r->c);
        n = n == UINT32_MAX ? 0 : n;
    } else {
        n = cursor_u16_be(&r->c);
        n = n == UINT16_MAX ? 0 : n;
    }
    if (n > cursor_left(&r->c))
        r->c.bad = true;
    return r->c.bad ? (struct span){0} : cursor_take(&r->c, (size_t)n);
}

static struct span take_text(struct reading *r)
{
    return take_sized(r, false);
}

static struct span take_bytes(struct reading *r)
{
    return take_sized(r, true);
}

/* Elements of an array; null has none. Each takes `least` bytes at least, so that an
 * impossible count is refused before anybody walks through it. */
static uint32_t take_count(struct reading *r, size_t least)
{
    uint64_t n = r->flexible ? uvarint(&r->c) : cursor_u32_be(&r->c);
    if (r->flexible)
        n = n ? n - 1 : 0;
    else if (n == UINT32_MAX)
        n = 0;
    if (n > cursor_left(&r->c) / least)
        r->c.bad = true;
    return r->c.bad ? 0 : (uint32_t)n;
}

static void skip(struct reading *r, size_t n)
{
    cursor_take(&r->c, n);
}

/* Bytes of a field that came with a version. */
static size_t since(const struct reading *r, int version, size_t bytes)
{
    return r->version >= version ? bytes : 0;
}

static void skip_tags(struct reading *r)
{
    if (!r->flexible)
        return;
    uint64_t n = uvarint(&r->c);
    for (uint64_t i = 0; i < n && !r->c.bad; i++) {
        uvarint(&r->c);
        skip(r, (size_t)uvarint(&r->c));
    }
}

static void skip_ints(struct reading *r) /* an array of 4 bytes each */
{
    skip(r, 4 * (size_t)take_count(r, 4));
}

/* The topic that the parts to come belong to. */
static struct cap_kafka_part take_topic(struct reading *r)
{
    struct cap_kafka_part p = {.base_offset = -1};
    if (r->version >= TOPIC_IDS)
        p.id = cursor_take(&r->c, CAP_KAFKA_TOPIC_ID);
    else
        p.topic = take_text(r);
    return p;
}

static void tell(struct reading *r, const struct cap_kafka_part *p)
{
    if (!r->c.bad)
        r->fn(r->arg, p);
}

static bool whole(const struct reading *r)
{
    return !r->c.bad && cursor_left(&r->c) == 0;
}

/* --- Produce ---------------------------------------------------------------------- */

bool cap_kafka_produce_read(struct span frame, cap_kafka_part_fn *fn, void *arg,
                            int *acks)
{
    struct cap_kafka_head h;
    *acks = -1;
    if (frame.n < CAP_KAFKA_REQUEST_HEAD || !cap_kafka_head_of(frame, &h) || !h.whole ||
        h.api != CAP_KAFKA_PRODUCE || !cap_kafka_produce_known(h.version))
        return false;
    struct reading r = {
        .c = cursor_of(span_sub(frame, CAP_KAFKA_REQUEST_HEAD + h.client.n, frame.n)),
        .flexible = h.version >= PRODUCE_FLEXIBLE,
        .version = h.version,
        .fn = fn,
        .arg = arg};
    skip_tags(&r);
    if (h.version >= 3)
        take_text(&r); /* transactional id */
    *acks = (int16_t)cursor_u16_be(&r.c);
    skip(&r, 4); /* timeout */
    uint32_t topics = take_count(&r, 3);
    for (uint32_t i = 0; i < topics && !r.c.bad; i++) {
        struct cap_kafka_part p = take_topic(&r);
        uint32_t parts = take_count(&r, 5);
        for (uint32_t k = 0; k < parts && !r.c.bad; k++) {
            p.partition = (int32_t)cursor_u32_be(&r.c);
            p.records = take_bytes(&r);
            skip_tags(&r);
            tell(&r, &p);
        }
        skip_tags(&r);
    }
    skip_tags(&r);
    return whole(&r);
}

static void produce_response(struct reading *r)
{
    uint32_t topics = take_count(r, 3);
    for (uint32_t i = 0; i < topics && !r->c.bad; i++) {
        struct cap_kafka_part p = take_topic(r);
        uint32_t parts = take_count(r, 14);
        for (uint32_t k = 0; k < parts && !r->c.bad; k++) {
            p.partition = (int32_t)cursor_u32_be(&r->c);
            p.error = (int16_t)cursor_u16_be(&r->c);
            p.base_offset = take_i64(&r->c);
            skip(r, since(r, 2, 8) + since(r, 5, 8)); /* append time, log start */
            uint32_t errors = r->version >= 8 ? take_count(r, 5) : 0;
            for (uint32_t n = 0; n < errors && !r->c.bad; n++) {
                skip(r, 4);
                take_text(r);
                skip_tags(r);
            }
            if (r->version >= 8)
                take_text(r);
            skip_tags(r);
            tell(r, &p);
        }
        skip_tags(r);
    }
    if (r->version >= 1)
        skip(r, 4); /* throttle time */
    skip_tags(r);
}

/* --- Fetch ------------------------------------------------------------------------ */

static void fetch_part(struct reading *r, struct cap_kafka_part *p)
{
    p->partition = (int32_t)cursor_u32_be(&r->c);
    p->error = (int16_t)cursor_u16_be(&r->c);
    skip(r, 8 + since(r, 4, 8) + since(r, 5, 8)); /* offsets */
    uint32_t aborted = r->version >= 4 ? take_count(r, 16) : 0;
    for (uint32_t n = 0; n < aborted && !r->c.bad; n++) {
        skip(r, 16);
        skip_tags(r);
    }
    if (r->version >= 11)
        skip(r, 4); /* preferred replica */
    p->records = take_bytes(r);
    skip_tags(r);
    tell(r, p);
}

static void fetch_response(struct reading *r)
{
    skip(r, since(r, 1, 4) + since(r, 7, 6)); /* throttle time; error, session */
    uint32_t topics = take_count(r, 3);
    for (uint32_t i = 0; i < topics && !r->c.bad; i++) {
        struct cap_kafka_part p = take_topic(r);
        uint32_t parts = take_count(r, 15);
        for (uint32_t k = 0; k < parts && !r->c.bad; k++)
            fetch_part(r, &p);
        skip_tags(r);
    }
    skip_tags(r);
}

/* --- Metadata --------------------------------------------------------------------- */

static void metadata_topic(struct reading *r)
{
    struct cap_kafka_part p = {.base_offset = -1};
    p.error = (int16_t)cursor_u16_be(&r->c);
    p.topic = take_text(r);
    p.id = cursor_take(&r->c, CAP_KAFKA_TOPIC_ID);
    skip(r, 1); /* internal? */
    uint32_t parts = take_count(r, 18);
    for (uint32_t k = 0; k < parts && !r->c.bad; k++) {
        skip(r, 2 + 4 + 4 + 4); /* error, partition, leader, its epoch */
        skip_ints(r);
        skip_ints(r);
        skip_ints(r);
        skip_tags(r);
    }
    skip(r, 4); /* operations */
    skip_tags(r);
    tell(r, &p);
}

static void metadata_response(struct reading *r)
{
    skip(r, 4); /* throttle time */
    uint32_t brokers = take_count(r, 11);
    for (uint32_t i = 0; i < brokers && !r->c.bad; i++) {
        skip(r, 4);
        take_text(r);
        skip(r, 4);
        take_text(r);
        skip_tags(r);
    }
    take_text(r); /* cluster */
    skip(r, 4);   /* controller */
    uint32_t topics = take_count(r, 26);
    for (uint32_t i = 0; i < topics && !r->c.bad; i++)
        metadata_topic(r);
    if (r->version == 10)
        skip(r, 4); /* operations on the cluster */
    if (r->version >= 13)
        skip(r, 2); /* error */
    skip_tags(r);
}

bool cap_kafka_response_read(struct span frame, int api, int version,
                             cap_kafka_part_fn *fn, void *arg)
{
    struct reading r = {.c = cursor_of(span_sub(frame, FRAME_HEAD + 4, frame.n)),
                        .version = version,
                        .fn = fn,
                        .arg = arg};
    if (!cap_kafka_response_known(api, version))
        return false;
    if (api == CAP_KAFKA_PRODUCE) {
        r.flexible = version >= PRODUCE_FLEXIBLE;
        skip_tags(&r);
        produce_response(&r);
    } else if (api == CAP_KAFKA_FETCH) {
        r.flexible = version >= FETCH_FLEXIBLE;
        skip_tags(&r);
        fetch_response(&r);
    } else {
        r.flexible = true;
        skip_tags(&r);
        metadata_response(&r);
    }
    return whole(&r);
}
