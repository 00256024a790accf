/*
 * call_name.c - see call_name.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/payload/call_name.h"

static void split_version(struct call_name *c)
{
    size_t at = c->name.n;
    while (at > 0 && c->name.p[at - 1] >= '0' && c->name.p[at - 1] <= '9')
        at--;
    if (at < 2 || at == c->name.n || c->name.p[at - 1] != '_')
        return;
    c->version = span_sub(c->name, at, c->name.n);
    c->name = span_sub(c->name, 0, at - 1);
}

bool call_name_of_value(struct span value, struct call_name *c)
{
    static const struct {
        const char *suffix;
        enum op_resource resource;
    } forms[] = {{".pipeline", OP_PIPELINE},
                 {".model", OP_MODEL},
                 {".experiment", OP_EXPERIMENT}};
    *c = (struct call_name){.name = value, .resource = OP_MODEL};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (span_ends(value, forms[i].suffix)) {
            c->name = span_sub(value, 0, value.n - strlen(forms[i].suffix));
            c->resource = forms[i].resource;
            break;
        }
    if (c->resource == OP_MODEL)
        split_version(c);
    return c->name.n > 0;
}

/* /v2/models/NAME… and /v2/pipelines/NAME…; *rest is what follows the name. */
static bool split_path(struct span path, struct span *name, enum op_resource *resource,
                       struct span *rest)
{
    static const struct {
        const char *root;
        enum op_resource resource;
    } roots[] = {{"/v2/models/", OP_MODEL}, {"/v2/pipelines/", OP_PIPELINE}};
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
        if (!span_starts(path, roots[i].root))
            continue;
        size_t at = strlen(roots[i].root), end = span_find(path, '/', at);
        *name = span_sub(path, at, end);
        *resource = roots[i].resource;
        *rest = span_sub(path, end, path.n);
        return name->n > 0;
    }
    return false;
}

bool call_name_of_path(struct span path, struct call_name *c)
{
    struct span name, rest;
    enum op_resource resource;
    if (!split_path(path, &name, &resource, &rest) || !call_name_of_value(name, c))
        return false;
    if (resource == OP_PIPELINE)
        *c = (struct call_name){.name = name, .resource = OP_PIPELINE};
    return true;
}

struct span call_name_of_message(struct span message)
{
    struct cursor c = cursor_of(message);
    struct span name = {0};
    while (cursor_left(&c) > 0 && !c.bad) {
        uint64_t tag = cursor_varint(&c);
        if ((tag & 7) != 2) /* all of its fields are length-delimited */
            return (struct span){0};
        struct span value = cursor_take(&c, (size_t)cursor_varint(&c));
        if (tag >> 3 == 1 && !c.bad)
            name = value;
    }
    return c.bad ? (struct span){0} : name;
}

bool call_is_inference(bool grpc, struct span method, struct span path)
{
    struct span name, rest;
    enum op_resource resource;
    if (grpc)
        return span_eq_str(path, CALL_GRPC_SERVICE "ModelInfer") ||
               span_eq_str(path, CALL_GRPC_SERVICE "ModelStreamInfer");
    if (!span_eq_str(method, "POST") || !split_path(path, &name, &resource, &rest))
        return false;
    if (span_starts(rest, "/versions/"))
        rest = span_sub(rest, span_find(rest, '/', strlen("/versions/")), rest.n);
    return span_starts(rest, "/infer") || span_starts(rest, "/generate");
}
