/*
 * kafka_conf.h - settings of librdkafka as options give them: KEY=VALUE.
 *
 * VALUE may be file:PATH (its content, without the line end) or env:NAME (what that
 * variable of the environment holds), and must be for what is secret. No error names a
 * value that may be one. Refused is what the caller decides by itself, what would join
 * a group or commit, and what would load code. One thread at a time for each
 * configuration.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_WIRE_KAFKA_CONF_H
#define TRACES_WIRE_KAFKA_CONF_H

#include "traces/base/err.h"

struct rd_kafka_conf_s; /* rd_kafka_conf_t of librdkafka */

/* Sets what the caller decides. ERR_USAGE: librdkafka does not take it. */
int kafka_conf_set(struct rd_kafka_conf_s *conf, const char *name, const char *value,
                   struct err *e) MUST_USE;

/* Sets what --kafka-option gives. own: parts of names that are the caller's too, ended
 * by NULL; or NULL: none. who: "a capture", for the message. ERR_USAGE; ERR_IO: a file
 * cannot be read. */
int kafka_conf_option(struct rd_kafka_conf_s *conf, const char *option,
                      const char *const *own, const char *who, struct err *e) MUST_USE;

#endif
