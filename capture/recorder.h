/*
 * recorder.h - from exchanges to a trace: named, redacted, ordered, counted.
 *
 * One thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_RECORDER_H
#define CAPTURE_RECORDER_H

#include "capture/account.h"
#include "capture/kafka_join.h"
#include "capture/redact.h"
#include "capture/tiers.h"

struct cap_recorder;
/* Borrows all three until free. ERR_NOMEM. */
int cap_recorder_new(struct cap_recorder **out, const struct cap_tiers *tiers,
                     struct cap_redact *redact, struct cap_order *order,
                     struct err *e) MUST_USE;
void cap_recorder_free(struct cap_recorder *r); /* NULL is fine */

/* A cap_exchange_fn: arg is the recorder. A failure is kept for cap_recorder_check, and
 * what comes after it is not recorded. */
void cap_recorder_take(void *arg, const struct cap_exchange *x);
/* 0, or the first failure. */
int cap_recorder_check(const struct cap_recorder *r, struct err *e) MUST_USE;

/* A cap_kafka_fn, of records that were seen on the wire: arg is the recorder. */
int cap_recorder_kafka(void *arg, enum cap_part part, struct cap_record *rec,
                       struct err *e) MUST_USE;

/* Live: counts change with each exchange. */
const struct cap_tallies *cap_recorder_tallies(const struct cap_recorder *r);

/* The internal versions that were seen, a note per model. */
int cap_recorder_note(const struct cap_recorder *r, struct trc_writer *w,
                      struct err *e) MUST_USE;

#endif
