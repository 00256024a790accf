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

#endif
