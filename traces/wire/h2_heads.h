/*
 * h2_heads.h - reading the header lists of answers in HTTP/2 (RFC 9113, 8.2 and 8.3):
 * whole blocks in, fields and what is wrong with them out.
 *
 * Answers of one server say the same again and again, in the same few bytes. A block
 * that changed nothing in the dynamic table means the same until something does, so it
 * is remembered and not decoded twice.
 *
 * A zeroed struct must be given to h2_heads_init. One thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_WIRE_H2_HEADS_H
#define TRACES_WIRE_H2_HEADS_H

#include "traces/wire/hpack.h"

#define H2_LIST_MAX (64u << 10) /* bytes of one list, as RFC 9113 6.5.2 counts */
#define H2_HEADS    8u          /* blocks that are remembered */

struct h2_head {
    uint16_t status;                  /* 0: there is no pseudo field */
    const char *malformed;            /* why, in constant text; or NULL */
    int64_t content_length;           /* -1: not stated */
    const struct hpack_field *fields; /* pseudo fields, too */
    size_t field_count;
};

struct h2_known {
    uint64_t changes; /* of the table, when it was read */
    struct h2_head head;
    uint8_t n; /* 0: nothing is known */
    uint8_t block[47];
    uint8_t text[192]; /* names and values of the fields */
    struct hpack_field fields[8];
};

struct h2_heads {
    struct hpack hpack;
    struct h2_known known[H2_HEADS];
    struct h2_head head; /* of a block that is not known */
    struct hpack_field *fields;
    size_t field_count, field_cap;
    struct buf text; /* names and values of `fields` */
};

/* Keeps the memory of one that was used. */
void h2_heads_init(struct h2_heads *h);
void h2_heads_done(struct h2_heads *h);

/* Reads one block; *head is borrowed until the next call. A list that breaks the rules
 * of HTTP is no error, but `malformed`; so is one longer than H2_LIST_MAX, and what is
 * beyond is not kept. Negative: the block cannot be read, and none behind it
 * (ERR_FORMAT, ERR_NOMEM). */
int h2_heads_read(struct h2_heads *h, struct span block, const struct h2_head **head,
                  struct err *e) MUST_USE;

#endif
