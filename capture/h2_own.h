/*
 * h2_own.h - a connection of HTTP/2 as it is watched, for the files that read it;
 * inside capture/h2_*.c only.
 *
 * In the order in which they build on each other: h2_streams.c has the streams,
 * h2_blocks.c reads header blocks, h2_capture.c frames, and leads the connection.
 * h2_frame.h knows frames apart from any connection. One thread at a time.
 *
 * Bytes of each direction are counted when they are read (parse_own.h); those of a
 * header block that is not whole are pending, in its `counted`. Out of memory is
 * conn.failed, which every loop looks at.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_H2_OWN_H
#define CAPTURE_H2_OWN_H

#include "capture/h2_capture.h"
#include "capture/h2_frame.h"
#include "capture/hold.h"
#include "capture/parse_own.h"
#include "traces/wire/hpack.h"

#define CAP_H2_PREFIX_MAX                                                              \
    10u /* pad length (1), promised stream (4) or priority (5)                         \
         */

enum cap_h2_state {
    CAP_H2_IN_PREFACE,
    CAP_H2_IN_HEAD,
    CAP_H2_IN_PREFIX,
    CAP_H2_IN_CONTENT,
    CAP_H2_IN_PADDING,
    CAP_H2_IN_SEARCH, /* frame boundaries are not known */
};

/* A header block that is collected over frames. */
struct cap_h2_block {
    bool open, spoiled; /* spoiled: a part is missing, or it is too large */
    bool end_stream, promise;
    uint32_t stream, frames;
    uint64_t counted; /* its bytes, pending */
    struct clk_wall first;
    struct buf bytes;
};

/* One direction. */
struct cap_h2_side {
    enum cap_h2_state state;
    uint8_t head[CAP_H2_PREFACE_BYTES], head_n;
    uint8_t prefix[CAP_H2_PREFIX_MAX], prefix_n, prefix_want;
    struct clk_wall frame_at; /* first byte of its header */
    struct cap_h2_frame frame;
    uint64_t left;    /* of its content */
    uint32_t padding; /* behind that */
    struct cap_h2_block block;
    struct hpack hpack;
    struct cap_hold hold; /* SEARCH */
    struct cap_h2_sync sync;
};

/* Invariant: each stream is in its bucket and, by pending.waiting, in one of the lists;
 * stream_count counts them. */
struct cap_h2 {
    struct cap_conn *c;
    struct cap_h2_side side[2];
    struct cap_pending **buckets; /* by stream; a power of two of them */
    uint32_t bucket_count, stream_count;
    struct cap_list asked;   /* by stream, which is by age */
    struct cap_list waiting; /* answers whose requests have not come yet */
    uint32_t last_asked;     /* highest stream of a request */
    uint32_t goaway;         /* streams above it were not processed */
};

static inline struct cap_pending **cap_h2_bucket(const struct cap_h2 *h,
                                                 uint32_t stream)
{
    return &h->buckets[(stream >> 1) & (h->bucket_count - 1)];
}

/* The stream, or NULL. Each frame asks for its own. */
static inline struct cap_pending *cap_h2_find(const struct cap_h2 *h, uint32_t stream)
{
    if (!h->bucket_count)
        return NULL;
    struct cap_pending *p = *cap_h2_bucket(h, stream);
    while (p && p->stream != stream)
        p = p->chain;
    return p;
}

/* Bytes of the half may be missing since it began. */
static inline bool cap_h2_maybe_cut(const struct cap_h2 *h, const struct cap_pending *p,
                                    int dir)
{
    return p->half[dir].lost_before != h->c->lost[dir];
}

static inline void cap_h2_spoil(struct cap_half *half)
{
    half->broken = true;
    half->loss = CAP_LOSS_GAP;
}

/* --- h2_streams.c ----------------------------------------------------------------- */

/* Takes in a stream that is new; waiting: by its answer. What is beyond the limit ends.
 * NULL: no memory; p is gone then, and may be NULL. */
struct cap_pending *cap_h2_add(struct cap_h2 *h, struct cap_pending *p, bool waiting);
/* Takes it out again; it is the caller's. */
void cap_h2_forget(struct cap_h2 *h, struct cap_pending *p);
/* One direction of the stream ended properly. */
void cap_h2_half_ends(struct cap_h2 *h, struct cap_pending *p, int dir,
                      struct clk_wall at);
void cap_h2_hand_on_when_complete(struct cap_h2 *h, struct cap_pending *p);
/* Ends the stream as it is, for this reason; or all of them. */
void cap_h2_cut(struct cap_h2 *h, struct cap_pending *p, enum cap_loss why);
void cap_h2_cut_all(struct cap_h2 *h, enum cap_loss why);
/* Gives up an answer that nobody asked for. */
void cap_h2_orphan(struct cap_h2 *h, struct cap_pending *p);
/* See cap_keeper; owner is the struct cap_h2. */
void cap_h2_aged(void *owner, struct cap_pending *p);

/* --- h2_blocks.c ------------------------------------------------------------------ */

/* A frame of HEADERS or PUSH_PROMISE begins: side.frame. */
void cap_h2_open_block(struct cap_h2 *h, int dir);
/* Content of HEADERS, PUSH_PROMISE or CONTINUATION. */
void cap_h2_block_content(struct cap_h2 *h, int dir, struct clk_wall at,
                          struct span bytes);
void cap_h2_block_frame_ends(struct cap_h2 *h, int dir, struct clk_wall at);
/* The block that is open cannot be read: neither can what its entries stand for. */
void cap_h2_spoil_block(struct cap_h2 *h, int dir, enum cap_fate fate);
/* The same because it is too large, or in too many frames. */
void cap_h2_flood(struct cap_h2 *h, int dir);
/* Nothing more of the block comes, if one is open: the request that it begins is lost.
 */
void cap_h2_lose_block(struct cap_h2 *h, int dir);

#endif
