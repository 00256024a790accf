/*
 * cmd_trace.c - `reprise trace VERB`: finds the verb.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "traces/cmd_verbs.h"

const struct opt_cmd *const trc_trace_docs[] = {
    &trc_info_page,   /* each verb here, and in the same place below */
    &trc_cat_page,    //
    &trc_export_page, //
    &trc_verify_page, //
    &trc_repair_page, //
    &trc_cut_page,    //
    &trc_merge_page,  //
    &trc_filter_page, //
    &trc_scale_page,  //
    &trc_scrub_page,  //
    &trc_scan_page,   //
    &trc_pack_page,   //
    &trc_legs_page,   //
    NULL,
};
static int (*const runs[])(int, char **) = {
    trc_run_info,   //
    trc_run_cat,    //
    trc_run_export, //
    trc_run_verify, //
    trc_run_repair, //
    trc_run_cut,    //
    trc_run_merge,  //
    trc_run_filter, //
    trc_run_scale,  //
    trc_run_scrub,  //
    trc_run_scan,   //
    trc_run_pack,   //
    trc_run_legs,   //
};
_Static_assert(sizeof trc_trace_docs / sizeof *trc_trace_docs ==
                   sizeof runs / sizeof *runs + 1,
               "a function for each verb");

static const struct opt_cmd trace_page = {.name = "trace"};

int trc_cmd_trace(int argc, char **argv)
{
    struct err e = {0};
    const char *names[sizeof runs / sizeof *runs + 1] = {NULL};
    for (size_t i = 0; trc_trace_docs[i]; i++) {
        names[i] = strchr(trc_trace_docs[i]->name, ' ') + 1;
        if (argc > 1 && strcmp(argv[1], names[i]) == 0)
            return runs[i](argc - 1, argv + 1);
    }
    const char *near = argc > 1 ? opt_nearest(argv[1], names) : NULL;
    if (argc < 2)
        err_set(&e, ERR_USAGE, "a verb is needed ('reprise trace --help' lists them)");
    else
        err_set(&e, ERR_USAGE, "unknown verb '%s'%s%s%s", argv[1],
                near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return opt_fail(&trace_page, &e);
}
