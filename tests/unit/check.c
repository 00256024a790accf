/* check.c - see check.h. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/check.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

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
