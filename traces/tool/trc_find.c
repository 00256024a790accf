/*
 * trc_find.c - see trc_find.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/tool/trc_find.h"

#include <string.h>

#include "traces/base/arena.h"
#include "traces/payload/json_scan.h"
#include "traces/payload/v2_json.h"
#include "traces/payload/v2_proto.h"

#define BEARER_SURE   20u /* characters of a token that needs no digit */
#define BEARER_LEAST  8u
#define JWT_PART      8u /* least of the first two parts */
#define AWS_KEY       20u
#define PEM_LABEL_MAX 40u
#define LOCAL_MAX     64u /* of a mail address (RFC 5321) */
#define DOMAIN_MAX    255u
#define CARD_LEAST    13u
#define CARD_MOST     19u
#define MESSAGE_DEPTH 7u /* a parameter of a tensor lies 5 deep, text and all */

const char *const trc_find_names[] = {"bearer",      "jwt",    "aws-key",
                                      "private-key", "email",  "card",
                                      "named",       "header", NULL};
const char *const trc_find_excerpts[] = {
    "Bearer ...", "eyJ...",          "A?IA...",   "-----BEGIN ... PRIVATE KEY-----",
    "...@...",    "card number ...", "NAME: ...", "NAME: ...",
    NULL};
_Static_assert(sizeof trc_find_names / sizeof *trc_find_names == TRC_FIND_COUNT + 1 &&
                   sizeof trc_find_excerpts / sizeof *trc_find_excerpts ==
                       TRC_FIND_COUNT + 1,
               "a name and an excerpt for each kind");

static bool digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool word(uint8_t c)
{
    return letter(c) || digit(c) || c == '_';
}

/* Bytes from `at` on that are letters, digits or in `more`. */
static size_t run_of(struct span s, size_t at, const char *more)
{
    size_t end = at;
    while (end < s.n && (letter(s.p[end]) || digit(s.p[end]) ||
                         (s.p[end] && strchr(more, s.p[end]))))
        end++;
    return end - at;
}

/* --- one pattern each: the bytes of it that begin at `at`, or 0 ------------------- */

static size_t bearer(struct span s, size_t at)
{
    size_t from = at + strlen("bearer ");
    if (from >= s.n || !span_eq_nocase(span_sub(s, at, from), "bearer "))
        return 0;
    size_t n = run_of(s, from, "-._~+/=");
    bool has_digit = false;
    for (size_t i = from; i < from + n; i++)
        has_digit |= digit(s.p[i]);
    return n >= BEARER_SURE || (n >= BEARER_LEAST && has_digit) ? from + n - at : 0;
}

static size_t jwt(struct span s, size_t at)
{
    if (!span_starts(span_sub(s, at, s.n), "eyJ") || (at && s.p[at - 1] == '-'))
        return 0; /* within a run that was looked at: time stays linear */
    size_t first = run_of(s, at, "-_"), dot = at + first;
    if (first < JWT_PART || dot >= s.n || s.p[dot] != '.')
        return 0;
    size_t second = run_of(s, dot + 1, "-_"), last = dot + 1 + second;
    if (second < JWT_PART || last >= s.n || s.p[last] != '.')
        return 0;
    return last + 1 + run_of(s, last + 1, "-_") - at;
}

static size_t aws_key(struct span s, size_t at)
{
    struct span key = span_sub(s, at, at + AWS_KEY);
    if (key.n < AWS_KEY || !(span_starts(key, "AKIA") || span_starts(key, "ASIA")))
        return 0;
    for (size_t i = 4; i < key.n; i++)
        if (!digit(key.p[i]) && !(key.p[i] >= 'A' && key.p[i] <= 'Z'))
            return 0;
    return at + AWS_KEY < s.n && word(s.p[at + AWS_KEY]) ? 0 : AWS_KEY;
}

static size_t private_key(struct span s, size_t at)
{
    static const char end[] = "PRIVATE KEY";
    size_t from = at + strlen("-----BEGIN ");
    if (!span_starts(span_sub(s, at, s.n), "-----BEGIN "))
        return 0;
    size_t stop = span_find(span_sub(s, from, from + PEM_LABEL_MAX), '-', 0);
    struct span label = span_sub(s, from, from + stop);
    if (!span_ends(label, end) && !span_ends(label, "PRIVATE KEY BLOCK"))
        return 0;
    return from + stop - at;
}

/* `at` is behind the @; *start becomes the address's first byte. */
static size_t email(struct span s, size_t at, size_t *start)
{
    static const char local[] = ".!#$%&'*+/=?^_`{|}~-";
    size_t from = at - 1, labels = 0, label = 0, alphabetic = 0, end = at;
    while (from > 0 && at - 1 - from < LOCAL_MAX) {
        uint8_t c = s.p[from - 1];
        if (!letter(c) && !digit(c) && !(c && strchr(local, c)))
            break;
        from--;
    }
    size_t whole = at; /* end of the last label that can be a top-level domain */
    for (; end < s.n && end - at < DOMAIN_MAX; end++) {
        uint8_t c = s.p[end];
        if (c == '.') {
            if (label == 0)
                break;
            labels++;
            label = alphabetic = 0;
            continue;
        }
        if (!letter(c) && !digit(c) && c != '-')
            break;
        label++;
        alphabetic += letter(c);
        if (labels > 0 && label >= 2 && alphabetic == label)
            whole = end + 1;
    }
    *start = from;
    return from < at - 1 && whole > at ? whole - from : 0;
}

/* Lengths and first digits of issuers in use. */
static bool issued(const uint8_t *d, size_t n)
{
    unsigned two = d[0] * 10u + d[1], four = two * 100u + d[2] * 10u + d[3];
    if (d[0] == 4)
        return n == 13 || n == 16 || n == 19;
    if ((two >= 51 && two <= 55) || (four >= 2221 && four <= 2720))
        return n == 16;
    if (two == 34 || two == 37)
        return n == 15;
    if (two == 30 || two == 36 || two == 38 || two == 39)
        return n >= 14;
    return n >= 16 && (four == 6011 || two == 65 || two == 62 || two == 35 ||
                       (four >= 6440 && four <= 6499));
}

static bool luhn(const uint8_t *d, size_t n)
{
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned v = d[n - 1 - i];
        if (i % 2 == 1)
            v = v * 2 > 9 ? v * 2 - 9 : v * 2;
        sum += v;
    }
    return sum % 10 == 0;
}

/* Digits, in groups with one blank or dash between them; `at` begins a group. */
static size_t card(struct span s, size_t at)
{
    uint8_t d[CARD_MOST];
    size_t n = 0, i = at;
    for (;;) {
        while (i < s.n && digit(s.p[i]) && n < CARD_MOST)
            d[n++] = (uint8_t)(s.p[i++] - '0');
        if (i < s.n &&
            (word(s.p[i]) || (s.p[i] == '.' && i + 1 < s.n && digit(s.p[i + 1]))))
            return 0; /* a longer number, a fraction, a word */
        if (n >= CARD_LEAST && issued(d, n) && luhn(d, n))
            return i - at;
        if (n == CARD_MOST || i + 1 >= s.n || (s.p[i] != ' ' && s.p[i] != '-') ||
            !digit(s.p[i + 1]))
            return 0;
        i++;
    }
}

/* --- text ------------------------------------------------------------------------ */

static size_t found_at(struct span s, size_t at, enum trc_find_kind *kind)
{
    size_t n = 0;
    uint8_t c = s.p[at], before = at ? s.p[at - 1] : 0;
    if (c == '-') {
        *kind = TRC_FIND_PRIVATE_KEY;
        return private_key(s, at);
    }
    if (word(before))
        return 0;
    if ((c == 'b' || c == 'B') && (n = bearer(s, at)) > 0)
        *kind = TRC_FIND_BEARER;
    else if (c == 'e' && (n = jwt(s, at)) > 0)
        *kind = TRC_FIND_JWT;
    else if (c == 'A' && (n = aws_key(s, at)) > 0)
        *kind = TRC_FIND_AWS_KEY;
    else if (digit(c) && before != '.' && (n = card(s, at)) > 0)
        *kind = TRC_FIND_CARD;
    return n;
}

/* What stands at `at`, or, for an @, around it. */
static struct trc_finding look(struct span s, size_t at)
{
    struct trc_finding f = {.at = at};
    if (s.p[at] == '@' && at > 0) {
        f.kind = TRC_FIND_EMAIL;
        f.bytes = email(s, at + 1, &f.at);
    } else {
        f.bytes = found_at(s, at, &f.kind);
    }
    return f;
}

void trc_find_text(struct span s, trc_find_fn *fn, void *ctx)
{
    for (size_t at = 0; at < s.n;) {
        struct trc_finding f = look(s, at);
        if (f.bytes)
            fn(ctx, &f);
        at = f.bytes ? f.at + f.bytes : at + 1;
    }
}

bool trc_find_named(struct span name)
{
    static const char *const ends[] = {
        "password",   "passwd",      "passphrase",    "pwd",         "secret",
        "token",      "apikey",      "api_key",       "api-key",     "accesskey",
        "access_key", "secret_key",  "secretkey",     "private_key", "privatekey",
        "credential", "credentials", "authorization", "cookie",      "jwt"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t n = strlen(ends[i]);
        if (name.n >= n && span_eq_nocase(span_sub(name, name.n - n, name.n), ends[i]))
            return true;
    }
    return false;
}

/* Not a text that a mask left. */
static bool telling(struct span text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] != 'x')
            return true;
    return false;
}

static void tell_named(size_t at, struct span text, bool inside, trc_find_fn *fn,
                       void *ctx)
{
    struct trc_finding f = {.kind = TRC_FIND_NAMED,
                            .at = inside ? 0 : at,
                            .bytes = text.n,
                            .inside = inside};
    if (telling(text))
        fn(ctx, &f);
}

void trc_find_path(struct span path, trc_find_fn *fn, void *ctx)
{
    trc_find_text(path, fn, ctx);
    size_t at = span_find(path, '?', 0) + 1;
    while (at < path.n) {
        size_t end = span_find(path, '&', at), equals = span_find(path, '=', at);
        if (equals < end && trc_find_named(span_sub(path, at, equals)))
            tell_named(equals + 1, span_sub(path, equals + 1, end), false, fn, ctx);
        at = end + 1;
    }
}

/* --- bodies ----------------------------------------------------------------------- */

struct body {
    struct span text;
    trc_find_fn *fn;
    void *ctx;
    size_t at; /* of the part that is looked at, in text */
};

static void tell_inside(void *ctx, const struct trc_finding *found)
{
    const struct body *b = ctx;
    struct trc_finding f = *found;
    f.at = 0;
    f.inside = true;
    b->fn(b->ctx, &f);
}

static void tell_part(void *ctx, const struct trc_finding *found)
{
    const struct body *b = ctx;
    struct trc_finding f = *found;
    f.at += b->at;
    b->fn(b->ctx, &f);
}

static bool borrowed(const struct body *b, struct span part)
{
    return part.n && part.p >= b->text.p && part.p < b->text.p + b->text.n;
}

/* A text of a JSON body, which has its own bytes if it was spelled with escapes. */
static void find_part(struct body *b, struct span part, bool named)
{
    bool here = borrowed(b, part);
    b->at = here ? (size_t)(part.p - b->text.p) : 0;
    if (named)
        tell_named(b->at, part, !here, b->fn, b->ctx);
    trc_find_text(part, here ? tell_part : tell_inside, b);
}

/* Texts below `named` belong to a member whose name says secret. Depth is bounded by
 * the scanner. */
static void find_value(struct json_scan *s, bool named, struct body *b)
{
    struct span text;
    switch (json_scan_peek(s)) {
    case JSON_KIND_OBJECT:
        json_scan_open(s, JSON_KIND_OBJECT);
        while (json_scan_member(s, &text)) {
            find_part(b, text, false);
            find_value(s, trc_find_named(text), b);
        }
        break;
    case JSON_KIND_ARRAY:
        json_scan_open(s, JSON_KIND_ARRAY);
        while (json_scan_element(s))
            find_value(s, named, b);
        break;
    case JSON_KIND_STRING:
        if (json_scan_string(s, &text))
            find_part(b, text, named);
        break;
    case JSON_KIND_NUMBER:
        if (json_scan_number(s, &text))
            find_part(b, text, false);
        break;
    default:
        json_scan_skip(s);
    }
}

/* around[depth] is part of the others, the first of which was looked at: tells what the
 * part's neighbours hid, and none around it showed. */
static void find_hidden(struct body *b, const struct span *around, uint32_t depth)
{
    struct span part = around[depth];
    for (size_t at = 0; at < part.n;) {
        struct trc_finding f = look(part, at);
        bool seen = f.bytes == 0;
        for (uint32_t i = 0; !seen && i < depth; i++)
            seen = look(around[i], (size_t)(part.p - around[i].p) + at).bytes > 0;
        if (!seen)
            b->fn(b->ctx,
                  &(struct trc_finding){f.kind, (size_t)(part.p - b->text.p) + f.at,
                                        f.bytes, false});
        at = f.bytes ? f.at + f.bytes : at + 1;
    }
}

/* Raw BYTES: each element behind its length in four bytes. False: it is none. */
static bool find_raw(struct body *b, struct span *around, uint32_t depth, bool tell)
{
    struct cursor c = cursor_of(around[depth]);
    while (cursor_left(&c)) {
        uint32_t n = cursor_u32(&c);
        if (c.bad || n > cursor_left(&c))
            return false;
        around[depth + 1] = cursor_take(&c, n);
        if (tell)
            find_hidden(b, around, depth + 1);
    }
    return true;
}

/* The fields of a message, and those of what may be messages in it. In front of a text
 * stands its length and behind it the next field's tag, and both may look like letters.
 */
static void find_fields(struct body *b, struct span *around, uint32_t depth)
{
    struct cursor c = cursor_of(around[depth]);
    while (cursor_left(&c) && !c.bad) {
        uint64_t n = cursor_varint(&c) & 7;
        if (n == 0) {
            cursor_varint(&c);
        } else if (n == 1 || n == 5) {
            cursor_take(&c, n == 1 ? 8 : 4);
        } else if (n != 2 || (n = cursor_varint(&c)) > cursor_left(&c) || c.bad) {
            return;
        } else {
            around[depth + 1] = cursor_take(&c, (size_t)n);
            find_hidden(b, around, depth + 1);
            if (depth + 2 < MESSAGE_DEPTH && find_raw(b, around, depth + 1, false))
                find_raw(b, around, depth + 1, true);
            if (depth + 2 < MESSAGE_DEPTH)
                find_fields(b, around, depth + 1);
        }
    }
}

static void find_params(const struct pay_param *params, uint32_t n, struct body *b)
{
    for (uint32_t i = 0; i < n; i++)
        if (trc_find_named(params[i].name))
            tell_named(0, params[i].s, true, b->fn, b->ctx);
}

/* What is called a secret. json: its parameters are members, which have been looked at.
 */
static void find_message(const struct pay_message *m, bool json, struct body *b)
{
    if (!json)
        find_params(m->params, m->param_count, b);
    for (uint32_t i = 0; i < m->tensor_count; i++) {
        const struct pay_tensor *t = &m->tensors[i];
        if (!json)
            find_params(t->params, t->param_count, b);
        if (t->type != PAY_BYTES || !trc_find_named(t->name))
            continue;
        for (uint64_t k = 0; k < t->element_count; k++)
            tell_named(0, t->bytes[k], true, b->fn, b->ctx);
    }
}

/* Whether the body is JSON from its first byte to its last. */
static bool is_json(struct span body, struct arena *a, struct err *why)
{
    struct span start = span_trim(body);
    struct json_scan s;
    if (!start.n || (start.p[0] != '{' && start.p[0] != '['))
        return false;
    json_scan_init(&s, body, a, why);
    json_scan_skip(&s);
    return json_scan_end(&s) == 0;
}

typedef int parse_fn(struct span, struct arena *, struct pay_message *, struct err *);

int trc_find_body(struct span body, struct arena *a, trc_find_fn *fn, void *ctx,
                  struct err *e)
{
    static parse_fn *const json[] = {v2_json_parse_request, v2_json_parse_response};
    static parse_fn *const proto[] = {v2_proto_parse_request, v2_proto_parse_response};
    struct body b = {.text = body, .fn = fn, .ctx = ctx};
    struct pay_message m;
    struct err why = {0};
    arena_reset(a);
    bool whole = is_json(body, a, &why);
    if (whole) {
        struct json_scan s;
        json_scan_init(&s, body, a, &why);
        find_value(&s, false, &b);
        b.at = json_scan_at(&s); /* the end, or a number too long to be one */
        trc_find_text(span_sub(body, b.at, body.n), tell_part, &b);
    } else {
        struct span around[MESSAGE_DEPTH] = {body};
        trc_find_text(body, fn, ctx);
        find_fields(&b, around, 0);
    }
    for (size_t i = 0; why.code != ERR_NOMEM && i < 2; i++) {
        err_clear(&why);
        if ((whole ? json : proto)[i](body, a, &m, &why) == 0) {
            find_message(&m, whole, &b);
            break;
        }
    }
    if (why.code == ERR_NOMEM && e && e->code == ERR_OK)
        *e = why;
    return why.code == ERR_NOMEM ? ERR_NOMEM : 0;
}
