/*
 * trc_print.h - records as lines: JSON (FORMAT.md, section 10) and text for people.
 *
 * Each call appends one line with its newline to out. Thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_TOOL_TRC_PRINT_H
#define TRACES_TOOL_TRC_PRINT_H

#include "traces/base/buf.h"
#include "traces/base/jsonw.h"
#include "traces/outcome.h"

void trc_print_op_json(const struct op *o, struct buf *out);
/* An answer that came after its operation: op.index says to which. */
void trc_print_late_json(const struct op *o, struct buf *out);
void trc_print_outcome_json(const struct outcome *o, struct buf *out);

void trc_print_op_text(const struct op *o, struct buf *out);
void trc_print_late_text(const struct op *o, struct buf *out);
void trc_print_outcome_text(const struct outcome *o, struct buf *out);

/* A member of an open object: the messages of a stream, each as its time in ns and its
 * bytes; nothing where there are none. */
void trc_key_messages(struct jsonw *w, const char *key, const struct op_messages *m);

/* 32 hex digits, high half first. */
#define TRC_HASH_TEXT 33
char *trc_hash_text(const uint64_t hash[2], char out[TRC_HASH_TEXT]);
/* The way back: false where the text is not that. */
bool trc_hash_parse(struct span text, uint64_t hash[2]);
/* True when s is valid UTF-8 (RFC 3629) without NUL. */
bool trc_is_text(struct span s);
void trc_base64(struct span s, struct buf *out);

/* Names of op.flags' bits as JSON has them, in order of the bits; NULL ends. */
extern const char *const trc_flag_names[];

#endif
