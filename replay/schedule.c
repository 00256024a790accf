/*
 * schedule.c - see schedule.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/schedule.h"

#include <stddef.h>

#define DECIMALS_MAX 9
/* More than the largest speed, however many decimals follow. */
#define BEYOND UINT64_C(10000000000000)

__extension__ typedef unsigned __int128 wide;

int rep_speed_parse(const char *text, struct rep_speed *s, struct err *e)
{
    uint64_t num = 0, den = 1;
    bool point = false, digit = false;
    const char *p = text;

    for (; *p != '\0'; p++) {
        if (*p == '.' && !point) {
            point = true;
            continue;
        }
        if (*p < '0' || *p > '9')
            goto bad;
        if (point && den == UINT64_C(1000000000))
            goto bad;
        if (num <= BEYOND)
            num = num * 10 + (uint64_t)(*p - '0');
        den = point ? den * 10 : den;
        digit = true;
    }
    if (!digit)
        goto bad;
    if ((wide)num * 100 < den || num > (wide)den * 1000)
        return err_set(e, ERR_USAGE, "speed '%s' is out of range: from %s to %s", text,
                       REP_SPEED_MIN_TEXT, REP_SPEED_MAX_TEXT);
    *s = (struct rep_speed){num, den};
    return 0;
bad:
    return err_set(e, ERR_USAGE,
                   "speed '%s' is not a decimal number with at most %d decimals, such "
                   "as 2 or 0.25",
                   text, DECIMALS_MAX);
}

int64_t rep_schedule_due(struct rep_speed s, int64_t offset_ns)
{
    wide due = (wide)(uint64_t)offset_ns * s.den / s.num;
    return due < (wide)REP_NEVER ? (int64_t)due : REP_NEVER;
}
