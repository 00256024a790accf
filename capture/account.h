/*
 * account.h - where every byte and every request of a capture went.
 *
 * The rule, for each direction, in bytes of TCP payload:
 *   seen = records + passed + lost + framing + gaps + opaque + shed + unread
 *          + duplicates + stray + pending
 * and requests: seen = recorded + passed + lost. It is kept by every part on its own
 * and held together here; what does not add up is told as "unexplained" and never
 * spread over the rest. COVERAGE.md says what each word means. One thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_ACCOUNT_H
#define CAPTURE_ACCOUNT_H

#include "capture/exchange.h"
#include "capture/flow.h"
#include "capture/kafka_wire.h"
#include "capture/link.h"
#include "capture/order.h"
#include "capture/parse.h"
#include "capture/source.h"
#include "traces/base/jsonw.h"

#define CAP_SERIES_MAX 2048u /* rows; when they are full, each takes twice the time */

/* Why a request that was seen, or begun, is not in the trace. */
enum cap_lost {
    CAP_LOST_UNNAMED,   /* nothing said which model it was for */
    CAP_LOST_REFUSED,   /* a name or path beyond what a trace holds */
    CAP_LOST_SHED,      /* memory */
    CAP_LOST_GAP,       /* its bytes are missing */
    CAP_LOST_MALFORMED, /* it breaks its protocol */
    CAP_LOST_LIMIT,     /* a head or header block beyond the limits */
    CAP_LOST_COUNT
};
extern const char *const cap_lost_names[]; /* "unnamed" "refused" "shed" … */

/* Requests to ports of servers that --map gives no tier: of the passed. By the first
 * ports that came, so that whoever reads it sees what the map left out. */
#define CAP_UNMAPPED_MAX 8u
struct cap_unmapped {
    struct {
        uint16_t port;
        uint64_t requests;
    } ports[CAP_UNMAPPED_MAX];
    uint32_t n;
    uint64_t elsewhere; /* requests to further ports */
};
void cap_unmapped_add(struct cap_unmapped *u, uint16_t port);

/* Counted by who records. Bytes by direction: 0 requests, 1 answers. */
struct cap_tallies {
    uint64_t recorded, passed, unnamed, refused, shed;
    struct cap_unmapped unmapped; /* of the passed */
    /* Of the recorded: */
    uint64_t inferred, opaque, cut, unanswered, near_gap, streams;
    uint64_t messages_beyond; /* of streams, more than CAP_GRPC_LISTED_MAX */
    uint64_t recorded_bytes[2], passed_bytes[2], lost_bytes[2], shed_bytes[2];
};

/* The counts of all parts, at one moment. Any pointer may be NULL: nothing. */
struct cap_parts {
    const struct cap_tallies *tallies;
    const struct cap_flow_totals *flows;
    const struct cap_parse_totals *parse;
    const struct cap_order_counts *order;
    const struct cap_link_counts *link;
    const struct cap_source_counts *source;
    /* Kafka on the wire: frames, their records, requests and answers among those. */
    const struct cap_kwire_counts *kwire;
    const struct cap_krecords_counts *krecords;
    const struct cap_kafka_counts *kafka;
};

struct cap_direction {
    uint64_t seen, records, passed, lost, framing, gaps, opaque, shed, unread,
        duplicates, stray, pending;
    int64_t unexplained; /* seen less all the others */
};
void cap_account_direction(const struct cap_parts *p, int dir, struct cap_direction *d);

void cap_account_lost(const struct cap_parts *p, uint64_t lost[CAP_LOST_COUNT]);
uint64_t cap_account_lost_all(const struct cap_parts *p);
uint64_t cap_account_drops(const struct cap_parts *p); /* packets, known ones */
/* Of what belongs to inference traffic, how much is in the trace: the lesser of the
 * share of requests and the share of bytes, the latter times the share of packets that
 * were not dropped. 1 only when nothing at all is missing. False: nothing was seen. */
bool cap_account_share(const struct cap_parts *p, double *share);

/* What happened second by second. A zeroed series is a valid start. */
struct cap_series_row {
    uint64_t recorded, lost, seen_bytes, missing_bytes, drops;
};
struct cap_series {
    struct cap_series_row rows[CAP_SERIES_MAX], before; /* before: at the last cut */
    uint32_t n;
    uint32_t width_s; /* of a row; 0: not begun */
};
/* All that happened since the last call belongs to the second `at_ns` (since the
 * epoch). */
void cap_series_add(struct cap_series *s, const struct cap_parts *p, int64_t at_ns);

/* The notes of traces/capture_notes.h. */
int cap_account_note(const struct cap_parts *p, const struct cap_series *s,
                     struct trc_writer *w, struct err *e) MUST_USE;
/* The summary for people, and as members of an open JSON object. */
void cap_account_text(const struct cap_parts *p, struct buf *out);
void cap_account_json(const struct cap_parts *p, struct jsonw *w);

#endif
