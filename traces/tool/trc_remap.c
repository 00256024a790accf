/*
 * trc_remap.c - see trc_remap.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/tool/trc_remap.h"

#include <stdlib.h>

void trc_remap_done(struct trc_remap *m)
{
    free(m->to);
    *m = (struct trc_remap){0};
}

int trc_remap_add(struct trc_remap *m, uint64_t from, uint64_t to, struct err *e)
{
    if (!m->to) {
        m->to = malloc(TRC_REMAP_MAX * sizeof *m->to);
        if (!m->to)
            return err_set(e, ERR_NOMEM, "out of memory for indices");
        for (size_t i = 0; i < TRC_REMAP_MAX; i++)
            m->to[i] = UINT64_MAX;
    }
    for (uint64_t i = 0; m->next < from && i < TRC_REMAP_MAX; i++, m->next++)
        m->to[m->next % TRC_REMAP_MAX] = UINT64_MAX; /* jumped over */
    m->to[from % TRC_REMAP_MAX] = to;
    m->next = from + 1;
    return 0;
}

int trc_remap_late(struct trc_remap *m, const struct trc_block *b, struct trc_writer *w,
                   struct err *e)
{
    for (uint32_t i = 0; i < b->late_count; i++) {
        struct op late = b->late[i];
        if (!m->to || late.index >= m->next)
            continue;
        if (m->next - late.index > TRC_REMAP_MAX) {
            m->lost++;
            continue;
        }
        late.index = m->to[late.index % TRC_REMAP_MAX];
        if (late.index == UINT64_MAX)
            continue;
        int rc = trc_writer_late(w, &late, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}
