/*
 * recorder.c - see recorder.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/recorder.h"

#include <stdlib.h>
#include <string.h>

#include "capture/messages.h"
#include "traces/base/rng.h"
#include "traces/capture_notes.h"
#include "traces/payload/call_type.h"

#define TYPES 1024u /* models whose type is remembered, by hash */
/* What is looked at before a model has no type: so many bodies that differ from the one
 * before, of so many bytes together, each of so many at most. To parse a large one
 * takes the time in which many come. */
#define TYPE_TRIES     8u
#define TYPE_BYTES     ((uint64_t)1 << 20)
#define TYPE_BYTES_ONE ((uint64_t)4 << 20)
#define VERSIONS_MAX   256u

struct known_type {
    uint64_t model; /* hash of its name and protocol; 0: empty */
    const struct model_type *type;
    uint32_t tries;
    uint64_t bytes, last[2]; /* looked at; hash of the last body */
};

/* One internal version of a model that was seen. */
struct known_version {
    char model[CAP_NAME_MAX + 1], version[16];
};

struct cap_recorder {
    const struct cap_tiers *tiers;
    struct cap_redact *redact;
    struct cap_order *order;
    struct arena arena;                      /* of one exchange */
    struct known_type types[TYPES], *latest; /* latest: of the name below, or NULL */
    enum op_protocol latest_protocol;
    size_t latest_bytes;
    uint8_t latest_name[CAP_NAME_MAX];
    struct known_version *versions;
    size_t version_count;
    struct cap_tallies tallies;
    struct err failed;
};

int cap_recorder_new(struct cap_recorder **out, const struct cap_tiers *tiers,
                     struct cap_redact *redact, struct cap_order *order, struct err *e)
{
    struct cap_recorder *r = *out = calloc(1, sizeof *r);
    if (r)
        r->versions = calloc(VERSIONS_MAX, sizeof *r->versions);
    if (!r || !r->versions) {
        cap_recorder_free(r);
        *out = NULL;
        return err_set(e, ERR_NOMEM, "out of memory for the recorder");
    }
    r->tiers = tiers;
    r->redact = redact;
    r->order = order;
    return 0;
}

void cap_recorder_free(struct cap_recorder *r)
{
    if (!r)
        return;
    arena_done(&r->arena);
    free(r->versions);
    free(r);
}

/* --- what is learned on the way --------------------------------------------------- */

/* A record of Kafka holds a message of either protocol. */
static enum op_protocol body_protocol(const struct op_stream *s, struct span body)
{
    bool json = body.n > 0 && body.p[0] == '{';
    return s->protocol != OP_KAFKA ? s->protocol : json ? OP_REST : OP_GRPC;
}

static bool may_tell_type(const struct known_type *k, const struct op_body *body)
{
    return body->state == OP_BODY_KEPT && k->tries < TYPE_TRIES &&
           k->bytes < TYPE_BYTES && body->bytes <= TYPE_BYTES_ONE &&
           (body->hash[0] != k->last[0] || body->hash[1] != k->last[1]);
}

/* Where a model is remembered: mostly it is that of the request before. */
static struct known_type *known_type_of(struct cap_recorder *r,
                                        const struct op_stream *s)
{
    if (r->latest && s->protocol == r->latest_protocol &&
        span_eq(s->name, span_of(r->latest_name, r->latest_bytes)))
        return r->latest;
    uint64_t h[2];
    op_body_hash(s->name, h);
    uint64_t model = rng_hash(h[0], (uint64_t)s->protocol) | 1;
    struct known_type *k = &r->types[model / 2 % TYPES];
    if (k->model != model)
        *k = (struct known_type){.model = model};
    r->latest = s->name.n > 0 && s->name.n <= sizeof r->latest_name ? k : NULL;
    if (r->latest) {
        r->latest_protocol = s->protocol;
        r->latest_bytes = s->name.n;
        memcpy(r->latest_name, s->name.p, s->name.n);
    }
    return k;
}

/* The model's type by its first requests that say one; most bodies are not looked at.
 */
static struct span type_of(struct cap_recorder *r, const struct cap_record *rec)
{
    const struct op_stream *s = &rec->stream;
    const struct op_body *body = &rec->op.request;
    struct known_type *k = known_type_of(r, s);
    if (!k->type && s->resource == OP_MODEL && s->content_encoding.n == 0 &&
        may_tell_type(k, body)) {
        k->type =
            call_type_of(s->name, body_protocol(s, body->data), body->data, &r->arena);
        k->tries++;
        k->bytes += body->bytes;
        memcpy(k->last, body->hash, sizeof k->last);
    }
    return span_str(k->type ? k->type->name : NULL);
}

static void learn_version(struct cap_recorder *r, const struct cap_record *rec)
{
    struct span name = rec->stream.name, version = rec->internal;
    if (version.n == 0 || version.n >= sizeof r->versions->version)
        return;
    for (size_t i = 0; i < r->version_count; i++)
        if (span_eq_str(name, r->versions[i].model) &&
            span_eq_str(version, r->versions[i].version))
            return;
    if (r->version_count == VERSIONS_MAX || memchr(name.p, 0, name.n))
        return;
    struct known_version *v = &r->versions[r->version_count++];
    memcpy(v->model, name.p, name.n);
    memcpy(v->version, version.p, version.n);
}

static bool first_of_model(const struct cap_recorder *r, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (strcmp(r->versions[j].model, r->versions[i].model) == 0)
            return false;
    return true;
}

int cap_recorder_note(const struct cap_recorder *r, struct trc_writer *w, struct err *e)
{
    struct buf key = {0}, value = {0};
    int rc = 0;
    for (size_t i = 0; i < r->version_count && rc == 0; i++) {
        const struct known_version *v = &r->versions[i];
        if (!first_of_model(r, i) ||
            strlen(NOTE_CAPTURE_VERSION) + strlen(v->model) > CAP_NAME_MAX)
            continue;
        buf_reset(&key);
        buf_reset(&value);
        buf_fmt(&key, NOTE_CAPTURE_VERSION "%s", v->model);
        for (size_t j = i; j < r->version_count; j++)
            if (strcmp(r->versions[j].model, v->model) == 0)
                buf_fmt(&value, "%s%s", value.n ? "," : "", r->versions[j].version);
        rc = buf_check(&key, e);
        if (rc == 0)
            rc = buf_check(&value, e);
        if (rc == 0)
            rc = trc_writer_note(w, buf_text(&key), buf_text(&value), e);
    }
    buf_done(&key);
    buf_done(&value);
    return rc;
}

/* --- exchanges -------------------------------------------------------------------- */

static void count_bytes(uint64_t to[2], const struct cap_exchange *x)
{
    to[0] += x->part == CAP_PART_ANSWER ? 0 : x->request.counted_bytes;
    to[1] += x->part == CAP_PART_REQUEST ? 0 : x->answer.counted_bytes;
}

static uint64_t beyond(const struct cap_message *m)
{
    return m->grpc_messages > m->messages_listed ? m->grpc_messages - m->messages_listed
                                                 : 0;
}

static void count_recorded(struct cap_tallies *t, const struct cap_exchange *x,
                           const struct cap_record *rec)
{
    t->recorded++;
    t->inferred += (rec->op.flags & OP_FLAG_INFERRED) != 0;
    t->opaque += (rec->op.flags & OP_FLAG_OPAQUE) != 0;
    t->near_gap += (rec->op.flags & OP_FLAG_GAP) != 0;
    t->cut += rec->cut;
    t->streams += x->request.grpc_messages > 1;
    t->messages_beyond += beyond(&x->request) + beyond(&x->answer);
    t->unanswered += x->part == CAP_PART_WHOLE && !x->answered;
    count_bytes(t->recorded_bytes, x);
}

static int record(struct cap_recorder *r, const struct cap_exchange *x,
                  struct cap_record *rec, struct err *e)
{
    rec->stream.model_type = type_of(r, rec); /* by the first message */
    learn_version(r, rec);
    int rc = cap_messages_take(x, &rec->op, &r->arena, e);
    if (rc == 0)
        rc = cap_redact_record(r->redact, x, rec, &r->arena, e);
    if (rc == 0)
        rc = cap_order_add(r->order, rec, x->part == CAP_PART_REQUEST, e);
    if (rc == 1)
        count_recorded(&r->tallies, x, rec);
    if (rc == 0) {
        r->tallies.shed++;
        count_bytes(r->tallies.shed_bytes, x);
    }
    return rc;
}

/* Answers of what was passed over, lost or shed find no request: theirs is the same
 * fate, and is counted with the passed where nothing tells which it was. */
static int answer(struct cap_recorder *r, const struct cap_exchange *x, struct err *e)
{
    struct op op = op_empty();
    struct cap_tallies *t = &r->tallies;
    cap_record_answer(x, &op);
    int rc = cap_messages_take(x, &op, &r->arena, e);
    if (rc == 0)
        rc = cap_redact_answer(r->redact, x, &op, &r->arena, e);
    if (rc == 0)
        rc = cap_order_answer(r->order, (uint32_t)x->connection, x->stream, &op,
                              x->answer.buffer, NULL, e);
    if (rc == 1) {
        count_bytes(t->recorded_bytes, x);
        t->unanswered += !x->answered;
        t->messages_beyond += beyond(&x->answer);
    } else if (rc == 0) {
        count_bytes(t->passed_bytes, x);
    }
    return rc;
}

static int take(struct cap_recorder *r, const struct cap_exchange *x, struct err *e)
{
    struct cap_record rec;
    if (x->part == CAP_PART_ANSWER)
        return answer(r, x, e);
    enum op_tier tier = cap_tiers_find(r->tiers, &x->client, &x->server);
    if (tier == OP_TIER_ANY)
        cap_unmapped_add(&r->tallies.unmapped, x->server.port);
    switch (tier == OP_TIER_ANY ? CAP_RECORDED_PASSED
                                : cap_record_make(tier, x, &rec)) {
    case CAP_RECORDED_OP:
        return record(r, x, &rec, e);
    case CAP_RECORDED_UNNAMED:
        r->tallies.unnamed++;
        count_bytes(r->tallies.lost_bytes, x);
        return 0;
    case CAP_RECORDED_REFUSED:
        r->tallies.refused++;
        count_bytes(r->tallies.lost_bytes, x);
        return 0;
    default:
        r->tallies.passed++;
        count_bytes(r->tallies.passed_bytes, x);
        return 0;
    }
}

void cap_recorder_take(void *arg, const struct cap_exchange *x)
{
    struct cap_recorder *r = arg;
    if (r->failed.code != ERR_OK)
        return;
    arena_reset(&r->arena);
    if (take(r, x, &r->failed) < 0)
        err_note(&r->failed, "recording");
}

int cap_recorder_check(const struct cap_recorder *r, struct err *e)
{
    if (r->failed.code != ERR_OK && e && e->code == ERR_OK)
        *e = r->failed;
    return r->failed.code;
}

/* --- records of Kafka ------------------------------------------------------------- */

static void count_wire(uint64_t to[2], const struct cap_record *rec)
{
    to[rec->wire[0].dir] += rec->wire[0].bytes;
    to[rec->wire[1].dir] += rec->wire[1].bytes;
}

static bool is_json(struct span body)
{
    return body.n > 0 && body.p[0] == '{';
}

static int kafka_answer(struct cap_recorder *r, struct cap_record *rec, struct err *e)
{
    const struct cap_exchange none = {.grpc = !is_json(rec->op.response.data)};
    int rc = cap_redact_answer(r->redact, &none, &rec->op, &r->arena, e);
    if (rc == 0)
        rc = cap_order_answer(r->order, rec->op.connection, rec->op.conn_stream,
                              &rec->op, NULL, &rec->wire[1], e);
    if (rc >= 0)
        count_wire(rc ? r->tallies.recorded_bytes : r->tallies.passed_bytes, rec);
    if (rc == 1)
        r->tallies.unanswered--; /* counted as such when its request was told */
    return rc < 0 ? rc : 0;
}

static int kafka_request(struct cap_recorder *r, enum cap_part part,
                         struct cap_record *rec, struct err *e)
{
    static const struct cap_exchange none; /* a record has neither path nor headers */
    struct cap_tallies *t = &r->tallies;
    rec->stream.model_type = type_of(r, rec);
    int rc = cap_redact_record(r->redact, &none, rec, &r->arena, e);
    if (rc == 0)
        rc = cap_order_add(r->order, rec, part == CAP_PART_REQUEST, e);
    if (rc < 0)
        return rc;
    count_wire(rc ? t->recorded_bytes : t->shed_bytes, rec);
    t->recorded += rc == 1;
    t->unanswered += rc == 1 && rec->op.first_ns == OP_TIME_NONE;
    t->shed += rc == 0;
    return 0;
}

int cap_recorder_kafka(void *arg, enum cap_part part, struct cap_record *rec,
                       struct err *e)
{
    struct cap_recorder *r = arg;
    arena_reset(&r->arena);
    return part == CAP_PART_ANSWER ? kafka_answer(r, rec, e)
                                   : kafka_request(r, part, rec, e);
}

const struct cap_tallies *cap_recorder_tallies(const struct cap_recorder *r)
{
    return &r->tallies;
}
