/*
 * test_trc_damage.c - what is left of a file that was cut, flipped, killed or
 * overwritten.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/trc_random.h"
#include "traces/base/buf.h"
#include "traces/container/trc_format.h"
#include "traces/container/trc_repair.h"

static char path[64], other[96], mended[96];

static int make_paths(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/test_trc_damage.%ld", (long)getpid());
    snprintf(other, sizeof other, "%s.other", path);
    snprintf(mended, sizeof mended, "%s.mended", path);
    return 0;
}

static int remove_paths(void **state)
{
    (void)state;
    unlink(path);
    unlink(other);
    unlink(mended);
    return 0;
}

static void put_file(const char *to, const uint8_t *p, size_t n)
{
    int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    check_true(fd >= 0);
    check_int(write(fd, p, n), ==, n);
    close(fd);
}

static void get_file(const char *from, struct buf *b)
{
    struct err e = {0};
    buf_reset(b);
    check_ok(buf_read_file(b, from, BUF_MAX, &e), &e);
}

/* A file with blocks of `per_block` operations, closed or not, and its operations. */
static struct op *make_file(struct arena *a, uint64_t seed, size_t n,
                            uint32_t per_block, bool closed,
                            const struct trc_random *how)
{
    struct err e = {0};
    struct trc_writer *w;
    struct op *ops = trc_random_ops(a, seed, n, how);
    struct trc_options options = {.kind = TRC_TRACE, .block_records = per_block};
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    check_ok(trc_writer_note(w, "synth.seed", "7", &e), &e);
    for (size_t i = 0; i < n; i++)
        check_ok(trc_writer_op(w, &ops[i], &e), &e);
    if (closed)
        check_ok(trc_writer_close(w, &e), &e);
    else
        trc_writer_abandon(w);
    return ops;
}

struct reading {
    size_t seen;   /* operations that came, all equal to those that were written */
    size_t errors; /* before the end */
    int end;       /* 0, or the code at the end */
    uint64_t lost;
    bool opened, complete;
    struct err first; /* error */
};

/* Reads a file as far as it goes; every operation that comes must be the right one. */
static struct reading read_file(const char *from, const struct op *ops, size_t n)
{
    struct reading out = {0};
    struct trc_reader *r;
    struct trc_block *b;
    struct err e = {0};
    out.end = trc_reader_open(&r, from, &e);
    out.first = e;
    if (out.end < 0)
        return out;
    out.opened = true;
    for (int rc = 1; rc != 0;) {
        err_clear(&e);
        rc = trc_reader_next(r, &b, &e);
        if (rc < 0) {
            check_true(rc == ERR_FORMAT || rc == ERR_TRUNCATED || rc == ERR_LIMIT);
            if (!out.first.code)
                out.first = e;
            out.errors++;
            out.end = rc;
            if (rc == ERR_TRUNCATED)
                break;
            continue;
        }
        if (rc == 0) {
            out.end = 0;
            break;
        }
        for (uint32_t i = 0; i < b->count; i++) {
            uint64_t at = b->ops[i].index;
            check_true(at < n);
            const char *field = trc_op_difference(&ops[at], &b->ops[i]);
            if (field)
                fail_msg("operation %d differs in %s", (int)at, field);
            out.seen++;
        }
        trc_block_free(b);
    }
    out.lost = trc_reader_lost_blocks(r);
    out.complete = trc_reader_info(r)->complete;
    trc_reader_close(r);
    return out;
}

/* Ends of the blocks of records, and how many records there are up to them. */
static size_t block_ends(const char *from, size_t *ends, size_t *counts, size_t max)
{
    struct buf b = {0};
    size_t n = 0, count = 0;
    get_file(from, &b);
    for (size_t at = 0; at + TRC_HEAD_BYTES <= b.n;) {
        uint32_t frame = trc_head_probe(b.p + at);
        struct trc_head h;
        bool checked;
        if (frame == 0)
            break;
        check_int(trc_head_decode(span_of(b.p + at, frame), at, &h, &checked, NULL), ==,
                  0);
        at += (size_t)trc_head_block_bytes(&h);
        count += h.kind == TRC_OPS ? h.records : 0;
        check_true(n < max);
        ends[n] = at;
        counts[n++] = count;
    }
    buf_done(&b);
    return n;
}

static const struct trc_random small = {3, 4, 60, true, true, 1};

static void cut_at_every_byte_gives_the_operations_of_all_whole_blocks(void **state)
{
    (void)state;
    struct arena a = {0};
    struct buf file = {0};
    size_t ends[32], counts[32], n = 40;
    struct op *ops = make_file(&a, 1, n, 10, true, &small);
    size_t blocks = block_ends(path, ends, counts, 32);
    get_file(path, &file);
    for (size_t cut = 0; cut <= file.n; cut++) {
        size_t whole = 0;
        for (size_t i = 0; i < blocks && ends[i] <= cut; i++)
            whole = counts[i];
        put_file(other, file.p, cut);
        struct reading got = read_file(other, ops, n);
        check_int(got.seen, ==, whole);
        check_int(got.end, ==, cut == file.n ? 0 : ERR_TRUNCATED);
        check_int(got.complete, ==, cut == file.n);
    }
    buf_done(&file);
    arena_done(&a);
}

static void a_cut_file_is_repaired_to_what_a_close_would_have_given(void **state)
{
    (void)state;
    struct arena a = {0};
    struct buf file = {0}, want = {0}, got = {0};
    size_t ends[32], counts[32], n = 30;
    struct op *ops = make_file(&a, 2, n, 10, true, &small);
    get_file(path, &file);
    block_ends(path, ends, counts, 32);
    /* Blocks: META, three of operations, INDEX, FOOTER. */
    for (size_t keep = 1; keep <= 3; keep++) {
        make_file(&a, 2, 10 * keep, 10, true, &small);
        get_file(path, &want);
        for (size_t more = 0; more < 3; more++) {
            struct trc_repaired done;
            struct err e = {0};
            size_t cut = ends[keep] + more * 40;
            put_file(other, file.p, cut);
            check_ok(trc_repair(other, mended, &done, &e), &e);
            check_true(done.copied);
            check_int(done.records, ==, 10 * keep);
            check_int(done.loss.blocks, ==, more ? 1 : 0);
            get_file(mended, &got);
            check_int(got.n, ==, want.n);
            check_true(memcmp(got.p, want.p, got.n) == 0);
            struct reading r = read_file(mended, ops, n);
            check_int(r.end, ==, 0);
        }
    }
    buf_done(&file);
    buf_done(&want);
    buf_done(&got);
    arena_done(&a);
}

static void any_flipped_bit_is_noticed_and_costs_one_block_at_most(void **state)
{
    (void)state;
    struct arena a = {0};
    struct buf file = {0};
    size_t n = 24, per_block = 8;
    struct op *ops = make_file(&a, 3, n, (uint32_t)per_block, true, &small);
    get_file(path, &file);
    int fd = open(other, O_RDWR | O_CREAT | O_TRUNC, 0600);
    check_int(write(fd, file.p, file.n), ==, file.n);
    size_t unnoticed = 0;
    for (size_t bit = 0; bit < 8 * file.n; bit++) {
        uint8_t flipped = (uint8_t)(file.p[bit / 8] ^ 1u << bit % 8);
        check_int(pwrite(fd, &flipped, 1, (off_t)(bit / 8)), ==, 1);
        struct reading got = read_file(other, ops, n);
        check_true(got.opened);
        check_true(got.seen + per_block >= n);
        struct trc_reader *r;
        struct err e = {0};
        check_ok(trc_reader_open(&r, other, &e), &e);
        if (trc_reader_verify(r, &e) == 0)
            unnoticed++;
        trc_reader_close(r);
        check_int(pwrite(fd, file.p + bit / 8, 1, (off_t)(bit / 8)), ==, 1);
    }
    close(fd);
    /* FORMAT.md leaves bits open: three bytes of the tail are under its checksum too.
     */
    check_int(unnoticed, ==, 0);
    buf_done(&file);
    arena_done(&a);
}

static void a_flipped_file_is_repaired_to_a_sound_one(void **state)
{
    (void)state;
    struct arena a = {0};
    struct buf file = {0};
    size_t n = 24, per_block = 8;
    struct op *ops = make_file(&a, 3, n, (uint32_t)per_block, true, &small);
    get_file(path, &file);
    for (size_t bit = 0; bit < 8 * file.n; bit += 397) {
        struct trc_repaired done;
        struct trc_reader *r;
        struct err e = {0};
        file.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        put_file(other, file.p, file.n);
        file.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        check_ok(trc_repair(other, mended, &done, &e), &e);
        check_true(done.records == n || done.records == n - per_block);
        /* What is missing is told, exactly. */
        check_int(done.loss.records, ==, n - done.records);
        check_ok(trc_reader_open(&r, mended, &e), &e);
        check_int(trc_reader_info(r)->records, ==, done.records);
        check_ok(trc_reader_verify(r, &e), &e);
        trc_reader_close(r);
    }
    (void)ops;
    buf_done(&file);
    arena_done(&a);
}

static void a_file_may_grow_while_it_is_read(void **state)
{
    (void)state;
    struct arena a = {0};
    struct err e = {0};
    struct trc_writer *w;
    struct trc_reader *r = NULL;
    struct trc_block *b;
    const struct trc_random large = {2,    3,    40000,
                                     true, true, 1}; /* with BLOBS blocks */
    struct op *ops = trc_random_ops(&a, 11, 200, &large);
    struct trc_options options = {.kind = TRC_TRACE, .flush_ns = 1};
    size_t seen = 0;
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    for (size_t i = 0; i < 200; i++) {
        check_ok(trc_writer_op(w, &ops[i], &e), &e);
        check_ok(trc_writer_tick(w, &e), &e);
        if (i == 0)
            check_ok(trc_reader_open(&r, path, &e), &e);
        check_int(trc_reader_next(r, &b, &e), ==, 1); /* one block behind the writer */
        const char *field = trc_op_difference(&ops[seen], &b->ops[0]);
        if (field)
            fail_msg("operation %zu differs in %s", seen, field);
        seen += b->count;
        trc_block_free(b);
    }
    check_ok(trc_writer_close(w, &e), &e);
    check_int(trc_reader_next(r, &b, &e), ==, 0);
    check_int(seen, ==, 200);
    trc_reader_close(r);
    arena_done(&a);
}

/* Where the bytes of a group begin, of the block that begins at `block`. */
static size_t group_at(const struct buf *file, size_t block, int group)
{
    const uint8_t *content = file->p + block + 8;
    size_t at = block + 8 + content[-4] + 256u * content[-3];
    for (int g = 0; g < group; g++) {
        const uint8_t *packed = content + 56 + 8 * g + 4;
        at += packed[0] | (size_t)packed[1] << 8 | (size_t)packed[2] << 16;
    }
    return at;
}

static void a_lost_block_is_counted_and_the_rest_is_repaired_with_a_note(void **state)
{
    (void)state;
    struct arena a = {0};
    struct buf file = {0};
    size_t ends[32], counts[32], n = 50;
    struct op *ops = make_file(&a, 4, n, 10, true, &small);
    struct trc_repaired done;
    struct err e = {0};
    struct trc_reader *r;
    get_file(path, &file);
    block_ends(path, ends, counts, 32);
    file.p[group_at(&file, ends[1], 0)] ^= 0xff; /* in the second block of operations */
    put_file(other, file.p, file.n);
    struct reading got = read_file(other, ops, n);
    check_int(got.seen, ==, 40);
    check_int(got.lost, ==, 1);
    check_int(got.errors, ==, 1);
    check_str_has(got.first.text, "OPS block 2");
    check_str_has(got.first.text, "checksum mismatch at byte");
    check_ok(trc_repair(other, mended, &done, &e), &e);
    check_int(done.records, ==, 40);
    check_int(done.loss.blocks, ==, 1);
    check_int(done.loss.records, ==, 10);
    check_int(done.loss.from_ns, ==, ops[10].arrival_ns);
    check_int(done.loss.to_ns, ==, ops[19].arrival_ns);
    check_true(!done.copied);
    check_ok(trc_reader_open(&r, mended, &e), &e);
    check_str(trc_reader_note(r, "repair.lost_operations"), "10");
    check_str(trc_reader_note(r, "synth.seed"), "7");
    check_ok(trc_reader_verify(r, &e), &e);
    trc_reader_close(r);
    buf_done(&file);
    arena_done(&a);
}

/* What must be left of an operation whose group is lost. */
static void check_part(const struct op *was, const struct op *is, int group)
{
    const struct op none = op_empty();
    struct op want = *was;
    if (group == 3) {
        bool had =
            was->request.state != OP_BODY_NONE || was->response.state != OP_BODY_NONE;
        struct op_body lost = {.state = OP_BODY_ELIDED};
        want.request = was->request.state == OP_BODY_NONE ? none.request : lost;
        want.response = was->response.state == OP_BODY_NONE ? none.response : lost;
        want.request_messages = want.response_messages = none.request_messages;
        want.flags |= had ? OP_FLAG_TRUNCATED : 0;
    } else if (group == 2) {
        want.id = none.id;
        want.connection = want.conn_stream = want.client = OP_NONE;
        want.tokens_in = want.tokens_out = OP_NONE;
    } else {
        want.status = none.status;
        want.grpc_status = none.grpc_status;
        want.first_ns = want.last_ns = OP_TIME_NONE;
        want.response_codings = none.response_codings;
        want.response = none.response;
        want.response_messages = none.response_messages;
    }
    const char *field = trc_op_difference(&want, is);
    if (field)
        fail_msg("without group %d, operation %d differs in %s", group, (int)is->index,
                 field);
}

static void of_a_damaged_block_the_whole_groups_are_kept(void **state)
{
    (void)state;
    struct arena a = {0};
    struct buf file = {0};
    size_t ends[32], counts[32], n = 50;
    struct op *ops = trc_random_ops(&a, 4, n, &small);
    for (size_t i = 0; i < n; i++) {
        ops[i].flags &= ~(uint32_t)OP_FLAG_SAMPLED;
        ops[i].weight = 1;
    }
    struct err e = {0};
    struct trc_writer *w;
    struct trc_options options = {.kind = TRC_TRACE, .block_records = 10};
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    for (size_t i = 0; i < n; i++)
        check_ok(trc_writer_op(w, &ops[i], &e), &e);
    check_ok(trc_writer_close(w, &e), &e);
    get_file(path, &file);
    block_ends(path, ends, counts, 32);
    for (int group = 1; group < 4; group++) {
        struct trc_repaired done;
        struct trc_reader *r;
        struct trc_block *b;
        size_t at = group_at(&file, ends[1], group), seen = 0;
        file.p[at] ^= 0xff;
        put_file(other, file.p, file.n);
        file.p[at] ^= 0xff;
        check_int(read_file(other, ops, n).seen, ==, 40); /* readers pass it over */
        check_ok(trc_repair(other, mended, &done, &e), &e);
        check_int(done.records, ==, 50);
        check_int(done.loss.blocks, ==, 0);
        check_int(done.partly.blocks, ==, 1);
        check_int(done.partly.records, ==, 10);
        check_int(done.partly.lack_answers, ==, group == 1);
        check_int(done.partly.lack_ids, ==, group == 2);
        check_int(done.partly.lack_payload, ==, group == 3);
        check_ok(trc_reader_open(&r, mended, &e), &e);
        check_str_has(trc_reader_note(r, "repair.partly"),
                      "1 blocks with 10 operations were kept in part");
        check_ok(trc_reader_verify(r, &e), &e);
        trc_reader_close(r);
        check_ok(trc_reader_open(&r, mended, &e), &e);
        while (trc_reader_next(r, &b, &e) == 1) {
            for (uint32_t i = 0; i < b->count; i++, seen++) {
                bool hit = seen >= 10 && seen < 20;
                if (hit)
                    check_part(&ops[seen], &b->ops[i], group);
                else
                    check_true(!trc_op_difference(&ops[seen], &b->ops[i]));
            }
            trc_block_free(b);
        }
        check_int(seen, ==, n);
        trc_reader_close(r);
    }
    buf_done(&file);
    arena_done(&a);
}

/* A weight that is lost would make an operation stand for itself alone. */
static void sampled_operations_are_not_kept_without_their_weights(void **state)
{
    (void)state;
    struct buf file = {0};
    struct op_stream s = {.name = SPAN_LIT("m")};
    struct op o = op_empty();
    struct err e = {0};
    struct trc_writer *w;
    struct trc_repaired done;
    size_t ends[32], counts[32];
    struct trc_options options = {.kind = TRC_TRACE, .block_records = 2};
    o.stream = &s;
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    for (int i = 0; i < 6; i++) {
        o.flags = i == 3 ? OP_FLAG_SAMPLED : 0;
        o.weight = i == 3 ? 20 : 1;
        o.connection = 7;
        check_ok(trc_writer_op(w, &o, &e), &e);
    }
    check_ok(trc_writer_close(w, &e), &e);
    get_file(path, &file);
    block_ends(path, ends, counts, 32);
    file.p[group_at(&file, ends[1], 2)] ^= 0xff;
    put_file(other, file.p, file.n);
    check_ok(trc_repair(other, mended, &done, &e), &e);
    check_int(done.records, ==, 4);
    check_int(done.loss.records, ==, 2);
    check_int(done.partly.blocks, ==, 0);
    buf_done(&file);
}

/* An outcome whose answer is lost would pass for a good one; without its hash it is
 * what it was. */
static void outcomes_are_kept_without_hashes_and_not_without_answers(void **state)
{
    (void)state;
    struct buf file = {0};
    struct op_stream s = {.name = SPAN_LIT("m")};
    struct err e = {0};
    struct trc_options options = {.kind = TRC_RUN, .block_records = 2};
    struct trc_writer *w;
    struct trc_reader *r;
    struct trc_block *b;
    size_t ends[32], counts[32];
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    for (uint64_t i = 0; i < 6; i++) {
        struct outcome o = outcome_empty();
        o.stream = &s;
        o.op_index = i;
        o.due_ns = (int64_t)i;
        o.done_ns = (int64_t)i + 5;
        o.status = 503;
        o.cause = OUT_STATUS;
        o.answer_hash = 77 + i;
        o.connection = 3;
        check_ok(trc_writer_outcome(w, &o, &e), &e);
    }
    check_ok(trc_writer_close(w, &e), &e);
    get_file(path, &file);
    block_ends(path, ends, counts, 32);
    for (int group = 1; group < 4; group++) {
        struct trc_repaired done;
        size_t at = group_at(&file, ends[1], group);
        file.p[at] ^= 0xff;
        put_file(other, file.p, file.n);
        file.p[at] ^= 0xff;
        check_ok(trc_repair(other, mended, &done, &e), &e);
        check_int(done.records, ==, group == 3 ? 6 : 4);
        check_int(done.partly.records, ==, group == 3 ? 2 : 0);
    }
    check_ok(trc_reader_open(&r, mended, &e), &e);
    size_t seen = 0;
    while (trc_reader_next(r, &b, &e) == 1) {
        for (uint32_t i = 0; i < b->count; i++, seen++) {
            check_int(b->outcomes[i].status, ==, 503);
            check_int(b->outcomes[i].answer_hash, ==,
                      seen == 2 || seen == 3 ? 0 : 77 + seen);
        }
        trc_block_free(b);
    }
    check_int(seen, ==, 6);
    trc_reader_close(r);
    buf_done(&file);
}

static void missing_blocks_are_told_and_what_follows_is_read(void **state)
{
    (void)state;
    struct arena a = {0};
    struct buf file = {0};
    size_t ends[32], counts[32], n = 50;
    struct op *ops = make_file(&a, 5, n, 10, true, &small);
    get_file(path, &file);
    block_ends(path, ends, counts, 32);
    size_t gap = ends[3] - ends[1]; /* the second and third block of operations */
    memmove(file.p + ends[1], file.p + ends[3], file.n - ends[3]);
    put_file(other, file.p, file.n - gap);
    struct reading got = read_file(other, ops, n);
    check_int(got.seen, ==, 30);
    check_int(got.lost, ==, 3); /* and the footer, whose offsets are no longer true */
    check_str_has(got.first.text, "blocks 2 to 3 are missing");
    buf_done(&file);
    arena_done(&a);
}

static void foreign_bytes_between_blocks_cost_no_operation(void **state)
{
    (void)state;
    struct arena a = {0};
    struct buf file = {0}, torn = {0};
    size_t ends[32], counts[32], n = 20;
    struct op *ops = make_file(&a, 6, n, 10, true, &small);
    get_file(path, &file);
    block_ends(path, ends, counts, 32);
    buf_add(&torn, file.p, ends[1]);
    for (int i = 0; i < 300000; i++) /* longer than one look for the next header */
        buf_u8(&torn, (uint8_t)i);
    buf_add(&torn, file.p + ends[1], file.n - ends[1]);
    put_file(other, torn.p, torn.n);
    struct reading got = read_file(other, ops, n);
    check_int(got.seen, ==, n);
    check_str_has(got.first.text, "no block header; 300000 bytes skipped at byte");
    buf_done(&file);
    buf_done(&torn);
    arena_done(&a);
}

static void the_stale_tail_of_an_older_file_is_never_read(void **state)
{
    (void)state;
    struct arena a = {0};
    struct buf old = {0}, new = {0};
    size_t ends[64], counts[64];
    make_file(&a, 7, 200, 10, true, &small);
    get_file(path, &old);
    struct op *ops = make_file(&a, 8, 20, 10, true, &small);
    get_file(path, &new);
    check_true(old.n > new.n);
    size_t whole = new.n;
    buf_add(&new, old.p + new.n, old.n - new.n);
    put_file(other, new.p, new.n);
    struct reading got = read_file(other, ops, 20);
    check_int(got.seen, ==, 20);
    check_int(got.end, ==, 0);
    check_int(got.errors, ==, 0);
    struct trc_reader *r;
    struct err e = {0};
    check_ok(trc_reader_open(&r, other, &e), &e);
    check_int(trc_reader_verify(r, &e), ==, ERR_FORMAT);
    check_str_has(e.text, "bytes stand behind the end of the file's own");
    err_clear(&e);
    check_ok(trc_reader_survey(r, &e), &e);
    check_true(trc_reader_info(r)->complete);
    check_int(trc_reader_info(r)->records, ==, 20);
    trc_reader_close(r);
    /* The same without a footer: whole blocks of the old file follow ours directly. */
    size_t blocks = block_ends(path, ends, counts, 64);
    size_t ours = ends[blocks - 3];
    put_file(path, old.p, old.n);
    blocks = block_ends(path, ends, counts, 64);
    buf_reset(&new);
    struct buf mine = {0};
    get_file(other, &mine);
    buf_add(&new, mine.p, ours);
    buf_add(&new, old.p + ends[3], old.n - ends[3]);
    put_file(other, new.p, new.n);
    got = read_file(other, ops, 20);
    check_int(got.seen, ==, 20);
    check_int(got.end, ==, ERR_TRUNCATED);
    check_str_has(got.first.text, "a block of another file");
    (void)whole;
    buf_done(&mine);
    buf_done(&old);
    buf_done(&new);
    arena_done(&a);
}

static void a_killed_writer_leaves_what_it_flushed(void **state)
{
    (void)state;
    struct arena a = {0};
    struct op *ops = trc_random_ops(&a, 9, 100, &small);
    int ready[2];
    check_int(pipe(ready), ==, 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct trc_writer *w;
        struct trc_options options = {.kind = TRC_TRACE, .flush_ns = 1};
        if (trc_writer_open(&w, path, &options, NULL) < 0)
            _exit(1);
        for (size_t i = 0; i < 60; i++)
            if (trc_writer_op(w, &ops[i], NULL) < 0)
                _exit(1);
        if (trc_writer_tick(w, NULL) < 0)
            _exit(1);
        (void)!write(ready[1], "x", 1);
        pause();
        _exit(0);
    }
    char c;
    close(ready[1]);
    check_int(read(ready[0], &c, 1), ==, 1);
    close(ready[0]);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    struct reading got = read_file(path, ops, 100);
    check_int(got.seen, ==, 60);
    check_int(got.end, ==, ERR_TRUNCATED);
    check_str_has(got.first.text, "was not closed: it ends without a footer at byte");
    arena_done(&a);
}

static void lost_blobs_leave_length_and_hash_of_the_bodies(void **state)
{
    (void)state;
    struct arena a = {0};
    struct buf file = {0};
    static uint8_t body[20000];
    struct err e = {0};
    struct trc_writer *w;
    struct trc_reader *r;
    struct trc_block *b;
    struct op o = *trc_random_ops(&a, 10, 1, &small);
    struct rng rng;
    rng_init(&rng, 1);
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (uint8_t)rng_u64(&rng);
    o.request = op_body_of(span_of(body, sizeof body));
    o.request_messages = (struct op_messages){0};
    struct trc_options options = {.kind = TRC_TRACE, .block_records = 1};
    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    for (int i = 0; i < 4; i++) {
        check_ok(trc_writer_op(w, &o, &e), &e);
        o.arrival_ns += 10;
    }
    check_ok(trc_writer_close(w, &e), &e);
    get_file(path, &file);
    check_true(file.n < 3 * sizeof body); /* stored inline once, in blobs once */
    size_t ends[32], counts[32];
    check_int(block_ends(path, ends, counts, 32), ==,
              8); /* META OPS BLOBS OPS OPS OPS … */
    check_ok(trc_reader_open(&r, path, &e), &e);
    check_ok(trc_reader_verify(r, &e), &e);
    trc_reader_close(r);
    file.p[ends[2] - 100] ^= 1;
    put_file(other, file.p, file.n);
    check_ok(trc_reader_open(&r, other, &e), &e);
    size_t errors = 0, kept = 0, elided = 0;
    for (int rc; (rc = trc_reader_next(r, &b, &e)) != 0; err_clear(&e)) {
        if (rc < 0) {
            check_str_has(e.text, "BLOBS block 2: payload: checksum mismatch");
            errors++;
            continue;
        }
        kept += b->ops[0].request.state == OP_BODY_KEPT;
        elided += b->ops[0].request.state == OP_BODY_ELIDED;
        check_int(b->ops[0].request.bytes, ==, sizeof body);
        check_true(b->ops[0].request.hash[0] == o.request.hash[0]);
        trc_block_free(b);
    }
    check_int(errors, ==, 1);
    check_int(kept, ==, 1);
    check_int(elided, ==, 3);
    trc_reader_close(r);
    buf_done(&file);
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_at_every_byte_gives_the_operations_of_all_whole_blocks),
        cmocka_unit_test(a_cut_file_is_repaired_to_what_a_close_would_have_given),
        cmocka_unit_test(any_flipped_bit_is_noticed_and_costs_one_block_at_most),
        cmocka_unit_test(a_flipped_file_is_repaired_to_a_sound_one),
        cmocka_unit_test(a_file_may_grow_while_it_is_read),
        cmocka_unit_test(a_lost_block_is_counted_and_the_rest_is_repaired_with_a_note),
        cmocka_unit_test(of_a_damaged_block_the_whole_groups_are_kept),
        cmocka_unit_test(sampled_operations_are_not_kept_without_their_weights),
        cmocka_unit_test(outcomes_are_kept_without_hashes_and_not_without_answers),
        cmocka_unit_test(missing_blocks_are_told_and_what_follows_is_read),
        cmocka_unit_test(foreign_bytes_between_blocks_cost_no_operation),
        cmocka_unit_test(the_stale_tail_of_an_older_file_is_never_read),
        cmocka_unit_test(a_killed_writer_leaves_what_it_flushed),
        cmocka_unit_test(lost_blobs_leave_length_and_hash_of_the_bodies),
    };
    return cmocka_run_group_tests(tests, make_paths, remove_paths);
}
