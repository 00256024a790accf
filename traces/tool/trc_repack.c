/*
 * trc_repack.c - see trc_repack.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/tool/trc_repack.h"

#include <string.h>

#include "traces/tool/trc_copy.h"

static int copy_block(struct trc_writer *w, const struct trc_block *b,
                      uint64_t *records, struct err *e)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < b->count; i++, ++*records)
        rc = b->ops ? trc_writer_op(w, &b->ops[i], e)
                    : trc_writer_outcome(w, &b->outcomes[i], e);
    for (uint32_t i = 0; rc == 0 && i < b->late_count; i++)
        rc = trc_writer_late(w, &b->late[i], e);
    return rc;
}

static int copy_all(struct trc_reader *r, struct trc_writer *w, uint64_t *records,
                    struct err *e)
{
    struct trc_block *b;
    bool unclosed = false;
    int got, rc = trc_copy_notes(r, NULL, w, e);
    while (rc == 0 && (got = trc_copy_next(r, &b, &unclosed, e)) != 0) {
        if (got < 0)
            return got;
        rc = copy_block(w, b, records, e);
        trc_block_free(b);
    }
    return rc == 0 ? trc_copy_notes(r, NULL, w, e) : rc;
}

/* The new file must hold what the old one said it holds. */
static int compare(const struct trc_info *old, const char *out,
                   struct trc_repack_done *done, struct err *e)
{
    struct trc_reader *r;
    if (strcmp(out, "-") == 0)
        return 0;
    int rc = trc_reader_open(&r, out, e);
    if (rc < 0)
        return rc;
    const struct trc_info *new = trc_reader_info(r);
    done->bytes_after = new->file_bytes;
    done->blocks_after = new->blocks;
    if (old->complete &&
        memcmp(old->content_hash, new->content_hash, sizeof old->content_hash) != 0)
        rc = err_set(e, ERR_FORMAT,
                     "'%s' does not hold what the footer of its source says", out);
    trc_reader_close(r);
    return rc;
}

int trc_repack(const char *in, const char *out, int level, struct trc_repack_done *done,
               struct err *e)
{
    struct trc_reader *r;
    struct trc_writer *w;
    *done = (struct trc_repack_done){0};
    int rc = trc_reader_open(&r, in, e);
    if (rc < 0)
        return rc;
    const struct trc_info *info = trc_reader_info(r);
    struct trc_options options = {.kind = info->kind,
                                  .resolution_ns = info->resolution_ns,
                                  .epoch_wall_ns = info->epoch_wall_ns,
                                  .level = level};
    rc = trc_writer_open(&w, out, &options, e);
    if (rc == 0) {
        rc = copy_all(r, w, &done->records, e);
        rc = trc_copy_finish(w, out, rc, e);
        done->bytes_before = info->file_bytes;
        done->blocks_before = info->blocks;
        if (rc == 0)
            rc = compare(info, out, done, e);
    }
    trc_reader_close(r);
    return rc;
}
