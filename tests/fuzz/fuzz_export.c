/*
 * fuzz_export.c - whatever can be read can be exported in every format, and JSON lines
 * give the same file again.
 *
 * An input that begins with { is JSON lines, from which the trace or run is made; any
 * other is the file itself.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "traces/import/imp_jsonl.h"
#include "traces/tool/trc_export.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file in memory, by its path. */
static const char *memory(int *fd, char path[32])
{
    if (*fd <= 0 && (*fd = memfd_create("fuzz_export", MFD_CLOEXEC)) < 0)
        abort();
    if (ftruncate(*fd, 0) < 0)
        abort();
    snprintf(path, 32, "/proc/self/fd/%d", *fd);
    return path;
}

static bool import(struct span lines, const char *path)
{
    struct zin *in;
    struct imp_jsonl_done done;
    struct err e = {0};
    if (zin_open_bytes(&in, lines, &e) < 0)
        abort();
    int rc = imp_jsonl_read(in, path, &done, &e);
    zin_close(in);
    if (rc < 0 && !e.text[0])
        abort(); /* failed, and does not say why */
    return rc == 0;
}

typedef int export_fn(struct trc_reader *r, FILE *to, struct trc_export_done *done,
                      struct err *e);

static int hlog(struct trc_reader *r, FILE *to, struct trc_export_done *done,
                struct err *e)
{
    return trc_export_hlog(r, 1000000000, to, done, e);
}

static struct exp_late late; /* of the file in hand */

static int har(struct trc_reader *r, FILE *to, struct trc_export_done *done,
               struct err *e)
{
    return trc_export_har(r, &late, to, done, e);
}

static int har_of_stream(struct trc_reader *r, FILE *to, struct trc_export_done *done,
                         struct err *e)
{
    return trc_export_har(r, NULL, to, done, e);
}

static int pcapng(struct trc_reader *r, FILE *to, struct trc_export_done *done,
                  struct err *e)
{
    return trc_export_pcapng(r, &late, to, done, e);
}

/* The content hash, and whether all went out. Text, if wanted, is the caller's. */
static int export(const char *path, export_fn *fn, char **text, size_t *n,
                  uint64_t hash[2])
{
    struct trc_reader *r;
    struct trc_export_done done = {0};
    struct err e = {0};
    if (trc_reader_open(&r, path, &e) < 0)
        return e.code;
    FILE *to = text ? open_memstream(text, n) : fopen("/dev/null", "w");
    if (!to)
        abort();
    int rc = fn(r, to, &done, &e);
    if ((rc < 0) != (e.code != 0) || done.written > done.records)
        abort();
    hash[0] = trc_reader_info(r)->content_hash[0];
    hash[1] = trc_reader_info(r)->content_hash[1];
    fclose(to);
    trc_reader_close(r);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static export_fn *const others[] = {har, har_of_stream, pcapng, hlog};
    static int first, second;
    char path[32], again[32], *text = NULL, *text_again = NULL;
    size_t n = 0, n_again = 0;
    uint64_t hash[2] = {0}, hash_again[2] = {0};
    memory(&first, path);
    if (size > 0 && data[0] == '{') {
        if (!import(span_of(data, size), path))
            return 0;
    } else if (pwrite(first, data, size, 0) != (ssize_t)size) {
        abort();
    }
    struct err e = {0};
    if (exp_late_read(&late, path, &e) < 0 && !e.text[0])
        abort();
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        (void)export(path, others[i], NULL, NULL, hash);
    exp_late_done(&late);
    int rc = export(path, trc_export_jsonl, &text, &n, hash);
    if (rc < 0 && size > 0 && data[0] == '{')
        abort(); /* what was just written can be read */
    if (rc == 0) {
        if (!import(span_of(text, n), memory(&second, again)) ||
            export(again, trc_export_jsonl, &text_again, &n_again, hash_again) < 0)
            abort();
        if (!span_eq(span_of(text, n), span_of(text_again, n_again)))
            abort();
        if (data[0] == '{' && (hash[0] != hash_again[0] || hash[1] != hash_again[1]))
            abort();
    }
    free(text);
    free(text_again);
    return 0;
}
