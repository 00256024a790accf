/*
 * run_health.h - may this run be believed?
 *
 * What replay noted about itself, and what the file shows: a file that ends early,
 * blocks that are damaged, moments that run backwards, operations that are missing or
 * were stopped. Where replay left no verdict, lateness is judged here by the same
 * thresholds (METHOD.md). Back-pressure is never held against a run: it belongs to the
 * target.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ANALYSIS_RUN_HEALTH_H
#define ANALYSIS_RUN_HEALTH_H

#include "analysis/ana_run.h"

/* Sets run->health and run->causes, worst first. ERR_NOMEM. */
int ana_health_judge(struct ana_run *run, struct err *e) MUST_USE;

/* Theil-Sen slope of y over its index, NaN values left out; NaN when fewer than two. */
double ana_theil_sen(const double *y, size_t n);

#endif
