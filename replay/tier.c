/*
 * tier.c - see tier.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/tier.h"

#include <string.h>

/* The server behind rproxy gets its model_name from rproxy whatever the client wrote,
 * so at envoy any name would do; the internal one also works where envoy fronts a bare
 * server. */
static const struct rep_tier_rule rules[] = {
    /* tier, protocol, resource, path or model_name, seldon-model, its internal twin */
    {OP_TIER_ENVOY, OP_REST, OP_MODEL, REP_NAME_BARE, REP_NAME_BARE, REP_NAME_NONE},
    {OP_TIER_ENVOY, OP_GRPC, OP_MODEL, REP_NAME_INTERNAL, REP_NAME_BARE, REP_NAME_NONE},
    {OP_TIER_ENVOY, OP_REST, OP_PIPELINE, REP_NAME_BARE, REP_NAME_PIPELINE,
     REP_NAME_NONE},
    {OP_TIER_ENVOY, OP_GRPC, OP_PIPELINE, REP_NAME_BARE, REP_NAME_PIPELINE,
     REP_NAME_NONE},
    {OP_TIER_ENVOY, OP_REST, OP_EXPERIMENT, REP_NAME_BARE, REP_NAME_EXPERIMENT,
     REP_NAME_NONE},
    {OP_TIER_ENVOY, OP_GRPC, OP_EXPERIMENT, REP_NAME_BARE, REP_NAME_EXPERIMENT,
     REP_NAME_NONE},
    {OP_TIER_RPROXY, OP_REST, OP_MODEL, REP_NAME_BARE, REP_NAME_BARE,
     REP_NAME_INTERNAL},
    {OP_TIER_RPROXY, OP_GRPC, OP_MODEL, REP_NAME_BARE, REP_NAME_BARE,
     REP_NAME_INTERNAL},
    {OP_TIER_SERVER, OP_REST, OP_MODEL, REP_NAME_INTERNAL, REP_NAME_NONE,
     REP_NAME_NONE},
    {OP_TIER_SERVER, OP_GRPC, OP_MODEL, REP_NAME_INTERNAL, REP_NAME_NONE,
     REP_NAME_NONE},
    {OP_TIER_PIPELINEGATEWAY, OP_REST, OP_PIPELINE, REP_NAME_BARE, REP_NAME_PIPELINE,
     REP_NAME_NONE},
    {OP_TIER_PIPELINEGATEWAY, OP_GRPC, OP_PIPELINE, REP_NAME_BARE, REP_NAME_PIPELINE,
     REP_NAME_NONE},
    {OP_TIER_MODELGATEWAY, OP_REST, OP_MODEL, REP_NAME_BARE, REP_NAME_MODEL,
     REP_NAME_NONE},
    {OP_TIER_MODELGATEWAY, OP_GRPC, OP_MODEL, REP_NAME_BARE, REP_NAME_MODEL,
     REP_NAME_NONE},
    /* What the pipeline gateway writes for them, and what other producers may. */
    {OP_TIER_KAFKA, OP_REST, OP_MODEL, REP_NAME_BARE, REP_NAME_NONE, REP_NAME_NONE},
    {OP_TIER_KAFKA, OP_GRPC, OP_MODEL, REP_NAME_BARE, REP_NAME_NONE, REP_NAME_NONE},
    {OP_TIER_KAFKA, OP_KAFKA, OP_MODEL, REP_NAME_BARE, REP_NAME_NONE, REP_NAME_NONE},
    {OP_TIER_KAFKA, OP_REST, OP_PIPELINE, REP_NAME_BARE, REP_NAME_NONE, REP_NAME_NONE},
    {OP_TIER_KAFKA, OP_GRPC, OP_PIPELINE, REP_NAME_BARE, REP_NAME_NONE, REP_NAME_NONE},
    {OP_TIER_KAFKA, OP_KAFKA, OP_PIPELINE, REP_NAME_BARE, REP_NAME_NONE, REP_NAME_NONE},
};
#define RULE_COUNT (sizeof rules / sizeof *rules)

static const char *no_rule(enum op_tier tier, enum op_protocol protocol,
                           enum op_resource resource)
{
    if (protocol == OP_KAFKA && tier != OP_TIER_KAFKA)
        return "a Kafka operation needs the tier kafka";
    if (protocol == OP_CONTROL)
        return "a control operation goes to the scheduler, not to a data-plane tier";
    if (tier == OP_TIER_MODELGATEWAY)
        return "the tier modelgateway takes models only";
    if (tier == OP_TIER_PIPELINEGATEWAY)
        return "the tier pipelinegateway takes pipelines only (models: modelgateway)";
    if (tier == OP_TIER_KAFKA)
        return "the tier kafka takes models and pipelines only";
    if (resource == OP_PIPELINE)
        return "a pipeline can be called at envoy, pipelinegateway and kafka only";
    if (resource == OP_EXPERIMENT)
        return "an experiment can be called at envoy only";
    return "this tier does not take this kind of operation";
}

const struct rep_tier_rule *rep_tier_rule(enum op_tier tier, enum op_protocol protocol,
                                          enum op_resource resource, const char **why)
{
    for (size_t i = 0; i < RULE_COUNT; i++)
        if (rules[i].tier == tier && rules[i].protocol == protocol &&
            rules[i].resource == resource)
            return &rules[i];
    if (why)
        *why = no_rule(tier, protocol, resource);
    return NULL;
}

const struct rep_tier_rule *rep_tier_rule_at(size_t i)
{
    return i < RULE_COUNT ? &rules[i] : NULL;
}

static uint64_t version_of(const struct rep_versions *v, struct span name)
{
    for (size_t i = 0; i < v->count; i++)
        if (span_eq(v->listed[i].name, name))
            return v->listed[i].version;
    return v->common;
}

void rep_tier_name(const struct rep_versions *v, enum rep_name form, struct span name,
                   struct buf *out)
{
    static const char *const suffixes[] = {
        [REP_NAME_MODEL] = ".model",
        [REP_NAME_PIPELINE] = ".pipeline",
        [REP_NAME_EXPERIMENT] = ".experiment",
    };
    if (form == REP_NAME_NONE)
        return;
    buf_span(out, name);
    if (form == REP_NAME_INTERNAL)
        buf_fmt(out, "_%llu", (unsigned long long)version_of(v, name));
    else if (form != REP_NAME_BARE)
        buf_str(out, suffixes[form]);
}

/* The part of a path behind "/v2/models/NAME" or "/v2/pipelines/NAME"; false when the
 * path names neither. */
static bool resource_rest(struct span path, struct span *rest)
{
    static const char *const roots[] = {"/v2/models/", "/v2/pipelines/"};
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
        if (!span_starts(path, roots[i]))
            continue;
        size_t at = strlen(roots[i]), end = at;
        while (end < path.n && path.p[end] != '/' && path.p[end] != '?')
            end++;
        if (end == at)
            return false;
        *rest = span_sub(path, end, path.n);
        return true;
    }
    return false;
}

static struct span without_version(struct span rest)
{
    static const char versions[] = "/versions/";
    if (!span_starts(rest, versions))
        return rest;
    size_t end = sizeof versions - 1;
    while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?')
        end++;
    return span_sub(rest, end, rest.n);
}

void rep_tier_path(const struct rep_tier_rule *rule, const struct rep_versions *v,
                   const struct op_stream *s, struct buf *out)
{
    struct span rest = SPAN_LIT("/infer");
    if (s->path.n > 0 && !resource_rest(s->path, &rest)) {
        buf_span(out, s->path);
        return;
    }
    buf_str(out, "/v2/models/");
    rep_tier_name(v, rule->target, s->name, out);
    buf_span(out, rule->tier == OP_TIER_SERVER ? without_version(rest) : rest);
}

bool rep_tier_name_ok(struct span name)
{
    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = name.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
        if (!ok)
            return false;
    }
    return name.n > 0;
}

bool rep_tier_is_token(struct span name)
{
    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = name.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  (c >= '0' && c <= '9') || (c != 0 && strchr("!#$%&'*+-.^_`|~", c));
        if (!ok)
            return false;
    }
    return name.n > 0;
}

bool rep_tier_header_passes(const struct op_header *h)
{
    static const char *const names[] = {
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "host",
        "content-length",
        "expect",
        "http2-settings",
        /* routing */
        "seldon-model",
        "seldon-internal-model",
        "x-seldon-route",
        /* ours to set */
        "x-request-id",
        "content-type",
        "content-encoding",
        "accept-encoding",
        "user-agent",
        /* credentials do not come from a trace */
        "authorization",
        "cookie",
    };
    static const char *const starts[] = {"x-envoy-", "x-forwarded-", "proxy-", "grpc-"};

    if (!rep_tier_is_token(h->name))
        return false;
    /* A capture may leave no more than the mark that there was one. */
    if (h->value.n == 0 && span_eq_nocase(h->name, "traceparent"))
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (span_eq_nocase(h->name, names[i]))
            return false;
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        size_t n = strlen(starts[i]);
        if (h->name.n >= n && span_eq_nocase(span_sub(h->name, 0, n), starts[i]))
            return false;
    }
    for (size_t i = 0; i < h->value.n; i++)
        if ((h->value.p[i] < 0x20 && h->value.p[i] != '\t') || h->value.p[i] == 0x7f)
            return false;
    return true;
}

/* The gateway passes x- headers on and no others; what it and the dataflow engine add
 * on the way is not asked for again. */
bool rep_tier_record_header_passes(enum op_protocol protocol, const struct op_header *h)
{
    static const char *const names[] = {"pipeline", "x-pipeline-version",
                                        "seldon-pipeline-errors"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (span_eq_nocase(h->name, names[i]))
            return false;
    return rep_tier_header_passes(h) &&
           (protocol == OP_KAFKA || span_starts(h->name, "x-"));
}

bool rep_tier_needs_unique_id(enum op_tier tier, enum op_resource resource)
{
    return tier == OP_TIER_PIPELINEGATEWAY || tier == OP_TIER_MODELGATEWAY ||
           tier == OP_TIER_KAFKA || resource == OP_PIPELINE ||
           resource == OP_EXPERIMENT;
}
