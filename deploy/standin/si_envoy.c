/*
 * si_envoy.c - the front door: routes by header, adds its own headers, retries.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "deploy/standin/si_tier.h"

#include <string.h>

/* Five retries with jittered back-off: 2.5 to 7.8 s in all. Bodies beyond the buffer
 * limit run once. */
#define RETRY_RUNS     6u
#define RETRY_MIN_NS   (2500 * CLK_MS)
#define RETRY_MAX_NS   (7800 * CLK_MS)
#define RETRY_BODY_MAX (1u << 20)
#define PANIC_NS       (2800 * CLK_MS) /* a closed connection, tried again and again */

enum route_kind { ROUTE_NONE, ROUTE_MODEL, ROUTE_PIPELINE };

struct route {
    enum route_kind kind;
    struct si_model model;
    struct span name; /* as the client wrote it: "iris", "p.pipeline" */
};

/* --- local replies ------------------------------------------------------------- */

static void local_reply(struct si_world *w, struct si_call *c, uint16_t status,
                        struct span text)
{
    struct arena *a = &c->arena;
    struct si_reply *r = &c->reply;
    r->fate = SI_ANSWERED;
    r->status = status;
    r->grpc_status = SI_NO_GRPC;
    r->body = text;
    r->chunked = false;
    r->fields.n = 0;
    r->close = r->close || c->request.wants_close;
    if (text.n) {
        si_fields_add(&r->fields, a, SPAN_LIT("content-length"),
                      si_text(a, "%zu", text.n));
        si_fields_add(&r->fields, a, SPAN_LIT("content-type"), SPAN_LIT("text/plain"));
    }
    si_fields_add(&r->fields, a, SPAN_LIT("date"), si_world_date(w, a));
    si_fields_add(&r->fields, a, SPAN_LIT("server"), SPAN_LIT("envoy"));
    if (r->close)
        si_fields_add(&r->fields, a, SPAN_LIT("connection"), SPAN_LIT("close"));
    if (!text.n && !c->request.http2)
        si_fields_add(&r->fields, a, SPAN_LIT("content-length"), SPAN_LIT("0"));
}

static void local_grpc(struct si_world *w, struct si_call *c, int code,
                       struct span text)
{
    c->reply.fields.n = c->reply.trailers.n = 0;
    c->reply.grpc_has_message = false;
    si_reply_grpc(c, code, text);
    si_fields_add(&c->reply.fields, &c->arena, SPAN_LIT("date"),
                  si_world_date(w, &c->arena));
    si_fields_add(&c->reply.fields, &c->arena, SPAN_LIT("server"), SPAN_LIT("envoy"));
}

/* A 404 to a request with a body ends an HTTP/1.1 connection, and with RST. */
static void not_found(struct si_world *w, struct si_call *c)
{
    c->reply.close = c->reply.reset = c->request.has_body && !c->request.http2;
    local_reply(w, c, 404, (struct span){0});
}

/* --- routes -------------------------------------------------------------------- */

/* Draws a candidate by weight, or takes the one that x-seldon-route names. */
static bool experiment_route(struct si_world *w, struct si_call *c,
                             const struct si_chain *x, struct span sticky,
                             struct route *route)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < x->step_count; i++)
        sum += x->weights[i];
    uint64_t at = rng_below(&w->rng, sum);
    for (uint32_t i = 0; i < x->step_count; i++) {
        if (!si_catalog_find(&w->catalog, x->steps[i], &route->model))
            return false;
        if (sticky.n) {
            struct span name = si_internal_name(&c->arena, &route->model);
            struct span wrapped = si_text(&c->arena, ":%.*s:", SPAN_ARG(name));
            if (wrapped.n && memmem(sticky.p, sticky.n, wrapped.p, wrapped.n))
                return true;
        } else if (at < x->weights[i]) {
            return true;
        } else {
            at -= x->weights[i];
        }
    }
    return false;
}

static struct route route_by_name(struct si_world *w, struct si_call *c,
                                  struct span name)
{
    struct route route = {.name = name};
    const struct op_header *sticky =
        si_fields_first(&c->request.fields, "x-seldon-route");
    size_t dot = span_find(name, '.', 0);
    struct span stem = span_sub(name, 0, dot), suffix = span_sub(name, dot, name.n);
    struct si_chain chain;
    if (span_eq_str(suffix, ".experiment")) {
        const struct si_chain *x = si_catalog_find_experiment(&w->catalog, stem);
        if (x && experiment_route(w, c, x, sticky ? sticky->value : (struct span){0},
                                  &route))
            route.kind = ROUTE_MODEL;
    } else if (sticky) {
        route.kind = ROUTE_NONE; /* plain routes want that header to be absent */
    } else if (!suffix.n) {
        if (si_catalog_find(&w->catalog, stem, &route.model))
            route.kind = ROUTE_MODEL;
    } else if (span_eq_str(suffix, ".pipeline")) {
        if (si_catalog_find_pipeline(&w->catalog, stem, &c->arena, &chain))
            route.kind = ROUTE_PIPELINE;
    }
    return route;
}

/* What the path says where both routing headers are absent. */
static struct span name_of_path(struct si_call *c)
{
    struct si_path path;
    if (!si_path_split(c->request.target, &path))
        return (struct span){0};
    if (!path.pipelines)
        return path.name;
    if (!path.rest.n && !path.version.n)
        return (struct span){0};
    return si_join(&c->arena, path.name, '.', SPAN_LIT("pipeline"));
}

static struct route find_route(struct si_world *w, struct si_call *c)
{
    const struct si_fields *f = &c->request.fields;
    uint32_t lines = si_fields_count(f, "seldon-model");
    if (lines > 1)
        return (struct route){0};
    struct span name = si_fields_get(f, "seldon-model");
    if (!lines && !c->request.grpc && !si_fields_count(f, "x-seldon-route"))
        name = name_of_path(c);
    return name.n ? route_by_name(w, c, name) : (struct route){0};
}

/* The request as the next hop sees it; the value of x-seldon-route in the answer. */
static struct span prepare(struct si_call *c, const struct route *route)
{
    struct arena *a = &c->arena;
    struct si_fields *f = &c->request.fields;
    struct span internal = route->name;
    if (route->kind == ROUTE_MODEL) {
        internal = si_internal_name(a, &route->model);
        si_fields_remove(f, "seldon-internal-model");
    }
    si_fields_set(f, a, SPAN_LIT("seldon-model"), route->name);
    si_fields_set(f, a, SPAN_LIT("x-forwarded-proto"), SPAN_LIT("http"));
    si_fields_add(f, a, SPAN_LIT("seldon-internal-model"), internal);
    return si_text(a, ":%.*s:", SPAN_ARG(internal));
}

/* --- answers ------------------------------------------------------------------- */

/* Lower case, and the lines of x-request-id as one. */
static void fold_fields(struct si_fields *f, struct arena *a)
{
    uint32_t kept = 0;
    struct op_header *id = NULL;
    for (uint32_t i = 0; i < f->n; i++) {
        struct op_header h = {si_lower_case(a, f->v[i].name), f->v[i].value};
        bool is_id = span_eq_str(h.name, "x-request-id");
        if (is_id && id) {
            id->value = si_join(a, id->value, ',', h.value);
            continue;
        }
        f->v[kept] = h;
        if (is_id)
            id = &f->v[kept];
        kept++;
    }
    f->n = kept;
}

static void add_own_fields(struct si_world *w, struct si_call *c, struct span route)
{
    struct si_fields *f = &c->reply.fields;
    struct arena *a = &c->arena;
    fold_fields(f, a);
    fold_fields(&c->reply.trailers, a);
    si_fields_set(f, a, SPAN_LIT("x-envoy-upstream-service-time"), SPAN_LIT("0"));
    c->reply.has_elapsed = true;
    si_fields_add(f, a, SPAN_LIT("x-seldon-route"), route);
    if (!si_fields_count(f, "date"))
        si_fields_add(f, a, SPAN_LIT("date"), si_world_date(w, a));
    si_fields_set(f, a, SPAN_LIT("server"), SPAN_LIT("envoy"));
}

static bool is_retried(const struct si_world *w, const struct si_call *c)
{
    uint16_t s = c->reply.status;
    return w->release != SI_RELEASE_2_8 &&
           (s == 500 || s == 502 || s == 503 || s == 504) &&
           c->request.body.n <= RETRY_BODY_MAX;
}

void si_envoy_rest(struct si_world *w, struct si_call *c)
{
    bool old = !c->request.http2 && c->request.minor_version == 0;
    if (old || (!c->request.http2 && !si_fields_count(&c->request.fields, "host"))) {
        c->reply.close = true;
        local_reply(w, c, old ? 426 : 400,
                    old ? SPAN_LIT("Upgrade Required") : (struct span){0});
        return;
    }
    struct route route = {0};
    if (span_starts(c->request.target, "/v2"))
        route = find_route(w, c);
    if (route.kind == ROUTE_NONE) {
        not_found(w, c);
        return;
    }
    struct span own = prepare(c, &route);
    (route.kind == ROUTE_MODEL ? si_rproxy_rest : si_gateway_rest)(w, c);
    if (c->reply.fate == SI_DROPPED) {
        c->reply.extra_ns += w->release == SI_RELEASE_2_8 ? CLK_MS : PANIC_NS;
        local_reply(w, c, 503, (struct span){0});
        return;
    }
    if (c->reply.fate != SI_ANSWERED)
        return;
    if (is_retried(w, c)) {
        uint64_t range = (uint64_t)(RETRY_MAX_NS - RETRY_MIN_NS);
        c->reply.runs = (c->reply.runs ? c->reply.runs : 1) * RETRY_RUNS;
        c->reply.extra_ns += RETRY_MIN_NS + (int64_t)rng_below(&w->rng, range);
    }
    add_own_fields(w, c, own);
}

void si_envoy_grpc(struct si_world *w, struct si_call *c)
{
    struct route route = {0};
    if (span_starts(c->request.target, "/inference.GRPCInferenceService"))
        route = find_route(w, c);
    if (route.kind == ROUTE_NONE) {
        local_grpc(w, c, SI_UNIMPLEMENTED, (struct span){0});
        return;
    }
    struct span own = prepare(c, &route);
    (route.kind == ROUTE_MODEL ? si_rproxy_grpc : si_gateway_grpc)(w, c);
    if (c->reply.fate == SI_ANSWERED)
        add_own_fields(w, c, own);
}

void si_envoy_stream_timeout(struct si_world *w, struct si_call *c)
{
    c->reply.close = false;
    if (c->request.grpc)
        local_grpc(w, c, SI_UNAVAILABLE, SPAN_LIT("stream timeout"));
    else
        local_reply(w, c, 504, SPAN_LIT("stream timeout"));
}
