/*
 * hpack_write.h - writing HTTP/2 header blocks (RFC 7541), for a sender whose fields
 * recur.
 *
 * The dynamic table is filled once and never turned over: a field goes into it while
 * there is room, and none is evicted, so that the bytes of a block stay right for as
 * long as `changes` stays. What finds no room travels as a literal. Nothing is
 * Huffman-coded: it costs the receiver more than it saves the wire.
 *
 * Nothing is allocated but what the caller's buffer grows by. A zeroed struct must be
 * given to hpack_writer_init. One thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_WIRE_HPACK_WRITE_H
#define TRACES_WIRE_HPACK_WRITE_H

#include "traces/base/buf.h"

/* Of the table, as RFC 7541 4.1 counts: what every receiver allows at first. */
#define HPACK_WRITER_MAX 4096u

enum hpack_keep {
    HPACK_KEEP_ALL,  /* the field will come again */
    HPACK_KEEP_NAME, /* its name will, with another value */
};

struct hpack_writer {
    struct {
        uint16_t at, name_bytes, value_bytes; /* in text, name first */
    } entry[HPACK_WRITER_MAX / 32];           /* oldest first */
    uint8_t text[HPACK_WRITER_MAX];
    uint32_t count, text_bytes;
    uint32_t bytes; /* as RFC 7541 4.1 counts; <= limit */
    uint32_t limit;
    bool tell;        /* the limit changed: the next block begins by saying so */
    uint64_t changes; /* of the table: indices of earlier blocks hold no more */
};

void hpack_writer_init(struct hpack_writer *w);
/* The receiver's SETTINGS_HEADER_TABLE_SIZE came. */
void hpack_writer_limit(struct hpack_writer *w, uint32_t bytes);

/* A block: begin, then its fields in order. Running out of memory marks out. */
void hpack_writer_begin(struct hpack_writer *w, struct buf *out);
void hpack_writer_field(struct hpack_writer *w, struct span name, struct span value,
                        enum hpack_keep keep, struct buf *out);
/* The same in two steps, for a field whose value is a literal: all but the value, which
 * hpack_put_string then appends. False: its name is not known yet, and nothing was
 * appended. */
bool hpack_writer_name(const struct hpack_writer *w, struct span name, struct buf *out);
void hpack_put_string(struct buf *out, struct span s);

#endif
