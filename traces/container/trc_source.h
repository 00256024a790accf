/*
 * trc_source.h - the bytes of a file or a pipe, looked at before they are consumed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CONTAINER_TRC_SOURCE_H
#define TRACES_CONTAINER_TRC_SOURCE_H

#include "traces/base/err.h"
#include "traces/base/span.h"

struct trc_source {
    int fd;
    bool seekable;
    uint64_t pos;  /* in the file, of the next byte */
    uint64_t size; /* of a seekable file, at the last look */
    uint8_t *buf;
    size_t cap, start, have; /* bytes [start, start + have) of buf stand at pos */
    uint8_t *kept;           /* bytes at kept_at that trc_source_pread need not read */
    uint64_t kept_at;
    size_t kept_bytes;
    size_t least;   /* bytes asked for at once at least; 0: many, blocks come whole */
    uint64_t reads; /* system calls that read, so far */
    /* Whether to wait no longer for what a pipe may bring; NULL: never. */
    bool (*stopped)(void *arg);
    void *stopped_arg;
};

/* "-" is standard input. ERR_IO; ERR_NOMEM. */
int trc_source_open(struct trc_source *s, const char *path, struct err *e) MUST_USE;
void trc_source_close(struct trc_source *s);
/* The next n bytes without consuming them, fewer at the end; borrowed until the next
 * call. Memory follows what is there, not what is asked for. ERR_STOPPED. */
int trc_source_peek(struct trc_source *s, size_t n, struct span *out,
                    struct err *e) MUST_USE;
/* Consumes n bytes, or what is left. */
int trc_source_skip(struct trc_source *s, uint64_t n, struct err *e) MUST_USE;
/* Bytes of a seekable file now: it may have grown since it was opened. */
uint64_t trc_source_size(struct trc_source *s);
/* Seekable only. */
void trc_source_seek(struct trc_source *s, uint64_t pos);
/* Reads n bytes at `at` of a seekable file at once, and keeps them for trc_source_pread
 * until the next keep; n = 0 lets go of them. Fewer are kept at the file's end. */
int trc_source_keep(struct trc_source *s, uint64_t at, size_t n,
                    struct err *e) MUST_USE;
/* n bytes at `at` of a seekable file; *got fewer at the end. */
int trc_source_pread(struct trc_source *s, uint64_t at, void *p, size_t n, size_t *got,
                     struct err *e) MUST_USE;

#endif
