/*
 * kafka_session.h - one capture from Kafka's topics to a closed trace.
 *
 *   source_kafka -> join -> redact -> order -> writer
 *
 * Records' time drives everything: topics that do not change give the same trace each
 * time. Arrivals are in steps of 1 ms, as the records' times are. One thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_KAFKA_SESSION_H
#define CAPTURE_KAFKA_SESSION_H

#include <signal.h>

#include "capture/order.h"
#include "capture/redact.h"
#include "capture/source_kafka.h"
#include "traces/base/jsonw.h"

struct cap_kafka_session_config {
    struct cap_kafka_config source;
    const char *out; /* "-": standard output */
    struct cap_redact_options redact;
    int64_t answer_wait_ns, hold_ns; /* of records' time */
    int64_t duration_ns;             /* of records' time since the first; 0: no end */
    int64_t flush_ns;                /* live: a block of the trace is at most so old */
    size_t memory_bytes;
    const volatile sig_atomic_t *interrupts; /* a count, or NULL */
};

struct cap_kafka_result {
    struct cap_kafka_counts counts;
    struct cap_kafka_reads reads;
    struct cap_order_counts order;
    struct cap_redact_counts redact;
    uint64_t recorded, shed; /* requests; shed: by order.h, for lack of memory */
    int64_t span_ns;
    bool interrupted, closed;
};

/* As cap_session_run: the trace is closed properly also when the brokers failed or a
 * signal came. Nothing is written before the first record or the end. */
int cap_kafka_session_run(const struct cap_kafka_session_config *config,
                          struct cap_kafka_result *result, struct err *e) MUST_USE;

/* Of the requests that were read, how many are in the trace. False: there were none. */
bool cap_kafka_share(const struct cap_kafka_result *r, double *share);
/* The summary for people, and as members of an open JSON object. */
void cap_kafka_text(const struct cap_kafka_result *r, struct buf *out);
void cap_kafka_json(const struct cap_kafka_result *r, struct jsonw *w);

#endif
