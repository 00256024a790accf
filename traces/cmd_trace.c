/*
 * cmd_trace.c - `reprise trace VERB`: look at traces and runs, mend them, make new
 * ones.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <sys/stat.h>

#include "commands.h"
#include "traces/base/outfile.h"
#include "traces/base/units.h"
#include "traces/cmd_scrub.h"
#include "traces/container/trc_repair.h"
#include "traces/tool/trc_copy.h"
#include "traces/tool/trc_cut.h"
#include "traces/tool/trc_export.h"
#include "traces/tool/trc_legs.h"
#include "traces/tool/trc_merge.h"
#include "traces/tool/trc_print.h"
#include "traces/tool/trc_repack.h"
#include "traces/tool/trc_scale.h"
#include "traces/tool/trc_select.h"
#include "traces/tool/trc_show.h"

static int flush_out(struct buf *out, struct err *e)
{
    return trc_export_flush(out, stdout, e);
}

static int end_out(struct err *e)
{
    return fflush(stdout) == 0 ? 0
                               : err_sys(e, errno, "cannot write to standard output");
}

static void warn(const struct opt_cmd *cmd, const struct err *e)
{
    fprintf(stderr, "reprise %s: warning: %s\n", cmd->name, e->text);
}

/* --- info ----------------------------------------------------------------- */

struct info_config {
    const char *id;
    bool json;
};
static const struct opt info_opts[] = {
    {.name = "id",
     .type = OPT_STR,
     .at = offsetof(struct info_config, id),
     .arg = "ID",
     .help = "instead, the legs of the call with this request id, tier by tier, as "
             "`trace legs` puts them together; reads the whole file"},
    {.name = "json",
     .type = OPT_FLAG,
     .at = offsetof(struct info_config, json),
     .help = "print one JSON object"},
    {.name = NULL},
};
static const struct opt_cmd info_page = {
    .name = "trace info",
    .summary = "say what a trace or a run holds",
    .synopsis = "FILE [--json | --id ID]",
    .about =
        "Reads the footer and the index, so it takes the same few milliseconds for a "
        "file of any size. A file that was not closed is gone through header by "
        "header; "
        "then counts by model, tier and protocol are not known. A stream (\"-\") is "
        "read "
        "to its end.",
    .opts = info_opts,
    .examples = "# what is in it\n"
                "reprise trace info day.trace\n"
                "# how many operations\n"
                "reprise trace info day.trace --json | jq .operations\n",
    .min_args = 1,
    .max_args = 1,
};

/* A stream, read to its end: what is damaged is counted on the way. */
static int read_through(struct trc_reader *r, struct err *e)
{
    struct trc_block *b;
    struct err why = {0};
    int rc;
    trc_reader_want(r, TRC_READ_SCHEDULE);
    while ((rc = trc_reader_next(r, &b, &why)) != 0) {
        if (rc == ERR_IO || rc == ERR_NOMEM) {
            *e = why;
            return rc;
        }
        if (rc == 1)
            trc_block_free(b);
        err_clear(&why);
    }
    return 0;
}

static int info(const char *path, bool json, struct err *e)
{
    struct trc_reader *r;
    int rc = trc_reader_open(&r, path, e);
    if (rc < 0)
        return rc;
    if (trc_reader_info(r)->file_bytes == 0)
        rc = read_through(r, e);
    else
        rc = trc_reader_survey(r, e);
    struct buf out = {0};
    if (rc == 0) {
        if (json)
            trc_show_json(r, path, &out);
        else
            trc_show_text(r, path, &out);
        rc = flush_out(&out, e);
    }
    buf_done(&out);
    trc_reader_close(r);
    return rc == 0 ? end_out(e) : rc;
}

static int run_info(int argc, char **argv)
{
    struct info_config config = {0};
    struct err e = {0};
    int operands, rc = opt_parse(&info_page, argc, argv, &config, &operands, &e);
    if (rc > 0)
        return EXIT_DONE;
    if (rc == 0 && config.id && config.json)
        rc = err_set(&e, ERR_USAGE, "--id and --json exclude each other");
    struct buf legs = {0};
    if (rc == 0 && config.id) {
        rc = trc_legs_of_file(argv[1], span_str(config.id), &legs, &e);
        if (rc == 0)
            rc = flush_out(&legs, &e);
    } else if (rc == 0) {
        rc = info(argv[1], config.json, &e);
    }
    buf_done(&legs);
    return rc < 0 ? opt_fail(&info_page, &e) : EXIT_DONE;
}

/* --- cat ------------------------------------------------------------------ */

struct cat_config {
    bool jsonl;
    const char *models, *tiers, *protocols, *statuses;
    int64_t from_ns, to_ns;
};
static const struct opt cat_opts[] = {
    {.name = "jsonl",
     .type = OPT_FLAG,
     .at = offsetof(struct cat_config, jsonl),
     .help = "print one JSON object a line, with everything that is stored"},
    {.name = "model",
     .type = OPT_STR,
     .at = offsetof(struct cat_config, models),
     .arg = "LIST",
     .help = "only these models, pipelines or experiments"},
    {.name = "tier",
     .type = OPT_STR,
     .at = offsetof(struct cat_config, tiers),
     .arg = "LIST",
     .help = "only these tiers"},
    {.name = "protocol",
     .type = OPT_STR,
     .at = offsetof(struct cat_config, protocols),
     .arg = "LIST",
     .help = "only these protocols: rest, grpc, kafka, control"},
    {.name = "status",
     .type = OPT_STR,
     .at = offsetof(struct cat_config, statuses),
     .arg = "LIST",
     .help =
         "only these answers: 503, 5xx, grpc:14, grpc:UNAVAILABLE, ok, failed, none, "
         "and causes of failure in runs (deadline, reset and so on)"},
    {.name = "from",
     .type = OPT_DURATION,
     .at = offsetof(struct cat_config, from_ns),
     .arg = "TIME",
     .help = "from this time on (arrival in a trace, due in a run)"},
    {.name = "to",
     .type = OPT_DURATION,
     .at = offsetof(struct cat_config, to_ns),
     .arg = "TIME",
     .help = "up to this time, itself excluded"},
    {.name = NULL},
};
static const struct opt_cmd cat_page = {
    .name = "trace cat",
    .summary = "print the operations of a trace or the outcomes of a run",
    .synopsis = "FILE [--jsonl] [OPTION]...",
    .about =
        "One line per record, in the order of the file. The keys of the JSON lines are "
        "those of traces/FORMAT.md, section 10.\n\n"
        "Damaged blocks are passed over with a warning, and the exit status is 65 "
        "then. "
        "A file that was not closed is printed up to its last whole block.",
    .opts = cat_opts,
    .examples = "# what failed in the second minute\n"
                "reprise trace cat a.run --status failed --from 1m --to 2m\n"
                "# bodies of one model's operations\n"
                "reprise trace cat day.trace --jsonl --model iris | jq .body\n",
    .min_args = 1,
    .max_args = 1,
};

static void cat_block(const struct trc_block *b, const struct trc_select *s, bool jsonl,
                      struct buf *out)
{
    for (uint32_t i = 0; i < b->count; i++) {
        if (b->ops && trc_select_op(s, &b->ops[i]))
            (jsonl ? trc_print_op_json : trc_print_op_text)(&b->ops[i], out);
        if (b->outcomes && trc_select_outcome(s, &b->outcomes[i]))
            (jsonl ? trc_print_outcome_json : trc_print_outcome_text)(&b->outcomes[i],
                                                                      out);
    }
    /* A late answer does not repeat what its operation was: no filter can judge it. */
    bool all = s->model_count == 0 && s->tiers == 0 && s->protocols == 0 &&
               s->status_count == 0 && s->from_ns == INT64_MIN && s->to_ns == INT64_MAX;
    for (uint32_t i = 0; all && i < b->late_count; i++)
        (jsonl ? trc_print_late_json : trc_print_late_text)(&b->late[i], out);
}

/* 0: all of it; 1: something was damaged and told. */
static int cat(const char *path, const struct trc_select *s, bool jsonl, struct err *e)
{
    struct trc_reader *r;
    int rc = trc_reader_open(&r, path, e), damaged = 0;
    if (rc < 0)
        return rc;
    if (s->from_ns > INT64_MIN && trc_reader_info(r)->complete &&
        trc_reader_info(r)->file_bytes)
        rc = trc_reader_seek(r, s->from_ns, e);
    struct buf out = {0};
    while (rc == 0) {
        struct trc_block *b;
        struct err why = {0};
        int got = trc_reader_next(r, &b, &why);
        if (got == 0)
            break;
        if (got == ERR_IO || got == ERR_NOMEM) {
            *e = why;
            rc = got;
        } else if (got < 0) {
            warn(&cat_page, &why);
            damaged |= trc_reader_lost_blocks(r) > 0 || got != ERR_TRUNCATED;
        } else {
            cat_block(b, s, jsonl, &out);
            bool over = b->ops && b->count && b->ops[0].arrival_ns >= s->to_ns;
            trc_block_free(b);
            if (out.n >= TRC_EXPORT_CHUNK || out.failed)
                rc = flush_out(&out, e);
            if (over)
                break;
        }
    }
    if (rc == 0)
        rc = flush_out(&out, e);
    buf_done(&out);
    trc_reader_close(r);
    if (rc == 0)
        rc = end_out(e);
    return rc < 0 ? rc : damaged;
}

static int run_cat(int argc, char **argv)
{
    struct cat_config c = {0};
    struct trc_select s = {0};
    struct err e = {0};
    int operands, rc = opt_parse(&cat_page, argc, argv, &c, &operands, &e);
    if (rc > 0)
        return EXIT_DONE;
    if (rc == 0)
        rc = trc_select_init(&s, c.models, c.tiers, c.protocols, c.statuses,
                             opt_given(&cat_page, "from") ? c.from_ns : INT64_MIN,
                             opt_given(&cat_page, "to") ? c.to_ns : INT64_MAX, &e);
    if (rc == 0)
        rc = cat(argv[1], &s, c.jsonl, &e);
    trc_select_done(&s);
    return rc < 0 ? opt_fail(&cat_page, &e) : rc == 1 ? EXIT_DATA : EXIT_DONE;
}

/* --- verify --------------------------------------------------------------- */

struct verify_config {
    bool quiet;
};
static const struct opt verify_opts[] = {
    {.name = "quiet",
     .type = OPT_FLAG,
     .at = offsetof(struct verify_config, quiet),
     .help = "say nothing when all is well"},
    {.name = NULL},
};
static const struct opt_cmd verify_page = {
    .name = "trace verify",
    .summary = "read everything once and hold it against its checksums and totals",
    .synopsis = "FILE...",
    .about =
        "Checks every checksum, the form of every block, the order of arrivals, and "
        "that "
        "index, totals and content hash are those of the blocks. The first fault is "
        "named with file, offset and reason; exit status 65 then.",
    .opts = verify_opts,
    .examples = "# before a file is archived\n"
                "reprise trace verify day.trace a.run\n",
    .min_args = 1,
    .max_args = -1,
};

static int verify(const char *path, bool quiet, struct err *e)
{
    struct trc_reader *r;
    char hash[TRC_HASH_TEXT];
    int rc = trc_reader_open(&r, path, e);
    if (rc < 0)
        return rc;
    rc = trc_reader_verify(r, e);
    const struct trc_info *info = trc_reader_info(r);
    if (rc == 0 && !quiet)
        printf("%s: sound, %" PRIu64 " operations in %" PRIu64 " blocks, hash %s\n",
               path, info->records, info->blocks,
               trc_hash_text(info->content_hash, hash));
    trc_reader_close(r);
    return rc;
}

static int run_verify(int argc, char **argv)
{
    struct verify_config c = {0};
    struct err e = {0};
    int status = EXIT_DONE;
    int operands, rc = opt_parse(&verify_page, argc, argv, &c, &operands, &e);
    if (rc > 0)
        return EXIT_DONE;
    if (rc < 0)
        return opt_fail(&verify_page, &e);
    for (int i = 1; i <= operands; i++) {
        err_clear(&e);
        if (verify(argv[i], c.quiet, &e) < 0) {
            int failed = opt_fail(&verify_page, &e);
            status = status == EXIT_DONE ? failed : status;
        }
    }
    if (end_out(&e) < 0 && status == EXIT_DONE)
        status = opt_fail(&verify_page, &e);
    return status;
}

/* --- repair --------------------------------------------------------------- */

struct repair_config {
    const char *out;
    bool force;
};
static const struct opt repair_opts[] = {
    {.name = "output",
     .letter = 'o',
     .type = OPT_STR,
     .at = offsetof(struct repair_config, out),
     .arg = "OUT",
     .help =
         "the whole file; may be FILE itself, which is replaced once OUT is complete"},
    OUTFILE_FORCE_OPT(offsetof(struct repair_config, force)),
    {.name = NULL},
};
static const struct opt_cmd repair_page = {
    .name = "trace repair",
    .summary = "make a whole file from a damaged or unfinished one",
    .synopsis = "FILE -o OUT",
    .about =
        "Index and footer are made anew behind the last whole block. Where blocks "
        "inside "
        "are lost, the rest is written anew and the notes repair.* say what is "
        "missing.\n\n"
        "Exit status 0: nothing was lost. 3: blocks were lost, and how many operations "
        "at least, and around when, is printed. 65: nothing in the file can be used.",
    .opts = repair_opts,
    .examples = "# after a crash or a full disk\n"
                "reprise trace repair broken.run -o whole.run\n",
    .min_args = 1,
    .max_args = 1,
};

static void print_loss(const struct trc_repaired *done)
{
    char from[UNITS_TEXT_MAX], to[UNITS_TEXT_MAX];
    const struct trc_loss *l = &done->loss;
    printf("lost: %" PRIu64 " blocks with at least %" PRIu64
           " operations, from %s to %s\n",
           l->blocks, l->records, units_duration_text(l->from_ns, from),
           l->to_ns == INT64_MAX ? "the end" : units_duration_text(l->to_ns, to));
    if (done->lost_answers)
        printf("lost: %" PRIu64 " late answers to lost operations\n",
               done->lost_answers);
}

/* Then what is there is replaced, as the option says, once the new file is complete. */
static bool same_file(const char *a, const char *b)
{
    struct stat one, two;
    return stat(a, &one) == 0 && stat(b, &two) == 0 && one.st_dev == two.st_dev &&
           one.st_ino == two.st_ino;
}

static int run_repair(int argc, char **argv)
{
    struct repair_config c = {0};
    struct err e = {0};
    struct trc_repaired done;
    int operands, rc = opt_parse(&repair_page, argc, argv, &c, &operands, &e);
    if (rc > 0)
        return EXIT_DONE;
    if (rc == 0 && !c.out)
        rc = err_set(&e, ERR_USAGE, "-o OUT is needed");
    if (rc == 0 && !same_file(argv[1], c.out))
        rc = outfile_check(c.out, c.force, NULL, 0, &e);
    if (rc == 0)
        rc = trc_repair(argv[1], c.out, &done, &e);
    if (rc == 0) {
        printf("%s: %" PRIu64 " operations, %s\n", c.out, done.records,
               done.copied ? "blocks as they were" : "blocks written anew");
        if (done.loss.blocks)
            print_loss(&done);
        rc = end_out(&e);
    }
    if (rc < 0)
        return opt_fail(&repair_page, &e);
    return done.loss.blocks ? EXIT_INVALID : EXIT_DONE;
}

/* --- cut ------------------------------------------------------------------ */

struct cut_config {
    const char *out;
    int64_t from_ns, to_ns;
    uint64_t count;
    bool keep_times, force, quiet;
};
static const struct opt cut_opts[] = {
    {.name = "output",
     .letter = 'o',
     .type = OPT_STR,
     .at = offsetof(struct cut_config, out),
     .arg = "OUT",
     .help = "the new trace; \"-\" is standard output"},
    OUTFILE_FORCE_OPT(offsetof(struct cut_config, force)),
    {.name = "from",
     .type = OPT_DURATION,
     .at = offsetof(struct cut_config, from_ns),
     .arg = "TIME",
     .help = "operations that arrive at this time or later"},
    {.name = "to",
     .type = OPT_DURATION,
     .at = offsetof(struct cut_config, to_ns),
     .arg = "TIME",
     .help = "operations that arrive before this time"},
    {.name = "count",
     .letter = 'n',
     .type = OPT_U64,
     .at = offsetof(struct cut_config, count),
     .arg = "N",
     .help = "at most N operations"},
    {.name = "keep-times",
     .type = OPT_FLAG,
     .at = offsetof(struct cut_config, keep_times),
     .help = "leave arrivals as they are, instead of counting from --from"},
    {.name = "quiet",
     .type = OPT_FLAG,
     .at = offsetof(struct cut_config, quiet),
     .help = "no summary"},
    {.name = NULL},
};
static const struct opt_cmd cut_page = {
    .name = "trace cut",
    .summary = "copy a part of a trace, by time or count",
    .synopsis = "FILE [--from TIME] [--to TIME] [--count N] -o OUT",
    .about = "The time --from becomes the beginning of the new trace, and the calendar "
             "time of "
             "that beginning moves along; --keep-times leaves both as they are.",
    .opts = cut_opts,
    .examples =
        "# the second quarter of an hour\n"
        "reprise trace cut day.trace --from 15m --to 30m -o part.trace\n"
        "# the first thousand operations, as JSON\n"
        "reprise trace cut day.trace --count 1000 -o - | reprise trace cat --jsonl -\n",
    .min_args = 1,
    .max_args = 1,
};

static int run_cut(int argc, char **argv)
{
    struct cut_config c = {0};
    struct err e = {0};
    struct trc_cut_done done;
    int operands, rc = opt_parse(&cut_page, argc, argv, &c, &operands, &e);
    if (rc > 0)
        return EXIT_DONE;
    struct trc_cut how = {.from_ns = c.from_ns,
                          .to_ns = rc == 0 && opt_given(&cut_page, "to") ? c.to_ns
                                                                         : INT64_MAX,
                          .count = c.count,
                          .keep_times = c.keep_times};
    if (rc == 0 && !c.out)
        rc = err_set(&e, ERR_USAGE, "-o OUT is needed");
    if (rc == 0)
        rc = outfile_check(c.out, c.force, (const char *const *)(argv + 1), 1, &e);
    if (rc == 0 && how.from_ns >= how.to_ns)
        rc = err_set(&e, ERR_USAGE, "--from must be before --to");
    if (rc == 0 && how.from_ns < 0)
        rc = err_set(&e, ERR_USAGE, "--from must not be negative");
    if (rc == 0)
        rc = trc_cut(argv[1], c.out, &how, &done, &e);
    if (rc < 0)
        return opt_fail(&cut_page, &e);
    if (done.unclosed)
        fprintf(stderr,
                "reprise %s: warning: '%s' was not closed; all that is whole was "
                "read\n",
                cut_page.name, argv[1]);
    if (!c.quiet)
        fprintf(stderr, "%s: %" PRIu64 " operations\n", c.out, done.written);
    return EXIT_DONE;
}

/* --- merge ---------------------------------------------------------------- */

struct merge_config {
    const char *out;
    bool by_calendar, force, quiet;
};
static const struct opt merge_opts[] = {
    {.name = "output",
     .letter = 'o',
     .type = OPT_STR,
     .at = offsetof(struct merge_config, out),
     .arg = "OUT",
     .help = "the new trace; \"-\" is standard output"},
    OUTFILE_FORCE_OPT(offsetof(struct merge_config, force)),
    {.name = "by-calendar",
     .type = OPT_FLAG,
     .at = offsetof(struct merge_config, by_calendar),
     .help =
         "put the traces where their calendar times say, instead of letting all begin "
         "together"},
    {.name = "quiet",
     .letter = 'q',
     .type = OPT_FLAG,
     .at = offsetof(struct merge_config, quiet),
     .help = "no summary"},
    {.name = NULL},
};
static const struct opt_cmd merge_page = {
    .name = "trace merge",
    .summary = "make one trace of several, in order of time",
    .synopsis = "FILE... -o OUT [--by-calendar]",
    .about = "At equal times the file that is named first goes first. Connections and "
             "clients "
             "of different files stay apart; the notes of file N become merge.N.KEY. "
             "One file "
             "may be a stream.",
    .opts = merge_opts,
    .examples = "# two tenants at once\n"
                "reprise trace merge a.trace b.trace -o both.trace\n",
    .min_args = 1,
    .max_args = TRC_MERGE_MAX,
};

static void tell_copy(const struct opt_cmd *cmd, const char *out,
                      const struct trc_merge_done *done, bool quiet)
{
    if (done->unclosed)
        fprintf(stderr,
                "reprise %s: warning: an input was not closed; all that is whole was "
                "read\n",
                cmd->name);
    if (done->lost_answers)
        fprintf(stderr,
                "reprise %s: warning: %" PRIu64 " answers came too long after their "
                "operations and are lost\n",
                cmd->name, done->lost_answers);
    if (!quiet)
        fprintf(stderr, "%s: %" PRIu64 " of %" PRIu64 " operations\n", out,
                done->written, done->read);
}

static int run_merge(int argc, char **argv)
{
    struct merge_config c = {0};
    struct err e = {0};
    struct trc_merge_done done;
    int operands, rc = opt_parse(&merge_page, argc, argv, &c, &operands, &e);
    if (rc > 0)
        return EXIT_DONE;
    if (rc == 0 && !c.out)
        rc = err_set(&e, ERR_USAGE, "-o OUT is needed");
    if (rc == 0)
        rc = outfile_check(c.out, c.force, (const char *const *)(argv + 1),
                           (size_t)operands, &e);
    if (rc == 0)
        rc = trc_merge((const char *const *)(argv + 1), (size_t)operands, c.out,
                       c.by_calendar, &done, &e);
    if (rc < 0)
        return opt_fail(&merge_page, &e);
    tell_copy(&merge_page, c.out, &done, c.quiet);
    return EXIT_DONE;
}

/* --- filter --------------------------------------------------------------- */

struct filter_config {
    const char *out;
    struct cat_config which;
    bool invert, force, quiet;
};
#define WHICH(field)                                                                   \
    (offsetof(struct filter_config, which) + offsetof(struct cat_config, field))
static const struct opt filter_opts[] = {
    {.name = "output",
     .letter = 'o',
     .type = OPT_STR,
     .at = offsetof(struct filter_config, out),
     .arg = "OUT",
     .help = "the new trace; \"-\" is standard output"},
    OUTFILE_FORCE_OPT(offsetof(struct filter_config, force)),
    {.name = "model",
     .type = OPT_STR,
     .at = WHICH(models),
     .arg = "LIST",
     .help = "only these models, pipelines or experiments"},
    {.name = "tier",
     .type = OPT_STR,
     .at = WHICH(tiers),
     .arg = "LIST",
     .help = "only these tiers"},
    {.name = "protocol",
     .type = OPT_STR,
     .at = WHICH(protocols),
     .arg = "LIST",
     .help = "only these protocols: rest, grpc, kafka, control"},
    {.name = "status",
     .type = OPT_STR,
     .at = WHICH(statuses),
     .arg = "LIST",
     .help = "only operations with these recorded answers, as 'trace cat' takes them"},
    {.name = "from",
     .type = OPT_DURATION,
     .at = WHICH(from_ns),
     .arg = "TIME",
     .help = "only what arrives at this time or later"},
    {.name = "to",
     .type = OPT_DURATION,
     .at = WHICH(to_ns),
     .arg = "TIME",
     .help = "only what arrives before this time"},
    {.name = "invert",
     .type = OPT_FLAG,
     .at = offsetof(struct filter_config, invert),
     .help = "everything else instead"},
    {.name = "quiet",
     .letter = 'q',
     .type = OPT_FLAG,
     .at = offsetof(struct filter_config, quiet),
     .help = "no summary"},
    {.name = NULL},
};
static const struct opt_cmd filter_page = {
    .name = "trace filter",
    .summary = "copy the operations of some models, tiers, protocols or answers",
    .synopsis = "FILE -o OUT [OPTION]...",
    .about =
        "An operation must pass every option that is given. Times stay as they are. An "
        "answer that was recorded late is judged as not there.",
    .opts = filter_opts,
    .examples =
        "# what one model was asked over gRPC\n"
        "reprise trace filter day.trace --model iris --protocol grpc -o iris.trace\n"
        "# all but what failed\n"
        "reprise trace filter day.trace --status failed --invert -o good.trace\n",
    .min_args = 1,
    .max_args = 1,
};

/* What was asked for, as the note of the new trace says it. */
static void describe_filter(const struct filter_config *c, struct buf *out)
{
    const struct {
        const char *name, *value;
    } lists[] = {{"model", c->which.models},
                 {"tier", c->which.tiers},
                 {"protocol", c->which.protocols},
                 {"status", c->which.statuses}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (lists[i].value)
            buf_fmt(out, "%s%s=%s", out->n ? " " : "", lists[i].name, lists[i].value);
    if (opt_given(&filter_page, "from"))
        buf_fmt(out, "%sfrom_ns=%" PRId64, out->n ? " " : "", c->which.from_ns);
    if (opt_given(&filter_page, "to"))
        buf_fmt(out, "%sto_ns=%" PRId64, out->n ? " " : "", c->which.to_ns);
    if (c->invert)
        buf_fmt(out, "%sinvert", out->n ? " " : "");
}

static int run_filter(int argc, char **argv)
{
    struct filter_config c = {0};
    struct trc_select s = {0};
    struct trc_merge_done done;
    struct buf note = {0};
    struct err e = {0};
    int operands, rc = opt_parse(&filter_page, argc, argv, &c, &operands, &e);
    if (rc > 0)
        return EXIT_DONE;
    if (rc == 0 && !c.out)
        rc = err_set(&e, ERR_USAGE, "-o OUT is needed");
    if (rc == 0)
        rc = outfile_check(c.out, c.force, (const char *const *)(argv + 1), 1, &e);
    if (rc == 0) {
        const struct cat_config *w = &c.which;
        rc = trc_select_init(&s, w->models, w->tiers, w->protocols, w->statuses,
                             opt_given(&filter_page, "from") ? w->from_ns : INT64_MIN,
                             opt_given(&filter_page, "to") ? w->to_ns : INT64_MAX, &e);
        describe_filter(&c, &note);
    }
    if (rc == 0 && note.n == 0)
        rc = err_set(&e, ERR_USAGE, "nothing to filter by");
    if (rc == 0)
        rc = trc_filter(argv[1], c.out, &s, c.invert, buf_text(&note), &done, &e);
    trc_select_done(&s);
    buf_done(&note);
    if (rc < 0)
        return opt_fail(&filter_page, &e);
    tell_copy(&filter_page, c.out, &done, c.quiet);
    return EXIT_DONE;
}

/* --- scale ---------------------------------------------------------------- */

struct scale_config {
    const char *out;
    struct trc_scale how;
    bool force, quiet;
};
#define HOW(field)                                                                     \
    (offsetof(struct scale_config, how) + offsetof(struct trc_scale, field))
static const struct opt scale_opts[] = {
    {.name = "output",
     .letter = 'o',
     .type = OPT_STR,
     .at = offsetof(struct scale_config, out),
     .arg = "OUT",
     .help = "the new trace; \"-\" is standard output"},
    OUTFILE_FORCE_OPT(offsetof(struct scale_config, force)),
    {.name = "speed",
     .type = OPT_F64,
     .at = HOW(speed),
     .arg = "X",
     .help = "divide all arrival times by X"},
    {.name = "rate",
     .type = OPT_F64,
     .at = HOW(rate),
     .arg = "X",
     .help = "X times as many operations in the same time: below 1 by leaving some "
             "out, above "
             "1 by copies that are shifted in time"},
    {.name = "seed",
     .type = OPT_U64,
     .at = HOW(seed),
     .arg = "N",
     .def = "1",
     .help = "seed of what is random"},
    {.name = "quiet",
     .letter = 'q',
     .type = OPT_FLAG,
     .at = offsetof(struct scale_config, quiet),
     .help = "no summary"},
    {.name = NULL},
};
static const struct opt_cmd scale_page = {
    .name = "trace scale",
    .summary = "change the pace of a trace, and say what that does to its bursts",
    .synopsis = "FILE (--speed X | --rate X) -o OUT",
    .about =
        "--speed keeps the shape of the arrivals: gaps and bursts shrink alike. --rate "
        "below 1 keeps each operation with that probability, which makes what is left "
        "more "
        "like a Poisson process. --rate above 1 lays copies over each other, each "
        "turned in "
        "a circle by a random part of the trace, which is smoother than the same rate "
        "by "
        "--speed.\n\n"
        "The summary and the notes scale.* state the coefficient of variation of the "
        "gaps "
        "and the index of dispersion of the counts per second, before and after; both "
        "are about 1 for a Poisson process. Traces of fewer than 20 whole seconds have "
        "too few counts for the second.",
    .opts = scale_opts,
    .examples = "# half of the operations, at the times that they had\n"
                "reprise trace scale day.trace --rate 0.5 -o half.trace\n"
                "# twice the load\n"
                "reprise trace scale day.trace --rate 2 -o double.trace\n",
    .min_args = 1,
    .max_args = 1,
};

static void print_burst(const char *when, const struct trc_burst *b)
{
    fprintf(stderr, "%s: %" PRIu64 " operations", when, b->n);
    if (!isnan(b->gap_cv))
        fprintf(stderr, ", gap CV %.3f", b->gap_cv);
    if (!isnan(b->dispersion))
        fprintf(stderr, ", dispersion per second %.3f", b->dispersion);
    fputc('\n', stderr);
}

static int run_scale(int argc, char **argv)
{
    struct scale_config c = {0};
    struct err e = {0};
    struct trc_scale_done done;
    int operands, rc = opt_parse(&scale_page, argc, argv, &c, &operands, &e);
    if (rc > 0)
        return EXIT_DONE;
    if (rc == 0 && !c.out)
        rc = err_set(&e, ERR_USAGE, "-o OUT is needed");
    if (rc == 0)
        rc = outfile_check(c.out, c.force, (const char *const *)(argv + 1), 1, &e);
    if (rc == 0)
        rc = trc_scale(argv[1], c.out, &c.how, &done, &e);
    if (rc < 0)
        return opt_fail(&scale_page, &e);
    struct trc_merge_done counts = {done.before.n, done.after.n, done.lost_answers,
                                    done.unclosed};
    tell_copy(&scale_page, c.out, &counts, true);
    if (!c.quiet) {
        print_burst("before", &done.before);
        print_burst("after", &done.after);
    }
    return EXIT_DONE;
}

/* --- pack ----------------------------------------------------------------- */

struct pack_config {
    const char *out;
    uint64_t level;
    bool force, quiet;
};
static const struct opt pack_opts[] = {
    {.name = "output",
     .letter = 'o',
     .type = OPT_STR,
     .at = offsetof(struct pack_config, out),
     .arg = "OUT",
     .help = "the new file; \"-\" is standard output"},
    OUTFILE_FORCE_OPT(offsetof(struct pack_config, force)),
    {.name = "level",
     .type = OPT_U64,
     .at = offsetof(struct pack_config, level),
     .arg = "N",
     .def = "7",
     .help = "zstd level, 1 to 19; above 7 it takes long and gains little"},
    {.name = "quiet",
     .letter = 'q',
     .type = OPT_FLAG,
     .at = offsetof(struct pack_config, quiet),
     .help = "no summary"},
    {.name = NULL},
};
static const struct opt_cmd pack_page = {
    .name = "trace pack",
    .summary = "store a trace or a run in fewer bytes, with every record as it was",
    .synopsis = "FILE -o OUT [--level N]",
    .about = "Small blocks, as live recording writes them, are joined and compressed "
             "harder. "
             "The content hash stays the same and is checked. Packing a packed file at "
             "the same "
             "level changes no byte.",
    .opts = pack_opts,
    .examples = "# before a capture is archived\n"
                "reprise trace pack day.trace -o day.packed.trace --level 19\n",
    .min_args = 1,
    .max_args = 1,
};

static int run_pack(int argc, char **argv)
{
    struct pack_config c = {0};
    struct err e = {0};
    struct trc_repack_done done;
    int operands, rc = opt_parse(&pack_page, argc, argv, &c, &operands, &e);
    if (rc > 0)
        return EXIT_DONE;
    if (rc == 0 && !c.out)
        rc = err_set(&e, ERR_USAGE, "-o OUT is needed");
    if (rc == 0)
        rc = outfile_check(c.out, c.force, (const char *const *)(argv + 1), 1, &e);
    if (rc == 0 && (c.level < 1 || c.level > 19))
        rc = err_set(&e, ERR_USAGE, "--level is 1 to 19");
    if (rc == 0)
        rc = trc_repack(argv[1], c.out, (int)c.level, &done, &e);
    if (rc < 0)
        return opt_fail(&pack_page, &e);
    if (!c.quiet && done.bytes_before && done.bytes_after) {
        char before[UNITS_TEXT_MAX], after[UNITS_TEXT_MAX];
        fprintf(stderr,
                "%s: %" PRIu64 " records, %s in %" PRIu64 " blocks, was %s in %" PRIu64
                "\n",
                c.out, done.records, units_size_text(done.bytes_after, after),
                done.blocks_after, units_size_text(done.bytes_before, before),
                done.blocks_before);
    }
    return EXIT_DONE;
}

/* --- verbs ---------------------------------------------------------------- */

const struct opt_cmd *const trc_trace_docs[] = {
    &info_page,       /* each verb here, and in the same place below */
    &cat_page,        //
    &trc_export_page, //
    &verify_page,     //
    &repair_page,     //
    &cut_page,        //
    &merge_page,      //
    &filter_page,     //
    &scale_page,      //
    &trc_scrub_page,  //
    &trc_scan_page,   //
    &pack_page,       //
    &trc_legs_page,   //
    NULL,
};
static int (*const runs[])(int, char **) = {
    run_info,       //
    run_cat,        //
    trc_run_export, //
    run_verify,     //
    run_repair,     //
    run_cut,        //
    run_merge,      //
    run_filter,     //
    run_scale,      //
    trc_run_scrub,  //
    trc_run_scan,   //
    run_pack,       //
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
