/*
 * mix.c - marks drawn, streams named, bodies built and kept.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/synth/mix.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "traces/synth/list.h"
#include "traces/synth/popularity.h"

const char *const mix_protocol_names[] = {"rest", "grpc", "both", NULL};

#define CLASSES     2 /* bodies differ by OP_REST and OP_GRPC */
#define INDEX_MAX   7 /* digits of an instance's index */
#define ID_BYTES    36
#define BATCHES_MAX 64 /* of --batch with weights */

struct kept_body {
    struct buf bytes; /* owns what body borrows */
    struct op_body body;
};

struct mix_type {
    const struct model_type *type;
    double weight;
    uint64_t instance_count;
    char prefix[MIX_NAME_MAX + 1];
    struct popularity instances;
    uint32_t batch;     /* without weights */
    uint32_t batch_cap; /* 1 where batches do not matter */
    struct kept_body
        *kept[CLASSES]; /* by batch, 0..batch_cap; allocated on first use */
};

struct mix {
    struct mix_options o; /* texts borrowed from the caller's options */
    struct mix_type types[LIST_MAX];
    size_t type_count;
    struct popularity by_type;
    struct popularity by_batch; /* n of 0: one per type */
    uint32_t batches[BATCHES_MAX];
    struct rng type_rng, instance_rng, protocol_rng, batch_rng, id_rng;
    uint64_t values_seed, count;
    size_t kept_bytes;
    struct buf scratch; /* the body of this operation, when it is not kept */
    struct op_stream stream;
    char name[MIX_NAME_MAX + 1 + INDEX_MAX];
    char id[ID_BYTES + 1];
};

/* --- names ------------------------------------------------------------------------ */

/* Names that SCv2 takes: a Kubernetes label. A prefix may end in a dash. */
static int check_name(struct span name, bool prefix, struct err *e)
{
    size_t most = MIX_NAME_MAX - (prefix ? INDEX_MAX : 0);
    bool good = name.n > 0 && name.n <= most && name.p[0] != '-' &&
                (prefix || name.p[name.n - 1] != '-');
    for (size_t i = 0; good && i < name.n; i++)
        good = (name.p[i] >= 'a' && name.p[i] <= 'z') ||
               (name.p[i] >= '0' && name.p[i] <= '9') || name.p[i] == '-';
    if (!good)
        return err_set(e, ERR_USAGE,
                       "'%.*s' is not a name: a-z, 0-9 and - inside, up to %zu bytes",
                       name.n > 80 ? 80 : (int)name.n, (const char *)name.p, most);
    return 0;
}

static void prefix_of_type(struct mix_type *t)
{
    size_t n = strlen(t->type->name);
    assert(n + INDEX_MAX <= MIX_NAME_MAX);
    for (size_t i = 0; i <= n; i++)
        t->prefix[i] = t->type->name[i] == '_' ? '-' : t->type->name[i];
}

static int set_prefixes(struct mix *m, const char *text, bool whole, struct err *e)
{
    struct list l;
    int rc = list_parse(&l, text, false, e);
    for (size_t i = 0; rc == 0 && i < m->type_count; i++) {
        size_t item;
        rc = list_place(&l, i, m->type_count, "model types", &item, e);
        if (rc == 0)
            rc = check_name(l.items[item].text, !whole, e);
        if (rc == 0) {
            memcpy(m->types[i].prefix, l.items[item].text.p, l.items[item].text.n);
            m->types[i].prefix[l.items[item].text.n] = '\0';
        }
    }
    return rc < 0 ? err_note(e, whole ? "--model-name" : "--name-prefix") : 0;
}

/* True when some instance of a has the name of some instance of b: a's prefix is b's
 * and then digits that, with an index behind them, are an index of b. */
static bool names_meet(const struct mix_type *a, const struct mix_type *b, bool whole)
{
    size_t nb = strlen(b->prefix);
    if (whole)
        return strcmp(a->prefix, b->prefix) == 0;
    if (strncmp(a->prefix, b->prefix, nb) != 0)
        return false;
    const char *rest = a->prefix + nb;
    if (*rest == '\0')
        return true;
    if (*rest == '0') /* an index has no leading zero */
        return false;
    uint64_t least = 0;
    for (; *rest; rest++) {
        if (*rest < '0' || *rest > '9')
            return false;
        least = least * 10 + (uint64_t)(*rest - '0');
        if (least > POPULARITY_MAX)
            return false;
    }
    return least * 10 < b->instance_count;
}

static int check_names_differ(const struct mix *m, struct err *e)
{
    for (size_t i = 0; i < m->type_count; i++)
        for (size_t k = 0; k < i; k++) {
            const struct mix_type *a = &m->types[k], *b = &m->types[i];
            bool whole = m->o.names != NULL, longer = names_meet(a, b, whole);
            if (!longer && !names_meet(b, a, whole))
                continue;
            return err_set(e, ERR_USAGE,
                           "%s and %s would share the name of a model ('%s%s'): give "
                           "each type a prefix of its own",
                           a->type->name, b->type->name, (longer ? a : b)->prefix,
                           whole ? "" : "0");
        }
    return 0;
}

/* --- options ---------------------------------------------------------------------- */

static int unknown_type(struct span name, struct err *e)
{
    struct buf known = {0};
    for (size_t i = 0; model_type_at(i); i++)
        buf_fmt(&known, "%s%s", i ? " " : "", model_type_at(i)->name);
    err_set(e, ERR_USAGE, "unknown model type '%.*s'; known: %s",
            name.n > 40 ? 40 : (int)name.n, (const char *)name.p, buf_text(&known));
    buf_done(&known);
    return ERR_USAGE;
}

/* Types and their instances; those with 0 instances are left out, but keep their place
 * in the lists. */
static int set_types(struct mix *m, const struct list *types, struct err *e)
{
    struct list counts;
    if (list_parse(&counts, m->o.instances, false, e) < 0)
        return err_note(e, "--instances");
    for (size_t i = 0; i < types->n; i++) {
        struct mix_type *t = &m->types[i];
        size_t item;
        t->type = model_type_find(types->items[i].text);
        t->weight = types->items[i].weight;
        if (!t->type) {
            unknown_type(types->items[i].text, e);
            return err_note(e, "--model-type");
        }
        if (list_place(&counts, i, types->n, "model types", &item, e) < 0 ||
            list_u64(&counts, item, 0, POPULARITY_MAX, &t->instance_count, e) < 0)
            return err_note(e, "--instances");
        prefix_of_type(t);
        m->type_count++;
    }
    return 0;
}

/* The largest batch that a request of the type can carry. */
static uint32_t cap_of(const struct model_type *type, bool k6)
{
    uint64_t item_bytes = 1, cap = MT_BATCH_MAX;
    if (!type->batches)
        return 1;
    for (uint32_t i = 0; i < type->input_count; i++) {
        const struct mt_tensor *in = &type->inputs[i];
        uint64_t bytes = pay_type_width(in->type);
        for (size_t d = 0; d < sizeof in->dims / sizeof *in->dims && in->dims[d]; d++)
            bytes *= in->dims[d] > 0 ? (uint64_t)in->dims[d] : 1;
        item_bytes += bytes;
    }
    if (cap > MT_TENSOR_BYTES_MAX / item_bytes)
        cap = MT_TENSOR_BYTES_MAX / item_bytes;
    if (!k6 && type->max_batch && cap > type->max_batch)
        cap = type->max_batch;
    return (uint32_t)cap;
}

static int check_batch(const struct mix_type *t, uint64_t batch, struct err *e)
{
    if (batch > t->batch_cap && t->type->batches)
        return err_set(e, ERR_USAGE, "--batch: %s takes at most %u, not %llu",
                       t->type->name, t->batch_cap, (unsigned long long)batch);
    return 0;
}

static int set_batch_weights(struct mix *m, const struct list *l, struct err *e)
{
    double weights[BATCHES_MAX];
    if (l->n > BATCHES_MAX)
        return err_set(e, ERR_USAGE, "--batch: more than %d sizes", BATCHES_MAX);
    for (size_t i = 0; i < l->n; i++) {
        uint64_t batch;
        if (list_u64(l, i, 1, MT_BATCH_MAX, &batch, e) < 0)
            return err_note(e, "--batch");
        for (size_t t = 0; t < m->type_count; t++)
            if (m->types[t].instance_count > 0 &&
                check_batch(&m->types[t], batch, e) < 0)
                return ERR_USAGE;
        m->batches[i] = (uint32_t)batch;
        weights[i] = l->items[i].weight;
    }
    int rc = popularity_weights(&m->by_batch, weights, l->n, e);
    return rc < 0 ? err_note(e, "--batch") : 0;
}

static int set_batches(struct mix *m, struct err *e)
{
    struct list l;
    for (size_t i = 0; i < m->type_count; i++)
        m->types[i].batch_cap = cap_of(m->types[i].type, m->o.k6);
    if (list_parse(&l, m->o.batches, true, e) < 0)
        return err_note(e, "--batch");
    if (l.weighted)
        return set_batch_weights(m, &l, e);
    for (size_t i = 0; i < m->type_count; i++) {
        size_t item;
        uint64_t batch;
        if (list_place(&l, i, m->type_count, "model types", &item, e) < 0 ||
            list_u64(&l, item, 1, MT_BATCH_MAX, &batch, e) < 0)
            return err_note(e, "--batch");
        if (m->types[i].instance_count > 0 && check_batch(&m->types[i], batch, e) < 0)
            return ERR_USAGE;
        m->types[i].batch = (uint32_t)batch;
    }
    return 0;
}

/* Drops the types without instances, and prepares the draws. */
static int set_draws(struct mix *m, struct err *e)
{
    size_t n = 0;
    double weights[LIST_MAX];
    for (size_t i = 0; i < m->type_count; i++)
        if (m->types[i].instance_count > 0)
            m->types[n++] = m->types[i];
    m->type_count = n;
    if (n == 0)
        return err_set(e, ERR_USAGE, "--instances: no type has any");
    for (size_t i = 0; i < n; i++) {
        struct mix_type *t = &m->types[i];
        weights[i] = t->weight;
        int rc = popularity_parse(&t->instances, m->o.popularity, t->instance_count, e);
        if (rc < 0)
            return err_note(e, "--popularity");
    }
    int rc = popularity_weights(&m->by_type, weights, n, e);
    return rc < 0 ? err_note(e, "--model-type") : 0;
}

static bool uses(const struct mix *m, enum op_protocol protocol)
{
    return m->o.protocol == MIX_BOTH ||
           (m->o.protocol == MIX_GRPC) == (protocol == OP_GRPC);
}

static int check_k6(const struct mix *m, struct err *e)
{
    static const enum op_protocol protocols[] = {OP_REST, OP_GRPC};
    if (!m->o.k6)
        return 0;
    if (m->o.values != MT_CONSTANT)
        return err_set(e, ERR_USAGE,
                       "--k6-compatible sends constant values, not --values %s",
                       mt_values_names[m->o.values]);
    for (size_t i = 0; i < m->type_count; i++)
        for (size_t p = 0; p < CLASSES; p++) {
            const char *why = model_type_k6_refusal(m->types[i].type, protocols[p]);
            if (why && uses(m, protocols[p]))
                return err_set(e, ERR_USAGE, "--k6-compatible: %s by %s: %s",
                               m->types[i].type->name, op_protocol_names[protocols[p]],
                               why);
        }
    return 0;
}

static int check_options(struct mix *m, struct err *e)
{
    struct list types;
    if (!(m->o.grpc_share >= 0 && m->o.grpc_share <= 1))
        return err_set(e, ERR_USAGE, "--grpc-share: %g is not in 0..1",
                       m->o.grpc_share);
    if (list_parse(&types, m->o.model_types, true, e) < 0)
        return err_note(e, "--model-type");
    int rc = set_types(m, &types, e);
    if (rc == 0 && m->o.prefixes && !m->o.names)
        rc = set_prefixes(m, m->o.prefixes, false, e);
    if (rc == 0 && m->o.names)
        rc = set_prefixes(m, m->o.names, true, e);
    if (rc == 0)
        rc = set_batches(m, e);
    if (rc == 0)
        rc = set_draws(m, e);
    for (size_t i = 0; rc == 0 && m->o.names && i < m->type_count; i++)
        if (m->types[i].instance_count != 1)
            rc = err_set(e, ERR_USAGE, "--model-name '%s' is one model: --instances 1",
                         m->types[i].prefix);
    if (rc == 0)
        rc = check_names_differ(m, e);
    return rc == 0 ? check_k6(m, e) : rc;
}

int mix_new(struct mix **out, const struct mix_options *o, uint64_t seed, struct err *e)
{
    struct mix *m = calloc(1, sizeof *m);
    *out = NULL;
    if (!m)
        return err_set(e, ERR_NOMEM, "no memory for a mix of models");
    m->o = *o;
    struct rng root;
    rng_init(&root, seed);
    m->type_rng = rng_fork(&root, "type");
    m->instance_rng = rng_fork(&root, "instance");
    m->protocol_rng = rng_fork(&root, "protocol");
    m->batch_rng = rng_fork(&root, "batch");
    m->id_rng = rng_fork(&root, "id");
    struct rng values = rng_fork(&root, "values");
    m->values_seed = rng_u64(&values);
    int rc = check_options(m, e);
    if (rc < 0) {
        mix_free(m);
        return rc;
    }
    *out = m;
    return 0;
}

void mix_free(struct mix *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->type_count; i++) {
        struct mix_type *t = &m->types[i];
        popularity_done(&t->instances);
        for (size_t c = 0; c < CLASSES; c++) {
            for (size_t b = 0; t->kept[c] && b <= t->batch_cap; b++)
                buf_done(&t->kept[c][b].bytes);
            free(t->kept[c]);
        }
    }
    popularity_done(&m->by_type);
    popularity_done(&m->by_batch);
    buf_done(&m->scratch);
    free(m);
}

/* --- operations ------------------------------------------------------------------- */

static int build(const struct mix *m, const struct mix_type *t,
                 enum op_protocol protocol, uint32_t batch, struct buf *out,
                 struct err *e)
{
    const struct mt_request q = {.protocol = protocol,
                                 .batch = batch,
                                 .values = (enum mt_values)m->o.values,
                                 .seed = m->values_seed,
                                 .ordinal = m->count,
                                 .k6 = m->o.k6};
    buf_reset(out);
    int rc = model_type_request(t->type, &q, out, e);
    if (rc == 0)
        rc = buf_check(out, e);
    return rc < 0 ? err_note(e, "body of %s by %s, batch %u", t->type->name,
                             op_protocol_names[protocol], batch)
                  : 0;
}

/* The body of constant values, from the table if it stands there. */
static int kept_body(struct mix *m, struct mix_type *t, enum op_protocol protocol,
                     uint32_t batch, struct op_body *body, struct err *e)
{
    struct kept_body **table = &t->kept[protocol == OP_GRPC];
    if (!*table && !(*table = calloc(t->batch_cap + (size_t)1, sizeof **table)))
        return err_set(e, ERR_NOMEM, "no memory for bodies");
    struct kept_body *k = &(*table)[batch];
    if (k->bytes.n == 0) {
        int rc = build(m, t, protocol, batch, &m->scratch, e);
        if (rc < 0)
            return rc;
        *body = op_body_of(buf_view(&m->scratch));
        if (m->kept_bytes + m->scratch.n > MIX_CACHE_MAX)
            return 0;
        m->kept_bytes += m->scratch.n;
        k->bytes = m->scratch;
        m->scratch = (struct buf){0};
        k->body = *body;
    }
    *body = k->body;
    return 0;
}

static void draw_id(struct mix *m)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t high = rng_u64(&m->id_rng), low = rng_u64(&m->id_rng);
    high = (high & ~UINT64_C(0xf000)) | UINT64_C(0x4000); /* version 4 */
    low = (low & (UINT64_MAX >> 2)) | UINT64_C(1) << 63;  /* variant of RFC 4122 */
    char *p = m->id;
    for (int i = 0; i < 32; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20)
            *p++ = '-';
        uint64_t half = i < 16 ? high : low;
        *p++ = digits[half >> (60 - 4 * (i % 16)) & 15];
    }
    *p = '\0';
}

/* Writes the name; its length is what the stream holds. */
static void draw_name(struct mix *m, struct mix_type *t)
{
    size_t n = strlen(t->prefix);
    memcpy(m->name, t->prefix, n);
    if (!m->o.names) {
        uint64_t index = popularity_draw(&t->instances, &m->instance_rng);
        char digits[INDEX_MAX], *p = digits + INDEX_MAX;
        do
            *--p = (char)('0' + index % 10);
        while (index /= 10);
        size_t length = (size_t)(digits + INDEX_MAX - p);
        memcpy(m->name + n, p, length);
        n += length;
    }
    m->stream.name = span_of(m->name, n);
}

static enum op_protocol draw_protocol(struct mix *m)
{
    if (m->o.protocol == MIX_BOTH)
        return rng_unit(&m->protocol_rng) < m->o.grpc_share ? OP_GRPC : OP_REST;
    return m->o.protocol == MIX_GRPC ? OP_GRPC : OP_REST;
}

static uint32_t draw_batch(struct mix *m, const struct mix_type *t, uint32_t asked)
{
    uint32_t batch = asked;
    if (batch == 0)
        batch = m->by_batch.n ? m->batches[popularity_draw(&m->by_batch, &m->batch_rng)]
                              : t->batch;
    return batch < t->batch_cap ? batch : t->batch_cap;
}

int mix_next(struct mix *m, uint32_t batch, struct op *op, struct err *e)
{
    struct mix_type *t = &m->types[popularity_draw(&m->by_type, &m->type_rng)];
    enum op_protocol protocol = draw_protocol(m);
    batch = draw_batch(m, t, batch);
    *op = op_empty();
    m->stream = (struct op_stream){
        .protocol = protocol,
        .tier = OP_TIER_ANY,
        .resource = m->o.pipeline ? OP_PIPELINE : OP_MODEL,
        .model_type = span_str(t->type->name),
    };
    if (protocol == OP_REST) {
        m->stream.method = SPAN_LIT("POST");
        m->stream.content_type = SPAN_LIT("application/json");
    }
    draw_name(m, t);
    int rc;
    if (m->o.values == MT_CONSTANT) {
        rc = kept_body(m, t, protocol, batch, &op->request, e);
    } else {
        rc = build(m, t, protocol, batch, &m->scratch, e);
        if (rc == 0)
            op->request = op_body_of(buf_view(&m->scratch));
    }
    if (rc < 0)
        return rc;
    if (m->o.ids) {
        draw_id(m);
        op->id = span_of(m->id, ID_BYTES);
    }
    op->stream = &m->stream;
    op->flags = OP_FLAG_SYNTHETIC | (m->o.k6 ? OP_FLAG_K6 : 0);
    m->count++;
    return 0;
}

uint64_t mix_models(const struct mix *m)
{
    uint64_t models = 0;
    for (size_t i = 0; i < m->type_count; i++)
        models += m->types[i].instance_count;
    return models;
}

static void describe_type(const struct mix *m, const struct mix_type *t,
                          struct jsonw *w)
{
    jsonw_object(w);
    jsonw_key_str(w, "type", t->type->name);
    jsonw_key_f64(w, "weight", t->weight);
    jsonw_key_u64(w, "instances", t->instance_count);
    jsonw_key_str(w, m->o.names ? "name" : "prefix", t->prefix);
    if (!m->by_batch.n)
        jsonw_key_u64(w, "batch", t->batch < t->batch_cap ? t->batch : t->batch_cap);
    jsonw_end(w);
}

void mix_describe(const struct mix *m, struct jsonw *w)
{
    jsonw_key(w, "model_types");
    jsonw_array(w);
    for (size_t i = 0; i < m->type_count; i++)
        describe_type(m, &m->types[i], w);
    jsonw_end(w);
    jsonw_key_str(w, "popularity", m->o.popularity);
    if (m->by_batch.n)
        jsonw_key_str(w, "batch", m->o.batches);
    jsonw_key_str(w, "protocol", mix_protocol_names[m->o.protocol]);
    if (m->o.protocol == MIX_BOTH)
        jsonw_key_f64(w, "grpc_share", m->o.grpc_share);
    jsonw_key_str(w, "values", mt_values_names[m->o.values]);
    jsonw_key_bool(w, "k6_compatible", m->o.k6);
    jsonw_key_bool(w, "pipeline", m->o.pipeline);
    jsonw_key_bool(w, "ids", m->o.ids);
}
