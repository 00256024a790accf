/*
 * h2_heads.c - see h2_heads.h. Section numbers are those of RFC 9113.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/wire/h2_heads.h"

#include <stdlib.h>

#define FIELD_OVERHEAD 32u /* 6.5.2 */

void h2_heads_init(struct h2_heads *h)
{
    hpack_done(&h->hpack);
    hpack_init(&h->hpack, HPACK_TABLE_INIT);
    for (size_t i = 0; i < H2_HEADS; i++)
        h->known[i].n = 0;
}

void h2_heads_done(struct h2_heads *h)
{
    hpack_done(&h->hpack);
    free(h->fields);
    buf_done(&h->text);
    memset(h, 0, sizeof *h);
}

/* --- what a list says ------------------------------------------------------------- */

/* 8.2.1: a token in lower case. */
static bool name_ok(struct span name)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = name.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!plain && (c == 0 || !strchr(marks, c)))
            return false;
    }
    return name.n > 0;
}

static bool value_ok(struct span value)
{
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] == 0 || value.p[i] == '\r' || value.p[i] == '\n')
            return false;
    return true;
}

/* 8.2.2 */
static bool of_connection(struct span name)
{
    static const char *const names[] = {"connection", "keep-alive", "proxy-connection",
                                        "transfer-encoding", "upgrade"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (span_eq_str(name, names[i]))
            return true;
    return false;
}

/* 101 has no meaning here (8.6). */
static uint16_t status_of(struct span value)
{
    uint64_t v;
    bool fine = value.n == 3 && span_u64(value, &v) && v >= 100 && v != 101;
    return fine ? (uint16_t)v : 0;
}

/* first: all before it were pseudo fields. */
static const char *look_at(struct h2_head *head, const struct hpack_field *f,
                           bool first)
{
    uint64_t length;
    if (f->name.n > 0 && f->name.p[0] == ':') {
        if (!span_eq_str(f->name, ":status"))
            return "a pseudo field that is not of an answer";
        if (!first || head->status)
            return "a second status, or one behind other fields";
        head->status = status_of(f->value);
        return head->status ? NULL : "a status that is none";
    }
    if (!name_ok(f->name) || !value_ok(f->value))
        return "a field with characters that are not allowed";
    if (of_connection(f->name))
        return "a field that is for one connection only";
    if (!span_eq_str(f->name, "content-length"))
        return NULL;
    if (!span_u64(f->value, &length) || length > INT64_MAX ||
        (head->content_length >= 0 && (uint64_t)head->content_length != length))
        return "a content-length that is none";
    head->content_length = (int64_t)length;
    return NULL;
}

/* --- reading ---------------------------------------------------------------------- */

static int make_place(struct h2_heads *h, struct err *e)
{
    if (h->field_count < h->field_cap)
        return 0;
    size_t cap = h->field_cap ? h->field_cap * 2 : 32;
    struct hpack_field *fields = realloc(h->fields, cap * sizeof *fields);
    if (!fields)
        return err_set(e, ERR_NOMEM, "no memory for the fields of an answer");
    h->fields = fields;
    h->field_cap = cap;
    return 0;
}

/* Copies a field, since the table may lose it. Its spans are set when all are there. */
static int keep(struct h2_heads *h, const struct hpack_field *f, struct err *e)
{
    int rc = make_place(h, e);
    if (rc < 0)
        return rc;
    h->fields[h->field_count++] = *f;
    buf_span(&h->text, f->name);
    buf_span(&h->text, f->value);
    return buf_check(&h->text, e);
}

static void point(struct hpack_field *fields, size_t count, const uint8_t *text)
{
    for (size_t i = 0; i < count; i++) {
        fields[i].name.p = text;
        fields[i].value.p = text + fields[i].name.n;
        text += fields[i].name.n + fields[i].value.n;
    }
}

static int decode(struct h2_heads *h, struct span block, struct err *e)
{
    struct hpack_field f;
    size_t bytes = 0;
    bool first = true;
    int rc;

    h->head = (struct h2_head){.content_length = -1};
    h->field_count = 0;
    buf_reset(&h->text);
    buf_reserve(&h->text, 1); /* so that even an empty field has an address */
    hpack_begin(&h->hpack, block);
    while ((rc = hpack_next(&h->hpack, &f, e)) > 0) {
        bytes += FIELD_OVERHEAD + f.name.n + f.value.n;
        if (bytes > H2_LIST_MAX) {
            h->head.malformed = "more fields than are allowed";
            continue; /* the table goes on with the peer's */
        }
        if (!h->head.malformed)
            h->head.malformed = look_at(&h->head, &f, first);
        first = first && f.name.n > 0 && f.name.p[0] == ':';
        if ((rc = keep(h, &f, e)) < 0)
            return rc;
    }
    if (rc < 0)
        return rc;
    point(h->fields, h->field_count, h->text.p);
    h->head.fields = h->fields;
    h->head.field_count = h->field_count;
    return 0;
}

static void remember(struct h2_heads *h, struct h2_known *k, struct span block)
{
    if (block.n > sizeof k->block || h->text.n > sizeof k->text ||
        h->field_count > sizeof k->fields / sizeof *k->fields)
        return;
    k->changes = h->hpack.changes;
    k->n = (uint8_t)block.n;
    memcpy(k->block, block.p, block.n);
    if (h->field_count > 0) {
        memcpy(k->text, h->text.p, h->text.n);
        memcpy(k->fields, h->fields, h->field_count * sizeof *h->fields);
    }
    point(k->fields, h->field_count, k->text);
    k->head = h->head;
    k->head.fields = k->fields;
}

int h2_heads_read(struct h2_heads *h, struct span block, const struct h2_head **head,
                  struct err *e)
{
    uint64_t changes = h->hpack.changes;
    struct h2_known *k = NULL;

    if (block.n > 0) {
        k = &h->known[(block.n + block.p[0] + block.p[block.n - 1]) % H2_HEADS];
        if (k->n == block.n && k->changes == changes &&
            memcmp(k->block, block.p, block.n) == 0) {
            *head = &k->head;
            return 0;
        }
    }
    int rc = decode(h, block, e);
    if (rc < 0)
        return rc;
    *head = &h->head;
    if (k && h->hpack.changes == changes)
        remember(h, k, block);
    return 0;
}
