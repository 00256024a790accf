/*
 * trc_scale.c - see trc_scale.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/tool/trc_scale.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "traces/base/buf.h"
#include "traces/base/rng.h"
#include "traces/tool/trc_copy.h"
#include "traces/tool/trc_remap.h"

#define ID_MAX 65536 /* bytes of a request id in the container */

/* --- burstiness, in one pass --- */

/* Mean and variance as they grow (Welford 1962). */
struct moments {
    uint64_t n;
    double mean, squares;
};

static void add(struct moments *m, double x)
{
    double d = x - m->mean;
    m->n++;
    m->mean += d / (double)m->n;
    m->squares += d * (x - m->mean);
}

struct meter {
    uint64_t n;
    int64_t first, last;
    int64_t window; /* number of the window that is counted */
    uint64_t in_window;
    struct moments gaps, counts;
};

static void meter_add(struct meter *m, int64_t ns)
{
    if (m->n++ == 0) {
        m->first = m->last = ns;
        m->in_window = 1;
        return;
    }
    add(&m->gaps, (double)(ns - m->last));
    m->last = ns;
    int64_t window = (ns - m->first) / TRC_SCALE_WINDOW_NS;
    /* Empty windows count too; a long silence is many of them. */
    for (; m->window < window; m->window++) {
        add(&m->counts, (double)m->in_window);
        m->in_window = 0;
        if (window - m->window > 1000000) /* eleven days of silence say enough */
            m->window = window - 1;
    }
    m->in_window++;
}

static struct trc_burst meter_read(const struct meter *m)
{
    const struct moments *g = &m->gaps, *c = &m->counts;
    struct trc_burst b = {.n = m->n, .gap_cv = NAN, .dispersion = NAN};
    if (g->n >= 2 && g->mean > 0)
        b.gap_cv = sqrt(g->squares / (double)(g->n - 1)) / g->mean;
    if (c->n >= TRC_SCALE_WINDOWS_MIN && c->mean > 0)
        b.dispersion = c->squares / (double)(c->n - 1) / c->mean;
    return b;
}

/* --- one copy of the trace, turned in a circle --- */

struct copy {
    struct trc_reader *r;
    struct trc_block *b;
    uint32_t at;
    bool ended, second; /* in the part in front of `turn`, which comes last */
    int64_t turn;       /* arrivals are counted from here */
    double keep;        /* probability; 1: all */
    struct trc_remap remap;
    bool late;
};

struct scaling {
    const struct trc_scale *how;
    struct trc_scale_done *done;
    struct copy *copies;
    size_t n;
    struct trc_writer *w;
    int64_t period; /* of the circle */
    struct meter before, after;
    struct buf id;
    uint64_t written;
};

/* The end of the file: of a turned copy the front is still to come. 1: go on; 0: over.
 */
static int turn_round(struct copy *c, struct err *e)
{
    if (c->turn == 0 || c->second)
        return 0;
    c->second = true;
    c->remap.next = 0;
    if (c->remap.to)
        memset(c->remap.to, 0xff, TRC_REMAP_MAX * sizeof *c->remap.to);
    int rc = trc_reader_seek(c->r, 0, e);
    return rc < 0 ? rc : 1;
}

/* Whether the operation belongs to the part that is being read. */
static bool in_part(const struct copy *c, const struct op *o)
{
    return c->second ? o->arrival_ns < c->turn : o->arrival_ns >= c->turn;
}

static int fill(struct scaling *s, struct copy *c, struct err *e)
{
    while (!c->ended) {
        for (; c->b && c->at < c->b->count; c->at++)
            if (in_part(c, &c->b->ops[c->at]))
                return 0;
        trc_block_free(c->b);
        c->b = NULL;
        c->at = 0;
        int rc = trc_copy_next(c->r, &c->b, &s->done->unclosed, e);
        if (rc == 0) {
            rc = turn_round(c, e);
            c->ended = rc == 0;
        } else if (rc == 1) {
            rc = trc_remap_late(&c->remap, c->b, s->w, e);
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int64_t arrival(const struct scaling *s, const struct copy *c)
{
    int64_t ns = c->b->ops[c->at].arrival_ns;
    ns += c->second ? s->period - c->turn : -c->turn;
    if (s->how->speed <= 0)
        return ns;
    double scaled = (double)ns / s->how->speed;
    return scaled < 0x1p62 ? (int64_t)scaled : INT64_MAX; /* which the writer refuses */
}

static uint32_t apart(uint32_t ordinal, size_t n, size_t i)
{
    uint64_t v = (uint64_t)ordinal * n + i;
    return ordinal == OP_NONE || v >= OP_NONE ? OP_NONE : (uint32_t)v;
}

/* Uniform in [0, 1), the same for the same seed, copy and operation. */
static double draw(const struct scaling *s, size_t i, uint64_t index)
{
    return (double)(rng_hash(rng_hash(s->how->seed, i), index) >> 11) * 0x1p-53;
}

static int take(struct scaling *s, size_t i, struct err *e)
{
    struct copy *c = &s->copies[i];
    struct op o = c->b->ops[c->at];
    if (i == 0 && c->turn == 0)
        meter_add(&s->before, o.arrival_ns);
    bool taken = c->keep >= 1 || draw(s, i, o.index) < c->keep;
    int rc = c->late
                 ? trc_remap_add(&c->remap, o.index, taken ? s->written : UINT64_MAX, e)
                 : 0;
    o.arrival_ns = arrival(s, c);
    c->at++;
    if (rc < 0 || !taken)
        return rc;
    o.connection = apart(o.connection, s->n, i);
    o.client = apart(o.client, s->n, i);
    if (i > 0 && o.id.n) {
        buf_reset(&s->id);
        buf_span(&s->id, span_sub(o.id, 0, ID_MAX - 8));
        buf_fmt(&s->id, "~%zu", i);
        if ((rc = buf_check(&s->id, e)) < 0)
            return rc;
        o.id = buf_view(&s->id);
    }
    meter_add(&s->after, o.arrival_ns);
    s->written++;
    return trc_writer_op(s->w, &o, e);
}

static int run(struct scaling *s, struct err *e)
{
    for (;;) {
        size_t first = s->n;
        for (size_t i = 0; i < s->n; i++) {
            int rc = fill(s, &s->copies[i], e);
            if (rc < 0)
                return rc;
            if (!s->copies[i].ended &&
                (first == s->n ||
                 arrival(s, &s->copies[i]) < arrival(s, &s->copies[first])))
                first = i;
        }
        if (first == s->n)
            return 0;
        int rc = take(s, first, e);
        if (rc < 0)
            return rc;
    }
}

/* --- beginning and end --- */

static int open_copies(struct scaling *s, const char *in, struct err *e)
{
    struct rng rng;
    rng_init(&rng, s->how->seed);
    double rate = s->how->rate > 0 ? s->how->rate : 1;
    double fraction = rate - floor(rate);
    for (size_t i = 0; i < s->n; i++) {
        struct copy *c = &s->copies[i];
        int rc = trc_copy_open(&c->r, in, e);
        if (rc < 0)
            return rc;
        const struct trc_info *info = trc_reader_info(c->r);
        c->late = trc_reader_has_late(c->r);
        c->keep = rate < 1 ? rate : i + 1 == s->n && fraction > 0 ? fraction : 1;
        if (s->n == 1)
            return 0;
        if (!info->complete || info->file_bytes == 0 || info->records < 2)
            return err_set(e, ERR_USAGE,
                           "'%s': a rate above 1 needs a complete file (not a stream) "
                           "with two operations at least",
                           in);
        /* A mean gap behind the last arrival closes the circle. */
        int64_t gap = info->last_ns / (int64_t)(info->records - 1);
        s->period = info->last_ns + (gap > 0 ? gap : 1);
        if (i == 0)
            continue;
        c->turn = (int64_t)rng_below(&rng, (uint64_t)s->period) / info->resolution_ns *
                  info->resolution_ns;
        rc = trc_reader_seek(c->r, c->turn, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int note_f64(struct trc_writer *w, const char *key, double v, struct err *e)
{
    char text[32];
    snprintf(text, sizeof text, "%.6g", v);
    return trc_writer_note(w, key, text, e);
}

static int note_all(struct scaling *s, struct err *e)
{
    struct {
        const char *key;
        double v;
    } notes[] = {{"scale.speed", s->how->speed},
                 {"scale.rate", s->how->rate},
                 {"scale.gap_cv_before", s->done->before.gap_cv},
                 {"scale.gap_cv_after", s->done->after.gap_cv},
                 {"scale.dispersion_before", s->done->before.dispersion},
                 {"scale.dispersion_after", s->done->after.dispersion}};
    int rc = trc_copy_note_u64(s->w, "scale.seed", s->how->seed, e);
    for (size_t i = 0; rc == 0 && i < sizeof notes / sizeof *notes; i++)
        if (notes[i].v > 0)
            rc = note_f64(s->w, notes[i].key, notes[i].v, e);
    return rc;
}

static int scale(struct scaling *s, const char *in, const char *out, struct err *e)
{
    int rc = open_copies(s, in, e);
    if (rc < 0)
        return rc;
    struct trc_reader *r = s->copies[0].r;
    struct trc_options options = {.kind = TRC_TRACE,
                                  .resolution_ns = trc_reader_info(r)->resolution_ns,
                                  .epoch_wall_ns = trc_reader_info(r)->epoch_wall_ns};
    rc = trc_writer_open(&s->w, out, &options, e);
    if (rc < 0)
        return rc;
    rc = trc_copy_notes(r, "scale.", s->w, e);
    if (rc == 0)
        rc = run(s, e);
    if (rc == 0)
        rc = trc_copy_notes(r, "scale.", s->w, e);
    s->done->before = meter_read(&s->before);
    s->done->after = meter_read(&s->after);
    if (rc == 0)
        rc = note_all(s, e);
    return trc_copy_finish(s->w, out, rc, e);
}

int trc_scale(const char *in, const char *out, const struct trc_scale *how,
              struct trc_scale_done *done, struct err *e)
{
    *done = (struct trc_scale_done){0};
    bool speed = how->speed > 0 && isfinite(how->speed);
    bool rate = how->rate > 0 && how->rate <= TRC_SCALE_COPIES_MAX;
    if (speed == rate || (how->speed != 0 && !speed) || (how->rate != 0 && !rate))
        return err_set(e, ERR_USAGE,
                       "give either a speed above 0 or a rate above 0 and up to %d",
                       TRC_SCALE_COPIES_MAX);
    struct scaling s = {.how = how, .done = done};
    s.n = rate ? (size_t)ceil(how->rate) : 1;
    s.copies = calloc(s.n, sizeof *s.copies);
    int rc = s.copies ? scale(&s, in, out, e) : err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; s.copies && i < s.n; i++) {
        done->lost_answers += s.copies[i].remap.lost;
        trc_block_free(s.copies[i].b);
        trc_reader_close(s.copies[i].r);
        trc_remap_done(&s.copies[i].remap);
    }
    free(s.copies);
    buf_done(&s.id);
    return rc;
}
