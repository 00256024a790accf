/*
 * har_doc.c - see har_doc.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/import/har_doc.h"

#include <inttypes.h>

#define KEY_MAX 256u /* bytes of a key; a longer one is none that is known here */

enum { BEFORE, IN_ENTRIES, OVER };

void har_doc_init(struct har_doc *d, struct zin *in)
{
    *d = (struct har_doc){.in = in};
}

void har_doc_done(struct har_doc *d)
{
    buf_done(&d->entry);
    buf_done(&d->key);
    buf_done(&d->creator);
    buf_done(&d->epoch);
}

/* --- bytes ------------------------------------------------------------------------ */

static uint64_t offset(const struct har_doc *d)
{
    return zin_offset(d->in) + d->at;
}

/* The byte that comes, left where it is; -1 at the end, or an error in *e. */
static int look(struct har_doc *d, int *byte, struct err *e)
{
    if (d->at == d->window.n) {
        int rc = zin_skip(d->in, d->at, e);
        d->at = 0;
        d->window = (struct span){0};
        if (rc == 0)
            rc = zin_peek(d->in, 1, &d->window, e);
        if (rc < 0)
            return rc;
    }
    *byte = d->at < d->window.n ? d->window.p[d->at] : -1;
    return 0;
}

static int unexpected(const struct har_doc *d, int byte, const char *wanted,
                      struct err *e)
{
    if (byte < 0)
        return err_at(e, ERR_TRUNCATED, offset(d), "the document ends where %s belongs",
                      wanted);
    return err_at(e, ERR_FORMAT, offset(d), "not a HAR: %s belongs here", wanted);
}

static int blanks(struct har_doc *d, int *byte, struct err *e)
{
    int rc;
    while ((rc = look(d, byte, e)) == 0 &&
           (*byte == ' ' || *byte == '\t' || *byte == '\n' || *byte == '\r'))
        d->at++;
    return rc;
}

/* One of two bytes behind blanks, taken. */
static int take(struct har_doc *d, char one, char other, int *byte, const char *wanted,
                struct err *e)
{
    int rc = blanks(d, byte, e);
    if (rc == 0 && *byte != one && *byte != other)
        rc = unexpected(d, *byte, wanted, e);
    d->at += rc == 0;
    return rc;
}

/* --- values ----------------------------------------------------------------------- */

/* Keeps [from, at) of the window. */
static int keep(struct har_doc *d, struct buf *to, size_t from, size_t most,
                const char *what, struct err *e)
{
    if (!to)
        return 0;
    if (d->at - from > most - to->n)
        return err_at(e, ERR_LIMIT, offset(d), "%s of more than %zu bytes", what, most);
    buf_add(to, d->window.p + from, d->at - from);
    return buf_check(to, e);
}

/* How far a value has come. */
struct walk {
    uint32_t depth;
    bool string, escaped, begun;
};

/* Whether the value ends in front of the byte at d->at (a number or word does), or with
 * it (*with). */
static bool ends(struct walk *w, uint8_t c, bool *with)
{
    *with = true;
    if (w->string) {
        w->string = w->escaped || c != '"';
        w->escaped = !w->escaped && c == '\\';
        return !w->string && w->depth == 0;
    }
    if (w->begun && w->depth == 0 &&
        (c == ',' || c == '}' || c == ']' || c <= ' ')) { /* a number or a word */
        *with = false;
        return true;
    }
    w->begun = true;
    w->string = c == '"';
    if (c == '{' || c == '[')
        w->depth++;
    else if ((c == '}' || c == ']') && w->depth > 0 && --w->depth == 0)
        return true;
    return false;
}

/* Passes over a value, which begins here, and keeps it in *to unless that is NULL. */
static int value(struct har_doc *d, struct buf *to, size_t most, const char *what,
                 struct err *e)
{
    struct walk w = {0};
    int byte, rc = blanks(d, &byte, e);
    if (rc == 0 &&
        (byte < 0 || byte == ',' || byte == '}' || byte == ']' || byte == ':'))
        rc = unexpected(d, byte, "a value", e);
    while (rc == 0) {
        size_t from = d->at;
        bool over = false, with = false;
        while (d->at < d->window.n && !over && w.depth <= HAR_DEPTH_MAX) {
            over = ends(&w, d->window.p[d->at], &with);
            d->at += !over || with;
        }
        rc = keep(d, to, from, most, what, e);
        if (rc < 0 || over)
            return rc;
        if (w.depth > HAR_DEPTH_MAX)
            return err_at(e, ERR_LIMIT, offset(d), "more than %u brackets in another",
                          HAR_DEPTH_MAX);
        rc = look(d, &byte, e);
        if (rc == 0 && byte < 0)
            rc = unexpected(d, byte, "the rest of a value", e);
    }
    return rc;
}

/* A key with its quotes, and the colon behind it. */
static int key_of(struct har_doc *d, struct err *e)
{
    int byte, rc = blanks(d, &byte, e);
    buf_reset(&d->key);
    if (rc == 0 && byte != '"')
        rc = unexpected(d, byte, "a key", e);
    if (rc == 0)
        rc = value(d, &d->key, KEY_MAX, "a key", e);
    return rc == 0 ? take(d, ':', ':', &byte, "a colon", e) : rc;
}

/* --- the document ----------------------------------------------------------------- */

static bool is_key(const struct har_doc *d, const char *quoted)
{
    return span_eq_str(buf_view(&d->key), quoted);
}

/* Members of an object up to the one that is wanted, whose value comes next: 1; or to
 * the object's end, 0. first: none has come yet. */
static int members(struct har_doc *d, const char *wanted, bool first, struct err *e)
{
    int byte, rc;
    bool log = wanted[1] == 'e';
    for (;; first = false) {
        rc = first ? blanks(d, &byte, e)
                   : take(d, ',', '}', &byte, "a comma or a bracket", e);
        if (rc == 0 && byte == '}') {
            d->at += first;
            return 0;
        }
        if (rc == 0)
            rc = key_of(d, e);
        if (rc == 0 && is_key(d, wanted))
            return 1;
        struct buf *to = log && is_key(d, "\"creator\"")        ? &d->creator
                         : log && is_key(d, "\"_epochWallNs\"") ? &d->epoch
                                                                : NULL;
        if (to)
            buf_reset(to);
        if (rc == 0)
            rc = value(d, to, HAR_MEMBER_MAX, "a member of the log", e);
        if (rc < 0)
            return rc;
    }
}

/* From the beginning to the first entry. */
static int begin(struct har_doc *d, struct err *e)
{
    int byte, rc = look(d, &byte, e);
    if (rc == 0 && byte == 0xEF && d->window.n >= 3 && d->window.p[1] == 0xBB)
        d->at += 3; /* a byte order mark */
    if (rc == 0)
        rc = take(d, '{', '{', &byte, "an object", e);
    if (rc == 0)
        rc = members(d, "\"log\"", true, e);
    if (rc == 0)
        return err_at(e, ERR_FORMAT, offset(d), "not a HAR: it has no 'log'");
    if (rc == 1)
        rc = take(d, '{', '{', &byte, "the log, an object,", e);
    if (rc == 0)
        rc = members(d, "\"entries\"", true, e);
    if (rc == 0)
        return err_at(e, ERR_FORMAT, offset(d), "not a HAR: its log has no 'entries'");
    if (rc == 1)
        rc = take(d, '[', '[', &byte, "the entries, an array,", e);
    return rc;
}

/* From behind the last entry to the end. */
static int finish(struct har_doc *d, struct err *e)
{
    int byte, rc = members(d, "\"entries\"", false, e);
    if (rc == 1)
        return err_at(e, ERR_FORMAT, offset(d), "a second 'entries'");
    if (rc == 0)
        rc = members(d, "\"log\"", false, e);
    if (rc == 1)
        return err_at(e, ERR_FORMAT, offset(d), "a second 'log'");
    if (rc == 0)
        rc = blanks(d, &byte, e);
    if (rc == 0 && byte >= 0)
        rc = err_at(e, ERR_FORMAT, offset(d), "more behind the document's end");
    d->state = OVER;
    return rc;
}

int har_doc_next(struct har_doc *d, struct span *entry, struct err *e)
{
    int byte, rc = d->state == BEFORE ? begin(d, e) : 0;
    bool first = d->state == BEFORE;
    if (d->state == OVER)
        return 0;
    d->state = IN_ENTRIES;
    if (rc == 0 && first)
        rc = blanks(d, &byte, e);
    else if (rc == 0)
        rc = take(d, ',', ']', &byte, "a comma or a bracket", e);
    if (rc == 0 && byte == ']') {
        d->at += first;
        return finish(d, e);
    }
    if (rc == 0)
        rc = blanks(d, &byte, e);
    buf_reset(&d->entry);
    d->entry_at = offset(d);
    if (rc == 0 && byte != '{')
        rc = unexpected(d, byte, "an entry, an object,", e);
    if (rc == 0)
        rc = value(d, &d->entry, HAR_ENTRY_MAX, "an entry", e);
    if (rc < 0)
        return rc;
    *entry = buf_view(&d->entry);
    d->entries++;
    return 1;
}
