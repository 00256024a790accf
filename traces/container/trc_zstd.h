/*
 * trc_zstd.h - one raw group to one zstd frame and back, within limits.
 *
 * Contexts are kept between calls; one thread at a time each.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CONTAINER_TRC_ZSTD_H
#define TRACES_CONTAINER_TRC_ZSTD_H

#include "traces/container/trc_column.h"

struct trc_pack;   /* compressor */
struct trc_unpack; /* decompressor */

struct trc_pack *trc_pack_new(void); /* NULL: out of memory */
void trc_pack_free(struct trc_pack *p);
/* Replaces out by the frame of g's raw bytes (not empty). Same bytes for same input. */
int trc_pack_group(struct trc_pack *p, int level, const struct trc_group_out *g,
                   struct buf *out, struct err *e) MUST_USE;

struct trc_unpack *trc_unpack_new(void); /* NULL: out of memory */
void trc_unpack_free(struct trc_unpack *u);
/* Decompresses one frame into out, which has room for exactly raw bytes. ERR_FORMAT
 * with the reason when frame is anything else than one frame of so many bytes;
 * ERR_LIMIT. */
int trc_unpack_group(struct trc_unpack *u, struct span frame, uint8_t *out, size_t raw,
                     struct err *e) MUST_USE;

#endif
