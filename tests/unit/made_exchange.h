/*
 * made_exchange.h - exchanges for tests, as a parser would tell them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_UNIT_MADE_EXCHANGE_H
#define TESTS_UNIT_MADE_EXCHANGE_H

#include "capture/exchange.h"

#define MADE_EPOCH_NS INT64_C(1700000000000000000)

/* Headers as "name: value" lines; a line without a name is one that could not be
 * decoded. They live until the next call of made_headers with that slot (0 … 3). */
void made_headers(struct cap_message *m, unsigned slot, const char *lines);

/* POST path with a body, answered 200 after 2 ms … 3 ms; at_ms since MADE_EPOCH_NS.
 * Slots 0 and 1 hold its headers. */
struct cap_exchange made_rest(int64_t at_ms, const char *path, const char *lines,
                              const char *body);
/* The same as a unary gRPC call. */
struct cap_exchange made_grpc(int64_t at_ms, const char *lines, struct span body);

/* The header of that name in a list, or the empty span. */
struct span made_find(const struct op_header *h, uint32_t n, const char *name);

#endif
