/*
 * cmd_import_jsonl.h - `reprise import jsonl`, for the table of cmd_import.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CMD_IMPORT_JSONL_H
#define TRACES_CMD_IMPORT_JSONL_H

#include "traces/base/opt.h"

extern const struct opt_cmd trc_import_jsonl_page;
int trc_import_jsonl_run(int argc, char **argv); /* argv[0]: "jsonl"; an exit status */

#endif
