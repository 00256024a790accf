/*
 * kafka_join.c - see kafka_join.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/kafka_join.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS      65536u
#define ERROR_HEADER "seldon-pipeline-errors"

enum state {
    FRESH, /* a request that is not told yet */
    EARLY, /* an answer that waits for its request */
    TOLD,  /* a request that was told and waits for its answer */
    DONE   /* answered */
};

/* A record in memory of its own, behind its headers. */
struct copy {
    struct cap_kafka_record r;
    size_t bytes;
    struct op_header headers[];
};

struct entry {
    struct entry *chain;         /* of the bucket, oldest first */
    struct entry *older, *newer; /* of the list of its state */
    enum state state;
    struct clk_wall at, since; /* the record's time; when it got into this state */
    uint32_t source, stream;
    struct copy *copy; /* FRESH and EARLY */
    uint64_t hash;
    size_t key_bytes;
    uint8_t key[];
};

struct list {
    struct entry *oldest, *newest;
};

struct cap_kafka_join {
    struct cap_kafka_join_options o;
    struct cap_kafka_counts counts;
    struct clk_wall now;
    struct list lists[DONE + 1];
    struct buf key; /* of the record at hand */
    struct entry *buckets[BUCKETS];
};

int cap_kafka_join_new(struct cap_kafka_join **out,
                       const struct cap_kafka_join_options *options, struct err *e)
{
    struct cap_kafka_join *j = *out = calloc(1, sizeof *j);
    if (!j)
        return err_set(e, ERR_NOMEM, "out of memory for the table of keys");
    j->o = *options;
    j->now.ns = INT64_MIN;
    return 0;
}

/* --- the table -------------------------------------------------------------------- */

static size_t size_of(const struct entry *n)
{
    return sizeof *n + n->key_bytes + (n->copy ? n->copy->bytes : 0);
}

static void unlist(struct cap_kafka_join *j, struct entry *n)
{
    struct list *l = &j->lists[n->state];
    *(n->older ? &n->older->newer : &l->oldest) = n->newer;
    *(n->newer ? &n->newer->older : &l->newest) = n->older;
}

static void enlist(struct cap_kafka_join *j, struct entry *n, enum state state)
{
    struct list *l = &j->lists[state];
    n->state = state;
    n->since = j->now;
    n->older = l->newest;
    n->newer = NULL;
    *(l->newest ? &l->newest->newer : &l->oldest) = n;
    l->newest = n;
}

static void free_copy(struct cap_kafka_join *j, struct entry *n)
{
    if (n->copy)
        j->counts.pending_bytes[n->copy->r.dir] -= n->copy->r.wire_bytes;
    free(n->copy);
}

static void drop_copy(struct cap_kafka_join *j, struct entry *n)
{
    if (n->copy)
        j->counts.held_bytes -= n->copy->bytes;
    free_copy(j, n);
    n->copy = NULL;
}

static void remove_entry(struct cap_kafka_join *j, struct entry *n)
{
    struct entry **at = &j->buckets[n->hash % BUCKETS];
    while (*at != n)
        at = &(*at)->chain;
    *at = n->chain;
    unlist(j, n);
    j->counts.held_bytes -= size_of(n);
    j->counts.held_keys--;
    free_copy(j, n);
    free(n);
}

void cap_kafka_join_free(struct cap_kafka_join *j)
{
    if (!j)
        return;
    for (int s = FRESH; s <= DONE; s++)
        while (j->lists[s].oldest)
            remove_entry(j, j->lists[s].oldest);
    buf_done(&j->key);
    free(j);
}

/* The oldest entry of that key in that state. */
static struct entry *find(const struct cap_kafka_join *j, uint64_t hash,
                          enum state state)
{
    struct entry *n = j->buckets[hash % BUCKETS];
    while (n && (n->state != state || n->hash != hash ||
                 !span_eq(span_of(n->key, n->key_bytes), buf_view(&j->key))))
        n = n->chain;
    return n;
}

/* Entries of that key, whatever their state. */
static uint32_t repeats(const struct cap_kafka_join *j, uint64_t hash)
{
    uint32_t count = 0;
    for (const struct entry *n = j->buckets[hash % BUCKETS]; n; n = n->chain)
        count += n->hash == hash;
    return count;
}

static struct span copy_span(uint8_t **to, struct span s)
{
    struct span there = span_of(*to, s.n);
    if (s.n)
        memcpy(*to, s.p, s.n);
    *to += s.n;
    return there;
}

static struct copy *copy_record(const struct cap_kafka_record *r)
{
    size_t head = sizeof(struct copy) + r->header_count * sizeof *r->headers;
    size_t bytes = head + r->topic_name.n + r->key.n + r->value.n;
    for (uint32_t i = 0; i < r->header_count; i++)
        bytes += r->headers[i].name.n + r->headers[i].value.n;
    struct copy *c = malloc(bytes);
    if (!c)
        return NULL;
    uint8_t *to = (uint8_t *)c + head;
    c->bytes = bytes;
    c->r = *r;
    c->r.topic_name = copy_span(&to, r->topic_name);
    /* The topic's name lies within it. */
    if (r->topic.name.n)
        c->r.topic.name.p = c->r.topic_name.p + (r->topic.name.p - r->topic_name.p);
    c->r.key = copy_span(&to, r->key);
    c->r.value = copy_span(&to, r->value);
    for (uint32_t i = 0; i < r->header_count; i++) {
        c->headers[i].name = copy_span(&to, r->headers[i].name);
        c->headers[i].value = copy_span(&to, r->headers[i].value);
    }
    c->r.headers = c->headers;
    return c;
}

static int insert(struct cap_kafka_join *j, uint64_t hash,
                  const struct cap_kafka_record *r, enum state state, struct err *e)
{
    struct entry *n = malloc(sizeof *n + j->key.n);
    struct copy *copy = n ? copy_record(r) : NULL;
    if (!copy) {
        free(n);
        return err_set(e, ERR_NOMEM, "out of memory for a record of %zu bytes",
                       r->value.n);
    }
    *n = (struct entry){.at = r->at,
                        .source = r->source,
                        .stream = (uint32_t)r->offset,
                        .copy = copy,
                        .hash = hash,
                        .key_bytes = j->key.n};
    if (j->key.n)
        memcpy(n->key, j->key.p, j->key.n);
    struct entry **at = &j->buckets[hash % BUCKETS];
    while (*at)
        at = &(*at)->chain;
    *at = n;
    enlist(j, n, state);
    struct cap_kafka_counts *t = &j->counts;
    t->pending_bytes[r->dir] += r->wire_bytes;
    t->held_bytes += size_of(n);
    t->held_keys++;
    if (t->held_bytes > t->held_bytes_max)
        t->held_bytes_max = t->held_bytes;
    if (t->held_keys > t->held_keys_max)
        t->held_keys_max = t->held_keys;
    return 0;
}

/* --- telling ---------------------------------------------------------------------- */

/* The last value of a header, as SCv2's own readers take it. */
static struct span header(const struct cap_kafka_record *r, const char *name)
{
    for (uint32_t i = r->header_count; i-- > 0;)
        if (span_eq_str(r->headers[i].name, name))
            return r->headers[i].value;
    return (struct span){0};
}

static bool has_header(const struct cap_kafka_record *r, const char *name)
{
    for (uint32_t i = 0; i < r->header_count; i++)
        if (span_eq_str(r->headers[i].name, name))
            return true;
    return false;
}

static struct kafka_key key_of(const struct cap_kafka_record *r)
{
    struct span owner = header(r, "pipeline");
    return kafka_key_of(r->key, owner.n ? owner : r->topic.name);
}

static void request_of(const struct cap_kafka_record *r, struct cap_record *rec)
{
    struct span body = kafka_value_of(r->value).body;
    struct span id = header(r, "x-request-id");
    *rec = (struct cap_record){
        .op = op_empty(),
        .at = r->at,
        .stream = {.protocol = OP_KAFKA,
                   .tier = OP_TIER_KAFKA,
                   .resource = r->topic.resource,
                   .name = r->topic.name,
                   .path = r->topic_name,
                   .headers = r->headers,
                   .header_count = r->header_count},
    };
    if (body.n && body.p[0] == '{') /* no message of the protocol begins so */
        rec->stream.content_type = SPAN_LIT("application/json");
    rec->op.request = op_body_of(body);
    rec->op.id = id.n ? id : key_of(r).id;
    if (rec->op.id.n > CAP_ID_MAX)
        rec->op.id = (struct span){0};
    if (r->late)
        rec->op.flags |= OP_FLAG_GAP;
    rec->op.connection = r->source;
    rec->op.conn_stream = (uint32_t)r->offset;
}

static bool is_failure(const struct cap_kafka_record *r)
{
    return r->topic.kind == KAFKA_TOPIC_ERRORS || has_header(r, ERROR_HEADER);
}

static void answer_of(struct cap_kafka_join *j, const struct cap_kafka_record *r,
                      struct clk_wall asked, struct op *op)
{
    bool failed = is_failure(r);
    int64_t took = r->at.ns - asked.ns;
    if (took < 0) {
        j->counts.backwards++;
        took = 0;
    }
    op->first_ns = op->last_ns = took;
    if (r->late)
        op->flags |= OP_FLAG_GAP;
    op->status = failed ? 400 : 200;
    op->response = op_body_of(kafka_value_of(r->value).body);
    j->counts.answered++;
    j->counts.failed += failed;
}

/* Tells a request, with its answer where there is one. */
static int tell(struct cap_kafka_join *j, enum cap_part part,
                const struct cap_kafka_record *asked,
                const struct cap_kafka_record *answer, struct err *e)
{
    struct cap_record rec;
    request_of(asked, &rec);
    rec.op.stream = &rec.stream;
    rec.wire[0] = (struct cap_wire_share){asked->dir, asked->wire_bytes};
    if (answer) {
        answer_of(j, answer, asked->at, &rec.op);
        rec.wire[1] = (struct cap_wire_share){answer->dir, answer->wire_bytes};
    }
    j->counts.told++;
    return j->o.take(j->o.arg, part, &rec, e);
}

static int tell_answer(struct cap_kafka_join *j, const struct entry *n,
                       const struct cap_kafka_record *answer, struct err *e)
{
    struct cap_record rec = {.op = op_empty(), .at = n->at};
    rec.op.stream = &rec.stream;
    rec.op.connection = n->source;
    rec.op.conn_stream = n->stream;
    rec.wire[1] = (struct cap_wire_share){answer->dir, answer->wire_bytes};
    answer_of(j, answer, n->at, &rec.op);
    return j->o.take(j->o.arg, CAP_PART_ANSWER, &rec, e);
}

/* A request that waited is told before its answer. */
static int tell_early(struct cap_kafka_join *j, struct entry *n, struct err *e)
{
    int rc = tell(j, CAP_PART_REQUEST, &n->copy->r, NULL, e);
    drop_copy(j, n);
    unlist(j, n);
    enlist(j, n, TOLD);
    return rc;
}

static void give_up(struct cap_kafka_join *j, struct entry *n)
{
    if (n->state == EARLY) {
        j->counts.unmatched++;
        j->counts.orphan_bytes[n->copy->r.dir] += n->copy->r.wire_bytes;
    }
    if (n->state == TOLD)
        j->counts.unanswered++;
    remove_entry(j, n);
}

/* --- bounds ----------------------------------------------------------------------- */

static bool too_much(const struct cap_kafka_join *j)
{
    return j->counts.held_bytes > j->o.memory_bytes ||
           j->counts.held_keys > CAP_KAFKA_KEYS_MAX;
}

/* Keys of what is done go first, then early answers, then bodies, then what waits. */
static int make_room(struct cap_kafka_join *j, struct err *e)
{
    int rc = 0;
    while (rc >= 0 && too_much(j)) {
        struct list *l = j->lists;
        if (l[DONE].oldest) {
            give_up(j, l[DONE].oldest);
        } else if (l[EARLY].oldest) {
            give_up(j, l[EARLY].oldest);
        } else if (l[FRESH].oldest) {
            rc = tell_early(j, l[FRESH].oldest, e);
        } else if (l[TOLD].oldest) {
            j->counts.forgotten++;
            give_up(j, l[TOLD].oldest);
        } else {
            break;
        }
    }
    return rc < 0 ? rc : 0;
}

static bool is_old(const struct cap_kafka_join *j, enum state state, int64_t limit)
{
    const struct entry *n = j->lists[state].oldest;
    return n && j->now.ns - n->since.ns >= limit;
}

int cap_kafka_join_time(struct cap_kafka_join *j, struct clk_wall now, struct err *e)
{
    int rc = 0;
    if (now.ns > j->now.ns)
        j->now = now;
    while (rc >= 0 && is_old(j, FRESH, CAP_KAFKA_EARLY_NS))
        rc = tell_early(j, j->lists[FRESH].oldest, e);
    while (is_old(j, EARLY, CAP_KAFKA_EARLY_NS))
        give_up(j, j->lists[EARLY].oldest);
    while (is_old(j, TOLD, j->o.answer_wait_ns))
        give_up(j, j->lists[TOLD].oldest);
    while (is_old(j, DONE, CAP_KAFKA_DONE_NS))
        give_up(j, j->lists[DONE].oldest);
    return rc < 0 ? rc : make_room(j, e);
}

/* --- records ---------------------------------------------------------------------- */

static bool fits(const struct cap_kafka_record *r)
{
    return r->topic.name.n <= CAP_NAME_MAX && r->topic_name.n <= CAP_PATH_MAX &&
           memchr(r->topic.name.p, 0, r->topic.name.n) == NULL;
}

/* What request and answer have in common: thing, name and key. False: cannot be joined.
 */
static bool make_key(struct cap_kafka_join *j, const struct cap_kafka_record *r,
                     uint64_t *hash)
{
    bool error = r->topic.kind == KAFKA_TOPIC_ERRORS;
    struct span name = error ? header(r, ERROR_HEADER) : r->topic.name;
    uint64_t h[2];
    if (r->key.n == 0 || r->key.n > CAP_KAFKA_KEY_BYTES_MAX || name.n == 0 ||
        name.n > CAP_NAME_MAX)
        return false;
    buf_reset(&j->key);
    buf_u8(&j->key, (uint8_t)(error ? OP_MODEL : r->topic.resource));
    buf_u32(&j->key, (uint32_t)name.n);
    buf_span(&j->key, name);
    buf_span(&j->key, r->key);
    op_body_hash(buf_view(&j->key), h);
    *hash = h[0];
    return true;
}

static int finish(struct cap_kafka_join *j, struct entry *n, int rc)
{
    if (find(j, n->hash, DONE)) { /* one is enough to tell duplicates */
        remove_entry(j, n);
        return rc;
    }
    drop_copy(j, n);
    unlist(j, n);
    enlist(j, n, DONE);
    return rc;
}

static int add_request(struct cap_kafka_join *j, const struct cap_kafka_record *r,
                       struct err *e)
{
    uint64_t hash = 0;
    if (!fits(r)) {
        j->counts.refused++;
        j->counts.refused_bytes[r->dir] += r->wire_bytes;
        return 0;
    }
    j->counts.keys[key_of(r).style]++;
    if (!make_key(j, r, &hash)) {
        j->counts.keyless++;
        j->counts.unanswered++;
        return tell(j, CAP_PART_WHOLE, r, NULL, e);
    }
    int rc = buf_check(&j->key, e);
    if (rc < 0)
        return rc;
    if (find(j, hash, FRESH) || find(j, hash, TOLD))
        j->counts.repeated++;
    struct entry *n = find(j, hash, EARLY);
    if (n)
        return finish(j, n, tell(j, CAP_PART_WHOLE, r, &n->copy->r, e));
    if (repeats(j, hash) < CAP_KAFKA_REPEATS_MAX)
        return insert(j, hash, r, FRESH, e);
    j->counts.forgotten++;
    j->counts.unanswered++;
    return tell(j, CAP_PART_WHOLE, r, NULL, e);
}

static int orphan(struct cap_kafka_join *j, const struct cap_kafka_record *r)
{
    j->counts.unmatched++;
    j->counts.orphan_bytes[r->dir] += r->wire_bytes;
    return 0;
}

static int add_answer(struct cap_kafka_join *j, const struct cap_kafka_record *r,
                      struct err *e)
{
    uint64_t hash = 0;
    if (!make_key(j, r, &hash))
        return orphan(j, r);
    int rc = buf_check(&j->key, e);
    if (rc < 0)
        return rc;
    struct entry *n = find(j, hash, TOLD); /* told ones are older */
    if (n)
        return finish(j, n, tell_answer(j, n, r, e));
    n = find(j, hash, FRESH);
    if (n)
        return finish(j, n, tell(j, CAP_PART_WHOLE, &n->copy->r, r, e));
    if (find(j, hash, DONE)) {
        j->counts.duplicates++;
        j->counts.passed_bytes[r->dir] += r->wire_bytes;
        return 0;
    }
    if (repeats(j, hash) < CAP_KAFKA_REPEATS_MAX)
        return insert(j, hash, r, EARLY, e);
    return orphan(j, r);
}

int cap_kafka_join_add(struct cap_kafka_join *j, const struct cap_kafka_record *r,
                       struct err *e)
{
    struct cap_kafka_counts *t = &j->counts;
    bool request = r->topic.kind == KAFKA_TOPIC_INPUTS;
    enum kafka_framing framing = kafka_value_of(r->value).framing;
    t->records++;
    if (r->tombstone) {
        t->tombstones++;
        t->passed_bytes[r->dir] += r->wire_bytes;
        return 0;
    }
    t->inputs += request;
    t->outputs += r->topic.kind == KAFKA_TOPIC_OUTPUTS;
    t->errors += r->topic.kind == KAFKA_TOPIC_ERRORS;
    t->clocks[r->clock]++;
    t->framed += framing == KAFKA_FRAMING_SCHEMA;
    t->broken_framing += framing == KAFKA_FRAMING_BROKEN;
    if (r->topic.kind == KAFKA_TOPIC_OTHER) {
        t->others++;
        return 0;
    }
    if (r->clock == CAP_KAFKA_CLOCK_NONE) {
        *(request ? &t->untimed : &t->unmatched) += 1;
        return 0;
    }
    int rc = cap_kafka_join_time(j, r->at, e);
    if (rc == 0)
        rc = request ? add_request(j, r, e) : add_answer(j, r, e);
    return rc < 0 ? rc : make_room(j, e);
}

int cap_kafka_join_flush(struct cap_kafka_join *j, struct err *e)
{
    int rc = 0;
    while (rc >= 0 && j->lists[FRESH].oldest) {
        struct entry *n = j->lists[FRESH].oldest;
        rc = tell(j, CAP_PART_WHOLE, &n->copy->r, NULL, e);
        j->counts.unanswered++;
        remove_entry(j, n);
    }
    for (int s = EARLY; s <= DONE; s++)
        while (j->lists[s].oldest)
            give_up(j, j->lists[s].oldest);
    return rc < 0 ? rc : 0;
}

struct clk_wall cap_kafka_join_oldest(const struct cap_kafka_join *j,
                                      struct clk_wall now)
{
    const struct entry *n = j->lists[FRESH].oldest;
    return n && n->at.ns < now.ns ? n->at : now;
}

const struct cap_kafka_counts *cap_kafka_join_counts(const struct cap_kafka_join *j)
{
    return &j->counts;
}
