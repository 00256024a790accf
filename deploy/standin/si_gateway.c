/*
 * si_gateway.c - the pipeline gateway, and what lies behind it: Kafka, the dataflow
 * engine and the model gateway, as far as a caller can tell.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "deploy/standin/si_tier.h"

#include <stdlib.h>
#include <string.h>

#include "traces/base/jsonw.h"

/* Who is called, as the headers say. */
struct target {
    bool pipeline;
    struct span name;
};

/* "x", "x.model", "x.pipeline"; the last internal header wins, then seldon-model. */
static bool read_target(const struct si_call *c, struct target *t)
{
    const struct op_header *h =
        si_fields_last(&c->request.fields, "seldon-internal-model");
    if (!h)
        h = si_fields_last(&c->request.fields, "seldon-model");
    if (!h)
        return false;
    size_t dot = span_find(h->value, '.', 0);
    struct span suffix = span_sub(h->value, dot, h->value.n);
    t->name = span_sub(h->value, 0, dot);
    t->pipeline = span_eq_str(suffix, ".pipeline");
    return t->name.n > 0 && (!suffix.n || t->pipeline || span_eq_str(suffix, ".model"));
}

/* Go's server: what the handler set, then Date, Content-Length and a sniffed type. */
static void go_reply(struct si_world *w, struct si_call *c, uint16_t status,
                     struct span body)
{
    struct arena *a = &c->arena;
    struct si_fields *f = &c->reply.fields;
    si_go_fields(f, a);
    c->reply.fate = SI_ANSWERED;
    c->reply.status = status;
    c->reply.grpc_status = SI_NO_GRPC;
    c->reply.body = body;
    si_fields_add(f, a, SPAN_LIT("Date"), si_world_date(w, a));
    si_fields_add(f, a, SPAN_LIT("Content-Length"), si_text(a, "%zu", body.n));
    if (body.n)
        si_fields_add(f, a, SPAN_LIT("Content-Type"),
                      SPAN_LIT("text/plain; charset=utf-8"));
}

/* --- running pipelines --------------------------------------------------------- */

struct run {
    struct si_chain chain; /* for a model: itself alone */
    struct si_model models[SI_STEPS_MAX];
    const struct model_type *types[SI_STEPS_MAX];
    struct si_work work;
};

static bool is_poisoned(const struct si_world *w, struct span model)
{
    struct span rest = buf_view(&w->poisoned);
    while (rest.n) {
        size_t end = span_find(rest, 0, 0);
        if (span_eq(span_sub(rest, 0, end), model))
            return true;
        rest = span_sub(rest, end + 1, rest.n);
    }
    return false;
}

/* Up to 2.9.1 a pipeline's caller gets the output of the first step whose model was
 * ever called through this gateway. */
static void cut_at_poison(const struct si_world *w, struct si_chain *chain)
{
    for (uint32_t i = 0; i + 1 < chain->step_count; i++)
        if (is_poisoned(w, chain->steps[i])) {
            chain->step_count = i + 1;
            return;
        }
}

static void poison(struct si_world *w, struct span model)
{
    if (w->release != SI_RELEASE_2_8 || is_poisoned(w, model))
        return;
    buf_span(&w->poisoned, model);
    buf_u8(&w->poisoned, 0);
}

/* The first call through a gateway waits for its consumer to be assigned. */
static void first_call(struct si_world *w, struct si_call *c, bool pipeline)
{
    bool *seen = pipeline ? &w->pipeline_seen_at_gateway : &w->model_seen_at_gateway;
    if (*seen || !w->cold)
        return;
    *seen = true;
    bool short_stall = pipeline && w->release != SI_RELEASE_2_8;
    int64_t least = short_stall ? 600 * CLK_MS : CLK_SEC;
    int64_t range = short_stall ? 250 * CLK_MS : CLK_SEC;
    c->reply.extra_ns += least + (int64_t)rng_below(&w->rng, (uint64_t)range);
}

static void hang(struct si_call *c)
{
    c->reply.fate = SI_HANGS;
}

/* Fills *run and lets the models work. False: the reply is decided already. */
static bool run_target(struct si_world *w, struct si_call *c, const struct target *t,
                       enum si_dialect dialect, struct span body, struct run *run)
{
    struct err e = {0};
    for (uint32_t i = 0; i < run->chain.step_count; i++) {
        if (!si_catalog_find(&w->catalog, run->chain.steps[i], &run->models[i])) {
            hang(c); /* nobody reads its topic */
            return false;
        }
        run->types[i] = run->models[i].type;
    }
    c->reply.served = true;
    first_call(w, c, t->pipeline);
    if (si_work(w->works, run->types, run->chain.step_count, dialect, body, &c->arena,
                &run->work, &e) < 0) {
        si_own_failure(c, &e);
        return false;
    }
    if (t->pipeline && run->work.kind != SI_WORK_MALFORMED &&
        run->work.kind != SI_WORK_PANIC && run->work.tensors_in == 0) {
        hang(c); /* the dataflow engine passes on only records with tensors */
        return false;
    }
    return true;
}

static bool find_chain(struct si_world *w, struct si_call *c, const struct target *t,
                       struct si_chain *chain)
{
    if (!t->pipeline) {
        *chain = (struct si_chain){.name = t->name, .step_count = 1};
        chain->steps[0] = t->name;
        poison(w, t->name);
        return true;
    }
    if (!si_catalog_find_pipeline(&w->catalog, t->name, &c->arena, chain))
        return false;
    if (w->release == SI_RELEASE_2_8)
        cut_at_poison(w, chain);
    return true;
}

/* "iris1 : rpc error: code = Internal desc = TEXT"; empty when no step failed. */
static struct span step_error(struct si_call *c, const struct run *run)
{
    static const char *const names[] = {[SI_UNKNOWN] = "Unknown",
                                        [SI_INVALID_ARGUMENT] = "InvalidArgument",
                                        [SI_NOT_FOUND] = "NotFound",
                                        [SI_INTERNAL] = "Internal"};
    uint32_t step = run->work.kind == SI_WORK_REFUSED ? run->work.step : 0;
    struct span text = run->work.text;
    int code = SI_INTERNAL;
    if (c->mishap.status) {
        text = SPAN_LIT("injected by the stand-in");
        code = si_code_of_status(c->mishap.status);
    } else if (run->work.kind != SI_WORK_REFUSED) {
        return (struct span){0};
    } else if (strcmp(run->types[step]->server, "triton") == 0) {
        code = SI_INVALID_ARGUMENT;
    }
    struct span model = run->chain.steps[step];
    return si_text(&c->arena, "%.*s : rpc error: code = %s desc = %.*s",
                   SPAN_ARG(model), names[code], (int)(text.n < 200 ? text.n : 200),
                   (const char *)text.p);
}

/* --- headers of an answer ------------------------------------------------------ */

static bool is_x_header(struct span name)
{
    return name.n > 2 && (name.p[0] | 32) == 'x' && name.p[1] == '-';
}

/* The id that the caller sent, or a new one, and the Kafka key made from it. */
static void make_key(struct si_world *w, struct si_call *c, const struct target *t,
                     struct span *id)
{
    *id = si_fields_get(&c->request.fields, "x-request-id");
    if (!id->n)
        *id = si_xid(w, &c->arena);
    struct arena *a = &c->arena;
    struct span key = si_join(a, t->name, '.', *id);
    if (w->release != SI_RELEASE_2_8) /* the partition; there is one */
        key = si_join(a, SPAN_LIT("0"), '.', key);
    c->flight_key = key;
}

/* x- headers come back through Kafka: the caller's own, and those of the models'
 * answers to the model gateway, which calls through envoy. */
static void add_kafka_headers(struct si_call *c, const struct run *run,
                              const struct target *t)
{
    struct arena *a = &c->arena;
    struct si_fields *f = &c->reply.fields;
    si_fields_add(f, a, SPAN_LIT("x-envoy-upstream-service-time"), SPAN_LIT("0"));
    c->reply.has_elapsed = true;
    for (uint32_t i = 0; i < c->request.fields.n; i++) {
        const struct op_header *h = &c->request.fields.v[i];
        if (is_x_header(h->name) && !span_eq_nocase(h->name, "x-request-id") &&
            !span_eq_nocase(h->name, "x-envoy-upstream-service-time"))
            si_fields_add(f, a, h->name, h->value);
    }
    if (t->pipeline)
        si_fields_add(f, a, SPAN_LIT("x-pipeline-version"), SPAN_LIT("1"));
    for (uint32_t i = 0; i < run->chain.step_count; i++) {
        struct span name = si_internal_name(a, &run->models[i]);
        si_fields_add(f, a, SPAN_LIT("x-seldon-route"),
                      si_text(a, ":%.*s:", SPAN_ARG(name)));
    }
}

static void add_rest_ids(struct si_world *w, struct si_call *c, struct span id)
{
    struct si_fields *f = &c->reply.fields;
    si_fields_add(f, &c->arena, SPAN_LIT("x-request-id"), c->flight_key);
    if (w->release != SI_RELEASE_2_8)
        si_fields_add(f, &c->arena, SPAN_LIT("x-request-id"), id);
}

static struct span answering_model(struct si_call *c, const struct run *run,
                                   const struct target *t)
{
    return t->pipeline ? (struct span){0}
                       : si_internal_name(&c->arena, &run->models[0]);
}

/* --- REST ---------------------------------------------------------------------- */

static struct span rest_body(struct si_call *c, const struct run *run,
                             const struct target *t)
{
    struct buf b = {0};
    struct jsonw w = {.out = &b};
    jsonw_object(&w);
    jsonw_key(&w, "model_name");
    jsonw_span(&w, answering_model(c, run, t));
    if (!t->pipeline)
        jsonw_key_str(&w, "model_version", "1");
    jsonw_key(&w, "outputs");
    jsonw_raw(&w, run->work.outputs);
    jsonw_end(&w);
    struct span s = arena_dup(&c->arena, buf_view(&b));
    buf_done(&b);
    return s;
}

static void rest_infer(struct si_world *w, struct si_call *c)
{
    struct target t;
    struct run run = {0};
    struct span id;
    if (!read_target(c, &t)) {
        go_reply(w, c, 400, (struct span){0});
        return;
    }
    make_key(w, c, &t, &id);
    if (!find_chain(w, c, &t, &run.chain)) {
        if (w->release == SI_RELEASE_2_8)
            hang(c);
        else
            go_reply(w, c, 500, (struct span){0});
        return;
    }
    if (!run_target(w, c, &t, SI_JSON_GATEWAY, c->request.body, &run))
        return;
    if (run.work.kind == SI_WORK_PANIC || run.work.kind == SI_WORK_MALFORMED) {
        c->reply.served = false;
        if (run.work.kind == SI_WORK_PANIC)
            c->reply.fate = SI_DROPPED;
        else
            go_reply(w, c, 400, (struct span){0});
        return;
    }
    struct span error = step_error(c, &run);
    if (error.n && !t.pipeline) {
        hang(c); /* the gateway listens to the model's outputs, not to its errors */
        return;
    }
    add_rest_ids(w, c, id);
    if (error.n) {
        go_reply(w, c, 400, error);
        return;
    }
    add_kafka_headers(c, &run, &t);
    go_reply(w, c, 200, rest_body(c, &run, &t));
}

/* A good pipeline is not ready at 2.10: the gateway asks by a REST path that rproxy of
 * that release refuses. */
static void rest_ready(struct si_world *w, struct si_call *c, struct span pipeline)
{
    struct si_chain chain;
    bool known = si_catalog_find_pipeline(&w->catalog, pipeline, &c->arena, &chain);
    uint16_t good = w->release == SI_RELEASE_2_8 ? 200 : 424;
    go_reply(w, c, known ? good : 404, (struct span){0});
}

static void not_found(struct si_world *w, struct si_call *c)
{
    si_fields_add(&c->reply.fields, &c->arena, SPAN_LIT("x-content-type-options"),
                  SPAN_LIT("nosniff"));
    go_reply(w, c, 404, SPAN_LIT("404 page not found\n"));
}

void si_gateway_rest(struct si_world *w, struct si_call *c)
{
    struct si_path path;
    struct target t;
    struct span target = c->request.target;
    target = span_sub(target, 0, span_find(target, '?', 0));
    if (span_eq_str(target, "/ready") && w->release != SI_RELEASE_2_8) {
        go_reply(w, c, 200, (struct span){0});
        return;
    }
    if (!si_path_split(target, &path) || path.version.n) {
        not_found(w, c);
    } else if (span_eq_str(path.rest, "/infer")) {
        rest_infer(w, c);
    } else if (!span_eq_str(path.rest, "/ready")) {
        not_found(w, c);
    } else if (path.pipelines) {
        rest_ready(w, c, path.name);
    } else if (read_target(c, &t) && t.pipeline) {
        rest_ready(w, c, t.name);
    } else {
        go_reply(w, c, 400, (struct span){0});
    }
}

/* --- gRPC ---------------------------------------------------------------------- */

static void grpc_answer(struct si_call *c, const struct run *run,
                        const struct target *t)
{
    struct buf b = {0};
    si_proto_put_string(&b, 1, answering_model(c, run, t));
    if (!t->pipeline)
        si_proto_put_string(&b, 2, SPAN_LIT("1"));
    si_proto_put_string(&b, 3, run->work.id);
    buf_span(&b, run->work.outputs);
    si_fields_add(&c->reply.fields, &c->arena, SPAN_LIT("content-type"),
                  SPAN_LIT("application/grpc"));
    add_kafka_headers(c, run, t);
    si_fields_add(&c->reply.fields, &c->arena, SPAN_LIT("x-request-id"), c->flight_key);
    si_grpc_reply_one(c, buf_view(&b));
    c->reply.grpc_has_message = true;
    buf_done(&b);
}

static void grpc_infer(struct si_world *w, struct si_call *c, struct span message)
{
    struct target t;
    struct run run = {0};
    struct span id;
    if (!read_target(c, &t)) {
        si_reply_grpc(c, SI_FAILED_PRECONDITION, SPAN_LIT("no valid model header"));
        return;
    }
    make_key(w, c, &t, &id);
    if (!find_chain(w, c, &t, &run.chain)) {
        if (w->release == SI_RELEASE_2_8)
            hang(c);
        else
            si_reply_grpc(c, SI_FAILED_PRECONDITION,
                          SPAN_LIT("failed sending inference"));
        return;
    }
    if (!run_target(w, c, &t, SI_PROTO, message, &run))
        return;
    if (run.work.kind == SI_WORK_MALFORMED) {
        c->reply.served = false;
        si_reply_grpc(c, SI_INTERNAL, arena_dup(&c->arena, run.work.text));
        return;
    }
    struct span error = step_error(c, &run);
    if (error.n && !t.pipeline)
        hang(c);
    else if (error.n)
        si_reply_grpc(c, SI_UNKNOWN, error);
    else
        grpc_answer(c, &run, &t);
}

static void grpc_flag(struct si_call *c, bool flag)
{
    si_fields_add(&c->reply.fields, &c->arena, SPAN_LIT("content-type"),
                  SPAN_LIT("application/grpc"));
    si_grpc_reply_one(c, si_proto_flag(&c->arena, flag));
    c->reply.grpc_has_message = true;
}

static void grpc_model_ready(struct si_world *w, struct si_call *c, struct span message)
{
    struct si_chain chain;
    struct span name = si_proto_string(message, 1);
    if (si_catalog_find_pipeline(&w->catalog, name, &c->arena, &chain))
        grpc_flag(c, w->release == SI_RELEASE_2_8);
    else
        si_reply_grpc(c, SI_NOT_FOUND, SPAN_LIT("pipeline not found"));
}

void si_gateway_grpc(struct si_world *w, struct si_call *c)
{
    struct span method = si_grpc_method(c->request.target), message;
    struct cursor body = cursor_of(c->request.body);
    bool has_message = si_grpc_next(&body, &message);
    bool infer = span_eq_str(method, "ModelInfer");
    bool model_ready = span_eq_str(method, "ModelReady");
    bool server_ready =
        span_eq_str(method, "ServerReady") && w->release != SI_RELEASE_2_8;
    if (!infer && !model_ready && !server_ready)
        si_reply_grpc(c, SI_UNIMPLEMENTED,
                      si_text(&c->arena, "unknown method %.*s", SPAN_ARG(method)));
    else if (!has_message)
        si_reply_grpc(c, SI_INTERNAL, SPAN_LIT("no message"));
    else if (infer)
        grpc_infer(w, c, message);
    else if (model_ready)
        grpc_model_ready(w, c, message);
    else
        grpc_flag(c, true);
}
