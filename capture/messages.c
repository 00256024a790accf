/*
 * messages.c - see messages.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/messages.h"

#include <string.h>

#include "traces/wire/sse.h"

#define STREAM_METHOD "/inference.GRPCInferenceService/ModelStreamInfer"
#define EVENT_TYPE    "text/event-stream"

/* --- gRPC ------------------------------------------------------------------------- */

/* One body of all messages that are listed, joined. It is whole only if all are. */
static bool join_bodies(const struct cap_message *m, uint64_t bytes, struct arena *a,
                        struct op_body *body)
{
    bool whole = m->loss == CAP_LOSS_NONE;
    for (uint32_t i = 0; i < m->messages_listed; i++)
        whole &= m->messages[i].body.state != OP_BODY_ELIDED;
    if (!whole) {
        *body = (struct op_body){.state = bytes ? OP_BODY_ELIDED : OP_BODY_NONE,
                                 .bytes = bytes};
        return true;
    }
    uint8_t *joined = arena_alloc(a, bytes ? (size_t)bytes : 1);
    size_t at = 0;
    if (!joined)
        return false;
    for (uint32_t i = 0; i < m->messages_listed; i++) {
        struct span part = m->messages[i].body.data;
        if (part.n)
            memcpy(joined + at, part.p, part.n);
        at += part.n;
    }
    *body = op_body_of(span_of(joined, at));
    return true;
}

static bool take_grpc(const struct cap_exchange *x, const struct cap_message *m,
                      struct arena *a, struct op_body *body, struct op_messages *out)
{
    bool streams = m->grpc_messages > 1 || span_eq_str(x->path, STREAM_METHOD);
    uint64_t bytes = 0;
    if (!streams || m->messages_listed == 0)
        return true;
    struct op_message *list = arena_alloc(a, m->messages_listed * sizeof *list);
    if (!list)
        return false;
    bool all = m == &x->request || m->messages_listed == m->grpc_messages;
    for (uint32_t i = 0; i < m->messages_listed; i++) {
        const struct cap_grpc_message *part = &m->messages[i];
        if (part->compressed != m->grpc_compressed || !all) {
            /* No single encoding says what the bytes are, or they are the first part
             * of an answer, which a request would be flagged for. */
            *body =
                (struct op_body){.state = OP_BODY_ELIDED, .bytes = m->message_bytes};
            return true;
        }
        uint64_t n = part->body.state == OP_BODY_NONE ? 0 : part->body.bytes;
        list[i] = (struct op_message){part->first.ns - x->request.first.ns, n};
        bytes += n;
    }
    if (!join_bodies(m, bytes, a, body))
        return false;
    *out = (struct op_messages){list, m->messages_listed};
    return true;
}

/* --- server-sent events ----------------------------------------------------------- */

static bool is_event_stream(const struct cap_message *m)
{
    bool events = false;
    for (uint32_t i = 0; i < m->header_count; i++) {
        struct span name = m->headers[i].name, value = span_trim(m->headers[i].value);
        if (span_eq_str(name, "content-encoding") && !span_eq_nocase(value, "identity"))
            return false;
        if (span_eq_str(name, "content-type"))
            events = span_eq_nocase(
                span_trim(span_sub(value, 0, span_find(value, ';', 0))), EVENT_TYPE);
    }
    return events;
}

/* When the byte at `offset` came. */
static struct clk_wall came_at(const struct cap_message *m, uint64_t offset)
{
    uint32_t low = 0, high = m->arrival_count;
    while (high - low > 1) {
        uint32_t mid = low + (high - low) / 2;
        if (m->arrivals[mid].from <= offset)
            low = mid;
        else
            high = mid;
    }
    return m->arrivals[low].at;
}

static bool take_events(const struct cap_exchange *x, const struct cap_message *m,
                        struct arena *a, const struct op_body *body,
                        struct op_messages *out)
{
    if (body->state != OP_BODY_KEPT || m->arrival_count == 0 || !is_event_stream(m))
        return true;
    uint32_t n = 0;
    for (size_t at = 0; at < body->data.n && n < OP_MESSAGES_MAX; n++)
        at = sse_block_end(body->data, at);
    struct op_message *list = arena_alloc(a, (n ? n : 1) * sizeof *list);
    if (!list)
        return false;
    size_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        size_t end =
            i + 1 == OP_MESSAGES_MAX ? body->data.n : sse_block_end(body->data, at);
        list[i] =
            (struct op_message){came_at(m, at).ns - x->request.first.ns, end - at};
        at = end;
    }
    *out = (struct op_messages){list, n};
    return true;
}

int cap_messages_take(const struct cap_exchange *x, struct op *op, struct arena *a,
                      struct err *e)
{
    bool good = true;
    if (x->grpc && x->part != CAP_PART_ANSWER)
        good = take_grpc(x, &x->request, a, &op->request, &op->request_messages);
    if (good && x->answered && x->part != CAP_PART_REQUEST)
        good =
            x->grpc
                ? take_grpc(x, &x->answer, a, &op->response, &op->response_messages)
                : take_events(x, &x->answer, a, &op->response, &op->response_messages);
    return good ? 0 : err_set(e, ERR_NOMEM, "out of memory for the messages of a call");
}
