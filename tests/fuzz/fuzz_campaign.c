/*
 * fuzz_campaign.c - any bytes as a plan: refused with a reason, or a plan that keeps
 * its word.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "replay/campaign.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rep_campaign c;
    struct err e = {0};
    size_t order[REP_ARMS_MAX];
    unsigned seen = 0;

    if (rep_campaign_parse(&c, span_of(data, size), &e) < 0) {
        demand(e.code != ERR_OK && e.text[0]);
        return 0;
    }
    demand(c.trace && c.arm_count >= 2 && c.arm_count <= REP_ARMS_MAX && c.pairs > 0);
    demand(strlen(c.hash) == 32);
    rep_campaign_order(&c, 0, order);
    for (size_t i = 0; i < c.arm_count; i++)
        seen |= 1u << order[i];
    demand(seen == (1u << c.arm_count) - 1);
    rep_campaign_done(&c);
    return 0;
}
