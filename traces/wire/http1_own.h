/*
 * http1_own.h - shared by http1.c and http1_known.c alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_WIRE_HTTP1_OWN_H
#define TRACES_WIRE_HTTP1_OWN_H

#include "traces/base/span.h"

/* Where the value of a field ends that begins at `from` (at most s.n, and not 0),
 * without blanks around it and without control characters, tabs too, and that CR LF
 * follow; 0: it is not so. */
size_t http1_value_end(struct span s, size_t from);

#endif
