/*
 * trc_both.h - one run read as records and as columns, and whether both tell the same.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_UNIT_TRC_BOTH_H
#define TESTS_UNIT_TRC_BOTH_H

/* NULL when the run at path gives the same blocks, the same values in every field and
 * the same errors (code and offset) either way, and when columns asked for one at a
 * time hold what they hold together. Else what differs; valid until the next call. A
 * file that is no run, or cannot be opened, has nothing that could differ. */
const char *trc_both_ways(const char *path);

#endif
