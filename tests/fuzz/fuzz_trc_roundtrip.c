/*
 * fuzz_trc_roundtrip.c - whatever can be written is read back equal, in every field.
 *
 * The input decides each field of each operation; what the writer refuses is skipped,
 * and must leave nothing behind.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "traces/base/arena.h"
#include "traces/container/trc_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OPS_MAX 64

static struct span some_bytes(struct cursor *c)
{
    size_t n = cursor_u8(c);
    return cursor_take(c, n < cursor_left(c) ? n : cursor_left(c));
}

static void make_stream(struct cursor *c, struct arena *a, struct op_stream *s)
{
    *s = (struct op_stream){.protocol = cursor_u8(c) % 5u, /* one too many, sometimes */
                            .tier = cursor_u8(c) % 8u,
                            .resource = cursor_u8(c) % 3u};
    s->name = some_bytes(c);
    s->path = some_bytes(c);
    s->content_type = some_bytes(c);
    s->header_count = cursor_u8(c) % 4u;
    struct op_header *h = arena_alloc(a, 4 * sizeof *h);
    for (uint32_t i = 0; h && i < s->header_count; i++)
        h[i] = (struct op_header){some_bytes(c), some_bytes(c)};
    s->headers = s->header_count ? h : NULL;
}

static struct op_body make_body(struct cursor *c, struct arena *a)
{
    unsigned kind = cursor_u8(c) % 8u;
    if (kind == 0)
        return (struct op_body){.state = OP_BODY_NONE};
    if (kind == 1)
        return (struct op_body){.state = OP_BODY_ELIDED,
                                .bytes = cursor_u64(c) >> 8,
                                .hash = {cursor_u64(c), cursor_u64(c)}};
    if (kind == 2) { /* large enough for blobs */
        uint8_t *p = arena_alloc(a, 9000);
        unsigned fill = cursor_u8(c);
        memset(p, (int)(fill % 3), 9000);
        for (unsigned i = 0; fill & 128 && i < 9000; i++) /* nothing repeats */
            p[i] = (uint8_t)(i * 2654435761u >> (fill & 7));
        return op_body_of(span_of(p, 9000));
    }
    struct op_body b = op_body_of(some_bytes(c));
    if (kind == 3)
        b.hash[0]++; /* not to be believed */
    return b;
}

static struct op_messages make_messages(struct cursor *c, struct arena *a,
                                        const struct op_body *body)
{
    uint32_t n = cursor_u8(c) % 4u;
    uint64_t left = body->state == OP_BODY_NONE ? 0 : body->bytes;
    struct op_message *v = arena_alloc(a, 4 * sizeof *v);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t bytes = cursor_u8(c); /* one too many now and then: refused */
        v[i] = (struct op_message){(int64_t)cursor_u64(c),
                                   i + 1 == n && bytes < 250 ? left : bytes};
        left -= v[i].bytes < left ? v[i].bytes : left;
    }
    return (struct op_messages){v, n};
}

static struct op make_op(struct cursor *c, struct arena *a, int64_t *now)
{
    struct op o = op_empty();
    *now += cursor_u8(c) % 2u ? cursor_u16(c) : 0;
    o.arrival_ns = *now;
    o.flags = cursor_u32(c);
    o.request = make_body(c, a);
    o.id = some_bytes(c);
    o.connection = cursor_u32(c);
    o.conn_stream = cursor_u32(c);
    o.client = cursor_u32(c);
    o.tokens_in = cursor_u32(c);
    o.tokens_out = cursor_u32(c);
    uint32_t bits = cursor_u32(c);
    memcpy(&o.weight, &bits, sizeof bits);
    o.first_ns = cursor_u8(c) % 2u ? (int64_t)cursor_u64(c) : OP_TIME_NONE;
    o.last_ns = cursor_u8(c) % 2u ? (int64_t)cursor_u64(c) : OP_TIME_NONE;
    o.status = cursor_u16(c);
    o.grpc_status = (int16_t)cursor_u16(c);
    o.response = make_body(c, a);
    o.request_messages = make_messages(c, a, &o.request);
    o.response_messages = make_messages(c, a, &o.response);
    o.response_codings = cursor_u16(c); /* 0 where the input has ended */
    return o;
}

static void same_body(const struct op_body *a, const struct op_body *b)
{
    uint64_t hash[2] = {a->hash[0], a->hash[1]};
    if (a->state == OP_BODY_KEPT)
        op_body_hash(a->data, hash);
    if (a->state != b->state ||
        (a->state != OP_BODY_NONE &&
         (a->bytes != b->bytes || hash[0] != b->hash[0] || hash[1] != b->hash[1])) ||
        !span_eq(a->data, b->data))
        abort();
}

static void same_messages(const struct op_messages *a, const struct op_messages *b)
{
    if (a->count != b->count ||
        (a->count && memcmp(a->v, b->v, a->count * sizeof *a->v) != 0))
        abort();
}

static void same_op(const struct op *a, const struct op *b)
{
    same_messages(&a->request_messages, &b->request_messages);
    same_messages(&a->response_messages, &b->response_messages);
    same_body(&a->request, &b->request);
    same_body(&a->response, &b->response);
    if (!op_stream_equal(a->stream, b->stream) || !span_eq(a->id, b->id) ||
        a->arrival_ns != b->arrival_ns || a->flags != b->flags ||
        a->connection != b->connection || a->conn_stream != b->conn_stream ||
        a->client != b->client || a->tokens_in != b->tokens_in ||
        a->tokens_out != b->tokens_out ||
        memcmp(&a->weight, &b->weight, sizeof a->weight) != 0 ||
        a->first_ns != b->first_ns || a->last_ns != b->last_ns ||
        a->status != b->status || a->grpc_status != b->grpc_status ||
        a->response_codings != b->response_codings)
        abort();
}

static void read_back(const char *path, const struct op *ops, size_t n)
{
    struct trc_reader *r;
    struct trc_block *b;
    size_t seen = 0;
    int rc;
    if (trc_reader_open(&r, path, NULL) < 0)
        abort();
    while ((rc = trc_reader_next(r, &b, NULL)) == 1) {
        for (uint32_t i = 0; i < b->count; i++, seen++) {
            if (seen == n)
                abort();
            same_op(&ops[seen], &b->ops[i]);
        }
        trc_block_free(b);
    }
    if (rc < 0 || seen != n || trc_reader_verify(r, NULL) < 0)
        abort();
    trc_reader_close(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    struct arena a = {0};
    struct cursor c = cursor_of(span_of(data, size));
    struct op_stream streams[4];
    struct op ops[OPS_MAX];
    size_t n = 0;
    int64_t now = 0;
    char path[32];
    if (fd < 0 && (fd = memfd_create("fuzz_trc_roundtrip", MFD_CLOEXEC)) < 0)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    unsigned how = cursor_u8(&c);
    struct trc_options options = {.kind = TRC_TRACE,
                                  .block_records = 1 + how % 9u,
                                  .plain_from = how & 128 ? TRC_PLAIN_MIN : 0,
                                  .level = how & 64 ? TRC_LEVEL_STORE : 0};
    struct trc_writer *w;
    if (trc_writer_open(&w, path, &options, NULL) < 0)
        abort();
    for (int i = 0; i < 4; i++)
        make_stream(&c, &a, &streams[i]);
    while (n < OPS_MAX && cursor_left(&c) > 0) {
        ops[n] = make_op(&c, &a, &now);
        ops[n].stream = &streams[cursor_u8(&c) % 4u];
        struct err e = {0};
        int rc = trc_writer_op(w, &ops[n], &e);
        if (rc == 0)
            n++;
        else if ((rc != ERR_USAGE && rc != ERR_LIMIT) || !e.text[0])
            abort();
    }
    if (trc_writer_close(w, NULL) < 0)
        abort();
    read_back(path, ops, n);
    arena_done(&a);
    return 0;
}
