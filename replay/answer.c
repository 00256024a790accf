/*
 * answer.c - see answer.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/answer_own.h"

#include <string.h>

#include "traces/base/units.h"
#include "traces/payload/model_type.h"
#include "traces/payload/pay_compare.h"
#include "traces/payload/pay_mask.h"
#include "traces/payload/v2_json.h"
#include "traces/payload/v2_proto.h"
#include "traces/tool/trc_print.h"
#include "traces/wire/content_encoding.h"

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
    return s->protocol == OP_KAFKA ||
           span_ends(s->path, s->protocol == OP_REST ? "/infer" : "/ModelInfer");
}

/* In which protocol the trace has it: at the tier kafka it may have been another. */
static enum op_protocol recorded_protocol(const struct rep_request *r)
{
    enum op_protocol sent = r->stream->as_sent.protocol;
    return sent == OP_KAFKA && r->op ? r->op->stream->protocol : sent;
}

static int parse_request(const struct rep_request *r, struct arena *a,
                         struct pay_message *m)
{
    return pay_mask_form(recorded_protocol(r), r->body) == OP_REST
               ? v2_json_parse_request(r->body, a, m, NULL)
               : v2_proto_parse_request(r->body, a, m, NULL);
}

static int parse_response(enum op_protocol protocol, struct span body, struct arena *a,
                          struct pay_message *m, struct err *e)
{
    return pay_mask_form(protocol, body) == OP_REST
               ? v2_json_parse_response(body, a, m, e)
               : v2_proto_parse_response(body, a, m, e);
}

enum out_check rep_answer_unjudged(struct rep_request *r, const char *why)
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
        return rep_answer_unjudged(r, "it answers no inference");
    if (!type)
        return rep_answer_unjudged(r, REP_NO_TYPE);
    if (parse_request(r, a, &request) < 0)
        return rep_answer_unjudged(r, REP_NO_REQUEST);
    if (!answer)
        return OUT_WRONG;
    int rc = model_type_check(type, &request, answer, why);
    return rc == 0           ? OUT_RIGHT
           : rc == ERR_USAGE ? rep_answer_unjudged(r, REP_NO_REQUEST)
           : rc == ERR_NOMEM ? rep_answer_unjudged(r, REP_NO_MEMORY)
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
    if (!inference ||
        parse_response(recorded_protocol(r), recorded, a, &then, NULL) < 0) {
        if (same)
            return OUT_RIGHT;
        /* Traces that were made before encodings were kept do not tell them. */
        if (inference && !(recorded_protocol(r) == OP_REST && trc_is_text(recorded)))
            return rep_answer_unjudged(
                r, "the recorded answer is no V2 answer; it may be in an "
                   "encoding that the trace does not tell");
        err_set(why, ERR_FORMAT, "its body is not the recorded one");
        return OUT_WRONG;
    }
    if (!answer)
        return OUT_WRONG;
    return pay_compare(&then, answer, tolerance, why) == 0 ? OUT_RIGHT : OUT_WRONG;
}

const char *rep_answer_unread(int rc)
{
    return rc == ERR_USAGE   ? "the recorded answer is in an encoding that is not known"
           : rc == ERR_LIMIT ? "the recorded answer would become too large, decoded"
           : rc == ERR_NOMEM ? REP_NO_MEMORY
                             : "the recorded answer is not what its encoding says";
}

const char *rep_answer_unread_now(int rc)
{
    return rc == ERR_USAGE   ? "it is in an encoding that is not known"
           : rc == ERR_LIMIT ? "it would become too large, decoded"
                             : REP_NO_MEMORY;
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
        return rep_answer_unjudged(r, REP_NO_RECORD);
    if (!good) {
        err_set(why, ERR_FORMAT, "answered with success, recorded was %s %d",
                op->grpc_status > 0 ? "grpc" : "http",
                op->grpc_status > 0 ? op->grpc_status : op->status);
        return OUT_WRONG;
    }
    if (op->response.state != OP_BODY_KEPT)
        return rep_answer_unjudged(r, REP_NO_BODY);
    uint16_t codings = recorded_codings(r);
    if (codings == 0)
        return by_body(r, op->response.data, tolerance, a, answer, why);
    struct buf plain = {0};
    int rc =
        content_decode(codings, op->response.data, CONTENT_PLAIN_MAX, &plain, NULL);
    enum out_check check =
        rc < 0 ? rep_answer_unjudged(r, rep_answer_unread(rc))
               : by_body(r, buf_view(&plain), tolerance, a, answer, why);
    buf_done(&plain);
    return check;
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
            rep_answer_unjudged(r, rep_answer_unread_now(rc));
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
                  parse_response(r->stream->as_sent.protocol, buf_view(&r->answer), a,
                                 &answer, why) == 0;
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
        if (rep_answer_streams(&r->stream->as_sent))
            rep_answer_judge_stream(r, w, a, why);
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
    return parse_response(x->protocol, buf_view(&r->answer), a, &answer, NULL) == 0 &&
           parse_request(other, a, &request) == 0 &&
           model_type_check(model_type_find(y->model_type), &request, &answer, NULL) ==
               0;
}
