/*
 * cmd_scrub.h - `reprise trace scrub` and `reprise trace scan`, for cmd_trace.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CMD_SCRUB_H
#define TRACES_CMD_SCRUB_H

#include "traces/base/opt.h"

extern const struct opt_cmd trc_scrub_page, trc_scan_page;
int trc_run_scrub(int argc, char **argv);
int trc_run_scan(int argc, char **argv);

#endif
