/*
 * opt.h - option tables, from which parsing, --help, the man pages and the reference
 * come.
 *
 * A command describes itself once in a struct opt_cmd; its options are rows that name a
 * field of the command's plain config struct by offset and type. Order of precedence:
 * command line, then the environment variable of the row (the names that SCv2's k6
 * tests use), then the default text of the row. Not thread-safe; used once, at the
 * start.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_BASE_OPT_H
#define TRACES_BASE_OPT_H

#include <stddef.h>

#include "traces/base/buf.h"
#include "traces/base/err.h"

enum opt_type {
    OPT_FLAG,     /* bool; "--name" sets, "--no-name" clears */
    OPT_STR,      /* const char *, borrowed from argv, the environment or the row */
    OPT_STRV,     /* struct opt_strv: may be given again and again */
    OPT_U64,      /* uint64_t */
    OPT_F64,      /* double */
    OPT_DURATION, /* int64_t ns, with unit */
    OPT_SIZE,     /* uint64_t bytes, with unit */
    OPT_RATE,     /* double per second */
    OPT_CHOICE,   /* int: index into choices */
    OPT_GROUP,    /* no option: its name heads the rows that follow, in every page */
};

struct opt_strv {
    const char **v; /* owned by the config; opt_strv_done frees */
    size_t n;
};

struct opt {
    const char *name; /* long name without dashes; NULL ends the table */
    char letter;      /* short name, or 0 */
    enum opt_type type;
    size_t at;        /* offsetof the field in the config struct */
    const char *arg;  /* placeholder in the help: "FILE"; NULL for flags */
    const char *def;  /* default as text, parsed like a value; NULL: field stays 0 */
    const char *help; /* a sentence or two, no full stop at the end */
    const char *const *choices; /* OPT_CHOICE: NULL-terminated */
    const char *env;            /* environment variable, or NULL */
};

/* A long table reads better in groups: a row that is a heading. */
#define OPT_GROUP_ROW(heading)                                                         \
    {                                                                                  \
        .name = (heading), .type = OPT_GROUP                                           \
    }

struct opt_cmd {
    const char *name;    /* "replay", "trace info" */
    const char *summary; /* one line, lower case */
    /* "TRACE --tier TIER -o RUN [OPTION]...", without "reprise NAME". */
    const char *synopsis;
    /* Paragraphs, separated by blank lines. One that starts with a blank stays as it
     * is. */
    const char *about;
    const struct opt *opts;
    const char *examples;   /* lines: "# what it does" and commands, ready to copy */
    int min_args, max_args; /* operands; max -1: any number */
};

/* Fills *config (already zeroed) from defaults, environment and argv[1..]. Operands are
 * left in argv[1..*operands]. 0: go on. 1: --help was asked for and printed to stdout;
 * exit 0. ERR_USAGE: unknown option, bad value, missing or surplus operands; the text
 * names it. What an OPT_STRV field holds is the caller's to free, after failure too.
 * Names are never abbreviated, the last of several values counts (OPT_STRV gathers
 * them), an empty environment variable counts as unset, and "--" ends the options. */
int opt_parse(const struct opt_cmd *cmd, int argc, char **argv, void *config,
              int *operands, struct err *e) MUST_USE;

/* True when row `name` of the command was given on the command line or by environment.
 * Valid after opt_parse of that command. */
bool opt_given(const struct opt_cmd *cmd, const char *name);

void opt_strv_done(struct opt_strv *v);

/* The same description as text for a terminal, a man page (man(7)), or Markdown. The
 * date of a man page is SOURCE_DATE_EPOCH if that is set, else today. */
enum opt_format { OPT_TEXT, OPT_MAN, OPT_MARKDOWN };
void opt_describe(const struct opt_cmd *cmd, enum opt_format format, struct buf *out);

/* A page about several commands: the program (about->name is "") or one with verbs
 * ("trace"). cmds is NULL-terminated. */
void opt_describe_list(const struct opt_cmd *about, const struct opt_cmd *const *cmds,
                       enum opt_format format, struct buf *out);

/* Prints "reprise NAME: TEXT" on stderr, and after a usage error where help is to be
 * had. Returns the exit status that the error asks for. For cmd_*.c and main.c. */
int opt_fail(const struct opt_cmd *cmd, const struct err *e);

/* The name (of a NULL-terminated list) that `word` was most likely meant to be, or
 * NULL. */
const char *opt_nearest(const char *word, const char *const *names);

#endif
