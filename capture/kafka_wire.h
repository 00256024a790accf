/*
 * kafka_wire.h - Kafka's wire protocol read from the two directions of a connection.
 *
 * Frames behind a length of 4 bytes; requests name their api and version, responses
 * come in the order of their requests and repeat their correlation ids. Read are what
 * kafka_proto.h lists; the frames of all other apis are counted as unread, their bytes
 * passed by. A response is read when its request was seen.
 *
 * Joined midway or behind a gap, requests go on at a header that is credible (api,
 * version, lengths, a printable client id) and whose frame ends where another such
 * header begins, or where the bytes seen so far end; responses at a frame that repeats
 * the correlation id of a request that is open, likewise. Whole responses in front of
 * that one, to requests from before the capture, are read as Fetch responses where the
 * connection goes on to fetch and all of them reads as such. A gap inside a frame costs
 * that frame and nothing else.
 *
 * Bounds: CAP_MESSAGE_MAX for a frame that is read (longer ones are shed),
 * CAP_KAFKA_OPEN_MAX for open requests, CAP_KAFKA_SEARCH_MAX for what is held while a
 * boundary is looked for. One thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_KAFKA_WIRE_H
#define CAPTURE_KAFKA_WIRE_H

#include "capture/kafka_records.h"
#include "capture/parse_own.h"

#define CAP_KAFKA_OPEN_MAX   1024u
#define CAP_KAFKA_SEARCH_MAX (256u << 10)
#define CAP_KAFKA_PLACES_MAX                                                           \
    16u /* partitions of a Produce whose offsets are learned                           \
         */

/* Of all connections together. */
struct cap_kwire_counts {
    uint64_t requests, responses;         /* frames that were seen whole */
    uint64_t produces, fetches;           /* of the requests */
    uint64_t unmatched;                   /* responses to no request that was seen */
    uint64_t versions_unknown, malformed; /* frames that could not be read */
    uint64_t broken, too_long, shed;      /* frames that lack bytes; over the limit; for
                                             lack of memory */
    uint64_t resyncs;
    uint64_t unread_bytes[2]; /* of frames of other apis */
};
/* What all connections share; borrowed. */
struct cap_kwire_shared {
    struct cap_krecords *records;
    struct cap_kwire_counts counts;
};

struct cap_kwire;
/* midway: neither direction is known to begin at a frame. NULL: out of memory. */
struct cap_kwire *cap_kwire_new(struct cap_conn *c, struct cap_kwire_shared *shared,
                                bool midway);
void cap_kwire_data(struct cap_kwire *k, int dir, struct clk_wall at,
                    struct span bytes);
void cap_kwire_gap(struct cap_kwire *k, int dir, uint64_t bytes);
/* The peer has bytes of dir that were not seen (flow.h). */
void cap_kwire_unseen(struct cap_kwire *k, int dir);
/* Counts what is incomplete and frees k. */
void cap_kwire_close(struct cap_kwire *k);

#endif
