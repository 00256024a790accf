/*
 * fuzz_rules.c - what controls a run from the command line: rules, shards, instants,
 * limits, ways of checking.
 *
 * What is accepted lies within its bounds; what is not has an error with a text.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "replay/answer.h"
#include "replay/rules.h"
#include "replay/search.h"
#include "replay/shard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static bool refused(int rc, const struct err *e)
{
    require(rc == 0 || (rc == ERR_USAGE && e->code == ERR_USAGE && e->text[0] != '\0'));
    return rc < 0;
}

static void read_rule(const char *text)
{
    struct rep_rule r, again;
    struct err e = {0};
    if (refused(rep_rule_parse(text, &r, &e), &e))
        return;
    require(strcmp(r.text, text) == 0);
    require(r.p > 0 && r.p < 1 && r.bound >= 0);
    require(rep_rule_parse(r.text, &again, &e) == 0);
    require(again.kind == r.kind && again.bound == r.bound);
}

static void read_shard(const char *text)
{
    struct rep_shard s;
    struct err e = {0};
    if (!refused(rep_shard_parse(text, text, &s, &e), &e))
        require(s.index < s.count && s.count <= REP_SHARDS_MAX);
}

static void read_instant(const char *text)
{
    struct clk_wall t;
    struct err e = {0};
    if (!refused(rep_start_parse(text, (struct clk_wall){CLK_SEC}, &t, &e), &e))
        require(t.ns >= CLK_SEC);
}

static void read_limit(const char *text)
{
    struct rep_limit l;
    struct err e = {0};
    if (refused(rep_limit_parse(&l, text, &e), &e))
        return;
    require(l.errors ? l.below_share > 0 && l.below_share <= 1
                     : l.below_ns > 0 && l.metric[0] && l.quantile[0] == 'p');
}

static void read_check(const char *text)
{
    struct rep_answer_want w = {0};
    struct err e = {0};
    if (!refused(rep_answer_parse(&w, text, &e), &e))
        require(w.tolerance >= 0 && w.tolerance < 1 && (w.model || w.recorded));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[256];
    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    read_rule(text);
    read_shard(text);
    read_instant(text);
    read_limit(text);
    read_check(text);
    return 0;
}
