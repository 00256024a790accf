/*
 * test_opt.c - every type of option, where values come from, and what is said when they
 * are wrong.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/check.h"
#include "traces/base/opt.h"

struct config {
    bool json, spin;
    const char *output;
    struct opt_strv targets;
    uint64_t seed;
    double factor;
    int64_t duration_ns;
    uint64_t bytes;
    double rate;
    int protocol;
};

#define AT(field) offsetof(struct config, field)

static const char *const protocols[] = {"rest", "grpc", "both", NULL};
static const struct opt opts[] = {
    {.name = "output",
     .letter = 'o',
     .type = OPT_STR,
     .at = AT(output),
     .arg = "FILE",
     .help = "write the trace to FILE; \"-\" is standard output"},
    {.name = "target",
     .type = OPT_STRV,
     .at = AT(targets),
     .arg = "NAME",
     .env = "TEST_TARGET",
     .help = "a target"},
    {.name = "seed",
     .letter = 's',
     .type = OPT_U64,
     .at = AT(seed),
     .arg = "N",
     .def = "1",
     .help = "seed of all random numbers; the same seed, options and version give the "
             "same bytes on every machine"},
    {.name = "factor",
     .type = OPT_F64,
     .at = AT(factor),
     .arg = "X",
     .help = "a factor"},
    {.name = "duration",
     .letter = 'd',
     .type = OPT_DURATION,
     .at = AT(duration_ns),
     .arg = "D",
     .def = "60s",
     .env = "TEST_DURATION",
     .help = "length of the trace"},
    {.name = "max-body",
     .type = OPT_SIZE,
     .at = AT(bytes),
     .arg = "SIZE",
     .help = "a limit"},
    {.name = "rate",
     .type = OPT_RATE,
     .at = AT(rate),
     .arg = "N",
     .help = "operations per second"},
    {.name = "protocol",
     .letter = 'p',
     .type = OPT_CHOICE,
     .at = AT(protocol),
     .arg = "NAME",
     .choices = protocols,
     .def = "both",
     .env = "TEST_PROTOCOL",
     .help = "what to speak"},
    {.name = "json",
     .letter = 'j',
     .type = OPT_FLAG,
     .at = AT(json),
     .env = "TEST_JSON",
     .help = "print the summary as JSON"},
    {.name = "spin",
     .type = OPT_FLAG,
     .at = AT(spin),
     .def = "true",
     .help = "poll before a send"},
    {.name = NULL},
};
static const struct opt_cmd cmd = {
    .name = "trace make",
    .summary = "make a trace for tests",
    .synopsis = "[FILE]... -o TRACE [OPTION]...",
    .about = "The first paragraph is long enough that it has to be broken into more "
             "than one line of a terminal.\nIt goes on.\n\n"
             "  a table   stays\n  as        it is\n\n"
             "The last one says \\ and -x.",
    .opts = opts,
    .examples = "# make one\nreprise trace make -o x.trace\n\n.dot at the start\n",
    .min_args = 0,
    .max_args = 2,
};

static struct config config;
static struct err e;
static char *args[32];

/* Parses words separated by blanks. The number of operands, or what opt_parse gave. */
static int parse_with(const struct opt_cmd *with, const char *line)
{
    static char copy[512];
    int argc = 0, operands = -1;
    snprintf(copy, sizeof copy, "make %s", line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        args[argc++] = word;
    opt_strv_done(&config.targets);
    config = (struct config){0};
    err_clear(&e);
    int rc = opt_parse(with, argc, args, &config, &operands, &e);
    return rc == 0 ? operands : rc;
}

static int parse(const char *line)
{
    return parse_with(&cmd, line);
}

static void refused(const char *line, const char *text)
{
    check_int(parse(line), ==, ERR_USAGE);
    check_str(e.text, text);
}

static void defaults_fill_what_is_not_given(void **state)
{
    (void)state;
    check_int(parse(""), ==, 0);
    check_true(config.seed == 1 && config.duration_ns == INT64_C(60000000000));
    check_int(config.protocol, ==, 2);
    check_true(config.spin && !config.json);
    check_true(config.output == NULL && config.targets.n == 0);
    check_true(config.factor == 0 && config.bytes == 0 && config.rate == 0);
    check_true(!opt_given(&cmd, "seed"));
}

static void every_type_takes_its_values(void **state)
{
    (void)state;
    check_int(
        parse("--output a --target x --target y --seed 7 --factor -1.5e3 --duration "
              "250ms --max-body 64KiB --rate 12/m --protocol rest --json --no-spin"),
        ==, 0);
    check_str(config.output, "a");
    check_int(config.targets.n, ==, 2);
    check_str(config.targets.v[0], "x");
    check_str(config.targets.v[1], "y");
    check_true(config.seed == 7 && config.factor == -1500 && config.bytes == 65536);
    check_true(config.duration_ns == 250000000 && config.rate == 0.2);
    check_true(config.protocol == 0 && config.json && !config.spin);
    check_true(opt_given(&cmd, "seed") && opt_given(&cmd, "spin"));
}

static void values_may_be_joined_by_an_equals_sign(void **state)
{
    (void)state;
    check_int(parse("--output=a=b --seed=3 --target= --duration=0"), ==, 0);
    check_str(config.output, "a=b");
    check_int(config.seed, ==, 3);
    check_str(config.targets.v[0], "");
    check_int(config.duration_ns, ==, 0);
}

static void letters_may_be_bundled_and_joined(void **state)
{
    (void)state;
    check_int(parse("-o a -s7 -jd5s"), ==, 0);
    check_str(config.output, "a");
    check_true(config.seed == 7 && config.json &&
               config.duration_ns == INT64_C(5000000000));
    refused("-jx", "unknown option '-x' in '-jx'");
    refused("-o", "--output needs a value: FILE");
    refused("-sx", "--seed: 'x' is not a whole number");
}

static void the_last_of_several_counts(void **state)
{
    (void)state;
    check_int(parse("--seed 1 --seed 2 --json --no-json --no-spin --spin"), ==, 0);
    check_true(config.seed == 2 && !config.json && config.spin);
}

static void operands_are_gathered_from_anywhere(void **state)
{
    (void)state;
    check_int(parse("one --seed 4 two"), ==, 2);
    check_str(args[1], "one");
    check_str(args[2], "two");
    check_int(config.seed, ==, 4);
    check_int(parse("--json - -- --seed"), ==, 2);
    check_str(args[1], "-");
    check_str(args[2], "--seed");
    check_int(parse("--"), ==, 0);
}

static void too_many_or_too_few_operands_are_refused(void **state)
{
    (void)state;
    refused("one two three four", "unexpected operand 'three'");
    struct opt_cmd strict = cmd;
    strict.min_args = 1;
    check_int(parse_with(&strict, ""), ==, ERR_USAGE);
    check_str(
        e.text,
        "operand missing; usage: reprise trace make [FILE]... -o TRACE [OPTION]...");
    strict.max_args = -1;
    check_int(parse_with(&strict, "1 2 3 4 5"), ==, 5);
}

static void abbreviations_are_refused_and_the_whole_name_is_told(void **state)
{
    (void)state;
    refused("--dur 5s", "unknown option '--dur'; did you mean '--duration'?");
    refused("--out=x", "unknown option '--out'; did you mean '--output'?");
    refused("--se 5", "unknown option '--se'; did you mean '--seed'?");
}

static void an_unknown_option_suggests_the_nearest(void **state)
{
    (void)state;
    refused("--sede 5", "unknown option '--sede'; did you mean '--seed'?");
    refused("--max_body 5", "unknown option '--max_body'; did you mean '--max-body'?");
    refused("--halp", "unknown option '--halp'; did you mean '--help'?");
    refused("--completely-else", "unknown option '--completely-else'");
    refused("--no-seed", "unknown option '--no-seed'");
    refused("-x", "unknown option '-x' in '-x'");
    refused("-5", "unknown option '-5' in '-5'");
}

static void bad_values_name_their_option(void **state)
{
    (void)state;
    refused("--seed -1", "--seed: '-1' must not be negative");
    refused("--factor two", "--factor: 'two' is not a number");
    refused("--duration 20", "--duration: '20' needs a unit: ns us ms s m h");
    refused("--max-body 1k",
            "--max-body: '1k' has an unknown unit; known are: B KB MB GB KiB MiB GiB");
    refused("--protocol http", "--protocol: 'http' is not one of: rest, grpc, both");
    refused("--json=yes", "--json takes no value");
    refused("--no-json=yes", "--no-json takes no value");
    refused("--rate", "--rate needs a value: N");
    check_int(parse("--rate x"), ==, ERR_USAGE);
    check_str_has(e.text, "--rate: 'x' is not a rate");
}

static void the_environment_stands_between_command_line_and_default(void **state)
{
    (void)state;
    setenv("TEST_DURATION", "2m", 1);
    setenv("TEST_PROTOCOL", "grpc", 1);
    setenv("TEST_TARGET", "from-env", 1);
    setenv("TEST_JSON", "true", 1);
    check_int(parse("--protocol rest"), ==, 0);
    check_true(config.duration_ns == INT64_C(120000000000)); /* over the default */
    check_int(config.protocol, ==, 0); /* under the command line */
    check_int(config.targets.n, ==, 1);
    check_str(config.targets.v[0], "from-env");
    check_true(config.json);
    check_true(opt_given(&cmd, "duration") && !opt_given(&cmd, "seed"));
    check_int(parse("--target a --no-json"), ==, 0);
    check_int(config.targets.n, ==, 1); /* instead of the environment's, not besides */
    check_str(config.targets.v[0], "a");
    check_true(!config.json);

    setenv("TEST_JSON", "off", 1);
    setenv("TEST_DURATION", "", 1); /* empty is unset */
    check_int(parse(""), ==, 0);
    check_true(!config.json && config.duration_ns == INT64_C(60000000000));
    check_true(!opt_given(&cmd, "duration") && opt_given(&cmd, "json"));

    setenv("TEST_DURATION", "20", 1);
    refused("", "environment variable TEST_DURATION: --duration: '20' needs a unit: ns "
                "us ms s m h");
    check_int(parse("-d 1s"), ==, 0); /* what is overruled is not looked at */
    unsetenv("TEST_DURATION");
    setenv("TEST_JSON", "maybe", 1);
    refused(
        "",
        "environment variable TEST_JSON: --json: 'maybe' is neither true nor false");
    unsetenv("TEST_JSON");
    unsetenv("TEST_PROTOCOL");
    unsetenv("TEST_TARGET");
}

static void a_row_may_itself_be_called_no_something(void **state)
{
    (void)state;
    static const struct opt rows[] = {
        {.name = "no-spin", .type = OPT_FLAG, .at = AT(json), .help = "x"},
        {.name = NULL}};
    struct opt_cmd negative = cmd;
    negative.opts = rows;
    check_int(parse_with(&negative, "--no-spin"), ==, 0);
    check_true(config.json);
    check_int(parse_with(&negative, "--no-spin --no-no-spin"), ==, 0);
    check_true(!config.json);
    check_int(parse_with(&negative, "--spin"), ==, ERR_USAGE);
}

static void a_command_may_have_no_options(void **state)
{
    (void)state;
    struct opt_cmd bare = cmd;
    bare.opts = NULL;
    check_int(parse_with(&bare, "x"), ==, 1);
    check_int(parse_with(&bare, "--seed 1"), ==, ERR_USAGE);
}

/* Runs f with stdout (or stderr) in a file, and gives what was written. */
static const char *capture(FILE *stream, int (*f)(void), int *rc)
{
    static struct buf text;
    char path[] = "/tmp/test_opt_XXXXXX";
    int fd = mkstemp(path), target = fileno(stream);
    fflush(stream);
    int saved = dup(target);
    dup2(fd, target);
    *rc = f();
    fflush(stream);
    dup2(saved, target);
    close(saved);
    close(fd);
    buf_done(&text);
    check_ok(buf_read_file(&text, path, 1 << 20, NULL), NULL);
    unlink(path);
    return buf_text(&text);
}

static int parse_help(void)
{
    return parse("--json --help --nonsense");
}

static int parse_h(void)
{
    return parse("-jh");
}

static void help_is_printed_and_ends_the_parsing(void **state)
{
    (void)state;
    int rc;
    struct buf wanted = {0};
    opt_describe(&cmd, OPT_TEXT, &wanted);
    check_str(capture(stdout, parse_help, &rc), buf_text(&wanted));
    check_int(rc, ==, 1);
    check_str(capture(stdout, parse_h, &rc), buf_text(&wanted));
    check_int(rc, ==, 1);
    buf_done(&wanted);
}

static int fail_usage(void)
{
    parse("--sede");
    return opt_fail(&cmd, &e);
}

static int fail_data(void)
{
    err_clear(&e);
    err_set(&e, ERR_FORMAT, "broken");
    return opt_fail(&cmd, &e);
}

static void failures_are_printed_with_command_and_advice(void **state)
{
    (void)state;
    int rc;
    check_str(capture(stderr, fail_usage, &rc),
              "reprise trace make: unknown option '--sede'; did you mean '--seed'?\n"
              "Try 'reprise trace make --help'.\n");
    check_int(rc, ==, EXIT_USAGE);
    check_str(capture(stderr, fail_data, &rc), "reprise trace make: broken\n");
    check_int(rc, ==, EXIT_DATA);
}

static void nearest_names_are_near(void **state)
{
    (void)state;
    static const char *const names[] = {"synth",  "import",  "trace", "replay",
                                        "report", "compare", NULL};
    check_str(opt_nearest("synht", names), "synth");
    check_str(opt_nearest("relpay", names), "replay");
    check_str(opt_nearest("rep", names),
              "replay"); /* an abbreviation: the first of two */
    check_str(opt_nearest("cmopare", names), "compare");
    check_str(opt_nearest("trase", names), "trace");
    check_true(opt_nearest("", names) == NULL);
    check_true(opt_nearest("x", names) == NULL);
    check_true(opt_nearest("kubernetes", names) == NULL);
    char huge[1000];
    memset(huge, 'a', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    check_true(opt_nearest(huge, names) == NULL);
}

static void check_page(enum opt_format format, const char *wanted)
{
    struct buf page = {0};
    setenv("SOURCE_DATE_EPOCH", "1935662400", 1);
    opt_describe(&cmd, format, &page);
    unsetenv("SOURCE_DATE_EPOCH");
    check_str(buf_text(&page), wanted);
    buf_done(&page);
}

static void the_text_page_is_this(void **state)
{
    (void)state;
    check_page(
        OPT_TEXT,
        "Usage: reprise trace make [FILE]... -o TRACE [OPTION]...\n"
        "\n"
        "make a trace for tests\n"
        "\n"
        "The first paragraph is long enough that it has to be broken into more than "
        "one\n"
        "line of a terminal. It goes on.\n"
        "\n"
        "  a table   stays\n"
        "  as        it is\n"
        "\n"
        "The last one says \\ and -x.\n"
        "\n"
        "Options:\n"
        "  -o, --output FILE       write the trace to FILE; \"-\" is standard output\n"
        "      --target NAME       a target (may be given more than once; "
        "environment:\n"
        "                          TEST_TARGET)\n"
        "  -s, --seed N            seed of all random numbers; the same seed, options "
        "and\n"
        "                          version give the same bytes on every machine "
        "(default:\n"
        "                          1)\n"
        "      --factor X          a factor\n"
        "  -d, --duration D        length of the trace (default: 60s; environment:\n"
        "                          TEST_DURATION)\n"
        "      --max-body SIZE     a limit\n"
        "      --rate N            operations per second\n"
        "  -p, --protocol NAME     what to speak (one of: rest, grpc, both; default:\n"
        "                          both; environment: TEST_PROTOCOL)\n"
        "  -j, --json              print the summary as JSON (environment: TEST_JSON)\n"
        "      --[no-]spin         poll before a send (default: on)\n"
        "  -h, --help              print this text and exit\n"
        "\n"
        "Exit status:\n"
        "    0  done; of a comparison: no difference that matters was found\n"
        "    1  regressed: a difference was found (trace scan: a secret)\n"
        "    2  inconclusive: the measurements cannot decide\n"
        "    3  a measurement that must not be believed, or damaged data that was\n"
        "       repaired with loss\n"
        "   64  usage: the command line or a configuration makes no sense\n"
        "   65  bad input data\n"
        "   69  the target is unavailable\n"
        "   74  input or output failed, or memory ran out\n"
        "  130  interrupted; files were closed properly\n"
        "\n"
        "Examples:\n"
        "  # make one\n"
        "  reprise trace make -o x.trace\n"
        "\n"
        "  .dot at the start\n");
}

static void the_man_page_is_this(void **state)
{
    (void)state;
    check_page(
        OPT_MAN,
        ".\\\" Made by 'reprise help --man-pages' from the option tables: do not "
        "edit.\n"
        ".TH REPRISE\\-TRACE\\-MAKE 1 2031-05-04 \"reprise " REPRISE_VERSION "\"\n"
        ".SH NAME\n"
        "reprise\\-trace\\-make \\- make a trace for tests\n"
        ".SH SYNOPSIS\n"
        "reprise trace make [FILE]... \\-o TRACE [OPTION]...\n"
        ".SH DESCRIPTION\n"
        "The first paragraph is long enough that it has to be broken into more than "
        "one\n"
        "line of a terminal. It goes on.\n"
        ".PP\n"
        ".nf\n"
        "  a table   stays\n"
        "  as        it is\n"
        ".fi\n"
        ".PP\n"
        "The last one says \\e and \\-x.\n"
        ".SH OPTIONS\n"
        ".TP\n"
        "\\fB\\-o\\fR, \\fB\\-\\-output\\fR \\fIFILE\\fR\n"
        "write the trace to FILE; \"\\-\" is standard output\n"
        ".TP\n"
        "\\fB\\-\\-target\\fR \\fINAME\\fR\n"
        "a target (may be given more than once; environment: TEST_TARGET)\n"
        ".TP\n"
        "\\fB\\-s\\fR, \\fB\\-\\-seed\\fR \\fIN\\fR\n"
        "seed of all random numbers; the same seed, options and version give the same\n"
        "bytes on every machine (default: 1)\n"
        ".TP\n"
        "\\fB\\-\\-factor\\fR \\fIX\\fR\n"
        "a factor\n"
        ".TP\n"
        "\\fB\\-d\\fR, \\fB\\-\\-duration\\fR \\fID\\fR\n"
        "length of the trace (default: 60s; environment: TEST_DURATION)\n"
        ".TP\n"
        "\\fB\\-\\-max\\-body\\fR \\fISIZE\\fR\n"
        "a limit\n"
        ".TP\n"
        "\\fB\\-\\-rate\\fR \\fIN\\fR\n"
        "operations per second\n"
        ".TP\n"
        "\\fB\\-p\\fR, \\fB\\-\\-protocol\\fR \\fINAME\\fR\n"
        "what to speak (one of: rest, grpc, both; default: both; environment:\n"
        "TEST_PROTOCOL)\n"
        ".TP\n"
        "\\fB\\-j\\fR, \\fB\\-\\-json\\fR\n"
        "print the summary as JSON (environment: TEST_JSON)\n"
        ".TP\n"
        "\\fB\\-\\-\\fR[\\fBno\\-\\fR]\\fBspin\\fR\n"
        "poll before a send (default: on)\n"
        ".TP\n"
        "\\fB\\-h\\fR, \\fB\\-\\-help\\fR\n"
        "print a summary and exit\n"
        ".SH ENVIRONMENT\n"
        "An option that is not given takes its value from the environment:\n"
        ".TP\n"
        "\\fBTEST_TARGET\\fR\n"
        "as \\fB\\-\\-target\\fR\n"
        ".TP\n"
        "\\fBTEST_DURATION\\fR\n"
        "as \\fB\\-\\-duration\\fR\n"
        ".TP\n"
        "\\fBTEST_PROTOCOL\\fR\n"
        "as \\fB\\-\\-protocol\\fR\n"
        ".TP\n"
        "\\fBTEST_JSON\\fR\n"
        "as \\fB\\-\\-json\\fR\n"
        ".SH EXIT STATUS\n"
        ".TP\n0\ndone; of a comparison: no difference that matters was found\n"
        ".TP\n1\nregressed: a difference was found (trace scan: a secret)\n"
        ".TP\n2\ninconclusive: the measurements cannot decide\n"
        ".TP\n3\na measurement that must not be believed, or damaged data that was "
        "repaired with\nloss\n"
        ".TP\n64\nusage: the command line or a configuration makes no sense\n"
        ".TP\n65\nbad input data\n"
        ".TP\n69\nthe target is unavailable\n"
        ".TP\n74\ninput or output failed, or memory ran out\n"
        ".TP\n130\ninterrupted; files were closed properly\n"
        ".SH EXAMPLES\n"
        ".nf\n"
        "# make one\n"
        "reprise trace make \\-o x.trace\n"
        "\n"
        "\\&.dot at the start\n"
        ".fi\n"
        ".SH SEE ALSO\n"
        ".BR reprise (1),\n"
        ".BR reprise\\-trace (1)\n");
}

static void the_markdown_section_is_this(void **state)
{
    (void)state;
    check_page(
        OPT_MARKDOWN,
        "## reprise trace make\n"
        "\n"
        "make a trace for tests\n"
        "\n"
        "```\n"
        "reprise trace make [FILE]... -o TRACE [OPTION]...\n"
        "```\n"
        "\n"
        "The first paragraph is long enough that it has to be broken into more than "
        "one line of a terminal. It goes on.\n"
        "\n"
        "```\n"
        "  a table   stays\n"
        "  as        it is\n"
        "```\n"
        "\n"
        "The last one says \\\\ and -x.\n"
        "\n"
        "| option | meaning |\n"
        "|---|---|\n"
        "| `-o, --output FILE` | write the trace to FILE; \"-\" is standard output |\n"
        "| `--target NAME` | a target (may be given more than once; environment: "
        "TEST\\_TARGET) |\n"
        "| `-s, --seed N` | seed of all random numbers; the same seed, options and "
        "version give the same bytes on every machine (default: 1) |\n"
        "| `--factor X` | a factor |\n"
        "| `-d, --duration D` | length of the trace (default: 60s; environment: "
        "TEST\\_DURATION) |\n"
        "| `--max-body SIZE` | a limit |\n"
        "| `--rate N` | operations per second |\n"
        "| `-p, --protocol NAME` | what to speak (one of: rest, grpc, both; default: "
        "both; environment: TEST\\_PROTOCOL) |\n"
        "| `-j, --json` | print the summary as JSON (environment: TEST\\_JSON) |\n"
        "| `--[no-]spin` | poll before a send (default: on) |\n"
        "| `-h, --help` | print a summary and exit |\n"
        "\n"
        "```sh\n"
        "# make one\n"
        "reprise trace make -o x.trace\n"
        "\n"
        ".dot at the start\n"
        "```\n");
}

static void groups_head_their_rows_and_are_no_options(void **state)
{
    (void)state;
    static const struct opt rows[] = {
        {.name = "first", .type = OPT_FLAG, .at = AT(json), .help = "x"},
        OPT_GROUP_ROW("When"),
        {.name = "second", .type = OPT_FLAG, .at = AT(spin), .help = "y"},
        {.name = NULL}};
    struct opt_cmd grouped = cmd;
    struct buf out = {0};
    grouped.opts = rows;
    check_int(parse_with(&grouped, "--When"), ==, ERR_USAGE);
    check_int(parse_with(&grouped, "--second"), ==, 0);
    check_true(config.spin);
    check_true(opt_given(&grouped, "second"));
    opt_describe(&grouped, OPT_TEXT, &out);
    check_true(strstr(buf_text(&out), "Options:\n      --first"));
    check_true(strstr(buf_text(&out), "\nWhen:\n      --second"));
    buf_reset(&out);
    opt_describe(&grouped, OPT_MAN, &out);
    check_true(strstr(buf_text(&out), "\n.SS When\n.TP\n"));
    buf_reset(&out);
    opt_describe(&grouped, OPT_MARKDOWN, &out);
    check_true(strstr(buf_text(&out),
                      "\n**When**\n\n| option | meaning |\n|---|---|\n| `--second"));
    buf_reset(&out);
    grouped.opts = rows + 1;
    opt_describe(&grouped, OPT_TEXT, &out);
    check_true(!strstr(buf_text(&out), "Options:"));
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_fill_what_is_not_given),
        cmocka_unit_test(every_type_takes_its_values),
        cmocka_unit_test(values_may_be_joined_by_an_equals_sign),
        cmocka_unit_test(letters_may_be_bundled_and_joined),
        cmocka_unit_test(the_last_of_several_counts),
        cmocka_unit_test(operands_are_gathered_from_anywhere),
        cmocka_unit_test(too_many_or_too_few_operands_are_refused),
        cmocka_unit_test(abbreviations_are_refused_and_the_whole_name_is_told),
        cmocka_unit_test(an_unknown_option_suggests_the_nearest),
        cmocka_unit_test(bad_values_name_their_option),
        cmocka_unit_test(the_environment_stands_between_command_line_and_default),
        cmocka_unit_test(a_row_may_itself_be_called_no_something),
        cmocka_unit_test(a_command_may_have_no_options),
        cmocka_unit_test(help_is_printed_and_ends_the_parsing),
        cmocka_unit_test(failures_are_printed_with_command_and_advice),
        cmocka_unit_test(nearest_names_are_near),
        cmocka_unit_test(the_text_page_is_this),
        cmocka_unit_test(the_man_page_is_this),
        cmocka_unit_test(the_markdown_section_is_this),
        cmocka_unit_test(groups_head_their_rows_and_are_no_options),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    opt_strv_done(&config.targets);
    return failed;
}
