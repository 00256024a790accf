/* si_stamps.c - see si_stamps.h. SPDX-License-Identifier: Apache-2.0 */
#include "deploy/standin/si_stamps.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 65536u

/* Chunks never move, and growing costs one allocation in 65,536 requests. */
struct si_stamps_chunk {
    struct si_stamps_chunk *next;
    uint32_t n;
    struct si_stamp v[CHUNK];
};

struct si_stamp *si_stamps_add(struct si_stamps *s)
{
    if (!s->on)
        return NULL;
    if (!s->last || s->last->n == CHUNK) {
        struct si_stamps_chunk *chunk = calloc(1, sizeof *chunk);
        if (!chunk) {
            s->lost++;
            return NULL;
        }
        if (s->last)
            s->last->next = chunk;
        else
            s->first = chunk;
        s->last = chunk;
    }
    s->count++;
    return &s->last->v[s->last->n++];
}

void si_stamps_stall(struct si_stamps *s, int64_t from_ns, int64_t until_ns)
{
    if (!s->on)
        return;
    if (s->stall_count == s->stall_cap) {
        size_t cap = s->stall_cap ? s->stall_cap * 2 : 16;
        void *p = realloc(s->stalls, cap * sizeof *s->stalls);
        if (!p) {
            s->lost++;
            return;
        }
        s->stalls = p;
        s->stall_cap = cap;
    }
    s->stalls[s->stall_count].from_ns = from_ns;
    s->stalls[s->stall_count++].until_ns = until_ns;
}

static void write_all(const struct si_stamps *s, FILE *f)
{
    fprintf(
        f, "# reprise stand-in stamps 1: first_ns connection replied_ns status tier\n");
    fprintf(f, "# requests %" PRIu64 " lost %" PRIu64 "\n", s->count, s->lost);
    for (size_t i = 0; i < s->stall_count; i++)
        fprintf(f, "# stall %" PRId64 " %" PRId64 "\n", s->stalls[i].from_ns,
                s->stalls[i].until_ns);
    for (const struct si_stamps_chunk *c = s->first; c; c = c->next)
        for (uint32_t i = 0; i < c->n; i++)
            fprintf(f, "%" PRId64 " %" PRIu32 " %" PRId64 " %u %s\n", c->v[i].first_ns,
                    c->v[i].connection, c->v[i].replied_ns, c->v[i].status,
                    c->v[i].tier);
}

int si_stamps_write(const struct si_stamps *s, const char *path, struct err *e)
{
    bool to_stdout = strcmp(path, "-") == 0;
    FILE *f = to_stdout ? stdout : fopen(path, "we");
    if (!f)
        return err_sys(e, errno, "cannot write stamps to '%s'", path);
    write_all(s, f);
    bool bad = ferror(f) != 0;
    int sys = errno;
    if ((to_stdout ? fflush(f) : fclose(f)) != 0 && !bad) {
        bad = true;
        sys = errno;
    }
    return bad ? err_sys(e, sys, "cannot write stamps to '%s'", path) : 0;
}

void si_stamps_done(struct si_stamps *s)
{
    for (struct si_stamps_chunk *c = s->first, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    free(s->stalls);
    memset(s, 0, sizeof *s);
}
