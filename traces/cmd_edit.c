/*
 * cmd_edit.c - the verbs of `reprise trace` that make a file of others: repair, cut,
 * merge, filter, scale, pack.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/cmd_verbs.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include <sys/stat.h>

#include "traces/base/outfile.h"
#include "traces/base/units.h"
#include "traces/cmd_which.h"
#include "traces/container/trc_repair.h"
#include "traces/tool/trc_copy.h"
#include "traces/tool/trc_cut.h"
#include "traces/tool/trc_merge.h"
#include "traces/tool/trc_repack.h"
#include "traces/tool/trc_scale.h"

/* --- repair --------------------------------------------------------------- */

struct repair_config {
    struct outfile out;
};
static const struct opt repair_opts[] = {
    OUTFILE_OPTS(
        offsetof(struct repair_config, out),
        "the whole file; may be FILE itself, which is replaced once OUT is complete"),
    {.name = NULL},
};
const struct opt_cmd trc_repair_page = {
    .name = "trace repair",
    .summary = "make a whole file from a damaged or unfinished one",
    .synopsis = "FILE -o OUT",
    .about =
        "Index and footer are made anew behind the last whole block. Where blocks "
        "inside are lost, the rest is written anew and the notes repair.* say what is "
        "missing.\n\n"
        "Where only a part of a block is damaged, the rest of it is kept: operations "
        "without answers, without ids, or with bodies that are known to have been "
        "there "
        "(elided, truncated); outcomes without the hashes of answers.\n\n"
        "Exit status 0: nothing was lost. 3: blocks or parts of blocks were lost, and "
        "how many operations at least, and around when, is printed. 65: nothing in the "
        "file can be used.",
    .opts = repair_opts,
    .examples = "# after a crash or a full disk\n"
                "reprise trace repair broken.run -o whole.run\n",
    .min_args = 1,
    .max_args = 1,
};

static void print_partly(const struct trc_partly *p)
{
    printf("kept in part: %" PRIu64 " blocks with %" PRIu64
           " operations; without bodies or hashes: %" PRIu64
           ", without answers: %" PRIu64
           ", without ids, connections and tokens: %" PRIu64 "\n",
           p->blocks, p->records, p->lack_payload, p->lack_answers, p->lack_ids);
}

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

int trc_run_repair(int argc, char **argv)
{
    struct repair_config c = {0};
    struct err e = {0};
    struct trc_repaired done;
    int operands, rc = opt_parse(&trc_repair_page, argc, argv, &c, &operands, &e);
    if (rc > 0)
        return EXIT_DONE;
    if (rc == 0 && c.out.path && same_file(argv[1], c.out.path))
        c.out.force = true;
    if (rc == 0)
        rc = outfile_wanted(&c.out, NULL, 0, &e);
    if (rc == 0)
        rc = trc_repair(argv[1], c.out.path, &done, &e);
    if (rc == 0) {
        if (!c.out.quiet)
            printf("%s: %" PRIu64 " operations, %s\n", c.out.path, done.records,
                   done.copied ? "blocks as they were" : "blocks written anew");
        if (done.partly.blocks)
            print_partly(&done.partly);
        if (done.loss.blocks)
            print_loss(&done);
    }
    if (rc < 0)
        return opt_fail(&trc_repair_page, &e);
    return done.loss.blocks || done.partly.blocks ? EXIT_INVALID : EXIT_DONE;
}

/* --- cut ------------------------------------------------------------------ */

struct cut_config {
    struct outfile out;
    int64_t from_ns, to_ns;
    uint64_t count;
    bool keep_times;
};
static const struct opt cut_opts[] = {
    OUTFILE_OPTS(offsetof(struct cut_config, out),
                 "the new trace; \"-\" is standard output"),
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
    {.name = NULL},
};
const struct opt_cmd trc_cut_page = {
    .name = "trace cut",
    .summary = "copy a part of a trace, by time or count",
    .synopsis = "FILE [--from TIME] [--to TIME] [--count N] -o OUT",
    .about =
        "The time --from becomes the beginning of the new trace, and the calendar time "
        "of that beginning moves along; --keep-times leaves both as they are.",
    .opts = cut_opts,
    .examples =
        "# the second quarter of an hour\n"
        "reprise trace cut day.trace --from 15m --to 30m -o part.trace\n"
        "# the first thousand operations, as JSON\n"
        "reprise trace cut day.trace --count 1000 -o - | reprise trace cat --jsonl -\n",
    .min_args = 1,
    .max_args = 1,
};

int trc_run_cut(int argc, char **argv)
{
    struct cut_config c = {0};
    struct err e = {0};
    struct trc_cut_done done;
    int operands, rc = opt_parse(&trc_cut_page, argc, argv, &c, &operands, &e);
    if (rc > 0)
        return EXIT_DONE;
    struct trc_cut how = {
        .from_ns = c.from_ns,
        .to_ns = rc == 0 && opt_given(&trc_cut_page, "to") ? c.to_ns : INT64_MAX,
        .count = c.count,
        .keep_times = c.keep_times};
    if (rc == 0)
        rc = outfile_wanted(&c.out, (const char *const *)(argv + 1), 1, &e);
    if (rc == 0 && how.from_ns >= how.to_ns)
        rc = err_set(&e, ERR_USAGE, "--from must be before --to");
    if (rc == 0 && how.from_ns < 0)
        rc = err_set(&e, ERR_USAGE, "--from must not be negative");
    if (rc == 0)
        rc = trc_cut(argv[1], c.out.path, &how, &done, &e);
    if (rc < 0)
        return opt_fail(&trc_cut_page, &e);
    if (done.unclosed)
        fprintf(
            stderr,
            "reprise %s: warning: '%s' was not closed; all that is whole was read\n",
            trc_cut_page.name, argv[1]);
    if (!c.out.quiet)
        fprintf(stderr, "%s: %" PRIu64 " operations\n", c.out.path, done.written);
    return EXIT_DONE;
}

/* --- merge ---------------------------------------------------------------- */

struct merge_config {
    struct outfile out;
    bool by_calendar;
};
static const struct opt merge_opts[] = {
    OUTFILE_OPTS(offsetof(struct merge_config, out),
                 "the new trace; \"-\" is standard output"),
    {.name = "by-calendar",
     .type = OPT_FLAG,
     .at = offsetof(struct merge_config, by_calendar),
     .help = "put the traces where their calendar times say, instead of letting all "
             "begin together"},
    {.name = NULL},
};
const struct opt_cmd trc_merge_page = {
    .name = "trace merge",
    .summary = "make one trace of several, in order of time",
    .synopsis = "FILE... -o OUT [--by-calendar]",
    .about = "At equal times the file that is named first goes first. Connections and "
             "clients of different files stay apart; the notes of file N become "
             "merge.N.KEY. One file may be a stream.",
    .opts = merge_opts,
    .examples = "# two tenants at once\n"
                "reprise trace merge a.trace b.trace -o both.trace\n",
    .min_args = 1,
    .max_args = TRC_MERGE_MAX,
};

/* What the user must know of inputs that were read. */
static void warn_copy(const struct opt_cmd *cmd, const struct trc_merge_done *done)
{
    if (done->unclosed)
        fprintf(stderr,
                "reprise %s: warning: an input was not closed; all that is whole was "
                "read\n",
                cmd->name);
    if (done->lost_answers)
        fprintf(stderr,
                "reprise %s: warning: %" PRIu64
                " answers came too long after their operations and are lost\n",
                cmd->name, done->lost_answers);
}

static void tell_copy(const struct opt_cmd *cmd, const struct outfile *out,
                      const struct trc_merge_done *done)
{
    warn_copy(cmd, done);
    if (!out->quiet)
        fprintf(stderr, "%s: %" PRIu64 " of %" PRIu64 " operations\n", out->path,
                done->written, done->read);
}

int trc_run_merge(int argc, char **argv)
{
    struct merge_config c = {0};
    struct err e = {0};
    struct trc_merge_done done;
    int operands, rc = opt_parse(&trc_merge_page, argc, argv, &c, &operands, &e);
    if (rc > 0)
        return EXIT_DONE;
    if (rc == 0)
        rc = outfile_wanted(&c.out, (const char *const *)(argv + 1), (size_t)operands,
                            &e);
    if (rc == 0)
        rc = trc_merge((const char *const *)(argv + 1), (size_t)operands, c.out.path,
                       c.by_calendar, &done, &e);
    if (rc < 0)
        return opt_fail(&trc_merge_page, &e);
    tell_copy(&trc_merge_page, &c.out, &done);
    return EXIT_DONE;
}

/* --- filter --------------------------------------------------------------- */

struct filter_config {
    struct outfile out;
    struct trc_which which;
    bool invert;
};
static const struct opt filter_opts[] = {
    OUTFILE_OPTS(offsetof(struct filter_config, out),
                 "the new trace; \"-\" is standard output"),
    TRC_WHICH_OPTS(offsetof(struct filter_config, which)),
    {.name = "invert",
     .type = OPT_FLAG,
     .at = offsetof(struct filter_config, invert),
     .help = "everything else instead"},
    {.name = NULL},
};
const struct opt_cmd trc_filter_page = {
    .name = "trace filter",
    .summary = "copy the operations of some models, tiers, protocols or answers",
    .synopsis = "FILE -o OUT [OPTION]...",
    .about = "An operation must pass every option that is given. Times stay as they "
             "are. An answer that was recorded late is judged as not there.",
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
    if (opt_given(&trc_filter_page, "from"))
        buf_fmt(out, "%sfrom_ns=%" PRId64, out->n ? " " : "", c->which.from_ns);
    if (opt_given(&trc_filter_page, "to"))
        buf_fmt(out, "%sto_ns=%" PRId64, out->n ? " " : "", c->which.to_ns);
    if (c->invert)
        buf_fmt(out, "%sinvert", out->n ? " " : "");
}

int trc_run_filter(int argc, char **argv)
{
    struct filter_config c = {0};
    struct trc_select s = {0};
    struct trc_merge_done done;
    struct buf note = {0};
    struct err e = {0};
    int operands, rc = opt_parse(&trc_filter_page, argc, argv, &c, &operands, &e);
    if (rc > 0)
        return EXIT_DONE;
    if (rc == 0)
        rc = outfile_wanted(&c.out, (const char *const *)(argv + 1), 1, &e);
    if (rc == 0) {
        rc = trc_which_select(&trc_filter_page, &c.which, &s, &e);
        describe_filter(&c, &note);
    }
    if (rc == 0 && note.n == 0)
        rc = err_set(&e, ERR_USAGE, "nothing to filter by");
    if (rc == 0)
        rc = trc_filter(argv[1], c.out.path, &s, c.invert, buf_text(&note), &done, &e);
    trc_select_done(&s);
    buf_done(&note);
    if (rc < 0)
        return opt_fail(&trc_filter_page, &e);
    tell_copy(&trc_filter_page, &c.out, &done);
    return EXIT_DONE;
}

/* --- scale ---------------------------------------------------------------- */

struct scale_config {
    struct outfile out;
    struct trc_scale how;
};
#define HOW(field)                                                                     \
    (offsetof(struct scale_config, how) + offsetof(struct trc_scale, field))
static const struct opt scale_opts[] = {
    OUTFILE_OPTS(offsetof(struct scale_config, out),
                 "the new trace; \"-\" is standard output"),
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
             "out, above 1 by copies that are shifted in time"},
    {.name = "seed",
     .type = OPT_U64,
     .at = HOW(seed),
     .arg = "N",
     .def = "1",
     .help = "seed of what is random"},
    {.name = NULL},
};
const struct opt_cmd trc_scale_page = {
    .name = "trace scale",
    .summary = "change the pace of a trace, and say what that does to its bursts",
    .synopsis = "FILE (--speed X | --rate X) -o OUT",
    .about = "--speed keeps the shape of the arrivals: gaps and bursts shrink alike. "
             "--rate below 1 keeps each operation with that probability, which makes "
             "what is left more like a Poisson process. --rate above 1 lays copies "
             "over each other, each turned in a circle by a random part of the trace, "
             "which is smoother than the same rate by --speed.\n\n"
             "The summary and the notes scale.* state the coefficient of variation of "
             "the gaps and the index of dispersion of the counts per second, before "
             "and after; both are about 1 for a Poisson process. Traces of fewer than "
             "20 whole seconds have too few counts for the second.",
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

int trc_run_scale(int argc, char **argv)
{
    struct scale_config c = {0};
    struct err e = {0};
    struct trc_scale_done done;
    int operands, rc = opt_parse(&trc_scale_page, argc, argv, &c, &operands, &e);
    if (rc > 0)
        return EXIT_DONE;
    if (rc == 0)
        rc = outfile_wanted(&c.out, (const char *const *)(argv + 1), 1, &e);
    if (rc == 0)
        rc = trc_scale(argv[1], c.out.path, &c.how, &done, &e);
    if (rc < 0)
        return opt_fail(&trc_scale_page, &e);
    struct trc_merge_done counts = {done.before.n, done.after.n, done.lost_answers,
                                    done.unclosed};
    warn_copy(&trc_scale_page, &counts);
    if (!c.out.quiet) {
        print_burst("before", &done.before);
        print_burst("after", &done.after);
    }
    return EXIT_DONE;
}

/* --- pack ----------------------------------------------------------------- */

struct pack_config {
    struct outfile out;
    uint64_t level;
};
static const struct opt pack_opts[] = {
    OUTFILE_OPTS(offsetof(struct pack_config, out),
                 "the new file; \"-\" is standard output"),
    {.name = "level",
     .type = OPT_U64,
     .at = offsetof(struct pack_config, level),
     .arg = "N",
     .def = "7",
     .help =
         "zstd level, 1 to 19; above 7 it takes long and gains little. 0 stores bytes "
         "as they are: a larger file, which replay reads with the least work"},
    {.name = NULL},
};
const struct opt_cmd trc_pack_page = {
    .name = "trace pack",
    .summary = "store a trace or a run in fewer bytes, with every record as it was",
    .synopsis = "FILE -o OUT [--level N]",
    .about = "Small blocks, as live recording writes them, are joined and compressed "
             "harder. The content hash stays the same and is checked. Packing a packed "
             "file at the same level changes no byte.",
    .opts = pack_opts,
    .examples = "# before a capture is archived\n"
                "reprise trace pack day.trace -o day.packed.trace --level 19\n"
                "# before bodies that all differ are replayed at the highest rates\n"
                "reprise trace pack day.trace -o day.plain.trace --level 0\n",
    .min_args = 1,
    .max_args = 1,
};

int trc_run_pack(int argc, char **argv)
{
    struct pack_config c = {0};
    struct err e = {0};
    struct trc_repack_done done;
    int operands, rc = opt_parse(&trc_pack_page, argc, argv, &c, &operands, &e);
    if (rc > 0)
        return EXIT_DONE;
    if (rc == 0)
        rc = outfile_wanted(&c.out, (const char *const *)(argv + 1), 1, &e);
    if (rc == 0 && c.level > 19)
        rc = err_set(&e, ERR_USAGE, "--level is 0 to 19");
    if (rc == 0)
        rc = trc_repack(argv[1], c.out.path, c.level ? (int)c.level : TRC_LEVEL_STORE,
                        &done, &e);
    if (rc < 0)
        return opt_fail(&trc_pack_page, &e);
    if (!c.out.quiet && done.bytes_before && done.bytes_after) {
        char before[UNITS_TEXT_MAX], after[UNITS_TEXT_MAX];
        fprintf(stderr,
                "%s: %" PRIu64 " records, %s in %" PRIu64 " blocks, was %s in %" PRIu64
                "\n",
                c.out.path, done.records, units_size_text(done.bytes_after, after),
                done.blocks_after, units_size_text(done.bytes_before, before),
                done.blocks_before);
    }
    return EXIT_DONE;
}
