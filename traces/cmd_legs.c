/*
 * cmd_legs.c - `reprise trace legs`: a call's time, taken apart by tier.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdio.h>

#include "traces/tool/trc_legs.h"

struct legs_config {
    const char *id;
    bool json;
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
    {.name = NULL},
};
const struct opt_cmd trc_legs_page = {
    .name = "trace legs",
    .summary = "take the latency of captured calls apart by tier",
    .synopsis = "FILE [--id ID | --json]",
    .about =
        "A capture at several tiers holds an operation for each tier that a call went "
        "through. They share its request id, and are put together by that. For each "
        "tier it says how long its legs took, and how much of that was the tier's own: "
        "less what the legs inside it took.\n\n"
        "All operations are held in memory, 48 bytes each, 32 million at most.",
    .opts = legs_opts,
    .examples = "# where the time goes\n"
                "reprise trace legs day.trace\n"
                "# one call on its way\n"
                "reprise trace legs day.trace --id 0d8f2c\n",
    .min_args = 1,
    .max_args = 1,
};

static int read_file(const char *path, struct trc_legs *l, struct err *e)
{
    struct trc_reader *r;
    *l = (struct trc_legs){0};
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
    int rc = read_file(path, &l, e);
    if (rc == 0 && trc_legs_of(&l, id, out) == 0)
        rc = err_set(e, ERR_USAGE, "'%s' has no call '%.*s' at more than one tier",
                     path, SPAN_ARG(id));
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
        rc = read_file(path, &l, e);
        if (rc == 0)
            (c->json ? trc_legs_json : trc_legs_text)(&l, &out);
    }
    if (rc == 0)
        rc = buf_check(&out, e);
    if (rc == 0 && fwrite(out.p, 1, out.n, stdout) != out.n)
        rc = err_sys(e, errno, "cannot write to standard output");
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
    if (rc == 0 && c.id && c.json)
        rc = err_set(&e, ERR_USAGE, "--id and --json exclude each other");
    if (rc == 0)
        rc = legs(argv[1], &c, &e);
    return rc < 0 ? opt_fail(&trc_legs_page, &e) : EXIT_DONE;
}
