/*
 * kafka_wire.c - see kafka_wire.h. Open requests first, then frames, then the search
 * for a boundary, then the connection.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/kafka_wire.h"

#include <stdlib.h>
#include <string.h>

#include "capture/hold.h"
#include "capture/kafka_batch.h"

#define RESPONSE_HEAD 8u          /* length, correlation id */
#define LEAST_ANSWER  4u          /* bytes of a response behind its length */
#define FRAME_KEEP    (64u << 10) /* of a frame's memory, between frames */

enum state { ST_HEAD, ST_FRAME, ST_SKIP, ST_SEARCH };

/* Where batches that a Produce request holds are going. */
struct place {
    uint64_t topic; /* hash of its name or id */
    int32_t partition;
    uint64_t set; /* cap_krecords_taken */
};

struct open_request {
    struct open_request *next;
    uint32_t correlation;
    int16_t api, version;
    uint32_t place_count;
    struct place places[];
};

struct side {
    enum state state;
    struct buf frame; /* of ST_HEAD and ST_FRAME; its bytes are pending */
    uint64_t want;    /* bytes of the whole frame */
    uint64_t left;    /* of ST_SKIP */
    enum cap_fate fate;
    bool unread; /* ST_SKIP: of an api that is not read */
    struct clk_wall first;
    struct cap_hold hold; /* ST_SEARCH; pending */
    size_t looked;        /* where no frame can begin before, in what is held */
};

struct cap_kwire {
    struct cap_conn *c;
    struct cap_kwire_shared *shared;
    struct side side[2];
    struct open_request *oldest, **newest;
    uint32_t open_count;
};

struct cap_kwire *cap_kwire_new(struct cap_conn *c, struct cap_kwire_shared *shared,
                                bool midway)
{
    struct cap_kwire *k = calloc(1, sizeof *k);
    if (!k) {
        c->failed = true;
        return NULL;
    }
    k->c = c;
    k->shared = shared;
    k->newest = &k->oldest;
    for (int dir = 0; midway && dir < 2; dir++)
        k->side[dir].state = ST_SEARCH;
    return k;
}

/* --- open requests ---------------------------------------------------------------- */

static void close_oldest(struct cap_kwire *k)
{
    struct open_request *r = k->oldest;
    k->oldest = r->next;
    if (!k->oldest)
        k->newest = &k->oldest;
    k->open_count--;
    free(r);
}

static void open_request(struct cap_kwire *k, const struct cap_kafka_head *h,
                         const struct place *places, uint32_t place_count)
{
    struct open_request *r = malloc(sizeof *r + place_count * sizeof *places);
    if (!r) {
        k->c->failed = true;
        return;
    }
    *r = (struct open_request){.correlation = h->correlation,
                               .api = h->api,
                               .version = h->version,
                               .place_count = place_count};
    if (place_count)
        memcpy(r->places, places, place_count * sizeof *places);
    if (k->open_count == CAP_KAFKA_OPEN_MAX)
        close_oldest(k); /* its answer will be unmatched */
    *k->newest = r;
    k->newest = &r->next;
    k->open_count++;
}

static const struct open_request *find_open(const struct cap_kwire *k,
                                            uint32_t correlation)
{
    const struct open_request *r = k->oldest;
    while (r && r->correlation != correlation)
        r = r->next;
    return r;
}

/* --- records of a frame ----------------------------------------------------------- */

struct taking {
    struct cap_kwire *k;
    int dir;
    bool produced;
    struct clk_wall at;
    struct cap_krecords_taken taken;
    struct place places[CAP_KAFKA_PLACES_MAX];
    uint32_t place_count;
    const struct open_request *answers; /* a Produce that this is the response to */
};

static uint64_t topic_hash(const struct cap_kafka_part *p)
{
    uint64_t h[2];
    op_body_hash(p->topic.n ? p->topic : p->id, h);
    return h[0];
}

static void take_records(void *arg, const struct cap_kafka_part *p)
{
    struct taking *t = arg;
    t->taken.set = 0;
    cap_krecords_take(t->k->shared->records, p, t->dir, t->produced,
                      (uint32_t)t->k->c->info.ordinal, t->at, &t->taken);
    if (!t->produced || t->place_count == CAP_KAFKA_PLACES_MAX)
        return;
    struct place *place = &t->places[t->place_count++];
    place->topic = topic_hash(p);
    place->partition = p->partition;
    place->set = t->taken.set;
}

static void take_place(void *arg, const struct cap_kafka_part *p)
{
    struct taking *t = arg;
    for (uint32_t i = 0; i < t->answers->place_count && p->error == 0; i++) {
        const struct place *place = &t->answers->places[i];
        if (place->partition == p->partition && place->topic == topic_hash(p))
            cap_krecords_placed(t->k->shared->records, place->set, p->base_offset);
    }
}

static void take_topic(void *arg, const struct cap_kafka_part *p)
{
    struct taking *t = arg;
    cap_krecords_topic(t->k->shared->records, p);
}

/* --- whole frames ----------------------------------------------------------------- */

static void read_request(struct cap_kwire *k, struct span frame, struct taking *t)
{
    struct cap_kafka_head h;
    struct cap_kwire_counts *n = &k->shared->counts;
    int acks = -1;
    cap_kafka_head_of(frame, &h);
    n->produces++;
    t->produced = true;
    if (!cap_kafka_produce_read(frame, take_records, t, &acks))
        n->malformed++;
    if (acks != 0)
        open_request(k, &h, t->places, t->place_count);
}

static void read_response(struct cap_kwire *k, struct span frame, struct taking *t)
{
    const struct open_request *r = k->oldest;
    static cap_kafka_part_fn *const fns[] = {[CAP_KAFKA_PRODUCE] = take_place,
                                             [CAP_KAFKA_FETCH] = take_records,
                                             [CAP_KAFKA_METADATA] = take_topic};
    t->answers = r;
    if (!cap_kafka_response_read(frame, r->api, r->version, fns[r->api], t))
        k->shared->counts.malformed++;
    close_oldest(k);
}

/* A frame is there: what it holds is taken, and every byte of it settled. */
static void frame_ends(struct cap_kwire *k, int dir)
{
    struct side *s = &k->side[dir];
    struct taking t = {.k = k, .dir = dir, .at = s->first};
    struct span frame = buf_view(&s->frame);
    uint64_t malformed = k->shared->counts.malformed;
    if (dir == CAP_TO_SERVER)
        read_request(k, frame, &t);
    else
        read_response(k, frame, &t);
    uint64_t rest = frame.n - t.taken.read - t.taken.opaque;
    bool bad = k->shared->counts.malformed != malformed;
    cap_count_settle(k->c, dir, CAP_FATE_RECORD, t.taken.read);
    cap_count_settle(k->c, dir, CAP_FATE_OPAQUE, t.taken.opaque);
    cap_count_settle(k->c, dir, bad ? CAP_FATE_OPAQUE : CAP_FATE_FRAMING, rest);
    s->state = ST_HEAD;
    if (s->frame.cap > FRAME_KEEP)
        buf_done(&s->frame);
    buf_reset(&s->frame);
}

/* --- heads of frames -------------------------------------------------------------- */

/* Bytes of this direction are not read: Produce requests may have been in them. */
static void missed(struct cap_kwire *k, int dir)
{
    if (dir == CAP_TO_SERVER)
        cap_krecords_missed(k->shared->records);
}

static void lose_sync(struct cap_kwire *k, int dir)
{
    missed(k, dir);
    k->side[dir].state = ST_SEARCH;
    k->shared->counts.resyncs++;
    k->c->parse->totals.resyncs++;
}

/* What is held of a frame becomes fate, and so does what follows of it. */
static void skip_frame(struct cap_kwire *k, int dir, enum cap_fate fate, bool unread)
{
    struct side *s = &k->side[dir];
    cap_count_settle(k->c, dir, fate, s->frame.n);
    if (unread)
        k->shared->counts.unread_bytes[dir] += s->frame.n;
    s->left = s->want - s->frame.n;
    s->fate = fate;
    s->unread = unread;
    s->state = s->left ? ST_SKIP : ST_HEAD;
    buf_reset(&s->frame);
}

/* A frame that is to be read, unless there is no room for it. */
static void begin_frame(struct cap_kwire *k, int dir)
{
    struct side *s = &k->side[dir];
    const struct cap_budget *b = k->c->parse->config.budget;
    struct cap_parse_totals *t = &k->c->parse->totals;
    bool long_one = s->want > CAP_MESSAGE_MAX;
    if (long_one || b->used_bytes + s->want > b->limit_bytes / 8 * 7) {
        k->shared->counts.too_long += long_one;
        k->shared->counts.shed += !long_one;
        missed(k, dir);
        if (dir == CAP_TO_SERVER)
            *(long_one ? &t->lost_limit : &t->lost_shed) += 1;
        else
            close_oldest(k);
        skip_frame(k, dir, CAP_FATE_SHED, false);
        return;
    }
    s->state = ST_FRAME;
    if (s->frame.n == s->want)
        frame_ends(k, dir);
}

/* False: no request begins here. */
static bool request_begins(struct cap_kwire *k)
{
    struct side *s = &k->side[CAP_TO_SERVER];
    struct cap_kafka_head h;
    if (!cap_kafka_head_of(buf_view(&s->frame), &h))
        return false;
    s->want = 4 + (uint64_t)h.length;
    k->shared->counts.requests++;
    k->shared->counts.fetches += h.api == CAP_KAFKA_FETCH;
    if (h.api == CAP_KAFKA_PRODUCE && cap_kafka_produce_known(h.version)) {
        begin_frame(k, CAP_TO_SERVER);
        return true;
    }
    open_request(k, &h, NULL, 0);
    if (h.api == CAP_KAFKA_PRODUCE) {
        k->shared->counts.versions_unknown++;
        skip_frame(k, CAP_TO_SERVER, CAP_FATE_OPAQUE, false);
    } else if (h.api == CAP_KAFKA_FETCH || h.api == CAP_KAFKA_METADATA) {
        skip_frame(k, CAP_TO_SERVER, CAP_FATE_FRAMING, false);
    } else {
        skip_frame(k, CAP_TO_SERVER, CAP_FATE_RECORD, true);
    }
    return true;
}

static bool response_begins(struct cap_kwire *k)
{
    struct side *s = &k->side[CAP_TO_CLIENT];
    struct cursor c = cursor_of(buf_view(&s->frame));
    uint32_t length = cursor_u32_be(&c), correlation = cursor_u32_be(&c);
    if (length < LEAST_ANSWER || length > CAP_KAFKA_LENGTH_MAX)
        return false;
    s->want = 4 + (uint64_t)length;
    k->shared->counts.responses++;
    if (!find_open(k, correlation)) {
        k->shared->counts.unmatched++;
        skip_frame(k, CAP_TO_CLIENT,
                   s->want < CAP_BATCH_HEAD ? CAP_FATE_FRAMING : CAP_FATE_OPAQUE,
                   false); /* so short a one holds no record */
        return true;
    }
    while (k->oldest->correlation != correlation)
        close_oldest(k); /* answers come in order: theirs are lost */
    const struct open_request *r = k->oldest;
    if (cap_kafka_response_known(r->api, r->version)) {
        begin_frame(k, CAP_TO_CLIENT);
        return true;
    }
    bool fetch = r->api == CAP_KAFKA_FETCH || r->api == CAP_KAFKA_PRODUCE;
    k->shared->counts.versions_unknown += fetch;
    skip_frame(k, CAP_TO_CLIENT, fetch ? CAP_FATE_OPAQUE : CAP_FATE_RECORD, !fetch);
    close_oldest(k);
    return true;
}

/* --- the search for a boundary ---------------------------------------------------- */

/* 1: a frame begins there as far as can be seen; 0: none does; -1: more must come. */
static int may_begin(const struct cap_kwire *k, int dir, struct span s, uint64_t *bytes)
{
    struct cap_kafka_head h;
    if (dir == CAP_TO_SERVER) {
        if (s.n < CAP_KAFKA_REQUEST_HEAD)
            return -1;
        if (!cap_kafka_head_of(s, &h))
            return 0;
        if (!h.whole)
            return -1;
        if (h.client.n == 0)
            return 0; /* too little to go by */
        *bytes = 4 + (uint64_t)h.length;
        return 1;
    }
    if (s.n < RESPONSE_HEAD)
        return -1;
    struct cursor c = cursor_of(s);
    uint32_t length = cursor_u32_be(&c);
    *bytes = 4 + (uint64_t)length;
    return length >= LEAST_ANSWER && *bytes <= CAP_KAFKA_SEARCH_MAX &&
           find_open(k, cursor_u32_be(&c)) != NULL;
}

/* Whether a frame begins at s, and what stands behind it bears that out. */
static int is_boundary(const struct cap_kwire *k, int dir, struct span s)
{
    uint64_t bytes, next;
    int found = may_begin(k, dir, s, &bytes);
    if (found != 1)
        return found;
    if (bytes > s.n)
        return bytes > CAP_KAFKA_SEARCH_MAX ? 0 : -1;
    if (bytes == s.n)
        return 1;
    return may_begin(k, dir, span_sub(s, (size_t)bytes, s.n), &next);
}

static void drop_held(struct cap_kwire *k, int dir, size_t n)
{
    if (n > 0)
        missed(k, dir);
    cap_hold_drop(&k->side[dir].hold, n);
    cap_count_settle(k->c, dir, CAP_FATE_OPAQUE, n);
}

/* Whether s is nothing but whole responses, as far as their lengths tell. */
static bool are_responses(struct span s)
{
    while (s.n >= RESPONSE_HEAD) {
        struct cursor c = cursor_of(s);
        uint64_t bytes = 4 + (uint64_t)cursor_u32_be(&c);
        if (bytes < RESPONSE_HEAD || bytes > s.n)
            return false;
        s = span_sub(s, (size_t)bytes, s.n);
    }
    return s.n == 0;
}

static void take_nothing(void *arg, const struct cap_kafka_part *p)
{
    (void)arg;
    (void)p;
}

/* A response to a request from before the capture, on a connection that goes on to
 * fetch: it is one of a Fetch as well where all of it reads as one. */
static void unasked(struct cap_kwire *k, struct span frame,
                    const struct open_request *next, struct clk_wall at)
{
    struct taking t = {.k = k, .dir = CAP_TO_CLIENT, .at = at};
    bool fetch =
        next->api == CAP_KAFKA_FETCH &&
        cap_kafka_response_read(frame, next->api, next->version, take_nothing, NULL);
    k->shared->counts.responses++;
    k->shared->counts.unmatched += !fetch;
    if (fetch)
        cap_kafka_response_read(frame, next->api, next->version, take_records, &t);
    /* A frame that is too short for a record is no loss, whatever it is. */
    bool harmless = fetch || frame.n < CAP_BATCH_HEAD;
    uint64_t rest = frame.n - t.taken.read - t.taken.opaque;
    cap_count_settle(k->c, CAP_TO_CLIENT, CAP_FATE_RECORD, t.taken.read);
    cap_count_settle(k->c, CAP_TO_CLIENT, CAP_FATE_OPAQUE, t.taken.opaque);
    cap_count_settle(k->c, CAP_TO_CLIENT, harmless ? CAP_FATE_FRAMING : CAP_FATE_OPAQUE,
                     rest);
}

/* What was held in front of the first response whose request was seen. */
static void take_unasked(struct cap_kwire *k, struct span s,
                         const struct open_request *next)
{
    struct cap_hold *hold = &k->side[CAP_TO_CLIENT].hold;
    size_t all = s.n;
    while (s.n > 0) {
        struct cursor c = cursor_of(s);
        size_t bytes = 4 + (size_t)cursor_u32_be(&c);
        unasked(k, span_sub(s, 0, bytes), next,
                cap_hold_time(hold, hold->at + (all - s.n)));
        s = span_sub(s, bytes, s.n);
    }
    cap_hold_drop(hold, all);
}

/* Whether what is held begins with a frame now; all before it is settled. */
static bool find_boundary(struct cap_kwire *k, int dir)
{
    struct side *s = &k->side[dir];
    struct span held = cap_hold_view(&s->hold);
    size_t least = dir == CAP_TO_SERVER ? CAP_KAFKA_REQUEST_HEAD : RESPONSE_HEAD;
    int found = 0;
    for (; s->looked + least <= held.n; s->looked++) {
        found = is_boundary(k, dir, span_sub(held, s->looked, held.n));
        if (found == 1 || (found < 0 && held.n <= CAP_KAFKA_SEARCH_MAX))
            break; /* one that has waited for too long is none */
    }
    struct span before = span_sub(held, 0, s->looked);
    if (found == 1 && dir == CAP_TO_CLIENT && are_responses(before)) {
        struct cursor c = cursor_of(span_sub(held, s->looked + 4, held.n));
        take_unasked(k, before, find_open(k, cursor_u32_be(&c)));
    } else if (found != 1 && dir == CAP_TO_CLIENT && held.n <= CAP_KAFKA_SEARCH_MAX) {
        return false; /* what is held may prove to be whole responses */
    } else {
        drop_held(k, dir, s->looked);
    }
    s->looked = 0;
    return found == 1;
}

/* --- bytes ------------------------------------------------------------------------ */

static size_t hold_frame(struct cap_kwire *k, int dir, struct span bytes, uint64_t want)
{
    struct side *s = &k->side[dir];
    size_t n = (size_t)(want - s->frame.n);
    n = n < bytes.n ? n : bytes.n;
    buf_add(&s->frame, bytes.p, n);
    if (s->frame.failed) {
        k->c->failed = true;
        return bytes.n;
    }
    cap_count_pending(k->c, dir, n);
    return n;
}

static size_t head_data(struct cap_kwire *k, int dir, struct clk_wall at,
                        struct span bytes)
{
    struct side *s = &k->side[dir];
    size_t head = dir == CAP_TO_SERVER ? CAP_KAFKA_REQUEST_HEAD : RESPONSE_HEAD;
    if (s->frame.n == 0)
        s->first = at;
    size_t n = hold_frame(k, dir, bytes, head);
    if (k->c->failed || s->frame.n < head)
        return n;
    if (!(dir == CAP_TO_SERVER ? request_begins(k) : response_begins(k))) {
        lose_sync(k, dir);
        cap_count_settle(k->c, dir, CAP_FATE_OPAQUE, s->frame.n);
        buf_reset(&s->frame);
    }
    return n;
}

static size_t skip_data(struct cap_kwire *k, int dir, struct span bytes)
{
    struct side *s = &k->side[dir];
    size_t n = bytes.n < s->left ? bytes.n : (size_t)s->left;
    cap_count(k->c, dir, s->fate, n);
    if (s->unread)
        k->shared->counts.unread_bytes[dir] += n;
    s->left -= n;
    if (s->left == 0)
        s->state = ST_HEAD;
    return n;
}

/* As long as frames follow one another. Returns how many bytes that were. */
static size_t frames_data(struct cap_kwire *k, int dir, struct clk_wall at,
                          struct span bytes)
{
    struct side *s = &k->side[dir];
    size_t used = 0;
    while (used < bytes.n && !k->c->failed && s->state != ST_SEARCH) {
        struct span rest = span_sub(bytes, used, bytes.n);
        if (s->state == ST_HEAD) {
            used += head_data(k, dir, at, rest);
        } else if (s->state == ST_SKIP) {
            used += skip_data(k, dir, rest);
        } else {
            used += hold_frame(k, dir, rest, s->want);
            if (!k->c->failed && s->frame.n == s->want)
                frame_ends(k, dir);
        }
    }
    return used;
}

/* Bytes among which a frame begins somewhere. */
static void search_data(struct cap_kwire *k, int dir, struct clk_wall at,
                        struct span bytes)
{
    struct side *s = &k->side[dir];
    struct span piece;
    cap_hold_add(&s->hold, at, bytes);
    if (cap_hold_failed(&s->hold)) {
        k->c->failed = true;
        return;
    }
    cap_count_pending(k->c, dir, bytes.n);
    while (s->state == ST_SEARCH && !k->c->failed && find_boundary(k, dir)) {
        s->state = ST_HEAD;
        while (s->state != ST_SEARCH && !k->c->failed &&
               cap_hold_piece(&s->hold, &at, &piece)) {
            cap_count_again(k->c, dir, piece.n);
            size_t used = frames_data(k, dir, at, piece);
            cap_count_pending(k->c, dir, piece.n - used);
            cap_hold_drop(&s->hold, used);
        }
    }
    if (s->state != ST_SEARCH)
        cap_hold_done(&s->hold);
}

static void charge(struct cap_kwire *k)
{
    uint64_t bytes = sizeof *k + k->open_count * sizeof(struct open_request);
    for (int dir = 0; dir < 2; dir++)
        bytes += k->side[dir].frame.cap + cap_hold_memory(&k->side[dir].hold);
    cap_charge_conn(k->c, bytes);
}

void cap_kwire_data(struct cap_kwire *k, int dir, struct clk_wall at, struct span bytes)
{
    size_t used = frames_data(k, dir, at, bytes);
    if (used < bytes.n && !k->c->failed)
        search_data(k, dir, at, span_sub(bytes, used, bytes.n));
    charge(k);
}

/* A frame that will not be whole. */
static void break_frame(struct cap_kwire *k, int dir)
{
    k->shared->counts.broken++;
    missed(k, dir);
    if (dir == CAP_TO_SERVER)
        k->c->parse->totals.lost_to_gap++;
    else
        close_oldest(k);
    skip_frame(k, dir, CAP_FATE_OPAQUE, false);
}

void cap_kwire_gap(struct cap_kwire *k, int dir, uint64_t bytes)
{
    struct side *s = &k->side[dir];
    if (s->state == ST_FRAME)
        break_frame(k, dir);
    if (s->state == ST_SKIP && bytes <= s->left) { /* of what is not read anyway */
        s->left -= bytes;
        if (s->left == 0)
            s->state = ST_HEAD;
        return;
    }
    if (s->state == ST_HEAD) {
        cap_count_settle(k->c, dir, CAP_FATE_OPAQUE, s->frame.n);
        buf_reset(&s->frame);
    }
    if (s->state != ST_SEARCH)
        lose_sync(k, dir);
    drop_held(k, dir, cap_hold_view(&s->hold).n);
    s->looked = 0;
    charge(k);
}

void cap_kwire_unseen(struct cap_kwire *k, int dir)
{
    missed(k, dir);
}

void cap_kwire_close(struct cap_kwire *k)
{
    if (!k)
        return;
    for (int dir = 0; dir < 2; dir++) {
        struct side *s = &k->side[dir];
        if (s->state == ST_FRAME)
            break_frame(k, dir);
        else if (s->state == ST_HEAD)
            cap_count_settle(k->c, dir, CAP_FATE_OPAQUE, s->frame.n);
        drop_held(k, dir, cap_hold_view(&s->hold).n);
        buf_done(&s->frame);
        cap_hold_done(&s->hold);
    }
    while (k->oldest)
        close_oldest(k);
    cap_charge_conn(k->c, 0);
    free(k);
}
