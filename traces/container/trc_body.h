/*
 * trc_body.h - the bodies of a block, each stored once: FORMAT.md, section 5.3.
 *
 * trc_bodies is the table of one block in the making. trc_blob_memory remembers, over
 * blocks, which large bodies were seen before, so that one that comes again goes to
 * BLOBS and is stored no third time. Zeroed structs are valid empty ones. Not
 * thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CONTAINER_TRC_BODY_H
#define TRACES_CONTAINER_TRC_BODY_H

#include "traces/container/trc_column.h"

enum trc_body_form { TRC_BODY_INLINE, TRC_BODY_BLOB, TRC_BODY_ELIDED };

struct trc_body {
    enum trc_body_form form;
    uint64_t bytes, hash[2];
    size_t at;      /* inline: in trc_bodies.bytes */
    uint64_t first; /* blob: number of its first blob */
    uint32_t fragments;
};

/* Blobs that were written, and those that wait for the block which uses them. */
struct trc_blob_seen {
    uint64_t hash[2], bytes;
    bool stored;    /* in blobs; else only inline so far */
    uint32_t block; /* in which it was seen inline */
    uint64_t first,
        end; /* number of its first blob; blob bytes of the file at its end */
    uint32_t fragments;
};
struct trc_blob_half {
    struct trc_blob_seen *v; /* open addressing; bytes 0: empty */
    size_t n, slots;
};
struct trc_blob_memory {
    bool trusted; /* bodies' hashes are theirs: not made anew */
    /* Bodies from so many bytes on are written at first sight, as they are: unless they
     * repeat, or all of them. 0: none. */
    uint32_t plain_from;
    bool plain_all;
    /* Writes blob number m->count: a BLOBS block of its own, plain. */
    int (*write_plain)(void *arg, struct span blob, struct err *e);
    void *arg;
    struct trc_blob_half young, old; /* when young is full it becomes old */
    uint64_t count, bytes; /* blobs and blob bytes so far, pending ones included */
    uint64_t anchor;       /* blob bytes at the last OPS or LATE block */
    struct buf pending;    /* bytes of blobs not yet written */
    int64_t *lengths;      /* of the pending ones */
    size_t pending_count, lengths_cap;
};
void trc_blob_memory_done(struct trc_blob_memory *m);

struct trc_bodies {
    struct trc_body *v;
    size_t n, cap;
    uint32_t *slots; /* index + 1 by hash; 0 empty */
    size_t slot_count;
    struct buf bytes;
    uint32_t
        *order; /* of the table as it is stored, from trc_bodies_codes: used entries */
    size_t used;
};
void trc_bodies_reset(struct trc_bodies *t);
void trc_bodies_done(struct trc_bodies *t);
/* Index + 1 of a body in the table (0: no body), and the body's own hash, computed here
 * unless it is trusted or proven by bytes that are there already. block: which block in
 * the making this is, so that a body's second block is told from its first. ERR_LIMIT,
 * ERR_NOMEM. */
int trc_bodies_add(struct trc_bodies *t, struct trc_blob_memory *m, uint32_t block,
                   const struct op_body *b, int64_t *ref, uint64_t hash[2],
                   struct err *e) MUST_USE;
/* Turns the indices + 1 of n records into the references of section 5.3, and settles
 * the order of the table by first use. */
int trc_bodies_codes(struct trc_bodies *t, const int64_t *refs, size_t n,
                     int64_t *codes, struct err *e) MUST_USE;
/* Columns table, details, bytes (ids first_id, +1, +2) as trc_bodies_codes settled
 * them; none when nothing is used. */
void trc_bodies_put(const struct trc_bodies *t, unsigned first_id,
                    struct trc_group_out *g);

#endif
