/*
 * cmd_verbs.h - the verbs of `reprise trace`: a page, and a function that takes argv
 * from the verb on and returns an exit status. For the table of cmd_trace.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CMD_VERBS_H
#define TRACES_CMD_VERBS_H

#include "traces/base/opt.h"

extern const struct opt_cmd trc_info_page;
int trc_run_info(int argc, char **argv);

extern const struct opt_cmd trc_cat_page;
int trc_run_cat(int argc, char **argv);

extern const struct opt_cmd trc_verify_page;
int trc_run_verify(int argc, char **argv);

extern const struct opt_cmd trc_export_page;
int trc_run_export(int argc, char **argv);

extern const struct opt_cmd trc_legs_page;
int trc_run_legs(int argc, char **argv);

extern const struct opt_cmd trc_repair_page;
int trc_run_repair(int argc, char **argv);

extern const struct opt_cmd trc_cut_page;
int trc_run_cut(int argc, char **argv);

extern const struct opt_cmd trc_merge_page;
int trc_run_merge(int argc, char **argv);

extern const struct opt_cmd trc_filter_page;
int trc_run_filter(int argc, char **argv);

extern const struct opt_cmd trc_scale_page;
int trc_run_scale(int argc, char **argv);

extern const struct opt_cmd trc_scrub_page;
int trc_run_scrub(int argc, char **argv);

extern const struct opt_cmd trc_scan_page;
int trc_run_scan(int argc, char **argv);

extern const struct opt_cmd trc_pack_page;
int trc_run_pack(int argc, char **argv);

#endif
