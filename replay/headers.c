/*
 * headers.c - see headers.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/headers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "replay/tier.h"
#include "traces/base/log.h"

#define AREA          "replay"
#define AUTHORIZATION "authorization"
#define SCHEME        "Bearer "

/* What replay, its engines or a tier set themselves, or what would change how a request
 * is framed. */
static bool is_ours(struct span name)
{
    static const char *const names[] = {
        "host",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
        "http2-settings",
        "content-length",
        "content-type",
        "content-encoding",
        "accept-encoding",
        "user-agent",
        "x-request-id",
        "seldon-model",
        "seldon-internal-model",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (span_eq_str(name, names[i]))
            return true;
    return span_starts(name, "grpc-") || span_starts(name, "proxy-");
}

static bool value_ok(struct span value)
{
    for (size_t i = 0; i < value.n; i++)
        if ((value.p[i] < 0x20 && value.p[i] != '\t') || value.p[i] >= 0x7f)
            return false;
    return value.n > 0 && value.n <= REP_HEADER_VALUE_MAX;
}

bool rep_headers_has(const struct rep_headers *h, struct span name)
{
    for (uint32_t i = 0; i < h->n; i++)
        if (h->v[i].name.n == name.n && span_same_nocase(h->v[i].name, name))
            return true;
    return false;
}

void rep_headers_names(const struct rep_headers *h, struct buf *out)
{
    for (uint32_t i = 0; i < h->n; i++)
        buf_fmt(out, "%s%.*s", i ? ", " : "", SPAN_ARG(h->v[i].name));
}

/* Both spans stay where they are. The name is known to be told without harm once it is
 * a token: until then it may be a value that lost its name. */
static int add(struct rep_headers *h, struct span name, struct span value,
               struct err *e)
{
    if (!rep_tier_is_token(name))
        return err_set(e, ERR_FORMAT, "this is not 'name: value'");
    if (is_ours(name))
        return err_set(e, ERR_FORMAT, "'%.*s' is set by replay itself", SPAN_ARG(name));
    if (rep_headers_has(h, name))
        return err_set(e, ERR_FORMAT, "'%.*s' is given twice", SPAN_ARG(name));
    if (!value_ok(value))
        return err_set(e, ERR_FORMAT,
                       "the value of '%.*s' is empty, longer than %u bytes, or has "
                       "bytes that cannot stand in a request",
                       SPAN_ARG(name), REP_HEADER_VALUE_MAX);
    if (h->n == REP_HEADERS_MAX)
        return err_set(e, ERR_FORMAT, "more than %d headers", REP_HEADERS_MAX);
    h->v[h->n++] = (struct op_header){name, value};
    return 0;
}

/* --- files ------------------------------------------------------------------------ */

static void look_at_mode(const char *path, int fd)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & S_IROTH))
        log_warn(AREA,
                 "'%s' holds credentials, and everybody on this machine may read it "
                 "(mode %04o): chmod 600",
                 path, (unsigned)st.st_mode & 07777u);
}

/* Reads all of fd into text, which has room for REP_HEADER_FILE_MAX + 1 bytes. How
 * many, or -1 and errno. */
static ssize_t read_all(int fd, uint8_t *text)
{
    size_t n = 0;
    for (;;) {
        ssize_t got = read(fd, text + n, REP_HEADER_FILE_MAX + 1 - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        n += (size_t)got;
        if (got == 0 || n > REP_HEADER_FILE_MAX)
            return (ssize_t)n;
    }
}

/* Room for `bytes`, wiped and freed by done; NULL: no memory, or used up. */
static uint8_t *room(struct rep_headers *h, size_t bytes)
{
    if (h->texts == sizeof h->text / sizeof *h->text)
        return NULL;
    uint8_t *text = malloc(bytes);
    if (!text)
        return NULL;
    h->text[h->texts] = text;
    h->text_bytes[h->texts++] = bytes;
    return text;
}

static int read_file(struct rep_headers *h, const char *path, struct span *out,
                     struct err *e)
{
    uint8_t *text = room(h, REP_HEADER_FILE_MAX + 1);
    if (!text)
        return err_set(e, ERR_NOMEM, "out of memory for '%s'", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno, "cannot open '%s'", path);
    look_at_mode(path, fd);
    ssize_t n = read_all(fd, text);
    int sys = errno;
    close(fd);
    if (n < 0)
        return err_sys(e, sys, "cannot read '%s'", path);
    if (n > REP_HEADER_FILE_MAX)
        return err_set(e, ERR_FORMAT, "'%s' is longer than %u bytes", path,
                       REP_HEADER_FILE_MAX);
    *out = span_of(text, (size_t)n);
    return 0;
}

static void to_lower(struct rep_headers *h, struct span name)
{
    uint8_t *text = h->text[h->texts - 1];
    for (size_t i = 0, at = (size_t)(name.p - text); i < name.n; i++)
        if (text[at + i] >= 'A' && text[at + i] <= 'Z')
            text[at + i] = (uint8_t)(text[at + i] + ('a' - 'A'));
}

int rep_headers_file(struct rep_headers *h, const char *path, struct err *e)
{
    struct span rest;
    int rc = read_file(h, path, &rest, e);

    for (int line = 1; rc == 0 && rest.n > 0; line++) {
        size_t end = span_find(rest, '\n', 0);
        struct span s = span_trim(span_sub(rest, 0, end));
        size_t colon = span_find(s, ':', 0);
        struct span name = span_sub(s, 0, colon);
        rest = span_sub(rest, end + 1, rest.n);
        if (s.n == 0 || s.p[0] == '#')
            continue;
        if (colon < s.n)
            to_lower(h, name);
        else
            name = (struct span){0};
        rc = add(h, name, span_trim(span_sub(s, colon + 1, s.n)), e);
        if (rc < 0)
            err_note(e, "'%s', line %d", path, line);
    }
    return rc;
}

static bool token_ok(struct span token)
{
    for (size_t i = 0; i < token.n; i++)
        if (token.p[i] <= ' ' || token.p[i] >= 0x7f)
            return false;
    return token.n > 0 && token.n <= REP_HEADER_VALUE_MAX - strlen(SCHEME);
}

static int add_bearer(struct rep_headers *h, struct span token, const char *from,
                      struct err *e)
{
    size_t scheme = strlen(SCHEME);
    if (!token_ok(token))
        return err_set(e, ERR_FORMAT,
                       "'%s' does not hold a token: one word, of at most %zu bytes",
                       from, REP_HEADER_VALUE_MAX - scheme);
    uint8_t *text = room(h, scheme + token.n);
    if (!text)
        return err_set(e, ERR_NOMEM, "out of memory for the token of %s", from);
    memcpy(text, SCHEME, scheme);
    memcpy(text + scheme, token.p, token.n);
    int rc = add(h, SPAN_LIT(AUTHORIZATION), span_of(text, scheme + token.n), e);
    return rc < 0 ? err_note(e, "'%s'", from) : rc;
}

int rep_headers_bearer_file(struct rep_headers *h, const char *path, struct err *e)
{
    struct rep_headers file = {0};
    struct span text;
    int rc = read_file(&file, path, &text, e);
    if (rc == 0)
        rc = add_bearer(h, span_trim(text), path, e);
    rep_headers_done(&file);
    return rc;
}

int rep_headers_bearer(struct rep_headers *h, const char *token, const char *from,
                       struct err *e)
{
    return add_bearer(h, span_trim(span_str(token)), from, e);
}

void rep_headers_done(struct rep_headers *h)
{
    for (uint32_t i = 0; i < h->texts; i++) {
        explicit_bzero(h->text[i], h->text_bytes[i]);
        free(h->text[i]);
    }
    *h = (struct rep_headers){0};
}
