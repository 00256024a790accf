/*
 * si_tier.h - what each tier of SCv2 makes of a request, as a table and a function per
 * hop.
 *
 * A request goes through its hops as in SCv2: envoy hands to rproxy or to the pipeline
 * gateway, rproxy to the server, and each hop changes the answer on its way back. A hop
 * decides everything at once, without time and without sockets; what the answer costs
 * (runs, extra time) stands in the reply. What is imitated, of which release and with
 * which evidence, stands in README.md. One thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DEPLOY_STANDIN_SI_TIER_H
#define DEPLOY_STANDIN_SI_TIER_H

#include "deploy/standin/si_catalog.h"
#include "deploy/standin/si_message.h"
#include "deploy/standin/si_work.h"
#include "traces/base/clk.h"
#include "traces/base/rng.h"

enum si_release { SI_RELEASE_2_10, SI_RELEASE_2_8 };
extern const char *const si_release_names[]; /* "2.10" "2.8" */

/* gRPC codes that tiers answer with. */
enum si_code {
    SI_OK = 0,
    SI_UNKNOWN = 2,
    SI_INVALID_ARGUMENT = 3,
    SI_NOT_FOUND = 5,
    SI_FAILED_PRECONDITION = 9,
    SI_UNIMPLEMENTED = 12,
    SI_INTERNAL = 13,
    SI_UNAVAILABLE = 14,
};

/* What hops know besides the request. */
struct si_world {
    struct si_catalog catalog;
    enum si_release release;
    bool cold; /* imitate the stall of the first call through the pipeline gateway */
    uint32_t stream_messages; /* that a streaming call gets for each request; >= 1 */
    struct si_works *works;
    const struct clk *clk;
    struct rng rng; /* generated ids, back-off times, experiment draws */
    bool model_seen_at_gateway, pipeline_seen_at_gateway;
    /* Release 2.8: models that were called through the gateway, NAME and a NUL each. */
    struct buf poisoned;
    char date[40];
    int64_t date_second;
};

int si_world_init(struct si_world *w, const struct clk *clk, uint64_t seed,
                  struct err *e) MUST_USE;
void si_world_done(struct si_world *w);
struct span si_world_date(struct si_world *w, struct arena *a); /* IMF-fixdate */

typedef void si_hop_fn(struct si_world *w, struct si_call *c);

struct si_tier {
    const char *name;
    const char *http_at, *grpc_at; /* ports of SCv2's docker compose, on loopback */
    bool one_port;       /* HTTP/1.1, h2c and gRPC are told apart by preface */
    int64_t idle_ns;     /* a quiet HTTP/1.1 connection is closed; 0: never */
    bool times_out;      /* silent streams end after --stream-timeout */
    uint32_t h2_streams; /* SETTINGS_MAX_CONCURRENT_STREAMS; 0: not sent */
    uint32_t h2_window, h2_frame, h2_connection_window;
    si_hop_fn *rest, *grpc;
};

enum { SI_ENVOY, SI_RPROXY, SI_SERVER, SI_GATEWAY, SI_TIER_COUNT };
extern const struct si_tier si_tiers[SI_TIER_COUNT];
/* By name; "modelgateway" is the pipeline gateway: models are called there too. */
const struct si_tier *si_tier_find(const char *name);

/* The hops. */
si_hop_fn si_envoy_rest, si_envoy_grpc;
si_hop_fn si_rproxy_rest, si_rproxy_grpc;
si_hop_fn si_server_rest, si_server_grpc;
si_hop_fn si_gateway_rest, si_gateway_grpc;

/* The server under a name that rproxy gives: overrides path or model_name. */
void si_server_rest_as(struct si_world *w, struct si_call *c, struct span internal);
void si_server_grpc_as(struct si_world *w, struct si_call *c, struct span internal);

/* What envoy answers to a call that has been silent for too long. */
void si_envoy_stream_timeout(struct si_world *w, struct si_call *c);

/* --- what hops share ----------------------------------------------------------- */

/* "/v2/models/NAME/REST" in parts; version is behind "/versions/", query behind '?'. */
struct si_path {
    bool pipelines;                  /* /v2/pipelines/… */
    struct span name, version, rest; /* rest with its slash: "/infer"; may be empty */
};
bool si_path_split(struct span target, struct si_path *path); /* false: another form */

/* The method of "/inference.GRPCInferenceService/METHOD"; empty for another service. */
struct span si_grpc_method(struct span path);
/* The next message of a gRPC body. False at its end, or when a prefix is wrong or asks
 * for decompression. */
bool si_grpc_next(struct cursor *body, struct span *message);
/* Appends a message behind its prefix. */
void si_grpc_put(struct buf *out, struct span message);
/* The reply is OK, with these messages and their prefixes; or with one without. */
void si_grpc_reply(struct si_call *c, struct span messages);
void si_grpc_reply_one(struct si_call *c, struct span message);

/* ServerReadyResponse, ModelReadyResponse and ServerLiveResponse are alike. */
struct span si_proto_flag(struct arena *a, bool flag);
/* Appends a string field; an empty string is left out. */
void si_proto_put_string(struct buf *b, uint32_t field, struct span s);
/* The first string with that field number at the top level; empty when absent. */
struct span si_proto_string(struct span message, uint32_t field);

struct span si_uuid(struct si_world *w, struct arena *a); /* of a server's answer */
struct span si_xid(struct si_world *w, struct arena *a); /* of rproxy and the gateway */
struct span si_internal_name(struct arena *a, const struct si_model *m); /* "iris1_1" */
int si_code_of_status(uint16_t status); /* MLServer's mapping */
/* Answers with the text of e as an error of the stand-in itself: 500 or INTERNAL. */
void si_own_failure(struct si_call *c, const struct err *e);

/* A header map as Go writes one: canonical names ("X-Request-Id"), sorted; lines of one
 * name keep their order. */
void si_go_fields(struct si_fields *f, struct arena *a);

#endif
