/*
 * flow_due.c - a binary heap of the directions that wait for missing bytes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/flow_own.h"

#include <stdlib.h>

static void put(struct cap_flows *f, uint32_t place, struct stream *s)
{
    f->due[place - 1] = s;
    s->due_place = place;
    f->totals.steps++;
}

static void sift_up(struct cap_flows *f, struct stream *s, uint32_t place)
{
    while (place > 1 && f->due[place / 2 - 1]->due > s->due) {
        put(f, place, f->due[place / 2 - 1]);
        place /= 2;
    }
    put(f, place, s);
}

static void sift_down(struct cap_flows *f, struct stream *s, uint32_t place)
{
    for (;;) {
        uint32_t child = 2 * place;
        if (child > f->due_count)
            break;
        if (child < f->due_count && f->due[child]->due < f->due[child - 1]->due)
            child++;
        if (f->due[child - 1]->due >= s->due)
            break;
        put(f, place, f->due[child - 1]);
        place = child;
    }
    put(f, place, s);
}

static bool make_room(struct cap_flows *f)
{
    if (f->due_count < f->due_room)
        return true;
    uint32_t room = f->due_room ? 2 * f->due_room : 64;
    struct stream **due = realloc(f->due, room * sizeof(struct stream *));
    if (!due)
        return false;
    flow_memory(f, (int64_t)((room - f->due_room) * sizeof(struct stream *)));
    f->due = due;
    f->due_room = room;
    return true;
}

bool flow_due_set(struct cap_flows *f, struct stream *s, int64_t due)
{
    if (s->due_place && s->due == due)
        return true;
    if (s->due_place) {
        bool later = due > s->due;
        s->due = due;
        if (later)
            sift_down(f, s, s->due_place);
        else
            sift_up(f, s, s->due_place);
        return true;
    }
    if (!make_room(f))
        return false;
    s->due = due;
    sift_up(f, s, ++f->due_count);
    return true;
}

void flow_due_remove(struct cap_flows *f, struct stream *s)
{
    uint32_t place = s->due_place;
    if (!place)
        return;
    s->due_place = 0;
    struct stream *last = f->due[--f->due_count];
    if (last == s)
        return;
    if (last->due < s->due)
        sift_up(f, last, place);
    else
        sift_down(f, last, place);
}
