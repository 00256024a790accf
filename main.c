/*
 * main.c - the table of subcommands, help and version; everything else is theirs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"

#define PAGES_MAX 64 /* commands and verbs, all together */

static cmd_fn help_run;
static const struct opt_cmd help_page;
static const struct opt_cmd *const help_docs[] = {&help_page, NULL};

static const struct cmd cmds[] = {
    {"synth", trc_cmd_synth, trc_synth_docs},
    {"capture", cap_cmd_capture, cap_capture_docs},
    {"import", trc_cmd_import, trc_import_docs},
    {"trace", trc_cmd_trace, trc_trace_docs},
    {"replay", rep_cmd_replay, rep_replay_docs},
    {"search", rep_cmd_search, rep_search_docs},
    {"campaign", rep_cmd_campaign, rep_campaign_docs},
    {"report", ana_cmd_report, ana_report_docs},
    {"compare", ana_cmd_compare, ana_compare_docs},
    {"plan", ana_cmd_plan, ana_plan_docs},
    {"standin", dep_cmd_standin, dep_standin_docs},
    {"help", help_run, help_docs},
    {NULL, NULL, NULL},
};

/* --- the pages of help ---------------------------------------------------- */

static const struct opt program_opts[] = {
    {.name = "version",
     .letter = 'V',
     .type = OPT_FLAG,
     .help = "print the version and the libraries it was built with, and exit"},
    {.name = NULL},
};

static const struct opt_cmd program_page = {
    .name = "",
    .summary =
        "record and replay inference traffic for Seldon Core v2, and compare runs",
    .synopsis = "COMMAND [ARGUMENT]...",
    .about = "A trace says which operations should happen and when. It is synthesized "
             "per model type, captured from live traffic or imported. A replay sends a "
             "trace to one tier of Seldon Core v2 on the trace's own schedule and "
             "records a run: what did happen to each operation. A comparison decides, "
             "with evidence, whether runs differ.\n\n"
             "Results go to standard output, all else to standard error; the file name "
             "\"-\" stands for a stream. Durations and sizes carry their units: "
             "\"250us\", \"1.5s\", \"2m\", \"64MiB\".\n\n"
             "Each command explains itself with --help.",
    .opts = program_opts,
    .examples =
        "# a minute of traffic for two model types\n"
        "reprise synth --model-type iris,tfsimple --rate 200 --duration 60s -o "
        "day.trace\n"
        "# send it on its own schedule, and read what happened\n"
        "reprise replay day.trace --tier envoy --http http://127.0.0.1:9000 -o a.run\n"
        "reprise report a.run\n"
        "# the options of a command\n"
        "reprise help synth\n",
    .max_args = -1,
};

struct help_config {
    const char *man_dir;
    bool markdown;
};

static const struct opt help_opts[] = {
    {.name = "man-pages",
     .type = OPT_STR,
     .at = offsetof(struct help_config, man_dir),
     .arg = "DIR",
     .help = "write the man pages reprise.1 and reprise-COMMAND.1 into DIR"},
    {.name = "markdown",
     .type = OPT_FLAG,
     .at = offsetof(struct help_config, markdown),
     .help = "print the reference of all commands as Markdown"},
    {.name = NULL},
};

static const struct opt_cmd help_page = {
    .name = "help",
    .summary = "explain reprise, a command, or a verb of a command",
    .synopsis = "[COMMAND [VERB]] | --man-pages DIR | --markdown",
    .about =
        "Without operands it lists the commands. The text of a command is the one that "
        "its own --help prints; man pages and reference are made from the same tables.",
    .opts = help_opts,
    .examples = "# all options of synth\n"
                "reprise help synth\n"
                "# man pages for this user\n"
                "reprise help --man-pages ~/.local/share/man/man1\n",
    .max_args = 2,
};

static const struct cmd *find_cmd(const char *name)
{
    for (const struct cmd *c = cmds; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

/* A command with verbs documents "NAME VERB" instead of itself. */
static bool has_verbs(const struct cmd *c)
{
    return strchr(c->docs[0]->name, ' ') != NULL;
}

static const char *verb_of(const struct opt_cmd *doc)
{
    return strchr(doc->name, ' ') + 1;
}

static const struct opt_cmd *find_verb(const struct cmd *c, const char *verb)
{
    for (const struct opt_cmd *const *doc = c->docs; *doc; doc++)
        if (strcmp(verb_of(*doc), verb) == 0)
            return *doc;
    return NULL;
}

/* The word is neither a command (c NULL) nor a verb of c. */
static int unknown_word(const struct cmd *c, const char *word, struct err *e)
{
    const char *names[PAGES_MAX + 1];
    size_t n = 0;
    if (c)
        for (const struct opt_cmd *const *doc = c->docs; *doc && n < PAGES_MAX; doc++)
            names[n++] = verb_of(*doc);
    else
        for (const struct cmd *known = cmds; known->name && n < PAGES_MAX; known++)
            names[n++] = known->name;
    names[n] = NULL;
    const char *near = opt_nearest(word, names);
    return err_set(e, ERR_USAGE, "unknown %s '%s'%s%s%s", c ? "verb" : "command", word,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* The page of a command with verbs, made from theirs. */
static void describe_verbs(const struct cmd *c, enum opt_format format, struct buf *out)
{
    struct buf summary = {0}, examples = {0};
    for (const struct opt_cmd *const *doc = c->docs; *doc; doc++) {
        buf_fmt(&summary, "%s%s", doc == c->docs ? "verbs: " : ", ", verb_of(*doc));
        buf_str(&examples, (*doc)->examples);
    }
    const struct opt_cmd page = {.name = c->name,
                                 .summary = buf_text(&summary),
                                 .synopsis = "VERB [ARGUMENT]...",
                                 .about = "Each verb explains itself with --help.",
                                 .examples = buf_text(&examples),
                                 .max_args = -1};
    opt_describe_list(&page, c->docs, format, out);
    buf_done(&summary);
    buf_done(&examples);
}

static void describe_program(enum opt_format format, struct buf *out)
{
    const struct opt_cmd *pages[PAGES_MAX + 1];
    size_t n = 0;
    for (const struct cmd *c = cmds; c->name; c++)
        for (const struct opt_cmd *const *doc = c->docs; *doc && n < PAGES_MAX; doc++)
            pages[n++] = *doc;
    pages[n] = NULL;
    opt_describe_list(&program_page, pages, format, out);
}

/* Prints and frees text. */
static int print(struct buf *text, FILE *stream, struct err *e)
{
    int rc = buf_check(text, e);
    if (rc == 0)
        fputs(buf_text(text), stream);
    buf_done(text);
    return rc;
}

/* The page of nothing, a command, or a command and its verb. */
static int find_page(int words, char **word, struct buf *text, struct err *e)
{
    if (words == 0) {
        describe_program(OPT_TEXT, text);
        return 0;
    }
    const struct cmd *c = find_cmd(word[0]);
    if (!c)
        return unknown_word(NULL, word[0], e);
    if (!has_verbs(c) && words == 2)
        return err_set(e, ERR_USAGE, "'%s' has no verbs", word[0]);
    if (!has_verbs(c)) {
        opt_describe(c->docs[0], OPT_TEXT, text);
    } else if (words == 1) {
        describe_verbs(c, OPT_TEXT, text);
    } else {
        const struct opt_cmd *doc = find_verb(c, word[1]);
        if (!doc)
            return unknown_word(c, word[1], e);
        opt_describe(doc, OPT_TEXT, text);
    }
    return 0;
}

static void describe_all(enum opt_format format, struct buf *out)
{
    describe_program(format, out);
    for (const struct cmd *c = cmds; c->name; c++)
        for (const struct opt_cmd *const *doc = c->docs; *doc; doc++) {
            buf_str(out, "\n");
            opt_describe(*doc, format, out);
        }
}

/* Writes text to DIR/reprise-NAME.1 and empties it. */
static int write_page(const char *dir, const char *name, struct buf *text,
                      struct err *e)
{
    struct buf path = {0};
    buf_fmt(&path, "%s/reprise%s", dir, *name ? "-" : "");
    for (const char *c = name; *c; c++)
        buf_u8(&path, *c == ' ' ? '-' : (uint8_t)*c);
    buf_str(&path, ".1");
    int rc = buf_check(text, e);
    if (rc == 0)
        rc = buf_check(&path, e);
    FILE *f = rc == 0 ? fopen(buf_text(&path), "w") : NULL;
    if (rc == 0 && !f)
        rc = err_sys(e, errno, "cannot write '%s'", buf_text(&path));
    if (f) {
        bool wrote = fwrite(text->p, 1, text->n, f) == text->n;
        if (fclose(f) != 0 || !wrote)
            rc = err_sys(e, errno, "cannot write '%s'", buf_text(&path));
    }
    buf_done(&path);
    buf_reset(text);
    return rc;
}

static int write_man_pages(const char *dir, struct err *e)
{
    struct buf text = {0};
    describe_program(OPT_MAN, &text);
    int rc = write_page(dir, "", &text, e);
    for (const struct cmd *c = cmds; c->name && rc == 0; c++) {
        if (has_verbs(c)) {
            describe_verbs(c, OPT_MAN, &text);
            rc = write_page(dir, c->name, &text, e);
        }
        for (const struct opt_cmd *const *doc = c->docs; *doc && rc == 0; doc++) {
            opt_describe(*doc, OPT_MAN, &text);
            rc = write_page(dir, (*doc)->name, &text, e);
        }
    }
    buf_done(&text);
    return rc;
}

static int help_run(int argc, char **argv)
{
    struct help_config config = {0};
    struct err e = {0};
    struct buf text = {0};
    int operands, rc = opt_parse(&help_page, argc, argv, &config, &operands, &e);
    if (rc > 0)
        return EXIT_DONE;
    int asked = (operands > 0) + (config.man_dir != NULL) + config.markdown;
    if (rc == 0 && asked > 1)
        rc = err_set(&e, ERR_USAGE,
                     "a command, --man-pages and --markdown exclude each other");
    if (rc == 0 && config.man_dir)
        rc = write_man_pages(config.man_dir, &e);
    else if (rc == 0 && config.markdown)
        describe_all(OPT_MARKDOWN, &text);
    else if (rc == 0)
        rc = find_page(operands, argv + 1, &text, &e);
    if (rc == 0)
        rc = print(&text, stdout, &e);
    return rc < 0 ? opt_fail(&help_page, &e) : EXIT_DONE;
}

/* --- running -------------------------------------------------------------- */

static bool asks_for_help(const char *arg)
{
    return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

/* What has verbs is called with a known one; else 1, and its help or an error was
 * printed. */
static int check_verb(const struct cmd *c, int argc, char **argv, int *status)
{
    const struct opt_cmd page = {.name = c->name};
    struct buf text = {0};
    struct err e = {0};
    int rc = 0;
    if (argc > 1 && find_verb(c, argv[1]))
        return 0;
    if (argc < 2 || asks_for_help(argv[1])) {
        describe_verbs(c, OPT_TEXT, &text);
        rc = print(&text, argc < 2 ? stderr : stdout, &e);
    } else {
        rc = unknown_word(c, argv[1], &e);
    }
    *status = rc < 0 ? opt_fail(&page, &e) : argc < 2 ? EXIT_USAGE : EXIT_DONE;
    return 1;
}

static int run(int argc, char **argv)
{
    struct buf text = {0};
    struct err e = {0};
    int rc = 0, status = EXIT_DONE;
    const struct cmd *c = argc < 2 ? NULL : find_cmd(argv[1]);
    if (c) {
        if (has_verbs(c) && check_verb(c, argc - 1, argv + 1, &status) != 0)
            return status;
        return c->run(argc - 1, argv + 1);
    }
    if (argc < 2 || asks_for_help(argv[1])) {
        describe_program(OPT_TEXT, &text);
        rc = print(&text, argc < 2 ? stderr : stdout, &e);
        status = argc < 2 ? EXIT_USAGE : EXIT_DONE;
    } else if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("reprise %s\nbuilt with %s\n", REPRISE_VERSION, REPRISE_LIBRARIES);
    } else {
        rc = unknown_word(NULL, argv[1], &e);
    }
    return rc < 0 ? opt_fail(&program_page, &e) : status;
}

int main(int argc, char **argv)
{
    int status = run(argc, argv);
    /* A report that was lost on a full disk must not look like success. */
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "reprise: cannot write to standard output: %s\n",
                strerror(errno));
        if (status == EXIT_DONE)
            status = EXIT_IO;
    }
    return status;
}
