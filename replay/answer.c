/*
 * answer.c - see answer.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/answer.h"

#include <string.h>

#include "traces/base/units.h"
#include "traces/payload/model_type.h"
#include "traces/payload/pay_compare.h"
#include "traces/payload/v2_json.h"
#include "traces/payload/v2_proto.h"
#include "traces/tool/trc_print.h"
#include "traces/wire/content_encoding.h"
#include "traces/wire/sse.h"

/* Why answers are not judged, where that is said at several places. */
#define NO_TYPE    "its model's type does not tell what is right"
#define NO_REQUEST "its request is none that its model's type takes"
#define NO_RECORD  "the trace holds no answer to compare it with"
#define NO_BODY    "the recorded answer's body was not kept"
#define NO_MEMORY  "memory ran out"

int rep_answer_parse(struct rep_answer_want *w, const char *text, struct err *e)
{
    static const char with_tolerance[] = "recorded:";
    if (strcmp(text, "model") == 0) {
        w->model = true;
        return 0;
    }
    if (strcmp(text, "recorded") == 0) {
        w->recorded = true;
        return 0;
    }
    if (strncmp(text, with_tolerance, sizeof with_tolerance - 1) == 0 &&
        units_f64(text + sizeof with_tolerance - 1, &w->tolerance, NULL) == 0 &&
        w->tolerance >= 0 && w->tolerance < 1) {
        w->recorded = true;
        return 0;
    }
    return err_set(e, ERR_USAGE,
                   "--check '%s' is not model, recorded or recorded:TOLERANCE, such as "
                   "recorded:1e-6",
                   text);
}

bool rep_answer_wanted(const struct rep_answer_want *w)
{
    return w->model || w->recorded || w->content;
}

static bool is_inference(const struct op_stream *s)
{
    return span_ends(s->path, s->protocol == OP_REST ? "/infer" : "/ModelInfer");
}

static int parse_request(const struct rep_request *r, struct arena *a,
                         struct pay_message *m)
{
    return r->stream->as_sent.protocol == OP_REST
               ? v2_json_parse_request(r->body, a, m, NULL)
               : v2_proto_parse_request(r->body, a, m, NULL);
}

static int parse_response(const struct rep_request *r, struct span body,
                          struct arena *a, struct pay_message *m, struct err *e)
{
    return r->stream->as_sent.protocol == OP_REST
               ? v2_json_parse_response(body, a, m, e)
               : v2_proto_parse_response(body, a, m, e);
}

/* Nothing can be said; the first reason stays. */
static enum out_check not_judged(struct rep_request *r, const char *why)
{
    if (!r->unjudged)
        r->unjudged = why;
    return OUT_UNCHECKED;
}

/* answer: NULL where it is no V2 answer, for the reason in *why. */
static enum out_check by_model(struct rep_request *r, struct arena *a,
                               const struct pay_message *answer, struct err *why)
{
    const struct op_stream *s = &r->stream->as_sent;
    const struct model_type *type = model_type_find(s->model_type);
    struct pay_message request;

    if (r->out.cause != OUT_OK)
        return OUT_UNCHECKED;
    if (!is_inference(s))
        return not_judged(r, "it answers no inference");
    if (!type)
        return not_judged(r, NO_TYPE);
    if (parse_request(r, a, &request) < 0)
        return not_judged(r, NO_REQUEST);
    if (!answer)
        return OUT_WRONG;
    int rc = model_type_check(type, &request, answer, why);
    return rc == 0           ? OUT_RIGHT
           : rc == ERR_USAGE ? not_judged(r, NO_REQUEST)
           : rc == ERR_NOMEM ? not_judged(r, NO_MEMORY)
                             : OUT_WRONG;
}

/* recorded: what was answered then. */
static enum out_check by_body(struct rep_request *r, struct span recorded,
                              double tolerance, struct arena *a,
                              const struct pay_message *answer, struct err *why)
{
    struct pay_message then;
    bool same = span_eq(recorded, buf_view(&r->answer));
    bool inference = is_inference(&r->stream->as_sent);
    if (!inference || parse_response(r, recorded, a, &then, NULL) < 0) {
        if (same)
            return OUT_RIGHT;
        /* Traces that were made before encodings were kept do not tell them. */
        if (inference &&
            !(r->stream->as_sent.protocol == OP_REST && trc_is_text(recorded)))
            return not_judged(r, "the recorded answer is no V2 answer; it may be in an "
                                 "encoding that the trace does not tell");
        err_set(why, ERR_FORMAT, "its body is not the recorded one");
        return OUT_WRONG;
    }
    if (!answer)
        return OUT_WRONG;
    return pay_compare(&then, answer, tolerance, why) == 0 ? OUT_RIGHT : OUT_WRONG;
}

/* Why what was recorded cannot be decoded. */
static const char *unread(int rc)
{
    return rc == ERR_USAGE   ? "the recorded answer is in an encoding that is not known"
           : rc == ERR_LIMIT ? "the recorded answer would become too large, decoded"
           : rc == ERR_NOMEM ? NO_MEMORY
                             : "the recorded answer is not what its encoding says";
}

/* … and what is answered now, which is wrong where it is not what it says. */
static const char *unread_now(int rc)
{
    return rc == ERR_USAGE   ? "it is in an encoding that is not known"
           : rc == ERR_LIMIT ? "it would become too large, decoded"
                             : NO_MEMORY;
}

/* What the recorded answer is encoded in. Where the trace does not tell, gzip shows
 * itself: replay never asks for it, so an answer in gzip is a file of that kind. */
static uint16_t recorded_codings(const struct rep_request *r)
{
    const struct op *op = r->op;
    bool zipped = op->response_codings == 0 && is_gzip(op->response.data) &&
                  !is_gzip(buf_view(&r->answer));
    return zipped ? CONTENT_GZIP : op->response_codings;
}

/* What was answered with success then must be answered so now; what was not is not
 * asked for again. */
static enum out_check by_record(struct rep_request *r, double tolerance,
                                struct arena *a, const struct pay_message *answer,
                                struct err *why)
{
    const struct op *op = r->op;
    bool good = op->grpc_status == 0 ||
                (op->grpc_status < 0 && op->status >= 200 && op->status < 300);

    if (r->out.cause != OUT_OK)
        return OUT_UNCHECKED;
    if (op->status == 0 && op->grpc_status < 0)
        return not_judged(r, NO_RECORD);
    if (!good) {
        err_set(why, ERR_FORMAT, "answered with success, recorded was %s %d",
                op->grpc_status > 0 ? "grpc" : "http",
                op->grpc_status > 0 ? op->grpc_status : op->status);
        return OUT_WRONG;
    }
    if (op->response.state != OP_BODY_KEPT)
        return not_judged(r, NO_BODY);
    uint16_t codings = recorded_codings(r);
    if (codings == 0)
        return by_body(r, op->response.data, tolerance, a, answer, why);
    struct buf plain = {0};
    int rc =
        content_decode(codings, op->response.data, CONTENT_PLAIN_MAX, &plain, NULL);
    enum out_check check =
        rc < 0 ? not_judged(r, unread(rc))
               : by_body(r, buf_view(&plain), tolerance, a, answer, why);
    buf_done(&plain);
    return check;
}

/* --- answers that are streams ------------------------------------------------------
 */

static bool is_streamed(const struct op_stream *s)
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
        return not_judged(r, NO_TYPE);
    int rc = s->protocol == OP_REST ? v2_json_parse_request(asked, a, &request, NULL)
                                    : v2_proto_parse_request(asked, a, &request, NULL);
    if (rc < 0)
        return not_judged(r, NO_REQUEST);
    rc = model_type_check(type, &request, answer, why);
    return rc == 0           ? OUT_RIGHT
           : rc == ERR_USAGE ? not_judged(r, NO_REQUEST)
           : rc == ERR_NOMEM ? not_judged(r, NO_MEMORY)
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

static enum out_check message_by_record(struct rep_request *r, double tolerance,
                                        struct span recorded,
                                        const struct pay_message *answer,
                                        struct arena *a, struct err *why)
{
    const struct op *op = r->op;
    struct pay_message then;
    struct span plain;

    if (op->response.state != OP_BODY_KEPT || op->response_messages.count == 0)
        return not_judged(r, op->status == 0 && op->grpc_status < 0 ? NO_RECORD
                             : op->response.state == OP_BODY_KEPT
                                 ? "its record does not tell the messages apart"
                                 : NO_BODY);
    if (op->response_messages.count != r->out.messages.count) {
        err_set(why, ERR_FORMAT, "%u messages, recorded were %u", r->out.messages.count,
                op->response_messages.count);
        return OUT_WRONG;
    }
    int rc = plain_message(op->response_codings, recorded, a, &plain, NULL);
    /* Each message has a flag of its own, which the trace does not keep: one that is
     * nothing in that encoding may be plain. */
    bool read =
        parse_message(r, rc == ERR_FORMAT ? recorded : plain, a, &then, NULL) == 0;
    if (rc < 0 && !(rc == ERR_FORMAT && read))
        return not_judged(r, unread(rc));
    if (!read)
        return not_judged(r, "a recorded message is no V2 answer");
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
 * they were noted. */
static uint16_t codings_at(const struct rep_request *r, uint32_t i)
{
    return i < r->encoded.n && !r->encoded.p[i] ? 0 : r->answer_codings;
}

/* What is known of a streamed answer, message by message. */
struct stream_walk {
    struct pieces answers, asked, recorded;
    bool pairs; /* as many answers as requests: each has its own */
    bool alike; /* whose an answer is does not matter */
    struct span first_asked;
};

static struct stream_walk walk_of(const struct rep_request *r)
{
    const struct op *op = r->op;
    struct stream_walk w = {
        .answers = {buf_view(&r->answer), &r->out.messages, 0},
        .asked = {r->body, &op->request_messages, 0},
        .recorded = {op->response.data, &op->response_messages, 0},
        .pairs = op->request_messages.count > 1 &&
                 op->request_messages.count == r->out.messages.count,
    };
    w.alike = !w.pairs && asked_the_same(r);
    struct pieces first = w.asked;
    w.first_asked = next_piece(&first);
    return w;
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
        return not_judged(r, unread_now(rc));
    }
    if (rc < 0 || parse_message(r, message, a, &answer, why) < 0)
        return OUT_WRONG;
    *mark = is_end_mark(&answer);
    if (*mark)
        return OUT_UNCHECKED;
    if (w->content)
        pay_content(&answer, content);
    if (w->model)
        model =
            s->pairs || s->alike
                ? message_by_model(r, asked, &answer, a, why)
                : not_judged(r, "which request of a stream is answered is not told");
    if (w->recorded && model != OUT_WRONG)
        record = message_by_record(r, w->tolerance, then, &answer, a, why);
    return model > record ? model : record; /* wrong outweighs right */
}

/* The first message that is wrong decides; one that could not be judged leaves the
 * whole unjudged. */
static void judge_stream(struct rep_request *r, const struct rep_answer_want *w,
                         struct arena *a, struct err *why)
{
    uint32_t n = r->out.messages.count, right = 0, marks = 0;
    struct stream_walk walk = walk_of(r);
    struct buf content = {0};
    bool wrong = false;

    if (n == 0)
        not_judged(r, r->answer_codings ? "it is a stream in an encoding"
                                        : "it is a stream without messages");
    for (uint32_t i = 0; i < n && !wrong; i++) {
        bool mark = false;
        enum out_check one = judge_message(r, &walk, w, a, &content, &mark, why);
        wrong = one == OUT_WRONG;
        marks += mark;
        right += one == OUT_RIGHT;
        if (wrong)
            err_note(why, "message %u of %u", i + 1, n);
    }
    if (n > 0 && marks == n)
        not_judged(r, "it holds nothing but its end");
    if (w->model || w->recorded)
        r->out.check = wrong                             ? OUT_WRONG
                       : right > 0 && right + marks == n ? OUT_RIGHT
                                                         : OUT_UNCHECKED;
    if (w->content && !wrong && n > 0 && !content.failed)
        r->out.answer_hash = outcome_answer_hash(buf_view(&content));
    buf_done(&content);
}

static enum out_check both(enum out_check x, enum out_check y)
{
    return x > y ? x : y;
}

/* Puts what an answer stands for in its place. 0; ERR_FORMAT: it is not what its
 * header says; else it is not judged. */
static int decode_answer(struct rep_request *r, struct err *why)
{
    struct buf plain = {0};
    if (r->answer_codings == 0)
        return 0;
    int rc = content_decode(r->answer_codings, buf_view(&r->answer), CONTENT_PLAIN_MAX,
                            &plain, why);
    if (rc < 0) {
        buf_done(&plain);
        if (rc != ERR_FORMAT)
            not_judged(r, unread_now(rc));
        return rc;
    }
    buf_done(&r->answer);
    r->answer = plain;
    r->answer_codings = 0;
    return 0;
}

static enum out_check judge_unary(struct rep_request *r,
                                  const struct rep_answer_want *w, struct arena *a,
                                  struct err *why)
{
    struct pay_message answer;
    struct buf content = {0};
    enum out_check check = OUT_UNCHECKED;
    bool inference = is_inference(&r->stream->as_sent);

    int rc = decode_answer(r, why);
    if (rc < 0 && rc != ERR_FORMAT)
        return OUT_UNCHECKED;
    bool parsed = rc == 0 && inference &&
                  parse_response(r, buf_view(&r->answer), a, &answer, why) == 0;
    if (parsed && w->content) {
        pay_content(&answer, &content);
        if (!content.failed)
            r->out.answer_hash = outcome_answer_hash(buf_view(&content));
        buf_done(&content);
    }
    if (w->model)
        check = by_model(r, a, parsed ? &answer : NULL, why);
    if (w->recorded && check != OUT_WRONG)
        check =
            both(check, by_record(r, w->tolerance, a, parsed ? &answer : NULL, why));
    return check;
}

void rep_answer_judge(struct rep_request *r, const struct rep_answer_want *w,
                      struct arena *a, struct err *why)
{
    arena_reset(a);
    r->out.check = OUT_UNCHECKED;
    r->unjudged = NULL;
    if (r->out.cause == OUT_OK && rep_answer_wanted(w)) {
        if (is_streamed(&r->stream->as_sent))
            judge_stream(r, w, a, why);
        else
            r->out.check = judge_unary(r, w, a, why);
    }
    if (r->out.check != OUT_UNCHECKED)
        r->unjudged = NULL;
    if (r->mark != REP_MARK_OTHER)
        return;
    err_clear(why);
    err_set(why, ERR_FORMAT, "it shows the request id of another operation");
    r->out.check = OUT_CROSSED;
    r->unjudged = NULL;
}

bool rep_answer_tells(const struct rep_request *r)
{
    const struct op_stream *s = &r->stream->as_sent;
    const struct model_type *type = model_type_find(s->model_type);
    return type && model_type_is_function(type) && is_inference(s);
}

bool rep_answer_fits(const struct rep_request *r, const struct rep_request *other,
                     struct arena *a)
{
    const struct op_stream *x = &r->stream->as_sent, *y = &other->stream->as_sent;
    struct pay_message answer, request;

    if (r == other || x->protocol != y->protocol ||
        (span_eq(x->model_type, y->model_type) && span_eq(r->body, other->body)))
        return false;
    arena_reset(a);
    return parse_response(r, buf_view(&r->answer), a, &answer, NULL) == 0 &&
           parse_request(other, a, &request) == 0 &&
           model_type_check(model_type_find(y->model_type), &request, &answer, NULL) ==
               0;
}
