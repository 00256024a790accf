/*
 * arr_process.h - how arrivals are spaced in operational time, at one per unit.
 *
 * The second layer of synthesis (arr_rate.h names the three). A process hands out gaps
 * of mean 1. The renewal families here draw gaps independently: constant (no
 * randomness), exponential (Poisson), gamma and Weibull, scaled to mean 1. The first
 * gap of a renewal process is drawn from the equilibrium distribution (the rest of a
 * gap that contains a random moment: a length-biased gap times a uniform number; Cox,
 * "Renewal Theory", 1962, ch. 5). The process is then stationary from its first
 * instant: every window of length w expects exactly w arrivals, where a start with a
 * full gap after an arrival at 0 would expect (CV^2 - 1) / 2 more. Not thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_SYNTH_ARR_PROCESS_H
#define TRACES_SYNTH_ARR_PROCESS_H

#include "traces/base/err.h"
#include "traces/base/rng.h"

enum arr_family { ARR_CONSTANT, ARR_POISSON, ARR_GAMMA, ARR_WEIBULL };
extern const char
    *const arr_family_names[]; /* "constant" "poisson" "gamma" "weibull" */

/* Other kinds of process (gaps with memory, …) set `gap` and put this struct first in
 * their own. */
struct arr_process {
    /* The next gap, >= 0; the one in front of the first arrival when `first`. */
    double (*gap)(struct arr_process *p, struct rng *rng, bool first);
    enum arr_family family;
    double shape; /* gamma, Weibull */
    double scale; /* that makes their mean 1: of gamma a factor, of Weibull its ln */
    double phase; /* constant: operational time of the first arrival */
};

/* Shapes that are taken. Below, the mean gap of a Weibull in units of its scale leaves
 * the doubles (it is Gamma(1 + 1/shape)) and one gap swallows a whole trace; above,
 * gaps are equal. Real fits reach from 0.0067 to 45,000 (ServeGen, gamma). */
#define ARR_GAMMA_MIN   0.001
#define ARR_WEIBULL_MIN 0.01
#define ARR_SHAPE_MAX   1e6

/* A renewal process. shape is ignored by constant and Poisson; phase is 0. ERR_USAGE
 * for a shape outside of the limits. */
int arr_process_init(struct arr_process *p, enum arr_family family, double shape,
                     struct err *e) MUST_USE;

/* From "constant", "poisson", "gamma:CV" (coefficient of variation: shape 1/CV^2) or
 * "weibull:SHAPE". ERR_USAGE names what can be said. */
int arr_process_parse(struct arr_process *p, const char *text, struct err *e) MUST_USE;

/* The gamma function for 1 <= x <= 101, to 1e-14, with the same bits on every machine.
 */
double arr_gamma_function(double x);

#endif
