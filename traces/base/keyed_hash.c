/*
 * keyed_hash.c - see keyed_hash.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/base/keyed_hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "traces/base/buf.h"

#define KEY_FILE_MAX 4096u

static uint64_t load64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static uint64_t rotate(uint64_t v, int by)
{
    return v << by | v >> (64 - by);
}

static void sip_rounds(uint64_t v[4], int n)
{
    while (n-- > 0) {
        v[0] += v[1];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[0] = rotate(v[0], 32);
        v[2] += v[3];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[2] = rotate(v[2], 32);
    }
}

void keyed_hash(const uint8_t key[KEYED_HASH_BYTES], struct span s, uint64_t out[2])
{
    uint64_t k0 = load64(key), k1 = load64(key + 8);
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d,
                     k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573};
    uint64_t last = (uint64_t)s.n << 56;
    size_t at = 0;
    v[1] ^= 0xee;
    for (; s.n - at >= 8; at += 8) {
        uint64_t word = load64(s.p + at);
        v[3] ^= word;
        sip_rounds(v, 2);
        v[0] ^= word;
    }
    for (int i = 0; at < s.n; at++, i++)
        last |= (uint64_t)s.p[at] << (8 * i);
    v[3] ^= last;
    sip_rounds(v, 2);
    v[0] ^= last;
    v[2] ^= 0xee;
    sip_rounds(v, 4);
    out[0] = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= 0xdd;
    sip_rounds(v, 4);
    out[1] = v[0] ^ v[1] ^ v[2] ^ v[3];
}

static int parse_key(struct span text, uint8_t key[KEYED_HASH_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    text = span_trim(text);
    if (text.n != 2 * (size_t)KEYED_HASH_BYTES)
        return -1;
    memset(key, 0, KEYED_HASH_BYTES);
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        const char *d = memchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c, 16);
        if (!d)
            return -1;
        key[i / 2] = (uint8_t)(key[i / 2] << 4 | (d - digits));
    }
    return 0;
}

int keyed_hash_key(const char *file, const char *env, uint8_t key[KEYED_HASH_BYTES],
                   struct err *e)
{
    const char *given = getenv(env);
    int rc = 0;
    if (file) {
        struct buf text = {0};
        rc = buf_read_file(&text, file, KEY_FILE_MAX, e);
        if (rc == 0 && parse_key(buf_view(&text), key) < 0)
            rc = err_set(e, ERR_FORMAT, "key file '%s' is not 32 hex digits", file);
        if (text.p)
            explicit_bzero(text.p, text.cap);
        buf_done(&text);
    } else if (given && *given) {
        if (parse_key(span_str(given), key) < 0)
            rc = err_set(e, ERR_USAGE, "%s is not 32 hex digits", env);
    } else if (getrandom(key, KEYED_HASH_BYTES, 0) != KEYED_HASH_BYTES) {
        rc = err_sys(e, errno, "cannot draw a key");
    }
    return rc;
}

void keyed_hash_key_text(const uint8_t key[KEYED_HASH_BYTES], char out[17])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t h[2];
    keyed_hash(key, SPAN_LIT("the name of a key"), h);
    for (int i = 0; i < 16; i++)
        out[i] = digits[h[0] >> (60 - 4 * i) & 15];
    out[16] = 0;
}
