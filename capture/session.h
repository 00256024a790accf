/*
 * session.h - one capture from its source to a closed trace.
 *
 *   source -> link -> flow -> stream -> recorder (record, redact, order) -> writer
 *
 * Packet time drives everything: a file gives the same trace each time. One thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_SESSION_H
#define CAPTURE_SESSION_H

#include <signal.h>

#include "capture/account.h"
#include "capture/redact.h"
#include "capture/tiers.h"

#define CAP_MEMORY_MIN ((size_t)32 << 20)

struct cap_session_config {
    const char *interface;    /* NULL: */
    const char *const *files; /* one after another; "-": standard input */
    size_t file_count;
    const char *out; /* "-": standard output */
    const char *map; /* as given, for the notes */
    struct cap_tiers tiers;
    struct cap_redact_options redact;
    size_t ring_bytes;
    const char *user;       /* to become once the interface is open, or NULL */
    int64_t answer_wait_ns; /* packet time until a request counts as unanswered */
    int64_t hold_ns;        /* 0: CAP_ORDER_HOLD_NS */
    /* Of packet time since the first packet, or of a live capture's time when none came
     * for that long; 0: no end. */
    int64_t duration_ns;
    int64_t flush_ns;    /* live: a block of the trace is at most so old */
    size_t memory_bytes; /* for all parts together */
    bool store;          /* nothing is compressed */
    bool compress;       /* large bodies are, too; not with store */
    const volatile sig_atomic_t *interrupts; /* a count, or NULL */
    void (*progress)(void *arg, const struct cap_parts *p, int64_t span_ns);
    void *progress_arg; /* called about once a second of real time; NULL: not */
};

/* Counts of all parts when the capture was over. */
struct cap_session_result {
    struct cap_tallies tallies;
    struct cap_flow_totals flows;
    struct cap_parse_totals parse;
    struct cap_order_counts order;
    struct cap_link_counts link;
    struct cap_source_counts source;
    struct cap_kwire_counts kwire;
    struct cap_krecords_counts krecords;
    struct cap_kafka_counts kafka;
    struct cap_redact_counts redact;
    struct cap_series series;
    struct cap_parts parts;   /* points at the above */
    int64_t span_ns;          /* from the first packet to the last */
    bool interrupted, closed; /* closed: the trace is whole */
};

/* The trace is closed properly also when the input was damaged or a signal came: then
 * the code says so (ERR_TRUNCATED, ERR_FORMAT, ERR_LIMIT, ERR_STOPPED) and *result is
 * good. With ERR_USAGE and before the first packet nothing is written. */
int cap_session_run(const struct cap_session_config *config,
                    struct cap_session_result *result, struct err *e) MUST_USE;

#endif
