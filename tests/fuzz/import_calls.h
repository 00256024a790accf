/*
 * import_calls.h - what the fuzzers of importers of calls have in common: a trace that
 * comes of any input is sound, and an input that is refused says why.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_FUZZ_IMPORT_CALLS_H
#define TESTS_FUZZ_IMPORT_CALLS_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "traces/container/trc_reader.h"
#include "traces/import/imp_out.h"

typedef int fuzz_read_fn(struct zin *in, struct imp_out *o, struct err *e);

static inline void fuzz_check_trace(const char *path, const struct imp_out_done *done)
{
    struct trc_reader *r;
    struct err e = {0};
    if (trc_reader_open(&r, path, &e) < 0 || trc_reader_verify(r, &e) < 0 ||
        trc_reader_info(r)->records != done->operations)
        abort();
    trc_reader_close(r);
}

/* Few are held, so that short inputs fill the room. */
static inline void fuzz_import(struct span input, const char *format,
                               fuzz_read_fn *read)
{
    static int fd = -1;
    struct zin *in;
    struct imp_out *o;
    struct imp_out_done done = {0};
    struct err e = {0};
    char path[32];
    if (fd < 0 && (fd = memfd_create("fuzz_import", MFD_CLOEXEC)) < 0)
        abort();
    snprintf(path, sizeof path, "/dev/fd/%d", fd);
    const struct imp_out_options how = {.path = path,
                                        .format = format,
                                        .source = "fuzz",
                                        .calendar = true,
                                        .ops_max = 3,
                                        .bytes_max = 4096};
    if (zin_open_bytes(&in, input, &e) < 0)
        return;
    if (imp_out_open(&o, &how, &e) < 0)
        abort();
    int rc = imp_out_close(o, read(in, o, &e), &done, &e);
    zin_close(in);
    if (rc < 0 && !e.text[0])
        abort();
    if (rc == 0)
        fuzz_check_trace(path, &done);
}

#endif
