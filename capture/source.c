/*
 * source.c - see source.h: what all kinds of sources have in common.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/source.h"

#include "capture/source_own.h"

void cap_source_close(struct cap_source *s)
{
    if (s)
        s->kind->close(s);
}

int cap_source_next(struct cap_source *s, struct cap_packet *p, struct err *e)
{
    int rc = s->kind->next(s, p, e);
    if (rc == CAP_SOURCE_PACKET) {
        if (p->wire_bytes < p->bytes.n)
            p->wire_bytes = (uint32_t)p->bytes.n;
        s->counts.packets++;
        s->counts.captured_bytes += p->bytes.n;
        s->counts.wire_bytes += p->wire_bytes;
    }
    return rc;
}

int cap_source_fd(const struct cap_source *s)
{
    return s->fd;
}

const struct cap_source_counts *cap_source_counts(struct cap_source *s)
{
    if (s->kind->refresh)
        s->kind->refresh(s);
    return &s->counts;
}
