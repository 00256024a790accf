/*
 * trc_source.c - see trc_source.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/container/trc_source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_MIN (128u * 1024) /* bytes asked for at once */
#define READ_MAX (4u << 20)    /* and at most: what a short pipe may cost us */
#define LOOK_MS  50            /* between two looks at whether to wait on */

int trc_source_open(struct trc_source *s, const char *path, struct err *e)
{
    *s = (struct trc_source){.fd = -1};
    bool standard = strcmp(path, "-") == 0;
    s->fd = standard ? fcntl(0, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0)
        return err_sys(e, errno, "cannot open '%s'", path);
    struct stat st;
    if (fstat(s->fd, &st) < 0) {
        err_sys(e, errno, "cannot stat '%s'", path);
        trc_source_close(s);
        return ERR_IO;
    }
    if (S_ISDIR(st.st_mode)) {
        trc_source_close(s);
        return err_sys(e, EISDIR, "cannot read '%s'", path);
    }
    s->seekable = S_ISREG(st.st_mode) && !standard;
    s->size = s->seekable ? (uint64_t)st.st_size : 0;
    return 0;
}

void trc_source_close(struct trc_source *s)
{
    if (s->fd >= 0)
        close(s->fd);
    free(s->buf);
    free(s->kept);
    *s = (struct trc_source){.fd = -1};
}

static void refresh_size(struct trc_source *s)
{
    struct stat st;
    if (s->seekable && fstat(s->fd, &st) == 0)
        s->size = (uint64_t)st.st_size;
}

uint64_t trc_source_size(struct trc_source *s)
{
    refresh_size(s);
    return s->size;
}

int trc_source_keep(struct trc_source *s, uint64_t at, size_t n, struct err *e)
{
    free(s->kept);
    s->kept_bytes = 0;
    s->kept = n ? malloc(n) : NULL;
    if (n && !s->kept)
        return err_set(e, ERR_NOMEM, "out of memory for the end of a file");
    s->kept_at = at;
    size_t got = 0;
    int rc = n ? trc_source_pread(s, at, s->kept, n, &got, e) : 0;
    s->kept_bytes = rc < 0 ? 0 : got;
    return rc;
}

int trc_source_pread(struct trc_source *s, uint64_t at, void *p, size_t n, size_t *got,
                     struct err *e)
{
    *got = 0;
    if (n > 0 && n <= s->kept_bytes && at >= s->kept_at &&
        at - s->kept_at <= s->kept_bytes - n) {
        memcpy(p, s->kept + (at - s->kept_at), n);
        *got = n;
        return 0;
    }
    while (*got < n) {
        s->reads++;
        ssize_t r = pread(s->fd, (uint8_t *)p + *got, n - *got, (off_t)(at + *got));
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_sys(e, errno, "cannot read at byte %llu",
                           (unsigned long long)(at + *got));
        if (r == 0)
            break;
        *got += (size_t)r;
    }
    return 0;
}

/* Room for `more` bytes behind those that are there. */
static int make_room(struct trc_source *s, size_t more, struct err *e)
{
    if (s->start + s->have + more <= s->cap)
        return 0;
    if (s->have + more > s->cap) {
        size_t cap = s->cap ? s->cap : READ_MIN;
        while (cap < s->have + more)
            cap *= 2;
        uint8_t *buf = malloc(cap);
        if (!buf)
            return err_set(e, ERR_NOMEM, "out of memory for a block");
        if (s->have)
            memcpy(buf, s->buf + s->start, s->have);
        free(s->buf);
        s->buf = buf;
        s->cap = cap;
    } else if (s->have) {
        memmove(s->buf, s->buf + s->start, s->have);
    }
    s->start = 0;
    return 0;
}

/* Until a pipe brings something, or its end. */
static int await_bytes(const struct trc_source *s, struct err *e)
{
    struct pollfd p = {.fd = s->fd, .events = POLLIN};
    if (!s->stopped)
        return 0;
    while (!s->stopped(s->stopped_arg))
        if (poll(&p, 1, LOOK_MS) > 0)
            return 0;
    return err_set(e, ERR_STOPPED, "interrupted while waiting for more of it");
}

/* One read of about `want` bytes behind those that are there; *got 0 at the end. */
static int fill(struct trc_source *s, size_t want, size_t *got, struct err *e)
{
    size_t least = s->least ? s->least : READ_MIN;
    size_t ask = want < least ? least : want;
    if (ask > READ_MAX)
        ask = READ_MAX;
    int rc = make_room(s, ask, e);
    if (rc < 0)
        return rc;
    uint8_t *p = s->buf + s->start + s->have;
    if (s->seekable) {
        rc = trc_source_pread(s, s->pos + s->have, p, ask, got, e);
    } else {
        ssize_t r;
        if ((rc = await_bytes(s, e)) < 0)
            return rc;
        s->reads++;
        do
            r = read(s->fd, p, ask);
        while (r < 0 && errno == EINTR);
        if (r < 0)
            return err_sys(e, errno, "cannot read at byte %llu",
                           (unsigned long long)(s->pos + s->have));
        *got = (size_t)r;
    }
    s->have += rc < 0 ? 0 : *got;
    return rc;
}

int trc_source_peek(struct trc_source *s, size_t n, struct span *out, struct err *e)
{
    while (s->have < n) {
        size_t got;
        int rc = fill(s, n - s->have, &got, e);
        if (rc < 0)
            return rc;
        if (got == 0) {
            refresh_size(s);
            break;
        }
    }
    *out = span_of(s->buf + s->start, s->have < n ? s->have : n);
    return 0;
}

int trc_source_skip(struct trc_source *s, uint64_t n, struct err *e)
{
    while (n > 0) {
        if (s->have == 0 && s->seekable) {
            s->pos += n;
            return 0;
        }
        size_t got = 1;
        if (s->have == 0) {
            int rc = fill(s, n < READ_MIN ? (size_t)n : READ_MIN, &got, e);
            if (rc < 0)
                return rc;
        }
        if (got == 0)
            return 0;
        size_t step = s->have < n ? s->have : (size_t)n;
        s->start += step;
        s->have -= step;
        s->pos += step;
        n -= step;
    }
    return 0;
}

void trc_source_seek(struct trc_source *s, uint64_t pos)
{
    s->pos = pos;
    s->start = 0;
    s->have = 0;
}
