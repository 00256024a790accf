/*
 * rules.c - see rules.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/rules.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "traces/base/clk.h"
#include "traces/base/units.h"

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

/* Copies a part of a rule, NUL-terminated; false when it is too long. */
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
    *s = (struct rep_rules){.rules = rules, .count = count, .window_ns = window_ns};
    if (count == 0)
        return 0;
    s->slot_ns = window_ns / REP_RULE_SLOTS_MAX + 1;
    s->slot_ns = s->slot_ns > LOOK_NS ? s->slot_ns : LOOK_NS;
    s->slot_count = (size_t)((window_ns + s->slot_ns - 1) / s->slot_ns) + 1;
    s->slots = calloc(s->slot_count, sizeof *s->slots);
    if (!s->slots)
        return err_set(e, ERR_NOMEM, "out of memory for the rules of --abort-if");
    for (size_t i = 0; i < s->slot_count; i++)
        s->slots[i].number = -1;
    return 0;
}

void rep_rules_done(struct rep_rules *s)
{
    free(s->slots);
    *s = (struct rep_rules){0};
}

/* The slot of this moment, emptied if it held an older one. */
static struct rep_rule_slot *slot_at(struct rep_rules *s, int64_t now_ns)
{
    int64_t number = now_ns > 0 ? now_ns / s->slot_ns : 0;
    struct rep_rule_slot *slot = &s->slots[(size_t)number % s->slot_count];

    if (slot->number != number)
        *slot = (struct rep_rule_slot){
            .number = number,
            .due = UINT64_MAX,
            .sent = UINT64_MAX,
            .outstanding = UINT64_MAX,
        };
    return slot;
}

void rep_rules_add(struct rep_rules *s, int64_t now_ns, const struct outcome *o,
                   bool warm)
{
    if (s->count == 0 || o->cause == OUT_STOPPED)
        return;
    struct rep_rule_slot *slot = slot_at(s, now_ns);
    bool ok = outcome_ok(o), was_sent = o->sent_ns != OP_TIME_NONE;
    slot->ended++;
    slot->measured += !warm;
    slot->failed += !ok;
    slot->timed += was_sent;
    for (size_t i = 0; i < s->count; i++) {
        const struct rep_rule *r = &s->rules[i];
        if (r->kind == REP_RULE_LATENCY)
            slot->over[i] +=
                !warm && (!ok || (double)(o->done_ns - o->due_ns) > r->bound);
        else if (r->kind == REP_RULE_LATENESS && was_sent)
            slot->over[i] += (double)(o->sent_ns - o->ready_ns) > r->bound;
    }
}

/* --- looking ---------------------------------------------------------------------- */

/* The quantile lies beyond the bound if so many of n do: its rank, ceil(p * n), is then
 * that of one of them. */
static bool quantile_beyond(uint64_t over, uint64_t n, double p)
{
    if ((double)n * (1 - p) < 1 - 1e-9)
        return false; /* too few to judge it */
    return (double)(n - over) < ceil(p * (double)n - 1e-9);
}

/* What the window holds, summed over its slots; over[0] is of the rule in question. */
static bool is_broken(const struct rep_rule *r, const struct rep_rule_slot *sum)
{
    switch (r->kind) {
    case REP_RULE_LATENCY:
        return quantile_beyond(sum->over[0], sum->measured, r->p);
    case REP_RULE_LATENESS:
        return quantile_beyond(sum->over[0], sum->timed, r->p);
    case REP_RULE_ERRORS:
        return sum->ended >= SHARE_LEAST &&
               (double)sum->failed > r->bound * (double)sum->ended;
    case REP_RULE_ACHIEVED:
        return sum->due >= SHARE_LEAST &&
               (double)sum->sent < r->bound * (double)sum->due;
    case REP_RULE_OUTSTANDING:
    default:
        return (double)sum->outstanding > r->bound;
    }
}

static void tell(const struct rep_rule *r, const struct rep_rule_slot *sum,
                 int64_t window_ns, char *out)
{
    bool latency = r->kind == REP_RULE_LATENCY;
    char value[64], window[UNITS_TEXT_MAX];

    if (r->kind == REP_RULE_OUTSTANDING)
        snprintf(value, sizeof value, "%" PRIu64, sum->outstanding);
    else if (r->kind == REP_RULE_ERRORS)
        snprintf(value, sizeof value, "%.3g %%",
                 100 * (double)sum->failed / (double)sum->ended);
    else if (r->kind == REP_RULE_ACHIEVED)
        snprintf(value, sizeof value, "%.3g %%",
                 100 * (double)sum->sent / (double)sum->due);
    else
        snprintf(value, sizeof value, "%" PRIu64 " of %" PRIu64 " %s", sum->over[0],
                 latency ? sum->measured : sum->timed,
                 latency ? "took longer or failed" : "were sent later");
    snprintf(out, REP_RULES_TEXT_MAX, "rule %s: %s over the last %s", r->text, value,
             units_duration_text(window_ns, window));
}

/* The slots that the window reaches into, the newest being number `newest`. */
static struct rep_rule_slot sum_up(const struct rep_rules *s, size_t rule,
                                   int64_t newest, const struct rep_rule_counts *c)
{
    struct rep_rule_slot sum = {.outstanding = UINT64_MAX};
    uint64_t due = c->due, sent = c->sent;

    for (size_t i = 0; i < s->slot_count; i++) {
        const struct rep_rule_slot *slot = &s->slots[i];
        if (slot->number < 0 || slot->number <= newest - (int64_t)s->slot_count)
            continue;
        sum.ended += slot->ended;
        sum.failed += slot->failed;
        sum.measured += slot->measured;
        sum.timed += slot->timed;
        sum.over[0] += slot->over[rule];
        due = slot->due < due ? slot->due : due;
        sent = slot->sent < sent ? slot->sent : sent;
        if (slot->outstanding < sum.outstanding)
            sum.outstanding = slot->outstanding;
    }
    sum.due = c->due - due;
    sum.sent = c->sent - sent;
    return sum;
}

bool rep_rules_look(struct rep_rules *s, int64_t now_ns,
                    const struct rep_rule_counts *c, char text[REP_RULES_TEXT_MAX])
{
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
    for (size_t i = 0; i < s->count; i++) {
        struct rep_rule_slot sum = sum_up(s, i, slot->number, c);
        if (!is_broken(&s->rules[i], &sum))
            continue;
        tell(&s->rules[i], &sum, s->window_ns, text);
        return true;
    }
    return false;
}
