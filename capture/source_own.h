/*
 * source_own.h - what the kinds of sources share; for source*.c alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_SOURCE_OWN_H
#define CAPTURE_SOURCE_OWN_H

#include "capture/source.h"

struct cap_source_kind {
    int (*next)(struct cap_source *s, struct cap_packet *p, struct err *e);
    void (*close)(struct cap_source *s);   /* frees s as well */
    void (*refresh)(struct cap_source *s); /* brings counts up to date; may be NULL */
};

/* The first member of each kind's struct. */
struct cap_source {
    const struct cap_source_kind *kind;
    struct cap_source_counts counts;
    int fd;
};

#endif
