/*
 * fuzz_trc_reader.c - the reader on anything: raw bytes, and blocks whose headers,
 * checksums and compression are right while what they hold is the fuzzer's. A run is
 * read as records and as columns, which must tell the same.
 *
 * Byte 0 of the input: even, the rest is the file; odd, the rest is a list of blocks:
 *   u8 kind, u8 shape, u16 records, u64 t_min, u64 t_max, 4 × u16 raw lengths, raw
 * bytes
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/trc_both.h"
#include "tests/unit/trc_craft.h"
#include "traces/container/trc_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CALLS_MAX 100000 /* of trc_reader_next: more would not end */

static void read_all(const char *path, unsigned want)
{
    struct trc_reader *r;
    struct trc_block *b;
    struct err e = {0};
    if (trc_reader_open(&r, path, &e) < 0) {
        if (!e.code || !e.text[0])
            abort(); /* failed, and does not say why */
        return;
    }
    trc_reader_want(r, want);
    uint64_t sum = 0;
    int rc = 1, calls = 0;
    while (rc != 0 && rc != ERR_TRUNCATED) {
        err_clear(&e);
        rc = trc_reader_next(r, &b, &e);
        if ((rc < 0) != (e.code != 0) || ++calls > CALLS_MAX)
            abort();
        if (rc != 1)
            continue;
        for (uint32_t i = 0; i < b->count;
             i++) { /* every byte that is promised is there */
            if (b->ops) {
                const struct op *o = &b->ops[i];
                for (size_t k = 0; k < o->request.data.n; k += 64)
                    sum += o->request.data.p[k];
                for (size_t k = 0; k < o->id.n; k++)
                    sum += o->id.p[k];
                sum += o->stream->name.n + o->stream->header_count;
            } else {
                sum += b->outcomes[i].stream->name.n;
            }
        }
        for (uint32_t i = 0; i < b->late_count; i++)
            sum += b->late[i].response.data.n;
        trc_block_free(b);
    }
    trc_reader_close(r);
    if (sum == 1)
        putchar('\0'); /* keeps the sum alive */
}

static void move_about(const char *path)
{
    struct trc_reader *r;
    struct trc_block *b;
    if (trc_reader_open(&r, path, NULL) < 0)
        return;
    (void)!trc_reader_verify(r, NULL);
    if (trc_reader_survey(r, NULL) == 0)
        for (int64_t at = 0; at < 3000; at += 1000)
            if (trc_reader_seek(r, at, NULL) == 0 && trc_reader_next(r, &b, NULL) == 1)
                trc_block_free(b);
    trc_reader_close(r);
}

static void build(struct craft *c, struct cursor in)
{
    uint64_t records = 0, blobs = 0;
    craft_init(c, cursor_u8(&in) & 1);
    while (!in.bad && cursor_left(&in) > 0 && c->file.n < 1 << 20) {
        struct trc_head h = {.kind = cursor_u8(&in)};
        unsigned shape = cursor_u8(&in);
        struct span raw[TRC_GROUPS];
        h.records = cursor_u16(&in);
        h.t_min = (int64_t)cursor_u64(&in);
        h.t_max = (int64_t)cursor_u64(&in);
        size_t n[TRC_GROUPS];
        for (int g = 0; g < TRC_GROUPS; g++)
            n[g] = cursor_u16(&in);
        for (int g = 0; g < TRC_GROUPS; g++)
            raw[g] =
                cursor_take(&in, n[g] < cursor_left(&in) ? n[g] : cursor_left(&in));
        h.first_index = h.kind == TRC_BLOBS ? blobs : records;
        h.resolution_ns = shape & 1 ? 1000 : 1;
        craft_block(c, h, raw);
        if (h.kind == TRC_OPS || h.kind == TRC_OUTCOMES)
            records += h.records;
        if (h.kind == TRC_BLOBS)
            blobs += h.records;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    char path[32];
    if (size == 0)
        return 0;
    if (fd < 0 && (fd = memfd_create("fuzz_trc_reader", MFD_CLOEXEC)) < 0)
        abort();
    struct craft c = {0};
    struct span file = span_of(data + 1, size - 1);
    if (data[0] & 1) {
        build(&c, cursor_of(file));
        file = buf_view(&c.file);
    }
    if (ftruncate(fd, 0) < 0 || pwrite(fd, file.p, file.n, 0) != (ssize_t)file.n)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    read_all(path, TRC_READ_ALL);
    read_all(path, data[0] >> 1);
    move_about(path);
    const char *differ = trc_both_ways(path);
    if (differ) {
        fprintf(stderr, "%s\n", differ);
        abort();
    }
    if (data[0] & 1)
        craft_done(&c);
    return 0;
}
