/*
 * trc_ident.c - see trc_ident.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/container/trc_ident.h"

#include <endian.h>
#include <string.h>

static bool is_dash(size_t i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

/* Eight hexadecimal digits, letters small, as four bytes; *bad gets a bit when one of
 * them is none. All at once: what is added to a byte never carries into the next. */
static void pack_eight(const uint8_t *p, uint8_t out[4], uint64_t *bad)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), top = ones * 0x80;
    uint64_t v;
    memcpy(&v, p, sizeof v);
    v = le64toh(v);
    uint64_t low = v & ~top;
    uint64_t digit = (low + ones * (0x80 - '0')) & ~(low + ones * (0x7f - '9')) & top;
    uint64_t letter = (low + ones * (0x80 - 'a')) & ~(low + ones * (0x7f - 'f')) & top;
    *bad |= ((digit | letter) ^ top) | (v & top);
    uint64_t half = (v & ones * 15) + (letter >> 7) * 9; /* 'a' is 0x61 */
    uint64_t whole = (half << 4 | half >> 8) & UINT64_C(0x00ff00ff00ff00ff);
    whole = (whole | whole >> 8) & UINT64_C(0x0000ffff0000ffff);
    uint32_t packed = htole32((uint32_t)(whole | whole >> 16));
    memcpy(out, &packed, sizeof packed);
}

static bool uuid_pack(struct span id, uint8_t out[16])
{
    const uint8_t *p = id.p;
    if (id.n != TRC_UUID_TEXT || p[8] != '-' || p[13] != '-' || p[18] != '-' ||
        p[23] != '-')
        return false;
    uint8_t digits[32];
    uint64_t bad = 0;
    memcpy(digits, p, 8);
    memcpy(digits + 8, p + 9, 4);
    memcpy(digits + 12, p + 14, 4);
    memcpy(digits + 16, p + 19, 4);
    memcpy(digits + 20, p + 24, 12);
    for (size_t i = 0; i < 4; i++)
        pack_eight(digits + 8 * i, out + 4 * i, &bad);
    return bad == 0;
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
