/*
 * gor_file.c - see gor_file.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/import/gor_file.h"

static const char separator[] = "\n\xF0\x9F\x90\xB5\xF0\x9F\x99\x88\xF0\x9F\x99\x89\n";
#define SEPARATOR_BYTES (sizeof separator - 1)

void gor_file_init(struct gor_file *f, struct zin *in)
{
    *f = (struct gor_file){.in = in};
}

void gor_file_done(struct gor_file *f)
{
    buf_done(&f->bytes);
}

/* --- the first line --------------------------------------------------------------- */

/* The next word up to a blank. */
static struct span word(struct span line, size_t *at)
{
    size_t from = *at, end = span_find(line, ' ', from);
    *at = end + 1;
    return span_sub(line, from, end);
}

/* Whether s begins with the first line of a payload; its parts. */
static bool first_line(struct span s, struct gor_payload *p, size_t *bytes)
{
    struct span head = span_sub(s, 0, GOR_LINE_MAX);
    size_t end = span_find(head, '\n', 0), at = 0;
    struct span line = span_sub(head, 0, end);
    if (end == head.n)
        return false;
    struct span type = word(line, &at), id = word(line, &at), time = word(line, &at);
    if (type.n != 1 || type.p[0] < '1' || type.p[0] > '3' || id.n == 0 ||
        !span_u64(time, &p->time_ns) || p->time_ns > INT64_MAX)
        return false;
    p->has_duration = at < line.n;
    if (p->has_duration && !span_u64(word(line, &at), &p->duration_ns))
        return false;
    p->type = (enum gor_type)(type.p[0] - '0');
    p->id = id;
    *bytes = end + 1;
    return true;
}

/* --- bytes ------------------------------------------------------------------------ */

/* Makes room and takes what is at hand. */
static int more(struct gor_file *f, struct err *e)
{
    struct span window;
    int rc = zin_peek(f->in, 1, &window, e);
    if (rc < 0)
        return rc;
    f->ended = window.n == 0;
    if (f->from > 0 && f->from >= f->bytes.n / 2) {
        buf_shift(&f->bytes, f->from);
        f->at += f->from;
        f->searched -= f->from;
        f->from = 0;
    }
    buf_span(&f->bytes, window);
    rc = buf_check(&f->bytes, e);
    return rc == 0 ? zin_skip(f->in, window.n, e) : rc;
}

/* Whether what stands behind a separator says that it is one; -1: more must be read. */
static int is_end(const struct gor_file *f, size_t behind)
{
    struct gor_payload next;
    size_t bytes;
    struct span rest = span_sub(buf_view(&f->bytes), behind, f->bytes.n);
    if (rest.n == 0 || first_line(rest, &next, &bytes))
        return rest.n > 0 || f->ended ? 1 : -1;
    return rest.n >= GOR_LINE_MAX || f->ended || span_find(rest, '\n', 0) < rest.n ? 0
                                                                                   : -1;
}

/* Finds the payload's end from f->searched on: 1, with *end in front of its separator;
 * 0: it is not at hand. */
static int find_end(struct gor_file *f, size_t *end)
{
    struct span all = buf_view(&f->bytes);
    for (;;) {
        struct span rest = span_sub(all, f->searched, all.n);
        const uint8_t *hit =
            rest.n ? memmem(rest.p, rest.n, separator, SEPARATOR_BYTES) : NULL;
        if (!hit) {
            size_t part = rest.n < SEPARATOR_BYTES ? rest.n : SEPARATOR_BYTES - 1;
            f->searched = all.n - part;
            return 0;
        }
        f->searched = (size_t)(hit - all.p);
        int is = is_end(f, f->searched + SEPARATOR_BYTES);
        if (is != 0) {
            *end = f->searched;
            return is == 1;
        }
        f->searched++;
    }
}

static int too_long(const struct gor_file *f, struct err *e)
{
    return err_at(e, ERR_LIMIT, f->at + f->from, "a payload of more than %u bytes",
                  GOR_PAYLOAD_MAX);
}

int gor_file_next(struct gor_file *f, struct gor_payload *p, struct err *e)
{
    size_t end = 0, head;
    int found;
    while ((found = find_end(f, &end)) == 0 && !f->ended) {
        if (f->bytes.n - f->from > GOR_PAYLOAD_MAX)
            return too_long(f, e);
        int rc = more(f, e);
        if (rc < 0)
            return rc;
    }
    struct span all = buf_view(&f->bytes);
    if (found == 0)
        end = all.n;
    if (found == 0 && f->from == all.n)
        return 0;
    if (end - f->from > GOR_PAYLOAD_MAX)
        return too_long(f, e);
    *p = (struct gor_payload){.at = f->at + f->from, .closed = found == 1};
    struct span whole = span_sub(all, f->from, end);
    if (!first_line(whole, p, &head))
        return err_at(e, ERR_FORMAT, p->at,
                      "not a payload of GoReplay: its first line is no 'TYPE ID TIME'");
    p->message = span_sub(whole, head, whole.n);
    f->from = f->searched = found == 1 ? end + SEPARATOR_BYTES : all.n;
    return 1;
}
