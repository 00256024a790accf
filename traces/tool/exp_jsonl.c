/*
 * exp_jsonl.c - a trace or a run as JSON lines; see trc_export.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>

#include "traces/tool/trc_copy.h"
#include "traces/tool/trc_export.h"
#include "traces/tool/trc_print.h"
#include "traces/tool/trc_show.h"

int trc_export_flush(struct buf *out, FILE *to, struct err *e)
{
    int rc = buf_check(out, e);
    if (rc == 0 && out->n && fwrite(out->p, 1, out->n, to) != out->n)
        rc = err_sys(e, errno, "cannot write the output");
    buf_reset(out);
    return rc;
}

static void put_block(const struct trc_block *b, struct buf *out)
{
    for (uint32_t i = 0; i < b->count; i++) {
        if (b->ops)
            trc_print_op_json(&b->ops[i], out);
        if (b->outcomes)
            trc_print_outcome_json(&b->outcomes[i], out);
    }
    for (uint32_t i = 0; i < b->late_count; i++)
        trc_print_late_json(&b->late[i], out);
}

int trc_export_jsonl(struct trc_reader *r, FILE *to, struct trc_export_done *done,
                     struct err *e)
{
    struct buf out = {0}, first = {0}, last = {0};
    int rc = 0, got = 1;
    trc_show_notes(r, &first);
    trc_show_header(r, buf_view(&first), &out);
    while (rc == 0 && got == 1) {
        struct trc_block *b;
        got = trc_copy_next(r, &b, &done->unclosed, e);
        if (got == 1) {
            put_block(b, &out);
            done->records += b->count;
            done->written += b->count;
            trc_block_free(b);
        } else if (got == 0) {
            /* Notes of the close, where they were not known before. */
            trc_show_notes(r, &last);
            if (!span_eq(buf_view(&first), buf_view(&last)))
                buf_fmt(&out, "{\"notes\":%s}\n", buf_text(&last));
        }
        if (out.n >= TRC_EXPORT_CHUNK || out.failed || got <= 0)
            rc = trc_export_flush(&out, to, got < 0 ? NULL : e);
    }
    buf_done(&out);
    buf_done(&first);
    buf_done(&last);
    return got < 0 ? got : rc;
}
