/*
 * tiers.c - see tiers.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/tiers.h"

#include <string.h>

/* The pipeline gateway's ports carry models as well: what a request is for decides
 * between pipelinegateway and modelgateway (record.h). Port 80 is the mesh's service in
 * front of envoy. */
static const struct {
    const char *name, *map;
} presets[] = {
    {"k8s", "80=envoy,9000=envoy,lo:9000=server,9500=server,9001=rproxy,9501=rproxy,"
            "9010=pipelinegateway,9011=pipelinegateway,9092=kafka"},
    {"compose", "9000=envoy,9999=rproxy,9998=rproxy,9997=rproxy,9996=rproxy,8080="
                "server,8081=server,8082=server,8083=server,9010=pipelinegateway,9011="
                "pipelinegateway,9092=kafka"},
};
#define PRESETS (sizeof presets / sizeof *presets)

const char *cap_tiers_preset(size_t i, const char **name)
{
    if (i >= PRESETS)
        return NULL;
    *name = presets[i].name;
    return presets[i].map;
}

static int add_port(struct cap_tiers *t, struct cap_tier_port p, struct span word,
                    struct err *e)
{
    for (size_t i = 0; i < t->n; i++) {
        if (t->v[i].port != p.port || t->v[i].loopback != p.loopback)
            continue;
        if (t->v[i].tier == p.tier)
            return 0;
        return err_set(e, ERR_USAGE, "--map '%.*s': port %u is %s already",
                       SPAN_ARG(word), p.port, op_tier_names[t->v[i].tier]);
    }
    if (t->n == CAP_TIERS_MAX)
        return err_set(e, ERR_LIMIT, "--map: more than %u ports", CAP_TIERS_MAX);
    t->v[t->n++] = p;
    return 0;
}

static bool tier_of(struct span name, enum op_tier *tier)
{
    for (int i = OP_TIER_ENVOY; i < OP_TIER_COUNT; i++)
        if (span_eq_str(name, op_tier_names[i])) {
            *tier = (enum op_tier)i;
            return true;
        }
    return false;
}

static int add_word(struct cap_tiers *t, struct span word, struct err *e)
{
    for (size_t i = 0; i < PRESETS; i++)
        if (span_eq_str(word, presets[i].name))
            return cap_tiers_add(t, presets[i].map, e);

    struct cap_tier_port p = {.loopback = span_starts(word, "lo:")};
    struct span rest = span_sub(word, p.loopback ? 3 : 0, word.n);
    size_t equals = span_find(rest, '=', 0);
    uint64_t port = 0;
    if (!span_u64(span_sub(rest, 0, equals), &port) || equals == rest.n)
        return err_set(
            e, ERR_USAGE,
            "--map '%.*s' is neither [lo:]PORT=TIER nor a preset (k8s, compose)",
            SPAN_ARG(word));
    if (port == 0 || port > UINT16_MAX)
        return err_set(e, ERR_USAGE, "--map '%.*s': no port has this number",
                       SPAN_ARG(word));
    if (!tier_of(span_sub(rest, equals + 1, rest.n), &p.tier))
        return err_set(e, ERR_USAGE,
                       "--map '%.*s': the tiers are envoy, rproxy, server, "
                       "pipelinegateway, modelgateway and kafka",
                       SPAN_ARG(word));
    p.port = (uint16_t)port;
    return add_port(t, p, word, e);
}

int cap_tiers_add(struct cap_tiers *t, const char *map, struct err *e)
{
    struct span left = span_str(map);
    for (;;) {
        size_t comma = span_find(left, ',', 0);
        int rc = add_word(t, span_trim(span_sub(left, 0, comma)), e);
        if (rc < 0 || comma == left.n)
            return rc;
        left = span_sub(left, comma + 1, left.n);
    }
}

bool cap_endpoint_loopback(const struct cap_endpoint *p)
{
    static const uint8_t v4[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    static const uint8_t v6[16] = {[15] = 1};
    return (memcmp(p->addr, v4, sizeof v4) == 0 && p->addr[12] == 127) ||
           memcmp(p->addr, v6, sizeof v6) == 0;
}

enum op_tier cap_tiers_find(const struct cap_tiers *t,
                            const struct cap_endpoint *client,
                            const struct cap_endpoint *server)
{
    bool lo = cap_endpoint_loopback(client) && cap_endpoint_loopback(server);
    enum op_tier found = OP_TIER_ANY;
    for (size_t i = 0; i < t->n; i++) {
        if (t->v[i].port != server->port)
            continue;
        if (t->v[i].loopback && lo)
            return t->v[i].tier;
        if (!t->v[i].loopback)
            found = t->v[i].tier;
    }
    return found;
}

size_t cap_tiers_ports(const struct cap_tiers *t, uint16_t out[CAP_TIERS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        size_t known = 0;
        while (known < n && out[known] != t->v[i].port)
            known++;
        if (known == n)
            out[n++] = t->v[i].port;
    }
    return n;
}
