/*
 * imp_servegen.h - ServeGen's per-client windows as arrivals.
 *
 * CSV with a header: client, window_start_s, rate_rps, iat_cv, family (Gamma, Weibull
 * or empty), shape, scale; one row per client and window. Source: the client files of
 * github.com/alibaba/ServeGen (arXiv 2505.09999), joined with the client's number in
 * front.
 *
 * Rule: within a window, a client's arrivals are an equilibrium renewal process
 * (arr_process.h) of the window's family and shape, at the window's rate; windows are
 * independent. The fitted scale is not used: the observed rate is what the window
 * counted, and the two differ where a fit is poor. Each window of each client has a
 * seed of its own, so a part of the file gives the same arrivals as the same part of
 * the whole.
 *
 * Memory: 32 bytes per window with a rate above 0 in the chosen span, and a small state
 * per client; arrivals stream. Not thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_IMPORT_IMP_SERVEGEN_H
#define TRACES_IMPORT_IMP_SERVEGEN_H

#include "traces/container/zin.h"
#include "traces/import/imp_rows.h"

#define IMP_WINDOWS_MAX  (1u << 22)
#define IMP_CLIENTS_MAX  65536 /* client numbers are below this */
#define IMP_RATE_MAX     1e6   /* per second of one client */
#define IMP_WINDOW_S     600   /* length, where a file does not tell */
#define IMP_WINDOW_S_MAX 86400
#define IMP_START_S_MAX  (UINT64_C(366) * 86400)

struct imp_span {
    int64_t from_ns, duration_ns; /* from the start of the file's first window */
    const bool *clients; /* IMP_CLIENTS_MAX of them that take part; NULL: all */
};

struct imp_servegen;
/* Reads to the end. ERR_FORMAT, ERR_LIMIT name the line; ERR_FORMAT when nothing is
 * left in the span. */
int imp_servegen_read(struct imp_servegen **s, struct zin *in,
                      const struct imp_span *span, uint64_t seed,
                      struct err *e) MUST_USE;
void imp_servegen_free(struct imp_servegen *s); /* NULL is fine */

/* The next arrival of any client, in ns since from_ns, ascending (equal times: by
 * client). False after the last. */
bool imp_servegen_next(struct imp_servegen *s, int64_t *at_ns, uint32_t *client);

struct imp_servegen_info {
    uint64_t windows; /* with a rate above 0, in the span */
    uint32_t clients; /* that have any */
    int64_t window_ns;
    double expected; /* operations */
};
struct imp_servegen_info imp_servegen_info(const struct imp_servegen *s);

#endif
