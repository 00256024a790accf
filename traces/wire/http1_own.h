/*
 * http1_own.h - shared by http1.c and http1_known.c alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_WIRE_HTTP1_OWN_H
#define TRACES_WIRE_HTTP1_OWN_H

#include "traces/base/span.h"

/* Index of the first byte from `from` on that is no plain part of a field's value: a
 * control character (a tab too) or DEL; s.n if there is none. */
size_t http1_find_odd(struct span s, size_t from);

#endif
