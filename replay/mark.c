/*
 * mark.c - see mark.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/mark.h"

#include <string.h>

#define NONCE_DIGITS 8
#define INDEX_DIGITS 16 /* at most */

/* One a request, hence without printf. */
static void put_hex(char *out, uint64_t v, size_t digits)
{
    while (digits-- > 0) {
        out[digits] = "0123456789abcdef"[v & 15];
        v >>= 4;
    }
}

size_t rep_mark_make(uint64_t nonce, uint64_t op_index, char out[REP_ID_MAX])
{
    size_t digits = 1;
    while (digits < INDEX_DIGITS && op_index >> (4 * digits) > 0)
        digits++;
    put_hex(out, nonce, NONCE_DIGITS);
    out[NONCE_DIGITS] = '-';
    put_hex(out + NONCE_DIGITS + 1, op_index, digits);
    return NONCE_DIGITS + 1 + digits;
}

static bool all_hex(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
    }
    return true;
}

static bool is_mark(struct span s)
{
    return s.n > NONCE_DIGITS + 1 && s.n <= NONCE_DIGITS + 1 + INDEX_DIGITS &&
           s.p[NONCE_DIGITS] == '-' && all_hex(span_sub(s, 0, NONCE_DIGITS)) &&
           all_hex(span_sub(s, NONCE_DIGITS + 1, s.n));
}

bool rep_mark_read(uint64_t nonce, struct span id, uint64_t *op_index)
{
    char own[NONCE_DIGITS];
    put_hex(own, nonce, NONCE_DIGITS);
    if (!is_mark(id) || memcmp(id.p, own, NONCE_DIGITS) != 0)
        return false;
    *op_index = 0;
    for (size_t i = NONCE_DIGITS + 1; i < id.n; i++)
        *op_index = *op_index << 4 |
                    (uint64_t)(id.p[i] <= '9' ? id.p[i] - '0' : id.p[i] - 'a' + 10);
    return true;
}

/* One id: what stands behind the last dot, since names of pipelines may hold dashes. */
static void look_at_one(struct rep_request *r, struct span id)
{
    for (size_t i = id.n; i > 0; i--)
        if (id.p[i - 1] == '.') {
            id = span_sub(id, i, id.n);
            break;
        }
    if (span_eq(id, r->id)) {
        if (r->mark == REP_MARK_NONE)
            r->mark = REP_MARK_OWN;
    } else if (is_mark(id)) {
        r->mark = REP_MARK_OTHER;
    }
}

void rep_mark_look(struct rep_request *r, struct span value)
{
    if (!r->minted)
        return;
    for (size_t from = 0; from < value.n;) {
        size_t comma = span_find(value, ',', from);
        look_at_one(r, span_trim(span_sub(value, from, comma)));
        from = comma + 1;
    }
}
