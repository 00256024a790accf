/*
 * check.h - what every unit test includes: cmocka, and checks that print both values.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_UNIT_CHECK_H
#define TESTS_UNIT_CHECK_H

/* cmocka wants these four in front of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "traces/base/err.h"
#include "traces/base/span.h"

#define check_int(a, op, b)                                                            \
    check_int_at((int64_t)(a), #op, (int64_t)(b), #a, __FILE__, __LINE__)
#define check_true(cond)           assert_true(cond)
#define check_str(a, b)            assert_string_equal(a, b)
#define check_str_has(hay, needle) check_has_at(hay, needle, __FILE__, __LINE__)
#define check_span(s, text)        check_span_at(s, text, __FILE__, __LINE__)
/* The text is that of tests/golden/NAME; with UPDATE_GOLDEN=1 it is written there. */
#define check_golden(name, text) check_golden_at(name, text, __FILE__, __LINE__)
/* The call gives 0 or a count; else its error is printed. */
#define check_ok(call, e) check_ok_at((call), e, #call, __FILE__, __LINE__)

void check_int_at(int64_t a, const char *op, int64_t b, const char *what,
                  const char *file, int line);
void check_has_at(const char *hay, const char *needle, const char *file, int line);
void check_span_at(struct span s, const char *text, const char *file, int line);
void check_golden_at(const char *name, struct span text, const char *file, int line);
void check_ok_at(int rc, const struct err *e, const char *what, const char *file,
                 int line);

#endif
