/* si_queue.c - see si_queue.h. SPDX-License-Identifier: Apache-2.0 */
#include "deploy/standin/si_queue.h"

#include <assert.h>
#include <stddef.h>

bool si_queue_enter(struct si_queue *q, struct si_place *p)
{
    p->next = NULL;
    if (!q->workers || q->busy < q->workers) {
        q->busy++;
        return true;
    }
    if (q->tail)
        q->tail->next = p;
    else
        q->head = p;
    q->tail = p;
    if (++q->waiting > q->longest)
        q->longest = q->waiting;
    return false;
}

struct si_place *si_queue_leave(struct si_queue *q)
{
    assert(q->busy > 0);
    struct si_place *p = q->head;
    if (!p) {
        q->busy--;
        return NULL;
    }
    q->head = p->next;
    if (!q->head)
        q->tail = NULL;
    q->waiting--;
    return p;
}
