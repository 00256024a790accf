/*
 * cmd_scrub.c - `reprise trace scrub`: take out what must not be given away;
 * `reprise trace scan`: look for what should have been.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/cmd_verbs.h"

#include <inttypes.h>
#include <stdio.h>

#include "traces/base/jsonw.h"
#include "traces/base/outfile.h"
#include "traces/tool/trc_scrub.h"
#include "traces/tool/trc_search.h"

/* --- scrub ------------------------------------------------------------------------ */

struct scrub_config {
    struct outfile out;
    const char *key_file;
    struct opt_strv headers, paths;
    bool shape_only, keep_query, hash_ids, drop_answers;
};
#define AT(field) offsetof(struct scrub_config, field)
static const struct opt scrub_opts[] = {
    OUTFILE_OPTS(offsetof(struct scrub_config, out),
                 "the new trace; \"-\" is standard output"),
    {.name = "keep-header",
     .type = OPT_STRV,
     .at = AT(headers),
     .arg = "NAME",
     .help = "keep this header too; never one that carries "
             "credentials"},
    {.name = "mask",
     .type = OPT_STRV,
     .at = AT(paths),
     .arg = "PATH",
     .help = "mask what this path names in bodies: id, parameters.user, "
             "inputs.NAME.data, inputs.*.parameters"},
    {.name = "shape-only",
     .type = OPT_FLAG,
     .at = AT(shape_only),
     .help = "of bodies, keep names, datatypes and shapes of tensors alone; elements "
             "become 0 and x"},
    {.name = "drop-answers",
     .type = OPT_FLAG,
     .at = AT(drop_answers),
     .help = "take out the recorded answers' bodies; times and statuses stay"},
    {.name = "hash-ids",
     .type = OPT_FLAG,
     .at = AT(hash_ids),
     .help = "put a keyed hash in the place of each request id"},
    {.name = "key-file",
     .type = OPT_STR,
     .at = AT(key_file),
     .arg = "FILE",
     .help = "key of the hashes, 32 hex digits; else " TRC_SCRUB_KEY_ENV
             ", else one is drawn and forgotten"},
    {.name = "keep-query",
     .type = OPT_FLAG,
     .at = AT(keep_query),
     .help = "keep what stands behind ? in paths"},
    {.name = NULL},
};
const struct opt_cmd trc_scrub_page = {
    .name = "trace scrub",
    .summary = "copy a trace without what must not be given away",
    .synopsis = "FILE -o OUT [OPTION]...",
    .about =
        "The rules are those of 'reprise capture'. Headers are denied but for "
        "accept-encoding, seldon-model and those of --keep-header; of traceparent and "
        "x-seldon-route only their presence is kept; authorization, cookie, x-api-key "
        "and the like never. The query of a path is cut.\n\n"
        "A path of --mask names values in JSON bodies, and the same tensors and "
        "parameters in gRPC messages: a word is a key, an element's number or name, or "
        "* for any. Numbers become 0, texts as many x. A body that --mask or "
        "--shape-only cannot read (another format, compressed, server-sent events) is "
        "not kept: its length and a keyed hash stay, and the summary counts it.\n\n"
        "Operations of which anything was taken are flagged as redacted. The note "
        "redaction.policy tells what was asked for, behind what the note said before; "
        "scrub.key names the key without telling it. Equal ids have equal hashes under "
        "one key. Ids inside bodies are another matter: --mask id. Connections and "
        "clients are ordinals already and stay. Other notes stay too: 'trace scan' "
        "looks at them.\n\n"
        "What --shape-only leaves can be replayed: a message with the same tensors, "
        "JSON filled up with blanks to its old length (integers of gRPC messages may "
        "take fewer bytes than before). Equal shapes of equal length are stored once. "
        "Answers to it are not those that were recorded, but 'replay --check-answers' "
        "knows what they must be.",
    .opts = scrub_opts,
    .examples = "# for people who may see shapes and times, but no values\n"
                "reprise trace scrub day.trace --shape-only --hash-ids -o clean.trace\n"
                "# without one tensor, one parameter, and what was answered\n"
                "reprise trace scrub day.trace --mask inputs.text.data --mask "
                "parameters.user --drop-answers -o clean.trace\n",
    .min_args = 1,
    .max_args = 1,
};

static void tell_scrub(const char *out, const struct trc_scrub_done *d)
{
    fprintf(stderr,
            "%s: %" PRIu64 " operations, %" PRIu64 " changed: %" PRIu64
            " headers denied, %" PRIu64 " bodies masked, %" PRIu64
            " bodies reduced to a hash, %" PRIu64 " answers dropped, %" PRIu64
            " ids hashed\n",
            out, d->operations, d->changed, d->headers_denied, d->bodies_masked,
            d->bodies_refused, d->answers_dropped, d->ids_hashed);
}

int trc_run_scrub(int argc, char **argv)
{
    struct scrub_config c = {0};
    struct trc_scrub_done done = {0};
    struct err e = {0};
    int operands, rc = opt_parse(&trc_scrub_page, argc, argv, &c, &operands, &e);
    if (rc == 0)
        rc = outfile_wanted(&c.out, (const char *const *)(argv + 1), 1, &e);
    if (rc == 0) {
        struct trc_scrub how = {.headers = c.headers.v,
                                .header_count = c.headers.n,
                                .paths = c.paths.v,
                                .path_count = c.paths.n,
                                .shape_only = c.shape_only,
                                .keep_query = c.keep_query,
                                .hash_ids = c.hash_ids,
                                .drop_answers = c.drop_answers,
                                .key_file = c.key_file};
        rc = trc_scrub(argv[1], c.out.path, &how, &done, &e);
        if (rc == 0 && done.unclosed)
            fprintf(stderr,
                    "reprise %s: warning: '%s' was not closed; all that is whole was "
                    "read\n",
                    trc_scrub_page.name, argv[1]);
        if (rc == 0 && !c.out.quiet)
            tell_scrub(c.out.path, &done);
    }
    opt_strv_done(&c.headers);
    opt_strv_done(&c.paths);
    return rc < 0 ? opt_fail(&trc_scrub_page, &e) : EXIT_DONE;
}

/* --- scan ------------------------------------------------------------------------- */

struct scan_config {
    bool json;
};
static const struct opt scan_opts[] = {
    {.name = "json",
     .type = OPT_FLAG,
     .at = offsetof(struct scan_config, json),
     .help = "print one JSON object a line: each finding, then the totals"},
    {.name = NULL},
};
const struct opt_cmd trc_scan_page = {
    .name = "trace scan",
    .summary = "look for secrets and personal data in a trace or a run",
    .synopsis = "FILE [--json]",
    .about =
        "Looks at names, paths, headers, ids, bodies of requests and answers, and "
        "notes for bearer tokens, JWTs, AWS access keys, private keys, e-mail "
        "addresses, card numbers (by issuer, length and check digit), headers that "
        "carry credentials, and texts whose member, tensor or parameter is called "
        "password, token, secret or the like. A line tells the operation, the place, "
        "the kind, what all of the kind have in common, and where in the place it "
        "stands; never the secret. What operations share (name, path, headers) is told "
        "once a block, for the first of them.\n\n"
        "These are patterns: what is found may be harmless, and what has no pattern is "
        "not found. Bodies that are compressed are not looked into, and counted.\n\n"
        "Exit status: 0 nothing found; 1 something found; 3 nothing found, but there "
        "were bodies that could not be looked into; 65 damaged input.",
    .opts = scan_opts,
    .examples = "# before a trace leaves the house\n"
                "reprise trace scrub day.trace --shape-only -o clean.trace &&\n"
                "    reprise trace scan clean.trace\n"
                "# which kinds there are, and how many of each\n"
                "reprise trace scan day.trace --json | jq -r '.kind // empty' | sort | "
                "uniq -c\n",
    .min_args = 1,
    .max_args = 1,
};

#define SCAN_CHUNK (64u * 1024)
#define NAME_SHOWN 64u

struct scan {
    bool json;
    struct buf out;
};

/* A name out of the file, fit to be printed. */
static struct span shown(struct span name, char out[NAME_SHOWN])
{
    size_t n = name.n < NAME_SHOWN ? name.n : NAME_SHOWN;
    for (size_t i = 0; i < n; i++)
        out[i] = name.p[i] > ' ' && name.p[i] < 127 ? (char)name.p[i] : '?';
    return span_of(out, n);
}

static void hit_json(const struct trc_hit *h, struct span name, struct buf *out)
{
    struct jsonw w = {.out = out};
    jsonw_object(&w);
    if (h->place != TRC_PLACE_NOTE)
        jsonw_key_u64(&w, "index", h->index);
    jsonw_key_str(&w, "place", trc_place_names[h->place]);
    if (name.n > 0) {
        jsonw_key(&w, "name");
        jsonw_span(&w, name);
    }
    jsonw_key_str(&w, "kind", trc_find_names[h->found.kind]);
    jsonw_key_str(&w, "excerpt", trc_find_excerpts[h->found.kind]);
    if (!h->found.inside)
        jsonw_key_u64(&w, "at", h->found.at);
    jsonw_key_u64(&w, "bytes", h->found.bytes);
    jsonw_end(&w);
    buf_u8(out, '\n');
}

static void hit_text(const struct trc_hit *h, struct span name, struct buf *out)
{
    if (h->place == TRC_PLACE_NOTE)
        buf_str(out, "-");
    else
        buf_fmt(out, "%" PRIu64, h->index);
    buf_fmt(out, "\t%s%s%.*s\t%s\t%s (%zu bytes", trc_place_names[h->place],
            name.n ? " " : "", SPAN_ARG(name), trc_find_names[h->found.kind],
            trc_find_excerpts[h->found.kind], h->found.bytes);
    if (h->found.inside)
        buf_str(out, ")\n");
    else
        buf_fmt(out, " at %zu)\n", h->found.at);
}

static int on_hit(void *ctx, const struct trc_hit *h, struct err *e)
{
    struct scan *s = ctx;
    char text[NAME_SHOWN];
    (s->json ? hit_json : hit_text)(h, shown(h->name, text), &s->out);
    return s->out.n >= SCAN_CHUNK || s->out.failed ? outfile_print(&s->out, e) : 0;
}

static void tell_scan(const char *path, const struct trc_search_done *d, bool json,
                      struct buf *out)
{
    if (json) {
        struct jsonw w = {.out = out};
        jsonw_object(&w);
        jsonw_key_u64(&w, "records", d->records);
        jsonw_key_u64(&w, "bodies", d->bodies);
        jsonw_key_u64(&w, "compressed", d->unopened);
        jsonw_key_u64(&w, "findings", d->hits);
        jsonw_end(&w);
        buf_u8(out, '\n');
    } else {
        fprintf(stderr,
                "%s: %" PRIu64 " findings in %" PRIu64 " records and %" PRIu64
                " bodies\n",
                path, d->hits, d->records, d->bodies);
    }
}

int trc_run_scan(int argc, char **argv)
{
    struct scan_config c = {0};
    struct trc_search_done done = {0};
    struct err e = {0};
    int operands, rc = opt_parse(&trc_scan_page, argc, argv, &c, &operands, &e);
    if (rc > 0)
        return EXIT_DONE;
    struct scan s = {.json = c.json};
    if (rc == 0)
        rc = trc_search(argv[1], on_hit, &s, &done, &e);
    if (rc == 0)
        tell_scan(argv[1], &done, c.json, &s.out);
    struct err second = {0}; /* what was found before damage is told too */
    int flushed = outfile_print(&s.out, rc < 0 ? &second : &e);
    buf_done(&s.out);
    if (rc == 0)
        rc = flushed;
    if (rc < 0)
        return opt_fail(&trc_scan_page, &e);
    if (done.unclosed)
        fprintf(
            stderr,
            "reprise %s: warning: '%s' was not closed; all that is whole was read\n",
            trc_scan_page.name, argv[1]);
    if (done.unopened)
        fprintf(stderr,
                "reprise %s: warning: %" PRIu64
                " bodies are compressed and were not looked into\n",
                trc_scan_page.name, done.unopened);
    return done.hits ? EXIT_REGRESSED : done.unopened ? EXIT_INVALID : EXIT_DONE;
}
