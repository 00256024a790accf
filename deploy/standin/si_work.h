/*
 * si_work.h - what models make of a request body: decode, compute, encode; remembered.
 *
 * The result depends on the models, the encoding and the bytes alone, so recent results
 * are kept and a repeated body costs one hash. What differs from call to call (model
 * name, id) is not part of a result: tiers put it in front. One thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef DEPLOY_STANDIN_SI_WORK_H
#define DEPLOY_STANDIN_SI_WORK_H

#include "traces/payload/model_type.h"

#define SI_BODY_MAX (64u << 20) /* of a request; more is refused earlier */

enum si_dialect {
    SI_JSON_MLSERVER, /* {"name":…,"shape":…,"datatype":…,"parameters":…,"data":…} */
    SI_JSON_TRITON,
    SI_JSON_GATEWAY, /* JSON in and out as the pipeline gateway converts it */
    SI_PROTO,        /* ModelInferRequest in, outputs of ModelInferResponse out */
};

enum si_work_kind {
    SI_WORK_OK,
    SI_WORK_MALFORMED, /* not the V2 protocol: text says where */
    SI_WORK_REFUSED,   /* the model of `step` cannot take these tensors */
    SI_WORK_PANIC,     /* SI_JSON_GATEWAY: the conversion panics */
};

struct si_work {
    enum si_work_kind kind;
    uint32_t step;       /* REFUSED: which model */
    bool schema;         /* MALFORMED: JSON it is, but not the V2 protocol */
    uint32_t tensors_in; /* 0: a request without inputs */
    struct span id;      /* of the request */
    struct span outputs; /* OK: JSON array, or protobuf fields 5 and 6 */
    struct span text;    /* of the failure */
};

struct si_works;                        /* the memory of results */
struct si_works *si_works_new(void);    /* NULL: out of memory */
void si_works_free(struct si_works *w); /* NULL is fine */

/* Runs the body through the models one after the other; a step takes the outputs of the
 * step before in order, under its own tensor names. *work borrows from `a` or from w,
 * until the next call. ERR_NOMEM. */
int si_work(struct si_works *w, const struct model_type *const *steps,
            uint32_t step_count, enum si_dialect dialect, struct span body,
            struct arena *a, struct si_work *work, struct err *e) MUST_USE;

#endif
