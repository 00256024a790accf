/*
 * driver.c - feeds files, or all files of folders, to a fuzz target, once each.
 *
 * With libFuzzer this file is left out; with any compiler it turns a target into a test
 * of its corpus, which `make check` runs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "traces/base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int feed_file(const char *path)
{
    struct buf b = {0};
    struct err e = {0};
    if (buf_read_file(&b, path, BUF_MAX, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        return -1;
    }
    /* An exact copy on the heap, so that one byte too far is a fault under ASan. */
    uint8_t *exact = malloc(b.n ? b.n : 1);
    if (!exact)
        return -1;
    if (b.n)
        memcpy(exact, b.p, b.n);
    LLVMFuzzerTestOneInput(exact, b.n);
    free(exact);
    buf_done(&b);
    return 1;
}

static int feed(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0) {
        perror(path);
        return -1;
    }
    if (!S_ISDIR(st.st_mode))
        return feed_file(path);
    DIR *dir = opendir(path);
    if (!dir) {
        perror(path);
        return -1;
    }
    int fed = 0;
    for (struct dirent *d; (d = readdir(dir));) {
        char name[4096];
        if (d->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, d->d_name);
        int n = feed(name);
        if (n < 0) {
            closedir(dir);
            return -1;
        }
        fed += n;
    }
    closedir(dir);
    return fed;
}

int main(int argc, char **argv)
{
    int fed = 0;
    for (int i = 1; i < argc; i++) {
        int n = feed(argv[i]);
        if (n < 0)
            return 1;
        fed += n;
    }
    printf("%d inputs\n", fed);
    return fed > 0 ? 0 : 1; /* an empty corpus tests nothing */
}
