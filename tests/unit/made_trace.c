/*
 * made_trace.c - see made_trace.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/made_trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/check.h"

#define WORDS_MAX 64

/* Sets the variables of the list, or takes them away again. */
static void set_environment(const char *list, bool set)
{
    char *copy = strdup(list ? list : ""), *rest = copy;
    check_true(copy != NULL);
    for (char *pair; (pair = strsep(&rest, " "));) {
        char *equals = strchr(pair, '=');
        if (!equals)
            continue;
        *equals = '\0';
        if (set)
            setenv(pair, equals + 1, 1);
        else
            unsetenv(pair);
    }
    free(copy);
}

static void read_back(struct made *m, const char *path)
{
    struct err e = {0};
    check_ok(trc_reader_open(&m->r, path, &e), &e);
    check_ok(trc_reader_verify(m->r, &e), &e);
    int rc;
    for (struct trc_block *b; (rc = trc_reader_next(m->r, &b, &e)) > 0;) {
        check_true(m->block_count < MADE_BLOCKS_MAX);
        m->blocks[m->block_count++] = b;
        const struct op **grown = realloc(m->ops, (m->n + b->count) * sizeof *grown);
        check_true(grown != NULL || m->n + b->count == 0);
        m->ops = grown;
        for (uint32_t i = 0; i < b->count; i++)
            m->ops[m->n++] = &b->ops[i];
    }
    check_ok(rc, &e);
}

struct made made_by(cmd_fn *cmd, const char *words, const char *environment)
{
    struct made m = {.status = -1};
    char path[] = "/tmp/made_trace.XXXXXX", dash_o[] = "-o", quiet[] = "--quiet";
    char *copy = strdup(words), *rest = copy, *argv[WORDS_MAX + 4];
    int argc = 0, fd = mkstemp(path);
    check_true(copy != NULL && fd >= 0);
    close(fd);
    while (rest && argc < WORDS_MAX)
        argv[argc++] = strsep(&rest, " ");
    argv[argc++] = dash_o;
    argv[argc++] = path;
    argv[argc++] = quiet;
    argv[argc] = NULL;
    set_environment(environment, true);
    m.status = cmd(argc, argv);
    set_environment(environment, false);
    if (m.status == EXIT_DONE)
        read_back(&m, path);
    unlink(path);
    free(copy);
    return m;
}

void made_free(struct made *m)
{
    for (size_t i = 0; i < m->block_count; i++)
        trc_block_free(m->blocks[i]);
    trc_reader_close(m->r);
    free(m->ops);
    *m = (struct made){0};
}
