/*
 * h2_build.h - HTTP/2 bytes as a test wants them, right or wrong: frames, and header
 * fields in each form of RFC 7541.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_UNIT_H2_BUILD_H
#define TESTS_UNIT_H2_BUILD_H

#include "traces/base/buf.h"

#define H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

enum {
    H2_DATA,
    H2_HEADERS,
    H2_PRIORITY,
    H2_RST_STREAM,
    H2_SETTINGS,
    H2_PUSH_PROMISE,
    H2_PING,
    H2_GOAWAY,
    H2_WINDOW_UPDATE,
    H2_CONTINUATION
};
enum { H2_END_STREAM = 1, H2_ACK = 1, H2_END_HEADERS = 4, H2_PADDED = 8, H2_PRIO = 32 };

void h2_frame(struct buf *b, unsigned type, unsigned flags, uint32_t stream,
              struct span payload);
/* DATA or a whole HEADERS with so many bytes of padding. */
void h2_padded(struct buf *b, unsigned type, unsigned flags, uint32_t stream,
               struct span payload, uint8_t padding);

/* HPACK: an integer with `bits` of prefix under the bits of `first`; a string; a field.
 */
void h2_integer(struct buf *b, uint8_t first, unsigned bits, uint64_t value);
void h2_string(struct buf *b, struct span s);
void h2_indexed(struct buf *b, uint32_t index);
enum h2_literal { H2_INSERT = 0x40, H2_PLAIN = 0x00, H2_NEVER = 0x10 };
/* name_index 0: the name is spelled. */
void h2_literal(struct buf *b, enum h2_literal how, uint32_t name_index,
                const char *name, const char *value);

/* A gRPC message: flag, length, bytes. */
void h2_grpc(struct buf *b, uint8_t flag, struct span message);

#endif
