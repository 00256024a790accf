/*
 * units.c - see units.h.
 *
 * Durations and sizes are computed in integers, so that "0.1s" is 100000000 ns and not
 * a neighbour of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/base/units.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__extension__ typedef unsigned __int128 u128;

struct unit {
    const char *name;
    uint64_t factor;
};

/* Ascending, which the printing functions rely on. */
static const struct unit durations[] = {
    {"ns", 1},         {"us", 1000},       {"ms", 1000000},
    {"s", 1000000000}, {"m", 60000000000}, {"h", 3600000000000},
};
static const struct unit sizes[] = {
    {"B", 1},         {"KB", 1000},     {"MB", 1000000},  {"GB", 1000000000},
    {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
};
static const struct unit size_prints[] = {
    {"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};
static const struct unit magnitudes[] = {{"", 1}, {"k", 1000}, {"M", 1000000}};
static const struct unit periods[] = {{"s", 1}, {"m", 60}, {"h", 3600}};

#define COUNT(array)    (sizeof(array) / sizeof((array)[0]))
#define FRACTION_DIGITS 18 /* kept behind the point; later ones are below any unit */
#define DURATION_UNITS  "ns us ms s m h"
#define SIZE_UNITS      "B KB MB GB KiB MiB GiB"
#define RATE_FORMS      "\"200\", \"1.5k\", \"200/s\" or \"12/m\""

/* A plain decimal number: digits, maybe a point and digits. */
struct decimal {
    uint64_t whole, fraction; /* value: whole + fraction / scale */
    uint64_t scale;
    const char *end; /* behind it */
    bool overflow;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* False when text does not start with such a number. */
static bool read_decimal(const char *text, struct decimal *d)
{
    *d = (struct decimal){.scale = 1};
    const char *p = text;
    for (; is_digit(*p); p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        if (d->whole > (UINT64_MAX - digit) / 10)
            d->overflow = true;
        else
            d->whole = d->whole * 10 + digit;
    }
    if (p == text)
        return false;
    if (*p == '.') {
        const char *first = ++p;
        for (; is_digit(*p); p++) {
            if (p - first >= FRACTION_DIGITS)
                continue;
            d->fraction = d->fraction * 10 + (uint64_t)(*p - '0');
            d->scale *= 10;
        }
        if (p == first)
            return false;
    }
    d->end = p;
    return true;
}

static const struct unit *find_unit(const struct unit *units, size_t count,
                                    const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(units[i].name, name) == 0)
            return &units[i];
    return NULL;
}

/* What durations and sizes share: a number, maybe a blank, a unit. */
static int read_scaled(const char *text, const struct unit *units, size_t count,
                       const char *known, uint64_t max, uint64_t *value, struct err *e)
{
    struct decimal d;
    if (text[0] == '-')
        return err_set(e, ERR_USAGE, "'%s' must not be negative", text);
    if (!read_decimal(text, &d))
        return err_set(e, ERR_USAGE, "'%s' is not a number with a unit: %s", text,
                       known);
    const char *name = d.end + (*d.end == ' ');
    if (*name == '\0') {
        if (!d.overflow && d.whole == 0 && d.fraction == 0) {
            *value = 0;
            return 0;
        }
        return err_set(e, ERR_USAGE, "'%s' needs a unit: %s", text, known);
    }
    const struct unit *u = find_unit(units, count, name);
    if (!u)
        return err_set(e, ERR_USAGE, "'%s' has an unknown unit; known are: %s", text,
                       known);
    u128 part = ((u128)d.fraction * u->factor + d.scale / 2) / d.scale;
    u128 all = (u128)d.whole * u->factor + part;
    if (d.overflow || all > max)
        return err_set(e, ERR_USAGE, "'%s' is too large", text);
    if (all == 0 && d.fraction > 0)
        return err_set(e, ERR_USAGE, "'%s' is less than 1 %s", text, units[0].name);
    *value = (uint64_t)all;
    return 0;
}

int units_duration(const char *text, int64_t *ns, struct err *e)
{
    uint64_t v;
    int rc = read_scaled(text, durations, COUNT(durations), DURATION_UNITS, INT64_MAX,
                         &v, e);
    if (rc == 0)
        *ns = (int64_t)v;
    return rc;
}

int units_size(const char *text, uint64_t *bytes, struct err *e)
{
    return read_scaled(text, sizes, COUNT(sizes), SIZE_UNITS, UINT64_MAX, bytes, e);
}

int units_rate(const char *text, double *per_second, struct err *e)
{
    struct decimal d;
    if (text[0] == '-')
        return err_set(e, ERR_USAGE, "'%s' must not be negative", text);
    if (!read_decimal(text, &d))
        return err_set(e, ERR_USAGE, "'%s' is not a rate like " RATE_FORMS, text);
    double v = strtod(text, NULL); /* of the digits that read_decimal has seen */
    const char *p = d.end;
    for (size_t i = 1; i < COUNT(magnitudes); i++)
        if (*p == magnitudes[i].name[0]) {
            v *= (double)magnitudes[i].factor;
            p++;
            break;
        }
    if (*p == '/') {
        const struct unit *u = find_unit(periods, COUNT(periods), p + 1);
        if (u) {
            v /= (double)u->factor;
            p += 1 + strlen(u->name);
        }
    }
    if (*p != '\0')
        return err_set(e, ERR_USAGE, "'%s' is not a rate like " RATE_FORMS, text);
    if (!isfinite(v))
        return err_set(e, ERR_USAGE, "'%s' is too large", text);
    *per_second = v;
    return 0;
}

int units_u64(const char *text, uint64_t *value, struct err *e)
{
    struct decimal d;
    if (text[0] == '-' && is_digit(text[1]))
        return err_set(e, ERR_USAGE, "'%s' must not be negative", text);
    if (!read_decimal(text, &d) || *d.end != '\0' || d.scale != 1)
        return err_set(e, ERR_USAGE, "'%s' is not a whole number", text);
    if (d.overflow)
        return err_set(e, ERR_USAGE, "'%s' is larger than %" PRIu64, text, UINT64_MAX);
    *value = d.whole;
    return 0;
}

int units_f64(const char *text, double *value, struct err *e)
{
    /* strtod alone would also take blanks, hexadecimals, "inf" and "nan". */
    if (*text == '\0' || text[strspn(text, "0123456789+-.eE")] != '\0')
        return err_set(e, ERR_USAGE, "'%s' is not a number", text);
    char *end;
    double v = strtod(text, &end);
    if (*end != '\0')
        return err_set(e, ERR_USAGE, "'%s' is not a number", text);
    if (!isfinite(v))
        return err_set(e, ERR_USAGE, "'%s' is too large", text);
    *value = v;
    return 0;
}

/* Decimals behind the point that give three significant figures. */
static int decimals_of(double v)
{
    int decimals = v >= 99.95 ? 0 : v >= 9.995 ? 1 : 2;
    for (double edge = 0.9995; v < edge && v > 0 && decimals < 15; edge /= 10)
        decimals++;
    return decimals;
}

/* Three significant figures without trailing zeros behind the point. */
static void number_text(double v, char *out, size_t size)
{
    snprintf(out, size, "%.*f", decimals_of(v), v);
    if (!strchr(out, '.'))
        return;
    size_t n = strlen(out);
    while (out[n - 1] == '0')
        n--;
    if (out[n - 1] == '.')
        n--;
    out[n] = '\0';
}

/* The largest unit in which v, once rounded to three figures, is at least 1. */
static const struct unit *fitting_unit(const struct unit *units, size_t count, double v)
{
    size_t i = count - 1;
    while (i > 0 && v / (double)units[i].factor < 0.9995)
        i--;
    return &units[i];
}

char *units_duration_text(int64_t ns, char out[UNITS_TEXT_MAX])
{
    double v = fabs((double)ns);
    const struct unit *u = fitting_unit(durations, COUNT(durations), v);
    char number[UNITS_TEXT_MAX - 8];
    number_text(v / (double)u->factor, number, sizeof number);
    snprintf(out, UNITS_TEXT_MAX, "%s%s %s", ns < 0 ? "-" : "", number, u->name);
    return out;
}

char *units_size_text(uint64_t bytes, char out[UNITS_TEXT_MAX])
{
    double v = (double)bytes;
    const struct unit *u = fitting_unit(size_prints, COUNT(size_prints), v);
    char number[UNITS_TEXT_MAX - 8];
    number_text(v / (double)u->factor, number, sizeof number);
    snprintf(out, UNITS_TEXT_MAX, "%s %s", number, u->name);
    return out;
}

char *units_rate_text(double per_second, char out[UNITS_TEXT_MAX])
{
    double v = fabs(per_second);
    if (!(v < 1e18)) { /* NaN, infinity, and what no machine does */
        snprintf(out, UNITS_TEXT_MAX, "%.3g/s", per_second);
        return out;
    }
    const struct unit *u = fitting_unit(magnitudes, COUNT(magnitudes), v);
    char number[UNITS_TEXT_MAX - 8];
    number_text(v / (double)u->factor, number, sizeof number);
    snprintf(out, UNITS_TEXT_MAX, "%s%s%s/s", per_second < 0 ? "-" : "", number,
             u->name);
    return out;
}
