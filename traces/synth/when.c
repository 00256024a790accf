/*
 * when.c - see when.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/synth/when.h"

/* Reads n digits as a number; -1 when they are none. */
static int digits(struct cursor *c, size_t n)
{
    int value = 0;
    for (size_t i = 0; i < n; i++) {
        uint8_t d = cursor_u8(c);
        if (c->bad || d < '0' || d > '9')
            return -1;
        value = value * 10 + (d - '0');
    }
    return value;
}

/* A number of two or four digits behind a separator, within bounds. */
static bool part(struct cursor *c, char separator, size_t n, int low, int high,
                 int *value)
{
    if (separator && cursor_u8(c) != (uint8_t)separator)
        return false;
    *value = digits(c, n);
    return *value >= low && *value <= high;
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year));
}

/* Since 1970-01-01. */
static int64_t days_since_epoch(int year, int month, int day)
{
    int64_t days = day - 1;
    for (int y = 1970; y < year; y++)
        days += is_leap(y) ? 366 : 365;
    for (int m = 1; m < month; m++)
        days += days_of_month(year, m);
    return days;
}

/* ".9799600": at most 9 digits. */
static bool fraction(struct cursor *c, int64_t *ns)
{
    int64_t scale = CLK_SEC;
    *ns = 0;
    if (cursor_left(c) == 0 || *c->p != '.')
        return true;
    cursor_u8(c);
    while (cursor_left(c) > 0 && *c->p >= '0' && *c->p <= '9') {
        scale /= 10;
        if (scale == 0)
            return false;
        *ns += (cursor_u8(c) - '0') * scale;
    }
    return scale < CLK_SEC;
}

static bool zone(struct cursor *c, int64_t *ahead_s)
{
    *ahead_s = 0;
    if (cursor_left(c) == 0)
        return true;
    uint8_t sign = cursor_u8(c);
    if (sign == 'Z')
        return true;
    int hours, minutes;
    if ((sign != '+' && sign != '-') || !part(c, 0, 2, 0, 23, &hours) ||
        !part(c, ':', 2, 0, 59, &minutes))
        return false;
    *ahead_s = (hours * 60 + minutes) * (sign == '+' ? 60 : -60);
    return true;
}

int when_parse(struct span text, struct clk_wall *t, struct err *e)
{
    struct cursor c = cursor_of(text);
    int year, month, day, hour, minute, second;
    int64_t ns, ahead_s;
    bool good = part(&c, 0, 4, 1970, 2035, &year) && part(&c, '-', 2, 1, 12, &month) &&
                part(&c, '-', 2, 1, 31, &day) && day <= days_of_month(year, month);
    if (good) {
        uint8_t between = cursor_u8(&c);
        good = (between == ' ' || between == 'T') && part(&c, 0, 2, 0, 23, &hour) &&
               part(&c, ':', 2, 0, 59, &minute) && part(&c, ':', 2, 0, 59, &second) &&
               fraction(&c, &ns) && zone(&c, &ahead_s);
    }
    if (!good || c.bad || cursor_left(&c) > 0)
        return err_set(e, ERR_FORMAT,
                       "'%.*s' is not a time like 2023-11-16 18:17:03.97996 (1970 to "
                       "2035, UTC unless an offset follows)",
                       text.n > 48 ? 48 : (int)text.n, (const char *)text.p);
    int64_t seconds = days_since_epoch(year, month, day) * 86400 + hour * 3600 +
                      minute * 60 + second - ahead_s;
    t->ns = seconds * CLK_SEC + ns;
    return 0;
}
