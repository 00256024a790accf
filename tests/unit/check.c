/* check.c - see check.h. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "traces/base/buf.h"

void check_int_at(int64_t a, const char *op, int64_t b, const char *what,
                  const char *file, int line)
{
    bool holds = strcmp(op, "==") == 0   ? a == b
                 : strcmp(op, "!=") == 0 ? a != b
                 : strcmp(op, "<") == 0  ? a < b
                 : strcmp(op, "<=") == 0 ? a <= b
                 : strcmp(op, ">") == 0  ? a > b
                                         : a >= b;
    if (!holds) {
        print_error("%s is %" PRId64 ", wanted %s %" PRId64 "\n", what, a, op, b);
        _fail(file, line);
    }
}

void check_has_at(const char *hay, const char *needle, const char *file, int line)
{
    if (!strstr(hay, needle)) {
        print_error("\"%s\" does not have \"%s\"\n", hay, needle);
        _fail(file, line);
    }
}

void check_span_at(struct span s, const char *text, const char *file, int line)
{
    if (!span_eq_str(s, text)) {
        print_error("span is \"%.*s\", wanted \"%s\"\n", SPAN_ARG(s), text);
        _fail(file, line);
    }
}

void check_ok_at(int rc, const struct err *e, const char *what, const char *file,
                 int line)
{
    if (rc < 0) {
        print_error("%s failed (%d): %s\n", what, rc, e ? e->text : "");
        _fail(file, line);
    }
}

static bool write_golden(const char *path, struct span text)
{
    FILE *f = fopen(path, "wb");
    bool ok = f && fwrite(text.p, 1, text.n, f) == text.n;
    if (f && fclose(f) != 0)
        ok = false;
    return ok;
}

/* The line of s that holds byte `at`, cut to a screen's width. */
static struct span line_around(struct span s, size_t at)
{
    size_t from = at;
    while (from > 0 && from <= s.n && s.p[from - 1] != '\n')
        from--;
    struct span line = span_sub(s, from, span_find(s, '\n', from));
    return span_sub(line, at - from > 60 ? at - from - 60 : 0, at - from + 60);
}

void check_golden_at(const char *name, struct span text, const char *file, int line)
{
    char path[256];
    struct buf golden = {0};
    struct err e = {0};
    snprintf(path, sizeof path, "tests/golden/%s", name);
    if (getenv("UPDATE_GOLDEN")) {
        if (write_golden(path, text))
            return;
        print_error("cannot write %s\n", path);
        _fail(file, line);
    }
    check_ok_at(buf_read_file(&golden, path, BUF_MAX, &e), &e, path, file, line);
    struct span want = buf_view(&golden);
    size_t at = 0;
    while (at < want.n && at < text.n && want.p[at] == text.p[at])
        at++;
    if (at < want.n || at < text.n) {
        print_error("%s differs at byte %zu:\n  has    %.*s\n  wanted %.*s\n", path, at,
                    SPAN_ARG(line_around(text, at)), SPAN_ARG(line_around(want, at)));
        buf_done(&golden);
        _fail(file, line);
    }
    buf_done(&golden);
}
