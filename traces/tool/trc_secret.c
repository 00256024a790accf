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

enum trc_header_fate trc_header_fate(struct span name, const char *const *asked,
                                     size_t n)
{
    if (span_eq_nocase(name, "accept-encoding") || span_eq_nocase(name, "seldon-model"))
        return TRC_HEADER_KEPT;
    for (size_t i = 0; i < n; i++)
        if (span_eq_nocase(name, asked[i])) /* asking for it does not help a secret */
            return trc_secret_header(name) ? TRC_HEADER_DENIED : TRC_HEADER_KEPT;
    return span_eq_nocase(name, "traceparent") || span_eq_nocase(name, "x-seldon-route")
               ? TRC_HEADER_PRESENCE
               : TRC_HEADER_DENIED;
}
