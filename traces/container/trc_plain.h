/*
 * trc_plain.h - a group as a zstd frame that holds its bytes as they are.
 *
 * Raw blocks of RFC 8878, 3.1.1.2: readers of zstd see no difference. Nothing is
 * copied: the frame is a list of pieces, of which the bytes themselves are borrowed. A
 * zeroed struct is a valid start. Not thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CONTAINER_TRC_PLAIN_H
#define TRACES_CONTAINER_TRC_PLAIN_H

#include <sys/uio.h>

#include "traces/base/buf.h"

struct trc_plain {
    struct iovec *v;
    size_t n, cap;
    struct buf heads; /* of frame and blocks */
    size_t bytes;     /* of the frame */
};
void trc_plain_done(struct trc_plain *p);

/* Replaces p by the frame of front and back, joined: at most TRC_RAW_MAX bytes.
 * Borrows both. ERR_NOMEM. */
int trc_plain_frame(struct trc_plain *p, struct span front, struct span back,
                    struct err *e) MUST_USE;

/* Whether bytes repeat so much that compressing them costs next to nothing and saves
 * nearly all of them: told by a few samples, in about a microsecond. */
bool trc_plain_repeats(struct span s);

#endif
