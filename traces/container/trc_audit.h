/*
 * trc_audit.h - counts a file anew while it is read, to hold it against its own footer.
 *
 * A zeroed audit is a valid start. Not thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CONTAINER_TRC_AUDIT_H
#define TRACES_CONTAINER_TRC_AUDIT_H

#include "traces/container/trc_index.h"

struct trc_audit {
    struct trc_totals
        totals; /* records, payload_bytes, blobs, hash, first_ns, last_ns */
    struct trc_tally tally;
    struct trc_index index; /* of the blocks that passed */
    size_t confirmed;       /* entries that INDEX blocks have told as well */
    struct buf scratch;
};
void trc_audit_done(struct trc_audit *a);

/* Any block, as it passes: the checksums of all groups, and its entry. INDEX blocks are
 * held against the entries. */
int trc_audit_block(struct trc_audit *a, struct trc_reader *r, const struct trc_head *h,
                    struct span block, uint64_t at, struct err *e) MUST_USE;
/* The records of a block. */
int trc_audit_records(struct trc_audit *a, const struct trc_block *b,
                      struct err *e) MUST_USE;
int trc_audit_footer(struct trc_audit *a, const struct trc_totals *totals,
                     const struct trc_counts *counts, uint64_t at,
                     struct err *e) MUST_USE;
/* Nothing may stand behind the tail. */
int trc_audit_end(struct trc_audit *a, struct trc_reader *r, struct err *e) MUST_USE;

#endif
