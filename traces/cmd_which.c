/*
 * cmd_which.c - see cmd_which.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/cmd_which.h"

int trc_which_select(const struct opt_cmd *page, const struct trc_which *w,
                     struct trc_select *s, struct err *e)
{
    return trc_select_init(s, w->models, w->tiers, w->protocols, w->statuses,
                           opt_given(page, "from") ? w->from_ns : INT64_MIN,
                           opt_given(page, "to") ? w->to_ns : INT64_MAX, e);
}
