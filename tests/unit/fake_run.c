/*
 * fake_run.c - see fake_run.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/check.h"

#include "tests/unit/fake_run.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "traces/base/clk.h"
#include "traces/base/rng.h"
#include "traces/container/trc_writer.h"
#include "traces/run_notes.h"

static const struct op_stream fake_streams[3] = {
    {.protocol = OP_REST,
     .tier = OP_TIER_ENVOY,
     .resource = OP_MODEL,
     .name = {(const uint8_t *)"iris", 4},
     .model_type = {(const uint8_t *)"iris", 4},
     .method = {(const uint8_t *)"POST", 4}},
    {.protocol = OP_GRPC,
     .tier = OP_TIER_ENVOY,
     .resource = OP_MODEL,
     .name = {(const uint8_t *)"tfsimple", 8},
     .model_type = {(const uint8_t *)"tfsimple", 8}},
    {.protocol = OP_REST,
     .tier = OP_TIER_ENVOY,
     .resource = OP_PIPELINE,
     .name = {(const uint8_t *)"chain", 5},
     .method = {(const uint8_t *)"POST", 4}},
};

static void put_note(struct trc_writer *w, const char *key, const char *value)
{
    struct err e = {0};
    if (value)
        check_ok(trc_writer_note(w, key, value, &e), &e);
}

static void put_all_notes(struct trc_writer *w, const struct fake_run *f)
{
    char number[32];

    put_note(w, NOTE_TRACE_FILE, "mixed.trace");
    put_note(w, NOTE_TRACE_HASH,
             f->trace_hash ? f->trace_hash : "0123456789abcdef0123456789abcdef");
    snprintf(number, sizeof number, "%" PRIu32, f->operations);
    put_note(w, NOTE_TRACE_OPERATIONS, number);
    put_note(w, NOTE_TARGET_TIER, "envoy");
    put_note(w, NOTE_TARGET_HTTP, "http://127.0.0.1:9000");
    put_note(w, NOTE_SCHEDULE_MODE, f->mode ? f->mode : "open");
    put_note(w, NOTE_SCHEDULE_SPEED, "1");
    if (f->start_wall_ns > 0) {
        char start[CLK_TEXT_MAX];
        snprintf(number, sizeof number, "%" PRId64, f->start_wall_ns);
        put_note(w, NOTE_START_WALL, number);
        clk_wall_text((struct clk_wall){f->start_wall_ns}, start);
        put_note(w, NOTE_START, start);
    }
    if (f->warmup_ns > 0) {
        snprintf(number, sizeof number, "%" PRId64, f->warmup_ns);
        put_note(w, NOTE_WARMUP, number);
    }
    if (f->cooldown_from_ns > 0) {
        snprintf(number, sizeof number, "%" PRId64, f->cooldown_from_ns);
        put_note(w, NOTE_COOLDOWN, number);
    }
    if (f->shards > 0) {
        snprintf(number, sizeof number, "%" PRIu32 "/%" PRIu32, f->shard, f->shards);
        put_note(w, NOTE_SCHEDULE_SHARD, number);
    }
    put_note(w, NOTE_SCHEDULE_POLICY, f->policy);
    put_note(w, NOTE_ANSWER_DIGEST, f->digest);
    put_note(w, NOTE_LABEL_ARM, f->arm);
    put_note(w, NOTE_LABEL_PAIR, f->pair);
    put_note(w, NOTE_LABEL_VERSION, f->version);
}

/* What happened to the operation whose due time and stream are set. */
static void decide_fate(const struct fake_run *f, struct rng *r, uint32_t i,
                        struct outcome *o)
{
    double z = rng_normal(r), service = 10e6 * exp(0.35 * z);
    double fate = rng_unit(r), late = rng_exponential(r);

    service *= f->slow > 0 ? f->slow : 1;
    if (z > 2.0537 && f->slow_tail > 0) /* the 98th percentile of z */
        service *= f->slow_tail;
    o->worker = 0;
    o->ready_ns = o->due_ns;
    if (f->drop_every && i % f->drop_every == f->drop_every - 1) {
        o->cause = OUT_DROPPED;
        o->ready_ns = OP_TIME_NONE;
        return;
    }
    o->sent_ns = o->due_ns + (int64_t)(late * (double)(f->late_ns ? f->late_ns : 2000));
    o->attempts = 1;
    o->bytes_out = 120;
    o->first_ns = o->sent_ns + (int64_t)(0.9 * service);
    o->done_ns = o->sent_ns + (int64_t)service;
    if (fate < f->errors) {
        o->cause = OUT_STATUS;
        o->status = 503;
    } else if (fate < f->errors + f->deadlines) {
        o->cause = OUT_DEADLINE;
        o->first_ns = OP_TIME_NONE;
        o->done_ns = o->due_ns + CLK_SEC;
    } else {
        o->cause = OUT_OK;
        if (f->digest)
            o->answer_hash = f->differ_every && i % f->differ_every == 1 ? 7 : 5;
        o->bytes_in = 300;
        o->status = o->stream->protocol == OP_REST ? 200 : 0;
        o->grpc_status = o->stream->protocol == OP_GRPC ? 0 : -1;
    }
}

static void put_outcomes(struct trc_writer *w, const struct fake_run *f)
{
    struct rng r;
    struct err e = {0};

    rng_init(&r, f->seed);
    for (uint32_t i = 0; i < f->operations; i++) {
        struct outcome o = outcome_empty();
        struct op_stream own = fake_streams[0];
        char name[32];
        o.op_index = i;
        o.stream = &fake_streams[i % 3];
        if (f->cells > 0) {
            snprintf(name, sizeof name, "model-%05" PRIu32, i % f->cells);
            own.name = span_str(name);
            own.model_type = span_str(i % 2 ? "iris" : "echo");
            o.stream = &own;
        }
        o.due_ns = (int64_t)i * CLK_MS;
        decide_fate(f, &r, i, &o);
        if (f->shards == 0 || i % f->shards == f->shard - 1)
            check_ok(trc_writer_outcome(w, &o, &e), &e);
    }
}

void fake_run_write(const char *path, const struct fake_run *f)
{
    struct trc_options options = {.kind = TRC_RUN, .block_records = 1024};
    struct trc_writer *w = NULL;
    struct err e = {0};
    char number[32];

    check_ok(trc_writer_open(&w, path, &options, &e), &e);
    put_all_notes(w, f);
    put_outcomes(w, f);
    if (f->abandon) {
        trc_writer_abandon(w);
        return;
    }
    uint32_t due = f->operations;
    if (f->shards > 0)
        due = due / f->shards + (due % f->shards > f->shard - 1);
    snprintf(number, sizeof number, "%" PRIu32, due);
    put_note(w, NOTE_DUE, number);
    put_note(w, NOTE_HEALTH_VERDICT, f->health);
    put_note(w, NOTE_HEALTH_CAUSES, f->health_causes);
    put_note(w, NOTE_CONNECTS, f->connects);
    put_note(w, NOTE_CONNECTION_ENDS, f->connection_ends);
    check_ok(trc_writer_close(w, &e), &e);
}

/* --- worlds -------------------------------------------------------------------------
 */

#define START INT64_C(1924000000000000000) /* some day in 2030 */

/* What a folder of pairs shows; B differs from A by its fake_run alone. */
struct world {
    const char *name;
    uint32_t pairs, operations;
    struct fake_run a, b;
    bool sequential;  /* all of A first */
    bool fixed;       /* A first in every pair */
    uint32_t unfit_b; /* so many runs of B are INVALID */
};

static void write_run(const char *dir, const struct world *w, uint32_t pair, int arm,
                      uint32_t place)
{
    struct fake_run f = arm == 0 ? w->a : w->b;
    char path[512], label[16];

    f.seed = f.seed + 1000 + pair * 2 + (uint64_t)arm;
    f.operations = w->operations;
    f.slow = (f.slow > 0 ? f.slow : 1) * (1 + 0.004 * ((int)(pair * 7 % 5) - 2));
    f.start_wall_ns = START + (int64_t)place * 10 * CLK_SEC;
    f.arm = f.arm ? f.arm : arm == 0 ? "A" : "B";
    if (arm == 1 && pair < w->unfit_b)
        f.health = "INVALID";
    snprintf(label, sizeof label, "%u", pair + 1);
    f.pair = label;
    snprintf(path, sizeof path, "%s/%s/%02u-%c.run", dir, w->name, pair + 1, "AB"[arm]);
    fake_run_write(path, &f);
}

static void write_world(const char *dir, const struct world *w)
{
    char path[512];

    snprintf(path, sizeof path, "%s/%s", dir, w->name);
    mkdir(path, 0777);
    for (uint32_t pair = 0; pair < w->pairs; pair++) {
        bool b_first = !w->fixed && pair % 3 == 1;
        for (int arm = 0; arm < 2; arm++) {
            uint32_t place = w->sequential ? (uint32_t)arm * w->pairs + pair
                                           : 2 * pair + (uint32_t)(arm != (int)b_first);
            write_run(dir, w, pair, arm, place);
        }
    }
}

void fake_worlds_write(const char *dir)
{
    static const struct world worlds[] = {
        {.name = "slow", .pairs = 8, .operations = 3000, .b = {.slow = 1.10}},
        {.name = "tail", .pairs = 8, .operations = 3000, .b = {.slow_tail = 1.25}},
        {.name = "fast", .pairs = 8, .operations = 3000, .b = {.slow = 0.88}},
        {.name = "same", .pairs = 10, .operations = 6000},
        {.name = "errors", .pairs = 8, .operations = 3000, .b = {.errors = 0.006}},
        {.name = "broken",
         .pairs = 8,
         .operations = 3000,
         .a = {.errors = 0.03},
         .b = {.errors = 0.03}},
        {.name = "sequential",
         .pairs = 8,
         .operations = 3000,
         .b = {.slow = 1.10},
         .sequential = true},
        {.name = "fixed",
         .pairs = 8,
         .operations = 3000,
         .b = {.slow = 1.10},
         .fixed = true},
        {.name = "single", .pairs = 1, .operations = 3000, .b = {.slow = 1.5}},
        {.name = "few", .pairs = 4, .operations = 3000, .b = {.slow = 1.5}},
        {.name = "short", .pairs = 8, .operations = 300, .b = {.slow = 1.10}},
        {.name = "unfit", .pairs = 6, .operations = 3000, .b = {.health = "INVALID"}},
        {.name = "attrition", .pairs = 9, .operations = 3000, .unfit_b = 2},
        {.name = "other",
         .pairs = 6,
         .operations = 3000,
         .b = {.trace_hash = "ffffffffffffffffffffffffffffffff"}},
        {.name = "policies",
         .pairs = 6,
         .operations = 3000,
         .a = {.policy = "queue"},
         .b = {.policy = "queue, cap 8"}},
        {.name = "disciplines",
         .pairs = 6,
         .operations = 3000,
         .b = {.mode = "partly-open"}},
        {.name = "answers",
         .pairs = 6,
         .operations = 3000,
         .a = {.digest = "content"},
         .b = {.digest = "content", .differ_every = 100}},
        {.name = "answers-unfit",
         .pairs = 2,
         .operations = 300,
         .a = {.digest = "content", .health = "INVALID"},
         .b = {.digest = "content", .health = "INVALID", .differ_every = 100}},
        {.name = "answers-other",
         .pairs = 2,
         .operations = 300,
         .a = {.digest = "content"},
         .b = {.digest = "content", .trace_hash = "ffffffffffffffffffffffffffffffff"}},
        {.name = "bodies",
         .pairs = 6,
         .operations = 300,
         .a = {.digest = "body"},
         .b = {.digest = "content"}},
        {.name = "named",
         .pairs = 6,
         .operations = 3000,
         .a = {.arm = "<b>base</b>", .version = "2.9.1"},
         .b = {.arm = "\033[31mcandidate", .version = "2.10.2", .slow = 1.2}},
    };

    for (size_t i = 0; i < sizeof worlds / sizeof *worlds; i++)
        write_world(dir, &worlds[i]);
}
