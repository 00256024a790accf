/*
 * h2_client_own.h - what both halves of h2_client need: frames by number, how one is
 * put, and how a stream is found; inside traces/wire/h2_client*.c only. Section numbers
 * are those of RFC 9113.
 *
 * h2_client.c opens connections and streams and sends, h2_client_read.c reads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_WIRE_H2_CLIENT_OWN_H
#define TRACES_WIRE_H2_CLIENT_OWN_H

#include "traces/wire/h2_client.h"

#define H2_FRAME_HEAD 9u
#define H2_NO_SLOT    UINT32_MAX

/* 6 */
enum h2_type {
    H2_TYPE_DATA,
    H2_TYPE_HEADERS,
    H2_TYPE_PRIORITY,
    H2_TYPE_RST_STREAM,
    H2_TYPE_SETTINGS,
    H2_TYPE_PUSH_PROMISE,
    H2_TYPE_PING,
    H2_TYPE_GOAWAY,
    H2_TYPE_WINDOW_UPDATE,
    H2_TYPE_CONTINUATION,
};

enum h2_flag {
    H2_FLAG_END_STREAM = 0x1,
    H2_FLAG_ACK = 0x1,
    H2_FLAG_END_HEADERS = 0x4,
    H2_FLAG_PADDED = 0x8,
    H2_FLAG_HAS_PRIORITY = 0x20,
};

/* 6.5.2 */
enum h2_setting {
    H2_SET_HEADER_TABLE_SIZE = 1,
    H2_SET_ENABLE_PUSH,
    H2_SET_MAX_CONCURRENT_STREAMS,
    H2_SET_INITIAL_WINDOW_SIZE,
    H2_SET_MAX_FRAME_SIZE,
    H2_SET_MAX_HEADER_LIST_SIZE,
};

static inline uint32_t h2_get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void h2_set_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

/* A frame whose payload of n bytes is to be filled in; NULL: no memory, marked in out.
 */
static inline uint8_t *h2_put_frame(struct h2_client *h, enum h2_type type,
                                    unsigned flags, uint32_t id, uint32_t n)
{
    uint8_t *p = buf_grow(&h->out, H2_FRAME_HEAD + n);
    if (!p)
        return NULL;
    p[0] = (uint8_t)(n >> 16);
    p[1] = (uint8_t)(n >> 8);
    p[2] = (uint8_t)n;
    p[3] = (uint8_t)type;
    p[4] = (uint8_t)flags;
    h2_set_u32(p + 5, id);
    return p + H2_FRAME_HEAD;
}

static inline void h2_put_u32_frame(struct h2_client *h, enum h2_type type, uint32_t id,
                                    uint32_t v)
{
    uint8_t *p = h2_put_frame(h, type, 0, id, 4);
    if (p)
        h2_set_u32(p, v);
}

/* --- streams ---------------------------------------------------------------------- */

static inline uint32_t *h2_bucket_of(const struct h2_client *h, uint32_t id)
{
    return &h->buckets[(id >> 1) & h->bucket_mask];
}

static inline uint32_t h2_find_slot(const struct h2_client *h, uint32_t id)
{
    uint32_t slot = h->bucket_mask ? *h2_bucket_of(h, id) : H2_NO_SLOT;
    while (slot != H2_NO_SLOT && h->streams[slot].id != id)
        slot = h->streams[slot].next;
    return slot;
}

static inline void h2_free_slot(struct h2_client *h, uint32_t slot)
{
    h->streams[slot].id = 0;
    h->streams[slot].next = h->free_slot;
    h->free_slot = slot;
}

static inline void h2_close_stream(struct h2_client *h, uint32_t slot)
{
    uint32_t *at = h2_bucket_of(h, h->streams[slot].id);
    while (*at != slot)
        at = &h->streams[*at].next;
    *at = h->streams[slot].next;
    h2_free_slot(h, slot);
    h->live--;
}

#endif
