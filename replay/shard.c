/*
 * shard.c - see shard.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/shard.h"

#include "traces/base/span.h"
#include "traces/base/units.h"

/* --- shards ----------------------------------------------------------------------- */

static int parse_auto(const char *completion_index, uint64_t *index, struct err *e)
{
    if (!completion_index)
        return err_set(e, ERR_USAGE,
                       "--shard auto/N needs JOB_COMPLETION_INDEX, which is not set");
    if (!span_u64(span_str(completion_index), index) || *index >= REP_SHARDS_MAX)
        return err_set(e, ERR_USAGE,
                       "JOB_COMPLETION_INDEX '%.40s' is not a number below %u",
                       completion_index, REP_SHARDS_MAX);
    ++*index;
    return 0;
}

int rep_shard_parse(const char *text, const char *completion_index, struct rep_shard *s,
                    struct err *e)
{
    struct span whole = span_str(text);
    size_t slash = span_find(whole, '/', 0);
    struct span first = span_sub(whole, 0, slash);
    uint64_t index = 0, count = 0;
    int rc = 0;

    if (!span_u64(span_sub(whole, slash + 1, whole.n), &count) || count == 0 ||
        count > REP_SHARDS_MAX)
        goto bad;
    if (span_eq_str(first, "auto"))
        rc = parse_auto(completion_index, &index, e);
    else if (!span_u64(first, &index))
        goto bad;
    if (rc < 0)
        return rc;
    if (index == 0 || index > count)
        return err_set(e, ERR_USAGE, "shard '%.40s': shards are numbered 1 to %u%s",
                       text, (unsigned)count,
                       span_eq_str(first, "auto")
                           ? ", and JOB_COMPLETION_INDEX is beyond them"
                           : "");
    *s = (struct rep_shard){(uint32_t)index - 1, (uint32_t)count};
    return 0;
bad:
    return err_set(
        e, ERR_USAGE,
        "shard '%.40s' is neither I/N, such as 1/3, nor auto/N, with at most %u shards",
        text, REP_SHARDS_MAX);
}

bool rep_shard_has(struct rep_shard s, uint64_t op_index)
{
    return s.count == 0 || op_index % s.count == s.index;
}

uint64_t rep_shard_size(struct rep_shard s, uint64_t total)
{
    if (s.count == 0)
        return total;
    return total / s.count + (total % s.count > s.index);
}

/* --- the start -------------------------------------------------------------------- */

/* Reads exactly n digits. */
static bool take_digits(struct span *s, size_t n, int64_t *value)
{
    if (s->n < n)
        return false;
    *value = 0;
    for (size_t i = 0; i < n; i++) {
        if (s->p[i] < '0' || s->p[i] > '9')
            return false;
        *value = *value * 10 + (s->p[i] - '0');
    }
    *s = span_sub(*s, n, s->n);
    return true;
}

static bool take_char(struct span *s, const char *any)
{
    for (; *any; any++)
        if (s->n > 0 && s->p[0] == (uint8_t)*any) {
            *s = span_sub(*s, 1, s->n);
            return true;
        }
    return false;
}

static bool leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int64_t month_days(int64_t year, int64_t month)
{
    static const int64_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && leap(year));
}

/* Days from 1970-01-01, which is 719162 days after 0001-01-01. */
static int64_t day_number(int64_t year, int64_t month, int64_t day)
{
    int64_t y = year - 1, n = y * 365 + y / 4 - y / 100 + y / 400 - 719162 + day - 1;
    for (int64_t m = 1; m < month; m++)
        n += month_days(year, m);
    return n;
}

/* ".123": at most nine digits. Nothing there is 0. */
static bool take_fraction(struct span *s, int64_t *ns)
{
    int64_t scale = CLK_SEC;

    *ns = 0;
    if (!take_char(s, "."))
        return true;
    while (s->n > 0 && s->p[0] >= '0' && s->p[0] <= '9') {
        if (scale == 1)
            return false;
        scale /= 10;
        *ns += (s->p[0] - '0') * scale;
        *s = span_sub(*s, 1, s->n);
    }
    return scale < CLK_SEC;
}

/* "Z", "+02:00". Minutes that are to be taken off. */
static bool take_offset(struct span *s, int64_t *minutes)
{
    int64_t h, m;

    *minutes = 0;
    if (take_char(s, "Zz"))
        return true;
    bool minus = s->n > 0 && s->p[0] == '-';
    if (!take_char(s, "+-") || !take_digits(s, 2, &h) || !take_char(s, ":") ||
        !take_digits(s, 2, &m) || h > 23 || m > 59)
        return false;
    *minutes = minus ? -(h * 60 + m) : h * 60 + m;
    return true;
}

/* Between 1970 and 2261: what nanoseconds in 64 bits hold. */
static bool parse_instant(struct span s, int64_t *ns)
{
    int64_t year, month, day, h, m, sec, part, offset;

    if (!take_digits(&s, 4, &year) || !take_char(&s, "-") ||
        !take_digits(&s, 2, &month) || !take_char(&s, "-") ||
        !take_digits(&s, 2, &day) || !take_char(&s, "Tt ") || !take_digits(&s, 2, &h) ||
        !take_char(&s, ":") || !take_digits(&s, 2, &m) || !take_char(&s, ":") ||
        !take_digits(&s, 2, &sec) || !take_fraction(&s, &part) ||
        !take_offset(&s, &offset) || s.n > 0)
        return false;
    if (year < 1971 || year > 2261 || month < 1 || month > 12 || day < 1 ||
        day > month_days(year, month) || h > 23 || m > 59 || sec > 59)
        return false;
    int64_t minutes = day_number(year, month, day) * 1440 + h * 60 + m - offset;
    *ns = (minutes * 60 + sec) * CLK_SEC + part;
    return true;
}

int rep_start_parse(const char *text, struct clk_wall now, struct clk_wall *t,
                    struct err *e)
{
    int64_t ns;

    if (text[0] == '+') {
        int rc = units_duration(text + 1, &ns, e);
        if (rc < 0)
            return err_note(e, "--start-at '%.40s'", text);
        if (ns < 0 || __builtin_add_overflow(now.ns, ns, &t->ns))
            return err_set(e, ERR_USAGE, "--start-at '%.40s' is out of range", text);
        return 0;
    }
    if (!parse_instant(span_str(text), &t->ns))
        return err_set(e, ERR_USAGE,
                       "--start-at '%.40s' is neither a time such as "
                       "2031-05-04T12:00:00Z nor one from now such as +5s",
                       text);
    return 0;
}

int64_t rep_start_mono(const struct clk *clk, struct clk_wall t)
{
    int64_t best = INT64_MAX, mono = 0;

    /* The two clocks cannot be read at once: of some tries the tightest counts. */
    for (int i = 0; i < 8; i++) {
        int64_t before = clk_mono_now(clk).ns, wall = clk_wall_now(clk).ns;
        int64_t gap = clk_mono_now(clk).ns - before;
        if (gap < best) {
            best = gap;
            mono = before + gap / 2 + (t.ns - wall);
        }
    }
    return mono;
}
