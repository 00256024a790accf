/*
 * flow_hold.c - see flow_hold.h. The tree is an AA tree (Andersson, "Balanced search
 * trees made simple", 1993): its height is at most 2 log2(n + 1).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/flow_hold.h"

#include <stdlib.h>
#include <string.h>

size_t flow_piece_memory(size_t have)
{
    return sizeof(struct flow_piece) + have;
}

uint64_t flow_piece_end(const struct flow_piece *p)
{
    return p->from + p->bytes;
}

struct flow_piece *flow_hold_find(const struct flow_hold *h, uint64_t at,
                                  uint64_t *steps)
{
    struct flow_piece *found = NULL;
    for (struct flow_piece *p = h->root; p; ++*steps) {
        if (p->from <= at) {
            found = p;
            p = p->right;
        } else {
            p = p->left;
        }
    }
    return found;
}

/* A left child of the same level is turned into a right one. */
static struct flow_piece *skew(struct flow_piece *t)
{
    struct flow_piece *l = t ? t->left : NULL;
    if (!l || l->level != t->level)
        return t;
    t->left = l->right;
    l->right = t;
    return l;
}

/* Two right children of the same level in a row: the middle one goes up. */
static struct flow_piece *split(struct flow_piece *t)
{
    struct flow_piece *r = t ? t->right : NULL;
    if (!r || !r->right || r->right->level != t->level)
        return t;
    t->right = r->left;
    r->left = t;
    r->level++;
    return r;
}

static struct flow_piece *insert(struct flow_piece *t, struct flow_piece *p,
                                 uint64_t *steps)
{
    ++*steps;
    if (!t)
        return p;
    if (p->from < t->from)
        t->left = insert(t->left, p, steps);
    else
        t->right = insert(t->right, p, steps);
    return split(skew(t));
}

static uint32_t level_of(const struct flow_piece *p)
{
    return p ? p->level : 0;
}

static struct flow_piece *remove_first(struct flow_piece *t, uint64_t *steps)
{
    ++*steps;
    if (!t->left)
        return t->right;
    t->left = remove_first(t->left, steps);
    uint32_t left = level_of(t->left), right = level_of(t->right);
    uint32_t level = (left < right ? left : right) + 1;
    if (level < t->level) {
        t->level = level;
        if (t->right && level < t->right->level)
            t->right->level = level;
    }
    t = skew(t);
    t->right = skew(t->right);
    if (t->right)
        t->right->right = skew(t->right->right);
    t = split(t);
    t->right = split(t->right);
    return t;
}

struct flow_piece *flow_hold_add(struct flow_hold *h, uint64_t from, uint32_t bytes,
                                 struct span have, uint64_t *steps)
{
    struct flow_piece *p = malloc(flow_piece_memory(have.n));
    if (!p)
        return NULL;
    *p = (struct flow_piece){
        .from = from, .bytes = bytes, .have = (uint32_t)have.n, .level = 1};
    if (have.n > 0)
        memcpy(p->data, have.p, have.n);
    struct flow_piece *before = flow_hold_find(h, from, steps);
    struct flow_piece **link = before ? &before->after : &h->first;
    p->after = *link;
    *link = p;
    h->root = insert(h->root, p, steps);
    h->count++;
    h->bytes += bytes;
    h->memory += flow_piece_memory(have.n);
    return p;
}

struct flow_piece *flow_hold_take(struct flow_hold *h, uint64_t *steps)
{
    struct flow_piece *p = h->first;
    if (!p)
        return NULL;
    h->root = remove_first(h->root, steps);
    h->first = p->after;
    h->count--;
    h->bytes -= p->bytes;
    h->memory -= flow_piece_memory(p->have);
    return p;
}
