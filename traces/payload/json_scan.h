/*
 * json_scan.h - reads JSON text (RFC 8259) value by value, without building a tree.
 *
 * The caller walks: open an object or array, ask for members or elements until there
 * are no more, take each value by its kind or skip it. Memory use does not depend on
 * the input (strings with escapes are unescaped into the arena), nesting is limited,
 * and every error carries its byte offset. Errors are sticky: after the first one
 * everything says no, and the caller looks at scan->rc when it is done. Zeroed memory
 * is not a start: json_scan_init. Strings must be UTF-8; a NUL may come as \u0000. One
 * thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_PAYLOAD_JSON_SCAN_H
#define TRACES_PAYLOAD_JSON_SCAN_H

#include "traces/base/arena.h"
#include "traces/base/err.h"

#define JSON_DEPTH_MAX  64
#define JSON_NUMBER_MAX 800 /* characters; a double never has more that matter */

enum json_kind {
    JSON_KIND_BAD, /* an error, or the end of the text */
    JSON_KIND_OBJECT,
    JSON_KIND_ARRAY,
    JSON_KIND_STRING,
    JSON_KIND_NUMBER,
    JSON_KIND_TRUE,
    JSON_KIND_FALSE,
    JSON_KIND_NULL,
};

struct json_scan {
    const uint8_t *start, *p, *end;
    struct arena *arena; /* borrowed */
    struct err *e;       /* borrowed; may be NULL */
    int rc;              /* 0, or the code of the first error */
    int depth;
    bool fresh; /* right behind an opening bracket */
};

void json_scan_init(struct json_scan *s, struct span text, struct arena *a,
                    struct err *e);
size_t json_scan_at(const struct json_scan *s); /* byte offset */
/* Records an error of the caller's own at an offset. Returns code. */
int json_scan_fail(struct json_scan *s, enum err_code code, size_t at,
                   const char *format, ...) PRINTF_LIKE(4, 5);

enum json_kind json_scan_peek(struct json_scan *s); /* kind of the value that comes */

/* Both enter and then: true while another member (its key taken) or element comes; the
 * closing bracket is taken when false. */
bool json_scan_open(struct json_scan *s, enum json_kind kind); /* OBJECT or ARRAY */
bool json_scan_member(struct json_scan *s, struct span *key);
bool json_scan_element(struct json_scan *s);

/* Take one value. false on error. Spans borrow from the text, or from the arena. */
bool json_scan_string(struct json_scan *s, struct span *text);
bool json_scan_number(struct json_scan *s, struct span *digits); /* as it is spelled */
bool json_scan_bool(struct json_scan *s, bool *value);
bool json_scan_skip(struct json_scan *s); /* any value; its syntax is checked */
/* Nothing but blanks may follow. 0, or the code of the first error. */
int json_scan_end(struct json_scan *s) MUST_USE;

/* Numbers as spelled (digits come from json_scan_number). i64, u64: false if it is not
 * whole or out of range; "1e2" and "2.0" are whole. */
bool json_number_i64(struct span digits, int64_t *v);
bool json_number_u64(struct span digits, uint64_t *v);
double json_number_f64(struct span digits); /* nearest; infinite when too large */

#endif
