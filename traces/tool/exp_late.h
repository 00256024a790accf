/*
 * exp_late.h - answers that stand behind their operations, joined to them before these
 * are exported.
 *
 * A trace holds an answer that came late behind its operation, at a distance that
 * nothing bounds. So they are gathered by a reading of their own, up to a limit; what
 * is beyond it, and all of a stream, which cannot be read twice, stays unjoined and is
 * counted by whoever exports. A zeroed struct holds none. One thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_TOOL_EXP_LATE_H
#define TRACES_TOOL_EXP_LATE_H

#include "traces/base/arena.h"
#include "traces/container/trc_reader.h"

#define EXP_LATE_BYTES_MAX ((size_t)256 << 20) /* of bodies and lists */

struct exp_late_one;
struct exp_late {
    struct exp_late_one *v; /* ascending by operation */
    size_t n, cap;
    size_t bytes_max; /* 0: EXP_LATE_BYTES_MAX */
    struct arena arena;
};
void exp_late_done(struct exp_late *l);

/* Gathers those of the trace at `path`, where there are any. Damage ends the gathering:
 * whoever reads the file next tells of it. ERR_IO, ERR_NOMEM. */
int exp_late_read(struct exp_late *l, const char *path, struct err *e) MUST_USE;
/* Whether the answer that counts, the last one to operation `index`, was gathered. */
bool exp_late_has(const struct exp_late *l, uint64_t index);
/* Gives o its late answer, where one was gathered; borrowed from l. l: NULL is fine. */
void exp_late_join(const struct exp_late *l, struct op *o);

#endif
