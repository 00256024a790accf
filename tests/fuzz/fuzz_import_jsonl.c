/*
 * fuzz_import_jsonl.c - JSON lines: refused with a reason, or a sound file.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "traces/container/trc_reader.h"
#include "traces/import/imp_jsonl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    struct zin *in;
    struct imp_jsonl_done done;
    struct err e = {0};
    char path[32];
    if (fd < 0 && (fd = memfd_create("fuzz_import_jsonl", MFD_CLOEXEC)) < 0)
        abort();
    snprintf(path, sizeof path, "/dev/fd/%d", fd);
    if (zin_open_bytes(&in, span_of(data, size), &e) < 0)
        return 0;
    int rc = imp_jsonl_read(in, path, &done, &e);
    zin_close(in);
    if (rc < 0 && !e.text[0])
        abort();
    if (rc == 0) {
        struct trc_reader *r;
        if (trc_reader_open(&r, path, &e) < 0 || trc_reader_verify(r, &e) < 0 ||
            trc_reader_info(r)->records != done.records)
            abort();
        trc_reader_close(r);
    }
    return 0;
}
