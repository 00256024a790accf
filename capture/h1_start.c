/*
 * h1_start.c - what the beginning of a message of HTTP/1.1 looks like: pure functions
 * of bytes. See h1_own.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/h1_own.h"

#include <string.h>

#define METHOD_MAX 24u
/* Of a start line behind a gap, up to its version. */
#define SEARCH_LINE_MAX 2000u

/* --- bytes that may begin a message ----------------------------------------------- */

static bool is_token(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* Those that a search believes in. */
static const char *const methods[] = {"GET",   "HEAD",    "POST",  "PUT",
                                      "PATCH", "OPTIONS", "DELETE"};

enum cap_h1_verdict cap_h1_starts_with_known_method(struct span s)
{
    enum cap_h1_verdict best = CAP_H1_NO;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        size_t n = strlen(methods[i]);
        if (memcmp(s.p, methods[i], s.n < n ? s.n : n) != 0)
            continue;
        if (s.n <= n)
            best = CAP_H1_MORE;
        else if (s.p[n] == ' ')
            return CAP_H1_YES;
    }
    return best;
}

enum cap_h1_verdict cap_h1_can_start(int dir, struct span s)
{
    if (dir == CAP_TO_CLIENT) {
        size_t n = s.n < 7 ? s.n : 7;
        return memcmp(s.p, "HTTP/1.", n) != 0 ? CAP_H1_NO
               : n == 7                       ? CAP_H1_YES
                                              : CAP_H1_MORE;
    }
    for (size_t i = 0; i < s.n && i <= METHOD_MAX; i++) {
        if (s.p[i] == ' ')
            return i ? CAP_H1_YES : CAP_H1_NO;
        if (!is_token(s.p[i]))
            return CAP_H1_NO;
    }
    return s.n > METHOD_MAX ? CAP_H1_NO : CAP_H1_MORE;
}

/* --- a head ----------------------------------------------------------------------- */

size_t cap_h1_head_end(struct span s, size_t from)
{
    while (from < s.n) {
        const uint8_t *lf = memchr(s.p + from, '\n', s.n - from);
        if (!lf)
            return 0;
        size_t i = (size_t)(lf - s.p);
        if ((i >= 1 && s.p[i - 1] == '\n') ||
            (i >= 2 && s.p[i - 1] == '\r' && s.p[i - 2] == '\n'))
            return i + 1;
        from = i + 1;
    }
    return 0;
}

size_t cap_h1_bad_line(struct span head, const struct err *e)
{
    size_t at = e->has_at && e->at < head.n ? (size_t)e->at : 0;
    while (at > 0 && head.p[at - 1] != '\n')
        at--;
    return at ? at : 1;
}

/* --- a start line among other bytes ----------------------------------------------- */

/* Where the method that ends in front of s[end] begins; end when there is none. */
static size_t method_before(struct span s, size_t from, size_t end)
{
    size_t best = end;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        size_t n = strlen(methods[i]);
        if (end - from >= n && memcmp(s.p + end - n, methods[i], n) == 0 &&
            end - n < best)
            best = end - n;
    }
    return best;
}

/* A request line whose " HTTP/1." is at `version`; false: none. */
static bool request_line(struct span s, size_t from, size_t version, size_t *start)
{
    size_t target = version;
    size_t floor = version - from > SEARCH_LINE_MAX ? version - SEARCH_LINE_MAX : from;
    while (target > floor && s.p[target - 1] > ' ' && s.p[target - 1] != 127)
        target--;
    if (target == floor || target == version || s.p[target - 1] != ' ' ||
        !(s.p[target] == '/' || s.p[target] == '*' || s.p[target] == 'h'))
        return false;
    *start = method_before(s, floor, target - 1);
    return *start < target - 1;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* Behind "HTTP/1." at `p`: digit, blank, status. */
static bool status_line(const uint8_t *p)
{
    return is_digit(p[0]) && p[1] == ' ' && p[2] >= '1' && p[2] <= '5' &&
           is_digit(p[3]) && is_digit(p[4]) && (p[5] == ' ' || p[5] == '\r');
}

bool cap_h1_find_start(int dir, struct span s, size_t *from, size_t *start)
{
    const char *mark = dir == CAP_TO_SERVER ? " HTTP/1." : "HTTP/1.";
    size_t n = strlen(mark), behind = dir == CAP_TO_SERVER ? 3 : 6;
    size_t begin = *from, at = *from;
    for (;;) {
        const uint8_t *p = at < s.n ? memmem(s.p + at, s.n - at, mark, n) : NULL;
        if (!p || (size_t)(s.p + s.n - p) < n + behind) {
            size_t keep = dir == CAP_TO_SERVER ? SEARCH_LINE_MAX + 32 : n + behind;
            size_t last = s.n > keep ? s.n - keep : 0;
            *from = last > begin ? last : begin;
            return false;
        }
        size_t found = (size_t)(p - s.p);
        at = found + 1;
        if (dir == CAP_TO_CLIENT) {
            *start = found;
            if (status_line(p + n))
                return true;
        } else if (is_digit(p[n]) && p[n + 1] == '\r' && p[n + 2] == '\n') {
            if (request_line(s, begin, found, start))
                return true;
            begin = found + n;
        }
    }
}

/* What a gap left of a start line is believed where the line stands first behind the
 * one before: a packet began with it. */
bool cap_h1_holds_begun(const struct cap_h1_side *s)
{
    struct span held = cap_hold_view(&s->hold);
    if (s->state != CAP_H1_SEARCH || s->candidate)
        return held.n > 0;
    if (!held.n || cap_h1_starts_with_known_method(held) != CAP_H1_YES)
        return false;
    size_t blank = span_find(held, ' ', 0);
    return blank + 1 < held.n && held.p[blank + 1] == '/';
}
