/*
 * imp_jsonl.c - see imp_jsonl.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/import/imp_jsonl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "traces/base/arena.h"
#include "traces/payload/base64.h"
#include "traces/tool/trc_copy.h"
#include "traces/tool/trc_print.h"
#include "traces/wire/content_encoding.h"

/* Indices as the lines have them, and as the trace has them, while they run in step. */
struct run {
    uint64_t from, to, n;
};

struct reading {
    struct zin *in;
    const char *out;
    struct imp_jsonl_done *done;
    struct trc_writer *w;
    struct trc_options options;
    struct arena arena; /* of the line */
    struct run *runs;
    size_t run_count, run_cap;
    struct err *e;
};

/* --- values --- */

static int wrong(struct reading *r, const char *key, const char *what)
{
    return err_set(r->e, ERR_FORMAT, "'%s' is not %s", key, what);
}

static int take_int(struct reading *r, const json_t *v, const char *key, int64_t low,
                    int64_t high, int64_t *out)
{
    if (!json_is_integer(v) || json_integer_value(v) < low ||
        json_integer_value(v) > high)
        return err_set(r->e, ERR_FORMAT,
                       "'%s' is not a whole number from %" PRId64 " to %" PRId64, key,
                       low, high);
    *out = json_integer_value(v);
    return 0;
}

/* Canonical base64 only: padded, no blanks, unused bits 0. */
static int take_base64(struct reading *r, const json_t *v, const char *key,
                       struct span *out)
{
    struct err why = {0};
    struct span text = span_of(json_string_value(v), json_string_length(v));
    int rc = json_is_string(v) ? base64_decode(text, &r->arena, out, &why) : ERR_FORMAT;
    return rc == ERR_NOMEM ? err_set(r->e, ERR_NOMEM, "out of memory for a line")
           : rc < 0        ? wrong(r, key, "base64")
                           : 0;
}

/* A string, or {"base64": "…"}; borrowed from the line. */
static int take_text(struct reading *r, const json_t *v, const char *key,
                     struct span *out)
{
    if (json_is_string(v)) {
        *out = span_of(json_string_value(v), json_string_length(v));
        return 0;
    }
    if (json_is_object(v) && json_object_size(v) == 1 && json_object_get(v, "base64"))
        return take_base64(r, json_object_get(v, "base64"), key, out);
    return wrong(r, key, "a string");
}

static int take_name(struct reading *r, const json_t *v, const char *key,
                     const char *const *names, int *out)
{
    for (int i = 0; json_is_string(v) && names[i]; i++)
        if (strcmp(json_string_value(v), names[i]) == 0) {
            *out = i;
            return 0;
        }
    return wrong(r, key, "a known name");
}

static int take_hash(struct reading *r, const json_t *v, const char *key,
                     uint64_t hash[2])
{
    struct span text = span_of(json_string_value(v), json_string_length(v));
    return json_is_string(v) && trc_hash_parse(text, hash)
               ? 0
               : wrong(r, key, "a hash of 32 hex digits");
}

static int check_keys(struct reading *r, const json_t *object, const char *const *known,
                      const char *where)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)object, key, v)
    {
        size_t i = 0;
        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (!known[i])
            return err_set(r->e, ERR_FORMAT, "unknown key '%s'%s", key, where);
    }
    return 0;
}

static int take_body(struct reading *r, const json_t *v, const char *key,
                     struct op_body *out)
{
    static const char *const keys[] = {"text", "base64", "bytes", "hash", NULL};
    if (!json_is_object(v))
        return wrong(r, key, "an object");
    int rc = check_keys(r, v, keys, " in a body");
    const json_t *text = json_object_get(v, "text"),
                 *packed = json_object_get(v, "base64"),
                 *bytes = json_object_get(v, "bytes"),
                 *hash = json_object_get(v, "hash");
    int64_t n = 0;
    *out = (struct op_body){.state = text || packed ? OP_BODY_KEPT : OP_BODY_ELIDED};
    uint64_t told[2] = {0};
    if (rc == 0 && text && packed)
        rc = wrong(r, key, "either text or base64");
    if (rc == 0 && text)
        rc = take_text(r, text, key, &out->data);
    if (rc == 0 && packed)
        rc = take_base64(r, packed, key, &out->data);
    if (rc == 0 && (bytes || out->state == OP_BODY_ELIDED))
        rc = take_int(r, bytes, "bytes", 0, INT64_MAX >> 4, &n);
    if (rc == 0 && (hash || out->state == OP_BODY_ELIDED))
        rc = take_hash(r, hash, "hash", told);
    if (rc < 0)
        return rc;
    if (out->state == OP_BODY_ELIDED) {
        out->bytes = (uint64_t)n;
        memcpy(out->hash, told, sizeof told);
        return 0;
    }
    out->bytes = out->data.n;
    op_body_hash(out->data, out->hash);
    if (bytes && (uint64_t)n != out->bytes)
        return err_set(r->e, ERR_FORMAT, "'%s' has %" PRIu64 " bytes, not %" PRId64,
                       key, out->bytes, n);
    if (hash && memcmp(told, out->hash, sizeof told) != 0)
        return err_set(r->e, ERR_FORMAT, "'%s' does not have the hash that is given",
                       key);
    return 0;
}

/* Pairs of a time and bytes. */
static int take_pairs(struct reading *r, const json_t *v, const char *key,
                      struct op_messages *out)
{
    size_t n = json_array_size(v);
    if (!v)
        return 0;
    if (!json_is_array(v) || n > OP_MESSAGES_MAX)
        return wrong(r, key, "an array of at most 65535 messages");
    struct op_message *m = arena_alloc(&r->arena, (n + 1) * sizeof *m);
    if (!m)
        return err_set(r->e, ERR_NOMEM, "out of memory for a line");
    for (size_t i = 0; i < n; i++) {
        const json_t *pair = json_array_get(v, i);
        int64_t bytes;
        if (!json_is_array(pair) || json_array_size(pair) != 2)
            return wrong(r, key, "an array of [time, bytes]");
        int rc = take_int(r, json_array_get(pair, 0), key, -(INT64_C(1) << 61),
                          INT64_C(1) << 61, &m[i].at_ns);
        if (rc == 0)
            rc = take_int(r, json_array_get(pair, 1), key, 0, INT64_MAX >> 4, &bytes);
        if (rc < 0)
            return rc;
        m[i].bytes = (uint64_t)bytes;
    }
    *out = (struct op_messages){m, (uint32_t)n};
    return 0;
}

/* The same, whose body has been taken. */
static int take_messages(struct reading *r, const json_t *v, const char *key,
                         const struct op_body *body, struct op_messages *out)
{
    int rc = take_pairs(r, v, key, out);
    if (rc < 0)
        return rc;
    if (!op_messages_fit(out, body))
        return wrong(r, key, "as many bytes as the body");
    return 0;
}

/* --- optional members --- */

static int maybe_text(struct reading *r, const json_t *line, const char *key,
                      struct span *out)
{
    const json_t *v = json_object_get(line, key);
    return v ? take_text(r, v, key, out) : 0;
}

static int maybe_int(struct reading *r, const json_t *line, const char *key,
                     int64_t low, int64_t high, int64_t *out)
{
    const json_t *v = json_object_get(line, key);
    return v ? take_int(r, v, key, low, high, out) : 0;
}

static int maybe_ordinal(struct reading *r, const json_t *line, const char *key,
                         uint32_t *out)
{
    int64_t v = OP_NONE;
    int rc = maybe_int(r, line, key, 0, (int64_t)OP_NONE - 1, &v);
    *out = (uint32_t)v;
    return rc;
}

static int maybe_time(struct reading *r, const json_t *line, const char *key,
                      int64_t *out)
{
    return maybe_int(r, line, key, -(INT64_C(1) << 61), INT64_C(1) << 61, out);
}

static int maybe_name(struct reading *r, const json_t *line, const char *key,
                      const char *const *names, int *out)
{
    const json_t *v = json_object_get(line, key);
    return v ? take_name(r, v, key, names, out) : 0;
}

static int take_headers(struct reading *r, const json_t *v, struct op_stream *s)
{
    if (!v)
        return 0;
    if (!json_is_array(v) || json_array_size(v) > 256)
        return wrong(r, "headers", "an array of at most 256 pairs");
    size_t n = json_array_size(v);
    struct op_header *h = arena_alloc(&r->arena, (n + 1) * sizeof *h);
    if (!h)
        return err_set(r->e, ERR_NOMEM, "out of memory for a line");
    for (size_t i = 0; i < n; i++) {
        const json_t *pair = json_array_get(v, i);
        if (!json_is_array(pair) || json_array_size(pair) != 2)
            return wrong(r, "headers", "an array of pairs");
        int rc = take_text(r, json_array_get(pair, 0), "headers", &h[i].name);
        if (rc == 0)
            rc = take_text(r, json_array_get(pair, 1), "headers", &h[i].value);
        if (rc < 0)
            return rc;
    }
    s->headers = n ? h : NULL;
    s->header_count = (uint32_t)n;
    return 0;
}

static int take_stream(struct reading *r, const json_t *line, struct op_stream *s)
{
    int protocol = -1, tier = OP_TIER_ANY, resource = OP_MODEL;
    const json_t *name = json_object_get(line, "name");
    *s = (struct op_stream){0};
    int rc = maybe_name(r, line, "protocol", op_protocol_names, &protocol);
    if (rc == 0 && (protocol < 0 || !name))
        rc = err_set(r->e, ERR_FORMAT, "'%s' is missing",
                     protocol < 0 ? "protocol" : "name");
    if (rc == 0)
        rc = maybe_name(r, line, "tier", op_tier_names, &tier);
    if (rc == 0)
        rc = maybe_name(r, line, "resource", op_resource_names, &resource);
    if (rc < 0)
        return rc;
    s->protocol = (enum op_protocol)protocol;
    s->tier = (enum op_tier)tier;
    s->resource = (enum op_resource)resource;
    struct {
        const char *key;
        struct span *to;
    } texts[] = {{"name", &s->name},
                 {"model_type", &s->model_type},
                 {"method", &s->method},
                 {"path", &s->path},
                 {"content_type", &s->content_type},
                 {"content_encoding", &s->content_encoding}};
    for (size_t i = 0; rc == 0 && i < sizeof texts / sizeof *texts; i++)
        rc = maybe_text(r, line, texts[i].key, texts[i].to);
    return rc < 0 ? rc : take_headers(r, json_object_get(line, "headers"), s);
}

static int take_flags(struct reading *r, const json_t *v, uint32_t *flags)
{
    if (!v)
        return 0;
    if (!json_is_array(v))
        return wrong(r, "flags", "an array");
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *item = json_array_get(v, i);
        int64_t bit = 0;
        int named = 0;
        int rc = json_is_string(item)
                     ? take_name(r, item, "flags", trc_flag_names, &named)
                     : take_int(r, item, "flags", 0, 31, &bit);
        if (rc < 0)
            return rc;
        *flags |= 1u << (json_is_string(item) ? (unsigned)named : (unsigned)bit);
    }
    return 0;
}

static int take_answer(struct reading *r, const json_t *line, struct op *o)
{
    int64_t status = 0, grpc = -1;
    struct span codings = {0};
    const json_t *body = json_object_get(line, "answer");
    int rc = maybe_int(r, line, "status", 0, UINT16_MAX, &status);
    if (rc == 0)
        rc = maybe_int(r, line, "grpc_status", 0, INT16_MAX, &grpc);
    if (rc == 0)
        rc = maybe_time(r, line, "first_ns", &o->first_ns);
    if (rc == 0)
        rc = maybe_time(r, line, "last_ns", &o->last_ns);
    if (rc == 0 && body)
        rc = take_body(r, body, "answer", &o->response);
    if (rc == 0)
        rc = take_messages(r, json_object_get(line, "answer_messages"),
                           "answer_messages", &o->response, &o->response_messages);
    if (rc == 0)
        rc = maybe_text(r, line, "answer_encoding", &codings);
    o->status = (uint16_t)status;
    o->grpc_status = (int16_t)grpc;
    content_codings_add(&o->response_codings, codings);
    return rc;
}

/* --- lines --- */

static int open_writer(struct reading *r, enum trc_kind kind)
{
    r->options.kind = kind;
    r->done->kind = kind;
    return trc_writer_open(&r->w, r->out, &r->options, r->e);
}

static int take_notes(struct reading *r, json_t *notes)
{
    const char *key;
    json_t *v;
    if (!json_is_object(notes))
        return wrong(r, "notes", "an object");
    json_object_foreach(notes, key, v)
    {
        int rc = json_is_string(v)
                     ? trc_writer_note(r->w, key, json_string_value(v), r->e)
                     : wrong(r, key, "a string");
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int add_index(struct reading *r, uint64_t from)
{
    struct run *last = r->run_count ? &r->runs[r->run_count - 1] : NULL;
    if (last && from == last->from + last->n) {
        last->n++;
        return 0;
    }
    if (last && from < last->from + last->n)
        return err_set(r->e, ERR_FORMAT, "'index' does not ascend");
    if (r->run_count == r->run_cap) {
        size_t cap = r->run_cap ? 2 * r->run_cap : 16;
        struct run *runs = realloc(r->runs, cap * sizeof *runs);
        if (!runs)
            return err_set(r->e, ERR_NOMEM, "out of memory for indices");
        r->runs = runs;
        r->run_cap = cap;
    }
    r->runs[r->run_count++] = (struct run){from, r->done->records, 1};
    return 0;
}

static int read_op(struct reading *r, const json_t *line)
{
    static const char *const keys[] = {"index",
                                       "arrival_ns",
                                       "protocol",
                                       "tier",
                                       "resource",
                                       "name",
                                       "model_type",
                                       "method",
                                       "path",
                                       "content_type",
                                       "content_encoding",
                                       "headers",
                                       "flags",
                                       "body",
                                       "id",
                                       "connection",
                                       "conn_stream",
                                       "client",
                                       "tokens_in",
                                       "tokens_out",
                                       "weight",
                                       "status",
                                       "grpc_status",
                                       "first_ns",
                                       "last_ns",
                                       "answer",
                                       "messages",
                                       "answer_encoding",
                                       "answer_messages",
                                       NULL};
    struct op o = op_empty();
    struct op_stream s;
    int64_t index = (int64_t)r->done->records;
    const json_t *body = json_object_get(line, "body"),
                 *weight = json_object_get(line, "weight");
    int rc = check_keys(r, line, keys, "");
    if (rc == 0)
        rc = take_int(r, json_object_get(line, "arrival_ns"), "arrival_ns", 0,
                      INT64_C(1) << 61, &o.arrival_ns);
    if (rc == 0)
        rc = take_stream(r, line, &s);
    if (rc == 0)
        rc = take_flags(r, json_object_get(line, "flags"), &o.flags);
    if (rc == 0 && body)
        rc = take_body(r, body, "body", &o.request);
    if (rc == 0)
        rc = take_messages(r, json_object_get(line, "messages"), "messages", &o.request,
                           &o.request_messages);
    if (rc == 0)
        rc = maybe_text(r, line, "id", &o.id);
    struct {
        const char *key;
        uint32_t *to;
    } ordinals[] = {{"connection", &o.connection},
                    {"conn_stream", &o.conn_stream},
                    {"client", &o.client},
                    {"tokens_in", &o.tokens_in},
                    {"tokens_out", &o.tokens_out}};
    for (size_t i = 0; rc == 0 && i < sizeof ordinals / sizeof *ordinals; i++)
        rc = maybe_ordinal(r, line, ordinals[i].key, ordinals[i].to);
    if (rc == 0 && weight && !json_is_number(weight))
        rc = wrong(r, "weight", "a number");
    if (rc == 0 && weight)
        o.weight = (float)json_number_value(weight);
    if (rc == 0)
        rc = take_answer(r, line, &o);
    if (rc == 0)
        rc = maybe_int(r, line, "index", 0, INT64_MAX, &index);
    if (rc == 0)
        rc = add_index(r, (uint64_t)index);
    o.stream = &s;
    if (rc == 0)
        rc = trc_writer_op(r->w, &o, r->e);
    r->done->records++;
    return rc;
}

static int read_late(struct reading *r, const json_t *line)
{
    static const char *const keys[] = {
        "late",    "flags",  "status",          "grpc_status",     "first_ns",
        "last_ns", "answer", "answer_encoding", "answer_messages", NULL};
    struct op o = op_empty();
    int64_t index = 0;
    int rc = check_keys(r, line, keys, " in a late answer");
    if (rc == 0)
        rc = take_int(r, json_object_get(line, "late"), "late", 0, INT64_MAX, &index);
    if (rc == 0)
        rc = take_flags(r, json_object_get(line, "flags"), &o.flags);
    if (rc == 0)
        rc = take_answer(r, line, &o);
    if (rc < 0)
        return rc;
    for (size_t i = r->run_count; i-- > 0;) {
        const struct run *run = &r->runs[i];
        if ((uint64_t)index >= run->from && (uint64_t)index < run->from + run->n) {
            o.index = run->to + ((uint64_t)index - run->from);
            r->done->late++;
            return trc_writer_late(r->w, &o, r->e);
        }
    }
    return err_set(r->e, ERR_FORMAT,
                   "no operation %" PRId64 " stands before its answer", index);
}

static int take_times(struct reading *r, const json_t *line, struct outcome *o)
{
    struct {
        const char *key;
        int64_t *to;
    } times[] = {{"due_ns", &o->due_ns},
                 {"ready_ns", &o->ready_ns},
                 {"sent_ns", &o->sent_ns},
                 {"first_ns", &o->first_ns},
                 {"done_ns", &o->done_ns}};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof times / sizeof *times; i++)
        rc = maybe_time(r, line, times[i].key, times[i].to);
    return rc;
}

static int take_answer_hash(struct reading *r, const json_t *v, uint64_t *hash)
{
    char text[TRC_HASH_TEXT];
    uint64_t h[2];
    if (!v)
        return 0;
    if (json_is_string(v))
        snprintf(text, sizeof text, "0000000000000000%s", json_string_value(v));
    if (json_string_length(v) != 16 || !trc_hash_parse(span_str(text), h))
        return wrong(r, "answer_hash", "16 hex digits");
    *hash = h[0];
    return 0;
}

static int read_outcome(struct reading *r, const json_t *line)
{
    static const char *const keys[] = {"op",
                                       "due_ns",
                                       "protocol",
                                       "tier",
                                       "resource",
                                       "name",
                                       "cause",
                                       "check",
                                       "ready_ns",
                                       "sent_ns",
                                       "first_ns",
                                       "done_ns",
                                       "status",
                                       "grpc_status",
                                       "attempts",
                                       "worker",
                                       "connection",
                                       "bytes_out",
                                       "bytes_in",
                                       "answer_hash",
                                       "model_type",
                                       "method",
                                       "path",
                                       "content_type",
                                       "content_encoding",
                                       "headers",
                                       "wait",
                                       "messages",
                                       NULL};
    struct outcome o = outcome_empty();
    struct op_stream s;
    int cause = OUT_OK, check = OUT_UNCHECKED, wait = OUT_WAIT_NONE;
    int64_t op = 0, status = 0, grpc = -1, attempts = 1, worker = 0, out = 0, in = 0;
    int rc = check_keys(r, line, keys, " in an outcome");
    if (rc == 0)
        rc = take_int(r, json_object_get(line, "op"), "op", 0, INT64_MAX, &op);
    if (rc == 0)
        rc = take_stream(r, line, &s);
    if (rc == 0)
        rc = maybe_name(r, line, "cause", out_cause_names, &cause);
    if (rc == 0)
        rc = maybe_name(r, line, "check", out_check_names, &check);
    if (rc == 0)
        rc = maybe_name(r, line, "wait", out_wait_names, &wait);
    if (rc == 0)
        rc = take_times(r, line, &o);
    struct {
        const char *key;
        int64_t *to, high;
    } numbers[] = {
        {"status", &status, UINT16_MAX},    {"grpc_status", &grpc, INT16_MAX},
        {"attempts", &attempts, UINT8_MAX}, {"worker", &worker, UINT16_MAX},
        {"bytes_out", &out, INT64_MAX},     {"bytes_in", &in, INT64_MAX}};
    for (size_t i = 0; rc == 0 && i < sizeof numbers / sizeof *numbers; i++)
        rc = maybe_int(r, line, numbers[i].key, 0, numbers[i].high, numbers[i].to);
    if (rc == 0)
        rc = maybe_ordinal(r, line, "connection", &o.connection);
    if (rc == 0)
        rc = take_answer_hash(r, json_object_get(line, "answer_hash"), &o.answer_hash);
    if (rc == 0)
        rc = take_pairs(r, json_object_get(line, "messages"), "messages", &o.messages);
    o.op_index = (uint64_t)op;
    o.stream = &s;
    o.cause = (enum out_cause)cause;
    o.check = (enum out_check)check;
    o.wait = (enum out_wait)wait;
    o.status = (uint16_t)status;
    o.grpc_status = (int16_t)grpc;
    o.attempts = (uint8_t)attempts;
    o.worker = (uint16_t)worker;
    o.bytes_out = (uint64_t)out;
    o.bytes_in = (uint64_t)in;
    if (rc == 0)
        rc = trc_writer_outcome(r->w, &o, r->e);
    r->done->records++;
    return rc;
}

/* {"reprise": "trace", …}: facts about the whole file. Opens the writer. */
static int read_facts(struct reading *r, json_t *line)
{
    static const char *const keys[] = {"reprise", "resolution_ns", "epoch_wall_ns",
                                       "notes", NULL};
    static const char *const kinds[] = {"trace", "run", NULL};
    int kind = 0;
    int rc = r->w
                 ? err_set(r->e, ERR_FORMAT, "'reprise' stands in the first line alone")
                 : check_keys(r, line, keys, " in the first line");
    if (rc == 0)
        rc = maybe_name(r, line, "reprise", kinds, &kind);
    if (rc == 0)
        rc = maybe_int(r, line, "resolution_ns", 1, 1000000, &r->options.resolution_ns);
    if (rc == 0)
        rc = maybe_int(r, line, "epoch_wall_ns", INT64_MIN, INT64_MAX,
                       &r->options.epoch_wall_ns);
    json_t *notes = json_object_get(line, "notes");
    if (rc == 0)
        rc = open_writer(r, (enum trc_kind)kind);
    return rc == 0 && notes ? take_notes(r, notes) : rc;
}

static int read_line(struct reading *r, json_t *line)
{
    if (!json_is_object(line))
        return err_set(r->e, ERR_FORMAT, "not a JSON object");
    if (json_object_get(line, "reprise"))
        return read_facts(r, line);
    if (!r->w) {
        bool run = json_object_get(line, "due_ns") != NULL;
        int rc = open_writer(r, run ? TRC_RUN : TRC_TRACE);
        if (rc < 0)
            return rc;
    }
    if (json_object_get(line, "notes"))
        return json_object_size(line) == 1
                   ? take_notes(r, json_object_get(line, "notes"))
                   : err_set(r->e, ERR_FORMAT, "'notes' has a line of its own");
    if (r->done->kind == TRC_RUN)
        return read_outcome(r, line);
    return json_object_get(line, "late") ? read_late(r, line) : read_op(r, line);
}

static int read_lines(struct reading *r)
{
    struct span text;
    int rc;
    while ((rc = zin_line(r->in, &text, r->e)) == 1) {
        json_error_t why;
        if (span_trim(text).n == 0)
            continue;
        json_t *line = json_loadb((const char *)text.p, text.n,
                                  JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
        arena_reset(&r->arena);
        rc = line ? read_line(r, line)
                  : err_set(r->e, ERR_FORMAT, "not JSON: %s (column %d)", why.text,
                            why.column);
        json_decref(line);
        if (rc == ERR_USAGE) /* of the writer: here it is the input that is wrong */
            r->e->code = ERR_FORMAT;
        if (rc < 0)
            return err_note(r->e, "line %" PRIu64, zin_line_number(r->in));
    }
    return rc;
}

int imp_jsonl_read(struct zin *in, const char *out, struct imp_jsonl_done *done,
                   struct err *e)
{
    struct err local = {0};
    *done = (struct imp_jsonl_done){0};
    struct reading r = {.in = in, .out = out, .done = done, .e = e ? e : &local};
    zin_line_max(in, IMP_JSONL_LINE_MAX);
    int rc = read_lines(&r);
    if (rc == 0 && !r.w)
        rc = err_set(r.e, ERR_FORMAT, "no operation and no outcome in it");
    if (r.w)
        rc = trc_copy_finish(r.w, out, rc, r.e);
    free(r.runs);
    arena_done(&r.arena);
    return rc;
}
