/*
 * trc_copy.h - what tools that make one trace from another have in common.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_TOOL_TRC_COPY_H
#define TRACES_TOOL_TRC_COPY_H

#include "traces/container/trc_reader.h"

/* trc_reader_next for tools: an input that was not closed, but lost nothing, ends
 * cleanly and sets *unclosed; damage is an error that says what helps. */
int trc_copy_next(struct trc_reader *r, struct trc_block **b, bool *unclosed,
                  struct err *e) MUST_USE;
/* Opens an input that must be a trace. */
int trc_copy_open(struct trc_reader **r, const char *path, struct err *e) MUST_USE;
/* Notes of r, but not those whose key begins with `but` (NULL: all). Called once more
 * at the end, it brings what a stream told at its close. */
int trc_copy_notes(const struct trc_reader *r, const char *but, struct trc_writer *w,
                   struct err *e) MUST_USE;
int trc_copy_note_u64(struct trc_writer *w, const char *key, uint64_t v,
                      struct err *e) MUST_USE;
/* Closes w when rc is 0, else abandons it and removes path if it is a regular file.
 * Returns the code that counts. */
int trc_copy_finish(struct trc_writer *w, const char *path, int rc,
                    struct err *e) MUST_USE;

#endif
