/*
 * trc_copy.c - see trc_copy.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/tool/trc_copy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int trc_copy_open(struct trc_reader **r, const char *path, struct err *e)
{
    int rc = trc_reader_open(r, path, e);
    if (rc == 0 && trc_reader_info(*r)->kind != TRC_TRACE) {
        trc_reader_close(*r);
        *r = NULL;
        return err_set(e, ERR_USAGE, "'%s' is a run, not a trace", path);
    }
    return rc;
}

int trc_copy_next(struct trc_reader *r, struct trc_block **b, bool *unclosed,
                  struct err *e)
{
    struct err why = {0};
    int rc = trc_reader_next(r, b, &why);
    if (rc >= 0)
        return rc;
    if (rc == ERR_TRUNCATED && trc_reader_lost_blocks(r) == 0) {
        *unclosed = true;
        return 0;
    }
    if (e && e->code == ERR_OK)
        *e = why;
    if (rc == ERR_FORMAT || rc == ERR_TRUNCATED || rc == ERR_LIMIT)
        return err_note(e,
                        "damaged input ('reprise trace repair' saves what is whole)");
    return rc;
}

int trc_copy_notes(const struct trc_reader *r, const char *but, struct trc_writer *w,
                   struct err *e)
{
    const char *key, *value;
    int rc = 0;
    for (size_t i = 0; rc == 0 && trc_reader_note_at(r, i, &key, &value); i++)
        if (!but || strncmp(key, but, strlen(but)) != 0)
            rc = trc_writer_note(w, key, value, e);
    return rc;
}

int trc_copy_note_u64(struct trc_writer *w, const char *key, uint64_t v, struct err *e)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, v);
    return trc_writer_note(w, key, text, e);
}

int trc_copy_finish(struct trc_writer *w, const char *path, int rc, struct err *e)
{
    struct stat st;
    if (rc == 0)
        rc = trc_writer_close(w, e);
    else
        trc_writer_abandon(w);
    if (rc < 0 && strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode))
        unlink(path);
    return rc;
}
