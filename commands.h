/*
 * commands.h - the subcommands, and nothing else: main.c's only view of the folders.
 *
 * A command takes argv from its own name on, prints its own errors, and returns an exit
 * status of the one table in traces/base/err.h. Its opt_cmd is what `reprise help` and
 * the man pages are made from.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "traces/base/opt.h"

typedef int cmd_fn(int argc, char **argv);

struct cmd {
    const char *name;
    cmd_fn *run;
    const struct opt_cmd *const *docs; /* NULL-terminated: itself, or its subcommands */
};

cmd_fn trc_cmd_synth, trc_cmd_import, trc_cmd_trace;
cmd_fn rep_cmd_replay, rep_cmd_search, rep_cmd_campaign;
cmd_fn ana_cmd_report, ana_cmd_compare, ana_cmd_plan;
cmd_fn dep_cmd_standin;
cmd_fn cap_cmd_capture;

extern const struct opt_cmd *const trc_synth_docs[];
extern const struct opt_cmd *const trc_import_docs[];
extern const struct opt_cmd *const trc_trace_docs[];
extern const struct opt_cmd *const rep_replay_docs[];
extern const struct opt_cmd *const rep_search_docs[];
extern const struct opt_cmd *const rep_campaign_docs[];
extern const struct opt_cmd *const ana_report_docs[];
extern const struct opt_cmd *const ana_compare_docs[];
extern const struct opt_cmd *const ana_plan_docs[];
extern const struct opt_cmd *const dep_standin_docs[];
extern const struct opt_cmd *const cap_capture_docs[];

#endif
