/*
 * outfile.c - see outfile.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/base/outfile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

int outfile_check(const char *path, bool force, const char *const *inputs, size_t n,
                  struct err *e)
{
    struct stat out, in;
    if (strcmp(path, "-") == 0 || stat(path, &out) < 0 || !S_ISREG(out.st_mode))
        return 0; /* what is wrong with it shows when it is opened */
    for (size_t i = 0; i < n; i++) {
        bool standard = strcmp(inputs[i], "-") == 0;
        int rc = standard ? fstat(STDIN_FILENO, &in) : stat(inputs[i], &in);
        if (rc == 0 && in.st_dev == out.st_dev && in.st_ino == out.st_ino)
            return err_set(e, ERR_USAGE,
                           "'%s' is read: it cannot be written at the same time", path);
    }
    if (out.st_size > 0 && !force)
        return err_set(e, ERR_USAGE, "'%s' exists already; --force replaces it", path);
    return 0;
}

int outfile_wanted(const struct outfile *o, const char *const *inputs, size_t n,
                   struct err *e)
{
    if (!o->path)
        return err_set(e, ERR_USAGE, "-o OUT is needed");
    return outfile_check(o->path, o->force, inputs, n, e);
}

int outfile_print(struct buf *b, struct err *e)
{
    int rc = buf_check(b, e);
    if (rc == 0 &&
        ((b->n > 0 && fwrite(b->p, 1, b->n, stdout) != b->n) || fflush(stdout) != 0))
        rc = err_sys(e, errno, "cannot write to standard output");
    buf_reset(b);
    return rc;
}
