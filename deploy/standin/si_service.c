/*
 * si_service.c - see si_service.h.
 *
 * Every draw inverts the distribution at a uniform number made from seed and key. That
 * makes "beyond a quantile" a comparison of that number, and lets one test compare
 * draws with quantiles.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "deploy/standin/si_service.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "traces/base/rng.h"
#include "traces/base/span.h"
#include "traces/base/units.h"

static double horner(const double *c, int n, double x)
{
    double v = 0;
    for (int i = n - 1; i >= 0; i--)
        v = v * x + c[i];
    return v;
}

/* Inverse of the normal distribution function, relative error about 1e-9 (P. J.
 * Acklam's rational approximation): ten digits are plenty for a duration in
 * nanoseconds. */
static double normal_quantile(double p)
{
    static const double a[] = {2.506628277459239e+00, -3.066479806614716e+01,
                               1.383577518672690e+02, -2.759285104469687e+02,
                               2.209460984245205e+02, -3.969683028665376e+01};
    static const double b[] = {1.0,
                               -1.328068155288572e+01,
                               6.680131188771972e+01,
                               -1.556989798598866e+02,
                               1.615858368580409e+02,
                               -5.447609879822406e+01};
    static const double c[] = {2.938163982698783e+00,  4.374664141464968e+00,
                               -2.549732539343734e+00, -2.400758277161838e+00,
                               -3.223964580411365e-01, -7.784894002430293e-03};
    static const double d[] = {1.0, 3.754408661907416e+00, 2.445134137142996e+00,
                               3.224671290700398e-01, 7.784695709041462e-03};
    const double low = 0.02425;
    if (p > 1 - low)
        return -normal_quantile(1 - p);
    if (p < low) {
        double q = sqrt(-2 * rng_log(p));
        return horner(c, 6, q) / horner(d, 5, q);
    }
    double q = p - 0.5, r = q * q;
    return horner(a, 6, r) * q / horner(b, 6, r);
}

static int64_t at_share(const struct si_service *s, double u)
{
    switch (s->kind) {
    case SI_FIXED:
        return s->fixed_ns;
    case SI_LOGNORMAL: {
        double ns = s->median_ns * rng_exp(s->sigma * normal_quantile(u));
        return ns < (double)SI_SERVICE_MAX_NS ? (int64_t)ns : SI_SERVICE_MAX_NS;
    }
    case SI_MODES:
        for (uint32_t i = 0; i + 1 < s->mode_count; i++)
            if (u < s->modes[i].upto)
                return s->modes[i].ns;
        return s->modes[s->mode_count - 1].ns;
    }
    return 0;
}

int64_t si_service_quantile(const struct si_service *s, double p)
{
    int64_t ns = at_share(s, p);
    if (s->slow_factor > 0 && p > s->slow_from) {
        double slow = (double)ns * s->slow_factor;
        ns = slow < (double)SI_SERVICE_MAX_NS ? (int64_t)slow : SI_SERVICE_MAX_NS;
    }
    return ns;
}

int64_t si_service_draw(const struct si_service *s, uint64_t key)
{
    /* The middle of one of 2^53 cells: never 0 nor 1. */
    uint64_t cell = rng_hash(s->seed, key) >> 11;
    return si_service_quantile(s, ((double)cell + 0.5) * 0x1p-53);
}

/* --- parsing ------------------------------------------------------------------- */

static int duration_of(struct span s, int64_t *ns, struct err *e)
{
    char text[64];
    if (s.n == 0 || s.n >= sizeof text)
        return err_set(e, ERR_USAGE, "'%.*s' is not a duration", SPAN_ARG(s));
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    int rc = units_duration(text, ns, e);
    if (rc < 0)
        return rc;
    if (*ns < 0 || *ns > SI_SERVICE_MAX_NS)
        return err_set(e, ERR_USAGE, "'%s': a service time is between 0 and 1h", text);
    return 0;
}

static int number_of(struct span s, double *v, struct err *e)
{
    char text[64];
    if (s.n == 0 || s.n >= sizeof text)
        return err_set(e, ERR_USAGE, "'%.*s' is not a number", SPAN_ARG(s));
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    return units_f64(text, v, e);
}

static int parse_lognormal(struct si_service *s, struct span args, struct err *e)
{
    size_t comma = span_find(args, ',', 0);
    int64_t median;
    if (comma == args.n)
        return err_set(e, ERR_USAGE, "lognormal takes MEDIAN,SIGMA: lognormal:5ms,0.3");
    int rc = duration_of(span_sub(args, 0, comma), &median, e);
    if (rc < 0 || (rc = number_of(span_sub(args, comma + 1, args.n), &s->sigma, e)) < 0)
        return rc;
    if (median <= 0 || !(s->sigma >= 0 && s->sigma <= 5))
        return err_set(e, ERR_USAGE,
                       "lognormal needs a median above 0 and a sigma from 0 to 5");
    s->median_ns = (double)median;
    return 0;
}

static void insert_mode(struct si_service *s, double share, int64_t ns)
{
    uint32_t i = s->mode_count++;
    for (; i > 0 && s->modes[i - 1].ns > ns; i--)
        s->modes[i] = s->modes[i - 1];
    s->modes[i].upto = share;
    s->modes[i].ns = ns;
}

static int parse_modes(struct si_service *s, struct span args, struct err *e)
{
    double sum = 0;
    while (args.n) {
        size_t comma = span_find(args, ',', 0);
        struct span mode = span_sub(args, 0, comma);
        args = span_sub(args, comma + 1, args.n);
        size_t equals = span_find(mode, '=', 0);
        double share;
        int64_t ns;
        if (equals == mode.n)
            return err_set(e, ERR_USAGE, "'%.*s' is not SHARE=DURATION",
                           SPAN_ARG(mode));
        int rc = number_of(span_sub(mode, 0, equals), &share, e);
        if (rc < 0 ||
            (rc = duration_of(span_sub(mode, equals + 1, mode.n), &ns, e)) < 0)
            return rc;
        if (!(share > 0 && share <= 1))
            return err_set(e, ERR_USAGE, "a share is above 0 and at most 1");
        if (s->mode_count == SI_MODES_MAX)
            return err_set(e, ERR_USAGE, "more than %d modes", SI_MODES_MAX);
        insert_mode(s, share, ns);
        sum += share;
    }
    if (!(sum > 1 - 1e-9 && sum < 1 + 1e-9))
        return err_set(e, ERR_USAGE, "the shares of modes sum to %g, not to 1", sum);
    for (uint32_t i = 1; i < s->mode_count; i++)
        s->modes[i].upto += s->modes[i - 1].upto;
    return 0;
}

int si_service_parse(struct si_service *s, const char *text, uint64_t seed,
                     struct err *e)
{
    *s = (struct si_service){.seed = seed};
    struct span all = span_str(text);
    size_t colon = span_find(all, ':', 0);
    struct span kind = span_sub(all, 0, colon), args = span_sub(all, colon + 1, all.n);
    int rc;
    if (span_eq_str(kind, "fixed")) {
        s->kind = SI_FIXED;
        rc = duration_of(args, &s->fixed_ns, e);
    } else if (span_eq_str(kind, "lognormal")) {
        s->kind = SI_LOGNORMAL;
        rc = parse_lognormal(s, args, e);
    } else if (span_eq_str(kind, "modes")) {
        s->kind = SI_MODES;
        rc = parse_modes(s, args, e);
    } else {
        return err_set(e, ERR_USAGE,
                       "service time '%s' is none of fixed:D, lognormal:MEDIAN,SIGMA, "
                       "modes:SHARE=D,...",
                       text);
    }
    return rc < 0 ? err_note(e, "service time '%s'", text) : 0;
}

int si_service_slow(struct si_service *s, const char *text, struct err *e)
{
    struct span all = span_str(text);
    size_t at = span_find(all, '@', 0);
    if (at == all.n)
        return err_set(e, ERR_USAGE, "'%s' is not FACTOR@QUANTILE, as in 1.10@0.98",
                       text);
    int rc = number_of(span_sub(all, 0, at), &s->slow_factor, e);
    if (rc < 0 || (rc = number_of(span_sub(all, at + 1, all.n), &s->slow_from, e)) < 0)
        return rc;
    if (!(s->slow_factor > 0 && s->slow_factor <= 1000) ||
        !(s->slow_from >= 0 && s->slow_from < 1))
        return err_set(e, ERR_USAGE,
                       "'%s': the factor is above 0 and at most 1000, the quantile "
                       "from 0 to below 1",
                       text);
    return 0;
}
