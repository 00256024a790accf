/*
 * gor_file.h - the payloads of a GoReplay file, one after another, in bounded memory.
 *
 * A payload is a line `TYPE ID TIME [DURATION]` and then bytes, HTTP messages as a
 * rule. Types: 1 a request, 2 the answer that it got, 3 the answer that a replay got.
 * TIME is ns since 1970. Behind each payload stands a separator: a line feed, then a
 * line of three monkeys (U+1F435 U+1F648 U+1F649). The format has no lengths: a
 * separator counts where the file ends behind it or the first line of another payload
 * follows, so that a body may hold one. Not thread-safe. Source: what GoReplay 0.16 to
 * 2.0 write.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_IMPORT_GOR_FILE_H
#define TRACES_IMPORT_GOR_FILE_H

#include "traces/base/buf.h"
#include "traces/container/zin.h"

#define GOR_PAYLOAD_MAX (80u << 20) /* a body of 64 MiB, its chunks and its head */
#define GOR_LINE_MAX    256u        /* of the line in front */

enum gor_type { GOR_REQUEST = 1, GOR_ANSWER, GOR_REPLAYED };

struct gor_payload {
    enum gor_type type;
    struct span id;
    uint64_t time_ns;     /* of old versions' answers: how long they took */
    uint64_t duration_ns; /* where it is told */
    bool has_duration;
    struct span message; /* borrowed until the next call */
    uint64_t at;         /* offset of its first line */
    bool closed;         /* a separator stands behind it */
};

struct gor_file {
    struct zin *in; /* borrowed */
    struct buf bytes;
    size_t from, searched; /* of bytes: the payload's start, up to where none ends */
    uint64_t at;           /* offset of bytes[0] in the file */
    bool ended;            /* nothing is to come behind bytes */
};

void gor_file_init(struct gor_file *f, struct zin *in);
void gor_file_done(struct gor_file *f);
/* 1: *p is the next payload; 0: clean end; ERR_FORMAT when its first line is none,
 * ERR_LIMIT, or what zin_peek gives. */
int gor_file_next(struct gor_file *f, struct gor_payload *p, struct err *e) MUST_USE;

#endif
