/*
 * si_catalog.h - which models, pipelines and experiments the stand-in believes to
 * exist.
 *
 * With nothing declared, names exist by rule: a MODEL_TYPE (dashes may stand for its
 * underscores), optionally followed by digits or by a dash and digits, is a model of
 * that type, version 1 ("iris", "iris1", "tfsimple-string-3"); and any such name, with
 * "pipe",
 * "-pipe", "pipeline" or "-pipeline" allowed behind the type, is a pipeline of one
 * step: the model of that type and those digits ("iris1", "iris-pipeline-1",
 * "irispipe"). As soon as one thing of a kind is declared, only what is declared exists
 * of that kind. Read-only after it was filled.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DEPLOY_STANDIN_SI_CATALOG_H
#define DEPLOY_STANDIN_SI_CATALOG_H

#include "traces/base/arena.h"
#include "traces/payload/model_type.h"

#define SI_STEPS_MAX     16
#define SI_CATALOG_MAX   100000
#define SI_INSTANCES_MAX 10000

struct si_model {
    struct span name; /* external */
    const struct model_type *type;
    uint64_t version;
};

/* For an experiment, steps are its candidates and weights their shares. */
struct si_chain {
    struct span name;
    struct span steps[SI_STEPS_MAX]; /* model names */
    uint32_t weights[SI_STEPS_MAX];
    uint32_t step_count;
};

struct si_catalog {
    struct arena arena;
    struct si_model *models;
    size_t model_count, model_cap;
    bool sorted; /* models are in order of name: found by halving */
    struct si_chain *pipelines;
    size_t pipeline_count, pipeline_cap;
    struct si_chain *experiments;
    size_t experiment_count, experiment_cap;
};

void si_catalog_done(struct si_catalog *c);

/* "NAME=TYPE" or "NAME=TYPE:VERSION"; "TYPE[,TYPE]…" times instances, named TYPE0,
 * TYPE1 … as synth names them; and
 * "NAME=MODEL[,MODEL]…"; "NAME=MODEL:WEIGHT[,MODEL:WEIGHT]…". ERR_USAGE names what is
 * wrong; ERR_LIMIT, ERR_NOMEM. */
int si_catalog_model(struct si_catalog *c, const char *text, struct err *e) MUST_USE;
int si_catalog_types(struct si_catalog *c, const char *list, uint64_t instances,
                     struct err *e) MUST_USE;
int si_catalog_pipeline(struct si_catalog *c, const char *text, struct err *e) MUST_USE;
int si_catalog_experiment(struct si_catalog *c, const char *text,
                          struct err *e) MUST_USE;

/* After the last declaration: orders the models, so that finding one stays cheap. */
void si_catalog_ready(struct si_catalog *c);

/* False when there is none of that name. *m is filled; its name borrows from `name` or
 * from the catalog. */
bool si_catalog_find(const struct si_catalog *c, struct span name, struct si_model *m);
/* The model of an internal name, "iris1_1": it must have that version. */
bool si_catalog_find_internal(const struct si_catalog *c, struct span internal,
                              struct si_model *m);
/* *chain is filled. A pipeline by rule borrows its step's name from scratch. */
bool si_catalog_find_pipeline(const struct si_catalog *c, struct span name,
                              struct arena *scratch, struct si_chain *chain);
const struct si_chain *si_catalog_find_experiment(const struct si_catalog *c,
                                                  struct span name);

#endif
