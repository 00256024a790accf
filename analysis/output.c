/*
 * output.c - see output.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "analysis/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "traces/base/outfile.h"

/* Devices and pipes are written in place: a rename would replace them. */
static bool is_special(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

int ana_write_file(const char *path, struct buf *b, struct err *e)
{
    char beside[4096];
    bool in_place = is_special(path);
    int rc = buf_check(b, e);

    if (rc < 0 || strcmp(path, "-") == 0)
        return rc < 0 ? rc : outfile_print(b, e);
    int n = snprintf(beside, sizeof beside, "%s%s", path, in_place ? "" : ".part");
    if (n < 0 || (size_t)n >= sizeof beside)
        return err_set(e, ERR_LIMIT, "the name of '%s' is too long", path);
    FILE *f = fopen(beside, "we");
    if (!f)
        return err_sys(e, errno, "cannot write '%s'", path);
    bool written = fwrite(b->p, 1, b->n, f) == b->n;
    int sys = errno;
    if (fclose(f) != 0) {
        written = false;
        sys = errno;
    }
    if (written && !in_place && rename(beside, path) != 0) {
        written = false;
        sys = errno;
    }
    if (!written) {
        if (!in_place)
            unlink(beside);
        return err_sys(e, sys, "cannot write '%s'", path);
    }
    return 0;
}
