/*
 * trc_feed.c - see trc_feed.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/container/trc_feed.h"

int trc_complain(const struct trc_feeder *f, const char *reason)
{
    return trc_column_error(f->g, f->id, reason, f->d->e);
}

int trc_feeder_open(struct trc_feeder *f, struct trc_decoding *d, int group,
                    unsigned id, int64_t def, int64_t low, int64_t high)
{
    *f = (struct trc_feeder){.d = d,
                             .g = &d->groups[group],
                             .id = id,
                             .low = low,
                             .high = high,
                             .null_ok = def == TRC_NULL};
    int rc = trc_ints_open(&f->it, f->g, id, def, d->e);
    /* A value takes a byte at least: so many records are told to be impossible before
     * anything is made for them. */
    if (rc == 0 && !f->it.constant &&
        (size_t)(f->it.end - f->it.p) < d->b->head.records)
        rc = trc_complain(f, "malformed integers");
    return rc;
}

/* The bits of all values together. A whole chunk is taken by halves, which the compiler
 * turns into a loop over vectors. */
static uint64_t bits_of(const int64_t *v, size_t n)
{
    uint64_t bits = 0;
    if (n == TRC_CHUNK)
        for (size_t i = 0; i < TRC_CHUNK / 2; i++)
            bits |= (uint64_t)v[i] | (uint64_t)v[TRC_CHUNK / 2 + i];
    else
        for (size_t i = 0; i < n; i++)
            bits |= (uint64_t)v[i];
    return bits;
}

/* Whether all values lie in [0, high] or are "none" where that may be, told from their
 * bits together; false where that does not tell. Without a sign, nothing but "none" has
 * the top bit. */
static bool surely_fits(const struct trc_feeder *f, const int64_t *v, size_t n)
{
    bool none_is_bit = f->null_ok && !f->it.is_signed;
    if (f->low > 0 || f->high < 0)
        return false;
    return (bits_of(v, n) & (none_is_bit ? INT64_MAX : UINT64_MAX)) <=
           (uint64_t)f->high;
}

int trc_feed(struct trc_feeder *f, int64_t *v, size_t n)
{
    if (!trc_ints_take(&f->it, v, n))
        return trc_complain(f, "malformed integers");
    size_t looked_at = f->it.constant && n > 0 ? 1 : n;
    if (surely_fits(f, v, looked_at))
        return 0;
    bool fits = true;
    for (size_t i = 0; i < looked_at; i++)
        fits &=
            ((v[i] >= f->low) & (v[i] <= f->high)) | (f->null_ok & (v[i] == TRC_NULL));
    return fits ? 0 : trc_complain(f, "a value out of range");
}

int trc_feeder_end(const struct trc_feeder *f)
{
    return trc_ints_ended(&f->it) ? 0 : trc_complain(f, "bytes left over");
}

int trc_required(struct trc_decoding *d, int group, unsigned id)
{
    struct span content;
    if (d->b->head.records == 0 || trc_group_find(&d->groups[group], id, &content))
        return 0;
    return trc_column_error(&d->groups[group], id, "the column is absent", d->e);
}

int trc_resolver_open(struct trc_resolver *r, struct trc_decoding *d, int group,
                      unsigned id, size_t count)
{
    r->next = 0;
    r->count = count;
    return trc_feeder_open(&r->f, d, group, id, 0, 0, (int64_t)TRC_RECORDS_MAX + 1);
}

int trc_resolve(struct trc_resolver *r, int64_t *v, size_t n)
{
    int rc = trc_feed(&r->f, v, n);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        size_t back = v[i] > 0 ? (size_t)v[i] - 1 : 0;
        if (v[i] == 0)
            v[i] = -1;
        else if (back == 0 && r->next < r->count)
            v[i] = (int64_t)r->next++;
        else if (back > 0 && back <= r->next)
            v[i] = (int64_t)(r->next - back);
        else
            rc = trc_complain(&r->f, "a reference outside of its table");
    }
    return rc;
}

int trc_resolver_end(struct trc_resolver *r)
{
    if (r->next != r->count)
        return trc_complain(&r->f, "a table entry that nothing refers to");
    return trc_feeder_end(&r->f);
}
