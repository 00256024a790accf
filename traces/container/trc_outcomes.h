/*
 * trc_outcomes.h - a block of outcomes, as records or as columns: FORMAT.md, section
 * 5.6.
 *
 * Records are made of columns, all those of the groups that are wanted; columns that
 * nobody asked for are not looked at.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_CONTAINER_TRC_OUTCOMES_H
#define TRACES_CONTAINER_TRC_OUTCOMES_H

#include "traces/container/trc_feed.h"

/* d->groups are parsed. Fills d->b->outcomes and d->b->pub. ERR_FORMAT, ERR_LIMIT,
 * ERR_NOMEM. */
int trc_decode_outcomes(struct trc_decoding *d) MUST_USE;
/* The same into d->b->columns alone; asked: bits of enum trc_column. */
int trc_decode_columns(struct trc_decoding *d, uint32_t asked) MUST_USE;

#endif
