/* si_message.c - see si_message.h. SPDX-License-Identifier: Apache-2.0 */
#include "deploy/standin/si_message.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void si_fields_add(struct si_fields *f, struct arena *a, struct span name,
                   struct span value)
{
    if (f->n == f->cap) {
        uint32_t cap = f->cap ? f->cap * 2 : 24;
        struct op_header *v = arena_alloc(a, cap * sizeof *v);
        if (!v)
            return; /* the client sees a field less */
        if (f->n)
            memcpy(v, f->v, f->n * sizeof *v);
        f->v = v;
        f->cap = cap;
    }
    f->v[f->n++] = (struct op_header){name, value};
}

static bool same_name(struct span a, struct span b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        uint8_t x = a.p[i], y = b.p[i];
        if (x >= 'A' && x <= 'Z')
            x |= 32;
        if (y >= 'A' && y <= 'Z')
            y |= 32;
        if (x != y)
            return false;
    }
    return true;
}

void si_fields_set(struct si_fields *f, struct arena *a, struct span name,
                   struct span value)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (same_name(f->v[i].name, name)) {
            f->v[i].value = value;
            return;
        }
    si_fields_add(f, a, name, value);
}

void si_fields_remove(struct si_fields *f, const char *name)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < f->n; i++)
        if (!span_eq_nocase(f->v[i].name, name))
            f->v[kept++] = f->v[i];
    f->n = kept;
}

const struct op_header *si_fields_first(const struct si_fields *f, const char *name)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (span_eq_nocase(f->v[i].name, name))
            return &f->v[i];
    return NULL;
}

const struct op_header *si_fields_last(const struct si_fields *f, const char *name)
{
    for (uint32_t i = f->n; i-- > 0;)
        if (span_eq_nocase(f->v[i].name, name))
            return &f->v[i];
    return NULL;
}

uint32_t si_fields_count(const struct si_fields *f, const char *name)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->n; i++)
        n += span_eq_nocase(f->v[i].name, name);
    return n;
}

struct span si_fields_get(const struct si_fields *f, const char *name)
{
    const struct op_header *h = si_fields_first(f, name);
    return h ? h->value : (struct span){0};
}

struct span si_text(struct arena *a, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0)
        return (struct span){0};
    size_t length = (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    return arena_dup(a, span_of(text, length));
}

struct span si_lower_case(struct arena *a, struct span s)
{
    uint8_t *p = arena_alloc(a, s.n + 1);
    if (!p)
        return (struct span){0};
    for (size_t i = 0; i < s.n; i++)
        p[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (uint8_t)(s.p[i] | 32) : s.p[i];
    return span_of(p, s.n);
}

struct span si_join(struct arena *a, struct span x, char between, struct span y)
{
    uint8_t *p = arena_alloc(a, x.n + y.n + 1);
    if (!p)
        return (struct span){0};
    if (x.n)
        memcpy(p, x.p, x.n);
    p[x.n] = (uint8_t)between;
    if (y.n)
        memcpy(p + x.n + 1, y.p, y.n);
    return span_of(p, x.n + y.n + 1);
}

void si_reply_rest(struct si_call *c, uint16_t status, const char *content_type,
                   struct span body)
{
    struct si_reply *r = &c->reply;
    r->fate = SI_ANSWERED;
    r->status = status;
    r->grpc_status = SI_NO_GRPC;
    r->body = body;
    if (content_type)
        si_fields_add(&r->fields, &c->arena, SPAN_LIT("content-type"),
                      span_str(content_type));
    si_fields_set(&r->fields, &c->arena, SPAN_LIT("content-length"),
                  si_text(&c->arena, "%zu", body.n));
}

void si_reply_grpc(struct si_call *c, int code, struct span text)
{
    struct si_reply *r = &c->reply;
    r->fate = SI_ANSWERED;
    r->status = 200;
    r->grpc_status = code;
    r->grpc_message = text;
    r->body = (struct span){0};
    si_fields_set(&r->fields, &c->arena, SPAN_LIT("content-type"),
                  SPAN_LIT("application/grpc"));
}
