/*
 * h2_client.c - see h2_client.h: streams, the connection, and what is sent. Section
 * numbers are those of RFC 9113.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/wire/h2_client.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "traces/wire/h2_client_own.h"

#define SLOTS_MIN 16u
/* The initial window, of a stream and of the connection, before anybody says more. */
#define WINDOW_FIRST 65535

/* --- streams ---------------------------------------------------------------------- */

/* Twice as many slots and buckets; ids find their way again. */
static int more_slots(struct h2_client *h, struct err *e)
{
    uint32_t slots = h->slots ? h->slots * 2 : SLOTS_MIN;
    struct h2_stream *streams = realloc(h->streams, slots * sizeof *streams);
    if (streams)
        h->streams = streams;
    uint32_t *buckets = realloc(h->buckets, slots * sizeof *buckets);
    if (buckets)
        h->buckets = buckets;
    if (!streams || !buckets)
        return err_set(e, ERR_NOMEM, "no memory for %u streams", slots);
    for (uint32_t i = slots; i > h->slots; i--)
        h2_free_slot(h, i - 1);
    h->bucket_mask = slots - 1;
    memset(buckets, 0xff, slots * sizeof *buckets);
    for (uint32_t i = 0; i < h->slots; i++) {
        if (h->streams[i].id == 0)
            continue;
        uint32_t *at = h2_bucket_of(h, h->streams[i].id);
        h->streams[i].next = *at;
        *at = i;
    }
    h->sweep = h->sweep == h->slots ? slots : h->sweep;
    h->slots = slots;
    return 0;
}

static void add_stream(struct h2_client *h, void *user, uint32_t *slot)
{
    struct h2_stream *s = &h->streams[h->free_slot];
    *slot = h->free_slot;
    h->free_slot = s->next;
    *s = (struct h2_stream){
        .user = user,
        .body_left = -1,
        .id = h->next_id,
        .send_window = h->peer_window,
        .recv_window = H2_WINDOW,
    };
    h->next_id += 2;
    uint32_t *at = h2_bucket_of(h, s->id);
    s->next = *at;
    *at = *slot;
    h->live++;
}

/* --- the connection --------------------------------------------------------------- */

/* 3.4 */
static void put_opening(struct h2_client *h)
{
    static const struct {
        uint16_t id;
        uint32_t value;
    } settings[] = {
        {H2_SET_ENABLE_PUSH, 0},
        {H2_SET_INITIAL_WINDOW_SIZE, H2_WINDOW},
        {H2_SET_MAX_HEADER_LIST_SIZE, H2_LIST_MAX},
    };
    uint32_t n = sizeof settings / sizeof *settings;

    buf_str(&h->out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    uint8_t *p = h2_put_frame(h, H2_TYPE_SETTINGS, 0, 0, n * 6);
    for (uint32_t i = 0; p && i < n; i++) {
        p[i * 6] = (uint8_t)(settings[i].id >> 8);
        p[i * 6 + 1] = (uint8_t)settings[i].id;
        h2_set_u32(p + i * 6 + 2, settings[i].value);
    }
    h2_put_u32_frame(h, H2_TYPE_WINDOW_UPDATE, 0, H2_WINDOW - WINDOW_FIRST);
}

int h2_client_init(struct h2_client *h, uint32_t streams_max, struct err *e)
{
    assert(streams_max > 0);
    buf_reset(&h->out);
    buf_reset(&h->part);
    buf_reset(&h->block);
    buf_reset(&h->head_out);
    h->free_slot = H2_NO_SLOT;
    for (uint32_t i = h->slots; i > 0; i--)
        h2_free_slot(h, i - 1);
    if (h->slots > 0)
        memset(h->buckets, 0xff, h->slots * sizeof *h->buckets);
    h->streams_max = streams_max;
    h->live = 0;
    h->next_id = 1;
    h->sweep = h->slots;
    h->settled = h->goaway = h->dead = false;
    h->peer_streams = H2_STREAMS_UNTOLD;
    h->peer_frame = H2_FRAME_MAX;
    h->peer_window = h->send_window = WINDOW_FIRST;
    h->last_id = H2_ID_MAX;
    h->recv_window = H2_WINDOW;
    h->owed = 0;
    h->idle_frames = 0;
    h->head_got = 0;
    h->in_frame = false;
    h->block_id = h->continuations = 0;
    h2_heads_init(&h->heads);
    hpack_writer_init(&h->writer);
    for (size_t i = 0; i < H2_BLOCKS; i++)
        h->blocks[i].key = 0;
    put_opening(h);
    return buf_check(&h->out, e);
}

void h2_client_done(struct h2_client *h)
{
    buf_done(&h->out);
    buf_done(&h->part);
    buf_done(&h->block);
    buf_done(&h->head_out);
    h2_heads_done(&h->heads);
    free(h->streams);
    free(h->buckets);
    memset(h, 0, sizeof *h);
}

bool h2_client_take(struct h2_client *h, struct buf *into)
{
    struct buf empty = *into;
    assert(empty.n == 0);
    if (h->out.failed)
        return false;
    *into = h->out;
    h->out = empty;
    h->owed = 0;
    return true;
}

bool h2_client_ended(const struct h2_client *h)
{
    return h->dead || h->goaway || h->next_id > H2_ID_MAX;
}

uint32_t h2_client_room(const struct h2_client *h)
{
    uint32_t most = h->peer_streams < h->streams_max ? h->peer_streams : h->streams_max;
    return h2_client_ended(h) || most <= h->live ? 0 : most - h->live;
}

/* --- sending ---------------------------------------------------------------------- */

static struct h2_block *block_of(struct h2_client *h, uint64_t key)
{
    return &h->blocks[key % H2_BLOCKS];
}

/* The block of a head that was sent before, but for the last field's value. */
static const struct h2_block *known_block(struct h2_client *h,
                                          const struct h2_request *q)
{
    const struct h2_block *b = block_of(h, q->key);
    bool known = q->key != 0 && b->key == q->key && b->changes == h->writer.changes &&
                 !h->writer.tell && q->last.value.n < 127;
    return known ? b : NULL;
}

static void put_known(struct h2_client *h, const struct h2_request *q,
                      const struct h2_block *b, uint32_t id)
{
    uint32_t value = (uint32_t)q->last.value.n;
    bool has_last = q->last.name.n > 0;
    uint8_t *p = h2_put_frame(h, H2_TYPE_HEADERS, H2_FLAG_END_HEADERS, id,
                              b->n + (has_last ? 1 + value : 0));
    if (!p)
        return;
    memcpy(p, b->bytes, b->n);
    if (!has_last)
        return;
    p += b->n;
    *p++ = (uint8_t)value; /* its length, not Huffman-coded */
    if (value > 0)
        memcpy(p, q->last.value.p, value);
}

/* A head in as many frames as the peer's limit asks for. */
static void put_pieces(struct h2_client *h, struct span block, uint32_t id)
{
    enum h2_type type = H2_TYPE_HEADERS;
    do {
        uint32_t n = block.n < h->peer_frame ? (uint32_t)block.n : h->peer_frame;
        uint8_t *p =
            h2_put_frame(h, type, n == block.n ? H2_FLAG_END_HEADERS : 0, id, n);
        if (!p)
            return;
        memcpy(p, block.p, n);
        block = span_sub(block, n, block.n);
        type = H2_TYPE_CONTINUATION;
    } while (block.n > 0);
}

/* Writes a head by its fields, and remembers it if the next one will look the same. */
static void put_fields(struct h2_client *h, const struct h2_request *q, uint32_t id)
{
    struct hpack_writer *w = &h->writer;
    struct buf *b = &h->head_out;
    uint64_t changes = w->changes;

    buf_reset(b);
    hpack_writer_begin(w, b);
    for (uint32_t i = 0; i < q->field_count; i++)
        hpack_writer_field(w, q->fields[i].name, q->fields[i].value, HPACK_KEEP_ALL, b);
    size_t all = b->n; /* but the last field's value */
    if (q->last.name.n > 0 && hpack_writer_name(w, q->last.name, b)) {
        all = b->n;
        hpack_put_string(b, q->last.value);
    } else if (q->last.name.n > 0) {
        hpack_writer_field(w, q->last.name, q->last.value, HPACK_KEEP_NAME, b);
        all = SIZE_MAX;
    }
    struct h2_block *known = block_of(h, q->key);
    if (q->key != 0 && w->changes == changes && all <= sizeof known->bytes &&
        !b->failed) {
        known->key = q->key;
        known->changes = changes;
        known->n = (uint8_t)all;
        memcpy(known->bytes, b->p, all);
    }
    if (b->failed)
        h->out.failed = true;
    else
        put_pieces(h, buf_view(b), id);
}

int h2_client_open(struct h2_client *h, const struct h2_request *q, void *user,
                   uint32_t *slot, struct err *e)
{
    assert(h2_client_room(h) > 0);
    int rc = h->free_slot == H2_NO_SLOT ? more_slots(h, e) : 0;
    if (rc < 0)
        return rc;
    add_stream(h, user, slot);
    const struct h2_block *b = known_block(h, q);
    if (b)
        put_known(h, q, b, h->streams[*slot].id);
    else
        put_fields(h, q, h->streams[*slot].id);
    return buf_check(&h->out, e);
}

/* n bytes from `from` on. */
static void copy_parts(uint8_t *to, const struct span parts[2], size_t from, size_t n)
{
    struct span a = span_sub(parts[0], from, from + n);
    from = from > parts[0].n ? from - parts[0].n : 0;
    struct span b = span_sub(parts[1], from, from + n - a.n);
    if (a.n > 0)
        memcpy(to, a.p, a.n);
    if (b.n > 0)
        memcpy(to + a.n, b.p, b.n);
}

size_t h2_client_parts(struct h2_client *h, uint32_t slot, const struct span parts[2],
                       bool end, bool *all)
{
    struct h2_stream *s = &h->streams[slot];
    size_t whole = parts[0].n + parts[1].n, taken = 0;

    assert(s->id != 0 && !s->sent_all);
    for (;;) {
        size_t left = whole - taken;
        int32_t window =
            s->send_window < h->send_window ? s->send_window : h->send_window;
        uint32_t n = window < 0 ? 0 : (uint32_t)window;
        n = n < h->peer_frame ? n : h->peer_frame;
        n = n < left ? n : (uint32_t)left;
        bool last = end && n == left;
        if ((n == 0 && !last) || h->dead)
            break;
        uint8_t *p =
            h2_put_frame(h, H2_TYPE_DATA, last ? H2_FLAG_END_STREAM : 0, s->id, n);
        if (!p)
            break;
        copy_parts(p, parts, taken, n);
        taken += n;
        s->send_window -= (int32_t)n;
        h->send_window -= (int32_t)n;
        s->sent_all = last;
        if (last)
            break;
    }
    *all = taken == whole && (!end || s->sent_all);
    return taken;
}

size_t h2_client_data(struct h2_client *h, uint32_t slot, struct span data, bool end,
                      bool *all)
{
    return h2_client_parts(h, slot, (const struct span[2]){data, {0}}, end, all);
}

void h2_client_cancel(struct h2_client *h, uint32_t slot, enum h2_code code)
{
    assert(h->streams[slot].id != 0);
    if (!h->dead)
        h2_put_u32_frame(h, H2_TYPE_RST_STREAM, h->streams[slot].id, code);
    h2_close_stream(h, slot);
}
