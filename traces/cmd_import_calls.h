/*
 * cmd_import_calls.h - `reprise import har` and its like, for the table of
 * cmd_import.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CMD_IMPORT_CALLS_H
#define TRACES_CMD_IMPORT_CALLS_H

#include "traces/base/opt.h"

extern const struct opt_cmd trc_import_har_page;
int trc_import_har_run(int argc, char **argv); /* argv[0]: "har"; an exit status */

#endif
