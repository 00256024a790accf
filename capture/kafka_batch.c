/*
 * kafka_batch.c - see kafka_batch.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/kafka_batch.h"

#include <pthread.h>

#include "capture/kafka_inflate.h"

#define MAGIC_AT       16u
#define CRC_AT         17u
#define ATTRIBUTES_AT  21u
#define BASE_TIME_AT   27u
#define PRODUCER_AT    43u /* producer, epoch, sequence, count, records */
#define COUNT_AT       57u
#define CONTROL_BIT    0x20u
#define BYTES_UNTIL_AT 12u /* what the length does not count */
#define LEAST_MESSAGE  14u /* CRC, magic, attributes, two lengths */
#define CODEC_BITS     7u
#define STAMPED_BIT    8u /* magic 1: by the broker */

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

/* The place of a compressed message is that of its last record. */
static bool offset_is_of_last(const struct cap_batch *b)
{
    return b->codec != CAP_KAFKA_PLAIN;
}

/* Bytes behind a length of 4; -1 stands for null. */
static struct span sized_be(struct cursor *c, bool *null)
{
    uint32_t n = cursor_u32_be(c);
    *null = n == UINT32_MAX;
    if (*null)
        return (struct span){0};
    return cursor_take(c, n);
}

/* What a message says, from its CRC on. */
struct message {
    unsigned magic, attributes;
    int64_t time_ms;
    struct span key, value;
    bool null_key, null_value;
};

static bool message_read(struct span s, struct message *m)
{
    struct cursor c = cursor_of(s);
    cursor_u32_be(&c);
    *m = (struct message){.magic = cursor_u8(&c)};
    m->attributes = cursor_u8(&c);
    m->time_ms = m->magic == 1 ? i64_be(&c) : -1;
    m->key = sized_be(&c, &m->null_key);
    m->value = sized_be(&c, &m->null_value);
    return !c.bad && cursor_left(&c) == 0 && m->magic < 2;
}

static bool message_sum_right(struct span s)
{
    struct cursor c = cursor_of(s);
    return cursor_u32_be(&c) == cap_kafka_crc32(span_sub(s, 4, s.n));
}

static void identify_message(const struct message *m, struct cap_batch *b)
{
    uint64_t key[2], value[2];
    op_body_hash(m->key, key);
    op_body_hash(m->value, value);
    struct {
        uint64_t key[2], value[2], time, codec;
    } all = {{key[0], key[1]}, {value[0], value[1]}, 0, b->codec};
    if (!(m->attributes & STAMPED_BIT))
        all.time = (uint64_t)m->time_ms;
    op_body_hash(span_of(&all, sizeof all), b->identity);
}

/* A message of magic 0 or 1, with its offset and length in front. */
static enum cap_batch_state take_message(struct span all, struct cap_batch *b)
{
    struct span s = span_sub(all, BYTES_UNTIL_AT, all.n);
    struct message m;
    if (!message_sum_right(s) || !message_read(s, &m))
        return CAP_BATCH_CRC;
    b->codec = m.attributes & CODEC_BITS;
    b->base_time_ms = m.time_ms;
    b->count = offset_is_of_last(b) ? CAP_BATCH_COUNT_UNKNOWN : 1;
    b->records = b->codec == CAP_KAFKA_PLAIN ? all : m.value;
    identify_message(&m, b);
    return CAP_BATCH_GOOD;
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
    size_t least = magic == 2 ? CAP_BATCH_HEAD - BYTES_UNTIL_AT : LEAST_MESSAGE;
    if (magic > 2 || length > INT32_MAX || length < least)
        return CAP_BATCH_MALFORMED;
    b->magic = magic;
    if (length > all.n - BYTES_UNTIL_AT)
        return CAP_BATCH_CUT;
    b->bytes = BYTES_UNTIL_AT + (size_t)length;
    *run = span_sub(all, b->bytes, all.n);
    all = span_sub(all, 0, b->bytes);
    if (magic < 2)
        return take_message(all, b);
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
static struct span sized(struct cursor *c, bool *null)
{
    int64_t n = cursor_zigzag(c);
    if (n < -1 || n > (int64_t)cursor_left(c))
        c->bad = true;
    *null = n == -1;
    return n > 0 && !c->bad ? cursor_take(c, (size_t)n) : (struct span){0};
}

static bool message_take(struct cursor *c, struct cap_batch_record *r)
{
    size_t before = cursor_offset(c);
    struct message m;
    r->offset_delta = i64_be(c);
    struct span s = cursor_take(c, cursor_u32_be(c));
    if (c->bad || s.n < LEAST_MESSAGE || !message_sum_right(s) ||
        !message_read(s, &m) || m.attributes & CODEC_BITS)
        return false;
    r->bytes = cursor_offset(c) - before;
    r->key = m.key;
    r->value = m.value;
    r->null_value = m.null_value;
    r->header_count = 0;
    return true;
}

bool cap_batch_record_take(unsigned magic, struct cursor *c, struct cap_batch_record *r)
{
    if (magic < 2)
        return message_take(c, r);
    size_t before = cursor_offset(c);
    bool null;
    struct span all = sized(c, &null);
    struct cursor in = cursor_of(all);
    if (c->bad || all.n == 0)
        return false;
    cursor_u8(&in);     /* attributes: none are defined */
    cursor_zigzag(&in); /* timestamp, since the batch's */
    r->bytes = cursor_offset(c) - before;
    r->offset_delta = cursor_zigzag(&in);
    r->key = sized(&in, &null);
    r->value = sized(&in, &r->null_value);
    int64_t headers = cursor_zigzag(&in);
    if (in.bad || headers < 0 || headers > CAP_KAFKA_HEADERS_MAX)
        return false;
    r->header_count = (uint32_t)headers;
    for (uint32_t i = 0; i < r->header_count; i++) {
        r->headers[i].name = sized(&in, &null);
        r->headers[i].value = sized(&in, &null);
    }
    return !in.bad && cursor_left(&in) == 0;
}
