/* h2_build.c - see h2_build.h. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/h2_build.h"

void h2_frame(struct buf *b, unsigned type, unsigned flags, uint32_t stream,
              struct span payload)
{
    buf_u8(b, (uint8_t)(payload.n >> 16));
    buf_u8(b, (uint8_t)(payload.n >> 8));
    buf_u8(b, (uint8_t)payload.n);
    buf_u8(b, (uint8_t)type);
    buf_u8(b, (uint8_t)flags);
    buf_u32_be(b, stream);
    buf_span(b, payload);
}

void h2_padded(struct buf *b, unsigned type, unsigned flags, uint32_t stream,
               struct span payload, uint8_t padding)
{
    struct buf whole = {0};
    buf_u8(&whole, padding);
    buf_span(&whole, payload);
    buf_zeros(&whole, padding);
    h2_frame(b, type, flags | H2_PADDED, stream, buf_view(&whole));
    buf_done(&whole);
}

void h2_integer(struct buf *b, uint8_t first, unsigned bits, uint64_t value)
{
    uint64_t mask = (1u << bits) - 1;
    if (value < mask) {
        buf_u8(b, (uint8_t)(first | value));
        return;
    }
    buf_u8(b, (uint8_t)(first | mask));
    buf_varint(b, value - mask);
}

void h2_string(struct buf *b, struct span s)
{
    h2_integer(b, 0, 7, s.n);
    buf_span(b, s);
}

void h2_indexed(struct buf *b, uint32_t index)
{
    h2_integer(b, 0x80, 7, index);
}

void h2_literal(struct buf *b, enum h2_literal how, uint32_t name_index,
                const char *name, const char *value)
{
    h2_integer(b, (uint8_t)how, how == H2_INSERT ? 6 : 4, name_index);
    if (!name_index)
        h2_string(b, span_str(name));
    h2_string(b, span_str(value));
}

void h2_grpc(struct buf *b, uint8_t flag, struct span message)
{
    buf_u8(b, flag);
    buf_u32_be(b, (uint32_t)message.n);
    buf_span(b, message);
}
