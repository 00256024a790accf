/*
 * trc_scrub.h - a trace without what must not be given away.
 *
 * The rules are those that capture follows before it writes (trc_secret.h, pay_mask.h).
 * Headers are denied unless allowed, and the query of a path is cut. Bodies stay, or
 * become shape only, or lose what masks name; a body that cannot be dealt with then
 * (another format, compressed) is never kept, but reduced to its length and a keyed
 * hash. So is the hash of one that was not kept before. Every operation of which
 * anything was taken has OP_FLAG_REDACTED; of a late answer, which has no flags, that
 * cannot be told.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_TOOL_TRC_SCRUB_H
#define TRACES_TOOL_TRC_SCRUB_H

#include "traces/base/keyed_hash.h"
#include "traces/container/trc_reader.h"
#include "traces/payload/pay_mask.h"

#define TRC_SCRUB_KEY_ENV "REPRISE_SCRUB_KEY"

struct trc_scrub {
    const char *const *headers; /* kept beyond the default */
    size_t header_count;
    const char *const *paths; /* masked in bodies; not with shape_only */
    size_t path_count;
    bool shape_only, keep_query, hash_ids;
    bool drop_answers;    /* bodies of answers; their times and statuses stay */
    const char *key_file; /* NULL: TRC_SCRUB_KEY_ENV, else a key is drawn */
};
struct trc_scrub_done {
    uint64_t operations, changed;           /* changed: of which something was taken */
    uint64_t headers_denied;                /* once for each operation */
    uint64_t bodies_masked, bodies_refused; /* refused: length and keyed hash only */
    uint64_t ids_hashed, answers_dropped;
    bool unclosed; /* the input ends without a footer, with nothing lost */
};

/* Copies trace `in` to `out`, a block in memory at a time. ERR_USAGE: a header that is
 * never kept, no path, too many. Notes say the policy, never the key. */
int trc_scrub(const char *in, const char *out, const struct trc_scrub *how,
              struct trc_scrub_done *done, struct err *e) MUST_USE;

#endif
