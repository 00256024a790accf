/*
 * keyed_hash.h - hashes that tell equal from different, but not what was hashed.
 *
 * SipHash-2-4 with 128 bits of output (Aumasson, Bernstein 2012). Who has the key can
 * try guesses; who has not cannot. Thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_BASE_KEYED_HASH_H
#define TRACES_BASE_KEYED_HASH_H

#include "traces/base/err.h"
#include "traces/base/span.h"

#define KEYED_HASH_BYTES 16u /* of a key */

/* Low half first. */
void keyed_hash(const uint8_t key[KEYED_HASH_BYTES], struct span s, uint64_t out[2]);

/* The key of 32 hex digits in `file` (blanks around them are fine), else, when file is
 * NULL, in the environment variable `env`, else one that is drawn from the system's
 * random numbers. ERR_IO, ERR_FORMAT, ERR_USAGE (the variable). */
int keyed_hash_key(const char *file, const char *env, uint8_t key[KEYED_HASH_BYTES],
                   struct err *e) MUST_USE;
/* A name of the key, 16 hex digits: tells hashes under it from others. */
void keyed_hash_key_text(const uint8_t key[KEYED_HASH_BYTES], char out[17]);

#endif
