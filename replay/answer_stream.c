/*
 * answer_stream.c - whether an answer that is a stream is right, message by message:
 * see answer_own.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/answer_own.h"

#include "traces/payload/model_type.h"
#include "traces/payload/pay_compare.h"
#include "traces/payload/v2_json.h"
#include "traces/payload/v2_proto.h"
#include "traces/wire/content_encoding.h"
#include "traces/wire/sse.h"

bool rep_answer_streams(const struct op_stream *s)
{
    return span_ends(s->path,
                     s->protocol == OP_REST ? "/infer_stream" : "/ModelStreamInfer");
}

/* A body that comes apart into messages; without any it is one. */
struct pieces {
    struct span body; /* what is left of it */
    const struct op_messages *m;
    uint32_t i;
};

static struct span next_piece(struct pieces *p)
{
    if (p->i >= p->m->count)
        return p->body;
    size_t n =
        p->m->v[p->i++].bytes < p->body.n ? (size_t)p->m->v[p->i - 1].bytes : p->body.n;
    struct span first = span_sub(p->body, 0, n);
    p->body = span_sub(p->body, n, p->body.n);
    return first;
}

/* A message of an answer as V2. REST: what the event carries as data. gRPC: also what
 * Triton wraps. */
static int parse_message(const struct rep_request *r, struct span message,
                         struct arena *a, struct pay_message *m, struct err *e)
{
    struct buf data = {0};
    struct span inner;
    if (r->stream->as_sent.protocol != OP_REST) {
        if (v2_proto_unwrap(message, &inner) == V2_STREAM_ERROR)
            return err_set(e, ERR_FORMAT,
                           "it is an error, or a response without outputs");
        return v2_proto_parse_response(inner, a, m, e);
    }
    sse_data(message, &data);
    struct span kept = arena_dup(a, buf_view(&data));
    int rc = data.failed || (data.n > 0 && !kept.p)
                 ? err_set(e, ERR_NOMEM, "out of memory")
                 : v2_json_parse_response(kept, a, m, e);
    buf_done(&data);
    return rc;
}

/* Whether all messages of the request are the same: then it does not matter whose an
 * answer is. */
static bool asked_the_same(const struct rep_request *r)
{
    const struct op_messages *asked = &r->op->request_messages;
    struct pieces p = {r->body, asked, 0};
    struct span first = next_piece(&p);
    for (uint32_t i = 1; i < asked->count; i++)
        if (!span_eq(next_piece(&p), first))
            return false;
    return true;
}

/* A message against its model type. */
static enum out_check message_by_model(struct rep_request *r, struct span asked,
                                       const struct pay_message *answer,
                                       struct arena *a, struct err *why)
{
    const struct op_stream *s = &r->stream->as_sent;
    const struct model_type *type = model_type_find(s->model_type);
    struct pay_message request;

    if (!type)
        return rep_answer_unjudged(r, REP_NO_TYPE);
    int rc = s->protocol == OP_REST ? v2_json_parse_request(asked, a, &request, NULL)
                                    : v2_proto_parse_request(asked, a, &request, NULL);
    if (rc < 0)
        return rep_answer_unjudged(r, REP_NO_REQUEST);
    rc = model_type_check(type, &request, answer, why);
    return rc == 0           ? OUT_RIGHT
           : rc == ERR_USAGE ? rep_answer_unjudged(r, REP_NO_REQUEST)
           : rc == ERR_NOMEM ? rep_answer_unjudged(r, REP_NO_MEMORY)
                             : OUT_WRONG;
}

/* A message, decoded where it is encoded, in memory of a. */
static int plain_message(uint16_t codings, struct span message, struct arena *a,
                         struct span *plain, struct err *why)
{
    struct buf out = {0};
    *plain = message;
    if (codings == 0)
        return 0;
    int rc = content_decode(codings, message, CONTENT_PLAIN_MAX, &out, why);
    *plain = rc == 0 ? arena_dup(a, buf_view(&out)) : (struct span){0};
    if (rc == 0 && out.n > 0 && !plain->p)
        rc = ERR_NOMEM;
    buf_done(&out);
    return rc;
}

/* A stream as it comes apart into messages. Events in an encoding are decoded as a
 * whole, and then taken apart; over gRPC each message is encoded by itself. */
struct parted {
    struct span body;
    struct op_messages m;
    struct buf plain, sizes; /* of what was decoded: its bytes, its messages */
};

static void parted_done(struct parted *p)
{
    buf_done(&p->plain);
    buf_done(&p->sizes);
}

/* The event that ends at `to` begins where the one before ended, at `from`. */
static size_t part_event(struct parted *p, size_t from, size_t to)
{
    const struct op_message one = {0, to - from};
    buf_add(&p->sizes, &one, sizeof one);
    p->m.count++;
    return to;
}

/* 0; ERR_FORMAT in *why: it is not what its encoding says; ERR_USAGE, ERR_LIMIT,
 * ERR_NOMEM. */
static int part_events(struct parted *p, uint16_t codings, struct err *why)
{
    int rc = content_decode(codings, p->body, CONTENT_PLAIN_MAX, &p->plain, why);
    if (rc < 0)
        return rc;
    struct sse s = {0};
    struct span left = p->body = buf_view(&p->plain);
    size_t from = 0;
    p->m = (struct op_messages){0};
    while (left.n > 0 && p->m.count < OP_MESSAGES_MAX)
        if (sse_feed(&s, &left) == SSE_EVENT)
            from = part_event(p, from, p->body.n - left.n);
    if (left.n == 0 && sse_end(&s) == SSE_EVENT)
        part_event(p, from, p->body.n);
    p->m.v = (const void *)p->sizes.p;
    return p->sizes.failed ? ERR_NOMEM : 0;
}

/* What is known of a streamed answer, message by message. */
struct stream_walk {
    struct parted now, then; /* the answer, and the recorded one */
    int then_rc;             /* why that cannot be read; 0: it can */
    struct pieces answers, asked, recorded;
    bool pairs; /* as many answers as requests: each has its own */
    bool alike; /* whose an answer is does not matter */
    struct span first_asked;
};

static enum out_check message_by_record(struct rep_request *r, double tolerance,
                                        const struct stream_walk *s,
                                        struct span recorded,
                                        const struct pay_message *answer,
                                        struct arena *a, struct err *why)
{
    const struct op *op = r->op;
    bool grpc = r->stream->as_sent.protocol == OP_GRPC;
    struct pay_message then;
    struct span plain;

    if (s->then_rc < 0)
        return rep_answer_unjudged(r, rep_answer_unread(s->then_rc));
    if (op->response.state != OP_BODY_KEPT || s->then.m.count == 0)
        return rep_answer_unjudged(
            r, op->status == 0 && op->grpc_status < 0 ? REP_NO_RECORD
               : op->response.state == OP_BODY_KEPT
                   ? "its record does not tell the messages apart"
                   : REP_NO_BODY);
    if (s->then.m.count != s->now.m.count) {
        err_set(why, ERR_FORMAT, "%u messages, recorded were %u", s->now.m.count,
                s->then.m.count);
        return OUT_WRONG;
    }
    int rc = plain_message(grpc ? op->response_codings : 0, recorded, a, &plain, NULL);
    /* Each message has a flag of its own, which the trace does not keep: one that is
     * nothing in that encoding may be plain. */
    bool read =
        parse_message(r, rc == ERR_FORMAT ? recorded : plain, a, &then, NULL) == 0;
    if (rc < 0 && !(rc == ERR_FORMAT && read))
        return rep_answer_unjudged(r, rep_answer_unread(rc));
    if (!read)
        return rep_answer_unjudged(r, "a recorded message is no V2 answer");
    return pay_compare(&then, answer, tolerance, why) == 0 ? OUT_RIGHT : OUT_WRONG;
}

/* Triton's word that there will be no more answers to a request, where it says it in a
 * message of its own (the client asked with triton_enable_empty_final_response). */
static bool is_end_mark(const struct pay_message *m)
{
    const struct pay_param *p =
        pay_param_find(m->params, m->param_count, "triton_final_response");
    return m->tensor_count == 0 && p && p->kind == PAY_PARAM_BOOL && p->b;
}

/* What message i of the answer is encoded in: over gRPC each has a flag of its own, if
 * they were noted. Events have been decoded. */
static uint16_t codings_at(const struct rep_request *r, uint32_t i)
{
    bool flagged = i < r->encoded.n, grpc = r->stream->as_sent.protocol == OP_GRPC;
    return !grpc || (flagged && !r->encoded.p[i]) ? 0 : r->answer_codings;
}

/* 0, or why the answer cannot be taken apart. The walk is to be given to walk_done. */
static int walk_begin(struct stream_walk *w, const struct rep_request *r,
                      struct err *why)
{
    const struct op *op = r->op;
    bool rest = r->stream->as_sent.protocol == OP_REST;
    *w = (struct stream_walk){
        .now = {.body = buf_view(&r->answer), .m = r->out.messages},
        .then = {.body = op->response.data, .m = op->response_messages},
    };
    if (rest && op->response_codings != 0 && op->response.state == OP_BODY_KEPT)
        w->then_rc = part_events(&w->then, op->response_codings, NULL);
    int rc = rest && r->answer_codings != 0
                 ? part_events(&w->now, r->answer_codings, why)
                 : 0;
    w->answers = (struct pieces){w->now.body, &w->now.m, 0};
    w->recorded = (struct pieces){w->then.body, &w->then.m, 0};
    w->asked = (struct pieces){r->body, &op->request_messages, 0};
    w->pairs =
        op->request_messages.count > 1 && op->request_messages.count == w->now.m.count;
    w->alike = !w->pairs && asked_the_same(r);
    struct pieces first = w->asked;
    w->first_asked = next_piece(&first);
    return rc;
}

static void walk_done(struct stream_walk *w)
{
    parted_done(&w->now);
    parted_done(&w->then);
}

/* One message: right, wrong, or not judged. *mark: it is none. */
static enum out_check judge_message(struct rep_request *r, struct stream_walk *s,
                                    const struct rep_answer_want *w, struct arena *a,
                                    struct buf *content, bool *mark, struct err *why)
{
    struct pay_message answer;
    enum out_check model = OUT_UNCHECKED, record = OUT_UNCHECKED;
    struct span message = next_piece(&s->answers), then = next_piece(&s->recorded);
    struct span asked = s->pairs ? next_piece(&s->asked) : s->first_asked;
    uint16_t codings = codings_at(r, s->answers.i - 1);

    arena_reset(a);
    int rc = r->encoded.failed ? ERR_NOMEM
                               : plain_message(codings, message, a, &message, why);
    if (rc < 0 && rc != ERR_FORMAT) {
        content->failed = true; /* a digest would be of less than it says */
        return rep_answer_unjudged(r, rep_answer_unread_now(rc));
    }
    if (rc < 0 || parse_message(r, message, a, &answer, why) < 0)
        return OUT_WRONG;
    *mark = is_end_mark(&answer);
    if (*mark)
        return OUT_UNCHECKED;
    if (w->content)
        pay_content(&answer, content);
    if (w->model)
        model = s->pairs || s->alike
                    ? message_by_model(r, asked, &answer, a, why)
                    : rep_answer_unjudged(
                          r, "which request of a stream is answered is not told");
    if (w->recorded && model != OUT_WRONG)
        record = message_by_record(r, w->tolerance, s, then, &answer, a, why);
    return model > record ? model : record; /* wrong outweighs right */
}

/* The first message that is wrong decides; one that could not be judged leaves the
 * whole unjudged. */
static enum out_check judge_messages(struct rep_request *r, struct stream_walk *walk,
                                     const struct rep_answer_want *w, struct arena *a,
                                     struct err *why)
{
    uint32_t n = walk->now.m.count, right = 0, marks = 0;
    struct buf content = {0};
    bool wrong = false;

    if (n == 0)
        rep_answer_unjudged(r, "it is a stream without messages");
    for (uint32_t i = 0; i < n && !wrong; i++) {
        bool mark = false;
        enum out_check one = judge_message(r, walk, w, a, &content, &mark, why);
        wrong = one == OUT_WRONG;
        marks += mark;
        right += one == OUT_RIGHT;
        if (wrong)
            err_note(why, "message %u of %u", i + 1, n);
    }
    if (n > 0 && marks == n)
        rep_answer_unjudged(r, "it holds nothing but its end");
    if (w->content && !wrong && n > 0 && !content.failed)
        r->out.answer_hash = outcome_answer_hash(buf_view(&content));
    buf_done(&content);
    return wrong                             ? OUT_WRONG
           : right > 0 && right + marks == n ? OUT_RIGHT
                                             : OUT_UNCHECKED;
}

void rep_answer_judge_stream(struct rep_request *r, const struct rep_answer_want *w,
                             struct arena *a, struct err *why)
{
    struct stream_walk walk;
    enum out_check check = OUT_UNCHECKED;
    int rc = walk_begin(&walk, r, why);

    if (rc == 0)
        check = judge_messages(r, &walk, w, a, why);
    else if (rc == ERR_FORMAT)
        check = OUT_WRONG;
    else
        rep_answer_unjudged(r, rep_answer_unread_now(rc));
    if (w->model || w->recorded)
        r->out.check = check;
    walk_done(&walk);
}
