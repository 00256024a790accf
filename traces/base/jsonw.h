/*
 * jsonw.h - JSON written in one pass, keys in the order of the calls.
 *
 * Commas and nesting are kept by the writer; a misuse (value without key inside an
 * object, too deep) is an assertion. Strings are escaped and invalid UTF-8 becomes
 * U+FFFD. Doubles print with the fewest digits that read back equal; NaN prints null,
 * infinities print as the strings "inf" and "-inf". Zeroed with .out set is a valid
 * start. One thread at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_BASE_JSONW_H
#define TRACES_BASE_JSONW_H

#include "traces/base/buf.h"

#define JSONW_DEPTH 32

struct jsonw {
    struct buf *out;
    bool pretty; /* two-space indent, a line per member */
    int depth;
    bool in_object[JSONW_DEPTH], has_member[JSONW_DEPTH], after_key;
};

void jsonw_object(struct jsonw *w); /* opens; as a value or an array element */
void jsonw_array(struct jsonw *w);
void jsonw_end(struct jsonw *w); /* closes the innermost */
void jsonw_key(struct jsonw *w, const char *key);
void jsonw_str(struct jsonw *w, const char *text); /* NULL prints null */
void jsonw_span(struct jsonw *w, struct span s);
void jsonw_i64(struct jsonw *w, int64_t v);
void jsonw_u64(struct jsonw *w, uint64_t v);
void jsonw_f64(struct jsonw *w, double v);
void jsonw_bool(struct jsonw *w, bool v);
void jsonw_null(struct jsonw *w);
void jsonw_raw(struct jsonw *w, struct span json); /* a value that is JSON already */

/* Key and value in one. */
void jsonw_key_str(struct jsonw *w, const char *key, const char *text);
void jsonw_key_i64(struct jsonw *w, const char *key, int64_t v);
void jsonw_key_u64(struct jsonw *w, const char *key, uint64_t v);
void jsonw_key_f64(struct jsonw *w, const char *key, double v);
void jsonw_key_bool(struct jsonw *w, const char *key, bool v);

#endif
