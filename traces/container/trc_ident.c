/*
 * trc_ident.c - see trc_ident.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/container/trc_ident.h"

#include <string.h>

/* 16 and the value of a hexadecimal digit; 0 of anything else. */
static const uint8_t hex_digit[256] = {
    ['0'] = 16, ['1'] = 17, ['2'] = 18, ['3'] = 19, ['4'] = 20, ['5'] = 21,
    ['6'] = 22, ['7'] = 23, ['8'] = 24, ['9'] = 25, ['a'] = 26, ['b'] = 27,
    ['c'] = 28, ['d'] = 29, ['e'] = 30, ['f'] = 31,
};

static bool is_dash(size_t i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

static bool uuid_pack(struct span id, uint8_t out[16])
{
    static const uint8_t places[16] = {0,  2,  4,  6,  9,  11, 14, 16,
                                       19, 21, 24, 26, 28, 30, 32, 34};
    const uint8_t *p = id.p;
    if (id.n != TRC_UUID_TEXT || p[8] != '-' || p[13] != '-' || p[18] != '-' ||
        p[23] != '-')
        return false;
    unsigned digits = 16;
    for (size_t i = 0; i < 16; i++) {
        unsigned high = hex_digit[p[places[i]]], low = hex_digit[p[places[i] + 1]];
        digits &= high & low;
        out[i] = (uint8_t)(high << 4 | (low & 15));
    }
    return digits != 0;
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
