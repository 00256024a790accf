/* wire_story.c - see wire_story.h. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/wire_story.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/check.h"

static struct step *add_step(struct script *s)
{
    s->steps = realloc(s->steps, (s->count + 1) * sizeof *s->steps);
    check_true(s->steps != NULL);
    s->steps[s->count] = (struct step){0};
    return &s->steps[s->count++];
}

void script_bytes(struct script *s, int dir, int64_t at_ms, struct span bytes)
{
    struct step *step = add_step(s);
    step->dir = dir;
    step->at_ms = at_ms;
    buf_span(&step->bytes, bytes);
}

void script_text(struct script *s, int dir, int64_t at_ms, const char *text)
{
    script_bytes(s, dir, at_ms, span_str(text));
}

void script_gap(struct script *s, int dir, int64_t at_ms, uint64_t bytes)
{
    struct step *step = add_step(s);
    step->kind = STEP_GAP;
    step->dir = dir;
    step->at_ms = at_ms;
    step->gap = bytes;
}

void script_unseen(struct script *s, int dir, int64_t at_ms)
{
    struct step *step = add_step(s);
    step->kind = STEP_UNSEEN;
    step->dir = dir;
    step->at_ms = at_ms;
}

void script_finish(struct script *s, int dir, int64_t at_ms)
{
    struct step *step = add_step(s);
    step->kind = STEP_FINISH;
    step->dir = dir;
    step->at_ms = at_ms;
}

void script_done(struct script *s)
{
    for (size_t i = 0; i < s->count; i++)
        buf_done(&s->steps[i].bytes);
    free(s->steps);
    *s = (struct script){0};
}

void told_done(struct told *t)
{
    buf_done(&t->story);
}

/* Long bodies are told by length and the hash that came with them. */
static void tell_body(struct buf *out, const struct op_body *body)
{
    uint64_t hash[2];
    switch (body->state) {
    case OP_BODY_NONE:
        buf_str(out, "-");
        break;
    case OP_BODY_KEPT:
        op_body_hash(body->data, hash);
        check_int(hash[0], ==, body->hash[0]);
        check_int(hash[1], ==, body->hash[1]);
        check_int(body->bytes, ==, body->data.n);
        if (body->data.n > 200)
            buf_fmt(out, "%" PRIu64 "#%08x", body->bytes, (unsigned)body->hash[0]);
        else
            buf_fmt(out, "[%.*s]", SPAN_ARG(body->data));
        break;
    case OP_BODY_ELIDED:
        buf_fmt(out, "elided %" PRIu64 "#%08x", body->bytes, (unsigned)body->hash[0]);
    }
}

static const char *const losses[] = {"", " !gap", " !limit", " !unanswered", " !reset"};

static void tell_message(struct buf *out, const struct cap_message *m)
{
    tell_body(out, &m->body);
    buf_fmt(out, "%s%s", m->grpc_compressed ? " compressed" : "", losses[m->loss]);
    for (uint32_t i = 1; i < m->messages_listed; i++) {
        buf_str(out, " + ");
        tell_body(out, &m->messages[i].body);
    }
    if (m->grpc_messages > m->messages_listed)
        buf_fmt(out, " of %u", m->grpc_messages);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < m->messages_listed; i++)
        bytes += m->messages[i].body.bytes;
    if (m->grpc_messages == m->messages_listed ? bytes != m->message_bytes
                                               : bytes >= m->message_bytes)
        buf_fmt(out, " (%" PRIu64 " bytes of messages)", m->message_bytes);
}

static void tell_times(struct buf *out, const struct cap_exchange *x)
{
    buf_fmt(out, " @%" PRId64 "-%" PRId64, x->request.first.ns / CLK_MS,
            x->request.last.ns / CLK_MS);
    if (x->answered)
        buf_fmt(out, ",%" PRId64 "-%" PRId64, x->answer.first.ns / CLK_MS,
                x->answer.last.ns / CLK_MS);
}

static void hear(void *arg, const struct cap_exchange *x)
{
    struct told *t = arg;
    struct buf *out = &t->story;
    static const char *const parts[] = {"", "(asked) ", "(answered) "};
    t->exchanges++;
    t->counted[0] += x->request.counted_bytes;
    t->counted[1] += x->answer.counted_bytes;
    buf_fmt(out, "%s%u %.*s %.*s ", parts[x->part], x->stream, SPAN_ARG(x->method),
            SPAN_ARG(x->path));
    tell_message(out, &x->request);
    if (x->answered)
        buf_fmt(out, " -> %u", x->status);
    else
        buf_str(out, " -> none");
    if (x->grpc)
        buf_fmt(out, "/%d%s", x->grpc_status, x->grpc_status_inferred ? "?" : "");
    buf_str(out, " ");
    tell_message(out, &x->answer);
    buf_fmt(out, "%s%s", x->inferred ? " inferred" : "", x->gap_near ? " gap" : "");
    tell_times(out, x);
    buf_str(out, "\n");
}

static void check_counts(const struct cap_stream *stream, const uint64_t seen[2])
{
    for (int dir = 0; dir < 2; dir++) {
        const struct cap_parse_counts *n = cap_stream_counts(stream, dir);
        check_int(n->record_bytes + n->framing_bytes + n->opaque_bytes + n->shed_bytes +
                      n->pending_bytes,
                  ==, seen[dir]);
    }
}

static void play_bytes(struct cap_stream *stream, const struct step *step, size_t cut,
                       size_t piece, uint64_t seen[2])
{
    struct clk_wall at = {step->at_ms * CLK_MS};
    struct span rest = buf_view(&step->bytes);
    for (bool first = true; rest.n; first = false) {
        size_t n = first && cut ? cut : piece ? piece : rest.n;
        n = n < rest.n ? n : rest.n;
        uint8_t *exact = malloc(n); /* the sanitizer watches both ends */
        memcpy(exact, rest.p, n);
        cap_stream_data(stream, step->dir, at, span_of(exact, n));
        free(exact);
        seen[step->dir] += n;
        check_counts(stream, seen);
        rest = span_sub(rest, n, rest.n);
    }
}

static void play_step(struct cap_stream *stream, const struct step *step, size_t cut,
                      size_t piece, uint64_t seen[2])
{
    struct clk_wall at = {step->at_ms * CLK_MS};
    if (step->kind == STEP_BYTES)
        play_bytes(stream, step, cut, piece, seen);
    else if (step->kind == STEP_GAP)
        cap_stream_gap(stream, step->dir, at, step->gap);
    else if (step->kind == STEP_UNSEEN)
        cap_stream_unseen(stream, step->dir);
    else
        cap_stream_finish(stream, step->dir, at);
    check_counts(stream, seen);
}

struct told play(const struct script *s, size_t cut, size_t piece)
{
    struct told t = {0};
    struct err e = {0};
    uint64_t seen[2] = {0};
    struct cap_budget budget = {.limit_bytes =
                                    s->budget ? s->budget : (uint64_t)1 << 30};
    struct cap_parse_config config = {.exchange = hear, .arg = &t, .budget = &budget};
    struct cap_parse *parse = cap_parse_new(&config, &e);
    struct cap_flow_info info = {.ordinal = 7, .from_start = !s->midway};
    struct cap_stream *stream = cap_stream_new(parse, &info);
    check_true(stream != NULL);
    int64_t at_ms = 0;
    for (size_t i = 0; i < s->count; i++) {
        play_step(stream, &s->steps[i], cut, piece, seen);
        at_ms = s->steps[i].at_ms;
    }
    cap_stream_close(stream, (struct clk_wall){at_ms * CLK_MS}, s->how);
    t.totals = *cap_parse_totals(parse);
    for (int dir = 0; dir < 2; dir++) {
        const struct cap_parse_counts *n = &t.totals.dir[dir];
        check_int(n->pending_bytes, ==, 0);
        check_int(n->record_bytes, ==, t.counted[dir]);
        check_int(n->record_bytes + n->framing_bytes + n->opaque_bytes + n->shed_bytes,
                  ==, seen[dir]);
    }
    t.budget_left = budget.used_bytes;
    check_int(t.budget_left, ==, 0);
    check_ok(t.story.failed ? ERR_NOMEM : 0, &e);
    cap_parse_free(parse);
    return t;
}

static void same_story(const struct script *s, size_t cut, size_t piece,
                       const char *want, const char *file, int line)
{
    struct told t = play(s, cut, piece);
    const char *got = buf_text(&t.story);
    if (strcmp(got, want) != 0) {
        print_error("cut at %zu, pieces of %zu: got\n%swanted\n%s", cut, piece, got,
                    want);
        _fail(file, line);
    }
    told_done(&t);
}

void expect_story_at(const struct script *s, const char *want, const char *file,
                     int line)
{
    size_t longest = 0;
    for (size_t i = 0; i < s->count; i++)
        longest = s->steps[i].bytes.n > longest ? s->steps[i].bytes.n : longest;
    same_story(s, 0, 0, want, file, line);
    same_story(s, 0, 1, want, file, line);
    same_story(s, 0, 7, want, file, line);
    size_t stride = longest > 2000 ? longest / 300 : 1;
    for (size_t cut = 1; cut < longest; cut += stride)
        same_story(s, cut, 0, want, file, line);
}
