/*
 * imp_mooncake.h - the Mooncake traces (FAST '25) as rows.
 *
 * One JSON object a line: timestamp (milliseconds from the start), input_length and
 * output_length (tokens); hash_ids and further members are ignored. Source: the README
 * of FAST25-release in github.com/kvcache-ai/Mooncake.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_IMPORT_IMP_MOONCAKE_H
#define TRACES_IMPORT_IMP_MOONCAKE_H

#include "traces/container/zin.h"
#include "traces/import/imp_rows.h"

/* Reads to the end. ERR_FORMAT and ERR_LIMIT name the line; ERR_FORMAT without any row.
 */
int imp_mooncake_read(struct zin *in, struct imp_rows *rows, struct err *e) MUST_USE;

#endif
