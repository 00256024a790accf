/*
 * model_check.c - whether an answer is right, in whichever protocol it came.
 *
 * Where the type is a function, the right answer is computed and compared element by
 * element. Where it is not, what every right answer has in common is checked: number of
 * items, range, form. Not compared: order of outputs, parameters, raw or typed
 * contents, additional outputs. BYTES elements may also be the base64 of what is right,
 * because the pipeline gateway writes them so over REST without saying it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/payload/model_type.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "traces/payload/base64.h"
#include "traces/payload/json_scan.h"
#include "traces/payload/pay_compare.h"

/* Start of a text for an error message. */
#define SHOWN(s) (int)((s).n < 40 ? (s).n : 40), (const char *)(s).p

/* --- by form ----------------------------------------------------------------- */

/* An output of `items` rows of `each` elements, whatever its name. */
static int find_rows(const struct pay_message *answer, int64_t items, int64_t each,
                     const struct pay_tensor **rows, struct err *e)
{
    for (uint32_t i = 0; i < answer->tensor_count; i++) {
        const struct pay_tensor *t = &answer->tensors[i];
        if (t->rank > 0 && t->shape[0] == items &&
            t->element_count == (uint64_t)(items * each)) {
            *rows = t;
            return 0;
        }
    }
    return err_set(e, ERR_FORMAT, "no output of %" PRId64 " x %" PRId64, items, each);
}

static int check_finite(const struct pay_tensor *t, struct err *e)
{
    if (!pay_type_is_float(t->type))
        return err_set(e, ERR_FORMAT, "'%.*s' is %s, wanted floats", SHOWN(t->name),
                       pay_type_names[t->type]);
    for (uint64_t i = 0; i < t->element_count; i++)
        if (!isfinite(pay_tensor_number(t, i)))
            return err_set(e, ERR_FORMAT, "'%.*s' element %" PRIu64 " is not finite",
                           SHOWN(t->name), i);
    return 0;
}

static int check_iris(const struct pay_tensor *want, const struct pay_message *answer,
                      struct err *e)
{
    const struct pay_tensor *got = pay_message_tensor(answer, "predict");
    int64_t items = want->shape[0];
    if (!got)
        return err_set(e, ERR_FORMAT, "no output 'predict'");
    bool column = got->rank == 1 || (got->rank == 2 && got->shape[1] == 1);
    if (!column || got->shape[0] != items)
        return err_set(e, ERR_FORMAT,
                       "'predict' has shape %s, wanted [%" PRId64 "] or [%" PRId64
                       ",1]",
                       pay_shape_text(got).text, items, items);
    if (got->type != PAY_INT64 && got->type != PAY_INT32)
        return err_set(e, ERR_FORMAT, "'predict' is %s, wanted INT64",
                       pay_type_names[got->type]);
    for (uint64_t i = 0; i < got->element_count; i++) {
        int64_t class = pay_tensor_int(got, i);
        if (class < 0 || class > 2)
            return err_set(e, ERR_FORMAT,
                           "'predict' element %" PRIu64 " is %" PRId64
                           ", wanted 0, 1 or 2",
                           i, class);
    }
    return 0;
}

static int check_floats(const struct pay_tensor *want, const struct pay_message *answer,
                        struct err *e)
{
    const struct pay_tensor *got;
    int64_t items = want->shape[0];
    int rc = find_rows(answer, items, (int64_t)want->element_count / items, &got, e);
    return rc < 0 ? rc : check_finite(got, e);
}

/* Logits for each token; a real model has more of them, and further outputs. */
static int check_gpt2(const struct pay_tensor *want, const struct pay_message *answer,
                      struct err *e)
{
    for (uint32_t i = 0; i < answer->tensor_count; i++) {
        const struct pay_tensor *t = &answer->tensors[i];
        if (t->rank == 3 && t->shape[0] == want->shape[0] &&
            t->shape[1] == want->shape[1] && t->shape[2] > 0)
            return check_finite(t, e);
    }
    return err_set(e, ERR_FORMAT, "no output of %" PRId64 " x %" PRId64 " x logits",
                   want->shape[0], want->shape[1]);
}

/* {"label": …, "score": 0…1} */
static bool is_sentiment(struct span json, struct arena *a)
{
    struct json_scan s;
    struct span key, text = {0}, digits;
    double score = -1;
    json_scan_init(&s, json, a, NULL);
    if (!json_scan_open(&s, JSON_KIND_OBJECT))
        return false;
    while (json_scan_member(&s, &key)) {
        if (span_eq_str(key, "label"))
            json_scan_string(&s, &text);
        else if (!span_eq_str(key, "score"))
            json_scan_skip(&s);
        else if (json_scan_number(&s, &digits))
            score = json_number_f64(digits);
    }
    return json_scan_end(&s) == 0 && text.n > 0 && score >= 0 && score <= 1;
}

static int check_sentiment(const struct pay_tensor *want,
                           const struct pay_message *answer, struct arena *a,
                           struct err *e)
{
    const struct pay_tensor *got;
    int rc = find_rows(answer, want->shape[0], 1, &got, e);
    if (rc < 0)
        return rc;
    if (got->type != PAY_BYTES)
        return err_set(e, ERR_FORMAT, "'%.*s' is %s, wanted BYTES", SHOWN(got->name),
                       pay_type_names[got->type]);
    for (uint64_t i = 0; i < got->element_count; i++) {
        struct span json = got->bytes[i];
        if (json.n > 0 && json.p[0] != '{' && base64_decode(json, a, &json, NULL) < 0)
            json = got->bytes[i];
        if (!is_sentiment(json, a))
            return err_set(e, ERR_FORMAT,
                           "'%.*s' element %" PRIu64
                           " is \"%.*s\", wanted a label and a score from 0 to 1",
                           SHOWN(got->name), i, SHOWN(got->bytes[i]));
    }
    return 0;
}

static int check_synth(const struct pay_message *answer, struct err *e)
{
    const struct pay_tensor *got = pay_message_tensor(answer, "OUTPUT0");
    if (!got)
        return err_set(e, ERR_FORMAT, "no output 'OUTPUT0'");
    return got->element_count > 0 ? 0 : err_set(e, ERR_FORMAT, "'OUTPUT0' is empty");
}

static int check(const struct model_type *mt, const struct pay_message *want,
                 const struct pay_message *answer, struct arena *a, struct err *e)
{
    switch (mt->kind) {
    case MT_IRIS:
        return check_iris(want->tensors, answer, e);
    case MT_PYTORCH_CIFAR10:
    case MT_TFMNIST:
    case MT_TFRESNET152:
    case MT_MLFLOW_WINE:
        return check_floats(want->tensors, answer, e);
    case MT_ONNX_GPT2:
        return check_gpt2(want->tensors, answer, e);
    case MT_SENTIMENT:
        return check_sentiment(want->tensors, answer, a, e);
    case MT_SYNTH:
        return check_synth(answer, e);
    default:
        for (uint32_t i = 0; i < want->tensor_count; i++) {
            int rc = pay_compare_tensor(&want->tensors[i], answer, i, 0, e);
            if (rc < 0)
                return rc;
        }
        return 0;
    }
}

bool model_type_is_function(const struct model_type *mt)
{
    switch (mt->kind) {
    case MT_TFSIMPLE:
    case MT_TFSIMPLE_STRING:
    case MT_ADD10:
    case MT_ECHO:
        return true;
    default:
        return false;
    }
}

int model_type_check(const struct model_type *mt, const struct pay_message *request,
                     const struct pay_message *answer, struct err *e)
{
    struct arena a = {0};
    struct pay_message want;
    struct err why = {0};
    int rc = model_type_answer(mt, request, &a, &want, &why);
    if (rc == ERR_NOMEM)
        rc = err_set(e, ERR_NOMEM, "%s", why.text);
    else if (rc < 0)
        rc = err_set(e, ERR_USAGE, "this request has no right answer: %s", why.text);
    else
        rc = check(mt, &want, answer, &a, e);
    arena_done(&a);
    return rc;
}
