/*
 * imp_har.h - HTTP Archives (HAR 1.2) as traces: those of browsers and proxies, and the
 * way back from `reprise trace export --format har`.
 *
 * Read of an entry: startedDateTime and the timings in front of the request (blocked,
 * dns, connect), which give the arrival; send, wait and receive, the times of the
 * answer; request.method, url, headers and postData; response.status, headers, content;
 * connection. What reprise itself writes beside these (members with an underscore:
 * traces/FORMAT.md, section 11) is read where log.creator.name is "reprise". Passed
 * over: pages, cookies, caches, sizes of heads, comments.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_IMPORT_IMP_HAR_H
#define TRACES_IMPORT_IMP_HAR_H

#include "traces/import/imp_call.h"

/* Adds the operations of a HAR to o. ERR_FORMAT, ERR_TRUNCATED and ERR_LIMIT name the
 * entry and its byte; ERR_IO, ERR_NOMEM, ERR_STOPPED. */
int imp_har_read(struct zin *in, const struct imp_rule *rule, struct imp_out *o,
                 struct err *e) MUST_USE;

#endif
