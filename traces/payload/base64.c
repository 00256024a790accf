/*
 * base64.c - see base64.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/payload/base64.h"

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct span bytes, struct buf *out)
{
    for (size_t i = 0; i < bytes.n; i += 3) {
        size_t left = bytes.n - i;
        uint32_t group = (uint32_t)bytes.p[i] << 16;
        if (left > 1)
            group |= (uint32_t)bytes.p[i + 1] << 8;
        if (left > 2)
            group |= bytes.p[i + 2];
        uint8_t quad[4] = {
            (uint8_t)alphabet[group >> 18],
            (uint8_t)alphabet[group >> 12 & 63],
            left > 1 ? (uint8_t)alphabet[group >> 6 & 63] : '=',
            left > 2 ? (uint8_t)alphabet[group & 63] : '=',
        };
        buf_add(out, quad, sizeof quad);
    }
}

static int sextet(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static int bad_at(size_t at, struct err *e)
{
    return err_at(e, ERR_FORMAT, at, "not base64");
}

int base64_decode(struct span text, struct arena *a, struct span *bytes, struct err *e)
{
    if (text.n % 4 != 0)
        return bad_at(text.n, e);
    uint8_t *out = arena_alloc(a, text.n / 4 * 3);
    if (!out)
        return err_set(e, ERR_NOMEM, "out of memory for %zu bytes of base64", text.n);
    size_t n = 0, padding = 0;
    if (text.n > 0)
        padding = text.p[text.n - 1] != '=' ? 0 : text.p[text.n - 2] != '=' ? 1 : 2;
    for (size_t i = 0; i < text.n; i += 4) {
        size_t pad = i + 4 == text.n ? padding : 0;
        uint32_t group = 0;
        for (size_t k = 0; k < 4; k++) {
            int bits = k < 4 - pad ? sextet(text.p[i + k]) : 0;
            if (bits < 0)
                return bad_at(i + k, e);
            group = group << 6 | (uint32_t)bits;
        }
        for (size_t k = 0; k < 3 - pad; k++)
            out[n++] = (uint8_t)(group >> (16 - 8 * k));
        if (pad > 0 && (group & (pad == 1 ? 0xffu : 0xffffu)) != 0)
            return bad_at(i + 3 - pad, e);
    }
    *bytes = span_of(out, n);
    return 0;
}
