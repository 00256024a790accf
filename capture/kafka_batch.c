/*
 * kafka_batch.c - see kafka_batch.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/kafka_batch.h"

#include <pthread.h>

#define MAGIC_AT       16u
#define CRC_AT         17u
#define ATTRIBUTES_AT  21u
#define BASE_TIME_AT   27u
#define PRODUCER_AT    43u /* producer, epoch, sequence, count, records */
#define COUNT_AT       57u
#define CONTROL_BIT    0x20u
#define BYTES_UNTIL_AT 12u /* what the length does not count */

/* --- CRC-32C, eight bytes at a time ------------------------------------------------
 */

static uint32_t crc_table[8][256];
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;

static void crc_make(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
        crc_table[0][i] = crc;
    }
    for (int t = 1; t < 8; t++)
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t before = crc_table[t - 1][i];
            crc_table[t][i] = before >> 8 ^ crc_table[0][before & 255];
        }
}

uint32_t cap_crc32c(struct span s)
{
    pthread_once(&crc_once, crc_make);
    uint32_t crc = UINT32_MAX;
    struct cursor c = cursor_of(s);
    while (cursor_left(&c) >= 8) {
        uint32_t low = cursor_u32(&c) ^ crc, high = cursor_u32(&c);
        crc = crc_table[7][low & 255] ^ crc_table[6][low >> 8 & 255] ^
              crc_table[5][low >> 16 & 255] ^ crc_table[4][low >> 24] ^
              crc_table[3][high & 255] ^ crc_table[2][high >> 8 & 255] ^
              crc_table[1][high >> 16 & 255] ^ crc_table[0][high >> 24];
    }
    while (cursor_left(&c) > 0)
        crc = crc >> 8 ^ crc_table[0][(crc ^ cursor_u8(&c)) & 255];
    return ~crc;
}

/* --- batches ---------------------------------------------------------------------- */

static int64_t i64_be(struct cursor *c)
{
    uint64_t high = cursor_u32_be(c);
    return (int64_t)(high << 32 | cursor_u32_be(c));
}

/* A broker rewrites the base offset, the leader epoch, and, where it stamps records
 * itself, one attribute and the greatest timestamp; the checksum follows those. */
static void identify(struct span batch, struct cap_batch *b)
{
    struct op_hash *h = op_hash_new();
    if (!h) { /* told apart by its checksum at least */
        b->identity[0] = cap_crc32c(b->records);
        b->identity[1] = b->records.n;
        return;
    }
    op_hash_add(h, span_sub(batch, BASE_TIME_AT, BASE_TIME_AT + 8));
    op_hash_add(h, span_sub(batch, PRODUCER_AT, batch.n));
    op_hash_end(h, b->identity);
    op_hash_free(h);
}

enum cap_batch_state cap_batch_take(struct span *run, struct cap_batch *b)
{
    struct span all = *run;
    struct cursor c = cursor_of(all);
    *b = (struct cap_batch){.bytes = all.n, .base_offset = i64_be(&c)};
    uint32_t length = cursor_u32_be(&c);
    *run = (struct span){0};
    if (all.n <= MAGIC_AT)
        return CAP_BATCH_CUT;
    unsigned magic = all.p[MAGIC_AT];
    if (magic > 2 || length > INT32_MAX ||
        (magic == 2 && length < CAP_BATCH_HEAD - BYTES_UNTIL_AT) || length == 0)
        return CAP_BATCH_MALFORMED;
    if (length > all.n - BYTES_UNTIL_AT)
        return CAP_BATCH_CUT;
    b->bytes = BYTES_UNTIL_AT + (size_t)length;
    *run = span_sub(all, b->bytes, all.n);
    if (magic < 2)
        return CAP_BATCH_OLD;
    all = span_sub(all, 0, b->bytes);
    c = cursor_of(span_sub(all, CRC_AT, all.n));
    if (cursor_u32_be(&c) != cap_crc32c(span_sub(all, ATTRIBUTES_AT, all.n)))
        return CAP_BATCH_CRC;
    unsigned attributes = cursor_u16_be(&c);
    b->codec = attributes & 7;
    b->control = attributes & CONTROL_BIT;
    c = cursor_of(span_sub(all, BASE_TIME_AT, all.n));
    b->base_time_ms = i64_be(&c);
    c = cursor_of(span_sub(all, COUNT_AT, all.n));
    b->count = cursor_u32_be(&c);
    b->records = span_sub(all, CAP_BATCH_HEAD, all.n);
    identify(all, b);
    return CAP_BATCH_GOOD;
}

/* --- records ---------------------------------------------------------------------- */

/* Bytes behind their length; -1 stands for null. */
static struct span sized(struct cursor *c)
{
    int64_t n = cursor_zigzag(c);
    if (n < -1 || n > (int64_t)cursor_left(c))
        c->bad = true;
    return n > 0 && !c->bad ? cursor_take(c, (size_t)n) : (struct span){0};
}

bool cap_batch_record_take(struct cursor *c, struct cap_batch_record *r)
{
    size_t before = cursor_offset(c);
    struct span all = sized(c);
    struct cursor in = cursor_of(all);
    if (c->bad || all.n == 0)
        return false;
    cursor_u8(&in);     /* attributes: none are defined */
    cursor_zigzag(&in); /* timestamp, since the batch's */
    r->bytes = cursor_offset(c) - before;
    r->offset_delta = cursor_zigzag(&in);
    r->key = sized(&in);
    r->value = sized(&in);
    int64_t headers = cursor_zigzag(&in);
    if (in.bad || headers < 0 || headers > CAP_KAFKA_HEADERS_MAX)
        return false;
    r->header_count = (uint32_t)headers;
    for (uint32_t i = 0; i < r->header_count; i++)
        r->headers[i] = (struct op_header){.name = sized(&in), .value = sized(&in)};
    return !in.bad && cursor_left(&in) == 0;
}
