/*
 * trc_secret.h - what may hold a credential, by its name.
 *
 * One rule for all that writes traces of real traffic. Thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_TOOL_TRC_SECRET_H
#define TRACES_TOOL_TRC_SECRET_H

#include "traces/base/span.h"

/* Whether a header of that name, in any case, must never reach a file: authorization,
 * cookie, x-api-key and whatever looks like them. */
bool trc_secret_header(struct span name);

enum trc_header_fate {
    TRC_HEADER_DENIED,
    TRC_HEADER_PRESENCE, /* its name alone */
    TRC_HEADER_KEPT,
};
/* What becomes of a header: accept-encoding, seldon-model and the n names of `asked`
 * (any case) are kept, of traceparent and x-seldon-route it is kept that they were
 * there, all else is denied; what trc_secret_header names is, though asked for. */
enum trc_header_fate trc_header_fate(struct span name, const char *const *asked,
                                     size_t n);
/* The names of that rule without `asked`, for a policy's text. */
#define TRC_HEADERS_DEFAULT                                                            \
    "accept-encoding,seldon-model,traceparent(presence),x-seldon-route(presence)"

#endif
