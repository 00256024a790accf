/*
 * list.c - see list.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/synth/list.h"

#include <math.h>
#include <string.h>

#include "traces/base/units.h"

#define WORD_MAX 64 /* of a number, with its NUL */

/* Numbers are read by units.h, which wants text that ends. */
static int word_of(struct span s, char out[WORD_MAX], struct err *e)
{
    if (s.n >= WORD_MAX || memchr(s.p, 0, s.n))
        return err_set(e, ERR_USAGE, "'%.*s' is not a number", s.n > 40 ? 40 : (int)s.n,
                       (const char *)s.p);
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return 0;
}

static int parse_item(struct list_item *item, struct span text, bool weights,
                      struct err *e)
{
    size_t colon = span_find(text, ':', 0);
    *item =
        (struct list_item){.text = span_trim(span_sub(text, 0, colon)), .weight = 1};
    if (item->text.n == 0)
        return err_set(e, ERR_USAGE, "the list has an empty item");
    if (colon == text.n)
        return 0;
    if (!weights)
        return err_set(e, ERR_USAGE, "'%.*s': no weights here", SPAN_ARG(text));
    char word[WORD_MAX];
    if (word_of(span_trim(span_sub(text, colon + 1, text.n)), word, e) < 0 ||
        units_f64(word, &item->weight, e) < 0)
        return err_note(e, "weight of '%.*s'", SPAN_ARG(item->text));
    if (!(item->weight >= 0 && isfinite(item->weight)))
        return err_set(e, ERR_USAGE, "weight of '%.*s' is %g, below 0 or no number",
                       SPAN_ARG(item->text), item->weight);
    item->has_weight = true;
    return 0;
}

int list_parse(struct list *l, const char *text, bool weights, struct err *e)
{
    struct span all = span_str(text);
    l->n = 0;
    l->weighted = false;
    for (size_t at = 0; at <= all.n;) {
        size_t comma = span_find(all, ',', at);
        if (l->n == LIST_MAX)
            return err_set(e, ERR_USAGE, "more than %d items in a list", LIST_MAX);
        struct list_item *item = &l->items[l->n++];
        int rc = parse_item(item, span_sub(all, at, comma), weights, e);
        if (rc < 0)
            return rc;
        l->weighted |= item->has_weight;
        at = comma + 1;
    }
    return 0;
}

int list_u64(const struct list *l, size_t i, uint64_t low, uint64_t high,
             uint64_t *value, struct err *e)
{
    if (!span_u64(l->items[i].text, value) || *value < low || *value > high)
        return err_set(e, ERR_USAGE, "'%.*s' is not a number from %llu to %llu",
                       SPAN_ARG(l->items[i].text), (unsigned long long)low,
                       (unsigned long long)high);
    return 0;
}

int list_rate(const struct list *l, size_t i, double *per_second, struct err *e)
{
    char word[WORD_MAX];
    int rc = word_of(l->items[i].text, word, e);
    return rc < 0 ? rc : units_rate(word, per_second, e);
}

int list_duration(const struct list *l, size_t i, int64_t *ns, struct err *e)
{
    char word[WORD_MAX];
    int rc = word_of(l->items[i].text, word, e);
    return rc < 0 ? rc : units_duration(word, ns, e);
}

int list_place(const struct list *l, size_t i, size_t n, const char *what, size_t *item,
               struct err *e)
{
    if (l->n != 1 && l->n != n)
        return err_set(e, ERR_USAGE, "%zu values for %zu %s: give one, or one for each",
                       l->n, n, what);
    *item = l->n == 1 ? 0 : i;
    return 0;
}
