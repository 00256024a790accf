/*
 * har_doc.h - the entries of an HTTP Archive, one after another, in bounded memory.
 *
 * A HAR is a single JSON document, often a large one. This walks its outside, the
 * objects `log` and `log.entries`, byte by byte, and hands out each entry's text; of
 * what else stands in `log`, two members are kept. What is inside of an entry is for a
 * JSON reader. Not thread-safe. Source: the public description of HAR 1.2.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_IMPORT_HAR_DOC_H
#define TRACES_IMPORT_HAR_DOC_H

#include "traces/base/buf.h"
#include "traces/container/zin.h"

/* Two bodies of 64 MiB in base64, and what belongs to them. */
#define HAR_ENTRY_MAX  (192u << 20)
#define HAR_MEMBER_MAX (64u << 10) /* of log.creator */
#define HAR_DEPTH_MAX  512u        /* brackets within one another */

struct har_doc {
    struct zin *in; /* borrowed */
    struct span window;
    size_t at; /* in the window */
    struct buf entry, key;
    struct buf creator, epoch; /* log.creator and log._epochWallNs, as JSON; or empty */
    uint64_t entry_at;         /* offset of the entry last given */
    uint64_t entries;          /* given so far */
    int state;
};

void har_doc_init(struct har_doc *d, struct zin *in);
void har_doc_done(struct har_doc *d);

/* The text of the next entry, borrowed until the next call; creator and epoch are known
 * with the first one when they stand in front of it. 1: there is one; 0: the document
 * has ended as it must; ERR_FORMAT and ERR_TRUNCATED with the byte, ERR_LIMIT, or what
 * zin_peek gives. */
int har_doc_next(struct har_doc *d, struct span *entry, struct err *e) MUST_USE;

#endif
