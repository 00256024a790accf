/*
 * half.c - one message while it comes in: fields, body, the messages of a gRPC stream.
 * See parse_own.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/parse_own.h"
#include "capture/spare.h"

#include <assert.h>
#include <string.h>

/* --- fields ----------------------------------------------------------------------- */

struct cap_text cap_half_text(struct cap_half *h, struct span s)
{
    struct cap_text t = {(uint32_t)h->text.n, (uint32_t)s.n};
    buf_span(&h->text, s);
    return h->text.failed ? CAP_NO_TEXT : t;
}

void cap_half_field(struct cap_half *h, struct span name, struct span value)
{
    size_t count = h->fields.n / (2 * sizeof(struct cap_text));
    if (count >= CAP_FIELDS_MAX || name.n + value.n > CAP_FIELDS_BYTES - h->text.n) {
        h->headers_opaque = true;
        return;
    }
    uint32_t at = (uint32_t)h->text.n;
    uint8_t *text = buf_grow(&h->text, name.n + value.n);
    if (!text)
        return;
    if (name.n)
        memcpy(text, name.p, name.n);
    if (value.n)
        memcpy(text + name.n, value.p, value.n);
    span_to_lower(text, name.n);
    const struct cap_text pair[2] = {{at, (uint32_t)name.n},
                                     {at + (uint32_t)name.n, (uint32_t)value.n}};
    buf_add(&h->fields, pair, sizeof pair);
}

struct cap_text cap_half_part(const struct cap_half *h, struct span bytes,
                              uint32_t base, struct span part)
{
    if (part.n == 0 || h->text.failed)
        return CAP_NO_TEXT;
    return (struct cap_text){base + (uint32_t)(part.p - bytes.p), (uint32_t)part.n};
}

uint32_t cap_half_head(struct cap_half *h, struct span bytes,
                       const struct http1_head *head)
{
    _Static_assert(HTTP1_FIELDS_MAX <= CAP_FIELDS_MAX, "no field is over the limit");
    _Static_assert(HTTP1_HEAD_MAX <= CAP_FIELDS_BYTES, "nor is their text");
    uint32_t base = (uint32_t)h->text.n;
    struct cap_text *pair =
        (void *)buf_grow(&h->fields, head->field_count * 2 * sizeof(struct cap_text));
    buf_span(&h->text, bytes);
    if (!pair || h->text.failed) {
        h->fields.n = 0;
        return 0;
    }
    uint8_t *text = h->text.p + base;
    for (uint32_t i = 0; i < head->field_count; i++, pair += 2) {
        struct span name = head->fields[i].name, value = head->fields[i].value;
        size_t at = (size_t)(name.p - bytes.p);
        pair[0] = (struct cap_text){base + (uint32_t)at, (uint32_t)name.n};
        pair[1] = value.n > 0 ? (struct cap_text){base + (uint32_t)(value.p - bytes.p),
                                                  (uint32_t)value.n}
                              : CAP_NO_TEXT;
        span_to_lower(text + at, name.n);
    }
    return base;
}

struct span cap_half_find(const struct cap_half *h, struct span name)
{
    const struct cap_text *t = (const void *)h->fields.p;
    for (size_t i = 0; i < h->fields.n / sizeof *t; i += 2)
        if (span_eq(cap_half_span(h, t[i]), name))
            return cap_half_span(h, t[i + 1]);
    return (struct span){0};
}

/* --- memory ----------------------------------------------------------------------- */

void cap_half_charge(struct cap_conn *c, struct cap_half *h)
{
    struct cap_budget *b = c->parse->config.budget;
    uint64_t now =
        h->text.cap + h->fields.cap + h->body.cap + h->parts.cap + (h->hash ? 640 : 0);
    b->used_bytes += now - h->charged;
    h->charged = now;
    if (b->used_bytes > b->peak_bytes)
        b->peak_bytes = b->used_bytes;
    if (h->body.failed) { /* what the connection is given up for is told all the same */
        h->broken = true;
        h->loss = CAP_LOSS_GAP;
    }
    if (h->text.failed || h->fields.failed || h->body.failed || h->parts.failed)
        c->failed = true;
}

/* Of the gRPC message that the half is in. */
static uint32_t message_length(const struct cap_half *h)
{
    return (uint32_t)h->prefix[1] << 24 | (uint32_t)h->prefix[2] << 16 |
           (uint32_t)h->prefix[3] << 8 | h->prefix[4];
}

/* Bytes that will stand in the body in the end, by what its sender says; 0: not a word.
 */
static uint64_t expected(const struct cap_half *h)
{
    uint64_t n;
    if (h->grpc != CAP_GRPC_OFF)
        return h->in_message ? h->from + (uint64_t)message_length(h) : 0;
    return span_u64(span_trim(cap_half_find(h, SPAN_LIT("content-length"))), &n) ? n
                                                                                 : 0;
}

/* Room for n more bytes. Few bodies come here more than once. */
static void make_room(struct cap_conn *c, struct cap_half *h, size_t n)
{
    if (n > h->body.cap - h->body.n)
        cap_spare_reserve(c->parse->config.spares, &h->body, n, expected(h));
}

/* Whether a body of this direction may grow by n bytes. */
static bool may_keep(const struct cap_conn *c, int dir, const struct cap_half *h,
                     size_t n)
{
    if (h->body.n + n > CAP_MESSAGE_MAX)
        return false;
    if (h->body.n + n <= h->body.cap)
        return true;
    const struct cap_budget *b = c->parse->config.budget;
    uint64_t part =
        dir == CAP_TO_CLIENT ? b->limit_bytes / 4 * 3 : b->limit_bytes / 8 * 7;
    size_t wants = cap_spare_wants(&h->body, n, expected(h));
    return b->used_bytes + wants <= part + h->body.cap;
}

/* From here on only length and hash of the message it is in, and of those behind. */
static void elide(struct cap_conn *c, int dir, struct cap_half *h)
{
    if (!h->hash && !(h->hash = op_hash_new())) {
        c->failed = true;
        return;
    }
    struct span kept = span_sub(buf_view(&h->body), h->from, h->body.n);
    op_hash_add(h->hash, kept);
    h->full = true;
    c->parse->totals.bodies_elided++;
    cap_count_settle(c, dir, CAP_FATE_SHED, kept.n);
    h->held -= kept.n;
    /* Gives back what the message took; whole messages before it stay. */
    struct buf before = {0};
    buf_add(&before, h->body.p, h->from);
    cap_spare_give(c->parse->config.spares, &h->body);
    h->body = before;
}

static void keep(struct cap_conn *c, int dir, struct cap_half *h, struct span bytes)
{
    if (h->broken) { /* part of an exchange, but of no use any more */
        cap_half_hold(c, dir, h, bytes.n);
        return;
    }
    if (!h->full && !may_keep(c, dir, h, bytes.n))
        elide(c, dir, h);
    if (h->full && h->hash) {
        op_hash_add(h->hash, bytes);
        cap_count(c, dir, CAP_FATE_SHED, bytes.n);
        return;
    }
    make_room(c, h, bytes.n);
    buf_span(&h->body, bytes);
    cap_half_hold(c, dir, h, bytes.n);
}

/* --- gRPC: flag (1), length (4, big-endian), message -------------------------------
 */

static size_t listed(const struct cap_half *h)
{
    return h->parts.n / sizeof(struct cap_piece);
}

static void message_ends(struct cap_half *h, struct clk_wall at)
{
    h->in_message = false;
    h->messages++;
    h->prefix_n = 0;
    uint32_t length = message_length(h);
    h->message_bytes += length;
    if (listed(h) < CAP_GRPC_LISTED_MAX) {
        struct cap_piece part = {
            .first = h->part_first,
            .last = at,
            .from = h->from,
            .bytes = length,
            .kept = !h->full,
            .compressed = h->prefix[0] == 1,
        };
        if (h->full)
            op_hash_end(h->hash, part.hash);
        buf_add(&h->parts, &part, sizeof part);
    }
    h->from = h->body.n;
}

static void prefix_ends(struct cap_half *h, struct clk_wall at)
{
    if (h->prefix[0] > 1) { /* not gRPC after all, or not as we know it */
        h->grpc = CAP_GRPC_OFF;
        h->from = 0;
        if (h->messages || h->full)
            h->broken = true; /* what was taken apart cannot be put together */
        return;
    }
    if (h->messages == 0)
        h->compressed = h->prefix[0] == 1;
    h->in_message = true;
    h->left = message_length(h);
    h->from = h->body.n;
    if (h->left == 0)
        message_ends(h, at);
}

static void grpc_body(struct cap_conn *c, int dir, struct cap_half *h,
                      struct clk_wall at, struct span bytes)
{
    while (bytes.n && h->grpc != CAP_GRPC_OFF && !h->broken) {
        size_t n;
        if (!h->in_message) {
            if (h->prefix_n == 0)
                h->part_first = at;
            n = sizeof h->prefix - h->prefix_n;
            n = n < bytes.n ? n : bytes.n;
            memcpy(h->prefix + h->prefix_n, bytes.p, n);
            h->prefix_n = (uint8_t)(h->prefix_n + n);
            if (!h->full)
                buf_add(&h->body, bytes.p, n);
            cap_half_hold(c, dir, h, n);
            if (h->prefix_n == sizeof h->prefix)
                prefix_ends(h, at);
        } else {
            n = bytes.n < h->left ? bytes.n : (size_t)h->left;
            if (listed(h) < CAP_GRPC_LISTED_MAX)
                keep(c, dir, h, span_sub(bytes, 0, n));
            else
                cap_count(c, dir, CAP_FATE_SHED, n);
            h->left -= n;
            if (h->left == 0)
                message_ends(h, at);
        }
        bytes = span_sub(bytes, n, bytes.n);
    }
    if (bytes.n)
        keep(c, dir, h, bytes);
}

/* --- server-sent events: when their bytes came -------------------------------------
 */

static void event_bytes(struct cap_half *h, struct clk_wall at)
{
    size_t n = h->parts.n / sizeof(struct cap_arrival);
    const struct cap_arrival *all = (const void *)h->parts.p;
    if (n == CAP_GRPC_LISTED_MAX || (n > 0 && all[n - 1].at.ns == at.ns))
        return;
    const struct cap_arrival next = {.from = h->body_bytes, .at = at};
    buf_add(&h->parts, &next, sizeof next);
}

void cap_half_body(struct cap_conn *c, int dir, struct cap_half *h, struct clk_wall at,
                   struct span bytes)
{
    if (dir == CAP_TO_CLIENT && h->body_bytes == 0 && h->grpc == CAP_GRPC_OFF)
        h->events = span_starts(span_trim(cap_half_find(h, SPAN_LIT("content-type"))),
                                "text/event-");
    if (h->events && bytes.n)
        event_bytes(h, at);
    h->body_bytes += bytes.n;
    if (h->grpc == CAP_GRPC_OFF || h->broken)
        keep(c, dir, h, bytes);
    else
        grpc_body(c, dir, h, at, bytes);
    cap_half_charge(c, h);
}

void cap_half_gap(struct cap_half *h, uint64_t bytes)
{
    h->loss = CAP_LOSS_GAP;
    h->body_bytes += bytes;
    h->broken = true;
}

void cap_half_hold(struct cap_conn *c, int dir, struct cap_half *h, uint64_t bytes)
{
    cap_count_pending(c, dir, bytes);
    h->held += bytes;
}

bool cap_half_is_grpc(const struct cap_half *h)
{
    return h->grpc == CAP_GRPC_ON || (h->grpc == CAP_GRPC_MAYBE && h->messages > 0 &&
                                      !h->in_message && h->prefix_n == 0);
}
