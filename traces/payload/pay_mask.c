/*
 * pay_mask.c - see pay_mask.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/payload/pay_mask.h"

#include <string.h>

#include "traces/payload/json_scan.h"
#include "traces/payload/v2_json.h"
#include "traces/payload/v2_proto.h"

int pay_mask_parse(struct span text, struct pay_mask *m, struct err *e)
{
    *m = (struct pay_mask){0};
    struct span left = text;
    for (;;) {
        size_t dot = span_find(left, '.', 0);
        if (dot == 0)
            return err_set(e, ERR_USAGE, "'%.*s' is not a path of words between dots",
                           SPAN_ARG(text));
        if (m->count == PAY_MASK_WORDS_MAX)
            return err_set(e, ERR_USAGE, "'%.*s': more than %u words", SPAN_ARG(text),
                           PAY_MASK_WORDS_MAX);
        m->words[m->count++] = span_sub(left, 0, dot);
        if (dot == left.n)
            return 0;
        left = span_sub(left, dot + 1, left.n);
    }
}

enum op_protocol pay_mask_form(enum op_protocol protocol, struct span body)
{
    if (protocol != OP_KAFKA)
        return protocol;
    return body.n && body.p[0] == '{' ? OP_REST : OP_GRPC;
}

static bool any_word(struct span word)
{
    return span_eq_str(word, "*");
}

/* --- JSON ------------------------------------------------------------------------- */

struct json_mask {
    const struct pay_mask *masks;
    struct json_scan scan;
    struct span text;
    size_t copied; /* bytes of text that out has, changed or not */
    struct buf *out;
};

static void put_letters(struct buf *out, size_t n)
{
    uint8_t *p = buf_grow(out, n);
    if (p)
        memset(p, 'x', n);
}

/* Takes one value and writes what stands for it. */
static void put_masked(struct json_scan *s, struct buf *out)
{
    struct span text;
    const char *comma = "";
    bool truth;
    switch (json_scan_peek(s)) {
    case JSON_KIND_OBJECT:
        buf_u8(out, '{');
        json_scan_open(s, JSON_KIND_OBJECT);
        for (size_t at = json_scan_at(s); json_scan_member(s, &text);
             at = json_scan_at(s)) {
            /* The key as it was spelled, with its comma and colon. */
            buf_add(out, s->start + at, json_scan_at(s) - at);
            put_masked(s, out);
        }
        buf_u8(out, '}');
        break;
    case JSON_KIND_ARRAY:
        buf_u8(out, '[');
        json_scan_open(s, JSON_KIND_ARRAY);
        for (; json_scan_element(s); comma = ",") {
            buf_str(out, comma);
            put_masked(s, out);
        }
        buf_u8(out, ']');
        break;
    case JSON_KIND_STRING:
        if (json_scan_string(s, &text)) {
            buf_u8(out, '"');
            put_letters(out, text.n);
            buf_u8(out, '"');
        }
        break;
    case JSON_KIND_NUMBER:
        if (json_scan_number(s, &text))
            buf_u8(out, '0');
        break;
    case JSON_KIND_TRUE:
    case JSON_KIND_FALSE:
        if (json_scan_bool(s, &truth))
            buf_str(out, "false");
        break;
    default:
        json_scan_skip(s);
        buf_str(out, "null");
    }
}

/* The member "name" of the object that comes, or nothing; the scan does not move. */
static struct span own_name(const struct json_scan *at)
{
    struct json_scan s = *at;
    struct err ignored = {0};
    struct span key, name = {0};
    s.e = &ignored;
    if (json_scan_peek(&s) != JSON_KIND_OBJECT || !json_scan_open(&s, JSON_KIND_OBJECT))
        return name;
    while (json_scan_member(&s, &key)) {
        if (span_eq_str(key, "name") && json_scan_peek(&s) == JSON_KIND_STRING) {
            json_scan_string(&s, &name);
            return name;
        }
        json_scan_skip(&s);
    }
    return name;
}

static void walk(struct json_mask *m, uint32_t active, uint32_t depth);

/* The value that comes, below the masks of `active` whose word at depth matched. */
static void below(struct json_mask *m, uint32_t matched, uint32_t depth)
{
    for (uint32_t i = 0; i < PAY_MASKS_MAX; i++) {
        if (!(matched & (1u << i)) || m->masks[i].count != depth + 1)
            continue;
        if (json_scan_peek(&m->scan) == JSON_KIND_BAD)
            return;
        size_t at = json_scan_at(&m->scan);
        buf_add(m->out, m->text.p + m->copied, at - m->copied);
        put_masked(&m->scan, m->out);
        m->copied = json_scan_at(&m->scan);
        return;
    }
    if (matched)
        walk(m, matched, depth + 1);
    else
        json_scan_skip(&m->scan);
}

static uint32_t matching_key(const struct json_mask *m, uint32_t active, uint32_t depth,
                             struct span key)
{
    uint32_t matched = 0;
    for (uint32_t i = 0; i < PAY_MASKS_MAX; i++)
        if ((active & (1u << i)) && (any_word(m->masks[i].words[depth]) ||
                                     span_eq(m->masks[i].words[depth], key)))
            matched |= 1u << i;
    return matched;
}

static uint32_t matching_element(const struct json_mask *m, uint32_t active,
                                 uint32_t depth, uint64_t index)
{
    uint32_t matched = 0;
    struct span name = {0};
    bool looked = false;
    for (uint32_t i = 0; i < PAY_MASKS_MAX; i++) {
        if (!(active & (1u << i)))
            continue;
        struct span word = m->masks[i].words[depth];
        uint64_t number;
        bool hit = any_word(word) || (span_u64(word, &number) && number == index);
        if (!hit && !looked) {
            name = own_name(&m->scan);
            looked = true;
        }
        if (hit || (name.n > 0 && span_eq(word, name)))
            matched |= 1u << i;
    }
    return matched;
}

/* Nesting is bounded by the scanner's own limit and by the masks' words. */
static void walk(struct json_mask *m, uint32_t active, uint32_t depth)
{
    struct span key;
    uint64_t index = 0;
    switch (json_scan_peek(&m->scan)) {
    case JSON_KIND_OBJECT:
        json_scan_open(&m->scan, JSON_KIND_OBJECT);
        while (json_scan_member(&m->scan, &key))
            below(m, matching_key(m, active, depth, key), depth);
        break;
    case JSON_KIND_ARRAY:
        json_scan_open(&m->scan, JSON_KIND_ARRAY);
        for (; json_scan_element(&m->scan); index++)
            below(m, matching_element(m, active, depth, index), depth);
        break;
    default:
        json_scan_skip(&m->scan);
    }
}

int pay_mask_json(const struct pay_mask *masks, size_t n, struct span json,
                  struct arena *a, struct buf *out, struct err *e)
{
    struct json_mask m = {.masks = masks, .text = json, .out = out};
    json_scan_init(&m.scan, json, a, e);
    walk(&m, n >= PAY_MASKS_MAX ? UINT32_MAX : (1u << n) - 1, 0);
    int rc = json_scan_end(&m.scan);
    if (rc < 0)
        return rc;
    buf_add(out, json.p + m.copied, json.n - m.copied);
    return buf_check(out, e);
}

/* --- decoded messages ------------------------------------------------------------- */

/* What is taken out of a decoded message; masks NULL: all that shape does not keep. */
struct taking {
    const struct pay_mask *masks;
    size_t n;
    struct arena *a;
    bool failed; /* out of memory */
};

/* True when a mask names exactly this place, or something above it. */
static bool taken(const struct taking *t, const struct span *place, uint32_t words,
                  uint64_t element)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct pay_mask *m = &t->masks[i];
        bool hit = m->count <= words;
        for (uint32_t w = 0; hit && w < m->count; w++) {
            uint64_t number;
            hit = any_word(m->words[w]) || span_eq(m->words[w], place[w]) ||
                  (w == 1 && element != UINT64_MAX && span_u64(m->words[w], &number) &&
                   number == element);
        }
        if (hit)
            return true;
    }
    return false;
}

static struct span letters(struct taking *t, size_t n)
{
    uint8_t *p = arena_alloc(t->a, n ? n : 1);
    if (!p) {
        t->failed = true;
        return (struct span){0};
    }
    memset(p, 'x', n);
    return span_of(p, n);
}

static const struct pay_param *take_params(struct taking *t,
                                           const struct pay_param *params,
                                           uint32_t count, const struct span *place,
                                           uint32_t words, uint64_t element)
{
    struct pay_param *copy = arena_alloc(t->a, sizeof *copy * (count ? count : 1));
    if (!copy) {
        t->failed = true;
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct span full[PAY_MASK_WORDS_MAX];
        copy[i] = params[i];
        for (uint32_t w = 0; w < words; w++)
            full[w] = place[w];
        full[words] = SPAN_LIT("parameters");
        full[words + 1] = params[i].name;
        bool out = t->masks ? taken(t, full, words + 2, element)
                            : !span_eq_str(params[i].name, "content_type");
        if (!out)
            continue;
        copy[i].b = false;
        copy[i].i = 0;
        copy[i].d = 0;
        copy[i].s = letters(t, params[i].s.n);
    }
    return copy;
}

static void take_elements(struct taking *t, struct pay_tensor *tensor)
{
    if (tensor->type == PAY_BYTES) {
        struct span *v = arena_alloc(
            t->a, sizeof *v * (size_t)(tensor->element_count + !tensor->element_count));
        for (uint64_t i = 0; v && i < tensor->element_count; i++)
            v[i] = letters(t, tensor->bytes[i].n);
        tensor->bytes = v;
        t->failed |= v == NULL;
        return;
    }
    uint8_t *zeros = arena_zalloc(t->a, tensor->packed.n ? tensor->packed.n : 1);
    t->failed |= zeros == NULL;
    if (zeros)
        tensor->packed.p = zeros;
}

static void take_tensor(struct taking *t, struct pay_tensor *tensor, struct span list,
                        uint64_t element)
{
    struct span place[3] = {list, tensor->name, SPAN_LIT("data")};
    if (!t->masks || taken(t, place, 3, element))
        take_elements(t, tensor);
    tensor->params =
        take_params(t, tensor->params, tensor->param_count, place, 2, element);
}

static int take(struct taking *t, struct pay_message *m, bool answer, struct err *e)
{
    struct span id = SPAN_LIT("id");
    struct span list = answer ? SPAN_LIT("outputs") : SPAN_LIT("inputs");
    if (m->id.n > 0 && (!t->masks || taken(t, &id, 1, UINT64_MAX)))
        m->id = letters(t, m->id.n);
    m->params = take_params(t, m->params, m->param_count, NULL, 0, UINT64_MAX);
    struct pay_tensor *tensors =
        arena_alloc(t->a, sizeof *tensors * (m->tensor_count + !m->tensor_count));
    if (tensors && m->tensor_count > 0)
        memcpy(tensors, m->tensors, sizeof *tensors * m->tensor_count);
    for (uint32_t i = 0; tensors && i < m->tensor_count; i++)
        take_tensor(t, &tensors[i], list, i);
    m->tensors = tensors;
    if (t->failed || !tensors)
        return err_set(e, ERR_NOMEM, "out of memory for a message");
    return 0;
}

int pay_mask_proto(const struct pay_mask *masks, size_t n, bool answer,
                   struct span message, struct arena *a, struct buf *out, struct err *e)
{
    struct pay_message m;
    struct taking t = {.masks = masks, .n = n, .a = a};
    int rc = answer ? v2_proto_parse_response(message, a, &m, e)
                    : v2_proto_parse_request(message, a, &m, e);
    if (rc == 0)
        rc = take(&t, &m, answer, e);
    if (rc < 0)
        return rc;
    if (answer)
        v2_proto_response(&m, out);
    else
        v2_proto_request(&m, out);
    return buf_check(out, e);
}

int pay_mask_shape(enum op_protocol protocol, bool answer, struct span message,
                   struct arena *a, struct buf *out, struct err *e)
{
    if (protocol != OP_REST)
        return pay_mask_proto(NULL, 0, answer, message, a, out, e);
    struct pay_message m;
    struct taking t = {.a = a};
    size_t start = out->n;
    int rc = answer ? v2_json_parse_response(message, a, &m, e)
                    : v2_json_parse_request(message, a, &m, e);
    if (rc == 0)
        rc = take(&t, &m, answer, e);
    if (rc < 0)
        return rc;
    if (answer)
        v2_json_response(&m, out);
    else
        v2_json_request(&m, out);
    size_t written = out->n - start;
    if (written < message.n) {
        uint8_t *blanks = buf_grow(out, message.n - written);
        if (blanks)
            memset(blanks, ' ', message.n - written);
    }
    return buf_check(out, e);
}
