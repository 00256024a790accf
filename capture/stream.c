/*
 * stream.c - see stream.h. While it is not known what a connection speaks, its bytes
 * are held; then they are given to the parser piece by piece, in the order of their
 * times.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "capture/h1_capture.h"
#include "capture/h2_capture.h"
#include "capture/h2_frame.h"
#include "traces/base/rng.h"

#define SNIFF_HOLD_MAX (256u << 10) /* of each direction */
/* Without a byte from the client, so many of the server decide. */
#define SERVER_ALONE_MAX (4u << 10)
#define LINE_MAX         2048u

enum speech { SNIFFING, HTTP1, HTTP2, KAFKA, TLS, UNKNOWN, SHED };

struct sniff {
    struct cap_hold hold[2];
    struct cap_h2_sync sync[2];
    uint64_t line[2]; /* offset from which a start line is looked for */
    uint64_t seen;
    bool midway;
    bool frames[2];    /* credible ones were found, */
    uint64_t frame[2]; /* the first at this offset */
};

struct cap_stream {
    struct cap_conn conn;
    enum speech speech;
    struct sniff *sniff; /* while SNIFFING */
    struct cap_h1 *h1;
    struct cap_h2 *h2;
    struct cap_kwire *kafka;
    bool finished[2];
};

/* --- what is it? ------------------------------------------------------------------ */

/* A whole TLS record header: type, version 3.x, length within the protocol's limit. */
static bool is_tls(struct span s)
{
    return s.n >= 5 && s.p[0] >= 20 && s.p[0] <= 23 && s.p[1] == 3 && s.p[2] <= 4 &&
           ((unsigned)s.p[3] << 8 | s.p[4]) <= 16384 + 2048 &&
           ((unsigned)s.p[3] << 8 | s.p[4]) > 0;
}

static bool is_token(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || (c >= 'a' && c <= 'z');
}

/* The client's first bytes. */
static enum speech client_speaks(struct span s)
{
    size_t n = s.n < CAP_H2_PREFACE_BYTES ? s.n : CAP_H2_PREFACE_BYTES;
    if (memcmp(s.p, CAP_H2_PREFACE, n) == 0)
        return n == CAP_H2_PREFACE_BYTES ? HTTP2 : SNIFFING;
    if (s.p[0] >= 20 && s.p[0] <= 23)
        return s.n < 5 ? SNIFFING : is_tls(s) ? TLS : UNKNOWN;
    if (s.p[0] == '\r' || s.p[0] == '\n') /* an empty line in front of a request */
        return s.n < 3 ? SNIFFING : HTTP1;
    for (size_t i = 0; i < s.n && i < 24; i++) {
        if (s.p[i] == ' ')
            return i ? HTTP1 : UNKNOWN;
        if (!is_token(s.p[i]))
            return UNKNOWN;
    }
    return s.n < 24 ? SNIFFING : UNKNOWN;
}

/* The server's first bytes, when the client's are not there. */
static enum speech server_speaks(struct span s)
{
    if (span_starts(s, "HTTP/1."))
        return HTTP1;
    if (is_tls(s))
        return TLS;
    if (s.n >= CAP_H2_HEAD) {
        struct cap_h2_frame f = cap_h2_frame_of(s.p);
        if (f.type == CAP_H2_SETTINGS && cap_h2_frame_credible(&f))
            return HTTP2;
    }
    return UNKNOWN;
}

/* Whether a start line ends with the line feed at s[end - 1]. */
static bool is_start_line(int dir, struct span line)
{
    size_t n = line.n;
    if (dir == CAP_TO_CLIENT)
        return n >= 13 && span_starts(line, "HTTP/1.") && line.p[8] == ' ' &&
               line.p[9] >= '1' && line.p[9] <= '5';
    return n >= 14 && memcmp(line.p + n - 10, " HTTP/1.", 8) == 0 &&
           (line.p[n - 2] == '0' || line.p[n - 2] == '1');
}

/* A start line in what came since the last look. Whether it begins a message is for the
 * parser to find out. */
static bool has_start_line(struct sniff *f, int dir)
{
    struct span s = cap_hold_view(&f->hold[dir]);
    const char *mark = dir == CAP_TO_CLIENT ? "HTTP/1." : " HTTP/1.";
    size_t n = strlen(mark), behind = dir == CAP_TO_CLIENT ? 6 : 3;
    size_t at =
        f->line[dir] > f->hold[dir].at ? (size_t)(f->line[dir] - f->hold[dir].at) : 0;
    for (;; at++) {
        const uint8_t *p = at < s.n ? memmem(s.p + at, s.n - at, mark, n) : NULL;
        if (!p || (size_t)(s.p + s.n - p) < n + behind)
            break;
        at = (size_t)(p - s.p);
        struct span line =
            dir == CAP_TO_CLIENT
                ? span_sub(s, at, at + n + behind)
                : span_sub(s, at > LINE_MAX ? at - LINE_MAX : 0, at + n + 2);
        if (is_start_line(dir, line))
            return true;
    }
    size_t keep = s.n > n + behind ? s.n - n - behind : 0;
    f->line[dir] = f->hold[dir].at + keep;
    return false;
}

static enum speech midway_speaks(struct cap_stream *s, bool final)
{
    struct sniff *f = s->sniff;
    for (int dir = 0; dir < 2; dir++) {
        if (f->seen == cap_hold_view(&f->hold[dir]).n && !f->hold[dir].at &&
            is_tls(cap_hold_view(&f->hold[dir])))
            return TLS; /* the first bytes at all */
        struct cap_h2_sync *sync = &f->sync[dir];
        uint64_t *at = &f->frame[dir];
        f->frames[dir] = cap_h2_sync_scan(sync, &f->hold[dir], at) ||
                         (final && cap_h2_sync_end(sync, &f->hold[dir], at));
        if (f->frames[dir])
            return HTTP2;
        if (has_start_line(f, dir))
            return HTTP1;
    }
    return f->seen > CAP_SNIFF_MAX || final ? UNKNOWN : SNIFFING;
}

static enum speech speaks(struct cap_stream *s, bool final)
{
    struct sniff *f = s->sniff;
    if (f->midway)
        return midway_speaks(s, final);
    struct span client = cap_hold_view(&f->hold[CAP_TO_SERVER]);
    struct span server = cap_hold_view(&f->hold[CAP_TO_CLIENT]);
    enum speech speech = client.n ? client_speaks(client) : SNIFFING;
    if (!client.n && server.n && (final || server.n > SERVER_ALONE_MAX))
        speech = server_speaks(server);
    return speech == SNIFFING && final ? UNKNOWN : speech;
}

/* --- giving bytes to the parser --------------------------------------------------- */

static void to_http2(struct cap_stream *s, int dir, struct clk_wall at,
                     struct span bytes)
{
    if (!s->h2) {
        struct cap_conn *c = &s->conn;
        s->h2 = cap_h2_new(c, false);
        if (!s->h2)
            return;
        /* Requests that HTTP/1.1 still has open are aged by it no more. */
        c->parse->totals.connections_http2++;
    }
    struct cap_pending *p = s->h1 ? cap_h1_upgrade_request(s->h1) : NULL;
    if (p)
        cap_h2_adopt(s->h2, p);
    cap_h2_data(s->h2, dir, at, bytes);
}

static void to_http1(struct cap_stream *s, int dir, struct clk_wall at,
                     struct span bytes)
{
    if (cap_h1_upgraded(s->h1, dir)) {
        to_http2(s, dir, at, bytes);
        return;
    }
    size_t used = cap_h1_data(s->h1, dir, at, bytes);
    if (!cap_h1_upgraded(s->h1, dir))
        return;
    uint8_t copy[CAP_H2_PREFACE_BYTES];
    struct span held = cap_h1_upgrade_hold(s->h1, dir);
    if (held.n && held.n <= sizeof copy) {
        memcpy(copy, held.p, held.n);
        to_http2(s, dir, at, span_of(copy, held.n));
    } else if (held.n) {
        to_http2(s, dir, at, held);
    } else {
        to_http2(s, dir, at, (struct span){0});
    }
    to_http2(s, dir, at, span_sub(bytes, used, bytes.n));
}

static void give(struct cap_stream *s, int dir, struct clk_wall at, struct span bytes)
{
    switch (s->speech) {
    case HTTP1:
        to_http1(s, dir, at, bytes);
        break;
    case HTTP2:
        cap_h2_data(s->h2, dir, at, bytes);
        break;
    case KAFKA:
        cap_kwire_data(s->kafka, dir, at, bytes);
        break;
    case SHED:
        cap_count(&s->conn, dir, CAP_FATE_SHED, bytes.n);
        break;
    default:
        cap_count(&s->conn, dir, CAP_FATE_OPAQUE, bytes.n);
    }
}

static void sniff_free(struct sniff *f)
{
    for (int dir = 0; f && dir < 2; dir++) {
        cap_hold_done(&f->hold[dir]);
        cap_h2_sync_done(&f->sync[dir]);
    }
    free(f);
}

/* All that is held, oldest first. */
static void give_held(struct cap_stream *s, struct sniff *f)
{
    for (;;) {
        struct clk_wall at[2];
        struct span piece[2];
        bool some[2];
        for (int dir = 0; dir < 2; dir++)
            some[dir] = cap_hold_piece(&f->hold[dir], &at[dir], &piece[dir]);
        if (!some[0] && !some[1])
            return;
        int dir = !some[0] || (some[1] && at[1].ns < at[0].ns) ? 1 : 0;
        cap_count_again(&s->conn, dir, piece[dir].n);
        give(s, dir, at[dir], piece[dir]);
        cap_hold_drop(&f->hold[dir], piece[dir].n);
    }
}

/* Where frames were found, they need not be looked for again. */
static void join_http2(struct cap_stream *s, struct sniff *f)
{
    for (int dir = 0; dir < 2; dir++) {
        if (!f->frames[dir])
            continue;
        size_t n = (size_t)(f->frame[dir] - f->hold[dir].at);
        cap_hold_drop(&f->hold[dir], n);
        cap_count_settle(&s->conn, dir, CAP_FATE_OPAQUE, n);
        cap_h2_join(s->h2, dir);
    }
}

static void decide(struct cap_stream *s, enum speech speech)
{
    struct sniff *f = s->sniff;
    struct cap_parse_totals *t = &s->conn.parse->totals;
    s->sniff = NULL;
    s->speech = speech;
    cap_charge_conn(&s->conn, 0);
    if (speech == HTTP1) {
        t->connections_http1++;
        s->h1 = cap_h1_new(&s->conn, f->midway);
    } else if (speech == HTTP2) {
        t->connections_http2++;
        s->h2 = cap_h2_new(&s->conn, f->midway);
        if (s->h2 && f->midway)
            join_http2(s, f);
    } else if (speech == TLS) {
        t->connections_tls++;
    } else if (speech == UNKNOWN && f->seen) {
        t->connections_unknown++;
    }
    if (s->conn.failed)
        s->speech = SHED;
    give_held(s, f);
    for (int dir = 0; dir < 2; dir++) {
        if (!s->finished[dir])
            continue;
        if (s->h1)
            cap_h1_finish(s->h1, dir);
        if (s->h2)
            cap_h2_finish(s->h2, dir);
    }
    sniff_free(f);
}

static void sniff_data(struct cap_stream *s, int dir, struct clk_wall at,
                       struct span bytes)
{
    struct sniff *f = s->sniff;
    cap_hold_add(&f->hold[dir], at, bytes);
    if (cap_hold_failed(&f->hold[dir])) {
        s->conn.failed = true;
        return;
    }
    cap_count_pending(&s->conn, dir, bytes.n);
    f->seen += bytes.n;
    enum speech speech = speaks(s, false);
    if (speech != SNIFFING) {
        decide(s, speech);
        return;
    }
    size_t held = cap_hold_view(&f->hold[dir]).n;
    if (held > SNIFF_HOLD_MAX) {
        size_t n = held - SNIFF_HOLD_MAX / 2;
        cap_hold_drop(&f->hold[dir], n);
        cap_count_settle(&s->conn, dir, CAP_FATE_OPAQUE, n);
        f->midway = true;
    }
    cap_charge_conn(&s->conn, sizeof *f + cap_hold_memory(&f->hold[0]) +
                                  cap_hold_memory(&f->hold[1]));
}

/* --- giving a connection up ------------------------------------------------------- */

/* Whether the shared memory allows this connection to go on (see cap_budget). */
static bool affordable(const struct cap_stream *s)
{
    const struct cap_budget *b = s->conn.parse->config.budget;
    if (b->used_bytes < b->limit_bytes / 16 * 15)
        return true;
    return b->used_bytes < b->limit_bytes && rng_hash(s->conn.info.ordinal, 0) & 1;
}

static void close_parsers(struct cap_stream *s, enum cap_end how)
{
    if (s->sniff) {
        struct sniff *f = s->sniff;
        for (int dir = 0; dir < 2; dir++)
            cap_count_settle(&s->conn, dir, CAP_FATE_SHED,
                             cap_hold_view(&f->hold[dir]).n);
        sniff_free(f);
        s->sniff = NULL;
        cap_charge_conn(&s->conn, 0);
    }
    if (s->h1)
        cap_h1_close(s->h1, how);
    if (s->h2)
        cap_h2_close(s->h2, how);
    cap_kwire_close(s->kafka);
    s->h1 = NULL;
    s->h2 = NULL;
    s->kafka = NULL;
}

/* Whatever was not accounted for in a failing call is shed. */
static void balance(struct cap_stream *s)
{
    for (int dir = 0; dir < 2; dir++) {
        const struct cap_parse_counts *n = &s->conn.counts[dir];
        cap_count_settle(&s->conn, dir, CAP_FATE_SHED, n->pending_bytes);
        uint64_t known =
            n->record_bytes + n->framing_bytes + n->opaque_bytes + n->shed_bytes;
        cap_count(&s->conn, dir, CAP_FATE_SHED, s->conn.seen[dir] - known);
    }
}

static void shed(struct cap_stream *s)
{
    s->conn.parse->totals.connections_shed++;
    close_parsers(s, CAP_END_EVICTED);
    balance(s);
    s->speech = SHED;
    s->conn.failed = false;
}

/* --- the face --------------------------------------------------------------------- */

struct cap_stream *cap_stream_new(struct cap_parse *parse,
                                  const struct cap_flow_info *info)
{
    struct cap_stream *s = calloc(1, sizeof *s);
    struct sniff *f = calloc(1, sizeof *f);
    if (!s || !f) {
        free(s);
        free(f);
        return NULL;
    }
    s->conn.parse = parse;
    s->conn.info = *info;
    s->sniff = f;
    f->midway = !info->from_start;
    return s;
}

struct cap_stream *cap_stream_new_kafka(struct cap_parse *parse,
                                        struct cap_kwire_shared *shared,
                                        const struct cap_flow_info *info)
{
    struct cap_stream *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->conn.parse = parse;
    s->conn.info = *info;
    s->speech = KAFKA;
    s->kafka = cap_kwire_new(&s->conn, shared, !info->from_start);
    if (!s->kafka) {
        free(s);
        return NULL;
    }
    return s;
}

/* The first bytes of a connection to Kafka: a TLS record is no frame that is credible,
 * for the length that it would be is over the limit. */
static void try_tls(struct cap_stream *s, struct span bytes)
{
    if (s->speech != KAFKA || s->conn.seen[0] + s->conn.seen[1] != bytes.n ||
        !is_tls(bytes))
        return;
    close_parsers(s, CAP_END_FILE);
    s->speech = TLS;
    s->conn.parse->totals.connections_tls++;
}

void cap_stream_data(struct cap_stream *s, int dir, struct clk_wall at,
                     struct span bytes)
{
    cap_parse_time(s->conn.parse, at);
    if (!bytes.n)
        return;
    s->conn.seen[dir] += bytes.n;
    s->conn.unseen[dir] = false;
    try_tls(s, bytes);
    if (s->speech != SHED && !affordable(s))
        shed(s);
    else if (s->speech == SNIFFING)
        sniff_data(s, dir, at, bytes);
    else
        give(s, dir, at, bytes);
    if (s->conn.failed)
        shed(s);
}

void cap_stream_gap(struct cap_stream *s, int dir, struct clk_wall at, uint64_t bytes)
{
    cap_parse_time(s->conn.parse, at);
    if (!bytes)
        return;
    s->conn.unseen[dir] = false;
    if (s->sniff) {
        /* What follows may begin anywhere; what came before may still tell. */
        enum speech speech = speaks(s, true);
        if (speech == HTTP1 || speech == HTTP2) {
            decide(s, speech);
        } else {
            struct cap_hold *hold = &s->sniff->hold[dir];
            size_t n = cap_hold_view(hold).n;
            cap_hold_drop(hold, n);
            cap_count_settle(&s->conn, dir, CAP_FATE_OPAQUE, n);
            cap_h2_sync_restart(&s->sniff->sync[dir], hold->at);
            s->sniff->midway = true;
        }
    }
    bool http2 = s->h2 && (!s->h1 || cap_h1_upgraded(s->h1, dir));
    if (http2)
        cap_h2_gap(s->h2, dir, at, bytes);
    else if (s->h1)
        cap_h1_gap(s->h1, dir, at, bytes);
    else if (s->kafka)
        cap_kwire_gap(s->kafka, dir, bytes);
    if (s->conn.failed)
        shed(s);
}

void cap_stream_unseen(struct cap_stream *s, int dir)
{
    s->conn.unseen[dir] = true;
    if (s->kafka)
        cap_kwire_unseen(s->kafka, dir);
}

void cap_stream_finish(struct cap_stream *s, int dir, struct clk_wall at)
{
    cap_parse_time(s->conn.parse, at);
    s->finished[dir] = true;
    if (s->h1)
        cap_h1_finish(s->h1, dir);
    if (s->h2)
        cap_h2_finish(s->h2, dir);
    if (s->conn.failed)
        shed(s);
}

void cap_stream_close(struct cap_stream *s, struct clk_wall at, enum cap_end how)
{
    if (!s)
        return;
    cap_parse_time(s->conn.parse, at);
    if (s->sniff)
        decide(s, speaks(s, true));
    close_parsers(s, how);
    for (int dir = 0; dir < 2; dir++)
        assert(s->conn.counts[dir].pending_bytes == 0);
    free(s);
}

const struct cap_parse_counts *cap_stream_counts(const struct cap_stream *s, int dir)
{
    return &s->conn.counts[dir];
}

/* --- as a flow sink --------------------------------------------------------------- */

static void *sink_open(void *arg, const struct cap_flow_info *info, struct clk_wall at)
{
    struct cap_parse *parse = arg;
    const struct cap_parse_config *c = &parse->config;
    (void)at;
    return c->is_kafka && c->is_kafka(c->is_kafka_arg, info)
               ? cap_stream_new_kafka(parse, c->kafka, info)
               : cap_stream_new(parse, info);
}

static void sink_data(void *arg, void *conn, int dir, struct clk_wall at,
                      struct span bytes)
{
    struct cap_parse *parse = arg;
    if (conn)
        cap_stream_data(conn, dir, at, bytes);
    else
        parse->totals.dir[dir].shed_bytes += bytes.n;
}

static void sink_gap(void *arg, void *conn, int dir, struct clk_wall at, uint64_t bytes,
                     enum cap_gap why)
{
    (void)arg;
    (void)why;
    if (conn)
        cap_stream_gap(conn, dir, at, bytes);
}

static void sink_unseen(void *arg, void *conn, int dir)
{
    (void)arg;
    if (conn)
        cap_stream_unseen(conn, dir);
}

static void sink_finish(void *arg, void *conn, int dir, struct clk_wall at)
{
    (void)arg;
    if (conn)
        cap_stream_finish(conn, dir, at);
}

static void sink_close(void *arg, void *conn, struct clk_wall at, enum cap_end how)
{
    (void)arg;
    cap_stream_close(conn, at, how);
}

struct cap_flow_sink cap_stream_sink(struct cap_parse *parse)
{
    return (struct cap_flow_sink){.open = sink_open,
                                  .data = sink_data,
                                  .gap = sink_gap,
                                  .finish = sink_finish,
                                  .close = sink_close,
                                  .arg = parse,
                                  .unseen = sink_unseen};
}
