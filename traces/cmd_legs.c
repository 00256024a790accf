/*
 * cmd_legs.c - `reprise trace legs`: a call's time, taken apart by tier.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/cmd_verbs.h"

#include "traces/base/outfile.h"
#include "traces/tool/trc_legs.h"

struct legs_config {
    const char *id;
    bool json, calls;
};
static const struct opt legs_opts[] = {
    {.name = "id",
     .type = OPT_STR,
     .at = offsetof(struct legs_config, id),
     .arg = "ID",
     .help = "the legs of this request alone, in order"},
    {.name = "json",
     .type = OPT_FLAG,
     .at = offsetof(struct legs_config, json),
     .help = "print one JSON object"},
    {.name = "calls",
     .type = OPT_FLAG,
     .at = offsetof(struct legs_config, calls),
     .help = "each call with its legs, a line of JSON each, in order of arrival"},
    {.name = NULL},
};
const struct opt_cmd trc_legs_page = {
    .name = "trace legs",
    .summary = "take the latency of captured calls apart by tier",
    .synopsis = "FILE [--id ID | --json | --calls]",
    .about = "A capture at several tiers holds an operation for each tier that a call "
             "went through. They share its request id, and are put together by that. "
             "For each tier it says how long its legs took, and how much of that was "
             "the tier's own: less what the legs inside it took. An id that is used "
             "again once the call is over is another call.\n\n"
             "A leg without an id is told by its message: another tier's leg with the "
             "same one, around it or inside it in time, is of the same call, where no "
             "other call comes into question.\n\n"
             "All operations are held in memory, 72 bytes each, 32 million at most.",
    .opts = legs_opts,
    .examples =
        "# where the time goes\n"
        "reprise trace legs day.trace\n"
        "# the slowest calls, and where they were\n"
        "reprise trace legs day.trace --calls | jq -s 'sort_by(-.took_ns)[:3]'\n"
        "# one call on its way\n"
        "reprise trace legs day.trace --id 0d8f2c\n",
    .min_args = 1,
    .max_args = 1,
};

static int read_file(const char *path, bool keep_ids, struct trc_legs *l, struct err *e)
{
    struct trc_reader *r;
    *l = (struct trc_legs){.keep_ids = keep_ids};
    int rc = trc_reader_open(&r, path, e);
    if (rc < 0)
        return rc;
    rc = trc_legs_read(l, r, e);
    trc_reader_close(r);
    return rc < 0 ? err_note(e, "'%s'", path) : 0;
}

int trc_legs_of_file(const char *path, struct span id, struct buf *out, struct err *e)
{
    struct trc_legs l;
    int rc = read_file(path, false, &l, e);
    if (rc == 0 && trc_legs_of(&l, id, out) == 0)
        rc = err_set(e, ERR_USAGE, "'%s' has no call '%.*s' at more than one tier",
                     path, SPAN_ARG(id));
    trc_legs_done(&l);
    return rc;
}

int trc_legs_tell(const char *path, bool json, struct buf *out, struct err *e)
{
    struct trc_legs l;
    int rc = read_file(path, false, &l, e);
    if (rc == 0)
        (json ? trc_legs_json : trc_legs_text)(&l, out);
    trc_legs_done(&l);
    return rc;
}

static int legs(const char *path, const struct legs_config *c, struct err *e)
{
    struct trc_legs l = {0};
    struct buf out = {0};
    int rc;
    if (c->id) {
        rc = trc_legs_of_file(path, span_str(c->id), &out, e);
    } else {
        rc = read_file(path, c->calls, &l, e);
        if (rc == 0)
            (c->calls  ? trc_legs_calls
             : c->json ? trc_legs_json
                       : trc_legs_text)(&l, &out);
    }
    if (rc == 0)
        rc = outfile_print(&out, e);
    buf_done(&out);
    trc_legs_done(&l);
    return rc;
}

int trc_run_legs(int argc, char **argv)
{
    struct legs_config c = {0};
    struct err e = {0};
    int operands, rc = opt_parse(&trc_legs_page, argc, argv, &c, &operands, &e);
    if (rc > 0)
        return EXIT_DONE;
    if (rc == 0 && (c.id != NULL) + c.json + c.calls > 1)
        rc = err_set(&e, ERR_USAGE, "--id, --json and --calls exclude each other");
    if (rc == 0)
        rc = legs(argv[1], &c, &e);
    return rc < 0 ? opt_fail(&trc_legs_page, &e) : EXIT_DONE;
}
