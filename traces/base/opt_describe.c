/*
 * opt_describe.c - the describing half of opt.h: one description, three kinds of page.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/base/opt.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COLUMNS     80
#define HELP_COLUMN 26 /* where the text of an option starts */

static const struct {
    enum exit_status status;
    const char *meaning;
} exit_table[] = {
    {EXIT_DONE, "done; of a comparison: no difference that matters was found"},
    {EXIT_REGRESSED, "regressed: a difference was found (trace scan: a secret)"},
    {EXIT_INCONCLUSIVE, "inconclusive: the measurements cannot decide"},
    {EXIT_INVALID, "a measurement that must not be believed, or damaged data that was "
                   "repaired with loss"},
    {EXIT_USAGE, "usage: the command line or a configuration makes no sense"},
    {EXIT_DATA, "bad input data"},
    {EXIT_UNAVAILABLE, "the target is unavailable"},
    {EXIT_IO, "input or output failed, or memory ran out"},
    {EXIT_INTERRUPTED, "interrupted; files were closed properly"},
};
#define EXIT_COUNT (sizeof exit_table / sizeof *exit_table)

/* What a page is about: a command, or several (list is not NULL). */
struct page {
    const struct opt_cmd *cmd;
    const struct opt_cmd *const *list;
    struct buf *out;
};

static const struct opt *rows_of(const struct page *p)
{
    static const struct opt none[] = {{.name = NULL}};
    return p->cmd->opts ? p->cmd->opts : none;
}

static bool has_environment(const struct page *p)
{
    for (const struct opt *o = rows_of(p); o->name; o++)
        if (o->env)
            return true;
    return false;
}

/* "reprise", "reprise replay"; with another joint the name of the page. */
static void full_name(const struct page *p, const char *joint, struct buf *out)
{
    buf_str(out, "reprise");
    if (*p->cmd->name)
        buf_str(out, joint);
    for (const char *c = p->cmd->name; *c; c++)
        if (*c == ' ')
            buf_str(out, joint);
        else
            buf_u8(out, (uint8_t)*c);
}

static void synopsis(const struct page *p, struct buf *out)
{
    full_name(p, " ", out);
    if (*p->cmd->synopsis)
        buf_fmt(out, " %s", p->cmd->synopsis);
}

/* --- pieces of options ---------------------------------------------------- */

static bool is_on_by_default(const struct opt *o)
{
    return o->type == OPT_FLAG && o->def && strcmp(o->def, "true") == 0;
}

static void heading(const struct opt *o, struct buf *out)
{
    if (o->letter)
        buf_fmt(out, "-%c, ", o->letter);
    buf_fmt(out, "--%s%s", is_on_by_default(o) ? "[no-]" : "", o->name);
    if (o->type != OPT_FLAG && o->arg)
        buf_fmt(out, " %s", o->arg);
}

static void note(struct buf *out, size_t start, const char *what, const char *text)
{
    buf_fmt(out, "%s%s%s", out->n == start ? " (" : "; ", what, text);
}

/* " (one of: rest, grpc; default: rest; environment: PROTOCOL)", or nothing. */
static void notes(const struct opt *o, struct buf *out)
{
    size_t start = out->n;
    if (o->type == OPT_CHOICE) {
        note(out, start, "one of: ", o->choices[0]);
        for (size_t i = 1; o->choices[0] && o->choices[i]; i++)
            buf_fmt(out, ", %s", o->choices[i]);
    }
    if (o->type == OPT_STRV)
        note(out, start, "may be given more than once", "");
    if (is_on_by_default(o))
        note(out, start, "default: on", "");
    else if (o->def && o->type != OPT_FLAG)
        note(out, start, "default: ", o->def);
    if (o->env)
        note(out, start, "environment: ", o->env);
    if (out->n > start)
        buf_u8(out, ')');
}

static void explain(const struct opt *o, struct buf *out)
{
    buf_str(out, o->help);
    notes(o, out);
}

/* --- paragraphs ----------------------------------------------------------- */

/* The next paragraph of text, and *rest behind it; an empty one at the end. */
static struct span paragraph(struct span text, struct span *rest)
{
    size_t from = 0, to;
    while (from < text.n && text.p[from] == '\n')
        from++;
    for (to = from; to < text.n; to++)
        if (text.p[to] == '\n' && (to + 1 == text.n || text.p[to + 1] == '\n'))
            break;
    *rest = span_sub(text, to, text.n);
    return span_sub(text, from, to);
}

static bool is_literal(struct span s)
{
    return span_starts(s, " ");
}

/* Width on a terminal: characters, not bytes. */
static size_t width_of(struct span s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += (s.p[i] & 0xc0) != 0x80;
    return n;
}

static struct span next_word(struct span text, size_t *at)
{
    while (*at < text.n && isspace(text.p[*at]))
        (*at)++;
    size_t from = *at;
    while (*at < text.n && !isspace(text.p[*at]))
        (*at)++;
    return span_sub(text, from, *at);
}

static void blanks(struct buf *out, size_t n)
{
    buf_fmt(out, "%*s", (int)n, "");
}

/* Words in lines of at most COLUMNS, indented; the first line has `column` behind it
 * already. Ends with a newline. */
static void fill(struct buf *out, struct span text, size_t indent, size_t column)
{
    bool first = true;
    size_t at = 0;
    for (struct span word; (word = next_word(text, &at)).n > 0;) {
        size_t width = width_of(word);
        if (!first && column + 1 + width > COLUMNS) {
            buf_u8(out, '\n');
            column = 0;
            first = true;
        }
        if (first && column < indent) {
            blanks(out, indent - column);
            column = indent;
        } else if (!first) {
            buf_u8(out, ' ');
            column++;
        }
        buf_span(out, word);
        column += width;
        first = false;
    }
    buf_u8(out, '\n');
}

/* --- text for a terminal -------------------------------------------------- */

/* "  LEFT   text", the text beginning a line of its own where LEFT is long. */
static void text_item(struct buf *out, const struct buf *left, const char *text)
{
    struct span l = buf_view(left);
    buf_str(out, "  ");
    buf_span(out, l);
    size_t column = 2 + width_of(l);
    if (column + 2 > HELP_COLUMN) {
        buf_u8(out, '\n');
        column = 0;
    }
    fill(out, span_str(text), HELP_COLUMN, column);
}

static void text_options(const struct page *p)
{
    struct buf left = {0}, right = {0};
    if (rows_of(p)->type != OPT_GROUP)
        buf_str(p->out, "\nOptions:\n");
    for (const struct opt *o = rows_of(p); o->name; o++) {
        if (o->type == OPT_GROUP) {
            buf_fmt(p->out, "\n%s:\n", o->name);
            continue;
        }
        buf_reset(&left);
        buf_reset(&right);
        if (!o->letter)
            blanks(&left, 4);
        heading(o, &left);
        explain(o, &right);
        text_item(p->out, &left, buf_text(&right));
    }
    buf_reset(&left);
    buf_str(&left, "-h, --help");
    text_item(p->out, &left, "print this text and exit");
    buf_done(&left);
    buf_done(&right);
}

static void text_list(const struct page *p)
{
    if (!p->list)
        return;
    struct buf left = {0};
    buf_str(p->out, "\nCommands:\n");
    for (const struct opt_cmd *const *c = p->list; *c; c++) {
        buf_reset(&left);
        buf_str(&left, (*c)->name);
        text_item(p->out, &left, (*c)->summary);
    }
    buf_done(&left);
}

static void text_about(const struct page *p)
{
    struct span rest = span_str(p->cmd->about);
    for (struct span s; (s = paragraph(rest, &rest)).n > 0;) {
        buf_u8(p->out, '\n');
        if (!is_literal(s)) {
            fill(p->out, s, 0, 0);
            continue;
        }
        buf_span(p->out, s);
        buf_u8(p->out, '\n');
    }
}

static void text_exit_status(const struct page *p)
{
    buf_str(p->out, "\nExit status:\n");
    for (size_t i = 0; i < EXIT_COUNT; i++) {
        buf_fmt(p->out, "  %3d  ", exit_table[i].status);
        fill(p->out, span_str(exit_table[i].meaning), 7, 7);
    }
}

/* Examples as they are, each line behind `prefix`. */
static void example_lines(const struct page *p, const char *prefix)
{
    struct span text = span_str(p->cmd->examples);
    for (size_t at = 0; at < text.n;) {
        size_t end = span_find(text, '\n', at);
        if (end > at)
            buf_str(p->out, prefix);
        buf_span(p->out, span_sub(text, at, end));
        buf_u8(p->out, '\n');
        at = end + 1;
    }
}

static void text_page(const struct page *p)
{
    buf_str(p->out, "Usage: ");
    struct buf usage = {0};
    synopsis(p, &usage);
    fill(p->out, buf_view(&usage), 7, 7);
    buf_done(&usage);
    buf_u8(p->out, '\n');
    fill(p->out, span_str(p->cmd->summary), 0, 0);
    text_about(p);
    text_list(p);
    text_options(p);
    text_exit_status(p);
    buf_str(p->out, "\nExamples:\n");
    example_lines(p, "  ");
}

/* --- man(7) --------------------------------------------------------------- */

/* Text that roff shall show as it stands. Hyphens become minus signs, so that commands
 * can be copied from the page. */
static void man_escape(struct buf *out, struct span s)
{
    bool line_start = out->n == 0 || out->p[out->n - 1] == '\n';
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];
        if (line_start && (c == '.' || c == '\''))
            buf_str(out, "\\&");
        line_start = c == '\n';
        if (c == '\\')
            buf_str(out, "\\e");
        else if (c == '-')
            buf_str(out, "\\-");
        else
            buf_u8(out, c);
    }
}

static void man_text(struct buf *out, const char *text)
{
    man_escape(out, span_str(text));
}

/* A paragraph as source lines: roff fills them anew. */
static void man_fill(struct buf *out, struct span text)
{
    struct buf lines = {0};
    fill(&lines, text, 0, 0);
    man_escape(out, buf_view(&lines));
    buf_done(&lines);
}

static void man_heading(const struct opt *o, struct buf *out)
{
    buf_str(out, ".TP\n");
    if (o->letter)
        buf_fmt(out, "\\fB\\-%c\\fR, ", o->letter);
    buf_str(out, "\\fB\\-\\-");
    if (is_on_by_default(o))
        buf_str(out, "\\fR[\\fBno\\-\\fR]\\fB");
    man_text(out, o->name);
    buf_str(out, "\\fR");
    if (o->type != OPT_FLAG && o->arg) {
        buf_str(out, " \\fI");
        man_text(out, o->arg);
        buf_str(out, "\\fR");
    }
    buf_u8(out, '\n');
}

static void man_options(const struct page *p)
{
    struct buf text = {0};
    buf_str(p->out, ".SH OPTIONS\n");
    for (const struct opt *o = rows_of(p); o->name; o++) {
        if (o->type == OPT_GROUP) {
            buf_str(p->out, ".SS ");
            man_text(p->out, o->name);
            buf_u8(p->out, '\n');
            continue;
        }
        man_heading(o, p->out);
        buf_reset(&text);
        explain(o, &text);
        man_fill(p->out, buf_view(&text));
    }
    buf_str(p->out,
            ".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nprint a summary and exit\n");
    buf_done(&text);
}

static void man_environment(const struct page *p)
{
    buf_str(p->out, ".SH ENVIRONMENT\n");
    if (!has_environment(p)) {
        buf_str(p->out, "No option has an environment variable.\n");
        return;
    }
    buf_str(p->out,
            "An option that is not given takes its value from the environment:\n");
    for (const struct opt *o = rows_of(p); o->name; o++)
        if (o->env) {
            buf_fmt(p->out, ".TP\n\\fB%s\\fR\nas \\fB\\-\\-", o->env);
            man_text(p->out, o->name);
            buf_str(p->out, "\\fR\n");
        }
}

static void man_exit_status(const struct page *p)
{
    buf_str(p->out, ".SH EXIT STATUS\n");
    for (size_t i = 0; i < EXIT_COUNT; i++) {
        buf_fmt(p->out, ".TP\n%d\n", exit_table[i].status);
        man_fill(p->out, span_str(exit_table[i].meaning));
    }
}

static void man_literal(struct buf *out, struct span s)
{
    buf_str(out, ".nf\n");
    man_escape(out, s);
    buf_str(out, out->n && out->p[out->n - 1] == '\n' ? ".fi\n" : "\n.fi\n");
}

static void man_description(const struct page *p)
{
    buf_str(p->out, ".SH DESCRIPTION\n");
    struct span rest = span_str(p->cmd->about);
    bool first = true;
    for (struct span s; (s = paragraph(rest, &rest)).n > 0; first = false) {
        if (!first)
            buf_str(p->out, ".PP\n");
        if (is_literal(s))
            man_literal(p->out, s);
        else
            man_fill(p->out, s);
    }
    if (first)
        man_fill(p->out, span_str(p->cmd->summary));
    if (!p->list)
        return;
    buf_str(p->out, ".SH COMMANDS\n");
    for (const struct opt_cmd *const *c = p->list; *c; c++) {
        buf_str(p->out, ".TP\n\\fB");
        man_text(p->out, (*c)->name);
        buf_str(p->out, "\\fR\n");
        man_fill(p->out, span_str((*c)->summary));
    }
}

static void man_reference(struct buf *out, const char *name, size_t n, bool last)
{
    buf_str(out, ".BR reprise");
    if (n > 0)
        buf_str(out, "\\-");
    for (size_t i = 0; i < n; i++)
        if (name[i] == ' ' || name[i] == '-')
            buf_str(out, "\\-");
        else
            buf_u8(out, (uint8_t)name[i]);
    buf_str(out, last ? " (1)\n" : " (1),\n");
}

static void man_see_also(const struct page *p)
{
    buf_str(p->out, ".SH SEE ALSO\n");
    const char *name = p->cmd->name, *verb = strchr(name, ' ');
    if (*name)
        man_reference(p->out, "", 0, !verb && !p->list);
    if (verb)
        man_reference(p->out, name, (size_t)(verb - name), true);
    for (const struct opt_cmd *const *c = p->list; c && *c; c++)
        man_reference(p->out, (*c)->name, strlen((*c)->name), !c[1]);
}

/* The day of the page: builds that set SOURCE_DATE_EPOCH are reproducible. */
static void man_date(char out[16])
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    uint64_t seconds;
    time_t when = time(NULL);
    if (epoch && span_u64(span_str(epoch), &seconds) && seconds < INT32_MAX)
        when = (time_t)seconds;
    struct tm tm;
    gmtime_r(&when, &tm);
    strftime(out, 16, "%Y-%m-%d", &tm);
}

static void man_page(const struct page *p)
{
    struct buf *out = p->out, title = {0};
    char date[16];
    man_date(date);
    full_name(p, "-", &title);
    buf_str(out, ".\\\" Made by 'reprise help --man-pages' from the option tables: do "
                 "not edit.\n.TH ");
    for (const char *c = buf_text(&title); *c; c++)
        if (*c == '-')
            buf_str(out, "\\-");
        else
            buf_u8(out, (uint8_t)toupper((unsigned char)*c));
    buf_fmt(out, " 1 %s \"reprise " REPRISE_VERSION "\"\n.SH NAME\n", date);
    man_text(out, buf_text(&title));
    buf_str(out, " \\- ");
    man_text(out, p->cmd->summary);
    buf_str(out, "\n.SH SYNOPSIS\n");
    buf_reset(&title);
    synopsis(p, &title);
    man_fill(out, buf_view(&title));
    buf_done(&title);
    man_description(p);
    man_options(p);
    man_environment(p);
    man_exit_status(p);
    buf_str(out, ".SH EXAMPLES\n");
    man_literal(out, span_str(p->cmd->examples));
    man_see_also(p);
}

/* --- Markdown ------------------------------------------------------------- */

/* Prose with what Markdown would read as markup taken literally. */
static void markdown_text(struct buf *out, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (strchr("\\`*_<>|[]", *c))
            buf_u8(out, '\\');
        buf_u8(out, *c == '\n' ? ' ' : (uint8_t)*c);
    }
}

static void markdown_options(const struct page *p)
{
    struct buf text = {0};
    static const char *const head = "\n| option | meaning |\n|---|---|\n";
    if (rows_of(p)->type != OPT_GROUP)
        buf_str(p->out, head);
    for (const struct opt *o = rows_of(p); o->name; o++) {
        if (o->type == OPT_GROUP) {
            buf_fmt(p->out, "\n**%s**\n%s", o->name, head);
            continue;
        }
        buf_reset(&text);
        explain(o, &text);
        buf_str(p->out, "| `");
        heading(o, p->out);
        buf_str(p->out, "` | ");
        markdown_text(p->out, buf_text(&text));
        buf_str(p->out, " |\n");
    }
    buf_str(p->out, "| `-h, --help` | print a summary and exit |\n");
    buf_done(&text);
}

static void markdown_about(const struct page *p)
{
    struct span rest = span_str(p->cmd->about);
    for (struct span s; (s = paragraph(rest, &rest)).n > 0;) {
        buf_u8(p->out, '\n');
        if (is_literal(s)) {
            buf_str(p->out, "```\n");
            buf_span(p->out, s);
            buf_str(p->out, "\n```\n");
            continue;
        }
        struct buf text = {0};
        buf_span(&text, s);
        markdown_text(p->out, buf_text(&text));
        buf_u8(p->out, '\n');
        buf_done(&text);
    }
}

static void markdown_page(const struct page *p)
{
    struct buf *out = p->out;
    buf_str(out, p->list && !*p->cmd->name ? "# " : "## ");
    full_name(p, " ", out);
    buf_str(out, "\n\n");
    markdown_text(out, p->cmd->summary);
    buf_str(out, "\n\n```\n");
    synopsis(p, out);
    buf_str(out, "\n```\n");
    markdown_about(p);
    if (p->list) {
        buf_str(out, "\n| command | does |\n|---|---|\n");
        for (const struct opt_cmd *const *c = p->list; *c; c++) {
            buf_fmt(out, "| `%s` | ", (*c)->name);
            markdown_text(out, (*c)->summary);
            buf_str(out, " |\n");
        }
    }
    markdown_options(p);
    if (p->list && !*p->cmd->name) {
        buf_str(out, "\n| exit status | meaning |\n|---|---|\n");
        for (size_t i = 0; i < EXIT_COUNT; i++) {
            buf_fmt(out, "| %d | ", exit_table[i].status);
            markdown_text(out, exit_table[i].meaning);
            buf_str(out, " |\n");
        }
    }
    buf_str(out, "\n```sh\n");
    example_lines(p, "");
    buf_str(out, "```\n");
}

/* --- the pages ------------------------------------------------------------ */

void opt_describe_list(const struct opt_cmd *about, const struct opt_cmd *const *cmds,
                       enum opt_format format, struct buf *out)
{
    const struct page p = {about, cmds, out};
    if (format == OPT_TEXT)
        text_page(&p);
    else if (format == OPT_MAN)
        man_page(&p);
    else
        markdown_page(&p);
}

void opt_describe(const struct opt_cmd *cmd, enum opt_format format, struct buf *out)
{
    opt_describe_list(cmd, NULL, format, out);
}
