/*
 * trc_show.h - what a file says about itself: `reprise trace info`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_TOOL_TRC_SHOW_H
#define TRACES_TOOL_TRC_SHOW_H

#include "traces/base/buf.h"
#include "traces/container/trc_reader.h"

/* Text for people, or one JSON object, appended to out. r: surveyed, or read to its
 * end. */
void trc_show_text(const struct trc_reader *r, const char *path, struct buf *out);
void trc_show_json(const struct trc_reader *r, const char *path, struct buf *out);

/* All notes as one JSON object. */
void trc_show_notes(const struct trc_reader *r, struct buf *out);
/* The first line of an export (FORMAT.md, section 10), with these notes. */
void trc_show_header(const struct trc_reader *r, struct span notes, struct buf *out);

#endif
