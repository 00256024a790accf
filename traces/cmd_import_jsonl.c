/*
 * cmd_import_jsonl.c - `reprise import jsonl`: the way back from `reprise trace cat
 * --jsonl`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/cmd_import_jsonl.h"

#include <inttypes.h>
#include <stdio.h>

#include "traces/base/outfile.h"
#include "traces/import/imp_jsonl.h"

struct jsonl_config {
    struct outfile out;
};
static const struct opt jsonl_opts[] = {
    OUTFILE_OPTS(offsetof(struct jsonl_config, out),
                 "the trace or run to write; \"-\" is standard output"),
    {.name = NULL},
};
const struct opt_cmd trc_import_jsonl_page = {
    .name = "import jsonl",
    .summary = "JSON lines as 'trace cat' and 'trace export' print them, without loss",
    .synopsis = "FILE -o OUT",
    .about =
        "One operation (or, of a run, one outcome) a line, with the keys of "
        "traces/FORMAT.md, section 10, plain or compressed with zstd or gzip; - is "
        "standard input. Needed are arrival_ns, protocol and name; arrivals must "
        "ascend. An unknown key is an error, because what it says would be lost.",
    .opts = jsonl_opts,
    .examples =
        "# three operations by hand\n"
        "printf '{\"arrival_ns\":%d,\"protocol\":\"rest\",\"name\":\"iris\"}\\n' 0 "
        "1000 2000 | reprise import jsonl - -o three.trace\n"
        "# edit a trace as text\n"
        "reprise trace export day.trace | sed s/iris1/iris2/ | reprise import jsonl - "
        "-o other.trace\n",
    .min_args = 1,
    .max_args = 1,
};

int trc_import_jsonl_run(int argc, char **argv)
{
    struct jsonl_config c = {0};
    struct imp_jsonl_done done;
    struct zin *in = NULL;
    struct err e = {0};
    int operands, rc = opt_parse(&trc_import_jsonl_page, argc, argv, &c, &operands, &e);
    if (rc > 0)
        return EXIT_DONE;
    if (rc == 0)
        rc = outfile_wanted(&c.out, (const char *const *)(argv + 1), 1, &e);
    if (rc == 0)
        rc = zin_open(&in, argv[1], &e);
    if (rc == 0 && (rc = imp_jsonl_read(in, c.out.path, &done, &e)) < 0)
        err_note(&e, "'%s'", argv[1]);
    zin_close(in);
    if (rc < 0)
        return opt_fail(&trc_import_jsonl_page, &e);
    if (!c.out.quiet)
        fprintf(stderr, "%s: %" PRIu64 " %s\n", c.out.path, done.records,
                done.kind == TRC_RUN ? "outcomes" : "operations");
    return EXIT_DONE;
}
