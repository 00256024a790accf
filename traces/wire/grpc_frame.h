/*
 * grpc_frame.h - the messages of a gRPC body, one behind the other, without sockets.
 *
 * Each is a flag byte (1: compressed), its length in four bytes, most significant
 * first, and that many bytes. Nothing is copied or kept but a few counters; pieces are
 * spans of the input. A length is checked against the limit before a byte of it is
 * awaited. A zeroed struct stands before the first message. One thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_WIRE_GRPC_FRAME_H
#define TRACES_WIRE_GRPC_FRAME_H

#include "traces/base/err.h"
#include "traces/base/span.h"

#define GRPC_PREFIX_BYTES 5

enum grpc_frame_what {
    GRPC_FRAME_MORE,  /* all input was used */
    GRPC_FRAME_PIECE, /* *piece is the next part of the message in hand */
    GRPC_FRAME_END,   /* the message ended; `bytes` is its length */
};

struct grpc_frame {
    uint8_t prefix[GRPC_PREFIX_BYTES];
    uint8_t prefix_got;
    uint64_t bytes, left; /* of the message whose prefix is whole */
    bool packs;      /* set by the caller: an encoding was named, messages may use it */
    bool compressed; /* the message whose prefix is whole does, or did */
};

/* Between two messages: nothing of the next one came. */
bool grpc_frame_idle(const struct grpc_frame *f);

/* Consumes from the front of *in and says what was found. ERR_FORMAT: a message is
 * compressed where no encoding was named, or has a flag that is not defined. ERR_LIMIT:
 * it is longer than max. After an error nothing more can be read. How the bytes were
 * split never changes what is found, only where pieces are cut. */
int grpc_frame_feed(struct grpc_frame *f, struct span *in, uint64_t max,
                    struct span *piece) MUST_USE;

#endif
