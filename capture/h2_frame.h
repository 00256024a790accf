/*
 * h2_frame.h - HTTP/2 frame headers (RFC 9113, 4.1), and finding them in a connection
 * that was joined in its middle.
 *
 * Any bytes can look like a frame header; three in a row, each where the one before it
 * says, do not by chance: a header needs a known type, only flags of that type, a clear
 * reserved bit, a length and a stream that the type allows, and its stream must be near
 * that of the one before. One is never believed alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_H2_FRAME_H
#define CAPTURE_H2_FRAME_H

#include "capture/hold.h"

#define CAP_H2_HEAD 9u

enum cap_h2_type {
    CAP_H2_DATA,
    CAP_H2_HEADERS,
    CAP_H2_PRIORITY,
    CAP_H2_RST_STREAM,
    CAP_H2_SETTINGS,
    CAP_H2_PUSH_PROMISE,
    CAP_H2_PING,
    CAP_H2_GOAWAY,
    CAP_H2_WINDOW_UPDATE,
    CAP_H2_CONTINUATION,
};
enum cap_h2_flag {
    CAP_H2_END_STREAM = 0x1,
    CAP_H2_ACK = 0x1,
    CAP_H2_END_HEADERS = 0x4,
    CAP_H2_PADDED = 0x8,
    CAP_H2_HAS_PRIORITY = 0x20,
};

struct cap_h2_frame {
    uint32_t length, stream;
    uint8_t type, flags;
    bool reserved;
};

struct cap_h2_frame cap_h2_frame_of(const uint8_t head[CAP_H2_HEAD]);
/* Length and stream are what the type demands; unknown types may be anything. */
bool cap_h2_frame_legal(const struct cap_h2_frame *f);
/* Strict enough to be searched for. */
bool cap_h2_frame_credible(const struct cap_h2_frame *f);

#define CAP_H2_SYNC_FRAMES 3u
#define CAP_H2_CANDIDATES  32u
#define CAP_H2_SYNC_HOLD   (256u << 10)

struct cap_h2_candidate {
    uint64_t at[CAP_H2_SYNC_FRAMES]; /* of its headers so far */
    uint64_t next;                   /* where the next one must be */
    struct cap_h2_frame last;
    uint32_t count;
};

/* The search over a hold's bytes. A zeroed one begins at offset 0. */
struct cap_h2_sync {
    uint64_t scan; /* offset up to which every place was tried */
    uint32_t count;
    struct cap_h2_candidate *list; /* CAP_H2_CANDIDATES places, NULL before the first */
};

void cap_h2_sync_done(struct cap_h2_sync *y);
void cap_h2_sync_restart(struct cap_h2_sync *y, uint64_t offset);
/* Looks at what the hold has got since the last call. True: *found is the offset of the
 * first frame header that is believed and still held. */
bool cap_h2_sync_scan(struct cap_h2_sync *y, const struct cap_hold *hold,
                      uint64_t *found);
/* The connection ended at the end of the hold, or bytes that were never seen follow:
 * that stands for a last header. */
bool cap_h2_sync_end(struct cap_h2_sync *y, const struct cap_hold *hold,
                     uint64_t *found);
/* How many bytes from the hold's front are not needed any more. */
size_t cap_h2_sync_spare(const struct cap_h2_sync *y, const struct cap_hold *hold);

#endif
