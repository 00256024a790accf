/*
 * trc_ident.c - see trc_ident.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/container/trc_ident.h"

#include <string.h>

static int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_dash(size_t i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

static bool uuid_pack(struct span id, uint8_t out[16])
{
    if (id.n != TRC_UUID_TEXT)
        return false;
    size_t n = 0;
    for (size_t i = 0; i < TRC_UUID_TEXT; i++) {
        if (is_dash(i)) {
            if (id.p[i] != '-')
                return false;
            continue;
        }
        int v = hex_digit(id.p[i]);
        if (v < 0)
            return false;
        out[n / 2] = (uint8_t)(n % 2 ? out[n / 2] | v : v << 4);
        n++;
    }
    return true;
}

void trc_uuid_text(const uint8_t packed[16], uint8_t out[TRC_UUID_TEXT])
{
    size_t n = 0;
    for (size_t i = 0; i < TRC_UUID_TEXT; i++) {
        if (is_dash(i)) {
            out[i] = '-';
            continue;
        }
        out[i] = (uint8_t) "0123456789abcdef"[n % 2 ? packed[n / 2] & 15
                                                    : packed[n / 2] >> 4];
        n++;
    }
}

static bool xid_pack(struct span id, uint8_t out[12])
{
    if (id.n != TRC_XID_TEXT)
        return false;
    uint32_t bits = 0, have = 0;
    size_t n = 0;
    for (size_t i = 0; i < TRC_XID_TEXT; i++) {
        uint8_t c = id.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'v')))
            return false;
        bits = bits << 5 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
        have += 5;
        if (have >= 8 && n < 12) {
            have -= 8;
            out[n++] = (uint8_t)(bits >> have);
        }
    }
    return (bits & 15) == 0; /* 100 bits of text for 96: four must be 0 */
}

void trc_xid_text(const uint8_t packed[12], uint8_t out[TRC_XID_TEXT])
{
    uint32_t bits = 0, have = 0;
    size_t n = 0;
    for (size_t i = 0; i < TRC_XID_TEXT; i++) {
        if (have < 5) {
            bits = bits << 8 | (n < 12 ? packed[n] : 0u);
            n++;
            have += 8;
        }
        have -= 5;
        out[i] = (uint8_t) "0123456789abcdefghijklmnopqrstuv"[bits >> have & 31];
    }
}

int64_t trc_ident_put(struct span id, struct buf *out)
{
    uint8_t packed[16];
    if (id.n == 0)
        return 0;
    if (uuid_pack(id, packed)) {
        buf_add(out, packed, 16);
        return 1;
    }
    if (xid_pack(id, packed)) {
        buf_add(out, packed, 12);
        return 2;
    }
    buf_span(out, id);
    return 3 + (int64_t)id.n;
}
