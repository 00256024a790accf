/*
 * parse_own.h - shared by parse.c, half.c, stream.c and what reads HTTP/1.1 (h1_*),
 * HTTP/2 (h2_*) and Kafka's protocol alone: a connection, and an exchange while it
 * comes in.
 *
 * Every byte that a parser is given is counted at once: as framing, opaque or shed when
 * its fate is known, else as pending, and then its half holds it until the exchange is
 * handed on (record) or given up (opaque, shed).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CAPTURE_PARSE_OWN_H
#define CAPTURE_PARSE_OWN_H

#include <assert.h>

#include "capture/flow.h"
#include "capture/parse.h"
#include "traces/base/arena.h"
#include "traces/base/buf.h"
#include "traces/wire/http1.h"
#include "traces/wire/http1_known.h"

enum { CAP_TO_SERVER = 0, CAP_TO_CLIENT = 1 }; /* directions, as in flow.h */

struct cap_queue {
    struct cap_pending *head, *tail;
};

struct cap_parse {
    struct cap_parse_config config;
    struct cap_parse_totals totals;
    struct cap_pending *pool;
    uint32_t pool_count;
    struct cap_queue early; /* whole requests that are not told, by their last byte */
    struct cap_queue late;  /* told already, in the order that happened */
    struct cap_pending *open_first, *open_last; /* begun and not told, by their begin */
    uint64_t open_late;          /* such that were begun behind later ones; */
    struct clk_wall late_first;  /* none of them began before */
    struct http1_head head;      /* scratch of whoever parses a head */
    struct http1_known known[2]; /* heads, by direction */
    struct arena arena;          /* of the exchange that is handed on */
};

struct cap_conn {
    struct cap_parse *parse;
    struct cap_flow_info info;
    struct cap_parse_counts counts[2];
    uint64_t seen[2];
    uint32_t gaps;    /* so far, in both directions */
    uint32_t lost[2]; /* times that whole messages may have been lost */
    bool unseen[2];   /* the peer has more than was seen, and it may yet come */
    /* Who holds an exchange of HTTP/1.1 [0] or HTTP/2 [1]. When no answer came in time,
     * aged takes p out of its lists and emits it. */
    struct cap_keeper {
        void (*aged)(void *owner, struct cap_pending *p);
        void *owner;
    } keeper[2];
    bool failed;         /* out of memory: the stream gives the connection up */
    uint64_t held_bytes; /* charged for buffers of the connection itself */
};

enum cap_fate { CAP_FATE_RECORD, CAP_FATE_FRAMING, CAP_FATE_OPAQUE, CAP_FATE_SHED };

/* Counting is inline: a packet is counted many times over. */
static inline void cap_add_fate(struct cap_parse_counts *n, enum cap_fate fate,
                                uint64_t bytes)
{
    switch (fate) {
    case CAP_FATE_RECORD:
        n->record_bytes += bytes;
        break;
    case CAP_FATE_FRAMING:
        n->framing_bytes += bytes;
        break;
    case CAP_FATE_OPAQUE:
        n->opaque_bytes += bytes;
        break;
    case CAP_FATE_SHED:
        n->shed_bytes += bytes;
        break;
    }
}

static inline void cap_count(struct cap_conn *c, int dir, enum cap_fate fate,
                             uint64_t bytes)
{
    cap_add_fate(&c->counts[dir], fate, bytes);
    cap_add_fate(&c->parse->totals.dir[dir], fate, bytes);
}

static inline void cap_count_pending(struct cap_conn *c, int dir, uint64_t bytes)
{
    c->counts[dir].pending_bytes += bytes;
    c->parse->totals.dir[dir].pending_bytes += bytes;
}

/* Pending bytes that will be counted anew are not pending any more. */
static inline void cap_count_again(struct cap_conn *c, int dir, uint64_t bytes)
{
    assert(bytes <= c->counts[dir].pending_bytes);
    c->counts[dir].pending_bytes -= bytes;
    c->parse->totals.dir[dir].pending_bytes -= bytes;
}

/* Pending bytes become something else. */
static inline void cap_count_settle(struct cap_conn *c, int dir, enum cap_fate fate,
                                    uint64_t bytes)
{
    cap_count_again(c, dir, bytes);
    cap_count(c, dir, fate, bytes);
}

/* The connection's own buffers now have so many bytes. */
void cap_charge_conn(struct cap_conn *c, uint64_t bytes);

/* --- one message ------------------------------------------------------------------ */

enum cap_grpc_mode {
    CAP_GRPC_OFF,
    CAP_GRPC_ON,
    CAP_GRPC_MAYBE, /* the content type is not known: as long as it looks like it */
};

struct cap_text { /* within cap_half.text */
    uint32_t at, n;
};

struct cap_half {
    struct clk_wall first, last;
    bool begun, ended;
    bool headers_opaque;
    enum cap_loss loss;
    uint64_t held; /* bytes counted as pending */
    uint64_t charged;
    uint32_t lost_before; /* conn.lost of its direction when it began */

    uint64_t body_bytes; /* seen, kept or not */
    bool events;         /* server-sent: parts holds struct cap_arrival */
    bool broken;         /* bytes of it are missing */
    bool full;           /* nothing more is kept: lengths and hashes only */
    struct op_hash *hash;

    enum cap_grpc_mode grpc;
    bool compressed, in_message;
    uint8_t prefix[5], prefix_n;
    uint32_t messages; /* whole ones, and their bytes: */
    uint64_t message_bytes;
    uint64_t left; /* of the message it is in */
    size_t from;   /* where that began in body */
    struct clk_wall part_first;

    /* The buffers outlive the message: all before them is zeroed for the next. */
    struct buf text, fields; /* fields: pairs of struct cap_text */
    struct buf body;         /* gRPC: with prefixes */
    struct buf parts;        /* struct cap_piece, CAP_GRPC_LISTED_MAX at most */
};

struct cap_piece { /* one message of a gRPC stream */
    struct clk_wall first, last;
    size_t from; /* in the body, when kept */
    uint64_t bytes;
    uint64_t hash[2]; /* when not kept */
    bool kept, compressed;
};

#define CAP_FIELDS_MAX   256u
#define CAP_FIELDS_BYTES (256u << 10) /* text of one message's headers */
#define CAP_NO_TEXT      ((struct cap_text){0, 0})

struct cap_text cap_half_text(struct cap_half *h, struct span s);
/* A head of HTTP/1.1, which head was parsed from: its text, and its fields. Gives where
 * the text begins. The half has no fields yet. */
uint32_t cap_half_head(struct cap_half *h, struct span bytes,
                       const struct http1_head *head);
/* A part of those bytes. */
struct cap_text cap_half_part(const struct cap_half *h, struct span bytes,
                              uint32_t base, struct span part);
/* Beyond the limits the field is left out and headers_opaque set. */
void cap_half_field(struct cap_half *h, struct span name, struct span value);
static inline struct span cap_half_span(const struct cap_half *h, struct cap_text t)
{
    return t.n ? span_of(h->text.p + t.at, t.n) : (struct span){0};
}

/* First field of that name (lower case); empty when there is none. */
struct span cap_half_find(const struct cap_half *h, struct span name);

/* Body bytes, counted as pending or shed. */
void cap_half_body(struct cap_conn *c, int dir, struct cap_half *h, struct clk_wall at,
                   struct span bytes);
/* Body bytes that will not come. */
void cap_half_gap(struct cap_half *h, uint64_t bytes);
/* Counts bytes of it (a head, a header block) as pending. */
void cap_half_hold(struct cap_conn *c, int dir, struct cap_half *h, uint64_t bytes);
/* A memory that is not counted towards the budget yet, now is. */
void cap_half_charge(struct cap_conn *c, struct cap_half *h);
/* Not whole gRPC messages, though its content type was not known. */
bool cap_half_is_grpc(const struct cap_half *h);

/* --- an exchange ------------------------------------------------------------------ */

struct cap_pending {
    struct cap_pending *next, *prev; /* owner's list */
    struct cap_pending *chain;       /* HTTP/2: of its bucket */
    struct cap_pending *queue_next, *queue_prev;
    struct cap_queue *queue;
    struct clk_wall queued; /* what its queue is ordered by */
    struct cap_pending *open_next, *open_prev;
    bool open, late; /* in the list of those not told; counted beside it */
    struct cap_conn *conn;
    bool inferred;
    bool told; /* the request was, ahead of its answer */
    bool h2;
    uint32_t stream;
    uint32_t gaps; /* conn.gaps when it began */
    bool gap_near;
    struct cap_text method, path, authority; /* in half[0].text */
    bool method_known, path_known;
    uint16_t status;
    int16_t grpc_status;
    bool status_unknown; /* trailers had a name or value that is not known */
    bool trailers;
    bool is_head, is_connect, wants_h2c; /* HTTP/1.1 */
    bool waiting;                        /* HTTP/2: an answer without a request yet */
    struct cap_half half[2];             /* last: their buffers stay */
};

/* The owner's: by next and prev. */
struct cap_list {
    struct cap_pending *head, *tail;
    uint32_t count;
};

static inline void cap_list_add(struct cap_list *l, struct cap_pending *p)
{
    p->next = NULL;
    p->prev = l->tail;
    *(l->tail ? &l->tail->next : &l->head) = p;
    l->tail = p;
    l->count++;
}

static inline void cap_list_take(struct cap_list *l, struct cap_pending *p)
{
    *(p->prev ? &p->prev->next : &l->head) = p->next;
    *(p->next ? &p->next->prev : &l->tail) = p->prev;
    p->next = p->prev = NULL;
    l->count--;
}

/* NULL: out of memory; c->failed is set. */
struct cap_pending *cap_pending_new(struct cap_conn *c, uint32_t stream);
/* Its request is begun: half[0].first is set. */
void cap_pending_begun(struct cap_pending *p);
/* Its request is complete: if no answer ends soon, it is told alone. */
void cap_pending_asked(struct cap_pending *p);
/* Hands the exchange on (its request is begun) and frees p. */
void cap_pending_emit(struct cap_conn *c, struct cap_pending *p);
/* Gives it up: its bytes become fate, and p is freed. */
void cap_pending_drop(struct cap_conn *c, struct cap_pending *p, enum cap_fate fate);
/* The same of one half, which is zero afterwards. */
void cap_half_drop(struct cap_conn *c, int dir, struct cap_half *h, enum cap_fate fate);
/* half[1] of `from` becomes that of `to`, which had none. */
void cap_pending_move_answer(struct cap_pending *to, struct cap_pending *from);

#endif
