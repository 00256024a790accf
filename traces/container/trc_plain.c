/*
 * trc_plain.c - see trc_plain.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/container/trc_plain.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_MAX  ((size_t)128 << 10) /* the most that a block of zstd holds */
#define FRAME_HEAD 10u
#define BLOCK_HEAD 3u

#define SAMPLES      8u
#define SAMPLE_WORDS 64u
#define SLOTS        128u

void trc_plain_done(struct trc_plain *p)
{
    free(p->v);
    buf_done(&p->heads);
    *p = (struct trc_plain){0};
}

/* Room for all pieces, so that none moves. */
static int make_room(struct trc_plain *p, size_t blocks, struct err *e)
{
    size_t pieces = 3 * blocks + 1; /* a block's head, and bytes of front and back */
    p->n = p->bytes = 0;
    buf_reset(&p->heads);
    buf_reserve(&p->heads, FRAME_HEAD + BLOCK_HEAD * blocks);
    if (pieces > p->cap) {
        struct iovec *v = realloc(p->v, pieces * sizeof *v);
        if (!v)
            return err_set(e, ERR_NOMEM, "out of memory for %zu blocks", blocks);
        p->v = v;
        p->cap = pieces;
    }
    return buf_check(&p->heads, e);
}

static void add(struct trc_plain *p, struct span s)
{
    if (s.n == 0)
        return;
    union {
        const uint8_t *from;
        void *base; /* writev takes what it will not change without const */
    } u = {s.p};
    p->v[p->n++] = (struct iovec){u.base, s.n};
    p->bytes += s.n;
}

/* The bytes that were appended to heads from `at` on. */
static void add_head(struct trc_plain *p, size_t at)
{
    add(p, span_sub(buf_view(&p->heads), at, p->heads.n));
}

/* Magic, descriptor (content size in 4 bytes, a window), window of BLOCK_MAX, size. */
static void frame_head(struct trc_plain *p, size_t bytes)
{
    buf_u32(&p->heads, 0xFD2FB528u);
    buf_u8(&p->heads, 0x80);
    buf_u8(&p->heads, (17 - 10) << 3);
    buf_u32(&p->heads, (uint32_t)bytes);
    add_head(p, 0);
}

static void block_head(struct trc_plain *p, size_t bytes, bool last)
{
    size_t at = p->heads.n;
    uint32_t v = (uint32_t)bytes << 3 | (last ? 1 : 0); /* type 0: raw */
    buf_u16(&p->heads, (uint16_t)v);
    buf_u8(&p->heads, (uint8_t)(v >> 16));
    add_head(p, at);
}

int trc_plain_frame(struct trc_plain *p, struct span front, struct span back,
                    struct err *e)
{
    size_t left = front.n + back.n;
    size_t blocks = left ? (left + BLOCK_MAX - 1) / BLOCK_MAX : 1;
    int rc = make_room(p, blocks, e);
    if (rc < 0)
        return rc;
    frame_head(p, left);
    for (size_t i = 0; i < blocks; i++) {
        size_t n = left < BLOCK_MAX ? left : BLOCK_MAX;
        size_t of_front = n < front.n ? n : front.n;
        left -= n;
        block_head(p, n, left == 0);
        add(p, span_sub(front, 0, of_front));
        add(p, span_sub(back, 0, n - of_front));
        front = span_sub(front, of_front, front.n);
        back = span_sub(back, n - of_front, back.n);
    }
    return 0;
}

/* Words of a sample that it had before. */
static unsigned repeated(const uint8_t *p)
{
    uint64_t seen[SLOTS];
    bool used[SLOTS] = {false};
    unsigned again = 0;
    for (unsigned i = 0; i < SAMPLE_WORDS; i++) {
        uint64_t word;
        memcpy(&word, p + i * sizeof word, sizeof word);
        unsigned slot = (unsigned)(word * UINT64_C(0x9E3779B97F4A7C15) >> 57);
        again += used[slot] && seen[slot] == word;
        seen[slot] = word;
        used[slot] = true;
    }
    return again;
}

bool trc_plain_repeats(struct span s)
{
    const size_t sample = SAMPLE_WORDS * sizeof(uint64_t);
    unsigned again = 0;
    if (s.n < SAMPLES * sample)
        return false;
    for (unsigned i = 0; i < SAMPLES; i++)
        again += repeated(s.p + (s.n - sample) / (SAMPLES - 1) * i);
    return again >= SAMPLES * SAMPLE_WORDS / 8 * 7;
}
