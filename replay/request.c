/*
 * request.c - see request.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/request.h"

#include <stddef.h>

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
