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
/* Greater ones are nonsense: adding to an offset never overflows. */
#define OFFSET_MAX (INT64_MAX / 2)

/* A name, and the id that stands for it, each under a slot of its own. */
struct topic {
    struct topic_name {
        size_t n;
        uint8_t text[];
    } * name;
    uint8_t id[CAP_KAFKA_TOPIC_ID];
    bool has_id;
    bool produced; /* in sight */
};

struct batch {
    uint64_t identity[2];
    uint32_t topic; /* index + 1 */
    int32_t partition;
    int64_t base_offset; /* -1: not known */
    uint32_t count;      /* of records */
    uint32_t next;       /* index + 1: of its slot */
    uint64_t set;        /* what was produced together; 0: fetched */
};

/* What the records of a batch have in common. */
struct origin {
    uint32_t topic, source;
    int32_t partition;
    int dir;
    bool produced, late;
    uint64_t set;
    struct clk_wall at;
};

/* A batch whose topic is not known yet, in memory of its own. */
struct held {
    struct held *next;
    struct origin origin;
    struct cap_batch batch;
    uint8_t id[CAP_KAFKA_TOPIC_ID];
    uint8_t records[];
};
struct unknown_id {
    uint8_t id[CAP_KAFKA_TOPIC_ID];
    struct clk_wall first;
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
    uint64_t sets;
    bool begun, missed; /* missed: bytes that may have been Produce requests */
    struct clk_wall start;
    struct held *held, **held_end;
    uint32_t held_count;
    size_t held_memory;
    struct unknown_id unknown[CAP_KAFKA_UNKNOWN_IDS];
    uint32_t unknown_count;
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
        k->held_end = &k->held;
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
    for (struct held *h = k->held, *next; h; h = next) {
        next = h->next;
        free(h);
    }
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
                           const struct origin *o, uint32_t count)
{
    uint32_t index = (uint32_t)(k->batch_count % CAP_KAFKA_BATCHES);
    if (k->batch_count >= CAP_KAFKA_BATCHES)
        forget_batch(k, index);
    k->batch_count++;
    int64_t first = o->produced ? -1 : b->base_offset;
    if (!o->produced && b->count == CAP_BATCH_COUNT_UNKNOWN && first >= count)
        first -= count - 1; /* what it told was the place of its last record */
    uint32_t *slot = &k->by_identity[b->identity[0] % BATCH_SLOTS];
    k->batches[index] = (struct batch){.identity = {b->identity[0], b->identity[1]},
                                       .topic = o->topic,
                                       .partition = o->partition,
                                       .base_offset = first,
                                       .count = count,
                                       .next = *slot,
                                       .set = o->set};
    *slot = index + 1;
}

/* The batch that was remembered as number `n` ever; NULL: it is forgotten. */
static struct batch *batch_at(struct cap_krecords *k, uint64_t n)
{
    bool kept = n < k->batch_count && k->batch_count - n <= CAP_KAFKA_BATCHES;
    return kept ? &k->batches[n % CAP_KAFKA_BATCHES] : NULL;
}

/* Batches of a set stand side by side, and their records have offsets in a row. The
 * answer comes soon: the set is among the latest batches, or is not looked for. */
void cap_krecords_placed(struct cap_krecords *k, uint64_t set, int64_t base_offset)
{
    uint64_t first = k->batch_count, looked = 0;
    struct batch *b;
    if (set == 0 || base_offset < 0 || base_offset > OFFSET_MAX)
        return;
    while (looked++ < CAP_KAFKA_PLACED && (b = batch_at(k, first - 1)) && b->set != set)
        first--;
    while ((b = batch_at(k, first - 1)) && b->set == set)
        first--;
    for (; (b = batch_at(k, first)) && b->set == set; first++) {
        if (b->base_offset < 0)
            b->base_offset = base_offset;
        base_offset += b->count;
    }
}

/* Whether the record at that place is known, in whatever format it came. */
static bool place_known(struct cap_krecords *k, const struct origin *o, int64_t offset)
{
    struct span name = name_of(k, o->topic);
    struct batch *b;
    for (uint64_t i = 1; i <= CAP_KAFKA_PLACED; i++) {
        if (!(b = batch_at(k, k->batch_count - i)))
            break;
        if (b->partition == o->partition && b->base_offset >= 0 &&
            offset >= b->base_offset && offset - b->base_offset < b->count &&
            span_eq(name_of(k, b->topic), name))
            return true;
    }
    return false;
}

/* --- records ---------------------------------------------------------------------- */

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
                    const struct kafka_topic *topic, uint64_t wire_bytes)
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
        .late = o->late,
        .tombstone = k->record.null_value,
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

/* How many records there are, if they are what the batch says. A look before any is
 * handed on. */
static bool records_whole(struct cap_krecords *k, struct span records,
                          const struct cap_batch *b, uint32_t *count)
{
    struct cursor c = cursor_of(records);
    for (*count = 0; *count < b->count && cursor_left(&c) > 0; ++*count)
        if (!cap_batch_record_take(b->magic, &c, &k->record))
            return false;
    return cursor_left(&c) == 0 && !c.bad &&
           (*count == b->count || b->count == CAP_BATCH_COUNT_UNKNOWN);
}

/* The records of a batch that is new. False: they cannot be read. */
static bool read_records(struct cap_krecords *k, const struct origin *o,
                         const struct cap_batch *b, uint32_t *count)
{
    struct span records = b->records;
    struct kafka_topic topic = kafka_topic_guess(name_of(k, o->topic));
    *count = b->count;
    if (topic.kind == KAFKA_TOPIC_OTHER || b->control) {
        k->counts.records += b->count == CAP_BATCH_COUNT_UNKNOWN ? 0 : b->count;
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
    if (!records_whole(k, records, b, count)) {
        k->counts.malformed++;
        return false;
    }
    struct cursor c = cursor_of(records);
    uint64_t told = 0;
    for (uint32_t i = 0; i < *count; i++) {
        if (!cap_batch_record_take(b->magic, &c, &k->record))
            break;
        uint64_t until = i + 1 == *count
                             ? b->records.n
                             : share(b->records.n, records.n, cursor_offset(&c));
        k->counts.records++;
        hand_on(k, o, &topic, until - told);
        told = until;
    }
    k->counts.passed_bytes[o->dir] += b->records.n - told; /* of no record at all */
    return true;
}

/* --- batches whose topic is known ------------------------------------------------- */

/* A broker gives records in the format that a client can read: what is produced in one
 * may be fetched in another. */
static bool seen_in_another_format(struct cap_krecords *k, const struct origin *o,
                                   const struct cap_batch *b)
{
    if (o->produced || k->counts.old_format == 0 || b->base_offset > OFFSET_MAX)
        return false;
    /* The offset of old messages that are compressed is that of the last one. */
    if (b->magic < 2 || b->count == 0)
        return place_known(k, o, b->base_offset);
    return place_known(k, o, b->base_offset) &&
           place_known(k, o, b->base_offset + b->count - 1);
}

static bool is_copy(struct cap_krecords *k, const struct origin *o,
                    const struct cap_batch *b)
{
    int64_t offset = o->produced ? -1 : b->base_offset;
    struct batch *seen = find_batch(k, b->identity, o->topic, o->partition, offset);
    if (seen && seen->base_offset < 0)
        seen->base_offset = offset;
    return seen || seen_in_another_format(k, o, b);
}

/* Whether this, the first sight of a record, is not how it came to be. */
static bool is_late(const struct cap_krecords *k, const struct origin *o,
                    const struct cap_batch *b)
{
    bool older = b->base_time_ms < k->start.ns / CLK_MS; /* or of no time */
    return !o->produced && (k->missed || older || k->topics[o->topic - 1].produced);
}

/* False: it cannot be read. */
static bool take_known(struct cap_krecords *k, struct origin *o,
                       const struct cap_batch *b)
{
    uint32_t count;
    struct topic *t = &k->topics[o->topic - 1];
    if (is_copy(k, o, b)) {
        k->counts.copies++;
        k->counts.passed_bytes[o->dir] += b->records.n;
        return true;
    }
    o->late = is_late(k, o, b);
    t->produced |= o->produced;
    if (!read_records(k, o, b, &count))
        return false;
    k->counts.late += o->late;
    remember_batch(k, b, o, count);
    return true;
}

/* --- and those whose topic is not ------------------------------------------------- */

static void free_held(struct cap_krecords *k, struct held *h)
{
    k->held_count--;
    k->held_memory -= sizeof *h + h->batch.records.n;
    k->counts.held_bytes[h->origin.dir] -= h->batch.records.n;
    free(h);
}

static struct held *take_oldest(struct cap_krecords *k)
{
    struct held *h = k->held;
    k->held = h->next;
    if (!k->held)
        k->held_end = &k->held;
    return h;
}

static void give_up_oldest(struct cap_krecords *k)
{
    struct held *h = take_oldest(k);
    k->counts.topics_unknown++;
    k->counts.opaque_bytes[h->origin.dir] += h->batch.records.n;
    free_held(k, h);
}

/* Whether the id is new enough for its batches to be held. */
static bool may_wait(struct cap_krecords *k, struct span id, struct clk_wall at)
{
    for (uint32_t i = 0; i < k->unknown_count; i++)
        if (memcmp(k->unknown[i].id, id.p, CAP_KAFKA_TOPIC_ID) == 0)
            return at.ns - k->unknown[i].first.ns < CAP_KAFKA_UNKNOWN_NS;
    if (k->unknown_count == CAP_KAFKA_UNKNOWN_IDS)
        return false;
    struct unknown_id *u = &k->unknown[k->unknown_count++];
    memcpy(u->id, id.p, CAP_KAFKA_TOPIC_ID);
    u->first = at;
    return true;
}

static bool hold_batch(struct cap_krecords *k, struct span id, const struct origin *o,
                       const struct cap_batch *b)
{
    size_t bytes = sizeof(struct held) + b->records.n;
    if (k->held_count == CAP_KAFKA_UNKNOWN_BATCHES ||
        k->held_memory + bytes > CAP_KAFKA_UNKNOWN_BYTES || !may_wait(k, id, o->at))
        return false;
    struct held *h = malloc(bytes);
    if (!h)
        return false;
    h->next = NULL;
    h->origin = *o;
    h->batch = *b;
    h->batch.records = span_of(h->records, b->records.n);
    memcpy(h->id, id.p, CAP_KAFKA_TOPIC_ID);
    if (b->records.n)
        memcpy(h->records, b->records.p, b->records.n);
    *k->held_end = h;
    k->held_end = &h->next;
    k->held_count++;
    k->held_memory += bytes;
    k->counts.held_bytes[o->dir] += b->records.n;
    return true;
}

/* The id is known now: its batches are taken, in the order in which they came. */
static void take_held(struct cap_krecords *k, struct span id, uint32_t topic)
{
    struct held **at = &k->held, *h;
    while ((h = *at)) {
        if (memcmp(h->id, id.p, CAP_KAFKA_TOPIC_ID) != 0) {
            at = &h->next;
            continue;
        }
        *at = h->next;
        h->origin.topic = topic;
        if (!take_known(k, &h->origin, &h->batch))
            k->counts.opaque_bytes[h->origin.dir] += h->batch.records.n;
        free_held(k, h);
    }
    k->held_end = at;
}

void cap_krecords_topic(struct cap_krecords *k, const struct cap_kafka_part *p)
{
    static const uint8_t none[CAP_KAFKA_TOPIC_ID];
    if (p->topic.n == 0 || p->id.n != CAP_KAFKA_TOPIC_ID ||
        memcmp(p->id.p, none, sizeof none) == 0 ||
        !learn_id(k, p->id, topic_named(k, p->topic)))
        return;
    k->counts.topics_told++;
    take_held(k, p->id, *slot_of_id(k, p->id));
}

/* The topic of a batch that was seen at the same place, with the same content. Not by
 * what is not certain: its place must be known, and no other topic have the like, as
 * the steps of a pipeline may that are given the same input. */
static uint32_t topic_by_content(struct cap_krecords *k, const struct origin *o,
                                 const struct cap_batch *b)
{
    uint32_t found = NO_TOPIC;
    uint32_t at = k->by_identity[b->identity[0] % BATCH_SLOTS];
    for (; at; at = k->batches[at - 1].next) {
        const struct batch *seen = &k->batches[at - 1];
        if (seen->identity[0] != b->identity[0] ||
            seen->identity[1] != b->identity[1] || seen->partition != o->partition ||
            (seen->base_offset >= 0 && seen->base_offset != b->base_offset))
            continue;
        if (seen->base_offset < 0 ||
            (found && !span_eq(name_of(k, seen->topic), name_of(k, found))))
            return NO_TOPIC;
        found = seen->topic;
    }
    return found;
}

/* The topic of a batch, if it can be known. */
static uint32_t topic_of(struct cap_krecords *k, const struct cap_kafka_part *p,
                         const struct origin *o, const struct cap_batch *b)
{
    if (p->topic.n > 0)
        return topic_named(k, p->topic);
    if (p->id.n != CAP_KAFKA_TOPIC_ID)
        return NO_TOPIC;
    uint32_t topic = *slot_of_id(k, p->id);
    if (topic || o->produced)
        return topic;
    topic = topic_by_content(k, o, b);
    if (topic == NO_TOPIC || !learn_id(k, p->id, topic))
        return NO_TOPIC;
    k->counts.topics_matched++;
    topic = *slot_of_id(k, p->id);
    take_held(k, p->id, topic);
    return topic;
}

/* --- the face --------------------------------------------------------------------- */

static void take_batch(struct cap_krecords *k, const struct cap_kafka_part *p,
                       struct origin *o, const struct cap_batch *b,
                       struct cap_krecords_taken *taken)
{
    o->topic = topic_of(k, p, o, b);
    bool read = o->topic != NO_TOPIC ? take_known(k, o, b)
                : p->id.n            ? hold_batch(k, p->id, o, b)
                                     : false;
    k->counts.topics_unknown += o->topic == NO_TOPIC && !read;
    *(read ? &taken->read : &taken->opaque) += b->records.n;
}

/* What cannot be read of a run of records. */
static void take_unreadable(struct cap_krecords *k, enum cap_batch_state state,
                            const struct origin *o, size_t bytes,
                            struct cap_krecords_taken *taken)
{
    bool again =
        state == CAP_BATCH_CUT && !o->produced; /* it will be asked for again */
    k->counts.cut += state == CAP_BATCH_CUT;
    k->counts.checksums_wrong += state == CAP_BATCH_CRC;
    k->counts.malformed += state == CAP_BATCH_MALFORMED;
    k->counts.passed_bytes[o->dir] += again ? bytes : 0;
    *(again ? &taken->read : &taken->opaque) += bytes;
}

void cap_krecords_take(struct cap_krecords *k, const struct cap_kafka_part *p, int dir,
                       bool produced, uint32_t source, struct clk_wall at,
                       struct cap_krecords_taken *taken)
{
    struct origin o = {.source = source,
                       .partition = p->partition,
                       .dir = dir,
                       .produced = produced,
                       .set = produced ? ++k->sets : 0,
                       .at = at};
    struct span run = p->records;
    cap_krecords_time(k, at);
    taken->set = o.set;
    while (run.n > 0) {
        struct cap_batch b;
        enum cap_batch_state state = cap_batch_take(&run, &b);
        k->counts.batches++;
        k->counts.old_format += state == CAP_BATCH_GOOD && b.magic < 2;
        if (state == CAP_BATCH_GOOD)
            take_batch(k, p, &o, &b, taken);
        else
            take_unreadable(k, state, &o, b.bytes, taken);
    }
}

void cap_krecords_missed(struct cap_krecords *k)
{
    k->missed = true;
}

void cap_krecords_time(struct cap_krecords *k, struct clk_wall now)
{
    if (!k->begun)
        k->start = now;
    k->begun = true;
    while (k->held && now.ns - k->held->origin.at.ns >= CAP_KAFKA_UNKNOWN_NS)
        give_up_oldest(k);
}

void cap_krecords_flush(struct cap_krecords *k)
{
    while (k->held)
        give_up_oldest(k);
}

struct clk_wall cap_krecords_oldest(const struct cap_krecords *k, struct clk_wall now)
{
    return k->held && k->held->origin.at.ns < now.ns ? k->held->origin.at : now;
}
