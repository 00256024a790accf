/*
 * fuzz_trc_repair.c - any bytes are repaired to a sound file that holds what it is said
 * to, or refused with a reason. Files of the corpus have damaged groups.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "traces/container/trc_repair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char in[] = "/tmp/fuzz_trc_repair.XXXXXX", out[sizeof in + 4];

static void remove_files(void)
{
    unlink(in);
    unlink(out);
}

static int input_file(void)
{
    int fd = mkstemp(in);
    if (fd < 0 || atexit(remove_files) != 0)
        abort();
    snprintf(out, sizeof out, "%s.out", in);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    struct trc_repaired done;
    struct trc_reader *r;
    struct err e = {0};
    if (fd < 0)
        fd = input_file();
    if (ftruncate(fd, 0) < 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    int rc = trc_repair(in, out, &done, &e);
    if (rc < 0) {
        if (e.code != rc || !e.text[0])
            abort();
        return 0;
    }
    if (trc_reader_open(&r, out, &e) < 0 || trc_reader_verify(r, &e) < 0 ||
        trc_reader_info(r)->records != done.records)
        abort();
    trc_reader_close(r);
    return 0;
}
