/*
 * cmd_look.c - `reprise trace info`, `cat` and `verify`: what a trace or a run holds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/cmd_verbs.h"

#include <inttypes.h>
#include <stdio.h>

#include "traces/base/outfile.h"
#include "traces/cmd_which.h"
#include "traces/tool/trc_export.h"
#include "traces/tool/trc_legs.h"
#include "traces/tool/trc_print.h"
#include "traces/tool/trc_show.h"

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
const struct opt_cmd trc_info_page = {
    .name = "trace info",
    .summary = "say what a trace or a run holds",
    .synopsis = "FILE [--json | --id ID]",
    .about = "Reads the footer and the index, so it takes the same few milliseconds "
             "for a file of any size. A file that was not closed is gone through "
             "header by header; then counts by model, tier and protocol are not known. "
             "A stream (\"-\") is read to its end.",
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
        rc = outfile_print(&out, e);
    }
    buf_done(&out);
    trc_reader_close(r);
    return rc;
}

int trc_run_info(int argc, char **argv)
{
    struct info_config config = {0};
    struct err e = {0};
    int operands, rc = opt_parse(&trc_info_page, argc, argv, &config, &operands, &e);
    if (rc > 0)
        return EXIT_DONE;
    if (rc == 0 && config.id && config.json)
        rc = err_set(&e, ERR_USAGE, "--id and --json exclude each other");
    struct buf legs = {0};
    if (rc == 0 && config.id) {
        rc = trc_legs_of_file(argv[1], span_str(config.id), &legs, &e);
        if (rc == 0)
            rc = outfile_print(&legs, &e);
    } else if (rc == 0) {
        rc = info(argv[1], config.json, &e);
    }
    buf_done(&legs);
    return rc < 0 ? opt_fail(&trc_info_page, &e) : EXIT_DONE;
}

/* --- cat ------------------------------------------------------------------ */

struct cat_config {
    bool jsonl;
    struct trc_which which;
};
static const struct opt cat_opts[] = {
    {.name = "jsonl",
     .type = OPT_FLAG,
     .at = offsetof(struct cat_config, jsonl),
     .help = "print one JSON object a line, with everything that is stored"},
    TRC_WHICH_OPTS(offsetof(struct cat_config, which)),
    {.name = NULL},
};
const struct opt_cmd trc_cat_page = {
    .name = "trace cat",
    .summary = "print the operations of a trace or the outcomes of a run",
    .synopsis = "FILE [--jsonl] [OPTION]...",
    .about = "One line per record, in the order of the file. The keys of the JSON "
             "lines are those of traces/FORMAT.md, section 10.\n\n"
             "Damaged blocks are passed over with a warning, and the exit status is 65 "
             "then. A file that was not closed is printed up to its last whole block.",
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
            fprintf(stderr, "reprise %s: warning: %s\n", trc_cat_page.name, why.text);
            damaged |= trc_reader_lost_blocks(r) > 0 || got != ERR_TRUNCATED;
        } else {
            cat_block(b, s, jsonl, &out);
            bool over = b->ops && b->count && b->ops[0].arrival_ns >= s->to_ns;
            trc_block_free(b);
            if (out.n >= TRC_EXPORT_CHUNK || out.failed)
                rc = outfile_print(&out, e);
            if (over)
                break;
        }
    }
    if (rc == 0)
        rc = outfile_print(&out, e);
    buf_done(&out);
    trc_reader_close(r);
    return rc < 0 ? rc : damaged;
}

int trc_run_cat(int argc, char **argv)
{
    struct cat_config c = {0};
    struct trc_select s = {0};
    struct err e = {0};
    int operands, rc = opt_parse(&trc_cat_page, argc, argv, &c, &operands, &e);
    if (rc > 0)
        return EXIT_DONE;
    if (rc == 0)
        rc = trc_which_select(&trc_cat_page, &c.which, &s, &e);
    if (rc == 0)
        rc = cat(argv[1], &s, c.jsonl, &e);
    trc_select_done(&s);
    return rc < 0 ? opt_fail(&trc_cat_page, &e) : rc == 1 ? EXIT_DATA : EXIT_DONE;
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
const struct opt_cmd trc_verify_page = {
    .name = "trace verify",
    .summary = "read everything once and hold it against its checksums and totals",
    .synopsis = "FILE...",
    .about = "Checks every checksum, the form of every block, the order of arrivals, "
             "and that index, totals and content hash are those of the blocks. The "
             "first fault is named with file, offset and reason; exit status 65 then.",
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

int trc_run_verify(int argc, char **argv)
{
    struct verify_config c = {0};
    struct err e = {0};
    int status = EXIT_DONE;
    int operands, rc = opt_parse(&trc_verify_page, argc, argv, &c, &operands, &e);
    if (rc > 0)
        return EXIT_DONE;
    if (rc < 0)
        return opt_fail(&trc_verify_page, &e);
    for (int i = 1; i <= operands; i++) {
        err_clear(&e);
        if (verify(argv[i], c.quiet, &e) < 0) {
            int failed = opt_fail(&trc_verify_page, &e);
            status = status == EXIT_DONE ? failed : status;
        }
    }
    return status;
}
