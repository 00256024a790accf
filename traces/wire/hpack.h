/*
 * hpack.h - reading HTTP/2 header blocks (RFC 7541): of a connection that one is a
 * party of, or only watches.
 *
 * A decoder that sees a connection from its start knows the dynamic table exactly and
 * refuses what the receiver would refuse. One that joined later does not know what was
 * inserted before, and need not: indices of the wire count from the newest entry, so
 * whatever is inserted after joining resolves exactly, whatever the table's true size
 * is, and a reference to anything older gives a field whose name or value is marked as
 * unknown. A literal with an unknown name still takes its place in the table, so the
 * counting stays right.
 *
 * The table holds at most HPACK_TABLE_MAX bytes whatever the peers agree on; a
 * connection that uses more continues as if it had been joined. A zeroed struct must be
 * given to hpack_init. One thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_WIRE_HPACK_H
#define TRACES_WIRE_HPACK_H

#include "traces/base/buf.h"

#define HPACK_TABLE_MAX  (64u << 10) /* bytes as RFC 7541 4.1 counts them */
#define HPACK_TABLE_INIT 4096u       /* SETTINGS_HEADER_TABLE_SIZE's default */

enum hpack_flag {
    HPACK_NAME_UNKNOWN = 1u << 0,
    HPACK_VALUE_UNKNOWN = 1u << 1,
    HPACK_NEVER_INDEXED = 1u << 2, /* its sender calls it sensitive */
};

struct hpack_field {
    struct span name, value; /* empty where flags say unknown */
    unsigned flags;          /* enum hpack_flag */
};

struct hpack_entry {
    uint64_t at; /* of its name in the text of the table, since the table began */
    uint32_t name_bytes, value_bytes;
    unsigned flags;
};

struct hpack {
    struct hpack_entry *ring; /* a power of two of places */
    uint32_t ring_size, newest, count;
    struct buf text; /* names and values, oldest first */
    uint64_t text_at;
    uint32_t bytes;       /* as RFC 7541 4.1 counts */
    uint32_t max_bytes;   /* by the last size update */
    uint32_t limit_bytes; /* a size update beyond it is refused */
    bool joined;          /* older entries may exist that are not known */
    uint64_t changes;     /* of the table: blocks that made none mean the same until the
                             next */

    struct span block; /* what is left of the block that is being read */
    bool at_start;     /* of the block: size updates are legal only here */
    struct buf scratch;
};

/* limit_bytes: the largest table that the receiver allowed; UINT32_MAX when not known.
 */
void hpack_init(struct hpack *h, uint32_t limit_bytes);
void hpack_done(struct hpack *h);
/* Blocks are missing from here back: all that is known is forgotten. */
void hpack_join(struct hpack *h);
size_t hpack_memory(const struct hpack *h);

/* Reads one whole block: begin, then next until it gives no more. 1: *f is set,
 * borrowed until the next call and no longer than the block; 0: end of block.
 * ERR_FORMAT (a reference to nothing, an integer over 32 bits, bad Huffman padding, a
 * cut string…), ERR_NOMEM: what follows cannot be read unless hpack_join is called.
 */
void hpack_begin(struct hpack *h, struct span block);
int hpack_next(struct hpack *h, struct hpack_field *f, struct err *e) MUST_USE;

#endif
