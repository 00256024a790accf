/*
 * trc_head.c - block headers and the tail: FORMAT.md, sections 3 and 5.10.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include <xxhash.h>
#include <zstd.h>

#include "traces/container/trc_format.h"

#define HEAD_MAGIC  0x5A525489u /* 89 54 52 5A */
#define TAIL_MAGIC  0x45525489u /* 89 54 52 45 */
#define FLAG_RUN    0x01u
#define FLAGS_MUST  0x0Eu
#define CHECKSUM_AT 128u /* within the frame */

const char *const trc_group_names[] = {"schedule", "answers", "ids", "payload", NULL};

const char *trc_kind_name(unsigned kind)
{
    switch (kind) {
    case TRC_META:
        return "META";
    case TRC_OPS:
        return "OPS";
    case TRC_BLOBS:
        return "BLOBS";
    case TRC_STATS:
        return "STATS";
    case TRC_LATE:
        return "LATE";
    case TRC_OUTCOMES:
        return "OUTCOMES";
    case TRC_INDEX:
        return "INDEX";
    case TRC_FOOTER:
        return "FOOTER";
    default:
        return NULL;
    }
}

uint64_t trc_xxh64(const void *p, size_t n)
{
    return XXH3_64bits(p, n);
}

uint64_t trc_head_block_bytes(const struct trc_head *h)
{
    uint64_t n = h->frame_bytes;
    for (int g = 0; g < TRC_GROUPS; g++)
        n += h->packed[g];
    return n;
}

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static void put64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static uint8_t resolution_power(int64_t ns)
{
    return ns == 1000000 ? 6 : ns == 1000 ? 3 : 0;
}

/* XXH3-64 of the frame with its checksum field as 0. */
static uint64_t head_checksum(struct span s)
{
    uint8_t copy[TRC_HEAD_MAX];
    memcpy(copy, s.p, s.n);
    memset(copy + CHECKSUM_AT, 0, 8);
    return XXH3_64bits(copy, s.n);
}

void trc_head_encode(const struct trc_head *h, uint8_t out[TRC_HEAD_BYTES])
{
    memset(out, 0, TRC_HEAD_BYTES);
    put32(out, TRC_FRAME_MAGIC);
    put32(out + 4, TRC_HEAD_BYTES - 8);
    uint8_t *p = out + 8;
    put32(p, HEAD_MAGIC);
    p[4] = TRC_MAJOR;
    p[5] = TRC_MINOR;
    p[6] = h->kind;
    p[7] = h->run ? FLAG_RUN : 0;
    p[8] = resolution_power(h->resolution_ns);
    put32(p + 12, h->ordinal);
    put64(p + 16, h->file_id);
    put64(p + 24, (uint64_t)h->t_min);
    put64(p + 32, (uint64_t)h->t_max);
    put64(p + 40, h->first_index);
    put32(p + 48, h->records);
    put32(p + 52, h->prev_bytes);
    for (int g = 0; g < TRC_GROUPS; g++) {
        put32(p + 56 + 8 * g, h->raw[g]);
        put32(p + 60 + 8 * g, h->packed[g]);
        put64(p + 88 + 8 * g, h->hash[g]);
    }
    put64(out + CHECKSUM_AT, head_checksum(span_of(out, TRC_HEAD_BYTES)));
}

uint32_t trc_head_probe(const uint8_t p[12])
{
    struct cursor c = cursor_of(span_of(p, 12));
    if (cursor_u32(&c) != TRC_FRAME_MAGIC)
        return 0;
    uint32_t length = cursor_u32(&c);
    if (length < TRC_HEAD_BYTES - 8 || length > TRC_HEAD_MAX - 8)
        return 0;
    return cursor_u32(&c) == HEAD_MAGIC ? length + 8 : 0;
}

bool trc_head_begins(struct span s)
{
    static const uint8_t start[4] = {0x5e, 0x2a, 0x4d, 0x18};
    return s.n < TRC_HEAD_BYTES && memcmp(s.p, start, s.n < 4 ? s.n : 4) == 0;
}

static int check_lengths(const struct trc_head *h, uint64_t at, struct err *e)
{
    uint64_t raw = 0;
    for (int g = 0; g < TRC_GROUPS; g++) {
        const char *name = trc_group_names[g];
        raw += h->raw[g];
        if (raw > TRC_RAW_MAX)
            return err_at(e, ERR_LIMIT, at, "block header: raw length above %u bytes",
                          TRC_RAW_MAX);
        if ((h->raw[g] == 0) != (h->packed[g] == 0))
            return err_at(e, ERR_FORMAT, at, "block header: half of group %s is absent",
                          name);
        if (h->packed[g] > ZSTD_compressBound(h->raw[g]))
            return err_at(e, ERR_LIMIT, at,
                          "block header: group %s: %u compressed bytes for %u", name,
                          h->packed[g], h->raw[g]);
        if (h->raw[g] > (uint64_t)h->packed[g] * TRC_RATIO_MAX)
            return err_at(e, ERR_LIMIT, at,
                          "block header: group %s: %u bytes from %u compressed ones",
                          name, h->raw[g], h->packed[g]);
    }
    if (h->records > TRC_RECORDS_MAX)
        return err_at(e, ERR_LIMIT, at, "block header: %u records, limit %u",
                      h->records, TRC_RECORDS_MAX);
    if (h->t_min > h->t_max || h->t_min < -TRC_TIME_MAX || h->t_max > TRC_TIME_MAX)
        return err_at(e, ERR_LIMIT, at, "block header: impossible times");
    if (h->first_index > UINT64_MAX / 2)
        return err_at(e, ERR_LIMIT, at, "block header: impossible first index");
    return 0;
}

int trc_head_decode(struct span s, uint64_t at, struct trc_head *h, bool *checked,
                    struct err *e)
{
    *checked = false;
    struct cursor c = cursor_of(span_sub(s, 12, s.n));
    unsigned major = cursor_u8(&c);
    *h = (struct trc_head){.frame_bytes = (uint32_t)s.n};
    h->minor = cursor_u8(&c);
    h->kind = cursor_u8(&c);
    unsigned flags = cursor_u8(&c), power = cursor_u8(&c);
    cursor_take(&c, 3);
    h->run = flags & FLAG_RUN;
    h->resolution_ns = power == 6 ? 1000000 : power == 3 ? 1000 : 1;
    h->ordinal = cursor_u32(&c);
    h->file_id = cursor_u64(&c);
    h->t_min = (int64_t)cursor_u64(&c);
    h->t_max = (int64_t)cursor_u64(&c);
    h->first_index = cursor_u64(&c);
    h->records = cursor_u32(&c);
    h->prev_bytes = cursor_u32(&c);
    for (int g = 0; g < TRC_GROUPS; g++) {
        h->raw[g] = cursor_u32(&c);
        h->packed[g] = cursor_u32(&c);
    }
    for (int g = 0; g < TRC_GROUPS; g++)
        h->hash[g] = cursor_u64(&c);
    uint64_t checksum = cursor_u64(&c);
    /* Another version may keep its checksum elsewhere, so the version is asked first.
     */
    if (major != TRC_MAJOR)
        return err_at(e, ERR_FORMAT, at,
                      "block header: format version %u, this program reads version %d",
                      major, TRC_MAJOR);
    if (c.bad || checksum != head_checksum(s))
        return err_at(e, ERR_FORMAT, at, "block header: checksum mismatch");
    *checked = true;
    if (flags & FLAGS_MUST)
        return err_at(e, ERR_FORMAT, at, "block header: unknown flags 0x%02x", flags);
    if (power != 0 && power != 3 && power != 6)
        return err_at(e, ERR_FORMAT, at, "block header: unknown resolution 10^%u ns",
                      power);
    if (h->file_id == 0)
        return err_at(e, ERR_FORMAT, at, "block header: file id is 0");
    return check_lengths(h, at, e);
}

void trc_tail_encode(uint64_t file_id, uint64_t footer, uint8_t out[TRC_TAIL_BYTES])
{
    memset(out, 0, TRC_TAIL_BYTES);
    put32(out, TRC_FRAME_MAGIC);
    put32(out + 4, TRC_TAIL_BYTES - 8);
    put32(out + 8, TAIL_MAGIC);
    out[12] = TRC_MAJOR;
    put64(out + 16, file_id);
    put64(out + 24, footer);
    put64(out + 32, XXH3_64bits(out, 32));
}

bool trc_tail_decode(const uint8_t in[TRC_TAIL_BYTES], uint64_t *file_id,
                     uint64_t *footer)
{
    struct cursor c = cursor_of(span_of(in, TRC_TAIL_BYTES));
    if (cursor_u32(&c) != TRC_FRAME_MAGIC || cursor_u32(&c) != TRC_TAIL_BYTES - 8 ||
        cursor_u32(&c) != TAIL_MAGIC || cursor_u8(&c) != TRC_MAJOR)
        return false;
    cursor_take(&c, 3);
    *file_id = cursor_u64(&c);
    *footer = cursor_u64(&c);
    return cursor_u64(&c) == XXH3_64bits(in, 32);
}
