/*
 * parse.h - what all connections of a capture share when their bytes are read.
 *
 * The ceilings, the memory they have in common, where exchanges go, and the totals. A
 * connection is a cap_stream (stream.h). One thread for a wire and all its connections.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_PARSE_H
#define CAPTURE_PARSE_H

#include "capture/exchange.h"

#define CAP_MESSAGE_MAX    (64u << 20) /* body bytes that are kept; more: hash only */
#define CAP_UNANSWERED_NS  (600 * CLK_SEC)
#define CAP_PARSE_MEMORY   ((uint64_t)128 << 20)
#define CAP_PIPELINED_MAX  4096u /* HTTP/1.1 requests that wait for their answers */
#define CAP_H2_STREAMS_MAX 4096u /* open at once on a connection */

/* Memory for what is pending, owned by the caller, who may lower the limit at any time.
 * From half of it on, requests that have come whole are told at once (exchange.h), so
 * that their bodies go on. As `used` nears it, answer bodies are no longer kept from
 * 3/4 on, request bodies from 7/8 on (length and hash stay exact); from 15/16 on half
 * of the connections, chosen by a stable hash, are given up, and at the limit any that
 * brings more. */
struct cap_budget {
    uint64_t limit_bytes, used_bytes, peak_bytes;
};

struct cap_flow_info;
struct cap_kwire_shared;
struct cap_spare;
struct cap_parse_config {
    cap_exchange_fn *exchange;
    void *arg;
    /* Which connections are Kafka's (kafka_wire.h); NULL: none. */
    bool (*is_kafka)(void *arg, const struct cap_flow_info *info);
    void *is_kafka_arg;
    struct cap_kwire_shared *kafka; /* borrowed */
    struct cap_budget *budget;      /* borrowed */
    struct cap_spare *spares;       /* borrowed; NULL: none */
    int64_t unanswered_ns;          /* 0: CAP_UNANSWERED_NS */
};

/* exchanges = answered + unanswered; the rest never became one. */
struct cap_parse_totals {
    struct cap_parse_counts dir[2];
    uint64_t exchanges, answered, unanswered, inferred;
    uint64_t lost_to_gap; /* requests that were begun but could not be read whole */
    uint64_t lost_malformed, lost_limit, lost_shed;
    uint64_t orphan_answers; /* of requests that were not seen */
    uint64_t bodies_elided;  /* by the message limit or the budget */
    uint64_t streams_dropped, hpack_errors, resyncs;
    uint64_t connections_http1, connections_http2, connections_tls, connections_unknown,
        connections_shed, connections_tunnel;
};

struct cap_parse;
/* NULL with ERR_NOMEM in *e. */
struct cap_parse *cap_parse_new(const struct cap_parse_config *config, struct err *e);
void cap_parse_free(struct cap_parse *w); /* after its last connection; NULL is fine */
/* Packet time passes: tells requests whose answers are slow, ages out what got none.
 * Every call with bytes does this; a live capture also does when it is quiet. */
void cap_parse_time(struct cap_parse *w, struct clk_wall now);
const struct cap_parse_totals *cap_parse_totals(const struct cap_parse *w);

/* First byte of the request that has waited longest of those that are read and not told
 * yet; `now` when there is none. A head that is still incomplete is not among them. */
struct clk_wall cap_parse_oldest(const struct cap_parse *w, struct clk_wall now);

#endif
