/*
 * arr_process.c - renewal processes of mean gap 1 in equilibrium.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/synth/arr_process.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "traces/base/units.h"

const char *const arr_family_names[] = {"constant", "poisson", "gamma", "weibull",
                                        NULL};

static double constant_gap(struct arr_process *p, struct rng *rng, bool first)
{
    (void)rng;
    return first ? p->phase : 1;
}

/* Without memory: what is left of a gap is distributed as the gap. */
static double poisson_gap(struct arr_process *p, struct rng *rng, bool first)
{
    (void)p;
    (void)first;
    return rng_exponential(rng);
}

/* A length-biased Gamma(k) is a Gamma(k + 1). */
static double gamma_gap(struct arr_process *p, struct rng *rng, bool first)
{
    if (first)
        return rng_open(rng) * rng_gamma(rng, p->shape + 1) * p->scale;
    return rng_gamma(rng, p->shape) * p->scale;
}

/* With u = x^k, the length-biased density x k x^(k-1) exp(-x^k) dx becomes u^(1/k)
 * exp(-u) du: u is a Gamma(1 + 1/k), and x = u^(1/k). */
static double weibull_gap(struct arr_process *p, struct rng *rng, bool first)
{
    double u = first ? rng_gamma(rng, 1 + 1 / p->shape) : rng_exponential(rng);
    /* The scale joins in the exponent: u^(1/k) alone may leave the doubles. */
    double x = rng_exp(rng_log(u) / p->shape + p->scale);
    return first ? rng_open(rng) * x : x;
}

int arr_process_init(struct arr_process *p, enum arr_family family, double shape,
                     struct err *e)
{
    *p = (struct arr_process){.family = family};
    if (family == ARR_CONSTANT) {
        p->gap = constant_gap;
        return 0;
    }
    if (family == ARR_POISSON) {
        p->gap = poisson_gap;
        return 0;
    }
    double least = family == ARR_GAMMA ? ARR_GAMMA_MIN : ARR_WEIBULL_MIN;
    if (!(shape >= least && shape <= ARR_SHAPE_MAX))
        return err_set(e, ERR_USAGE, "%s shape %g is not in %g..%g",
                       arr_family_names[family], shape, least, ARR_SHAPE_MAX);
    p->shape = shape;
    if (family == ARR_GAMMA) {
        p->gap = gamma_gap;
        p->scale = 1 / shape;
    } else {
        p->gap = weibull_gap;
        p->scale = -rng_log(arr_gamma_function(1 + 1 / shape));
    }
    return 0;
}

static int parse_shape(const char *text, const char *family, double *value,
                       struct err *e)
{
    if (units_f64(text, value, e) < 0 || !(*value > 0)) {
        err_set(e, ERR_USAGE, "%s must be above 0", text);
        return err_note(e, "arrivals '%s'", family);
    }
    return 0;
}

int arr_process_parse(struct arr_process *p, const char *text, struct err *e)
{
    double value;
    if (strcmp(text, "constant") == 0)
        return arr_process_init(p, ARR_CONSTANT, 0, e);
    if (strcmp(text, "poisson") == 0)
        return arr_process_init(p, ARR_POISSON, 0, e);
    if (strncmp(text, "gamma:", 6) == 0) {
        if (parse_shape(text + 6, "gamma:CV", &value, e) < 0)
            return e ? e->code : ERR_USAGE;
        return arr_process_init(p, ARR_GAMMA, 1 / (value * value), e);
    }
    if (strncmp(text, "weibull:", 8) == 0) {
        if (parse_shape(text + 8, "weibull:SHAPE", &value, e) < 0)
            return e ? e->code : ERR_USAGE;
        return arr_process_init(p, ARR_WEIBULL, value, e);
    }
    return err_set(
        e, ERR_USAGE,
        "unknown arrivals '%s': say constant, poisson, gamma:CV or weibull:SHAPE",
        text);
}

/* 1 / Gamma(1 + f) = sum of c_k f^k (Abramowitz and Stegun, 6.1.34). */
static const double reciprocal_gamma[] = {
    1.0000000000000000,  0.5772156649015329,  -0.6558780715202538, -0.0420026350340952,
    0.1665386113822915,  -0.0421977345555443, -0.0096219715278770, 0.0072189432466630,
    -0.0011651675918591, -0.0002152416741149, 0.0001280502823882,  -0.0000201348547807,
    -0.0000012504934821, 0.0000011330272320,  -0.0000002056338417, 0.0000000061160950,
    0.0000000050020075,  -0.0000000011812746, 0.0000000001043427,  0.0000000000077823,
    -0.0000000000036968, 0.0000000000005100,  -0.0000000000000206, -0.0000000000000054,
    0.0000000000000014,  0.0000000000000001,
};

double arr_gamma_function(double x)
{
    assert(x >= 1 && x <= 101);
    double f = x - 1, product = 1;
    for (; f > 1; f -= 1)
        product *= f;
    double sum = 0;
    for (size_t i = sizeof reciprocal_gamma / sizeof *reciprocal_gamma; i-- > 0;)
        sum = sum * f + reciprocal_gamma[i];
    return product / sum;
}
