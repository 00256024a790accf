/*
 * si_rproxy.c - the agent's reverse proxy: renames the model, repeats after a reload.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "deploy/standin/si_tier.h"

#include <string.h>

/* A forced reload and second run take 25 to 55 ms where one run takes 3. */
#define RELOAD_MIN_NS (20 * CLK_MS)
#define RELOAD_MAX_NS (50 * CLK_MS)

/* MLServer compresses above about this when asked to, which rproxy does for clients
 * that did not; its own answer to them is then chunked. */
#define GZIP_FROM_BYTES 600u

static void reload_and_repeat(struct si_world *w, struct si_reply *r)
{
    uint64_t range = (uint64_t)(RELOAD_MAX_NS - RELOAD_MIN_NS);
    r->runs = 2;
    r->extra_ns += RELOAD_MIN_NS + (int64_t)rng_below(&w->rng, range);
}

/* "iris_1": the numeric suffix tells rproxy the external name, from 2.9 on. */
static bool has_suffix(struct span internal)
{
    size_t at = internal.n;
    while (at && internal.p[at - 1] >= '0' && internal.p[at - 1] <= '9')
        at--;
    return at < internal.n && at > 1 && internal.p[at - 1] == '_';
}

/* Whether the headers name the model; *internal is its name at the server. */
static bool is_addressed(const struct si_world *w, const struct si_call *c,
                         struct span *internal)
{
    *internal = si_fields_get(&c->request.fields, "seldon-internal-model");
    bool external = si_fields_get(&c->request.fields, "seldon-model").n > 0;
    if (!internal->n)
        return false;
    return external || (w->release != SI_RELEASE_2_8 && has_suffix(*internal));
}

/* As Go's http.Error writes it. */
static void go_error(struct si_world *w, struct si_call *c, uint16_t status,
                     struct span text)
{
    struct arena *a = &c->arena;
    struct si_fields *f = &c->reply.fields;
    c->reply.fate = SI_ANSWERED;
    c->reply.status = status;
    c->reply.grpc_status = SI_NO_GRPC;
    c->reply.body = text;
    f->n = 0;
    si_fields_add(f, a, SPAN_LIT("Content-Type"),
                  SPAN_LIT("text/plain; charset=utf-8"));
    si_fields_add(f, a, SPAN_LIT("X-Content-Type-Options"), SPAN_LIT("nosniff"));
    si_fields_add(f, a, SPAN_LIT("Date"), si_world_date(w, a));
    si_fields_add(f, a, SPAN_LIT("Content-Length"), si_text(a, "%zu", text.n));
}

static bool contains(struct span s, const char *text)
{
    return s.n && memmem(s.p, s.n, text, strlen(text)) != NULL;
}

/* The characters that rproxy's pattern takes for a name: it stops at a dot. */
static struct span pattern_name(struct span name)
{
    size_t n = 0;
    while (n < name.n && (name.p[n] == '-' || name.p[n] == '_' ||
                          (name.p[n] >= '0' && name.p[n] <= '9') ||
                          ((name.p[n] | 32) >= 'a' && (name.p[n] | 32) <= 'z')))
        n++;
    return span_sub(name, 0, n);
}

/* The name that the server will read in the rewritten path. */
static struct span renamed(struct si_call *c, const struct si_path *path,
                           struct span internal)
{
    struct span matched = pattern_name(path->name);
    if (matched.n == path->name.n)
        return internal;
    struct span tail = span_sub(path->name, matched.n + 1, path->name.n);
    return si_join(&c->arena, internal, (char)path->name.p[matched.n], tail);
}

static void rest_forward(struct si_world *w, struct si_call *c, struct span internal,
                         struct span name)
{
    struct si_model m;
    if (internal.n && !si_catalog_find_internal(&w->catalog, internal, &m)) {
        go_error(w, c, 404, SPAN_LIT("404 page not found\n"));
        return;
    }
    struct arena *a = &c->arena;
    struct span id = si_fields_get(&c->request.fields, "x-request-id");
    si_server_rest_as(w, c, name);
    if (internal.n && (c->reply.status == 400 || c->reply.status == 404))
        reload_and_repeat(w, &c->reply);
    if (c->reply.body.n > GZIP_FROM_BYTES &&
        si_fields_count(&c->reply.fields, "ce-id") &&
        !si_fields_count(&c->request.fields, "accept-encoding")) {
        si_fields_remove(&c->reply.fields, "content-length");
        c->reply.chunked = true;
    }
    si_fields_add(&c->reply.fields, a, SPAN_LIT("x-request-id"),
                  id.n ? id : si_xid(w, a));
    si_go_fields(&c->reply.fields, a);
}

void si_rproxy_rest(struct si_world *w, struct si_call *c)
{
    struct si_path path;
    struct span internal;
    struct span target = c->request.target;
    target = span_sub(target, 0, span_find(target, '?', 0));
    if (w->release != SI_RELEASE_2_8 && !contains(target, "/infer")) {
        go_error(w, c, 400,
                 SPAN_LIT("Failed to get path termination for request: no valid marker "
                          "found in path"));
        return;
    }
    if (!is_addressed(w, c, &internal))
        internal = (struct span){0};
    struct span name = {0};
    if (internal.n && si_path_split(target, &path) && !path.pipelines)
        name = renamed(c, &path, internal);
    rest_forward(w, c, internal, name);
}

static bool serves_method(const struct si_world *w, struct span method)
{
    return span_eq_str(method, "ModelInfer") || span_eq_str(method, "ModelReady") ||
           span_eq_str(method, "ModelMetadata") ||
           (span_eq_str(method, "ModelStreamInfer") && w->release != SI_RELEASE_2_8);
}

void si_rproxy_grpc(struct si_world *w, struct si_call *c)
{
    struct span method = si_grpc_method(c->request.target), internal;
    struct si_model m;
    if (!serves_method(w, method)) {
        si_reply_grpc(c, SI_UNIMPLEMENTED,
                      si_text(&c->arena, "unknown method %.*s", SPAN_ARG(method)));
        return;
    }
    if (!is_addressed(w, c, &internal)) {
        si_reply_grpc(c, SI_FAILED_PRECONDITION,
                      SPAN_LIT("missing model header in the metadata"));
        return;
    }
    if (!si_catalog_find_internal(&w->catalog, internal, &m)) {
        si_reply_grpc(c, SI_NOT_FOUND,
                      si_text(&c->arena, "model %.*s not found", SPAN_ARG(internal)));
        return;
    }
    si_server_grpc_as(w, c, internal);
    struct si_reply *r = &c->reply;
    si_fields_remove(&r->fields, "grpc-accept-encoding");
    r->grpc_has_message = true;
    if (r->grpc_status == SI_NOT_FOUND)
        reload_and_repeat(w, r);
    bool infers =
        span_eq_str(method, "ModelInfer") || span_eq_str(method, "ModelStreamInfer");
    struct span id = si_fields_get(&c->request.fields, "x-request-id");
    if (infers)
        si_fields_add(&r->trailers, &c->arena, SPAN_LIT("x-request-id"),
                      id.n ? id : si_xid(w, &c->arena));
}
