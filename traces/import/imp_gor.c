/*
 * imp_gor.c - see imp_gor.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/import/imp_gor.h"

#include <inttypes.h>
#include <stdio.h>

#include "traces/import/gor_file.h"
#include "traces/wire/content_encoding.h"
#include "traces/wire/http1.h"

#define BODY_MAX ((uint64_t)64 << 20)
/* Less than any moment since 1980, and more than any answer takes (11 years). */
#define MOMENT_MIN INT64_C(347155200000000000)

struct reading {
    const struct imp_rule *rule;
    struct imp_out *o;
    struct imp_out_done *done;
    struct arena a; /* of the payload */
    struct buf body;
    struct http1_parser requests, answers;
    bool timed; /* requests have a duration: of version 1.3 or later */
    char where[IMP_OUT_WHERE_MAX];
    struct err *e;
};

/* Takes a message apart, its body into r->body. True: it is one, whole, and nothing
 * behind it. Else false, and memory is the only thing that *rc tells of. */
static bool take_apart(struct reading *r, struct http1_parser *p, struct span message,
                       int *rc)
{
    struct err why = {0};
    struct span data;
    int event;
    http1_reset(p);
    buf_reset(&r->body);
    while ((event = http1_feed(p, &message, &data, &why)) > 0 && event != HTTP1_END)
        if (event == HTTP1_DATA)
            buf_span(&r->body, data);
    if (event == HTTP1_MORE && !http1_idle(p)) /* ended by the connection's end */
        event = http1_eof(p, &why);
    *rc = buf_check(&r->body, r->e);
    if (*rc == 0 && event == ERR_NOMEM)
        *rc = err_set(r->e, ERR_NOMEM, "out of memory for a message");
    return *rc == 0 && event == HTTP1_END && message.n == 0;
}

/* What an answer will name its request by. */
static uint64_t key_of(struct span id)
{
    uint64_t hash[2];
    op_body_hash(id, hash);
    return hash[0] ? hash[0] : 1;
}

static int read_request(struct reading *r, const struct gor_payload *p)
{
    struct op op = op_empty();
    struct op_stream s;
    enum imp_left why = IMP_LEFT_HTTP;
    int rc;
    r->timed |= p->has_duration;
    bool whole = take_apart(r, &r->requests, p->message, &rc);
    if (rc < 0)
        return rc;
    const struct http1_head *head = &r->requests.head;
    const struct imp_call c = {.method = head->method,
                               .target = head->target,
                               .headers = head->fields,
                               .header_count = head->field_count,
                               .framed = true,
                               .body = op_body_of(buf_view(&r->body))};
    if (!whole || !imp_call_make(r->rule, &c, &r->a, &s, &op, &why, r->done)) {
        imp_out_leave(r->o, why, r->where);
        return 0;
    }
    op.arrival_ns = (int64_t)p->time_ns;
    return imp_out_add(r->o, &op, key_of(p->id), r->e);
}

static void take_times(const struct reading *r, const struct gor_payload *p,
                       int64_t arrival_ns, struct op *answer)
{
    int64_t at = (int64_t)p->time_ns;
    bool fits = p->has_duration && p->duration_ns <= (uint64_t)MOMENT_MIN;
    if (at < MOMENT_MIN) {
        answer->last_ns = at;
    } else if (at == arrival_ns && fits) {
        answer->last_ns = (int64_t)p->duration_ns;
    } else if (at > arrival_ns) {
        answer->first_ns = at - arrival_ns;
        if (r->timed && fits)
            answer->last_ns = answer->first_ns + (int64_t)p->duration_ns;
    }
}

static int read_answer(struct reading *r, const struct gor_payload *p)
{
    struct op answer = op_empty();
    int64_t arrival_ns;
    int rc;
    uint64_t key = key_of(p->id);
    if (!imp_out_waiting(r->o, key, &arrival_ns)) {
        imp_out_leave(r->o, IMP_LEFT_UNMATCHED, r->where);
        return 0;
    }
    bool whole = take_apart(r, &r->answers, p->message, &rc);
    if (rc < 0)
        return rc;
    if (!whole) {
        imp_out_leave(r->o, IMP_LEFT_HTTP, r->where);
        return 0;
    }
    const struct http1_head *head = &r->answers.head;
    answer.status = head->status;
    answer.response = op_body_of(buf_view(&r->body));
    for (uint32_t i = 0; i < head->field_count; i++)
        if (span_eq_nocase(head->fields[i].name, "content-encoding"))
            content_codings_add(&answer.response_codings, head->fields[i].value);
    take_times(r, p, arrival_ns, &answer);
    return imp_out_answer(r->o, key, &answer, r->e);
}

static int read_payload(struct reading *r, const struct gor_payload *p)
{
    snprintf(r->where, sizeof r->where, "byte %" PRIu64, p->at);
    arena_reset(&r->a);
    switch (p->type) {
    case GOR_REQUEST:
        return read_request(r, p);
    case GOR_ANSWER:
        return read_answer(r, p);
    case GOR_REPLAYED:
        break;
    }
    imp_out_leave(r->o, IMP_LEFT_REPLAYED, r->where);
    return 0;
}

int imp_gor_read(struct zin *in, const struct imp_rule *rule, struct imp_out *o,
                 struct err *e)
{
    struct err local = {0};
    struct gor_file f;
    struct gor_payload p;
    struct reading r = {
        .rule = rule, .o = o, .done = imp_out_done(o), .e = e ? e : &local};
    int rc;
    gor_file_init(&f, in);
    http1_init(&r.requests, HTTP1_REQUEST, BODY_MAX);
    http1_init(&r.answers, HTTP1_RESPONSE, BODY_MAX);
    while ((rc = gor_file_next(&f, &p, r.e)) == 1) {
        rc = read_payload(&r, &p);
        if (rc < 0 && rc != ERR_STOPPED)
            err_note(r.e, "the payload at %s", r.where);
        if (rc < 0)
            break;
    }
    gor_file_done(&f);
    http1_done(&r.requests);
    http1_done(&r.answers);
    buf_done(&r.body);
    arena_done(&r.a);
    return rc;
}
