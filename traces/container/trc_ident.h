/*
 * trc_ident.h - request ids in fewer bytes: UUIDs and xids (FORMAT.md, 5.1).
 * Thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CONTAINER_TRC_IDENT_H
#define TRACES_CONTAINER_TRC_IDENT_H

#include "traces/base/buf.h"

#define TRC_UUID_TEXT 36
#define TRC_XID_TEXT  20

/* The form of an id (0 none, 1 UUID, 2 xid, 3 + length a string); its stored bytes are
 * appended to out. */
int64_t trc_ident_put(struct span id, struct buf *out);
void trc_uuid_text(const uint8_t packed[16], uint8_t out[TRC_UUID_TEXT]);
void trc_xid_text(const uint8_t packed[12], uint8_t out[TRC_XID_TEXT]);

#endif
