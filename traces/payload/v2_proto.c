/*
 * v2_proto.c - see v2_proto.h. The only user of the generated code.
 *
 * The library that decodes says no reason when it refuses, and copies whatever it is
 * told to copy. So a message is walked first: that finds where it is malformed and
 * counts what it holds, before memory is given out.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/payload/v2_proto.h"

#include <string.h>

#include <protobuf-c/protobuf-c.h>

#include "traces/gen/inference.pb-c.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "packed elements are little-endian and copied as they are");

typedef Inference__InferParameter proto_param;
typedef Inference__ParameterEntry proto_entry;
typedef Inference__InferTensorContents proto_contents;
typedef Inference__InferTensor proto_tensor;

/* What request and response have in common, by reference. */
struct proto_message {
    ProtobufCBinaryData *model_name, *model_version, *id;
    size_t *entry_count, *tensor_count, *raw_count;
    proto_entry ***entries;
    proto_tensor ***tensors;
    ProtobufCBinaryData **raw;
};

static struct proto_message of_request(Inference__ModelInferRequest *r)
{
    return (struct proto_message){
        .model_name = &r->model_name,
        .model_version = &r->model_version,
        .id = &r->id,
        .entry_count = &r->n_parameters,
        .entries = &r->parameters,
        .tensor_count = &r->n_inputs,
        .tensors = &r->inputs,
        .raw_count = &r->n_raw_input_contents,
        .raw = &r->raw_input_contents,
    };
}

static struct proto_message of_response(Inference__ModelInferResponse *r)
{
    return (struct proto_message){
        .model_name = &r->model_name,
        .model_version = &r->model_version,
        .id = &r->id,
        .entry_count = &r->n_parameters,
        .entries = &r->parameters,
        .tensor_count = &r->n_outputs,
        .tensors = &r->outputs,
        .raw_count = &r->n_raw_output_contents,
        .raw = &r->raw_output_contents,
    };
}

static ProtobufCBinaryData data_of(struct span s)
{
    /* The generated type is not const; packing only reads. */
    union {
        const uint8_t *from;
        uint8_t *to;
    } p = {.from = s.p};
    return (ProtobufCBinaryData){.len = s.n, .data = p.to};
}

static struct span span_of_data(ProtobufCBinaryData d)
{
    return span_of(d.data, d.len);
}

/* --- one field on the wire --------------------------------------------------- */

enum wire_type { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct wire_field {
    uint32_t number;
    unsigned type;
    struct span whole;   /* with its tag */
    struct span payload; /* WIRE_BYTES: what it holds */
    size_t payload_at;   /* offset of the payload */
};

/* The next field; c must not be at its end. False: malformed. */
static bool next_field(struct cursor *c, struct wire_field *f)
{
    size_t from = cursor_offset(c);
    uint64_t tag = cursor_varint(c);
    *f = (struct wire_field){.number = (uint32_t)(tag >> 3), .type = tag & 7};
    if (tag >> 32 != 0 || f->number == 0)
        return false;
    switch (f->type) {
    case WIRE_VARINT:
        cursor_varint(c);
        break;
    case WIRE_64:
        cursor_take(c, 8);
        break;
    case WIRE_32:
        cursor_take(c, 4);
        break;
    case WIRE_BYTES: {
        uint64_t n = cursor_varint(c);
        f->payload_at = cursor_offset(c);
        if (n > cursor_left(c))
            return false;
        f->payload = cursor_take(c, n);
        break;
    }
    default: /* groups are older than proto3 */
        return false;
    }
    f->whole = span_of(c->start + from, cursor_offset(c) - from);
    return !c->bad;
}

/* Which fields of which messages are messages themselves. */
enum level { LEVEL_MESSAGE, LEVEL_TENSOR, LEVEL_REQUESTED, LEVEL_ENTRY, LEVEL_LEAF };

static enum level level_below(enum level level, uint32_t number, bool request)
{
    switch (level) {
    case LEVEL_MESSAGE:
        return number == 4              ? LEVEL_ENTRY
               : number == 5            ? LEVEL_TENSOR
               : number == 6 && request ? LEVEL_REQUESTED
                                        : LEVEL_LEAF;
    case LEVEL_TENSOR:
        return number == 4 ? LEVEL_ENTRY : LEVEL_LEAF;
    case LEVEL_REQUESTED:
        return number == 2 ? LEVEL_ENTRY : LEVEL_LEAF;
    default:
        return LEVEL_LEAF;
    }
}

static int malformed(size_t at, struct err *e)
{
    return err_at(e, ERR_FORMAT, at, "malformed protobuf");
}

/* Walks the fields of one message that lies at offset `at`: 0, or the first fault, or a
 * limit. */
static int walk(struct span message, size_t at, enum level level, bool request,
                struct err *e)
{
    struct cursor c = cursor_of(message);
    struct wire_field f;
    uint32_t entries = 0, tensors = 0;
    while (cursor_left(&c) > 0) {
        size_t from = at + cursor_offset(&c);
        if (!next_field(&c, &f))
            return malformed(from, e);
        enum level below = level_below(level, f.number, request);
        if (below == LEVEL_LEAF)
            continue;
        if (f.type != WIRE_BYTES)
            return malformed(from, e);
        if (below == LEVEL_ENTRY && ++entries > PAY_PARAMS_MAX)
            return err_at(e, ERR_LIMIT, from, "more than %d parameters",
                          PAY_PARAMS_MAX);
        if (below != LEVEL_ENTRY && ++tensors > PAY_TENSORS_MAX)
            return err_at(e, ERR_LIMIT, from, "more than %d tensors", PAY_TENSORS_MAX);
        int rc = walk(f.payload, at + f.payload_at, below, request, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* --- decoding: memory -------------------------------------------------------- */

/* The decoder's memory comes from the arena, up to a bound that goes with the message:
 * a field of two bytes may cost a hundred. */
struct pool {
    struct arena *arena;
    uint64_t left;
    bool refused, exhausted;
};

static void *pool_alloc(void *data, size_t n)
{
    struct pool *pool = data;
    if (n > pool->left) {
        pool->refused = true;
        return NULL;
    }
    pool->left -= n;
    void *p = arena_alloc(pool->arena, n);
    pool->exhausted |= !p;
    return p;
}

static void pool_free(void *data, void *p)
{
    (void)data; /* the arena gives everything back at once */
    (void)p;
}

/* --- decoding: parts --------------------------------------------------------- */

/* Checks that a text is UTF-8, as proto3 demands of strings. */
static int take_text(ProtobufCBinaryData d, const char *what, struct span *text,
                     struct err *e)
{
    *text = span_of_data(d);
    if (pay_utf8_fault(*text) != text->n)
        return err_set(e, ERR_FORMAT, "%s is not UTF-8", what);
    return 0;
}

/* A value of no choice that we know leaves the parameter out: 0. One taken: 1. */
static int take_param(const proto_param *from, struct pay_param *p, struct err *e)
{
    switch (from ? from->parameter_choice_case
                 : INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE__NOT_SET) {
    case INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_BOOL_PARAM:
        p->kind = PAY_PARAM_BOOL;
        p->b = from->bool_param;
        return 1;
    case INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_INT64_PARAM:
        p->kind = PAY_PARAM_INT;
        p->i = from->int64_param;
        return 1;
    case INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_STRING_PARAM:
        p->kind = PAY_PARAM_STRING;
        return take_text(from->string_param, "a parameter", &p->s, e) < 0 ? ERR_FORMAT
                                                                          : 1;
    case INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_DOUBLE_PARAM:
        p->kind = PAY_PARAM_DOUBLE;
        p->d = from->double_param;
        return 1;
    case INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_UINT64_PARAM:
        p->kind = from->uint64_param <= INT64_MAX ? PAY_PARAM_INT : PAY_PARAM_DOUBLE;
        p->i = (int64_t)from->uint64_param;
        p->d = (double)from->uint64_param;
        return 1;
    default:
        return 0;
    }
}

static int take_params(proto_entry *const *entries, size_t n, struct arena *a,
                       const struct pay_param **params, uint32_t *count, struct err *e)
{
    *params = NULL;
    *count = 0;
    if (n == 0)
        return 0;
    struct pay_param *list = arena_alloc(a, n * sizeof *list);
    if (!list)
        return err_set(e, ERR_NOMEM, "out of memory for %zu parameters", n);
    for (size_t i = 0; i < n; i++) {
        struct pay_param p = {0};
        int rc = take_text(entries[i]->key, "a parameter's name", &p.name, e);
        if (rc == 0)
            rc = take_param(entries[i]->value, &p, e);
        if (rc < 0)
            return rc;
        if (rc == 1)
            list[(*count)++] = p;
    }
    *params = list;
    return 0;
}

enum family {
    F_BOOL,
    F_INT,
    F_INT64,
    F_UINT,
    F_UINT64,
    F_FP32,
    F_FP64,
    F_BYTES,
    F_COUNT
};

static const char *const family_names[F_COUNT] = {
    "bool_contents",   "int_contents",  "int64_contents", "uint_contents",
    "uint64_contents", "fp32_contents", "fp64_contents",  "bytes_contents",
};

static enum family family_of(enum pay_type t)
{
    switch (t) {
    case PAY_BOOL:
        return F_BOOL;
    case PAY_INT8:
    case PAY_INT16:
    case PAY_INT32:
        return F_INT;
    case PAY_INT64:
        return F_INT64;
    case PAY_UINT8:
    case PAY_UINT16:
    case PAY_UINT32:
        return F_UINT;
    case PAY_UINT64:
        return F_UINT64;
    case PAY_FP64:
        return F_FP64;
    case PAY_BYTES:
        return F_BYTES;
    default: /* FP16 and BF16 have none of their own */
        return F_FP32;
    }
}

static void count_families(const proto_contents *c, size_t counts[F_COUNT])
{
    memset(counts, 0, F_COUNT * sizeof *counts);
    if (!c)
        return;
    counts[F_BOOL] = c->n_bool_contents;
    counts[F_INT] = c->n_int_contents;
    counts[F_INT64] = c->n_int64_contents;
    counts[F_UINT] = c->n_uint_contents;
    counts[F_UINT64] = c->n_uint64_contents;
    counts[F_FP32] = c->n_fp32_contents;
    counts[F_FP64] = c->n_fp64_contents;
    counts[F_BYTES] = c->n_bytes_contents;
}

/* The elements whose width in the message differs from that of the datatype. */
static int narrow(const proto_contents *c, struct pay_tensor *t, uint8_t *out,
                  struct err *e)
{
    size_t width = pay_type_width(t->type);
    enum family family = family_of(t->type);
    for (uint64_t i = 0; i < t->element_count; i++, out += width) {
        if (family == F_FP32) {
            pay_store_float(t->type, out, (double)c->fp32_contents[i]);
            continue;
        }
        int64_t v;
        if (family == F_BOOL)
            v = c->bool_contents[i] != 0;
        else if (family == F_INT)
            v = c->int_contents[i];
        else
            v = c->uint_contents[i];
        if (!pay_int_fits(t->type, v))
            return err_set(e, ERR_FORMAT, "%lld is no %s", (long long)v,
                           pay_type_names[t->type]);
        pay_store_int(t->type, out, v);
    }
    return 0;
}

static int take_strings(const proto_contents *c, struct arena *a, struct pay_tensor *t,
                        struct err *e)
{
    struct span *list = arena_alloc(a, t->element_count * sizeof *list);
    if (!list)
        return err_set(e, ERR_NOMEM, "out of memory for %llu elements",
                       (unsigned long long)t->element_count);
    for (uint64_t i = 0; i < t->element_count; i++)
        list[i] = span_of_data(c->bytes_contents[i]);
    t->bytes = list;
    return 0;
}

/* Elements from the repeated field of their datatype. */
static int take_contents(const proto_contents *c, struct arena *a, struct pay_tensor *t,
                         struct err *e)
{
    size_t counts[F_COUNT], size = t->element_count * pay_type_width(t->type);
    enum family family = family_of(t->type);
    count_families(c, counts);
    for (int i = 0; i < F_COUNT; i++)
        if (counts[i] > 0 && i != (int)family)
            return err_set(e, ERR_FORMAT, "%s in %s", pay_type_names[t->type],
                           family_names[i]);
    if (counts[family] != t->element_count)
        return err_set(e, ERR_FORMAT, "%zu elements in %s, %llu by its shape",
                       counts[family], family_names[family],
                       (unsigned long long)t->element_count);
    if (t->element_count == 0)
        return 0;
    switch (t->type) {
    case PAY_BYTES:
        return take_strings(c, a, t, e);
    case PAY_INT32:
        t->packed = span_of(c->int_contents, size);
        return 0;
    case PAY_INT64:
        t->packed = span_of(c->int64_contents, size);
        return 0;
    case PAY_UINT32:
        t->packed = span_of(c->uint_contents, size);
        return 0;
    case PAY_UINT64:
        t->packed = span_of(c->uint64_contents, size);
        return 0;
    case PAY_FP32:
        t->packed = span_of(c->fp32_contents, size);
        return 0;
    case PAY_FP64:
        t->packed = span_of(c->fp64_contents, size);
        return 0;
    default:
        break;
    }
    uint8_t *out = arena_alloc(a, size);
    if (!out)
        return err_set(e, ERR_NOMEM, "out of memory for %zu bytes", size);
    t->packed = span_of(out, size);
    return narrow(c, t, out, e);
}

/* BYTES in raw form: each element behind its length in four bytes. */
static int take_raw_strings(struct span raw, struct arena *a, struct pay_tensor *t,
                            struct err *e)
{
    if (t->element_count > raw.n / 4)
        return err_set(e, ERR_FORMAT, "%zu raw bytes are fewer than %llu elements",
                       raw.n, (unsigned long long)t->element_count);
    struct span *list = arena_alloc(a, t->element_count * sizeof *list);
    if (!list)
        return err_set(e, ERR_NOMEM, "out of memory for %llu elements",
                       (unsigned long long)t->element_count);
    struct cursor c = cursor_of(raw);
    for (uint64_t i = 0; i < t->element_count; i++)
        list[i] = cursor_take(&c, cursor_u32(&c));
    if (c.bad || cursor_left(&c) > 0)
        return err_set(e, ERR_FORMAT, "%zu raw bytes are not %llu elements", raw.n,
                       (unsigned long long)t->element_count);
    t->bytes = list;
    return 0;
}

static int take_raw(struct span raw, const proto_contents *contents, struct arena *a,
                    struct pay_tensor *t, struct err *e)
{
    size_t counts[F_COUNT];
    count_families(contents, counts);
    for (int i = 0; i < F_COUNT; i++)
        if (counts[i] > 0)
            return err_set(e, ERR_FORMAT, "both raw contents and %s", family_names[i]);
    if (t->type == PAY_BYTES)
        return take_raw_strings(raw, a, t, e);
    size_t width = pay_type_width(t->type);
    if (raw.n % width != 0 || raw.n / width != t->element_count)
        return err_set(e, ERR_FORMAT,
                       "%zu raw bytes, %llu elements of %zu by its shape", raw.n,
                       (unsigned long long)t->element_count, width);
    t->packed = raw;
    return 0;
}

/* raw: NULL when the message has typed contents. */
static int take_tensor(const proto_tensor *from, const ProtobufCBinaryData *raw,
                       struct arena *a, struct pay_tensor *t, struct err *e)
{
    struct span datatype = span_of_data(from->datatype);
    *t = (struct pay_tensor){0};
    if (take_text(from->name, "its name", &t->name, e) < 0)
        return ERR_FORMAT;
    if (pay_type_of(datatype, &t->type) < 0)
        return err_set(e, ERR_FORMAT, "unknown datatype '%.*s'",
                       (int)(datatype.n < 40 ? datatype.n : 40),
                       (const char *)datatype.p);
    if (from->n_shape > PAY_RANK_MAX)
        return err_set(e, ERR_LIMIT, "more than %d dimensions", PAY_RANK_MAX);
    t->rank = (uint32_t)from->n_shape;
    for (uint32_t i = 0; i < t->rank; i++)
        t->shape[i] = from->shape[i];
    int rc = pay_shape_count(t->shape, t->rank, &t->element_count, e);
    if (rc == 0)
        rc = take_params(from->parameters, from->n_parameters, a, &t->params,
                         &t->param_count, e);
    if (rc == 0)
        rc = raw ? take_raw(span_of_data(*raw), from->contents, a, t, e)
                 : take_contents(from->contents, a, t, e);
    return rc;
}

static int take_message(const struct proto_message *from, struct arena *a,
                        struct pay_message *m, struct err *e)
{
    size_t n = *from->tensor_count, raw_count = *from->raw_count;
    if (take_text(*from->model_name, "model_name", &m->model_name, e) < 0 ||
        take_text(*from->model_version, "model_version", &m->model_version, e) < 0 ||
        take_text(*from->id, "id", &m->id, e) < 0)
        return ERR_FORMAT;
    int rc = take_params(*from->entries, *from->entry_count, a, &m->params,
                         &m->param_count, e);
    if (rc < 0)
        return rc;
    m->raw = raw_count > 0;
    if (m->raw && raw_count != n)
        return err_set(e, ERR_FORMAT, "%zu raw contents for %zu tensors", raw_count, n);
    struct pay_tensor *list = arena_alloc(a, n * sizeof *list);
    if (!list)
        return err_set(e, ERR_NOMEM, "out of memory for %zu tensors", n);
    for (size_t i = 0; i < n; i++) {
        rc = take_tensor((*from->tensors)[i], m->raw ? &(*from->raw)[i] : NULL, a,
                         &list[i], e);
        if (rc < 0)
            return err_note(e, "tensor %zu", i);
    }
    m->tensors = list;
    m->tensor_count = (uint32_t)n;
    return 0;
}

static int parse(struct span bytes, bool request, struct arena *a,
                 struct pay_message *m, struct err *e)
{
    *m = (struct pay_message){0};
    if (bytes.n > V2_PROTO_MAX)
        return err_set(e, ERR_LIMIT, "a message of %zu bytes (limit %u)", bytes.n,
                       V2_PROTO_MAX);
    int rc = walk(bytes, 0, LEVEL_MESSAGE, request, e);
    if (rc < 0)
        return rc;
    struct pool pool = {.arena = a,
                        .left = (UINT64_C(1) << 16) + 64 * (uint64_t)bytes.n};
    ProtobufCAllocator allocator = {
        .alloc = pool_alloc, .free = pool_free, .allocator_data = &pool};
    const ProtobufCMessageDescriptor *kind =
        request ? &inference__model_infer_request__descriptor
                : &inference__model_infer_response__descriptor;
    ProtobufCMessage *message =
        protobuf_c_message_unpack(kind, &allocator, bytes.n, bytes.n ? bytes.p : NULL);
    if (!message && pool.exhausted)
        return err_set(e, ERR_NOMEM, "out of memory for a message of %zu bytes",
                       bytes.n);
    if (!message && pool.refused)
        return err_set(e, ERR_LIMIT, "a message of %zu bytes needs too much memory",
                       bytes.n);
    if (!message)
        return err_set(e, ERR_FORMAT,
                       "a field has a wrong type, or a list is cut short");
    struct proto_message from =
        request ? of_request((Inference__ModelInferRequest *)message)
                : of_response((Inference__ModelInferResponse *)message);
    return take_message(&from, a, m, e);
}

int v2_proto_parse_request(struct span bytes, struct arena *a, struct pay_message *m,
                           struct err *e)
{
    return parse(bytes, true, a, m, e);
}

int v2_proto_parse_response(struct span bytes, struct arena *a, struct pay_message *m,
                            struct err *e)
{
    return parse(bytes, false, a, m, e);
}

/* --- encoding ---------------------------------------------------------------- */

/* Everything below builds the generated structs in an arena; NULL or false: out of
 * memory. */

static proto_entry *put_param(struct arena *a, const struct pay_param *p)
{
    proto_entry *entry = arena_alloc(a, sizeof *entry);
    proto_param *value = arena_alloc(a, sizeof *value);
    if (!entry || !value)
        return NULL;
    inference__parameter_entry__init(entry);
    inference__infer_parameter__init(value);
    entry->key = data_of(p->name);
    entry->value = value;
    switch (p->kind) {
    case PAY_PARAM_BOOL:
        value->parameter_choice_case =
            INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_BOOL_PARAM;
        value->bool_param = p->b;
        break;
    case PAY_PARAM_INT:
        value->parameter_choice_case =
            INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_INT64_PARAM;
        value->int64_param = p->i;
        break;
    case PAY_PARAM_STRING:
        value->parameter_choice_case =
            INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_STRING_PARAM;
        value->string_param = data_of(p->s);
        break;
    case PAY_PARAM_DOUBLE:
        value->parameter_choice_case =
            INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_DOUBLE_PARAM;
        value->double_param = p->d;
        break;
    }
    return entry;
}

static bool put_params(struct arena *a, const struct pay_param *params, uint32_t count,
                       proto_entry ***entries, size_t *n)
{
    if (count == 0)
        return true;
    proto_entry **list = arena_alloc(a, count * sizeof *list);
    for (uint32_t i = 0; list && i < count; i++) {
        list[i] = put_param(a, &params[i]);
        if (!list[i])
            return false;
    }
    *entries = list;
    *n = count;
    return list != NULL;
}

static bool put_strings(struct arena *a, const struct pay_tensor *t, proto_contents *c)
{
    c->n_bytes_contents = t->element_count;
    c->bytes_contents = arena_alloc(a, t->element_count * sizeof *c->bytes_contents);
    for (uint64_t i = 0; c->bytes_contents && i < t->element_count; i++)
        c->bytes_contents[i] = data_of(t->bytes[i]);
    return c->bytes_contents != NULL;
}

/* The elements of t as an array of four- or eight-byte numbers, aligned. */
static void *widened(struct arena *a, const struct pay_tensor *t)
{
    enum family family = family_of(t->type);
    size_t width = family == F_INT64 || family == F_UINT64 || family == F_FP64 ? 8 : 4;
    uint8_t *out = arena_alloc(a, t->element_count * width);
    if (!out)
        return NULL;
    if (width == pay_type_width(t->type)) {
        memcpy(out, t->packed.p, t->packed.n);
        return out;
    }
    for (uint64_t i = 0; i < t->element_count; i++) {
        if (family == F_FP32)
            pay_store_float(PAY_FP32, out + 4 * i, pay_tensor_number(t, i));
        else if (family == F_UINT)
            pay_store_int(PAY_UINT32, out + 4 * i, pay_tensor_int(t, i));
        else /* also the int that a bool is */
            pay_store_int(PAY_INT32, out + 4 * i, pay_tensor_int(t, i));
    }
    return out;
}

static bool put_contents(struct arena *a, const struct pay_tensor *t, proto_contents *c)
{
    size_t n = t->element_count;
    inference__infer_tensor_contents__init(c);
    if (n == 0)
        return true;
    if (t->type == PAY_BYTES)
        return put_strings(a, t, c);
    void *array = widened(a, t);
    if (!array)
        return false;
    switch (family_of(t->type)) {
    case F_BOOL:
        c->n_bool_contents = n;
        c->bool_contents = array;
        break;
    case F_INT:
        c->n_int_contents = n;
        c->int_contents = array;
        break;
    case F_INT64:
        c->n_int64_contents = n;
        c->int64_contents = array;
        break;
    case F_UINT:
        c->n_uint_contents = n;
        c->uint_contents = array;
        break;
    case F_UINT64:
        c->n_uint64_contents = n;
        c->uint64_contents = array;
        break;
    case F_FP32:
        c->n_fp32_contents = n;
        c->fp32_contents = array;
        break;
    default:
        c->n_fp64_contents = n;
        c->fp64_contents = array;
        break;
    }
    return true;
}

static bool put_raw(struct arena *a, const struct pay_tensor *t,
                    ProtobufCBinaryData *raw)
{
    *raw = data_of(t->packed);
    if (t->type != PAY_BYTES)
        return true;
    size_t n = 0;
    for (uint64_t i = 0; i < t->element_count; i++)
        n += 4 + t->bytes[i].n;
    uint8_t *out = arena_alloc(a, n);
    if (!out)
        return false;
    *raw = (ProtobufCBinaryData){.len = n, .data = out};
    for (uint64_t i = 0; i < t->element_count; i++) {
        uint32_t length = (uint32_t)t->bytes[i].n;
        memcpy(out, &length, 4);
        if (length > 0)
            memcpy(out + 4, t->bytes[i].p, length);
        out += 4 + length;
    }
    return true;
}

static proto_tensor *put_tensor(struct arena *a, const struct pay_tensor *t, bool raw)
{
    proto_tensor *to = arena_alloc(a, sizeof *to);
    int64_t *shape = arena_alloc(a, sizeof t->shape);
    proto_contents *contents = raw ? NULL : arena_alloc(a, sizeof *contents);
    if (!to || !shape || (!raw && !contents))
        return NULL;
    memcpy(shape, t->shape, sizeof t->shape);
    inference__infer_tensor__init(to);
    to->name = data_of(t->name);
    to->datatype = data_of(span_str(pay_type_names[t->type]));
    to->n_shape = t->rank;
    to->shape = shape;
    to->contents = contents;
    if (!put_params(a, t->params, t->param_count, &to->parameters, &to->n_parameters))
        return NULL;
    return raw || put_contents(a, t, contents) ? to : NULL;
}

static bool put_message(struct arena *a, const struct pay_message *m,
                        const struct proto_message *to)
{
    *to->model_name = data_of(m->model_name);
    *to->model_version = data_of(m->model_version);
    *to->id = data_of(m->id);
    if (!put_params(a, m->params, m->param_count, to->entries, to->entry_count))
        return false;
    if (m->tensor_count == 0)
        return true;
    proto_tensor **tensors = arena_alloc(a, m->tensor_count * sizeof(proto_tensor *));
    ProtobufCBinaryData *raw = arena_alloc(a, m->tensor_count * sizeof *raw);
    if (!tensors || !raw)
        return false;
    for (uint32_t i = 0; i < m->tensor_count; i++) {
        tensors[i] = put_tensor(a, &m->tensors[i], m->raw);
        if (!tensors[i] || (m->raw && !put_raw(a, &m->tensors[i], &raw[i])))
            return false;
    }
    *to->tensor_count = m->tensor_count;
    *to->tensors = tensors;
    if (m->raw) {
        *to->raw_count = m->tensor_count;
        *to->raw = raw;
    }
    return true;
}

static void pack(bool built, const ProtobufCMessage *message, struct buf *out)
{
    uint8_t *p =
        built ? buf_grow(out, protobuf_c_message_get_packed_size(message)) : NULL;
    if (p)
        protobuf_c_message_pack(message, p);
    else
        out->failed = true;
}

void v2_proto_request(const struct pay_message *m, struct buf *out)
{
    struct arena a = {0};
    Inference__ModelInferRequest r = INFERENCE__MODEL_INFER_REQUEST__INIT;
    struct proto_message to = of_request(&r);
    pack(put_message(&a, m, &to), &r.base, out);
    arena_done(&a);
}

void v2_proto_response(const struct pay_message *m, struct buf *out)
{
    struct arena a = {0};
    Inference__ModelInferResponse r = INFERENCE__MODEL_INFER_RESPONSE__INIT;
    struct proto_message to = of_response(&r);
    pack(put_message(&a, m, &to), &r.base, out);
    arena_done(&a);
}

/* --- renaming ---------------------------------------------------------------- */

static void put_text_field(struct buf *out, unsigned number, struct span text)
{
    if (text.n == 0)
        return;
    buf_varint(out, number << 3 | WIRE_BYTES);
    buf_varint(out, text.n);
    buf_span(out, text);
}

int v2_proto_rename(struct span request, struct span name, struct span id,
                    struct buf *out, struct err *e)
{
    struct cursor c = cursor_of(request);
    struct wire_field f;
    buf_reserve(out, request.n + name.n + id.n + 32);
    put_text_field(out, 1, name);
    put_text_field(out, 3, id);
    while (cursor_left(&c) > 0) {
        size_t from = cursor_offset(&c);
        if (!next_field(&c, &f))
            return malformed(from, e);
        if (f.number != 1 && f.number != 2 && (f.number != 3 || id.n == 0))
            buf_span(out, f.whole);
    }
    return 0;
}

int v2_proto_rename_front(struct span request, struct span name, struct buf *out,
                          struct span *rest, struct err *e)
{
    struct cursor c = cursor_of(request);
    struct wire_field f;
    size_t front = 0; /* up to the end of the last field that goes */
    while (cursor_left(&c) > 0) {
        size_t from = cursor_offset(&c);
        if (!next_field(&c, &f))
            return malformed(from, e);
        if (f.number == 1 || f.number == 2)
            front = cursor_offset(&c);
    }
    *rest = span_sub(request, front, request.n);
    return v2_proto_rename(span_sub(request, 0, front), name, (struct span){0}, out, e);
}

/* Whether a span is a ModelInferResponse by its top level: fields 1 to 6, each of
 * bytes; an empty one is. */
static bool is_response(struct span bytes)
{
    struct cursor c = cursor_of(bytes);
    struct wire_field f;
    while (cursor_left(&c) > 0)
        if (!next_field(&c, &f) || f.type != WIRE_BYTES || f.number > 6)
            return false;
    return true;
}

enum v2_stream v2_proto_unwrap(struct span message, struct span *response)
{
    struct cursor c = cursor_of(message);
    struct wire_field f;
    bool text = false, wrapped = false;
    *response = message;
    while (cursor_left(&c) > 0) {
        bool fits = next_field(&c, &f) && f.type == WIRE_BYTES &&
                    (f.number == 1 || (f.number == 2 && is_response(f.payload)));
        if (!fits) {
            *response = message;
            return V2_STREAM_BARE;
        }
        text = text || (f.number == 1 && f.payload.n > 0);
        wrapped = wrapped || f.number == 2;
        if (f.number == 2)
            *response = f.payload;
    }
    if (text)
        *response = (struct span){0};
    return text ? V2_STREAM_ERROR : wrapped ? V2_STREAM_WRAPPED : V2_STREAM_BARE;
}
