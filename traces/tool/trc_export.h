/*
 * trc_export.h - traces and runs in the formats of other tools: `reprise trace export`.
 *
 * Every export reads front to back and holds a block at a time, and late answers where
 * it is given them (exp_late.h), so memory is bounded and both ends may be streams.
 * What a format cannot say is left out and counted, never bent into shape. A damaged
 * block is an error; what was written before it stays.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_TOOL_TRC_EXPORT_H
#define TRACES_TOOL_TRC_EXPORT_H

#include <stdio.h>

#include "traces/base/buf.h"
#include "traces/base/opt.h"
#include "traces/tool/exp_late.h"

#define TRC_EXPORT_CHUNK (256u * 1024) /* written at once */

struct trc_export_done {
    uint64_t records,
        written;           /* operations or outcomes read, and those that went out */
    uint64_t late_answers; /* behind their operation, not gathered, and left out */
    uint64_t answers_left_out; /* recorded, but lacking what the format needs */
    bool unclosed;             /* the input ends without a footer, with nothing lost */
};

/* Writes what out holds and empties it. ERR_IO, ERR_NOMEM. */
int trc_export_flush(struct buf *out, FILE *to, struct err *e) MUST_USE;

/* All records as JSON lines (FORMAT.md, section 10), without loss. */
int trc_export_jsonl(struct trc_reader *r, FILE *to, struct trc_export_done *done,
                     struct err *e) MUST_USE;

/* HTTP Archive 1.2: an entry for each REST and gRPC operation of a trace. Times that
 * were not recorded are -1 in `timings`, a missing answer has status 0. Bytes that are
 * not UTF-8 are base64: content.encoding says so for answers, postData._encoding for
 * requests, for which the format has no field. _requestMessages and _responseMessages
 * say when the messages of a stream came, and their bytes. late: answers that are to be
 * joined, or NULL. ERR_USAGE for a run. */
int trc_export_har(struct trc_reader *r, const struct exp_late *late, FILE *to,
                   struct trc_export_done *done, struct err *e) MUST_USE;

/* pcapng: the REST operations of a trace as HTTP/1.1, the gRPC ones as HTTP/2
 * (exp_h2.h), over TCP, IPv4 without a link layer, times in ns. Each has a connection
 * of its own, from 127.1.x.y to 127.0.0.1, at the port by which `capture` knows its
 * tier: 80 envoy (and any), 9001 and (gRPC) 9501 rproxy, 9500 server, 9010 and 9011 the
 * gateways. Messages of streams go out at their own times, server-sent events as
 * chunks. Packets are in order of time while what is yet to come fits 64 MiB. Elided
 * bodies, messages that come before those that they follow, and texts that HTTP cannot
 * carry leave their operation out, or their answer. late: as above. ERR_USAGE for a
 * run. */
int trc_export_pcapng(struct trc_reader *r, const struct exp_late *late, FILE *to,
                      struct trc_export_done *done, struct err *e) MUST_USE;

/* HdrHistogram log 1.3 with histograms in the V2 compressed encoding, 3 significant
 * digits, in nanoseconds: of a run, for each interval of due times, the tags
 * response_ok, service and ttfb of good outcomes and lateness of all that were sent.
 * Outcomes whose interval was written already (TRC_HLOG_OPEN intervals stay open) give
 * it another line; readers add such lines up. ERR_USAGE for a trace or an interval
 * below 1 ms; ERR_FORMAT when a moment comes before the one that it must follow.
 * Source: the public description of HdrHistogram's encoding and log format. */
#define TRC_HLOG_OPEN 32u
int trc_export_hlog(struct trc_reader *r, int64_t interval_ns, FILE *to,
                    struct trc_export_done *done, struct err *e) MUST_USE;

#endif
