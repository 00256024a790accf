/*
 * gate_options.h - what compare and plan are both asked: runs of A and of B, gates,
 * tolerances.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_GATE_OPTIONS_H
#define ANALYSIS_GATE_OPTIONS_H

#include "analysis/compare.h"
#include "traces/base/opt.h"

struct ana_gate_options {
    const char *vs; /* for the help alone: ana_vs_mark handles it */
    struct opt_strv gates, tolerances;
    double error_margin, alpha;
    int64_t floor_ns, warmup_ns;
    uint64_t seed;
};

/* Rows of an option table whose config has a struct ana_gate_options `member`. */
/* clang-format off */
#define ANA_GATE_OPTION_ROWS(config_type, member)                                        \
    {.name = "vs", .type = OPT_STR,                                                      \
     .at = offsetof(config_type, member.vs), .arg = "RUN...",                            \
     .help = "what stands before it is A, the baseline; what follows is B"},             \
    {.name = "gate", .type = OPT_STRV,                                                   \
     .at = offsetof(config_type, member.gates), .arg = "METRIC:QUANTILE[:MODEL]",        \
     .help =                                                                             \
         "judge this instead of response:p50, response:p95 and response:p99. METRIC is " \
         "response, response_ok, service, ttfb, first_message, message_gap, or errors "  \
         "(which has no quantile: errors or errors:MODEL); \"default\" stands for the "  \
         "three. The error rate of all operations is always judged"},                    \
    {.name = "tolerance", .type = OPT_STRV,                                              \
     .at = offsetof(config_type, member.tolerances), .arg = "QUANTILE=PERCENT",          \
     .help =                                                                             \
         "smallest change of a quantile that matters: \"p99=5\". Without it 2 % up to "  \
         "p90, 3 % up to p99, 10 % beyond"},                                             \
    {.name = "floor", .type = OPT_DURATION,                                              \
     .at = offsetof(config_type, member.floor_ns), .arg = "DURATION", .def = "100us",    \
     .help =                                                                             \
         "differences below DURATION never matter, nor below twice the generator's own " \
         "lateness at p99"},                                                             \
    {.name = "error-margin", .type = OPT_F64,                                            \
     .at = offsetof(config_type, member.error_margin), .arg = "POINTS", .def = "0.1",    \
     .help =                                                                             \
         "smallest change of the error rate that matters, in percentage points"},        \
    {.name = "alpha", .type = OPT_F64,                                                   \
     .at = offsetof(config_type, member.alpha), .arg = "PERCENT", .def = "5",            \
     .help = "risk of a false alarm over all gates, on each side"},                      \
    {.name = "warmup", .type = OPT_DURATION,                                             \
     .at = offsetof(config_type, member.warmup_ns), .arg = "DURATION", .def = "0",       \
     .help =                                                                             \
         "leave out operations due before DURATION, in all runs alike; warm-up and "     \
         "cool-down that replay noted are left out anyway"},                             \
    {.name = "seed", .type = OPT_U64,                                                    \
     .at = offsetof(config_type, member.seed), .arg = "N", .def = "1",                   \
     .help = "of the random sign patterns, used with more than 14 pairs"}
/* clang-format on */

/* What the options ask for. `compare` borrows from argv, from the options and from the
 * rest of the struct, which must therefore stay where it is. */
struct ana_gate_request {
    struct ana_compare_config compare;
    struct ana_gate_spec gates[ANA_GATES_MAX];
    struct ana_tolerance tolerances[ANA_GATES_MAX];
};

/* --vs parts the operands and takes no value, which option tables cannot say: to be
 * called before opt_parse. */
void ana_vs_mark(int argc, char **argv);
/* After opt_parse, which left the operands in argv[1..operands]. ERR_USAGE. */
int ana_gate_options_read(struct ana_gate_request *r, const struct ana_gate_options *o,
                          int operands, char **argv, struct err *e) MUST_USE;
void ana_gate_options_done(struct ana_gate_options *o);

/* ana_compare, with a line on standard error that shows how far the reading is. */
int ana_compare_shown(struct ana_comparison *c, struct ana_compare_config *config,
                      bool quiet, struct err *e) MUST_USE;

#endif
