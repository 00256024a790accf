/*
 * list.h - comma lists as options and SCv2's k6 variables write them: "10,100",
 * "1:8,4:1".
 *
 * Items lose the blanks around them. Thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_SYNTH_LIST_H
#define TRACES_SYNTH_LIST_H

#include "traces/base/err.h"
#include "traces/base/span.h"

#define LIST_MAX 256 /* items */

struct list {
    struct list_item {
        struct span text; /* in front of the colon; borrowed from the list's text */
        bool has_weight;
        double weight; /* behind the colon; 1 without one */
    } items[LIST_MAX];
    size_t n;
    bool weighted; /* any item has a weight */
};

/* ERR_USAGE for an empty list or item, too many items, a weight that is not a number of
 * 0 or more (where weights are allowed), or a colon (where they are not). */
int list_parse(struct list *l, const char *text, bool weights, struct err *e) MUST_USE;

/* Item i as a number. ERR_USAGE when it is none, or not in low..high. */
int list_u64(const struct list *l, size_t i, uint64_t low, uint64_t high,
             uint64_t *value, struct err *e) MUST_USE;
int list_rate(const struct list *l, size_t i, double *per_second,
              struct err *e) MUST_USE;
int list_duration(const struct list *l, size_t i, int64_t *ns, struct err *e) MUST_USE;

/* The item that stands for place i of n: the only one, or the i-th. ERR_USAGE when the
 * list has neither one item nor n ("what" names the places in the message). */
int list_place(const struct list *l, size_t i, size_t n, const char *what, size_t *item,
               struct err *e) MUST_USE;

#endif
