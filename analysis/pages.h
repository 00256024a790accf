/*
 * pages.h - large arrays that grow without being copied, on huge pages where the system
 * has them.
 *
 * A column of ten million values touches twenty thousand pages of 4 KiB, and making
 * each costs as much as all that is done with it. Arrays below ANA_PAGES_FROM bytes are
 * the heap's. Not thread-safe on the same array.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_PAGES_H
#define ANALYSIS_PAGES_H

#include <stddef.h>

#include "traces/base/err.h"

#define ANA_PAGES_FROM ((size_t)128 << 10)
/* From here on arrays begin on such a border. */
#define ANA_PAGES_HUGE ((size_t)2 << 20)

/* Makes an array of old_bytes (0: p is NULL) one of new_bytes, which is more; what it
 * held stays. NULL: out of memory, and p is as it was. Both sizes are powers of two. */
void *ana_pages_grow(void *p, size_t old_bytes, size_t new_bytes) MUST_USE;
void ana_pages_free(void *p, size_t bytes);

#endif
