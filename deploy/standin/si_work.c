/* si_work.c - see si_work.h. SPDX-License-Identifier: Apache-2.0 */
#include "deploy/standin/si_work.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "traces/base/jsonw.h"
#include "traces/base/rng.h"
#include "traces/payload/base64.h"
#include "traces/payload/v2_json.h"
#include "traces/payload/v2_proto.h"

#define SLOTS        2048u
#define KEEP_MAX     (256u << 10) /* bytes of one remembered result */
#define KEEP_ALL_MAX (64u << 20)  /* bytes of all of them */

struct slot {
    uint64_t key[2];
    struct si_work work; /* spans point into bytes */
    uint8_t *bytes;
    size_t n;
};

struct si_works {
    struct slot slots[SLOTS];
    size_t kept;
    struct arena scratch;
    struct buf out;
};

struct si_works *si_works_new(void)
{
    return calloc(1, sizeof(struct si_works));
}

void si_works_free(struct si_works *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        free(w->slots[i].bytes);
    arena_done(&w->scratch);
    buf_done(&w->out);
    free(w);
}

static bool is_triton(const struct model_type *type)
{
    return strcmp(type->server, "triton") == 0;
}

/* --- encoding outputs ---------------------------------------------------------- */

/* The sklearn runtime marks its tensors so; seen of iris. */
static const struct pay_param np_param = {.name = {(const uint8_t *)"content_type", 12},
                                          .kind = PAY_PARAM_STRING,
                                          .s = {(const uint8_t *)"np", 2}};

static int mark_outputs(const struct model_type *type, struct arena *a,
                        struct pay_message *m)
{
    if (strcmp(type->name, "iris") != 0)
        return 0;
    struct pay_tensor *own = arena_alloc(a, m->tensor_count * sizeof *own);
    if (!own)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < m->tensor_count; i++) {
        own[i] = m->tensors[i];
        own[i].params = &np_param;
        own[i].param_count = 1;
    }
    m->tensors = own;
    return 0;
}

static void put_params(struct jsonw *w, const struct pay_tensor *t)
{
    jsonw_key(w, "parameters");
    jsonw_object(w);
    for (uint32_t i = 0; i < t->param_count; i++) {
        const struct pay_param *p = &t->params[i];
        char name[64];
        size_t n = p->name.n < sizeof name ? p->name.n : sizeof name - 1;
        memcpy(name, p->name.p, n);
        name[n] = 0;
        jsonw_key(w, name);
        switch (p->kind) {
        case PAY_PARAM_BOOL:
            jsonw_bool(w, p->b);
            break;
        case PAY_PARAM_INT:
            jsonw_i64(w, p->i);
            break;
        case PAY_PARAM_DOUBLE:
            jsonw_f64(w, p->d);
            break;
        case PAY_PARAM_STRING:
            jsonw_span(w, p->s);
            break;
        }
    }
    jsonw_end(w);
}

/* The gateway writes BYTES as base64 (a string content type would be written as text,
 * but no model here sets one). */
static void put_base64_data(struct jsonw *w, const struct pay_tensor *t)
{
    jsonw_array(w);
    struct buf text = {0};
    for (uint64_t i = 0; i < t->element_count; i++) {
        buf_reset(&text);
        base64_encode(t->bytes[i], &text);
        jsonw_span(w, buf_view(&text));
    }
    buf_done(&text);
    jsonw_end(w);
}

static void put_data(struct jsonw *w, const struct pay_tensor *t,
                     enum si_dialect dialect)
{
    jsonw_key(w, "data");
    if (dialect == SI_JSON_GATEWAY && t->type == PAY_BYTES) {
        put_base64_data(w, t);
        return;
    }
    struct buf data = {0};
    v2_json_data(t, &data);
    jsonw_raw(w, buf_view(&data));
    buf_done(&data);
}

static void put_json_tensor(struct jsonw *w, const struct pay_tensor *t,
                            enum si_dialect dialect)
{
    struct buf shape = {0};
    v2_json_shape(t, &shape);
    jsonw_object(w);
    if (dialect == SI_JSON_GATEWAY)
        put_data(w, t, dialect);
    jsonw_key(w, "name");
    jsonw_span(w, t->name);
    if (dialect == SI_JSON_TRITON)
        jsonw_key_str(w, "datatype", pay_type_names[t->type]);
    jsonw_key(w, "shape");
    jsonw_raw(w, buf_view(&shape));
    if (dialect != SI_JSON_TRITON)
        jsonw_key_str(w, "datatype", pay_type_names[t->type]);
    if (t->param_count)
        put_params(w, t);
    if (dialect != SI_JSON_GATEWAY)
        put_data(w, t, dialect);
    jsonw_end(w);
    buf_done(&shape);
}

static void put_outputs(const struct pay_message *m, enum si_dialect dialect,
                        struct buf *out)
{
    if (dialect == SI_PROTO) {
        struct pay_message outputs = {
            .tensors = m->tensors, .tensor_count = m->tensor_count, .raw = m->raw};
        v2_proto_response(&outputs, out);
        return;
    }
    struct jsonw w = {.out = out};
    jsonw_array(&w);
    for (uint32_t i = 0; i < m->tensor_count; i++)
        put_json_tensor(&w, &m->tensors[i], dialect);
    jsonw_end(&w);
}

/* --- the gateway's own reading of JSON ----------------------------------------- */

/* Whether an element of `data` is of the kind that the datatype's Go type asserts. */
static bool value_fits(const json_t *v, enum pay_type type)
{
    if (type == PAY_BOOL)
        return json_is_boolean(v);
    if (type == PAY_BYTES)
        return json_is_string(v);
    return json_is_number(v);
}

static bool all_fit(const json_t *data, enum pay_type type, uint64_t *count)
{
    size_t i;
    json_t *v;
    json_array_foreach(data, i, v)
    {
        if (json_is_array(v)) {
            if (!all_fit(v, type, count))
                return false;
        } else if (++*count && !value_fits(v, type)) {
            return false;
        }
    }
    return true;
}

/* A panic: a value of the wrong kind, or more elements than were allocated, which for
 * BYTES is only the first dimension. */
static bool tensor_panics(const json_t *input)
{
    const json_t *data = json_object_get(input, "data");
    const json_t *shape = json_object_get(input, "shape");
    const char *datatype = json_string_value(json_object_get(input, "datatype"));
    enum pay_type type;
    if (!datatype || pay_type_of(span_str(datatype), &type) < 0 ||
        !json_is_array(data) || !json_is_array(shape))
        return false;
    double allocated = 1;
    for (size_t i = 0; i < json_array_size(shape); i++) {
        allocated *= (double)json_integer_value(json_array_get(shape, i));
        if (type == PAY_BYTES)
            break;
    }
    uint64_t count = 0;
    return !all_fit(data, type, &count) || (double)count > allocated;
}

static bool is_json(struct span body)
{
    json_t *root = json_loadb((const char *)body.p, body.n, 0, NULL);
    bool is = root != NULL;
    json_decref(root);
    return is;
}

static bool gateway_panics(struct span body)
{
    json_t *root = json_loadb((const char *)body.p, body.n, 0, NULL);
    bool panics = false;
    size_t i;
    json_t *input;
    json_array_foreach(json_object_get(root, "inputs"), i, input)
    {
        panics = panics || tensor_panics(input);
    }
    json_decref(root);
    return panics;
}

/* --- running ------------------------------------------------------------------- */

static int decode(enum si_dialect dialect, struct span body, struct arena *a,
                  struct pay_message *m, struct err *e)
{
    return dialect == SI_PROTO ? v2_proto_parse_request(body, a, m, e)
                               : v2_json_parse_request(body, a, m, e);
}

/* The outputs of one step as the inputs of the next, under that type's names. */
static int hand_on(const struct model_type *type, struct arena *a,
                   struct pay_message *m, struct err *e)
{
    if (m->tensor_count < type->input_count)
        return err_set(e, ERR_FORMAT, "expected %u tensors, got %u", type->input_count,
                       m->tensor_count);
    struct pay_tensor *own = arena_alloc(a, type->input_count * sizeof *own);
    if (!own)
        return err_set(e, ERR_NOMEM, "out of memory for tensors");
    for (uint32_t i = 0; i < type->input_count; i++) {
        own[i] = m->tensors[i];
        own[i].name = span_str(type->inputs[i].name);
    }
    m->tensors = own;
    m->tensor_count = type->input_count;
    return 0;
}

static int run_steps(const struct model_type *const *steps, uint32_t step_count,
                     struct arena *a, struct pay_message *m, struct si_work *work,
                     struct err *e)
{
    bool raw = m->raw;
    for (uint32_t i = 0; i < step_count; i++) {
        struct pay_message answer = {0};
        struct err why = {0};
        work->step = i;
        int rc = i ? hand_on(steps[i], a, m, &why) : 0;
        if (rc == 0)
            rc = model_type_answer(steps[i], m, a, &answer, &why);
        if (rc == ERR_NOMEM)
            return err_set(e, ERR_NOMEM, "%s", why.text);
        if (rc < 0) {
            work->kind = SI_WORK_REFUSED;
            work->text = arena_dup(a, span_str(why.text));
            return 0;
        }
        if (mark_outputs(steps[i], a, &answer) < 0)
            return err_set(e, ERR_NOMEM, "out of memory for tensors");
        answer.raw = raw || is_triton(steps[i]);
        *m = answer;
    }
    return 0;
}

static int compute(struct si_works *w, const struct model_type *const *steps,
                   uint32_t step_count, enum si_dialect dialect, struct span body,
                   struct si_work *work, struct err *e)
{
    struct pay_message m = {0};
    struct err why = {0};
    *work = (struct si_work){.kind = SI_WORK_OK};
    int rc = decode(dialect, body, &w->scratch, &m, &why);
    if (rc == ERR_NOMEM)
        return err_set(e, ERR_NOMEM, "%s", why.text);
    if (dialect == SI_JSON_GATEWAY && gateway_panics(body)) {
        work->kind = SI_WORK_PANIC;
        return 0;
    }
    if (rc < 0) {
        work->kind = SI_WORK_MALFORMED;
        work->schema = dialect != SI_PROTO && is_json(body);
        work->text = arena_dup(&w->scratch, span_str(why.text));
        return 0;
    }
    work->id = m.id;
    work->tensors_in = m.tensor_count;
    rc = run_steps(steps, step_count, &w->scratch, &m, work, e);
    if (rc < 0 || work->kind != SI_WORK_OK)
        return rc;
    buf_reset(&w->out);
    put_outputs(&m, dialect, &w->out);
    work->outputs = buf_view(&w->out);
    return buf_check(&w->out, e);
}

/* --- remembering --------------------------------------------------------------- */

static void make_key(const struct model_type *const *steps, uint32_t step_count,
                     enum si_dialect dialect, struct span body, uint64_t key[2])
{
    uint64_t salt = (uint64_t)dialect + 1;
    for (uint32_t i = 0; i < step_count; i++)
        salt = rng_hash(salt, (uint64_t)(uintptr_t)steps[i]);
    op_body_hash(body, key);
    key[0] ^= salt;
    key[1] ^= rng_hash(salt, body.n);
}

static struct span move(struct span s, uint8_t **to)
{
    struct span moved = {*to, s.n};
    if (s.n)
        memcpy(*to, s.p, s.n);
    *to += s.n;
    return moved;
}

/* Copies what the spans point at behind each other into `to`. */
static void settle(struct si_work *work, uint8_t *to)
{
    work->id = move(work->id, &to);
    work->outputs = move(work->outputs, &to);
    work->text = move(work->text, &to);
}

static int keep(struct si_works *w, struct slot *slot, const uint64_t key[2],
                struct arena *a, struct si_work *work, struct err *e)
{
    size_t n = work->id.n + work->outputs.n + work->text.n;
    w->kept -= slot->n;
    free(slot->bytes);
    *slot = (struct slot){0};
    uint8_t *bytes = NULL;
    bool worth = n <= KEEP_MAX && w->kept + n <= KEEP_ALL_MAX;
    if (worth)
        bytes = malloc(n + 1);
    if (bytes) {
        settle(work, bytes);
        *slot = (struct slot){{key[0], key[1]}, *work, bytes, n};
        w->kept += n;
        return 0;
    }
    bytes = arena_alloc(a, n + 1);
    if (!bytes)
        return err_set(e, ERR_NOMEM, "out of memory for an answer");
    settle(work, bytes);
    return 0;
}

int si_work(struct si_works *w, const struct model_type *const *steps,
            uint32_t step_count, enum si_dialect dialect, struct span body,
            struct arena *a, struct si_work *work, struct err *e)
{
    uint64_t key[2];
    make_key(steps, step_count, dialect, body, key);
    struct slot *slot = &w->slots[key[0] % SLOTS];
    if (slot->bytes && slot->key[0] == key[0] && slot->key[1] == key[1]) {
        *work = slot->work;
        return 0;
    }
    arena_reset(&w->scratch);
    int rc = compute(w, steps, step_count, dialect, body, work, e);
    return rc < 0 ? rc : keep(w, slot, key, a, work, e);
}
