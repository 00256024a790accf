/*
 * v2_json.c - see v2_json.h.
 *
 * `data` may stand in front of `datatype` and `shape`, so a tensor is read in two
 * passes: the first checks the syntax of everything and remembers where the data is,
 * the second reads the data once it is known what it must be.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/payload/v2_json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "traces/base/jsonw.h"
#include "traces/payload/base64.h"
#include "traces/payload/json_scan.h"

#define NUMBER_TEXT_MAX 48

/* --- numbers as text --------------------------------------------------------- */

/* Decimal digits of m with the point `decimals` places from the right. */
static size_t put_fixed(char *out, bool negative, uint64_t m, int decimals)
{
    char digits[NUMBER_TEXT_MAX];
    int n = 0;
    size_t length = 0;
    while (m != 0 || n <= decimals) {
        digits[n++] = (char)('0' + m % 10);
        m /= 10;
    }
    if (negative)
        out[length++] = '-';
    while (n > 0) {
        if (n == decimals)
            out[length++] = '.';
        out[length++] = digits[--n];
    }
    return length;
}

static double whole_below(enum pay_type type)
{
    return type == PAY_FP64   ? 0x1p53
           : type == PAY_FP32 ? 0x1p24
           : type == PAY_FP16 ? 0x1p11
                              : 0x1p8;
}

/* The shortest text that reads back as v when it is read as a double and then rounded
 * to type, which is how servers read it. Not a number and infinite are null: JSON has
 * neither. */
static size_t float_text(enum pay_type type, double v, char out[NUMBER_TEXT_MAX])
{
    if (!isfinite(v))
        return (size_t)snprintf(out, NUMBER_TEXT_MAX, "null");
    if (v == 0)
        return (size_t)snprintf(out, NUMBER_TEXT_MAX, "%s", signbit(v) ? "-0.0" : "0");
    double magnitude = fabs(v);
    /* Usual sizes: below the point where a float steps by more than one, the fewest
     * decimals are the fewest digits. An integer divided by a power of ten is correctly
     * rounded as long as both are exact doubles, so one decimal more after the other is
     * tried. */
    if (magnitude >= 1e-5 && magnitude < whole_below(type)) {
        double power = 1;
        for (int decimals = 0; decimals <= 22; decimals++, power *= 10) {
            double m = nearbyint(magnitude * power);
            if (m > 0x1p53)
                break;
            if (pay_round(type, m / power) == magnitude)
                return put_fixed(out, v < 0, (uint64_t)m, decimals);
        }
    }
    for (int digits = 1; digits < 17; digits++) {
        int n = snprintf(out, NUMBER_TEXT_MAX, "%.*g", digits, v);
        if (pay_round(type, json_number_f64(span_of(out, (size_t)n))) == v)
            return (size_t)n;
    }
    return (size_t)snprintf(out, NUMBER_TEXT_MAX, "%.17g", v); /* tells any double */
}

static size_t element_text(const struct pay_tensor *t, uint64_t i,
                           char out[NUMBER_TEXT_MAX])
{
    if (pay_type_is_float(t->type))
        return float_text(t->type, pay_tensor_number(t, i), out);
    int64_t v = pay_tensor_int(t, i);
    if (t->type == PAY_BOOL)
        return (size_t)snprintf(out, NUMBER_TEXT_MAX, "%s", v ? "true" : "false");
    if (t->type == PAY_UINT64 || v >= 0)
        return put_fixed(out, false, (uint64_t)v, 0);
    return put_fixed(out, true, 0 - (uint64_t)v, 0);
}

/* --- encoding ---------------------------------------------------------------- */

static void put_string(struct buf *out, struct span s)
{
    struct jsonw w = {.out = out};
    jsonw_span(&w, s);
}

static void put_text_member(struct buf *out, const char *key, struct span s)
{
    buf_u8(out, '"');
    buf_str(out, key);
    buf_str(out, "\":");
    put_string(out, s);
}

static void put_param(struct buf *out, const struct pay_param *p)
{
    char text[NUMBER_TEXT_MAX];
    size_t n;
    put_string(out, p->name);
    buf_u8(out, ':');
    switch (p->kind) {
    case PAY_PARAM_BOOL:
        buf_str(out, p->b ? "true" : "false");
        break;
    case PAY_PARAM_INT:
        buf_fmt(out, "%lld", (long long)p->i);
        break;
    case PAY_PARAM_STRING:
        put_string(out, p->s);
        break;
    case PAY_PARAM_DOUBLE: /* keeps a point or an exponent: it must not read as an
                              integer */
        n = float_text(PAY_FP64, p->d, text);
        buf_add(out, text, n);
        if (isfinite(p->d) && !memchr(text, '.', n) && !memchr(text, 'e', n))
            buf_str(out, ".0");
        break;
    }
}

/* as_base64: content_type becomes "base64", whatever it was. */
static void put_params(struct buf *out, const struct pay_param *params, uint32_t count,
                       bool as_base64)
{
    bool first = true;
    buf_str(out, "\"parameters\":{");
    for (uint32_t i = 0; i < count; i++) {
        if (as_base64 && span_eq_str(params[i].name, "content_type"))
            continue;
        if (!first)
            buf_u8(out, ',');
        put_param(out, &params[i]);
        first = false;
    }
    if (as_base64)
        buf_fmt(out, "%s\"content_type\":\"base64\"", first ? "" : ",");
    buf_u8(out, '}');
}

static bool all_text(const struct pay_tensor *t)
{
    for (uint64_t i = 0; t->type == PAY_BYTES && i < t->element_count; i++)
        if (pay_utf8_fault(t->bytes[i]) != t->bytes[i].n)
            return false;
    return true;
}

static void put_strings(struct buf *out, const struct pay_tensor *t, bool base64)
{
    for (uint64_t i = 0; i < t->element_count; i++) {
        if (i > 0)
            buf_u8(out, ',');
        if (base64) {
            buf_u8(out, '"');
            base64_encode(t->bytes[i], out);
            buf_u8(out, '"');
        } else {
            put_string(out, t->bytes[i]);
        }
    }
}

static void put_numbers(struct buf *out, const struct pay_tensor *t)
{
    char text[NUMBER_TEXT_MAX + 1];
    size_t width = pay_type_width(t->type), n = 0;
    const uint8_t *at = t->packed.p;
    for (uint64_t i = 0; i < t->element_count; i++, at += width) {
        /* Runs of one value are usual in made-up payloads; their text is made once. */
        if (i == 0 || memcmp(at, at - width, width) != 0) {
            n = element_text(t, i, text);
            text[n] = ',';
        }
        buf_add(out, text, n + (i + 1 < t->element_count));
    }
}

void v2_json_data(const struct pay_tensor *t, struct buf *out)
{
    buf_u8(out, '[');
    if (t->type == PAY_BYTES)
        put_strings(out, t, !all_text(t));
    else
        put_numbers(out, t);
    buf_u8(out, ']');
}

void v2_json_shape(const struct pay_tensor *t, struct buf *out)
{
    buf_u8(out, '[');
    for (uint32_t i = 0; i < t->rank; i++)
        buf_fmt(out, i > 0 ? ",%lld" : "%lld", (long long)t->shape[i]);
    buf_u8(out, ']');
}

static void put_tensor(struct buf *out, const struct pay_tensor *t)
{
    bool as_base64 = !all_text(t);
    buf_u8(out, '{');
    put_text_member(out, "name", t->name);
    buf_str(out, ",\"shape\":");
    v2_json_shape(t, out);
    buf_fmt(out, ",\"datatype\":\"%s\",", pay_type_names[t->type]);
    if (t->param_count > 0 || as_base64) {
        put_params(out, t->params, t->param_count, as_base64);
        buf_u8(out, ',');
    }
    buf_str(out, "\"data\":");
    v2_json_data(t, out);
    buf_u8(out, '}');
}

static void put_rest(const struct pay_message *m, const char *tensors, struct buf *out)
{
    if (m->id.n > 0) {
        put_text_member(out, "id", m->id);
        buf_u8(out, ',');
    }
    if (m->param_count > 0) {
        put_params(out, m->params, m->param_count, false);
        buf_u8(out, ',');
    }
    buf_fmt(out, "\"%s\":[", tensors);
    for (uint32_t i = 0; i < m->tensor_count; i++) {
        if (i > 0)
            buf_u8(out, ',');
        put_tensor(out, &m->tensors[i]);
    }
    buf_str(out, "]}");
}

void v2_json_request(const struct pay_message *m, struct buf *out)
{
    buf_u8(out, '{');
    put_rest(m, "inputs", out);
}

void v2_json_response(const struct pay_message *m, struct buf *out)
{
    buf_u8(out, '{');
    put_text_member(out, "model_name", m->model_name);
    buf_u8(out, ',');
    if (m->model_version.n > 0) {
        put_text_member(out, "model_version", m->model_version);
        buf_u8(out, ',');
    }
    put_rest(m, "outputs", out);
}

/* --- decoding ---------------------------------------------------------------- */

/* Room for one element more in an arena array that doubles: the array, maybe moved.
 * NULL: out of memory, which is recorded. */
static void *grown(struct json_scan *s, void *array, uint32_t count, size_t element)
{
    if (count != 0 && (count < 4 || (count & (count - 1)) != 0))
        return array;
    void *bigger = arena_alloc(s->arena, element * (count < 4 ? 4 : 2 * (size_t)count));
    if (!bigger)
        json_scan_fail(s, ERR_NOMEM, json_scan_at(s), "out of memory");
    else if (count > 0)
        memcpy(bigger, array, element * count);
    return bigger;
}

/* Takes null, or returns false. */
static bool take_null(struct json_scan *s)
{
    return json_scan_peek(s) == JSON_KIND_NULL && json_scan_skip(s);
}

static void parse_param_value(struct json_scan *s, struct pay_param *p)
{
    struct span digits;
    switch (json_scan_peek(s)) {
    case JSON_KIND_TRUE:
    case JSON_KIND_FALSE:
        p->kind = PAY_PARAM_BOOL;
        json_scan_bool(s, &p->b);
        break;
    case JSON_KIND_STRING:
        p->kind = PAY_PARAM_STRING;
        json_scan_string(s, &p->s);
        break;
    case JSON_KIND_NUMBER:
        if (!json_scan_number(s, &digits))
            break;
        bool whole = !memchr(digits.p, '.', digits.n) &&
                     !memchr(digits.p, 'e', digits.n) &&
                     !memchr(digits.p, 'E', digits.n);
        p->kind = PAY_PARAM_INT;
        if (!whole || !json_number_i64(digits, &p->i)) {
            p->kind = PAY_PARAM_DOUBLE;
            p->d = json_number_f64(digits);
            if (!isfinite(p->d))
                json_scan_fail(s, ERR_FORMAT, json_scan_at(s) - digits.n,
                               "a parameter is out of range");
        }
        break;
    default:
        json_scan_fail(s, ERR_FORMAT, json_scan_at(s),
                       "a parameter is neither boolean, number nor string");
    }
}

/* nested: values that are objects are skipped, not refused. */
static void parse_params(struct json_scan *s, bool nested,
                         const struct pay_param **params, uint32_t *param_count)
{
    struct pay_param *list = NULL;
    uint32_t count = 0;
    struct span key;
    if (take_null(s) || !json_scan_open(s, JSON_KIND_OBJECT))
        return;
    while (json_scan_member(s, &key)) {
        if (take_null(s))
            continue;
        if (nested && json_scan_peek(s) == JSON_KIND_OBJECT) {
            json_scan_skip(s);
            continue;
        }
        if (count == PAY_PARAMS_MAX) {
            json_scan_fail(s, ERR_LIMIT, json_scan_at(s), "more than %d parameters",
                           PAY_PARAMS_MAX);
            return;
        }
        list = grown(s, list, count, sizeof *list);
        if (!list)
            return;
        list[count] = (struct pay_param){.name = key};
        parse_param_value(s, &list[count++]);
    }
    *params = list;
    *param_count = count;
}

static void parse_shape(struct json_scan *s, struct pay_tensor *t)
{
    struct span digits;
    size_t at = json_scan_at(s);
    if (!json_scan_open(s, JSON_KIND_ARRAY))
        return;
    for (t->rank = 0; json_scan_element(s); t->rank++) {
        if (t->rank == PAY_RANK_MAX) {
            json_scan_fail(s, ERR_LIMIT, json_scan_at(s), "more than %d dimensions",
                           PAY_RANK_MAX);
            return;
        }
        if (!json_scan_number(s, &digits))
            return;
        if (!json_number_i64(digits, &t->shape[t->rank])) {
            json_scan_fail(s, ERR_FORMAT, json_scan_at(s) - digits.n,
                           "a dimension is not a whole number");
            return;
        }
    }
    struct err inner = {0};
    int rc =
        s->rc ? s->rc : pay_shape_count(t->shape, t->rank, &t->element_count, &inner);
    if (rc < 0)
        json_scan_fail(s, (enum err_code)rc, at, "%s", inner.text);
}

static void parse_number(struct json_scan *s, enum pay_type type, uint8_t *at)
{
    struct span digits = {0};
    int64_t v = 0;
    uint64_t u = 0;
    bool fits;
    if (pay_type_is_float(type) && json_scan_peek(s) == JSON_KIND_NULL) {
        json_scan_skip(s);
        pay_store_float(type, at, (double)NAN);
        return;
    }
    if (!json_scan_number(s, &digits))
        return;
    if (pay_type_is_float(type)) {
        double d = json_number_f64(digits);
        fits = isfinite(pay_round(type, d));
        if (fits)
            pay_store_float(type, at, d);
    } else if (type == PAY_UINT64) {
        fits = json_number_u64(digits, &u);
        memcpy(at, &u, sizeof u);
    } else {
        fits = json_number_i64(digits, &v) && pay_int_fits(type, v);
        if (fits)
            pay_store_int(type, at, v);
    }
    if (!fits)
        json_scan_fail(s, ERR_FORMAT, json_scan_at(s) - digits.n, "%.*s is no %s",
                       (int)(digits.n < 40 ? digits.n : 40), (const char *)digits.p,
                       pay_type_names[type]);
}

/* Reads `data`, flat or nested in any way: its elements in order must be as many as the
 * shape says. */
static void parse_data(struct json_scan *s, struct pay_tensor *t)
{
    size_t at = json_scan_at(s), width = pay_type_width(t->type);
    size_t size = width ? width : sizeof(struct span);
    /* Believe the shape only as far as the text can bear it: "[", a character and a
     * comma or bracket for each element. */
    if (t->element_count > (size_t)(s->end - s->p) / 2) {
        json_scan_fail(s, ERR_FORMAT, at, "data has fewer than %llu elements",
                       (unsigned long long)t->element_count);
        return;
    }
    uint8_t *out = arena_alloc(s->arena, t->element_count * size);
    if (!out) {
        json_scan_fail(s, ERR_NOMEM, at, "out of memory for %llu elements",
                       (unsigned long long)t->element_count);
        return;
    }
    bool value = false;
    uint64_t i = 0;
    int outer = s->depth;
    if (!json_scan_open(s, JSON_KIND_ARRAY))
        return;
    while (s->rc == 0 && s->depth > outer) {
        if (!json_scan_element(s))
            continue;
        if (json_scan_peek(s) == JSON_KIND_ARRAY) {
            json_scan_open(s, JSON_KIND_ARRAY);
        } else if (i == t->element_count) {
            json_scan_fail(s, ERR_FORMAT, json_scan_at(s),
                           "data has more than %llu elements", (unsigned long long)i);
        } else if (t->type == PAY_BYTES) {
            json_scan_string(s, &((struct span *)(void *)out)[i++]);
        } else if (t->type == PAY_BOOL) {
            json_scan_bool(s, &value);
            out[i++] = value;
        } else {
            parse_number(s, t->type, out + i++ * width);
        }
    }
    if (s->rc == 0 && i < t->element_count)
        json_scan_fail(s, ERR_FORMAT, at, "data has %llu elements, its shape %llu",
                       (unsigned long long)i, (unsigned long long)t->element_count);
    if (t->type == PAY_BYTES)
        t->bytes = (const struct span *)(const void *)out;
    else
        t->packed = span_of(out, t->element_count * width);
}

enum { IN_NAME, IN_DATATYPE, IN_SHAPE, IN_DATA, IN_PARAMETERS };
static const char *const tensor_members[] = {"name", "datatype",   "shape",
                                             "data", "parameters", NULL};

/* Index of key in a NULL-terminated list, noted in *seen; -1: not in it, or there
 * already, which is recorded. */
static int known_member(struct json_scan *s, struct span key, const char *const *names,
                        unsigned *seen)
{
    for (int i = 0; names[i]; i++) {
        if (!span_eq_str(key, names[i]))
            continue;
        if (*seen & 1u << i) {
            json_scan_fail(s, ERR_FORMAT, json_scan_at(s), "member '%s' comes twice",
                           names[i]);
            return -1;
        }
        *seen |= 1u << i;
        return i;
    }
    return -1;
}

static void parse_datatype(struct json_scan *s, struct pay_tensor *t)
{
    struct span name;
    json_scan_peek(s); /* moves to the value */
    size_t at = json_scan_at(s);
    if (json_scan_string(s, &name) && pay_type_of(name, &t->type) < 0)
        json_scan_fail(s, ERR_FORMAT, at, "unknown datatype '%.*s'",
                       (int)(name.n < 40 ? name.n : 40), (const char *)name.p);
}

static void parse_tensor(struct json_scan *s, struct pay_tensor *t)
{
    struct json_scan data = *s; /* where the data begins */
    unsigned seen = 0;
    struct span key;
    json_scan_peek(s);
    size_t at = json_scan_at(s);
    *t = (struct pay_tensor){0};
    if (!json_scan_open(s, JSON_KIND_OBJECT))
        return;
    while (json_scan_member(s, &key)) {
        switch (known_member(s, key, tensor_members, &seen)) {
        case IN_NAME:
            json_scan_string(s, &t->name);
            break;
        case IN_DATATYPE:
            parse_datatype(s, t);
            break;
        case IN_SHAPE:
            parse_shape(s, t);
            break;
        case IN_PARAMETERS:
            parse_params(s, false, &t->params, &t->param_count);
            break;
        case IN_DATA:
            json_scan_peek(s);
            data = *s;
            json_scan_skip(s);
            data.end = s->p;
            break;
        default:
            json_scan_skip(s);
        }
    }
    if (s->rc != 0)
        return;
    for (int i = 0; i < IN_PARAMETERS; i++) {
        if (!(seen & 1u << i)) {
            json_scan_fail(s, ERR_FORMAT, at, "tensor without '%s'", tensor_members[i]);
            return;
        }
    }
    parse_data(&data, t);
    s->rc = data.rc;
}

static void parse_tensors(struct json_scan *s, struct pay_message *m)
{
    struct pay_tensor *list = NULL;
    uint32_t count = 0;
    if (!json_scan_open(s, JSON_KIND_ARRAY))
        return;
    while (json_scan_element(s)) {
        if (count == PAY_TENSORS_MAX) {
            json_scan_fail(s, ERR_LIMIT, json_scan_at(s), "more than %d tensors",
                           PAY_TENSORS_MAX);
            return;
        }
        list = grown(s, list, count, sizeof *list);
        if (!list)
            return;
        parse_tensor(s, &list[count++]);
    }
    m->tensors = list;
    m->tensor_count = count;
}

static void parse_text(struct json_scan *s, struct span *text)
{
    if (!take_null(s))
        json_scan_string(s, text);
}

/* members: the names below, with the list of tensors first; an answer has all of them.
 */
enum {
    IN_TENSORS,
    IN_ID,
    IN_MESSAGE_PARAMETERS,
    IN_MODEL_NAME,
    IN_MODEL_VERSION,
    IN_ERROR
};
static const char *const request_members[] = {"inputs", "id", "parameters", NULL};
static const char *const response_members[] = {
    "outputs", "id", "parameters", "model_name", "model_version", "error", NULL};

static int parse_message(struct span json, const char *const *members, struct arena *a,
                         struct pay_message *m, struct err *e)
{
    struct json_scan s;
    struct span key, error = {0};
    unsigned seen = 0;
    *m = (struct pay_message){0};
    if (json.n > V2_JSON_MAX)
        return err_set(e, ERR_LIMIT, "a message of %zu bytes (limit %u)", json.n,
                       V2_JSON_MAX);
    json_scan_init(&s, json, a, e);
    if (!json_scan_open(&s, JSON_KIND_OBJECT))
        return s.rc;
    while (json_scan_member(&s, &key)) {
        switch (known_member(&s, key, members, &seen)) {
        case IN_TENSORS:
            parse_tensors(&s, m);
            break;
        case IN_ID:
            parse_text(&s, &m->id);
            break;
        case IN_MESSAGE_PARAMETERS:
            /* MLServer gives the header fields of an event as an object. */
            parse_params(&s, members == response_members, &m->params, &m->param_count);
            break;
        case IN_MODEL_NAME:
            parse_text(&s, &m->model_name);
            break;
        case IN_MODEL_VERSION:
            parse_text(&s, &m->model_version);
            break;
        case IN_ERROR:
            parse_text(&s, &error);
            break;
        default:
            json_scan_skip(&s);
        }
    }
    if (json_scan_end(&s) == 0 && !(seen & 1u << IN_TENSORS)) {
        if (error.n > 0)
            return err_set(e, ERR_FORMAT, "an error, not an answer: %.*s",
                           (int)(error.n < 160 ? error.n : 160), (const char *)error.p);
        json_scan_fail(&s, ERR_FORMAT, 0, "no '%s' in the message", members[0]);
    }
    return s.rc;
}

int v2_json_parse_request(struct span json, struct arena *a, struct pay_message *m,
                          struct err *e)
{
    return parse_message(json, request_members, a, m, e);
}

int v2_json_parse_response(struct span json, struct arena *a, struct pay_message *m,
                           struct err *e)
{
    return parse_message(json, response_members, a, m, e);
}
