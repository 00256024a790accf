/*
 * cmd_import_calls.h - `reprise import har`, csv and goreplay, for the table of
 * cmd_import.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CMD_IMPORT_CALLS_H
#define TRACES_CMD_IMPORT_CALLS_H

#include "traces/base/opt.h"

/* argv[0] is the format's name; they give an exit status. */
extern const struct opt_cmd trc_import_har_page, trc_import_csv_page,
    trc_import_goreplay_page;
int trc_import_har_run(int argc, char **argv);
int trc_import_csv_run(int argc, char **argv);
int trc_import_goreplay_run(int argc, char **argv);

#endif
