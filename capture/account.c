/*
 * account.c - see account.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "capture/account.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "traces/base/units.h"
#include "traces/capture_notes.h"

#define SERIES_NOTE_MAX 60000u /* bytes of a note of rows */

const char *const cap_lost_names[] = {"unnamed",   "refused", "shed", "gap",
                                      "malformed", "limit",   NULL};
static const char *const direction_names[] = {"to_server", "to_client"};

static const struct cap_tallies no_tallies;
static const struct cap_order_counts no_order;
static const struct cap_flow_totals no_flows;
static const struct cap_parse_totals no_parse;
static const struct cap_kwire_counts no_kwire;
static const struct cap_krecords_counts no_krecords;
static const struct cap_kafka_counts no_kafka;

static const struct cap_tallies *tallies_of(const struct cap_parts *p)
{
    return p->tallies ? p->tallies : &no_tallies;
}

/* --- the rule --------------------------------------------------------------------- */

void cap_account_direction(const struct cap_parts *p, int dir, struct cap_direction *d)
{
    const struct cap_flow_counts *f = &(p->flows ? p->flows : &no_flows)->dir[dir];
    const struct cap_parse_counts *parse = &(p->parse ? p->parse : &no_parse)->dir[dir];
    const struct cap_order_counts *order = p->order ? p->order : &no_order;
    const struct cap_kwire_counts *kwire = p->kwire ? p->kwire : &no_kwire;
    const struct cap_krecords_counts *kr = p->krecords ? p->krecords : &no_krecords;
    const struct cap_kafka_counts *kafka = p->kafka ? p->kafka : &no_kafka;
    const struct cap_tallies *t = tallies_of(p);
    *d = (struct cap_direction){
        .seen = f->payload_bytes,
        .records = t->recorded_bytes[dir] - order->shed_body_bytes[dir],
        .passed =
            t->passed_bytes[dir] + kr->passed_bytes[dir] + kafka->passed_bytes[dir],
        .lost = t->lost_bytes[dir] + kafka->refused_bytes[dir],
        .framing = parse->framing_bytes,
        .gaps = f->gap_bytes,
        .opaque =
            parse->opaque_bytes + kafka->orphan_bytes[dir] + kr->opaque_bytes[dir],
        .shed = parse->shed_bytes + t->shed_bytes[dir] + order->shed_body_bytes[dir],
        .unread = kwire->unread_bytes[dir],
        .duplicates = f->duplicate_bytes,
        .stray = f->stray_bytes,
        .pending = parse->pending_bytes + f->held_bytes + kafka->pending_bytes[dir] +
                   kr->held_bytes[dir],
    };
    uint64_t told = d->records + d->passed + d->lost + d->framing + d->gaps +
                    d->opaque + d->shed + d->unread + d->duplicates + d->stray +
                    d->pending;
    d->unexplained = (int64_t)(d->seen - told);
}

void cap_account_lost(const struct cap_parts *p, uint64_t lost[CAP_LOST_COUNT])
{
    const struct cap_tallies *t = tallies_of(p);
    const struct cap_parse_totals *parse = p->parse ? p->parse : &no_parse;
    lost[CAP_LOST_UNNAMED] = t->unnamed;
    lost[CAP_LOST_REFUSED] = t->refused + (p->kafka ? p->kafka->refused : 0);
    lost[CAP_LOST_SHED] = t->shed + parse->lost_shed;
    lost[CAP_LOST_GAP] = parse->lost_to_gap;
    lost[CAP_LOST_MALFORMED] = parse->lost_malformed;
    lost[CAP_LOST_LIMIT] = parse->lost_limit;
}

uint64_t cap_account_lost_all(const struct cap_parts *p)
{
    uint64_t lost[CAP_LOST_COUNT], n = 0;
    cap_account_lost(p, lost);
    for (int i = 0; i < CAP_LOST_COUNT; i++)
        n += lost[i];
    return n;
}

uint64_t cap_account_drops(const struct cap_parts *p)
{
    if (!p->source || !p->source->drops_known)
        return 0;
    return p->source->kernel_drops + p->source->interface_drops;
}

static uint64_t missing_bytes(const struct cap_direction *d)
{
    uint64_t odd = d->unexplained < 0 ? 0 : (uint64_t)d->unexplained;
    return d->gaps + d->opaque + d->shed + d->lost + d->stray + d->pending + odd;
}

static double part(uint64_t good, uint64_t bad)
{
    return bad == 0 ? 1.0 : (double)good / ((double)good + (double)bad);
}

bool cap_account_share(const struct cap_parts *p, double *share)
{
    const struct cap_tallies *t = tallies_of(p);
    uint64_t good = 0, missing = 0, drops = cap_account_drops(p);
    for (int dir = 0; dir < 2; dir++) {
        struct cap_direction d;
        cap_account_direction(p, dir, &d);
        good += d.records + d.passed + d.framing;
        missing += missing_bytes(&d);
    }
    if (good + missing + drops == 0)
        return false;
    double bytes =
        part(good, missing) * part(p->source ? p->source->packets : 0, drops);
    double requests = part(t->recorded, cap_account_lost_all(p));
    *share = bytes < requests ? bytes : requests;
    return true;
}

/* --- second by second ------------------------------------------------------------- */

static struct cap_series_row totals(const struct cap_parts *p)
{
    const struct cap_tallies *t = tallies_of(p);
    struct cap_series_row row = {.recorded = t->recorded,
                                 .lost = cap_account_lost_all(p),
                                 .drops = cap_account_drops(p)};
    for (int dir = 0; dir < 2; dir++) {
        struct cap_direction d;
        cap_account_direction(p, dir, &d);
        row.seen_bytes += d.seen;
        /* What is pending now is told in the second in which it is decided. */
        row.missing_bytes += d.gaps + d.opaque + d.shed + d.lost + d.stray;
    }
    return row;
}

static void add_row(struct cap_series_row *into, const struct cap_series_row *row,
                    const struct cap_series_row *less)
{
    into->recorded += row->recorded - less->recorded;
    into->lost += row->lost - less->lost;
    into->seen_bytes += row->seen_bytes - less->seen_bytes;
    into->missing_bytes += row->missing_bytes - less->missing_bytes;
    into->drops += row->drops - less->drops;
}

/* Two rows become one. */
static void widen(struct cap_series *s)
{
    static const struct cap_series_row none;
    for (uint32_t i = 0; i < CAP_SERIES_MAX / 2; i++) {
        struct cap_series_row both = s->rows[2 * i];
        add_row(&both, &s->rows[2 * i + 1], &none);
        s->rows[i] = both;
    }
    memset(s->rows + CAP_SERIES_MAX / 2, 0, sizeof s->rows / 2);
    s->width_s *= 2;
    s->n = (s->n + 1) / 2;
}

void cap_series_add(struct cap_series *s, const struct cap_parts *p, int64_t at_ns)
{
    struct cap_series_row now = totals(p);
    int64_t second = at_ns > 0 ? at_ns / CLK_SEC : 0;
    if (s->width_s == 0)
        s->width_s = 1;
    /* A clock that leaps by a century must not turn the whole into one row. */
    if (second > UINT32_MAX / 2)
        second = UINT32_MAX / 2;
    while (second / s->width_s >= CAP_SERIES_MAX)
        widen(s);
    uint32_t row = (uint32_t)(second / s->width_s);
    add_row(&s->rows[row], &now, &s->before);
    if (row >= s->n)
        s->n = row + 1;
    s->before = now;
}

/* --- notes ------------------------------------------------------------------------ */

struct noting {
    struct trc_writer *w;
    struct err *e;
    int rc;
};

static void note_text(struct noting *n, const char *key, const char *text)
{
    if (n->rc == 0)
        n->rc = trc_writer_note(n->w, key, text, n->e);
}

static void note_u64(struct noting *n, const char *key, uint64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, v);
    note_text(n, key, text);
}

static void note_direction(struct noting *n, const struct cap_parts *p, int dir)
{
    struct cap_direction d;
    cap_account_direction(p, dir, &d);
    const struct {
        const char *name;
        uint64_t v;
    } all[] = {{"seen", d.seen},       {"records", d.records},
               {"passed", d.passed},   {"lost", d.lost},
               {"framing", d.framing}, {"gaps", d.gaps},
               {"opaque", d.opaque},   {"shed", d.shed},
               {"unread", d.unread},   {"duplicates", d.duplicates},
               {"stray", d.stray},     {"pending", d.pending}};
    char key[80];
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        snprintf(key, sizeof key, NOTE_COVERAGE_PREFIX "%s.%s", direction_names[dir],
                 all[i].name);
        note_u64(n, key, all[i].v);
    }
    if (d.unexplained != 0) {
        char text[24];
        snprintf(text, sizeof text, "%" PRId64, d.unexplained);
        snprintf(key, sizeof key, NOTE_COVERAGE_PREFIX "%s.unexplained",
                 direction_names[dir]);
        note_text(n, key, text);
    }
}

void cap_unmapped_add(struct cap_unmapped *u, uint16_t port)
{
    for (uint32_t i = 0; i < u->n; i++)
        if (u->ports[i].port == port) {
            u->ports[i].requests++;
            return;
        }
    if (u->n == CAP_UNMAPPED_MAX) {
        u->elsewhere++;
        return;
    }
    u->ports[u->n].port = port;
    u->ports[u->n++].requests = 1;
}

/* "9000: 3, 9999: 4, others: 1". */
static void unmapped_list(const struct cap_unmapped *u, struct buf *out)
{
    for (uint32_t i = 0; i < u->n; i++)
        buf_fmt(out, "%s%u: %" PRIu64, i ? ", " : "", u->ports[i].port,
                u->ports[i].requests);
    if (u->elsewhere)
        buf_fmt(out, ", others: %" PRIu64, u->elsewhere);
}

static void note_unmapped(struct noting *n, const struct cap_unmapped *u)
{
    struct buf text = {0};
    if (u->n == 0 || n->rc < 0)
        return;
    unmapped_list(u, &text);
    n->rc = buf_check(&text, n->e);
    note_text(n, "coverage.requests.unmapped", buf_text(&text));
    buf_done(&text);
}

static void note_requests(struct noting *n, const struct cap_parts *p)
{
    const struct cap_tallies *t = tallies_of(p);
    const struct cap_order_counts *o = p->order ? p->order : &no_order;
    note_u64(n, "coverage.requests.recorded", t->recorded);
    note_u64(n, "coverage.requests.passed", t->passed);
    note_u64(n, "coverage.requests.lost", cap_account_lost_all(p));
    uint64_t lost[CAP_LOST_COUNT];
    cap_account_lost(p, lost);
    for (int i = 0; i < CAP_LOST_COUNT; i++) {
        char key[64];
        snprintf(key, sizeof key, "coverage.requests.lost.%s", cap_lost_names[i]);
        if (lost[i])
            note_u64(n, key, lost[i]);
    }
    const struct {
        const char *key;
        uint64_t v;
    } some[] = {{"coverage.requests.inferred", t->inferred},
                {"coverage.requests.opaque", t->opaque},
                {"coverage.requests.cut", t->cut},
                {"coverage.requests.near_gap", t->near_gap},
                {"coverage.requests.unanswered", t->unanswered},
                {"coverage.requests.streams", t->streams},
                {"coverage.messages.beyond", t->messages_beyond},
                {"coverage.requests.moved", o->moved},
                {"coverage.requests.moved_max_ns", (uint64_t)o->moved_max_ns},
                {"coverage.ids.joined", o->joined_ids},
                {"coverage.answers.late", o->late_answers},
                {"coverage.answers.unmatched", o->unmatched_answers},
                {"coverage.bodies.shed_requests", o->shed_requests},
                {"coverage.bodies.shed_answers", o->shed_answers}};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        if (some[i].v)
            note_u64(n, some[i].key, some[i].v);
    note_unmapped(n, &t->unmapped);
}

/* Kafka on the wire, by name; 0 rows where no connection of it was seen. */
struct kafka_row {
    const char *name;
    uint64_t v;
};
#define KAFKA_ROWS_MAX 26

static size_t kafka_rows(const struct cap_parts *p,
                         struct kafka_row rows[KAFKA_ROWS_MAX])
{
    const struct cap_kwire_counts *w = p->kwire;
    const struct cap_krecords_counts *r = p->krecords;
    const struct cap_kafka_counts *k = p->kafka;
    if (!w || !r || !k ||
        w->requests + w->responses + w->resyncs + w->unread_bytes[0] == 0)
        return 0;
    const struct kafka_row all[] = {
        {"requests", w->requests},
        {"responses", w->responses},
        {"responses_unmatched", w->unmatched},
        {"versions_unknown", w->versions_unknown},
        {"frames_malformed", w->malformed},
        {"frames_cut", w->broken},
        {"frames_too_long", w->too_long},
        {"resyncs", w->resyncs},
        {"batches", r->batches},
        {"batches_again", r->copies},
        {"batches_late", r->late},
        {"batches_of_unknown_topic", r->topics_unknown},
        {"batches_checksum_wrong", r->checksums_wrong},
        {"batches_malformed", r->malformed},
        {"batches_cut", r->cut},
        {"batches_old_format", r->old_format},
        {"batches_not_inflated", r->packed},
        {"topic_ids_told", r->topics_told},
        {"topic_ids_matched", r->topics_matched},
        {"records", r->records},
        {"tombstones", k->tombstones},
        {"inputs", k->inputs},
        {"outputs", k->outputs},
        {"errors", k->errors},
        {"unmatched_answers", k->unmatched},
        {"duplicate_answers", k->duplicates},
    };
    _Static_assert(sizeof all / sizeof *all <= KAFKA_ROWS_MAX, "rows fit");
    memcpy(rows, all, sizeof all);
    return sizeof all / sizeof *all;
}

static void note_kafka(struct noting *n, const struct cap_parts *p)
{
    struct kafka_row rows[KAFKA_ROWS_MAX];
    size_t count = kafka_rows(p, rows);
    for (size_t i = 0; i < count; i++) {
        char key[80];
        snprintf(key, sizeof key, NOTE_COVERAGE_PREFIX "kafka.%s", rows[i].name);
        if (rows[i].v)
            note_u64(n, key, rows[i].v);
    }
}

#define SEEN_KEY_MAX 64u

/* "overlapping_fragments", with something in front. */
static void seen_key(int seen, const char *front, char key[SEEN_KEY_MAX])
{
    snprintf(key, SEEN_KEY_MAX, "%s%s", front, cap_seen_names[seen]);
    for (char *c = key; *c; c++)
        *c = *c == ' ' ? '_' : *c;
}

static void note_packets(struct noting *n, const struct cap_parts *p)
{
    if (p->source) {
        note_u64(n, "coverage.packets.seen", p->source->packets);
        if (p->source->drops_known) {
            note_u64(n, "coverage.packets.dropped_kernel", p->source->kernel_drops);
            note_u64(n, "coverage.packets.dropped_interface",
                     p->source->interface_drops);
        }
    }
    for (int i = 0; p->link && i < CAP_SEEN_COUNT; i++) {
        char key[SEEN_KEY_MAX];
        seen_key(i, "coverage.packets.", key);
        if (p->link->packets[i])
            note_u64(n, key, p->link->packets[i]);
    }
    if (p->flows) {
        note_u64(n, "coverage.flows.seen", p->flows->flows);
        note_u64(n, "coverage.flows.midway", p->flows->flows_midway);
        note_u64(n, "coverage.flows.evicted", p->flows->flows_evicted);
        note_u64(n, "coverage.packets.copies_dropped", p->flows->copies_dropped);
        if (p->flows->clock_steps)
            note_u64(n, "coverage.packets.time_back", p->flows->clock_steps);
    }
}

static void note_series(struct noting *n, const struct cap_series *s)
{
    struct buf rows = {0};
    char key[64];
    for (uint32_t i = 0, part_no = 0; i < s->n && n->rc == 0; i++) {
        const struct cap_series_row *r = &s->rows[i];
        if (r->seen_bytes || r->recorded || r->lost || r->missing_bytes || r->drops)
            buf_fmt(&rows,
                    "%" PRIu64 " %" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu64
                    " %" PRIu64 " %" PRIu64 "\n",
                    (uint64_t)i * s->width_s, s->width_s, r->recorded, r->lost,
                    r->seen_bytes, r->missing_bytes, r->drops);
        if (rows.n == 0 || (rows.n < SERIES_NOTE_MAX && i + 1 < s->n))
            continue;
        snprintf(key, sizeof key, NOTE_COVERAGE_SERIES "%04u", part_no++);
        n->rc = buf_check(&rows, n->e);
        note_text(n, key, buf_text(&rows));
        buf_reset(&rows);
    }
    buf_done(&rows);
}

/* Percent with as many digits as it takes not to say 100 when it is not. */
static void share_text(double share, char out[32])
{
    if (share >= 1)
        snprintf(out, 32, "100 %%");
    else if (share > 0.9999)
        snprintf(out, 32, "%.6f %%", share * 100 < 99.999999 ? share * 100 : 99.999999);
    else
        snprintf(out, 32, "%.2f %%", share * 100);
}

static void sentence(const struct cap_parts *p, struct buf *out)
{
    const struct cap_tallies *t = tallies_of(p);
    uint64_t missing = 0, seen = 0;
    double share;
    char text[32];
    for (int dir = 0; dir < 2; dir++) {
        struct cap_direction d;
        cap_account_direction(p, dir, &d);
        missing += missing_bytes(&d);
        seen += d.seen;
    }
    if (cap_account_share(p, &share))
        share_text(share, text);
    else
        snprintf(text, sizeof text, "nothing was seen");
    buf_fmt(out,
            "%s: %" PRIu64 " requests recorded, %" PRIu64 " lost; %" PRIu64
            " of %" PRIu64 " bytes missing; ",
            text, t->recorded, cap_account_lost_all(p), missing, seen);
    if (p->source && p->source->drops_known)
        buf_fmt(out, "%" PRIu64 " packets dropped", cap_account_drops(p));
    else
        buf_str(out, "dropped packets not known");
}

int cap_account_note(const struct cap_parts *p, const struct cap_series *s,
                     struct trc_writer *w, struct err *e)
{
    struct noting n = {.w = w, .e = e};
    struct buf text = {0};
    double share;
    sentence(p, &text);
    n.rc = buf_check(&text, e);
    note_text(&n, NOTE_COVERAGE, buf_text(&text));
    buf_done(&text);
    if (cap_account_share(p, &share)) {
        char number[32];
        snprintf(number, sizeof number, "%.9f", share);
        /* Rounding must not make whole what is not. */
        note_text(&n, NOTE_COVERAGE_SHARE,
                  share < 1 && strcmp(number, "1.000000000") == 0 ? "0.999999999"
                                                                  : number);
    }
    note_requests(&n, p);
    note_direction(&n, p, 0);
    note_direction(&n, p, 1);
    note_packets(&n, p);
    note_kafka(&n, p);
    note_series(&n, s);
    return n.rc;
}

/* --- summaries -------------------------------------------------------------------- */

static void direction_text(const struct cap_parts *p, int dir, struct buf *out)
{
    struct cap_direction d;
    cap_account_direction(p, dir, &d);
    buf_fmt(out, "  %-12s%" PRIu64 " bytes", dir == 0 ? "to server" : "to client",
            d.seen);
    const struct {
        const char *name;
        uint64_t v;
    } all[] = {
        {"records", d.records}, {"framing", d.framing},       {"passed over", d.passed},
        {"not read", d.unread}, {"duplicates", d.duplicates}, {"stray", d.stray},
        {"gaps", d.gaps},       {"opaque", d.opaque},         {"shed", d.shed},
        {"lost", d.lost},       {"pending", d.pending}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].v)
            buf_fmt(out, ", %s %" PRIu64, all[i].name, all[i].v);
    if (d.unexplained)
        buf_fmt(out, ", UNEXPLAINED %" PRId64, d.unexplained);
    buf_u8(out, '\n');
}

static void connections_text(const struct cap_flow_totals *f, struct buf *out)
{
    buf_fmt(out, "  connections %" PRIu64 ", joined midway %" PRIu64, f->flows,
            f->flows_midway);
    if (f->flows_evicted)
        buf_fmt(out, ", given up for want of room %" PRIu64, f->flows_evicted);
    buf_u8(out, '\n');
}

/* Those that are no segments of connections, and what is odd about the others. */
static void packets_text(const struct cap_parts *p, struct buf *out)
{
    const char *before = "  packets     ";
    for (int i = 0; p->link && i < CAP_SEEN_COUNT; i++) {
        if (i == CAP_SEEN_SEGMENT || !p->link->packets[i])
            continue;
        buf_fmt(out, "%s%s %" PRIu64, before, cap_seen_names[i], p->link->packets[i]);
        before = ", ";
    }
    if (p->flows && p->flows->copies_dropped) {
        buf_fmt(out, "%scopies %" PRIu64, before, p->flows->copies_dropped);
        before = ", ";
    }
    if (*before == ',')
        buf_u8(out, '\n');
    if (p->flows && p->flows->clock_steps)
        buf_fmt(out,
                "  time        steps back by more than 1s: %" PRIu64
                "; what came behind "
                "them may be told later than it was, or be missing. Of files that were "
                "joined end to end (mergecap -a), merge the packets by time (mergecap, "
                "or reordercap)\n",
                p->flows->clock_steps);
}

void cap_account_text(const struct cap_parts *p, struct buf *out)
{
    const struct cap_tallies *t = tallies_of(p);
    buf_str(out, "  coverage    ");
    sentence(p, out);
    buf_fmt(out, "\n  requests    %" PRIu64 " recorded", t->recorded);
    const struct {
        const char *name;
        uint64_t v;
    } some[] = {{"inferred", t->inferred},
                {"near a gap", t->near_gap},
                {"cut", t->cut},
                {"unanswered", t->unanswered},
                {"messages beyond what a trace holds", t->messages_beyond},
                {"passed over", t->passed},
                {"moved", p->order ? p->order->moved : 0}};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        if (some[i].v)
            buf_fmt(out, ", %s %" PRIu64, some[i].name, some[i].v);
    uint64_t lost[CAP_LOST_COUNT];
    cap_account_lost(p, lost);
    for (int i = 0; i < CAP_LOST_COUNT; i++)
        if (lost[i])
            buf_fmt(out, ", lost (%s) %" PRIu64, cap_lost_names[i], lost[i]);
    buf_u8(out, '\n');
    if (t->unmapped.n) {
        buf_str(out, "  no tier     for the requests to port ");
        unmapped_list(&t->unmapped, out);
        buf_str(out, "; --map PORT=TIER names one\n");
    }
    direction_text(p, 0, out);
    direction_text(p, 1, out);
    if (p->flows)
        connections_text(p->flows, out);
    packets_text(p, out);
    struct kafka_row rows[KAFKA_ROWS_MAX];
    size_t count = kafka_rows(p, rows);
    for (size_t i = 0; i < count; i++) {
        buf_str(out, i ? "" : "  kafka      ");
        if (rows[i].v)
            buf_fmt(out, " %s %" PRIu64, rows[i].name, rows[i].v);
        buf_str(out, i + 1 == count ? "\n" : "");
    }
}

static void direction_json(const struct cap_parts *p, int dir, struct jsonw *w)
{
    struct cap_direction d;
    cap_account_direction(p, dir, &d);
    jsonw_key(w, direction_names[dir]);
    jsonw_object(w);
    jsonw_key_u64(w, "seen", d.seen);
    jsonw_key_u64(w, "records", d.records);
    jsonw_key_u64(w, "passed", d.passed);
    jsonw_key_u64(w, "lost", d.lost);
    jsonw_key_u64(w, "framing", d.framing);
    jsonw_key_u64(w, "gaps", d.gaps);
    jsonw_key_u64(w, "opaque", d.opaque);
    jsonw_key_u64(w, "shed", d.shed);
    jsonw_key_u64(w, "unread", d.unread);
    jsonw_key_u64(w, "duplicates", d.duplicates);
    jsonw_key_u64(w, "stray", d.stray);
    jsonw_key_u64(w, "pending", d.pending);
    jsonw_key_i64(w, "unexplained", d.unexplained);
    jsonw_end(w);
}

static void unmapped_json(const struct cap_unmapped *u, struct jsonw *w)
{
    jsonw_key(w, "unmapped");
    jsonw_object(w);
    for (uint32_t i = 0; i < u->n; i++) {
        char port[8];
        snprintf(port, sizeof port, "%u", u->ports[i].port);
        jsonw_key_u64(w, port, u->ports[i].requests);
    }
    if (u->elsewhere)
        jsonw_key_u64(w, "others", u->elsewhere);
    jsonw_end(w);
}

static void packets_json(const struct cap_parts *p, struct jsonw *w)
{
    jsonw_key(w, "packets");
    jsonw_object(w);
    jsonw_key_u64(w, "seen", p->source ? p->source->packets : 0);
    jsonw_key(w, "dropped");
    if (p->source && p->source->drops_known)
        jsonw_u64(w, cap_account_drops(p));
    else
        jsonw_null(w);
    for (int i = 0; i < CAP_SEEN_COUNT; i++) {
        char key[SEEN_KEY_MAX];
        seen_key(i, "", key);
        jsonw_key_u64(w, key, p->link ? p->link->packets[i] : 0);
    }
    const struct cap_flow_totals *f = p->flows ? p->flows : &no_flows;
    jsonw_key_u64(w, "copies_dropped", f->copies_dropped);
    jsonw_key_u64(w, "time_back", f->clock_steps);
    jsonw_end(w);
    jsonw_key(w, "connections");
    jsonw_object(w);
    jsonw_key_u64(w, "seen", f->flows);
    jsonw_key_u64(w, "midway", f->flows_midway);
    jsonw_key_u64(w, "evicted", f->flows_evicted);
    jsonw_end(w);
}

void cap_account_json(const struct cap_parts *p, struct jsonw *w)
{
    const struct cap_tallies *t = tallies_of(p);
    double share;
    jsonw_key(w, "coverage");
    if (cap_account_share(p, &share))
        jsonw_f64(w, share);
    else
        jsonw_null(w);
    jsonw_key(w, "requests");
    jsonw_object(w);
    jsonw_key_u64(w, "recorded", t->recorded);
    jsonw_key_u64(w, "inferred", t->inferred);
    jsonw_key_u64(w, "opaque", t->opaque);
    jsonw_key_u64(w, "near_gap", t->near_gap);
    jsonw_key_u64(w, "cut", t->cut);
    jsonw_key_u64(w, "unanswered", t->unanswered);
    jsonw_key_u64(w, "streams", t->streams);
    jsonw_key_u64(w, "messages_beyond", t->messages_beyond);
    jsonw_key_u64(w, "passed", t->passed);
    jsonw_key_u64(w, "moved", p->order ? p->order->moved : 0);
    jsonw_key_u64(w, "ids_joined", p->order ? p->order->joined_ids : 0);
    unmapped_json(&t->unmapped, w);
    jsonw_key(w, "lost");
    jsonw_object(w);
    uint64_t lost[CAP_LOST_COUNT];
    cap_account_lost(p, lost);
    for (int i = 0; i < CAP_LOST_COUNT; i++)
        jsonw_key_u64(w, cap_lost_names[i], lost[i]);
    jsonw_end(w);
    jsonw_end(w);
    jsonw_key(w, "bytes");
    jsonw_object(w);
    direction_json(p, 0, w);
    direction_json(p, 1, w);
    jsonw_end(w);
    struct kafka_row rows[KAFKA_ROWS_MAX];
    size_t count = kafka_rows(p, rows);
    if (count) {
        jsonw_key(w, "kafka");
        jsonw_object(w);
        for (size_t k = 0; k < count; k++)
            jsonw_key_u64(w, rows[k].name, rows[k].v);
        jsonw_end(w);
    }
    packets_json(p, w);
}
