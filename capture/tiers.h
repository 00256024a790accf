/*
 * tiers.h - which server port is which tier of SCv2.
 *
 * A map is a comma list of [lo:]PORT=TIER and of presets. "lo:" means connections
 * between addresses of one machine's loopback only, and wins over the same port without
 * it: in a pod, port 9000 on the loopback is the inference server behind its proxy, on
 * the pod's address it is envoy. `kafka` names a port whose connections are read as
 * Kafka's own protocol (kafka_wire.h). The ports of the presets are those that Seldon
 * Core v2's charts and its compose file give. Zeroed is a valid empty map. Thread-safe
 * once it is filled.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_TIERS_H
#define CAPTURE_TIERS_H

#include "capture/packet.h"
#include "traces/op.h"

#define CAP_TIERS_MAX 128u

struct cap_tier_port {
    uint16_t port;
    bool loopback; /* only between loopback addresses */
    enum op_tier tier;
};
struct cap_tiers {
    struct cap_tier_port v[CAP_TIERS_MAX];
    size_t n;
};

/* The presets by name, with what they stand for: "9000=envoy,9001=rproxy,…". NULL past
 * the last. */
const char *cap_tiers_preset(size_t i, const char **name);

/* Adds what `map` says. ERR_USAGE names the word that is wrong, also where one port is
 * given two tiers; ERR_LIMIT above CAP_TIERS_MAX. */
int cap_tiers_add(struct cap_tiers *t, const char *map, struct err *e) MUST_USE;

/* The tier of a connection, or OP_TIER_ANY when its server's port is not mapped. */
enum op_tier cap_tiers_find(const struct cap_tiers *t,
                            const struct cap_endpoint *client,
                            const struct cap_endpoint *server);

/* The mapped ports, each once; returns how many. */
size_t cap_tiers_ports(const struct cap_tiers *t, uint16_t out[CAP_TIERS_MAX]);

/* 127.0.0.0/8 and ::1. */
bool cap_endpoint_loopback(const struct cap_endpoint *p);

#endif
