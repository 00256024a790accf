/*
 * cmd_export.c - `reprise trace export`: traces and runs for other tools.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/cmd_verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "traces/base/outfile.h"
#include "traces/tool/trc_export.h"

enum format { JSONL, PCAPNG, HAR, HLOG };
static const char *const format_names[] = {"jsonl", "pcapng", "har", "hlog", NULL};

struct export_config {
    const char *out;
    int format;
    int64_t interval_ns;
    bool force;
};
static const struct opt export_opts[] = {
    {.name = "format",
     .letter = 'F',
     .type = OPT_CHOICE,
     .at = offsetof(struct export_config, format),
     .arg = "FORMAT",
     .def = "jsonl",
     .choices = format_names,
     .help = "what to write"},
    {.name = "interval",
     .type = OPT_DURATION,
     .at = offsetof(struct export_config, interval_ns),
     .arg = "TIME",
     .def = "1s",
     .help = "hlog: a histogram of each tag for so much of the schedule; whole "
             "milliseconds"},
    {.name = "output",
     .letter = 'o',
     .type = OPT_STR,
     .at = offsetof(struct export_config, out),
     .arg = "OUT",
     .def = "-",
     .help = "where to write; \"-\" is standard output"},
    OUTFILE_FORCE_OPT(offsetof(struct export_config, force)),
    {.name = NULL},
};
const struct opt_cmd trc_export_page = {
    .name = "trace export",
    .summary = "write a trace or a run in the format of another tool",
    .synopsis = "FILE [--format FORMAT] [-o OUT]",
    .about =
        "jsonl: the lines of 'trace cat --jsonl', behind one line with what belongs to "
        "the whole file: resolution, calendar time of the beginning, notes. 'import "
        "jsonl' makes the same file of it again, without loss.\n\n"
        "pcapng: a trace's REST (HTTP/1.1) and gRPC (HTTP/2) operations and their "
        "answers as packets, from 127.1.x.y to 127.0.0.1 at the port by which 'reprise "
        "capture -r' knows the tier: 80 envoy (and any), 9001 and 9501 rproxy, 9500 "
        "server, 9010 and 9011 the gateways. Each operation has a connection of its "
        "own: which ones shared one is not kept. Messages of streams, and answers that "
        "came late, have their own times, and 'capture -r' gives back what there "
        "was.\n\n"
        "har: an HTTP Archive 1.2 of a trace's REST and gRPC operations, with recorded "
        "headers, bodies and answers. Bodies that are not text are base64 and marked "
        "so. Timings that were not recorded are -1; an operation without answer has "
        "status 0; a trace without calendar begins in 1970, and says so. Bodies of "
        "streams are all their messages; _requestMessages and _responseMessages hold "
        "the time and bytes of each.\n\n"
        "hlog: a HdrHistogram log of a run, to be read by its tools: response_ok, "
        "service and ttfb of good outcomes, lateness of all that were sent, in ns and "
        "with 3 digits, a line for each tag and interval of due times. Failures have "
        "no latency here: the last line counts them.\n\n"
        "What a format cannot hold is left out, and a warning counts it. A damaged "
        "block is an error. Memory does not grow with the file, but for answers that "
        "stand behind their operation: har and pcapng gather up to 256 MiB of them "
        "first. Of a stream, which cannot be read twice, they are left out and "
        "counted.",
    .opts = export_opts,
    .examples = "# a trace as text, compressed\n"
                "reprise trace export day.trace | zstd -19 > day.jsonl.zst\n"
                "# requests to look at in a browser's developer tools\n"
                "reprise trace export day.trace --format har -o day.har\n"
                "# latencies for HdrHistogram's plotter\n"
                "reprise trace export a.run --format hlog --interval 10s -o a.hlog\n",
    .min_args = 1,
    .max_args = 1,
};

static int export(const char *path, const struct export_config *c, FILE *to,
                  struct trc_export_done *done, struct err *e)
{
    struct trc_reader *r;
    struct exp_late late = {0};
    bool joins = c->format == PCAPNG || c->format == HAR;
    int rc = trc_reader_open(&r, path, e);
    if (rc < 0)
        return rc;
    if (joins && trc_reader_info(r)->file_bytes > 0 && strcmp(path, "-") != 0)
        rc = exp_late_read(&late, path, e);
    if (rc < 0) {
        trc_reader_close(r);
        exp_late_done(&late);
        return rc;
    }
    switch ((enum format)c->format) {
    case JSONL:
        rc = trc_export_jsonl(r, to, done, e);
        break;
    case PCAPNG:
        rc = trc_export_pcapng(r, &late, to, done, e);
        break;
    case HLOG:
        rc = trc_export_hlog(r, c->interval_ns, to, done, e);
        break;
    case HAR:
        rc = trc_export_har(r, &late, to, done, e);
        break;
    }
    trc_reader_close(r);
    exp_late_done(&late);
    return rc;
}

static void warn(uint64_t n, const char *what)
{
    if (n)
        fprintf(stderr, "reprise %s: warning: %" PRIu64 " %s\n", trc_export_page.name,
                n, what);
}

static void tell(const struct export_config *c, const struct trc_export_done *done)
{
    if (c->format == HAR)
        warn(done->records - done->written,
             "operations are neither REST nor gRPC, and are left out");
    if (c->format == PCAPNG)
        warn(done->records - done->written, "operations are no REST or gRPC call that "
                                            "HTTP can carry whole, and are left "
                                            "out");
    warn(done->answers_left_out, "answers lack their time, status or bytes, or have "
                                 "messages out of order, and are left out");
    warn(done->late_answers,
         "answers stand behind their operations, where a stream or the memory for them "
         "does not let them be joined, and are left out");
    if (done->unclosed)
        fprintf(stderr,
                "reprise %s: warning: the input was not closed; all that is whole was "
                "read\n",
                trc_export_page.name);
}

int trc_run_export(int argc, char **argv)
{
    struct export_config c = {0};
    struct trc_export_done done = {0};
    struct err e = {0};
    int operands, rc = opt_parse(&trc_export_page, argc, argv, &c, &operands, &e);
    if (rc > 0)
        return EXIT_DONE;
    if (rc == 0 && c.format != HLOG && opt_given(&trc_export_page, "interval"))
        rc = err_set(&e, ERR_USAGE, "--interval is for hlog");
    if (rc == 0)
        rc = outfile_check(c.out, c.force, (const char *const *)(argv + 1), 1, &e);
    bool standard = rc == 0 && strcmp(c.out, "-") == 0;
    FILE *to = standard ? stdout : NULL;
    if (rc == 0 && !standard && !(to = fopen(c.out, "we")))
        rc = err_sys(&e, errno, "cannot write '%s'", c.out);
    if (rc == 0)
        rc = export(argv[1], &c, to, &done, &e);
    if (to && (standard ? fflush(to) : fclose(to)) != 0 && rc == 0)
        rc = err_sys(&e, errno, "cannot write '%s'", c.out);
    if (rc < 0)
        return opt_fail(&trc_export_page, &e);
    tell(&c, &done);
    return EXIT_DONE;
}
