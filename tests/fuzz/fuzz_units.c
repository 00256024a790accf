/*
 * fuzz_units.c - numbers with units, and whole command lines.
 *
 * The input is a command line with a NUL behind each argument. Every argument is also
 * read as each kind of number: what is accepted must survive being printed and read
 * again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "traces/base/opt.h"
#include "traces/base/units.h"

#define ARGS_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* An error has a text of one piece, and nothing was written to the value. */
static void require_error(int rc, const struct err *e)
{
    require(rc == ERR_USAGE && e->code == ERR_USAGE && e->text[0] != '\0');
    require(strlen(e->text) < sizeof e->text);
}

/* Three figures are printed: half a unit of the last is at most 0.5 %. */
static void require_near(double a, double b)
{
    require(fabs(a - b) <= 0.00501 * b);
}

static void read_numbers(const char *text)
{
    char printed[UNITS_TEXT_MAX];
    struct err e = {0};
    int64_t ns = -7, ns_again;
    int rc = units_duration(text, &ns, &e);
    if (rc == 0) {
        require(ns >= 0);
        units_duration_text(ns, printed);
        if (ns < INT64_MAX / 100 * 99) { /* near the end rounding leaves the range */
            require(units_duration(printed, &ns_again, NULL) == 0);
            require_near((double)ns_again, (double)ns);
        }
    } else {
        require_error(rc, &e);
        require(ns == -7);
    }
    uint64_t bytes, bytes_again;
    err_clear(&e);
    rc = units_size(text, &bytes, &e);
    if (rc == 0 && bytes < UINT64_MAX / 100 * 99) {
        require(units_size(units_size_text(bytes, printed), &bytes_again, NULL) == 0);
        require_near((double)bytes_again, (double)bytes);
    } else if (rc != 0) {
        require_error(rc, &e);
    }
    double rate, rate_again;
    err_clear(&e);
    rc = units_rate(text, &rate, &e);
    if (rc == 0) {
        require(rate >= 0 && isfinite(rate));
        units_rate_text(rate, printed);
        if (rate < 1e18 && rate > 1e-9) {
            require(units_rate(printed, &rate_again, NULL) == 0);
            require_near(rate_again, rate);
        }
    } else {
        require_error(rc, &e);
    }
    uint64_t u;
    double f;
    err_clear(&e);
    if ((rc = units_u64(text, &u, &e)) == 0)
        require(span_u64(span_str(text), &bytes) && bytes == u);
    else
        require_error(rc, &e);
    err_clear(&e);
    if ((rc = units_f64(text, &f, &e)) == 0)
        require(isfinite(f));
    else
        require_error(rc, &e);
}

struct config {
    bool flag;
    const char *text;
    struct opt_strv list;
    int64_t ns;
    double rate;
    int choice;
};

static void parse_command_line(int argc, char **argv)
{
    static const char *const choices[] = {"rest", "grpc", NULL};
    static const struct opt rows[] = {
        {"flag", 'f', OPT_FLAG, offsetof(struct config, flag), NULL, "true", "", NULL,
         NULL},
        {"text", 't', OPT_STR, offsetof(struct config, text), "T", "x", "", NULL, NULL},
        {"list", 'l', OPT_STRV, offsetof(struct config, list), "L", NULL, "", NULL,
         NULL},
        {"time", 'd', OPT_DURATION, offsetof(struct config, ns), "D", "1s", "", NULL,
         NULL},
        {"rate", 0, OPT_RATE, offsetof(struct config, rate), "R", NULL, "", NULL, NULL},
        {"pick", 'p', OPT_CHOICE, offsetof(struct config, choice), "C", "grpc", "",
         choices, NULL},
        {.name = NULL},
    };
    static const struct opt_cmd cmd = {.name = "fuzz",
                                       .summary = "x",
                                       .synopsis = "[X]",
                                       .about = "",
                                       .opts = rows,
                                       .examples = "",
                                       .max_args = 3};
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], "--help", 6) == 0 || strchr(argv[i], 'h'))
            return; /* would print */
    struct config config = {0};
    struct err e = {0};
    int operands, rc = opt_parse(&cmd, argc, argv, &config, &operands, &e);
    if (rc == 0)
        require(operands >= 0 && operands <= 3 && config.text && config.choice >= 0 &&
                config.choice < 2 && config.ns >= 0);
    else
        require_error(rc, &e);
    opt_strv_done(&config.list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1), *argv[ARGS_MAX + 2], name[] = "fuzz";
    if (!copy)
        return 0;
    if (size)
        memcpy(copy, data, size);
    copy[size] = '\0';
    int argc = 0;
    argv[argc++] = name;
    for (size_t at = 0; at < size && argc <= ARGS_MAX; at += strlen(copy + at) + 1) {
        argv[argc++] = copy + at;
        read_numbers(copy + at);
    }
    argv[argc] = NULL;
    parse_command_line(argc, argv);
    free(copy);
    return 0;
}
