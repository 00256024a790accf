/*
 * imp_gor.h - files of GoReplay as traces: requests, with the answers that they got.
 *
 * Requests (type 1) and original answers (type 2) are joined by their id; answers to a
 * replay (type 3) are left out and counted, and so are payloads that are no whole
 * HTTP/1.1 message. When an answer began is its TIME. How long it took is told
 * differently by the versions: where requests have a DURATION too (1.3 and later) it is
 * the answer's own, from its first to its last byte; where TIME of the answer is that
 * of the request, or is no moment but a duration (before 1.0), it is the time from the
 * request to the answer's end; else (1.0 to 1.2) it counts from a moment that the file
 * does not tell, and is not used. Not thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_IMPORT_IMP_GOR_H
#define TRACES_IMPORT_IMP_GOR_H

#include "traces/import/imp_call.h"

/* Adds the operations of a file to o. ERR_FORMAT, ERR_LIMIT with the byte of the
 * payload; ERR_IO, ERR_NOMEM, ERR_STOPPED. */
int imp_gor_read(struct zin *in, const struct imp_rule *rule, struct imp_out *o,
                 struct err *e) MUST_USE;

#endif
