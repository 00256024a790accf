/*
 * si_tier.c - the table of tiers, and what their hops share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "deploy/standin/si_tier.h"

#include <string.h>
#include <time.h>

const char *const si_release_names[] = {"2.10", "2.8", NULL};

/* Ports: SCv2's docker compose. Idle times were measured; 100 s without a close counts
 * as never. HTTP/2: envoy's SETTINGS and window were captured, the stream limits of the
 * Go tiers are set in their source, and the server's are gRPC C-core's as seen at
 * MLServer. */
const struct si_tier si_tiers[SI_TIER_COUNT] = {
    [SI_ENVOY] = {.name = "envoy",
                  .http_at = "127.0.0.1:9000",
                  .grpc_at = NULL,
                  .one_port = true,
                  .times_out = true,
                  .h2_streams = 1024,
                  .h2_window = 16777216,
                  .h2_connection_window = 25165824,
                  .rest = si_envoy_rest,
                  .grpc = si_envoy_grpc},
    [SI_RPROXY] = {.name = "rproxy",
                   .http_at = "127.0.0.1:9999",
                   .grpc_at = "127.0.0.1:9998",
                   .h2_streams = 1000,
                   .rest = si_rproxy_rest,
                   .grpc = si_rproxy_grpc},
    [SI_SERVER] = {.name = "server",
                   .http_at = "127.0.0.1:8080",
                   .grpc_at = "127.0.0.1:8081",
                   .idle_ns = 5 * CLK_SEC,
                   .h2_window = 4194304,
                   .h2_frame = 4194304,
                   .h2_connection_window = 4194304,
                   .rest = si_server_rest,
                   .grpc = si_server_grpc},
    [SI_GATEWAY] = {.name = "pipelinegateway",
                    .http_at = "127.0.0.1:9010",
                    .grpc_at = "127.0.0.1:9011",
                    .idle_ns = 65 * CLK_SEC,
                    .h2_streams = 1000000,
                    .rest = si_gateway_rest,
                    .grpc = si_gateway_grpc},
};

const struct si_tier *si_tier_find(const char *name)
{
    if (strcmp(name, "modelgateway") == 0)
        return &si_tiers[SI_GATEWAY];
    for (int i = 0; i < SI_TIER_COUNT; i++)
        if (strcmp(si_tiers[i].name, name) == 0)
            return &si_tiers[i];
    return NULL;
}

int si_world_init(struct si_world *w, const struct clk *clk, uint64_t seed,
                  struct err *e)
{
    *w = (struct si_world){.clk = clk, .stream_messages = 1, .date_second = -1};
    rng_init(&w->rng, seed);
    w->works = si_works_new();
    return w->works ? 0 : err_set(e, ERR_NOMEM, "out of memory for the stand-in");
}

void si_world_done(struct si_world *w)
{
    si_catalog_done(&w->catalog);
    si_works_free(w->works);
    buf_done(&w->poisoned);
    memset(w, 0, sizeof *w);
}

struct span si_world_date(struct si_world *w, struct arena *a)
{
    int64_t second = clk_wall_now(w->clk).ns / CLK_SEC;
    if (second != w->date_second) {
        time_t t = (time_t)second;
        struct tm tm;
        gmtime_r(&t, &tm);
        strftime(w->date, sizeof w->date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        w->date_second = second;
    }
    return arena_dup(a, span_str(w->date));
}

/* --- paths --------------------------------------------------------------------- */

static struct span until(struct span s, const char *stops)
{
    size_t n = 0;
    while (n < s.n && !strchr(stops, s.p[n]))
        n++;
    return span_sub(s, 0, n);
}

bool si_path_split(struct span target, struct si_path *path)
{
    static const char models[] = "/v2/models/", pipelines[] = "/v2/pipelines/";
    static const char versions[] = "/versions/";
    *path = (struct si_path){.pipelines = span_starts(target, pipelines)};
    if (!path->pipelines && !span_starts(target, models))
        return false;
    size_t root = path->pipelines ? sizeof pipelines - 1 : sizeof models - 1;
    struct span rest = until(span_sub(target, root, target.n), "?");
    path->name = until(rest, "/");
    rest = span_sub(rest, path->name.n, rest.n);
    if (span_starts(rest, versions)) {
        rest = span_sub(rest, sizeof versions - 1, rest.n);
        path->version = until(rest, "/");
        rest = span_sub(rest, path->version.n, rest.n);
    }
    path->rest = rest;
    return path->name.n > 0;
}

/* --- gRPC ---------------------------------------------------------------------- */

struct span si_grpc_method(struct span path)
{
    static const char service[] = "/inference.GRPCInferenceService/";
    return span_starts(path, service) ? span_sub(path, sizeof service - 1, path.n)
                                      : (struct span){0};
}

bool si_grpc_next(struct cursor *body, struct span *message)
{
    uint8_t compressed = cursor_u8(body);
    *message = cursor_take(body, cursor_u32_be(body));
    return !body->bad && !compressed;
}

void si_grpc_put(struct buf *out, struct span message)
{
    buf_u8(out, 0);
    buf_u32_be(out, (uint32_t)message.n);
    buf_span(out, message);
}

void si_grpc_reply(struct si_call *c, struct span messages)
{
    c->reply.body = arena_dup(&c->arena, messages);
    c->reply.fate = SI_ANSWERED;
    c->reply.status = 200;
    c->reply.grpc_status = SI_OK;
}

void si_grpc_reply_one(struct si_call *c, struct span message)
{
    struct buf framed = {0};
    si_grpc_put(&framed, message);
    si_grpc_reply(c, buf_view(&framed));
    buf_done(&framed);
}

struct span si_proto_flag(struct arena *a, bool flag)
{
    return flag ? arena_dup(a, SPAN_LIT("\x08\x01")) : (struct span){0};
}

void si_proto_put_string(struct buf *b, uint32_t field, struct span s)
{
    if (!s.n)
        return;
    buf_varint(b, (uint64_t)field << 3 | 2);
    buf_varint(b, s.n);
    buf_span(b, s);
}

struct span si_proto_string(struct span message, uint32_t field)
{
    struct cursor c = cursor_of(message);
    while (cursor_left(&c)) {
        uint64_t tag = cursor_varint(&c);
        struct span value = {0};
        if ((tag & 7) == 2)
            value = cursor_take(&c, (size_t)cursor_varint(&c));
        else if ((tag & 7) == 0)
            cursor_varint(&c);
        else
            cursor_take(&c, (tag & 7) == 1 ? 8 : (tag & 7) == 5 ? 4 : SIZE_MAX);
        if (c.bad)
            return (struct span){0};
        if (tag == ((uint64_t)field << 3 | 2))
            return value;
    }
    return (struct span){0};
}

int si_code_of_status(uint16_t status)
{
    switch (status) {
    case 400:
        return SI_INVALID_ARGUMENT;
    case 404:
        return SI_NOT_FOUND;
    case 500:
        return SI_INTERNAL;
    default:
        return SI_UNKNOWN;
    }
}

/* --- names and ids ------------------------------------------------------------- */

struct span si_uuid(struct si_world *w, struct arena *a)
{
    uint64_t x = rng_u64(&w->rng), y = rng_u64(&w->rng);
    return si_text(a, "%08x-%04x-4%03x-%04x-%012llx", (unsigned)(x >> 32),
                   (unsigned)(x >> 16) & 0xffff, (unsigned)x & 0xfff,
                   ((unsigned)(y >> 48) & 0x3fff) | 0x8000,
                   (unsigned long long)y & 0xffffffffffff);
}

struct span si_xid(struct si_world *w, struct arena *a)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
    char text[20];
    uint64_t bits = 0;
    for (size_t i = 0; i < sizeof text; i++) {
        if (i % 12 == 0)
            bits = rng_u64(&w->rng);
        text[i] = digits[bits & 31];
        bits >>= 5;
    }
    return arena_dup(a, span_of(text, sizeof text));
}

struct span si_internal_name(struct arena *a, const struct si_model *m)
{
    return si_text(a, "%.*s_%llu", SPAN_ARG(m->name), (unsigned long long)m->version);
}

void si_own_failure(struct si_call *c, const struct err *e)
{
    struct span text = si_text(&c->arena, "stand-in: %s", e->text);
    if (c->request.grpc)
        si_reply_grpc(c, SI_INTERNAL, text);
    else
        si_reply_rest(c, 500, "text/plain", text);
}

/* --- Go's header maps ---------------------------------------------------------- */

static struct span canonical(struct arena *a, struct span name)
{
    uint8_t *p = arena_alloc(a, name.n + 1);
    if (!p)
        return name;
    bool first = true;
    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = name.p[i];
        if (first && c >= 'a' && c <= 'z')
            c &= (uint8_t)~32u;
        else if (!first && c >= 'A' && c <= 'Z')
            c |= 32;
        first = c == '-';
        p[i] = c;
    }
    return span_of(p, name.n);
}

static int compare_names(struct span a, struct span b)
{
    int order = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

void si_go_fields(struct si_fields *f, struct arena *a)
{
    for (uint32_t i = 0; i < f->n; i++) {
        struct op_header h = {canonical(a, f->v[i].name), f->v[i].value};
        uint32_t j = i;
        for (; j > 0 && compare_names(f->v[j - 1].name, h.name) > 0; j--)
            f->v[j] = f->v[j - 1];
        f->v[j] = h;
    }
}
