/*
 * opt.c - the parsing half of opt.h; opt_describe.c has the pages.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/base/opt.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "traces/base/units.h"

#define OPT_ROWS_MAX 128 /* rows of one command */
#define WORD_MAX     64  /* longer words resemble nothing */

static const struct opt no_rows[] = {{.name = NULL}};

/* What opt_given answers from. */
static const struct opt_cmd *parsed;
static bool given[OPT_ROWS_MAX];

struct parser {
    const struct opt_cmd *cmd;
    const struct opt *rows;
    char **argv;
    int argc;
    int at; /* index of the argument being looked at */
    char *config;
    struct err *e;
};

/* --- names that resemble a word ------------------------------------------- */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Insertions, deletions, exchanges and swaps of neighbours that turn a into b. */
static size_t distance(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b), rows[3][WORD_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= nb; j++)
        last[j] = j;
    for (size_t i = 1; i <= na; i++) {
        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            now[j] = least(least(last[j], now[j - 1]) + 1,
                           last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], before[j - 2] + 1);
        }
        size_t *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[nb];
}

const char *opt_nearest(const char *word, const char *const *names)
{
    const char *best = NULL;
    size_t n = strlen(word), best_distance = SIZE_MAX;
    if (n == 0 || n > WORD_MAX)
        return NULL;
    for (; *names; names++) {
        if (strlen(*names) > WORD_MAX)
            continue;
        size_t d = distance(word, *names);
        if (n >= 2 && strncmp(word, *names, n) == 0)
            d = 1; /* an abbreviation */
        if (d < best_distance) {
            best_distance = d;
            best = *names;
        }
    }
    return best_distance <= (n < 4 ? 1 : n < 8 ? 2 : 3) ? best : NULL;
}

/* --- values --------------------------------------------------------------- */

static int unknown_choice(const struct opt *o, const char *text, struct err *e)
{
    struct buf known = {0};
    for (size_t i = 0; o->choices[i]; i++)
        buf_fmt(&known, "%s%s", i ? ", " : "", o->choices[i]);
    err_set(e, ERR_USAGE, "'%s' is not one of: %s", text, buf_text(&known));
    buf_done(&known);
    return ERR_USAGE;
}

static int set_choice(const struct opt *o, const char *text, int *field, struct err *e)
{
    for (int i = 0; o->choices[i]; i++)
        if (strcmp(o->choices[i], text) == 0) {
            *field = i;
            return 0;
        }
    return unknown_choice(o, text, e);
}

static int set_flag(const char *text, bool *field, struct err *e)
{
    static const char *const on[] = {"true", "1", "yes", "on"}, *const off[] = {
                                                                    "false", "0", "no",
                                                                    "off"};
    for (size_t i = 0; i < sizeof on / sizeof *on; i++) {
        bool is_on = strcmp(text, on[i]) == 0;
        if (is_on || strcmp(text, off[i]) == 0) {
            *field = is_on;
            return 0;
        }
    }
    return err_set(e, ERR_USAGE, "'%s' is neither true nor false", text);
}

static int append(struct opt_strv *v, const char *text, struct err *e)
{
    const char **grown = realloc(v->v, (v->n + 1) * sizeof *grown);
    if (!grown)
        return err_set(e, ERR_NOMEM, "out of memory for options");
    v->v = grown;
    v->v[v->n++] = text;
    return 0;
}

static int set_value(const struct opt *o, const char *text, void *field, struct err *e)
{
    switch (o->type) {
    case OPT_FLAG:
        return set_flag(text, field, e);
    case OPT_STR:
        *(const char **)field = text;
        return 0;
    case OPT_STRV:
        return append(field, text, e);
    case OPT_U64:
        return units_u64(text, field, e);
    case OPT_F64:
        return units_f64(text, field, e);
    case OPT_DURATION:
        return units_duration(text, field, e);
    case OPT_SIZE:
        return units_size(text, field, e);
    case OPT_RATE:
        return units_rate(text, field, e);
    case OPT_CHOICE:
        return set_choice(o, text, field, e);
    case OPT_GROUP:
        break; /* never found by its name */
    }
    assert(false && "an option of unknown type");
    return ERR_USAGE;
}

void opt_strv_done(struct opt_strv *v)
{
    free(v->v);
    *v = (struct opt_strv){0};
}

/* --- the command line ----------------------------------------------------- */

static int take_value(struct parser *p, const struct opt *o, const char *text)
{
    given[o - p->rows] = true;
    int rc = set_value(o, text, p->config + o->at, p->e);
    return rc < 0 ? err_note(p->e, "--%s", o->name) : 0;
}

static const struct opt *row_named(const struct parser *p, struct span name)
{
    for (const struct opt *o = p->rows; o->name; o++)
        if (o->type != OPT_GROUP && span_eq_str(name, o->name))
            return o;
    return NULL;
}

static int unknown_option(const struct parser *p, struct span name)
{
    const char *names[OPT_ROWS_MAX + 2];
    size_t n = 0;
    for (const struct opt *o = p->rows; o->name; o++)
        if (o->type != OPT_GROUP)
            names[n++] = o->name;
    names[n++] = "help";
    names[n] = NULL;
    char word[WORD_MAX + 1];
    snprintf(word, sizeof word, "%.*s", SPAN_ARG(name));
    const char *near = name.n < sizeof word ? opt_nearest(word, names) : NULL;
    return err_set(p->e, ERR_USAGE, "unknown option '--%.*s'%s%s%s", SPAN_ARG(name),
                   near ? "; did you mean '--" : "", near ? near : "",
                   near ? "'?" : "");
}

static void set_switch(struct parser *p, const struct opt *o, bool on)
{
    given[o - p->rows] = true;
    *(bool *)(p->config + o->at) = on;
}

/* The option's value is the next argument. */
static int take_next(struct parser *p, const struct opt *o)
{
    if (p->at + 1 >= p->argc)
        return err_set(p->e, ERR_USAGE, "--%s needs a value: %s", o->name, o->arg);
    return take_value(p, o, p->argv[++p->at]);
}

/* 1 asks for help. */
static int parse_long(struct parser *p, const char *arg)
{
    struct span all = span_str(arg + 2);
    size_t equals = span_find(all, '=', 0);
    bool has_value = equals < all.n;
    struct span name = span_sub(all, 0, equals);
    if (!has_value && span_eq_str(name, "help"))
        return 1;
    const struct opt *o = row_named(p, name);
    bool on = true;
    if (!o && span_starts(name, "no-")) {
        o = row_named(p, span_sub(name, 3, name.n));
        if (o && o->type != OPT_FLAG)
            o = NULL;
        on = false;
    }
    if (!o)
        return unknown_option(p, name);
    if (o->type == OPT_FLAG) {
        if (has_value)
            return err_set(p->e, ERR_USAGE, "--%.*s takes no value", SPAN_ARG(name));
        set_switch(p, o, on);
        return 0;
    }
    return has_value ? take_value(p, o, arg + 2 + equals + 1) : take_next(p, o);
}

static int parse_letters(struct parser *p, const char *letters)
{
    for (const char *c = letters; *c; c++) {
        const struct opt *o = p->rows;
        while (o->name && o->letter != *c)
            o++;
        if (!o->name && *c == 'h')
            return 1;
        if (!o->name)
            return err_set(p->e, ERR_USAGE, "unknown option '-%c' in '-%s'", *c,
                           letters);
        if (o->type != OPT_FLAG)
            return c[1] ? take_value(p, o, c + 1) : take_next(p, o);
        set_switch(p, o, true);
    }
    return 0;
}

/* Moves the operands to argv[1..]; 1 asks for help. */
static int parse_args(struct parser *p, int *operands)
{
    int kept = 0;
    bool options_ended = false;
    for (p->at = 1; p->at < p->argc; p->at++) {
        char *arg = p->argv[p->at];
        int rc = 0;
        if (options_ended || arg[0] != '-' || arg[1] == '\0')
            p->argv[1 + kept++] = arg;
        else if (strcmp(arg, "--") == 0)
            options_ended = true;
        else
            rc = arg[1] == '-' ? parse_long(p, arg) : parse_letters(p, arg + 1);
        if (rc != 0)
            return rc;
    }
    *operands = kept;
    return 0;
}

static int parse_environment(struct parser *p)
{
    for (const struct opt *o = p->rows; o->name; o++) {
        const char *text = o->env && !given[o - p->rows] ? getenv(o->env) : NULL;
        if (!text || !*text)
            continue;
        if (take_value(p, o, text) < 0)
            return err_note(p->e, "environment variable %s", o->env);
    }
    return 0;
}

static int apply_defaults(struct parser *p)
{
    for (const struct opt *o = p->rows; o->name; o++) {
        if (!o->def || given[o - p->rows])
            continue;
        int rc = set_value(o, o->def, p->config + o->at, p->e);
        assert(rc != ERR_USAGE && "the default of a row must be a value that it takes");
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int check_operands(const struct parser *p, int operands)
{
    const struct opt_cmd *cmd = p->cmd;
    if (operands < cmd->min_args)
        return err_set(p->e, ERR_USAGE, "operand missing; usage: reprise %s %s",
                       cmd->name, cmd->synopsis);
    if (cmd->max_args >= 0 && operands > cmd->max_args)
        return err_set(p->e, ERR_USAGE, "unexpected operand '%s'",
                       p->argv[1 + cmd->max_args]);
    return 0;
}

static size_t row_count(const struct opt *rows)
{
    size_t n = 0;
    while (rows[n].name)
        n++;
    return n;
}

int opt_parse(const struct opt_cmd *cmd, int argc, char **argv, void *config,
              int *operands, struct err *e)
{
    struct parser p = {.cmd = cmd,
                       .rows = cmd->opts ? cmd->opts : no_rows,
                       .argv = argv,
                       .argc = argc,
                       .config = config,
                       .e = e};
    assert(row_count(p.rows) <= OPT_ROWS_MAX);
    parsed = cmd;
    memset(given, 0, sizeof given);
    *operands = 0;
    int rc = parse_args(&p, operands);
    if (rc > 0) {
        struct buf text = {0};
        opt_describe(cmd, OPT_TEXT, &text);
        fputs(buf_text(&text), stdout);
        buf_done(&text);
        return rc;
    }
    if (rc == 0)
        rc = parse_environment(&p);
    if (rc == 0)
        rc = apply_defaults(&p);
    return rc == 0 ? check_operands(&p, *operands) : rc;
}

bool opt_given(const struct opt_cmd *cmd, const char *name)
{
    assert(cmd == parsed && "opt_given tells of the command that was parsed last");
    const struct opt *rows = cmd->opts ? cmd->opts : no_rows;
    for (const struct opt *o = rows; o->name; o++)
        if (strcmp(o->name, name) == 0)
            return given[o - rows];
    assert(false && "opt_given was asked for a row that does not exist");
    return false;
}

int opt_fail(const struct opt_cmd *cmd, const struct err *e)
{
    const char *space = *cmd->name ? " " : "";
    fprintf(stderr, "reprise%s%s: %s\n", space, cmd->name, e->text);
    if (e->code == ERR_USAGE)
        fprintf(stderr, "Try 'reprise%s%s --help'.\n", space, cmd->name);
    return (int)err_exit_status(e->code);
}
