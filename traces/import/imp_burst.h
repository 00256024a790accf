/*
 * imp_burst.h - the BurstGPT traces as rows.
 *
 * CSV with a header: Timestamp (seconds since the first day's midnight, whole or not),
 * Model, Request tokens, Response tokens; where they are there Session ID (empty for
 * calls of an API), Elapsed time (seconds from the request to the end of the answer)
 * and Log Type. Further columns are ignored: Total tokens is a sum. A row without
 * response tokens was a failure. Source: the README of github.com/HPMLL/BurstGPT
 * (CC-BY 4.0), releases 1.1 and 2.0.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_IMPORT_IMP_BURST_H
#define TRACES_IMPORT_IMP_BURST_H

#include "traces/import/imp_rows.h"

struct imp_burst {
    const char *model, *log_type; /* rows of these alone are taken; NULL: of all */
    uint64_t failures, left_out;  /* counted: among the rows that are taken; others */
};

/* Reads to the end. ERR_FORMAT and ERR_LIMIT name the line; ERR_FORMAT without any row
 * that is taken, or where a column that b asks for is not there. */
int imp_burst_read(struct zin *in, struct imp_burst *b, struct imp_rows *rows,
                   struct err *e) MUST_USE;

#endif
