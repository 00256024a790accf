/*
 * trc_secret.c - see trc_secret.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/tool/trc_secret.h"

#include <string.h>

bool trc_secret_header(struct span name)
{
    static const char *const parts[] = {
        "auth",      "cookie",     "token",   "secret",     "password",  "api-key",
        "apikey",    "api_key",    "session", "credential", "signature", "jwt",
        "x-amz-sec", "x-goog-iam", "csrf",    "xsrf"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t n = strlen(parts[i]);
        for (size_t at = 0; name.n >= n && at <= name.n - n; at++)
            if (span_eq_nocase(span_sub(name, at, at + n), parts[i]))
                return !span_eq_nocase(name, "authority");
    }
    return false;
}
