/*
 * imp_names.h - texts that only tell one from another (sessions, connections), turned
 * into the ordinals that a trace has: 0 for the first that comes, and so on.
 *
 * Texts are held as their 128-bit hashes. A zeroed struct is a valid empty one. Not
 * thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_IMPORT_IMP_NAMES_H
#define TRACES_IMPORT_IMP_NAMES_H

#include "traces/base/err.h"
#include "traces/base/span.h"

#define IMP_NAMES_MAX (1u << 22) /* different texts: 192 MiB */

struct imp_name;
struct imp_names {
    struct imp_name *v; /* a table of cap places, cap a power of two */
    uint32_t n, cap;
};
void imp_names_done(struct imp_names *t);

/* The ordinal of a text that is not empty. ERR_LIMIT, ERR_NOMEM. */
int imp_names_of(struct imp_names *t, struct span text, uint32_t *ordinal,
                 struct err *e) MUST_USE;

#endif
