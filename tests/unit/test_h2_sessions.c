/* test_h2_sessions.c - what nghttp2's client and server say to one another, watched
 * from the start and from any byte on. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/h2_frame.h"
#include "capture/stream.h"
#include "tests/unit/h2_build.h"
#include "traces/base/rng.h"
#include "traces/payload/v2_proto.h"

#define INFER     "/inference.GRPCInferenceService/ModelInfer"
#define CALLS_MAX 64

struct body {
    struct buf bytes; /* with its gRPC prefix */
    size_t sent;
};

struct call {
    const char *path;
    char id[16], status[4];
    int32_t stream;
    struct body asked, answered;
    size_t begins[2]; /* where its first HEADERS frame is, in each direction */
    bool told;
};

struct talk {
    struct rng rng;
    nghttp2_session *session[2]; /* client, server */
    struct buf wire[2];          /* by direction */
    struct call calls[CALLS_MAX];
    size_t count, submitted;
    size_t skip[2]; /* what the watcher misses */
};

static struct call *call_of(struct talk *t, int32_t stream)
{
    for (size_t i = 0; i < t->submitted; i++)
        if (t->calls[i].stream == stream)
            return &t->calls[i];
    return NULL;
}

static ssize_t read_body(nghttp2_session *session, int32_t stream, uint8_t *out,
                         size_t room, uint32_t *flags, nghttp2_data_source *source,
                         void *user)
{
    struct talk *t = user;
    struct body *b = source->ptr;
    size_t n = b->bytes.n - b->sent;
    size_t most = 1 + (size_t)rng_below(&t->rng, 300);
    n = n < room ? n : room;
    n = n < most ? n : most;
    memcpy(out, b->bytes.p + b->sent, n);
    b->sent += n;
    if (b->sent < b->bytes.n)
        return (ssize_t)n;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    struct call *call = call_of(t, stream);
    if (call && b == &call->answered) { /* trailers end it */
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_nv nv = {.name = (uint8_t *)(uintptr_t) "grpc-status",
                         .value = (uint8_t *)call->status,
                         .namelen = 11,
                         .valuelen = strlen(call->status)};
        check_int(nghttp2_submit_trailer(session, stream, &nv, 1), ==, 0);
    }
    return (ssize_t)n;
}

static nghttp2_nv nv_of(const char *name, const char *value)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                        .value = (uint8_t *)(uintptr_t)value,
                        .namelen = strlen(name),
                        .valuelen = strlen(value)};
}

static ssize_t pad(nghttp2_session *session, const nghttp2_frame *frame, size_t most,
                   void *user)
{
    (void)session;
    struct talk *t = user;
    size_t more = rng_below(&t->rng, 3) ? 0 : (size_t)rng_below(&t->rng, 200);
    return (ssize_t)(frame->hd.length + more < most ? frame->hd.length + more : most);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct talk *t = user;
    if (session != t->session[1] ||
        (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS) ||
        !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    struct call *call = call_of(t, frame->hd.stream_id);
    check_true(call != NULL);
    nghttp2_nv nv[] = {nv_of(":status", "200"),
                       nv_of("content-type", "application/grpc"),
                       nv_of("x-request-id", call->id)};
    nghttp2_data_provider provider = {{.ptr = &call->answered}, read_body};
    return nghttp2_submit_response(session, frame->hd.stream_id, nv, 3, &provider);
}

static void submit(struct talk *t)
{
    struct call *call = &t->calls[t->submitted];
    nghttp2_nv nv[] = {nv_of(":method", "POST"),
                       nv_of(":scheme", "http"),
                       nv_of(":path", call->path),
                       nv_of(":authority", "host:9000"),
                       nv_of("content-type", "application/grpc"),
                       nv_of("seldon-model", "iris"),
                       nv_of("x-request-id", call->id)};
    nghttp2_data_provider provider = {{.ptr = &call->asked}, read_body};
    call->stream = nghttp2_submit_request(t->session[0], NULL, nv, 7, &provider, NULL);
    check_int(call->stream, >, 0);
    t->submitted++;
}

static void make_call(struct talk *t, struct call *call)
{
    snprintf(call->id, sizeof call->id, "r%zu", (size_t)(call - t->calls));
    snprintf(call->status, sizeof call->status, "%d", rng_below(&t->rng, 8) ? 0 : 13);
    struct buf message = {0};
    if (rng_below(&t->rng, 4)) {
        call->path = INFER;
        static const double value[] = {1, 2, 3};
        struct pay_tensor tensor = {.name = SPAN_LIT("predict"),
                                    .type = PAY_FP64,
                                    .shape = {3},
                                    .rank = 1,
                                    .element_count = 3,
                                    .packed = span_of(value, sizeof value)};
        struct pay_message m = {.model_name = SPAN_LIT("iris"),
                                .id = span_str(call->id),
                                .tensors = &tensor,
                                .tensor_count = 1};
        v2_proto_request(&m, &message);
    } else {
        call->path = rng_below(&t->rng, 2) ? "/p.S/A" : "/p.S/B";
        buf_fmt(&message, "not protobuf: %s", call->id);
    }
    h2_grpc(&call->asked.bytes, 0, buf_view(&message));
    buf_reset(&message);
    buf_fmt(&message, "answer to %s", call->id);
    buf_zeros(&message, (size_t)rng_below(&t->rng, 500));
    h2_grpc(&call->answered.bytes, 0, buf_view(&message));
    buf_done(&message);
}

/* Moves what `from` has to say to the other side. */
static bool speak(struct talk *t, int from)
{
    const uint8_t *bytes;
    ssize_t n = nghttp2_session_mem_send(t->session[from], &bytes);
    check_int(n, >=, 0);
    buf_add(&t->wire[from], bytes, (size_t)n);
    if (n)
        check_int(nghttp2_session_mem_recv(t->session[1 - from], bytes, (size_t)n), ==,
                  n);
    return n > 0;
}

static void note_frames(struct talk *t, int dir)
{
    size_t at = dir == 0 ? sizeof H2_PREFACE - 1 : 0;
    while (at + CAP_H2_HEAD <= t->wire[dir].n) {
        struct cap_h2_frame f = cap_h2_frame_of(t->wire[dir].p + at);
        struct call *call = call_of(t, (int32_t)f.stream);
        if (f.type == CAP_H2_HEADERS && call && !call->begins[dir])
            call->begins[dir] = at;
        at += CAP_H2_HEAD + f.length;
    }
    check_int(at, ==, t->wire[dir].n);
}

static void talk_run(struct talk *t, uint64_t seed)
{
    *t = (struct talk){.count = 8 + seed % 40};
    rng_init(&t->rng, seed);
    nghttp2_session_callbacks *callbacks;
    check_int(nghttp2_session_callbacks_new(&callbacks), ==, 0);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_select_padding_callback(callbacks, pad);
    check_int(nghttp2_session_client_new(&t->session[0], callbacks, t), ==, 0);
    check_int(nghttp2_session_server_new(&t->session[1], callbacks, t), ==, 0);
    nghttp2_session_callbacks_del(callbacks);
    for (int side = 0; side < 2; side++) {
        nghttp2_settings_entry entry = {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE,
                                        seed % 3 ? 4096 : 64};
        nghttp2_submit_settings(t->session[side], 0, &entry, 1);
    }
    for (size_t i = 0; i < t->count; i++)
        make_call(t, &t->calls[i]);
    bool more = true;
    while (more || t->submitted < t->count) {
        if (t->submitted < t->count && (!more || rng_below(&t->rng, 3) == 0))
            submit(t);
        int first = (int)rng_below(&t->rng, 2);
        more = speak(t, first);
        more = speak(t, 1 - first) || more;
    }
    for (int dir = 0; dir < 2; dir++) {
        note_frames(t, dir);
        nghttp2_session_del(t->session[dir]);
    }
}

static void talk_done(struct talk *t)
{
    for (size_t i = 0; i < t->count; i++) {
        buf_done(&t->calls[i].asked.bytes);
        buf_done(&t->calls[i].answered.bytes);
    }
    buf_done(&t->wire[0]);
    buf_done(&t->wire[1]);
}

static void same_body(const struct cap_message *m, const struct body *b)
{
    check_int(m->loss, ==, CAP_LOSS_NONE);
    check_true(span_eq(m->body.data, span_sub(buf_view(&b->bytes), 5, b->bytes.n)));
}

static void hear(void *arg, const struct cap_exchange *x)
{
    struct talk *t = arg;
    struct call *call = call_of(t, (int32_t)x->stream);
    check_true(call != NULL && !call->told);
    call->told = true;
    check_true(x->grpc);
    same_body(&x->request, &call->asked);
    bool infer = strcmp(call->path, INFER) == 0;
    if (x->path.n)
        check_span(x->path, call->path);
    else
        check_true(x->request.headers_opaque && !infer);
    if (x->inferred)
        check_true(x->request.headers_opaque && infer);
    if (!t->skip[0])
        check_true(!x->inferred && x->path.n && x->request.header_count == 3);
    if (!x->answered)
        return;
    check_int(x->status, ==, 200);
    same_body(&x->answer, &call->answered);
    if (x->grpc_status_inferred)
        check_true(t->skip[1] > 0);
    else if (x->grpc_status >= 0)
        check_int(x->grpc_status, ==, atoi(call->status));
    else
        check_true(x->answer.headers_opaque);
}

/* The watcher misses the first bytes of both directions, and gets the rest in pieces.
 */
static uint64_t watch(struct talk *t, size_t skip_client, size_t skip_server)
{
    t->skip[0] = skip_client;
    t->skip[1] = skip_server;
    for (size_t i = 0; i < t->count; i++)
        t->calls[i].told = false;
    struct cap_budget budget = {.limit_bytes = 1u << 26};
    struct cap_parse_config config = {.exchange = hear, .arg = t, .budget = &budget};
    struct cap_parse *parse = cap_parse_new(&config, NULL);
    struct cap_flow_info info = {.from_start = !skip_client && !skip_server};
    struct cap_stream *s = cap_stream_new(parse, &info);
    size_t at[2] = {skip_client, skip_server};
    while (at[0] < t->wire[0].n || at[1] < t->wire[1].n) {
        int dir =
            at[0] >= t->wire[0].n || (at[1] < t->wire[1].n && rng_below(&t->rng, 2));
        size_t n = 1 + (size_t)rng_below(&t->rng, 400);
        struct span piece = span_sub(buf_view(&t->wire[dir]), at[dir], at[dir] + n);
        cap_stream_data(s, dir, (struct clk_wall){1}, piece);
        at[dir] += piece.n;
        const struct cap_parse_counts *c = cap_stream_counts(s, dir);
        check_int(c->record_bytes + c->framing_bytes + c->opaque_bytes + c->shed_bytes +
                      c->pending_bytes,
                  ==, at[dir] - (dir ? skip_server : skip_client));
    }
    cap_stream_close(s, (struct clk_wall){1}, CAP_END_FIN);
    struct cap_parse_totals totals = *cap_parse_totals(parse);
    cap_parse_free(parse);
    check_int(budget.used_bytes, ==, 0);
    check_int(totals.hpack_errors, ==, 0);
    for (size_t i = 0; i < t->count; i++)
        if (t->calls[i].begins[0] >= skip_client)
            check_true(t->calls[i].told);
    return totals.answered;
}

static void every_call_of_a_session_is_told(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct talk t;
        talk_run(&t, seed);
        check_int(watch(&t, 0, 0), ==, t.count);
        talk_done(&t);
    }
}

static void every_call_behind_a_join_is_told(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct talk t;
        talk_run(&t, seed);
        for (int i = 0; i < 20; i++) {
            /* At least three frames remain: fewer are not believed. */
            size_t client = 1 + (size_t)rng_below(&t.rng, t.wire[0].n * 3 / 4);
            size_t server = 1 + (size_t)rng_below(&t.rng, t.wire[1].n * 3 / 4);
            uint64_t want = 0;
            uint64_t got = watch(&t, client, server);
            for (size_t k = 0; k < t.count; k++)
                want +=
                    t.calls[k].begins[0] >= client && t.calls[k].begins[1] >= server;
            check_int(got, ==, want);
        }
        talk_done(&t);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_of_a_session_is_told),
        cmocka_unit_test(every_call_behind_a_join_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
