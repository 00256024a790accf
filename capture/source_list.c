/*
 * source_list.c - several files as one source, one after another: what a capture that
 * was told to begin a new file now and then has written. See source.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "capture/source.h"
#include "capture/source_own.h"

struct list_source {
    struct cap_source base;
    struct cap_source *now; /* NULL: none is open */
    const char *const *paths;
    size_t count, next;             /* next: of paths */
    struct cap_source_counts ended; /* of those that are closed; packets are ours */
    bool unknown;                   /* one of those does not tell its drops */
};

static void count(struct list_source *l, const struct cap_source_counts *c)
{
    l->ended.untimed += c->untimed;
    l->ended.other_blocks += c->other_blocks;
    l->ended.kernel_drops += c->kernel_drops;
    l->ended.interface_drops += c->interface_drops;
    l->unknown |= !c->drops_known;
}

static void refresh(struct cap_source *s)
{
    struct list_source *l = (struct list_source *)s;
    const struct cap_source_counts *now = l->now ? cap_source_counts(l->now) : NULL;
    s->counts.untimed = l->ended.untimed + (now ? now->untimed : 0);
    s->counts.other_blocks = l->ended.other_blocks + (now ? now->other_blocks : 0);
    s->counts.kernel_drops = l->ended.kernel_drops + (now ? now->kernel_drops : 0);
    s->counts.interface_drops =
        l->ended.interface_drops + (now ? now->interface_drops : 0);
    s->counts.drops_known = !l->unknown && (!now || now->drops_known);
}

static int next(struct cap_source *s, struct cap_packet *p, struct err *e)
{
    struct list_source *l = (struct list_source *)s;
    for (;;) {
        int rc = l->now ? cap_source_next(l->now, p, e) : CAP_SOURCE_END;
        if (rc < 0)
            return err_note(e, "reading '%s'", l->paths[l->next - 1]);
        if (rc != CAP_SOURCE_END)
            return rc;
        if (l->now)
            count(l, cap_source_counts(l->now));
        cap_source_close(l->now);
        l->now = NULL;
        if (l->next == l->count)
            return CAP_SOURCE_END;
        rc = cap_source_open_file(&l->now, l->paths[l->next++], e);
        if (rc < 0)
            return rc;
    }
}

static void done(struct cap_source *s)
{
    struct list_source *l = (struct list_source *)s;
    cap_source_close(l->now);
    free(l);
}

static const struct cap_source_kind LIST = {next, done, refresh};

int cap_source_open_list(struct cap_source **out, const char *const *paths, size_t n,
                         struct err *e)
{
    *out = NULL;
    for (size_t i = n; i-- > 1;) { /* better now than in the middle */
        struct cap_source *one = NULL;
        int rc =
            strcmp(paths[i], "-") == 0 ? 0 : cap_source_open_file(&one, paths[i], e);
        cap_source_close(one);
        if (rc < 0)
            return rc;
    }
    struct list_source *l = calloc(1, sizeof *l);
    if (!l)
        return err_set(e, ERR_NOMEM, "no memory for a list of files");
    l->base.kind = &LIST;
    l->base.fd = -1;
    l->paths = paths;
    l->count = n;
    int rc = cap_source_open_file(&l->now, paths[0], e);
    if (rc < 0) {
        free(l);
        return rc;
    }
    l->next = 1;
    *out = &l->base;
    return 0;
}
