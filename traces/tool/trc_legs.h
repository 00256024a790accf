/*
 * trc_legs.h - the legs of a request: what one call took at each tier it went through.
 *
 * A capture at several tiers holds one operation per tier for each call, and they share
 * its request id. Here they are put together by that id: how long each tier took, and
 * how much of that was its own, which is its latency less that of the legs inside it
 * (legs that overlap count once). Calls that were seen at one tier only tell nothing
 * and are counted apart. Two operations of one id that do not lie within each other (a
 * retry) are both legs. An id that is used again, at the tier of the
 * call's first operation and once all of the call is over, is another call.
 *
 * A leg without an id (on a connection that was joined midway, an id that was sent
 * before is a mere number) belongs to the call of another tier's leg that has the same
 * request message, byte for byte, and lies around it or within it in time, where all
 * such legs have one id and no other leg of this kind is of that call or may be: with
 * two equal messages at a time, neither leg gets an id. It is counted as matched.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_TOOL_TRC_LEGS_H
#define TRACES_TOOL_TRC_LEGS_H

#include "traces/base/arena.h"
#include "traces/base/buf.h"
#include "traces/base/opt.h"
#include "traces/container/trc_reader.h"

#define TRC_LEGS_MAX (32u << 20) /* operations that are held at once, 72 bytes each */

struct trc_leg {
    uint64_t id_hash, index; /* of the operation */
    uint64_t message;        /* hash of the request's body; 0: none */
    const uint8_t *id;       /* its text, where ids are kept */
    uint32_t id_bytes;
    uint32_t call;                       /* its number, from 1 */
    int64_t arrival_ns, last_ns, own_ns; /* last, own: OP_TIME_NONE when unanswered */
    uint8_t tier, protocol, resource;
    bool failed;
};

/* What all legs of one kind took. Times: nearest-rank quantiles. */
struct trc_leg_kind {
    uint8_t tier, protocol, resource;
    uint64_t legs, answered, failed;
    int64_t p50_ns, p90_ns, p99_ns, max_ns;
    int64_t own_p50_ns, own_p90_ns, own_p99_ns, own_max_ns;
    double share; /* of the time of all calls, how much is its own */
};
#define TRC_LEG_KINDS_MAX (OP_TIER_COUNT * OP_PROTOCOL_COUNT * OP_RESOURCE_COUNT)

struct trc_legs {
    struct trc_leg *legs; /* by id, then arrival; the enclosing one first */
    size_t n;
    uint64_t operations, without_id, single; /* single: calls seen at one tier */
    uint64_t matched; /* legs that got their id by their message */
    uint64_t calls;   /* those seen at more */
    struct trc_leg_kind kinds[TRC_LEG_KINDS_MAX];
    size_t kind_count;
    bool keep_ids; /* set before reading: the texts of ids are kept, in ids */
    struct arena ids;
};

/* Reads r to its end into *l, which is zeroed but for keep_ids. ERR_LIMIT above
 * TRC_LEGS_MAX; the errors of trc_reader_next. */
int trc_legs_read(struct trc_legs *l, struct trc_reader *r, struct err *e) MUST_USE;
void trc_legs_done(struct trc_legs *l);

void trc_legs_text(const struct trc_legs *l, struct buf *out);
void trc_legs_json(const struct trc_legs *l, struct buf *out);
/* Each call, in order of arrival, as a line of JSON; ids are kept. */
void trc_legs_calls(const struct trc_legs *l, struct buf *out);
/* The legs of one id, a line each; 0 when there are none. */
size_t trc_legs_of(const struct trc_legs *l, struct span id, struct buf *out);

/* The legs of a file, as text or JSON. */
int trc_legs_tell(const char *path, bool json, struct buf *out, struct err *e) MUST_USE;
/* Both in one: the legs of an id in a file. ERR_USAGE when it has none. */
int trc_legs_of_file(const char *path, struct span id, struct buf *out,
                     struct err *e) MUST_USE;

#endif
