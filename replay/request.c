/*
 * request.c - see request.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/request.h"

#include <stddef.h>
#include <stdlib.h>

int rep_request_message(struct rep_request *r, int64_t first_ns, uint64_t bytes)
{
    uint32_t n = r->out.messages.count;
    if (n == OP_MESSAGES_MAX)
        return ERR_LIMIT;
    if (n == r->message_cap) {
        uint32_t cap = n ? n * 2 : 16;
        struct op_message *v = realloc(r->messages, cap * sizeof(*v));
        if (!v)
            return ERR_NOMEM;
        r->messages = v;
        r->message_cap = cap;
    }
    r->messages[n] = (struct op_message){first_ns - r->out.sent_ns, bytes};
    r->out.messages = (struct op_messages){r->messages, n + 1};
    return 0;
}

void rep_request_cut(struct rep_request *r)
{
    r->out.bytes_in = 0;
    for (uint32_t i = 0; i < r->out.messages.count; i++)
        r->out.bytes_in += r->messages[i].bytes;
}

void rep_queue_push(struct rep_queue *q, struct rep_request *r)
{
    r->next = NULL;
    r->prev = q->tail;
    if (q->tail)
        q->tail->next = r;
    else
        q->head = r;
    q->tail = r;
    q->count++;
}

void rep_queue_remove(struct rep_queue *q, struct rep_request *r)
{
    if (r->prev)
        r->prev->next = r->next;
    else
        q->head = r->next;
    if (r->next)
        r->next->prev = r->prev;
    else
        q->tail = r->prev;
    r->next = r->prev = NULL;
    q->count--;
}

struct rep_request *rep_queue_pop(struct rep_queue *q)
{
    struct rep_request *r = q->head;
    if (r)
        rep_queue_remove(q, r);
    return r;
}

void rep_request_waited(struct rep_request *r, int64_t at, enum out_wait why)
{
    if (at <= r->out.ready_ns)
        return;
    r->out.ready_ns = at;
    r->out.wait = why;
}
