/*
 * kafka_records.c - see kafka_records.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/kafka_records.h"

#include <stdlib.h>
#include <string.h>

#include "capture/kafka_batch.h"
#include "capture/kafka_inflate.h"
#include "traces/base/rng.h"

#define TOPIC_SLOTS (2 * CAP_KAFKA_TOPICS_MAX)
#define BATCH_SLOTS (2 * CAP_KAFKA_BATCHES)
#define NO_TOPIC    0u

/* A name, and the id that stands for it, each under a slot of its own. */
struct topic {
    struct topic_name {
        size_t n;
        uint8_t text[];
    } * name;
    uint8_t id[CAP_KAFKA_TOPIC_ID];
    bool has_id;
};

struct batch {
    uint64_t identity[2];
    uint32_t topic; /* index + 1 */
    int32_t partition;
    int64_t base_offset; /* -1: not known */
    uint32_t next;       /* index + 1: of its slot */
};

struct cap_krecords {
    struct cap_kafka_join *join;
    struct topic *topics;
    uint32_t topic_count;
    uint32_t *by_name, *by_id; /* index + 1; open addressing */
    struct batch *batches;     /* a ring */
    uint64_t batch_count;      /* ever */
    uint32_t *by_identity;     /* index + 1 of the newest of its slot */
    uint32_t serial;           /* of records that were handed on */
    struct buf inflated, names;
    struct cap_batch_record record;
    struct cap_krecords_counts counts;
    struct err failed;
};

int cap_krecords_new(struct cap_krecords **out, struct cap_kafka_join *join,
                     struct err *e)
{
    struct cap_krecords *k = *out = calloc(1, sizeof *k);
    if (k) {
        k->join = join;
        k->topics = calloc(CAP_KAFKA_TOPICS_MAX, sizeof *k->topics);
        k->by_name = calloc(TOPIC_SLOTS, sizeof *k->by_name);
        k->by_id = calloc(TOPIC_SLOTS, sizeof *k->by_id);
        k->batches = calloc(CAP_KAFKA_BATCHES, sizeof *k->batches);
        k->by_identity = calloc(BATCH_SLOTS, sizeof *k->by_identity);
    }
    if (!k || !k->topics || !k->by_name || !k->by_id || !k->batches ||
        !k->by_identity) {
        cap_krecords_free(k);
        *out = NULL;
        return err_set(e, ERR_NOMEM, "out of memory for Kafka's records");
    }
    return 0;
}

void cap_krecords_free(struct cap_krecords *k)
{
    if (!k)
        return;
    for (uint32_t i = 0; i < k->topic_count; i++)
        free(k->topics[i].name);
    free(k->topics);
    free(k->by_name);
    free(k->by_id);
    free(k->batches);
    free(k->by_identity);
    buf_done(&k->inflated);
    buf_done(&k->names);
    free(k);
}

int cap_krecords_check(const struct cap_krecords *k, struct err *e)
{
    if (k->failed.code != ERR_OK && e && e->code == ERR_OK)
        *e = k->failed;
    return k->failed.code;
}

const struct cap_krecords_counts *cap_krecords_counts(const struct cap_krecords *k)
{
    return &k->counts;
}

const struct cap_kafka_counts *cap_krecords_joined(const struct cap_krecords *k)
{
    return cap_kafka_join_counts(k->join);
}

/* --- topics ----------------------------------------------------------------------- */

static uint64_t hash_of(struct span s)
{
    uint64_t h[2];
    op_body_hash(s, h);
    return h[0];
}

static struct span name_of(const struct cap_krecords *k, uint32_t topic)
{
    const struct topic *t = &k->topics[topic - 1];
    return span_of(t->name->text, t->name->n);
}

/* Index + 1, made where it is new; NO_TOPIC when there is no room. */
static uint32_t topic_named(struct cap_krecords *k, struct span name)
{
    uint64_t slot = hash_of(name) % TOPIC_SLOTS;
    for (; k->by_name[slot]; slot = (slot + 1) % TOPIC_SLOTS)
        if (span_eq(name_of(k, k->by_name[slot]), name))
            return k->by_name[slot];
    if (k->topic_count == CAP_KAFKA_TOPICS_MAX || name.n > CAP_KAFKA_TOPIC_MAX ||
        name.n == 0)
        return NO_TOPIC;
    struct topic_name *copy = malloc(sizeof *copy + name.n);
    if (!copy)
        return NO_TOPIC;
    copy->n = name.n;
    memcpy(copy->text, name.p, name.n);
    k->topics[k->topic_count] = (struct topic){.name = copy};
    return k->by_name[slot] = ++k->topic_count;
}

static uint32_t *slot_of_id(const struct cap_krecords *k, struct span id)
{
    uint64_t slot = hash_of(id) % TOPIC_SLOTS;
    while (k->by_id[slot] &&
           memcmp(k->topics[k->by_id[slot] - 1].id, id.p, CAP_KAFKA_TOPIC_ID) != 0)
        slot = (slot + 1) % TOPIC_SLOTS;
    return &k->by_id[slot];
}

/* A topic that was deleted and made anew has another id: it gets another entry then,
 * under the same name, that is found by its id alone. */
static bool learn_id(struct cap_krecords *k, struct span id, uint32_t topic)
{
    uint32_t *slot = slot_of_id(k, id);
    if (*slot || topic == NO_TOPIC)
        return false;
    if (k->topics[topic - 1].has_id) {
        struct span name = name_of(k, topic);
        struct topic_name *copy = malloc(sizeof *copy + name.n);
        if (!copy || k->topic_count == CAP_KAFKA_TOPICS_MAX) {
            free(copy);
            return false;
        }
        copy->n = name.n;
        memcpy(copy->text, name.p, name.n);
        k->topics[k->topic_count] = (struct topic){.name = copy};
        topic = ++k->topic_count;
    }
    memcpy(k->topics[topic - 1].id, id.p, CAP_KAFKA_TOPIC_ID);
    k->topics[topic - 1].has_id = true;
    *slot = topic;
    return true;
}

void cap_krecords_topic(struct cap_krecords *k, const struct cap_kafka_part *p)
{
    static const uint8_t none[CAP_KAFKA_TOPIC_ID];
    if (p->topic.n == 0 || p->id.n != CAP_KAFKA_TOPIC_ID ||
        memcmp(p->id.p, none, sizeof none) == 0)
        return;
    k->counts.topics_told += learn_id(k, p->id, topic_named(k, p->topic));
}

/* --- batches ---------------------------------------------------------------------- */

/* The newest batch of that content that may be the one at this place. */
static struct batch *find_batch(struct cap_krecords *k, const uint64_t identity[2],
                                uint32_t topic, int32_t partition, int64_t offset)
{
    uint32_t at = k->by_identity[identity[0] % BATCH_SLOTS];
    for (; at; at = k->batches[at - 1].next) {
        struct batch *b = &k->batches[at - 1];
        if (b->identity[0] == identity[0] && b->identity[1] == identity[1] &&
            (topic == NO_TOPIC || span_eq(name_of(k, b->topic), name_of(k, topic))) &&
            b->partition == partition &&
            (offset < 0 || b->base_offset < 0 || b->base_offset == offset))
            return b;
    }
    return NULL;
}

static void forget_batch(struct cap_krecords *k, uint32_t index)
{
    uint32_t *link = &k->by_identity[k->batches[index].identity[0] % BATCH_SLOTS];
    while (*link != index + 1)
        link = &k->batches[*link - 1].next;
    *link = k->batches[index].next;
}

static void remember_batch(struct cap_krecords *k, const struct cap_batch *b,
                           uint32_t topic, int32_t partition, int64_t offset)
{
    uint32_t index = (uint32_t)(k->batch_count % CAP_KAFKA_BATCHES);
    if (k->batch_count >= CAP_KAFKA_BATCHES)
        forget_batch(k, index);
    k->batch_count++;
    uint32_t *slot = &k->by_identity[b->identity[0] % BATCH_SLOTS];
    k->batches[index] = (struct batch){.identity = {b->identity[0], b->identity[1]},
                                       .topic = topic,
                                       .partition = partition,
                                       .base_offset = offset,
                                       .next = *slot};
    *slot = index + 1;
}

void cap_krecords_placed(struct cap_krecords *k, const uint64_t identity[2],
                         int64_t base_offset)
{
    uint32_t at = k->by_identity[identity[0] % BATCH_SLOTS];
    for (; at && base_offset >= 0; at = k->batches[at - 1].next) {
        struct batch *b = &k->batches[at - 1];
        if (b->identity[0] == identity[0] && b->identity[1] == identity[1] &&
            b->base_offset < 0) {
            b->base_offset = base_offset;
            return;
        }
    }
}

/* --- records ---------------------------------------------------------------------- */

/* What the records of a batch have in common. */
struct origin {
    uint32_t topic, source;
    int dir;
    struct clk_wall at;
};

/* Header names in lower case, in memory that lasts as long as the record's call. */
static bool lower_names(struct cap_krecords *k)
{
    struct cap_batch_record *r = &k->record;
    size_t bytes = 0;
    for (uint32_t i = 0; i < r->header_count; i++)
        bytes += r->headers[i].name.n;
    buf_reset(&k->names);
    buf_reserve(&k->names, bytes); /* so that nothing moves below */
    if (k->names.failed)
        return false;
    for (uint32_t i = 0; i < r->header_count; i++) {
        struct span name = r->headers[i].name;
        size_t from = k->names.n;
        for (size_t n = 0; n < name.n; n++)
            buf_u8(&k->names,
                   (uint8_t)(name.p[n] >= 'A' && name.p[n] <= 'Z' ? name.p[n] | 32
                                                                  : name.p[n]));
        r->headers[i].name = span_of(k->names.p + from, name.n);
    }
    return true;
}

static void hand_on(struct cap_krecords *k, const struct origin *o,
                    const struct cap_topic *topic, uint64_t wire_bytes)
{
    if (k->failed.code != ERR_OK || !lower_names(k)) {
        if (k->failed.code == ERR_OK)
            err_set(&k->failed, ERR_NOMEM, "out of memory for a record");
        k->counts.passed_bytes[o->dir] += wire_bytes;
        return;
    }
    const struct cap_kafka_record r = {
        .topic = *topic,
        .topic_name = name_of(k, o->topic),
        .source = o->source,
        .offset = k->serial++,
        .clock = CAP_KAFKA_CLOCK_PACKET,
        .at = o->at,
        .dir = (uint8_t)o->dir,
        .wire_bytes = wire_bytes,
        .key = k->record.key,
        .value = k->record.value,
        .headers = k->record.headers,
        .header_count = k->record.header_count,
    };
    if (cap_kafka_join_add(k->join, &r, &k->failed) < 0)
        err_note(&k->failed, "recording");
}

/* How many bytes the records of a batch take on the wire, and the share of one: of what
 * is compressed, in proportion. */
static uint64_t share(uint64_t wire, uint64_t plain, uint64_t until)
{
    if (plain == wire)
        return until;
    return plain ? (uint64_t)((double)wire * ((double)until / (double)plain)) : 0;
}

/* Whether the batch holds exactly so many records. A look before any is handed on. */
static bool records_whole(struct cap_krecords *k, struct span records, uint32_t count)
{
    struct cursor c = cursor_of(records);
    for (uint32_t i = 0; i < count; i++)
        if (!cap_batch_record_take(&c, &k->record))
            return false;
    return cursor_left(&c) == 0 && !c.bad;
}

/* The records of a batch that is new. False: they cannot be read. */
static bool read_records(struct cap_krecords *k, const struct origin *o,
                         const struct cap_batch *b)
{
    struct span name = name_of(k, o->topic), records = b->records;
    struct cap_topic topic = cap_topic_guess(name);
    if (topic.kind == CAP_TOPIC_OTHER || b->control) {
        k->counts.records += b->count;
        k->counts.passed_bytes[o->dir] += records.n;
        return true;
    }
    buf_reset(&k->inflated);
    if (b->codec != CAP_KAFKA_PLAIN) {
        if (!cap_kafka_inflate(b->codec, records, &k->inflated)) {
            k->counts.packed++;
            return false;
        }
        records = buf_view(&k->inflated);
    }
    if (!records_whole(k, records, b->count)) {
        k->counts.malformed++;
        return false;
    }
    struct cursor c = cursor_of(records);
    uint64_t told = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        if (!cap_batch_record_take(&c, &k->record))
            break;
        uint64_t until = i + 1 == b->count
                             ? b->records.n
                             : share(b->records.n, records.n, cursor_offset(&c));
        k->counts.records++;
        hand_on(k, o, &topic, until - told);
        told = until;
    }
    k->counts.passed_bytes[o->dir] += b->records.n - told; /* of no record at all */
    return true;
}

/* A batch whose topic is told by an id: what the id stands for, if it can be known. */
static uint32_t topic_of(struct cap_krecords *k, const struct cap_kafka_part *p,
                         const struct cap_batch *b)
{
    if (p->topic.n > 0)
        return topic_named(k, p->topic);
    if (p->id.n != CAP_KAFKA_TOPIC_ID)
        return NO_TOPIC;
    uint32_t topic = *slot_of_id(k, p->id);
    if (topic)
        return topic;
    const struct batch *seen =
        find_batch(k, b->identity, NO_TOPIC, p->partition, b->base_offset);
    /* Not by what is not certain: its place must be known to be the same. */
    if (!seen || seen->base_offset < 0 || !learn_id(k, p->id, seen->topic))
        return NO_TOPIC;
    k->counts.topics_matched++;
    return *slot_of_id(k, p->id);
}

static void take_batch(struct cap_krecords *k, const struct cap_kafka_part *p,
                       const struct cap_batch *b, bool produced, struct origin *o,
                       struct cap_krecords_taken *taken)
{
    int64_t offset = produced ? -1 : b->base_offset;
    memcpy(taken->identity, b->identity, sizeof taken->identity);
    taken->has_batch = true;
    o->topic = topic_of(k, p, b);
    if (o->topic == NO_TOPIC) {
        k->counts.topics_unknown++;
        taken->opaque += b->records.n;
        return;
    }
    struct batch *seen = find_batch(k, b->identity, o->topic, p->partition, offset);
    if (seen) {
        if (seen->base_offset < 0)
            seen->base_offset = offset;
        k->counts.copies++;
        k->counts.passed_bytes[o->dir] += b->records.n;
        taken->read += b->records.n;
        return;
    }
    if (!read_records(k, o, b)) {
        taken->opaque += b->records.n;
        return;
    }
    taken->read += b->records.n;
    remember_batch(k, b, o->topic, p->partition, offset);
}

void cap_krecords_take(struct cap_krecords *k, const struct cap_kafka_part *p, int dir,
                       bool produced, uint32_t source, struct clk_wall at,
                       struct cap_krecords_taken *taken)
{
    struct origin o = {.source = source, .dir = dir, .at = at};
    struct span run = p->records;
    while (run.n > 0) {
        struct cap_batch b;
        enum cap_batch_state state = cap_batch_take(&run, &b);
        k->counts.batches++;
        if (state == CAP_BATCH_GOOD) {
            take_batch(k, p, &b, produced, &o, taken);
            continue;
        }
        k->counts.cut += state == CAP_BATCH_CUT;
        k->counts.old_format += state == CAP_BATCH_OLD;
        k->counts.checksums_wrong += state == CAP_BATCH_CRC;
        k->counts.malformed += state == CAP_BATCH_MALFORMED;
        taken->opaque += b.bytes;
    }
}
