/*
 * rules.c - see rules.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/rules.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "traces/base/clk.h"
#include "traces/base/units.h"

#define LIMIT_NS    (600 * CLK_SEC)
#define LOOK_NS     (100 * CLK_MS)
#define SHARE_LEAST 20

/* --- reading ---------------------------------------------------------------------- */

static int no_rule(const char *text, struct err *e)
{
    return err_set(e, ERR_USAGE,
                   "rule '%.40s' is none of p99>200ms, errors>5%%, lateness>10ms, "
                   "achieved<90%%, outstanding>1000",
                   text);
}

/* Copies a part of a rule, NUL-terminated; false when it is too long.
 */
static bool copy(struct span s, char out[REP_RULE_TEXT_MAX])
{
    if (s.n >= REP_RULE_TEXT_MAX)
        return false;
    if (s.n > 0)
        memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return true;
}

/* "p99.9": more than p0, less than p100. */
static bool parse_quantile(struct span name, double *p)
{
    char number[REP_RULE_TEXT_MAX];
    double percent;

    if (name.n < 2 || name.p[0] != 'p' || !copy(span_sub(name, 1, name.n), number) ||
        units_f64(number, &percent, NULL) < 0 || !(percent > 0 && percent <= 99.999))
        return false;
    *p = percent / 100;
    return true;
}

static bool parse_kind(struct span name, struct rep_rule *r)
{
    r->p = 0.99;
    if (span_eq_str(name, "errors"))
        r->kind = REP_RULE_ERRORS;
    else if (span_eq_str(name, "lateness"))
        r->kind = REP_RULE_LATENESS;
    else if (span_eq_str(name, "achieved"))
        r->kind = REP_RULE_ACHIEVED;
    else if (span_eq_str(name, "outstanding"))
        r->kind = REP_RULE_OUTSTANDING;
    else if (parse_quantile(name, &r->p))
        r->kind = REP_RULE_LATENCY;
    else
        return false;
    return true;
}

static bool parse_bound(struct span value, struct rep_rule *r)
{
    char text[REP_RULE_TEXT_MAX];
    bool percent = span_ends(value, "%");
    bool share = r->kind == REP_RULE_ERRORS || r->kind == REP_RULE_ACHIEVED;
    uint64_t n;
    int64_t ns;

    if (percent != share || !copy(span_sub(value, 0, value.n - percent), text))
        return false;
    if (r->kind == REP_RULE_OUTSTANDING) {
        if (!span_u64(value, &n) || n > UINT32_MAX)
            return false;
        r->bound = (double)n;
    } else if (share) {
        if (units_f64(text, &r->bound, NULL) < 0 || !(r->bound >= 0 && r->bound <= 100))
            return false;
        r->bound /= 100;
    } else {
        if (units_duration(text, &ns, NULL) < 0 || ns <= 0)
            return false;
        r->bound = (double)ns;
    }
    return true;
}

int rep_rule_parse(const char *text, struct rep_rule *r, struct err *e)
{
    struct span whole = span_str(text);
    size_t at = 0;

    while (at < whole.n && whole.p[at] != '<' && whole.p[at] != '>')
        at++;
    if (at == whole.n || !copy(whole, r->text) ||
        !parse_kind(span_trim(span_sub(whole, 0, at)), r) ||
        (whole.p[at] == '<') != (r->kind == REP_RULE_ACHIEVED) ||
        !parse_bound(span_trim(span_sub(whole, at + 1, whole.n)), r))
        return no_rule(text, e);
    return 0;
}

/* --- the window ------------------------------------------------------------------- */

int rep_rules_init(struct rep_rules *s, const struct rep_rule *rules, size_t count,
                   int64_t window_ns, struct err *e)
{
    int rc = 0;

    *s = (struct rep_rules){.rules = rules, .count = count, .window_ns = window_ns};
    for (size_t i = 0; i < REP_RULE_SLOTS && count > 0 && rc == 0; i++) {
        s->slots[i].number = -1;
        rc = hist_init(&s->slots[i].response, LIMIT_NS, e);
        if (rc == 0)
            rc = hist_init(&s->slots[i].lateness, LIMIT_NS, e);
    }
    return rc;
}

void rep_rules_done(struct rep_rules *s)
{
    for (size_t i = 0; i < REP_RULE_SLOTS; i++) {
        hist_done(&s->slots[i].response);
        hist_done(&s->slots[i].lateness);
    }
}

/* The slot of this moment, emptied if it held an older one. */
static struct rep_rule_slot *slot_at(struct rep_rules *s, int64_t now_ns)
{
    int64_t number = now_ns > 0 ? now_ns / (s->window_ns / (REP_RULE_SLOTS - 1)) : 0;
    struct rep_rule_slot *slot = &s->slots[number % REP_RULE_SLOTS];

    if (slot->number != number) {
        slot->number = number;
        slot->ended = slot->failed = 0;
        slot->due = slot->sent = slot->outstanding = UINT64_MAX;
        hist_reset(&slot->response);
        hist_reset(&slot->lateness);
    }
    return slot;
}

void rep_rules_add(struct rep_rules *s, int64_t now_ns, const struct outcome *o)
{
    if (s->count == 0 || o->cause == OUT_STOPPED)
        return;
    struct rep_rule_slot *slot = slot_at(s, now_ns);
    slot->ended++;
    if (outcome_ok(o))
        hist_add(&slot->response, o->done_ns - o->due_ns);
    else
        slot->failed++;
    if (o->sent_ns != OP_TIME_NONE)
        hist_add(&slot->lateness, o->sent_ns - o->ready_ns);
}

/* --- looking ---------------------------------------------------------------------- */

/* What the window holds, summed over its slots. */
struct sum {
    uint64_t ended, failed, due, sent, outstanding;
    struct hist *response, *lateness;
};

/* Rank ceil(p * n) among n values, of which those beyond the histogram's are infinite;
 * negative: there are too few. */
static double quantile(const struct hist *h, uint64_t n, double p)
{
    double rank = ceil(p * (double)n);
    if ((double)n * (1 - p) < 1 - 1e-9)
        return -1;
    if (rank > (double)h->total)
        return INFINITY;
    return (double)hist_quantile(h, rank / (double)h->total);
}

/* The value that a rule judges; negative: too little happened. */
static double value_of(const struct rep_rule *r, const struct sum *sum)
{
    switch (r->kind) {
    case REP_RULE_LATENCY:
        return quantile(sum->response, sum->ended, r->p);
    case REP_RULE_LATENESS:
        return quantile(sum->lateness, sum->lateness->total, r->p);
    case REP_RULE_ERRORS:
        return sum->ended < SHARE_LEAST ? -1 : (double)sum->failed / (double)sum->ended;
    case REP_RULE_ACHIEVED:
        return sum->due < SHARE_LEAST ? -1 : (double)sum->sent / (double)sum->due;
    case REP_RULE_OUTSTANDING:
    default:
        return (double)sum->outstanding;
    }
}

static void tell(const struct rep_rule *r, double v, int64_t window_ns, char *out)
{
    char value[UNITS_TEXT_MAX + 8], window[UNITS_TEXT_MAX];

    if (r->kind == REP_RULE_OUTSTANDING)
        snprintf(value, sizeof value, "%.0f", v);
    else if (r->kind == REP_RULE_ERRORS || r->kind == REP_RULE_ACHIEVED)
        snprintf(value, sizeof value, "%.3g %%", 100 * v);
    else if (isinf(v))
        snprintf(value, sizeof value, "failures");
    else
        units_duration_text((int64_t)v, value);
    snprintf(out, REP_RULES_TEXT_MAX, "rule %s: %s over the last %s", r->text, value,
             units_duration_text(window_ns, window));
}

static bool judge(struct rep_rules *s, const struct rep_rule_counts *c, int64_t newest,
                  struct sum *sum, char *text)
{
    uint64_t due = c->due, sent = c->sent;

    for (size_t i = 0; i < REP_RULE_SLOTS; i++) {
        const struct rep_rule_slot *slot = &s->slots[i];
        if (slot->number < 0 || slot->number <= newest - REP_RULE_SLOTS)
            continue;
        sum->ended += slot->ended;
        sum->failed += slot->failed;
        hist_merge(sum->response, &slot->response);
        hist_merge(sum->lateness, &slot->lateness);
        due = slot->due < due ? slot->due : due;
        sent = slot->sent < sent ? slot->sent : sent;
        if (slot->outstanding < sum->outstanding)
            sum->outstanding = slot->outstanding;
    }
    sum->due = c->due - due;
    sum->sent = c->sent - sent;
    for (size_t i = 0; i < s->count; i++) {
        const struct rep_rule *r = &s->rules[i];
        double v = value_of(r, sum);
        if (v < 0 || (r->kind == REP_RULE_ACHIEVED ? v >= r->bound : v <= r->bound))
            continue;
        tell(r, v, s->window_ns, text);
        return true;
    }
    return false;
}

bool rep_rules_look(struct rep_rules *s, int64_t now_ns,
                    const struct rep_rule_counts *c, char text[REP_RULES_TEXT_MAX])
{
    struct hist response = {0}, lateness = {0};
    bool broken = false;

    if (s->count == 0 || now_ns < s->next_look_ns)
        return false;
    s->next_look_ns = now_ns + LOOK_NS;
    struct rep_rule_slot *slot = slot_at(s, now_ns);
    if (slot->due == UINT64_MAX) {
        slot->due = c->due;
        slot->sent = c->sent;
    }
    if (c->outstanding < slot->outstanding)
        slot->outstanding = c->outstanding;
    if (now_ns < s->window_ns)
        return false;
    struct sum sum = {
        .outstanding = UINT64_MAX, .response = &response, .lateness = &lateness};
    /* Out of memory is no reason to end a run: the next look tries again. */
    if (hist_init(&response, LIMIT_NS, NULL) == 0 &&
        hist_init(&lateness, LIMIT_NS, NULL) == 0)
        broken = judge(s, c, slot->number, &sum, text);
    hist_done(&response);
    hist_done(&lateness);
    return broken;
}
