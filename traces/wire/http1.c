/*
 * http1.c - see http1.h. Heads are found with memchr, copied once and cut into spans;
 * body bytes are passed through by reference. One function per state.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/wire/http1.h"

#include <endian.h>
#include <string.h>

#include "traces/wire/http1_own.h"

/* Extensions of one chunk-size line: nobody sends them, so a generous line is enough.
 */
#define CHUNK_LINE_MAX   4096u
#define CHUNK_DIGITS_MAX 16u

enum state {
    ST_HEAD,       /* between messages when head_bytes is empty, else inside a head */
    ST_LENGTH,     /* body_left bytes of body follow */
    ST_CLOSE,      /* body until the peer closes */
    ST_CHUNK_SIZE, /* at or inside the digits of a chunk size */
    ST_CHUNK_EXT,
    ST_CHUNK_SIZE_LF,
    ST_CHUNK_DATA, /* body_left bytes of this chunk follow */
    ST_CHUNK_DATA_CR,
    ST_CHUNK_DATA_LF,
    ST_TRAILER_START, /* at the beginning of a line behind the last chunk */
    ST_TRAILER_LINE,
    ST_TRAILER_LF,
    ST_TRAILER_END_LF,
    ST_TOO_BIG, /* the head announced a body beyond max_body */
    ST_END,     /* complete; HTTP1_END is owed */
    ST_DEAD,    /* an error was returned */
};

enum { CH_TOKEN = 1, CH_VALUE = 2, CH_TARGET = 4 };

/* RFC 9110 5.6.2 tchar, 5.5 field-value; a target is anything visible (RFC 9112 3.2).
 */
#define T (CH_TOKEN | CH_VALUE | CH_TARGET)
#define P (CH_VALUE | CH_TARGET)
#define V CH_VALUE
/* clang-format off */
static const uint8_t classes[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, V, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    V, T, P, T, T, T, T, T, P, P, T, T, P, T, T, P, /*   ! " # $ % & ' ( ) * + , - . / */
    T, T, T, T, T, T, T, T, T, T, P, P, P, P, P, P, /* 0-9 : ; < = > ? */
    P, T, T, T, T, T, T, T, T, T, T, T, T, T, T, T, /* @ A-O */
    T, T, T, T, T, T, T, T, T, T, T, P, P, P, T, T, /* P-Z [ \ ] ^ _ */
    T, T, T, T, T, T, T, T, T, T, T, T, T, T, T, T, /* ` a-o */
    T, T, T, T, T, T, T, T, T, T, T, P, T, P, T, 0, /* p-z { | } ~ */
    P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P,
    P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P,
    P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P,
    P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P,
};
/* clang-format on */
#undef T
#undef P
#undef V

static bool all_of(struct span s, uint8_t class)
{
    uint8_t k = class;
    for (size_t i = 0; i < s.n; i++)
        k &= classes[s.p[i]];
    return k == class;
}

/* Bit 7 of each of eight bytes that is below 0x20 or equal to 0x7f; only the first one
 * that is set is certain, for subtracting borrows. */
static uint64_t odd_bytes(uint64_t v)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t del = v ^ ones * 0x7f;
    return (((v - ones * 0x20) & ~v) | ((del - ones) & ~del)) & ones << 7;
}

/* Index of the first odd byte, a tab too; s.n if there is none. Eight at a time: values
 * are most of a head. */
static size_t find_odd(struct span s, size_t from)
{
    size_t i = from;
    for (; i + 8 <= s.n; i += 8) {
        uint64_t v;
        memcpy(&v, s.p + i, 8);
        uint64_t odd = odd_bytes(le64toh(v));
        if (odd)
            return i + (size_t)__builtin_ctzll(odd) / 8;
    }
    while (i < s.n && s.p[i] >= 0x20 && s.p[i] != 0x7f)
        i++;
    return i;
}

/* As all_of(s, CH_VALUE): what is odd is looked at closely. */
static bool is_value(struct span s)
{
    size_t i = find_odd(s, 0);
    return i == s.n || all_of((struct span){s.p + i, s.n - i}, CH_VALUE);
}

/* Without spaces and tabs at both ends: no other blank may stand around a value. */
static struct span trim(struct span s)
{
    size_t from = 0, to = s.n;
    while (from < to && (s.p[from] == ' ' || s.p[from] == '\t'))
        from++;
    while (to > from && (s.p[to - 1] == ' ' || s.p[to - 1] == '\t'))
        to--;
    return (struct span){s.p + from, to - from};
}

static struct span skip(struct span s, size_t n)
{
    return (struct span){s.p + n, s.n - n};
}

void http1_init(struct http1_parser *p, enum http1_kind kind, uint64_t max_body)
{
    memset(p, 0, sizeof *p);
    p->kind = kind;
    p->max_body = max_body;
}

void http1_done(struct http1_parser *p)
{
    buf_done(&p->head_bytes);
    memset(p, 0, sizeof *p);
}

static void begin_message(struct http1_parser *p)
{
    buf_reset(&p->head_bytes);
    p->state = ST_HEAD;
    p->over = false;
    p->line_bytes = 0;
    p->body_left = p->body_bytes = p->chunk_digits = 0;
}

void http1_reset(struct http1_parser *p)
{
    begin_message(p);
    p->head_request = false;
}

bool http1_idle(const struct http1_parser *p)
{
    return p->state == ST_HEAD && (p->over || p->head_bytes.n == 0);
}

struct span http1_field(const struct http1_head *h, const char *name)
{
    struct span want = span_str(name);
    for (uint32_t i = 0; i < h->field_count; i++)
        if (h->fields[i].name.n == want.n && span_same_nocase(h->fields[i].name, want))
            return h->fields[i].value;
    return (struct span){0};
}

/* --- the head ------------------------------------------------------------------ */

static int parse_version(struct http1_head *h, struct span s, size_t at, struct err *e)
{
    if (s.n != 8 || memcmp(s.p, "HTTP/1.", 7) != 0 || s.p[7] < '0' || s.p[7] > '9')
        return err_at(e, ERR_FORMAT, at, "not an HTTP/1 version");
    h->minor_version = (uint8_t)(s.p[7] - '0');
    return 0;
}

static int parse_request_line(struct http1_head *h, struct span line, struct err *e)
{
    size_t space = span_find(line, ' ', 0);
    h->method = span_sub(line, 0, space);
    if (space == 0 || space == line.n || !all_of(h->method, CH_TOKEN))
        return err_at(e, ERR_FORMAT, 0, "bad request line: no method");
    size_t second = span_find(line, ' ', space + 1);
    h->target = span_sub(line, space + 1, second);
    if (second == line.n || h->target.n == 0 || !all_of(h->target, CH_TARGET))
        return err_at(e, ERR_FORMAT, space, "bad request line: no target");
    return parse_version(h, span_sub(line, second + 1, line.n), second + 1, e);
}

static int parse_status_line(struct http1_head *h, struct span line, struct err *e)
{
    if (line.n < 12 || line.p[8] != ' ' || (line.n > 12 && line.p[12] != ' '))
        return err_at(e, ERR_FORMAT, 0, "bad status line");
    uint64_t status;
    if (!span_u64(span_sub(line, 9, 12), &status) || status < 100)
        return err_at(e, ERR_FORMAT, 9, "bad status code");
    h->status = (uint16_t)status;
    h->reason = span_sub(line, 13, line.n);
    if (!is_value(h->reason))
        return err_at(e, ERR_FORMAT, 13, "control character in the reason phrase");
    return parse_version(h, span_sub(line, 0, 8), 0, e);
}

static int take_length(struct http1_head *h, struct span value, size_t at,
                       struct err *e)
{
    uint64_t n;
    if (!span_u64(value, &n))
        return err_at(e, ERR_FORMAT, at, "bad content-length '%.*s'",
                      (int)(value.n < 40 ? value.n : 40), (const char *)value.p);
    if (h->has_length && h->length != n)
        return err_at(e, ERR_FORMAT, at, "two different content-lengths");
    h->has_length = true;
    h->length = n;
    return 0;
}

static void take_connection(struct http1_head *h, struct span value)
{
    while (value.n) {
        size_t comma = span_find(value, ',', 0);
        struct span option = span_trim(span_sub(value, 0, comma));
        if (span_eq_nocase(option, "close"))
            h->keep_alive = false;
        else if (span_eq_nocase(option, "keep-alive") && h->minor_version == 0)
            h->keep_alive = true;
        value = comma < value.n ? skip(value, comma + 1) : (struct span){0};
    }
}

/* The few fields that frame the message. */
static int take_framing(struct http1_head *h, struct span name, struct span value,
                        size_t at, struct err *e)
{
    switch (name.n) {
    case 6:
        if (span_eq_nocase(name, "expect") && span_eq_nocase(value, "100-continue"))
            h->expect_continue = true;
        return 0;
    case 10:
        if (span_eq_nocase(name, "connection"))
            take_connection(h, value);
        return 0;
    case 14:
        return span_eq_nocase(name, "content-length") ? take_length(h, value, at, e)
                                                      : 0;
    case 17:
        if (!span_eq_nocase(name, "transfer-encoding"))
            return 0;
        if (h->chunked || !span_eq_nocase(value, "chunked") || h->minor_version == 0)
            return err_at(e, ERR_FORMAT, at, "unknown transfer-encoding");
        h->chunked = true;
        return 0;
    default:
        return 0;
    }
}

static int parse_field(struct http1_head *h, struct span line, size_t at, struct err *e)
{
    if (h->field_count == HTTP1_FIELDS_MAX)
        return err_at(e, ERR_LIMIT, at, "more than %d header fields", HTTP1_FIELDS_MAX);
    size_t colon = span_find(line, ':', 0);
    struct span name = span_sub(line, 0, colon);
    /* This also refuses a folded line and blanks before the colon. */
    if (colon == 0 || colon == line.n || !all_of(name, CH_TOKEN))
        return err_at(e, ERR_FORMAT, at, "bad header field");
    struct span value = trim(skip(line, colon + 1));
    if (!is_value(value))
        return err_at(e, ERR_FORMAT, at, "control character in a header field");
    h->fields[h->field_count++] = (struct op_header){name, value};
    return take_framing(h, name, value, at, e);
}

size_t http1_value_end(struct span s, size_t from)
{
    size_t to = find_odd(s, from);
    if (s.n - to < 2 || s.p[to] != '\r' || s.p[to + 1] != '\n')
        return 0;
    return to > from && (s.p[from] == ' ' || s.p[to - 1] == ' ') ? 0 : to;
}

/* The usual field: a name, a colon, a space or none, a value without blanks around it,
 * CR LF. It is seen whole with one look at each byte. How many bytes it takes; 0: it is
 * of another kind, or wrong. */
static size_t usual_field(struct span s, struct op_header *f)
{
    size_t colon = 0;
    while (colon < s.n && classes[s.p[colon]] & CH_TOKEN)
        colon++;
    if (colon == 0 || s.n - colon < 3 || s.p[colon] != ':')
        return 0;
    size_t from = colon + (s.p[colon + 1] == ' ' ? 2 : 1);
    size_t to = http1_value_end(s, from);
    if (to == 0)
        return 0;
    f->name = span_of(s.p, colon);
    f->value = span_of(s.p + from, to - from);
    return to + 2;
}

/* The line that begins at `at`, without its end. */
static int take_line(struct span bytes, size_t at, struct span *line, struct err *e)
{
    const uint8_t *p = bytes.p + at, *lf = memchr(p, '\n', bytes.n - at);
    if (!lf)
        return err_at(e, ERR_TRUNCATED, bytes.n, "head without an empty line");
    if (lf == p || lf[-1] != '\r')
        return err_at(e, ERR_FORMAT, (size_t)(lf - bytes.p),
                      "line feed without carriage return");
    *line = span_of(p, (size_t)(lf - p) - 1);
    return 0;
}

/* The fields from `at` on, and the empty line. */
static int parse_fields(struct http1_head *h, struct span bytes, size_t at,
                        struct err *e)
{
    for (;;) {
        struct op_header *f = &h->fields[h->field_count];
        struct span line;
        size_t n =
            h->field_count < HTTP1_FIELDS_MAX ? usual_field(skip(bytes, at), f) : 0;
        int rc;
        if (n > 0) {
            h->field_count++;
            rc = take_framing(h, f->name, f->value, at, e);
        } else if ((rc = take_line(bytes, at, &line, e)) == 0) {
            n = line.n + 2;
            if (line.n == 0)
                break;
            rc = parse_field(h, line, at, e);
        }
        if (rc < 0)
            return rc;
        at += n;
    }
    h->bytes = at + 2;
    return h->chunked && h->has_length
               ? err_at(e, ERR_FORMAT, at, "both content-length and chunked")
               : 0;
}

int http1_parse_head(enum http1_kind kind, struct span bytes, struct http1_head *h,
                     struct err *e)
{
    struct span line;
    h->method = h->target = h->reason = (struct span){0};
    h->status = 0;
    h->field_count = 0;
    h->chunked = h->expect_continue = h->has_length = false;
    h->length = 0;
    int rc = take_line(bytes, 0, &line, e);
    if (rc == 0)
        rc = kind == HTTP1_REQUEST ? parse_request_line(h, line, e)
                                   : parse_status_line(h, line, e);
    h->keep_alive = h->minor_version >= 1;
    return rc < 0 ? rc : parse_fields(h, bytes, line.n + 2, e);
}

/* What follows this head (RFC 9112 6.3). */
static void choose_body(struct http1_parser *p)
{
    struct http1_head *h = &p->head;
    bool bodiless = p->kind == HTTP1_RESPONSE &&
                    (p->head_request || h->status == 204 || h->status == 304);
    if (bodiless) {
        p->state = ST_END;
    } else if (h->chunked) {
        p->state = ST_CHUNK_SIZE;
        p->line_bytes = 0;
    } else if (h->has_length) {
        p->state = h->length > p->max_body ? ST_TOO_BIG
                   : h->length             ? ST_LENGTH
                                           : ST_END;
        p->body_left = h->length;
    } else if (p->kind == HTTP1_REQUEST) {
        p->state = ST_END;
    } else {
        p->state = ST_CLOSE;
        h->keep_alive = false;
    }
}

static int finish_head(struct http1_parser *p, struct err *e)
{
    int rc = http1_parse_head(p->kind, buf_view(&p->head_bytes), &p->head, e);
    if (rc < 0)
        return rc;
    if (p->kind == HTTP1_RESPONSE && p->head.status < 200) {
        if (p->head.status == 101)
            return err_at(e, ERR_FORMAT, 9, "101 answer, but nobody asked to upgrade");
        begin_message(p);
        return HTTP1_MORE;
    }
    choose_body(p);
    return HTTP1_HEAD;
}

/* Refuses at once what cannot become a head, so that a peer which speaks something else
 * is found out by its first bytes and not by a deadline. */
static int check_start(const struct http1_parser *p, struct err *e)
{
    static const char version[] = "HTTP/1.";
    const struct buf *b = &p->head_bytes;
    if (p->kind == HTTP1_REQUEST)
        return b->n == 0 || (classes[b->p[0]] & CH_TOKEN)
                   ? 0
                   : err_at(e, ERR_FORMAT, 0, "not an HTTP request");
    size_t n = b->n < sizeof version - 1 ? b->n : sizeof version - 1;
    return n == 0 || memcmp(b->p, version, n) == 0
               ? 0
               : err_at(e, ERR_FORMAT, 0, "not an HTTP/1 response");
}

/* Index behind the line feed that ends the head, or 0 when it is not within s. */
static size_t find_head_end(struct http1_parser *p, struct span s)
{
    size_t from = 0;
    for (;;) {
        const uint8_t *lf = memchr(s.p + from, '\n', s.n - from);
        if (!lf) {
            p->line_bytes += s.n - from;
            return 0;
        }
        size_t line = p->line_bytes + (size_t)(lf - (s.p + from));
        from = (size_t)(lf - s.p) + 1;
        p->line_bytes = 0;
        /* An empty line is CR LF; a lone LF is left for parse_head to refuse. */
        if (line == 0)
            return from;
        if (line == 1 &&
            (lf > s.p ? lf[-1] : p->head_bytes.p[p->head_bytes.n - 1]) == '\r')
            return from;
    }
}

/* Servers skip empty lines in front of a request (RFC 9112 2.2). */
static bool skip_empty_line(struct http1_parser *p)
{
    if (p->kind != HTTP1_REQUEST || p->head_bytes.n != 2 || p->head_bytes.p[0] != '\r')
        return false;
    buf_reset(&p->head_bytes);
    return true;
}

static int feed_head(struct http1_parser *p, struct span *in, struct err *e)
{
    while (in->n) {
        size_t room = HTTP1_HEAD_MAX - p->head_bytes.n;
        struct span s = {in->p, in->n < room ? in->n : room};
        size_t end = find_head_end(p, s);
        struct span taken = {s.p, end ? end : s.n};
        buf_span(&p->head_bytes, taken);
        *in = skip(*in, taken.n);
        if (buf_check(&p->head_bytes, e) < 0)
            return ERR_NOMEM;
        if (end && skip_empty_line(p))
            continue;
        bool may_be_empty_line = p->kind == HTTP1_REQUEST && p->head_bytes.n == 1 &&
                                 p->head_bytes.p[0] == '\r';
        int rc = may_be_empty_line ? 0 : check_start(p, e);
        if (rc < 0)
            return rc;
        if (end) {
            rc = finish_head(p, e);
            if (rc != HTTP1_MORE)
                return rc;
        } else if (p->head_bytes.n == HTTP1_HEAD_MAX) {
            return err_at(e, ERR_LIMIT, HTTP1_HEAD_MAX, "head longer than %u bytes",
                          HTTP1_HEAD_MAX);
        }
    }
    return HTTP1_MORE;
}

/* --- the body ------------------------------------------------------------------ */

static int too_big(const struct http1_parser *p, struct err *e)
{
    return err_set(e, ERR_LIMIT, "body longer than %llu bytes",
                   (unsigned long long)p->max_body);
}

/* Hands out what there is of body_left bytes; goes to `then` behind the last one. */
static int give_data(struct http1_parser *p, struct span *in, struct span *data,
                     enum state then)
{
    if (!in->n)
        return HTTP1_MORE;
    size_t n = in->n < p->body_left ? in->n : (size_t)p->body_left;
    *data = (struct span){in->p, n};
    *in = skip(*in, n);
    p->body_left -= n;
    p->body_bytes += n;
    if (p->body_left == 0)
        p->state = (int)then;
    return HTTP1_DATA;
}

static int give_until_close(struct http1_parser *p, struct span *in, struct span *data,
                            struct err *e)
{
    if (!in->n)
        return HTTP1_MORE;
    if (in->n > p->max_body - p->body_bytes)
        return too_big(p, e);
    *data = *in;
    p->body_bytes += in->n;
    *in = skip(*in, in->n);
    return HTTP1_DATA;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int chunk_digit(struct http1_parser *p, uint8_t c, struct err *e)
{
    int digit = hex_digit(c);
    if (digit >= 0) {
        if (++p->chunk_digits > CHUNK_DIGITS_MAX)
            return err_set(e, ERR_LIMIT, "chunk size of more than %u digits",
                           CHUNK_DIGITS_MAX);
        p->body_left = p->body_left << 4 | (uint64_t)digit;
        return 0;
    }
    if (p->chunk_digits == 0)
        return err_set(e, ERR_FORMAT, "bad chunk size");
    if (c == '\r')
        p->state = ST_CHUNK_SIZE_LF;
    else if (c == ';' || c == ' ' || c == '\t')
        p->state = ST_CHUNK_EXT;
    else
        return err_set(e, ERR_FORMAT, "bad chunk size");
    return 0;
}

static int chunk_begins(struct http1_parser *p, struct err *e)
{
    p->chunk_digits = 0;
    p->line_bytes = 0;
    if (p->body_left > p->max_body - p->body_bytes)
        return too_big(p, e);
    p->state = p->body_left ? ST_CHUNK_DATA : ST_TRAILER_START;
    return 0;
}

static int want(struct http1_parser *p, uint8_t c, uint8_t wanted, enum state then,
                struct err *e)
{
    if (c != wanted)
        return err_set(e, ERR_FORMAT, "bad line end in a chunked body");
    p->state = (int)then;
    return 0;
}

/* Inside a line whose content does not matter: a chunk extension or a trailer field. */
static int skip_line(struct http1_parser *p, uint8_t c, enum state then, struct err *e)
{
    if (c == '\r')
        p->state = (int)then;
    else if (!(classes[c] & CH_VALUE))
        return err_set(e, ERR_FORMAT, "control character in a chunked body's %s",
                       then == ST_TRAILER_LF ? "trailer" : "extension");
    return 0;
}

/* One byte of chunked framing. */
static int feed_framing(struct http1_parser *p, uint8_t c, struct err *e)
{
    switch ((enum state)p->state) {
    case ST_CHUNK_SIZE:
        return chunk_digit(p, c, e);
    case ST_CHUNK_EXT:
        if (++p->line_bytes > CHUNK_LINE_MAX)
            return err_set(e, ERR_LIMIT, "chunk extension longer than %u bytes",
                           CHUNK_LINE_MAX);
        return skip_line(p, c, ST_CHUNK_SIZE_LF, e);
    case ST_CHUNK_SIZE_LF:
        return c == '\n' ? chunk_begins(p, e) : want(p, c, '\n', ST_DEAD, e);
    case ST_CHUNK_DATA_CR:
        return want(p, c, '\r', ST_CHUNK_DATA_LF, e);
    case ST_CHUNK_DATA_LF:
        return want(p, c, '\n', ST_CHUNK_SIZE, e);
    case ST_TRAILER_START:
        if (c == '\r') {
            p->state = ST_TRAILER_END_LF;
            return 0;
        }
        p->state = ST_TRAILER_LINE;
        /* fallthrough */
    case ST_TRAILER_LINE:
        if (++p->line_bytes > HTTP1_HEAD_MAX)
            return err_set(e, ERR_LIMIT, "trailer longer than %u bytes",
                           HTTP1_HEAD_MAX);
        return skip_line(p, c, ST_TRAILER_LF, e);
    case ST_TRAILER_LF:
        return want(p, c, '\n', ST_TRAILER_START, e);
    default:
        return want(p, c, '\n', ST_END, e); /* ST_TRAILER_END_LF */
    }
}

static int feed_chunked(struct http1_parser *p, struct span *in, struct err *e)
{
    while (in->n && p->state != ST_CHUNK_DATA && p->state != ST_END) {
        int rc = feed_framing(p, in->p[0], e);
        if (rc < 0)
            return rc;
        *in = skip(*in, 1);
    }
    return HTTP1_MORE;
}

/* --- events -------------------------------------------------------------------- */

static int next_event(struct http1_parser *p, struct span *in, struct span *data,
                      struct err *e)
{
    for (;;) {
        int rc;
        switch ((enum state)p->state) {
        case ST_HEAD:
            return feed_head(p, in, e);
        case ST_LENGTH:
            return give_data(p, in, data, ST_END);
        case ST_CLOSE:
            return give_until_close(p, in, data, e);
        case ST_CHUNK_DATA:
            return give_data(p, in, data, ST_CHUNK_DATA_CR);
        case ST_END:
            p->state = ST_HEAD;
            p->over = true;
            return HTTP1_END;
        case ST_TOO_BIG:
            return too_big(p, e);
        case ST_DEAD:
            return err_set(e, ERR_FORMAT, "bytes behind an error");
        default:
            rc = feed_chunked(p, in, e);
            if (rc < 0 || (p->state != ST_CHUNK_DATA && p->state != ST_END))
                return rc;
        }
    }
}

int http1_feed(struct http1_parser *p, struct span *in, struct span *data,
               struct err *e)
{
    *data = (struct span){0};
    if (p->over) /* the last head stayed readable until now */
        begin_message(p);
    int rc = next_event(p, in, data, e);
    if (rc < 0)
        p->state = ST_DEAD;
    return rc;
}

int http1_eof(struct http1_parser *p, struct err *e)
{
    switch ((enum state)p->state) {
    case ST_HEAD:
        if (http1_idle(p))
            return HTTP1_END;
        return err_set(e, ERR_TRUNCATED, "closed inside a head, after %zu bytes",
                       p->head_bytes.n);
    case ST_CLOSE:
    case ST_END:
        p->state = ST_HEAD;
        p->over = true;
        return HTTP1_END;
    case ST_LENGTH:
        return err_set(e, ERR_TRUNCATED,
                       "closed inside a body: wanted %llu bytes, got %llu",
                       (unsigned long long)(p->body_bytes + p->body_left),
                       (unsigned long long)p->body_bytes);
    case ST_DEAD:
        return err_set(e, ERR_FORMAT, "closed behind an error");
    default:
        return err_set(e, ERR_TRUNCATED,
                       "closed inside a chunked body, after %llu bytes",
                       (unsigned long long)p->body_bytes);
    }
}
