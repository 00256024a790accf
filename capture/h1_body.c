/*
 * h1_body.c - bodies of HTTP/1.1, by length or in chunks (RFC 9112 7.1). See h1_own.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/h1_own.h"

#define CHUNK_LINE_MAX   4096u
#define CHUNK_DIGITS_MAX 16u

void cap_h1_give_body(struct cap_h1 *h, int dir, struct clk_wall at, struct span *in,
                      size_t n)
{
    struct cap_h1_side *s = &h->side[dir];
    cap_half_body(h->c, dir, cap_h1_half_of(s, dir), at, span_sub(*in, 0, n));
    cap_h1_half_of(s, dir)->last = at;
    *in = span_sub(*in, n, in->n);
}

void cap_h1_step_sized(struct cap_h1 *h, int dir, struct clk_wall at, struct span *in)
{
    struct cap_h1_side *s = &h->side[dir];
    size_t n = in->n < s->left ? in->n : (size_t)s->left;
    cap_h1_give_body(h, dir, at, in, n);
    s->left -= n;
    if (s->left)
        return;
    if (s->state == CAP_H1_CHUNK_DATA)
        s->state = CAP_H1_CHUNK_CR;
    else
        cap_h1_message_ends(h, dir, at);
}

/* --- chunks ----------------------------------------------------------------------- */

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool size_byte(struct cap_h1_side *s, uint8_t c)
{
    int digit = hex_digit(c);
    if (digit >= 0) {
        s->left = s->left << 4 | (unsigned)digit;
        return ++s->digits <= CHUNK_DIGITS_MAX;
    }
    s->line = 0;
    if (c == '\r')
        s->state = CAP_H1_CHUNK_SIZE_LF;
    else if (c == ';' || c == ' ' || c == '\t')
        s->state = CAP_H1_CHUNK_EXT;
    else
        return false;
    return s->digits > 0;
}

/* A line whose content does not matter. */
static bool line_byte(struct cap_h1_side *s, uint8_t c, uint32_t max,
                      enum cap_h1_state then)
{
    if (c == '\r')
        s->state = then;
    return ++s->line <= max && c != '\n' && c != 0;
}

static bool expect_byte(struct cap_h1_side *s, uint8_t c, uint8_t wanted,
                        enum cap_h1_state then)
{
    s->state = then;
    return c == wanted;
}

static bool size_ends(struct cap_h1_side *s, uint8_t c)
{
    s->state = s->left ? CAP_H1_CHUNK_DATA : CAP_H1_TRAILER;
    s->digits = s->line = 0;
    return c == '\n';
}

/* One byte of chunked framing; false: it is broken. */
static bool chunk_byte(struct cap_h1_side *s, uint8_t c)
{
    switch (s->state) {
    case CAP_H1_CHUNK_SIZE:
        return size_byte(s, c);
    case CAP_H1_CHUNK_EXT:
        return line_byte(s, c, CHUNK_LINE_MAX, CAP_H1_CHUNK_SIZE_LF);
    case CAP_H1_CHUNK_SIZE_LF:
        return size_ends(s, c);
    case CAP_H1_CHUNK_CR:
        return expect_byte(s, c, '\r', CAP_H1_CHUNK_LF);
    case CAP_H1_CHUNK_LF:
        s->left = 0;
        return expect_byte(s, c, '\n', CAP_H1_CHUNK_SIZE);
    case CAP_H1_TRAILER:
        s->state = c == '\r' ? CAP_H1_TRAILER_END : CAP_H1_TRAILER_LINE;
        return c != '\n';
    case CAP_H1_TRAILER_LINE:
        return line_byte(s, c, HTTP1_HEAD_MAX, CAP_H1_TRAILER_LF);
    case CAP_H1_TRAILER_LF:
        return expect_byte(s, c, '\n', CAP_H1_TRAILER);
    default: /* CAP_H1_TRAILER_END: the state says that the message is over */
        return expect_byte(s, c, '\n', CAP_H1_START);
    }
}

void cap_h1_step_chunked(struct cap_h1 *h, int dir, struct clk_wall at, struct span *in)
{
    struct cap_h1_side *s = &h->side[dir];
    size_t n = 0;
    bool good = true;
    while (good && n < in->n && s->state != CAP_H1_CHUNK_DATA &&
           s->state != CAP_H1_START)
        good = chunk_byte(s, in->p[n++]);
    cap_count(h->c, dir, CAP_FATE_FRAMING, n);
    *in = span_sub(*in, n, in->n);
    if (!good) {
        h->c->parse->totals.lost_malformed += dir == CAP_TO_SERVER;
        cap_h1_message_breaks(h, dir, at);
    } else if (s->state == CAP_H1_START) {
        cap_h1_message_ends(h, dir, at);
    }
}
