/*
 * model_answer.c - what a model of each type answers, well enough for a stand-in.
 *
 * Sums, echoes and the flower classes are what the real models give (the classes
 * nearly: two thresholds instead of a fit). The rest is plausible and no more: scores
 * that add up to one and depend on the input, a linear wine quality, sentiment from a
 * word list. Names of outputs that SCv2's sources do not tell are ours: output-1,
 * output, logits; output__0 follows the naming rule of Triton's PyTorch backend.
 * GPT-2's 50,257 logits for each token are cut to LOGITS, so its answers are far
 * smaller than real ones.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/payload/model_type.h"

#include <math.h>
#include <string.h>

#define LOGITS 64

struct answering {
    const struct model_type *mt;
    const struct pay_message *request;
    struct arena *arena;
    struct err *e;
};

/* --- inputs and outputs ------------------------------------------------------ */

/* Input i as the request gives it: the only one whatever its name, one of several by
 * its name or k6's name for it. NULL: missing, which is recorded. */
static const struct pay_tensor *find_input(struct answering *k, uint32_t i)
{
    const struct mt_tensor *in = &k->mt->inputs[i];
    const struct pay_message *m = k->request;
    const struct pay_tensor *t = NULL;
    if (k->mt->input_count == 1 && m->tensor_count > 0)
        t = &m->tensors[0];
    if (!t && k->mt->input_count > 1)
        t = pay_message_tensor(m, in->name);
    if (!t && k->mt->input_count > 1)
        t = pay_message_tensor(m, in->k6_rest_name);
    if (!t)
        err_set(k->e, ERR_FORMAT, "%s wants a tensor '%s'", k->mt->name, in->name);
    return t;
}

/* Input i with its datatype and dimensions checked; *batch is its first dimension. */
static const struct pay_tensor *take_input(struct answering *k, uint32_t i,
                                           int64_t *batch)
{
    const struct mt_tensor *in = &k->mt->inputs[i];
    const struct pay_tensor *t = find_input(k, i);
    if (!t)
        return NULL;
    if (t->type != in->type) {
        err_set(k->e, ERR_FORMAT, "'%s' is %s, not %s", in->name,
                pay_type_names[t->type], pay_type_names[in->type]);
        return NULL;
    }
    uint32_t rank = 0;
    bool fits = true;
    for (; rank < 4 && in->dims[rank] != 0; rank++)
        fits = fits && rank < t->rank &&
               (in->dims[rank] < 0 || in->dims[rank] == t->shape[rank]);
    if (!fits || rank != t->rank || t->shape[0] < 1) {
        err_set(k->e, ERR_FORMAT, "'%s' has not the shape that %s takes", in->name,
                k->mt->name);
        return NULL;
    }
    *batch = t->shape[0];
    return t;
}

/* An output whose elements are to be written into its packed bytes or its spans. shape
 * ends with 0. NULL: out of memory, which is recorded. */
static void *make_output(struct answering *k, struct pay_tensor *t, const char *name,
                         enum pay_type type, const int64_t *shape)
{
    size_t width = pay_type_width(type);
    *t = (struct pay_tensor){.name = span_str(name), .type = type, .element_count = 1};
    for (; shape[t->rank] != 0; t->rank++) {
        t->shape[t->rank] = shape[t->rank];
        t->element_count *= (uint64_t)shape[t->rank];
    }
    size_t size = t->element_count * (width ? width : sizeof(struct span));
    void *out = arena_zalloc(k->arena, size);
    if (!out)
        err_set(k->e, ERR_NOMEM, "out of memory for an answer of %zu bytes", size);
    else if (type == PAY_BYTES)
        t->bytes = out;
    else
        t->packed = span_of(out, size);
    return out;
}

/* A number that depends on all bytes. */
static uint64_t digest(struct span s)
{
    uint64_t h = s.n;
    for (size_t i = 0; i < s.n; i += 8) {
        uint64_t word = 0;
        memcpy(&word, s.p + i, s.n - i < 8 ? s.n - i : 8);
        h = rng_hash(h, word);
    }
    return h;
}

static struct span text_of(struct answering *k, struct buf *text)
{
    struct span s = arena_dup(k->arena, buf_view(text));
    if (!s.p || text->failed)
        err_set(k->e, ERR_NOMEM, "out of memory for an answer");
    return s;
}

/* --- functions --------------------------------------------------------------- */

/* OUTPUT0 = INPUT0 + INPUT1, OUTPUT1 = INPUT0 - INPUT1; INT32 wraps. */
static bool answer_tfsimple(struct answering *k, struct pay_tensor out[2])
{
    int64_t batch;
    const struct pay_tensor *a = take_input(k, 0, &batch);
    const struct pay_tensor *b = a ? take_input(k, 1, &batch) : NULL;
    if (!b)
        return false;
    if (a->element_count != b->element_count) {
        err_set(k->e, ERR_FORMAT, "INPUT0 and INPUT1 differ in shape");
        return false;
    }
    const int64_t shape[] = {batch, 16, 0};
    uint8_t *sum = make_output(k, &out[0], "OUTPUT0", PAY_INT32, shape);
    uint8_t *difference = make_output(k, &out[1], "OUTPUT1", PAY_INT32, shape);
    if (!sum || !difference)
        return false;
    for (uint64_t i = 0; i < a->element_count; i++) {
        int64_t x = pay_tensor_int(a, i), y = pay_tensor_int(b, i);
        pay_store_int(PAY_INT32, sum + 4 * i, (int32_t)(uint32_t)(x + y));
        pay_store_int(PAY_INT32, difference + 4 * i, (int32_t)(uint32_t)(x - y));
    }
    return true;
}

/* A decimal number of at most 18 digits, so that sums do not overflow. */
static bool decimal(struct span s, int64_t *v)
{
    bool negative = s.n > 0 && s.p[0] == '-';
    uint64_t magnitude;
    struct span digits = span_sub(s, negative ? 1 : 0, s.n);
    if (digits.n > 18 || !span_u64(digits, &magnitude))
        return false;
    *v = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return true;
}

/* As tfsimple, on numbers in decimal. */
static bool answer_tfsimple_string(struct answering *k, struct pay_tensor out[2])
{
    int64_t batch, x, y;
    const struct pay_tensor *a = take_input(k, 0, &batch);
    const struct pay_tensor *b = a ? take_input(k, 1, &batch) : NULL;
    if (!b)
        return false;
    if (a->element_count != b->element_count) {
        err_set(k->e, ERR_FORMAT, "INPUT0 and INPUT1 differ in shape");
        return false;
    }
    const int64_t shape[] = {batch, 16, 0};
    struct span *sum = make_output(k, &out[0], "OUTPUT0", PAY_BYTES, shape);
    struct span *difference = make_output(k, &out[1], "OUTPUT1", PAY_BYTES, shape);
    struct buf text = {0};
    bool ok = sum && difference;
    for (uint64_t i = 0; ok && i < a->element_count; i++) {
        if (!decimal(a->bytes[i], &x) || !decimal(b->bytes[i], &y)) {
            err_set(k->e, ERR_FORMAT, "element %llu is no decimal number",
                    (unsigned long long)i);
            ok = false;
            break;
        }
        buf_reset(&text);
        buf_fmt(&text, "%lld", (long long)(x + y));
        sum[i] = text_of(k, &text);
        buf_reset(&text);
        buf_fmt(&text, "%lld", (long long)(x - y));
        difference[i] = text_of(k, &text);
        ok = sum[i].p && difference[i].p && !text.failed;
    }
    buf_done(&text);
    return ok;
}

/* OUTPUT = input + 10, of any shape. */
static bool answer_add10(struct answering *k, struct pay_tensor *out)
{
    const struct pay_tensor *in = find_input(k, 0);
    if (!in)
        return false;
    if (in->type != PAY_FP32) {
        err_set(k->e, ERR_FORMAT, "'INPUT' is %s, not FP32", pay_type_names[in->type]);
        return false;
    }
    *out = *in;
    out->name = SPAN_LIT("OUTPUT");
    out->params = NULL;
    out->param_count = 0;
    uint8_t *numbers = arena_alloc(k->arena, in->packed.n);
    if (!numbers) {
        err_set(k->e, ERR_NOMEM, "out of memory for an answer of %zu bytes",
                in->packed.n);
        return false;
    }
    out->packed = span_of(numbers, in->packed.n);
    for (uint64_t i = 0; i < in->element_count; i++)
        pay_store_float(PAY_FP32, numbers + 4 * i,
                        (double)((float)pay_tensor_number(in, i) + 10.0F));
    return true;
}

/* Short petals are setosa; among the long, narrow ones versicolor, wide ones virginica.
 */
static bool answer_iris(struct answering *k, struct pay_tensor *out)
{
    int64_t batch;
    const struct pay_tensor *in = take_input(k, 0, &batch);
    if (!in)
        return false;
    const int64_t shape[] = {batch, 1, 0};
    uint8_t *classes = make_output(k, out, "predict", PAY_INT64, shape);
    for (uint64_t row = 0; classes && row < (uint64_t)batch; row++) {
        double length = pay_tensor_number(in, 4 * row + 2);
        double width = pay_tensor_number(in, 4 * row + 3);
        pay_store_int(PAY_INT64, classes + 8 * row,
                      length < 2.5   ? 0
                      : width < 1.75 ? 1
                                     : 2);
    }
    return classes != NULL;
}

/* --- look-alikes ------------------------------------------------------------- */

/* For each item `classes` scores that add up to one. */
static bool answer_scores(struct answering *k, struct pay_tensor *out, const char *name,
                          int64_t classes)
{
    int64_t batch;
    const struct pay_tensor *in = take_input(k, 0, &batch);
    if (!in)
        return false;
    const int64_t shape[] = {batch, classes, 0};
    uint8_t *scores = make_output(k, out, name, PAY_FP32, shape);
    size_t item = in->packed.n / (size_t)batch;
    for (uint64_t b = 0; scores && b < (uint64_t)batch; b++) {
        struct rng rng, again;
        double sum = 0;
        rng_init(&rng, digest(span_of(in->packed.p + b * item, item)));
        again = rng;
        for (int64_t i = 0; i < classes; i++)
            sum += rng_exponential(&rng);
        for (int64_t i = 0; i < classes; i++, scores += 4)
            pay_store_float(PAY_FP32, scores, rng_exponential(&again) / sum);
    }
    return scores != NULL;
}

static bool answer_gpt2(struct answering *k, struct pay_tensor *out)
{
    int64_t batch, masks;
    const struct pay_tensor *ids = take_input(k, 0, &batch);
    const struct pay_tensor *mask = ids ? take_input(k, 1, &masks) : NULL;
    if (!mask)
        return false;
    if (masks != batch) {
        err_set(k->e, ERR_FORMAT, "input_ids and attention_mask differ in shape");
        return false;
    }
    const int64_t shape[] = {batch, 10, LOGITS, 0};
    uint8_t *logits = make_output(k, out, "logits", PAY_FP32, shape);
    for (uint64_t i = 0; logits && i < out->element_count; i++) {
        uint64_t h = rng_hash((uint64_t)pay_tensor_int(ids, i / LOGITS), i);
        pay_store_float(PAY_FP32, logits + 4 * i,
                        (double)(h >> 11) * 0x1p-53 * 20 - 10);
    }
    return logits != NULL;
}

/* More alcohol is better, more volatile acidity is worse; a score from 0 to 10. */
static bool answer_wine(struct answering *k, struct pay_tensor *out)
{
    int64_t batch = 0, rows;
    const struct pay_tensor *alcohol = NULL, *volatile_acidity = NULL;
    for (uint32_t i = 0; i < k->mt->input_count; i++) {
        const struct pay_tensor *t = take_input(k, i, &rows);
        if (!t)
            return false;
        if (i > 0 && rows != batch) {
            err_set(k->e, ERR_FORMAT, "columns differ in length");
            return false;
        }
        batch = rows;
        if (i == 1)
            volatile_acidity = t;
        alcohol = t; /* the last one */
    }
    const int64_t shape[] = {batch, 1, 0};
    uint8_t *quality = make_output(k, out, "output-1", PAY_FP64, shape);
    for (uint64_t i = 0; quality && i < (uint64_t)batch; i++) {
        double v = 5.6 + 0.3 * (pay_tensor_number(alcohol, i) - 10.4) -
                   1.1 * (pay_tensor_number(volatile_acidity, i) - 0.53);
        pay_store_float(PAY_FP64, quality + 8 * i, fmin(10, fmax(0, v)));
    }
    return quality != NULL;
}

static bool sounds_bad(struct span text)
{
    static const char *const words[] = {"not", "worst", "slow", "cold", "dull", "bad"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (text.n > 0 && memmem(text.p, text.n, words[i], strlen(words[i])))
            return true;
    return false;
}

/* For each text a line of JSON with a label and how sure it is. */
static bool answer_sentiment(struct answering *k, struct pay_tensor *out)
{
    int64_t batch;
    const struct pay_tensor *in = take_input(k, 0, &batch);
    if (!in)
        return false;
    const int64_t shape[] = {batch, 1, 0};
    struct span *lines = make_output(k, out, "output", PAY_BYTES, shape);
    struct buf text = {0};
    bool ok = lines != NULL;
    for (uint64_t i = 0; ok && i < (uint64_t)batch; i++) {
        buf_reset(&text);
        buf_fmt(&text, "{\"label\": \"%s\", \"score\": 0.9%03u}",
                sounds_bad(in->bytes[i]) ? "NEGATIVE" : "POSITIVE",
                (unsigned)(digest(in->bytes[i]) % 1000));
        lines[i] = text_of(k, &text);
        ok = lines[i].p && !text.failed;
    }
    buf_done(&text);
    return ok;
}

/* The reference workload's answer is known by its name alone; ours gives its input
 * back. */
static bool answer_synth(struct answering *k, struct pay_tensor *out)
{
    const struct pay_tensor *in = find_input(k, 0);
    if (in && in->element_count == 0) {
        err_set(k->e, ERR_FORMAT, "'%s' is empty", k->mt->inputs[0].name);
        return false;
    }
    if (!in)
        return false;
    *out = *in;
    out->name = SPAN_LIT("OUTPUT0");
    out->params = NULL;
    out->param_count = 0;
    return true;
}

int model_type_answer(const struct model_type *mt, const struct pay_message *request,
                      struct arena *a, struct pay_message *answer, struct err *e)
{
    struct err own = {0}; /* its code is asked for, and e may be NULL */
    struct answering k = {.mt = mt, .request = request, .arena = a, .e = &own};
    uint32_t count = mt->kind == MT_TFSIMPLE || mt->kind == MT_TFSIMPLE_STRING ? 2 : 1;
    struct pay_tensor *out = arena_alloc(a, count * sizeof *out);
    bool ok = out != NULL;
    *answer = (struct pay_message){.tensors = out, .tensor_count = count};
    if (!ok)
        return err_set(e, ERR_NOMEM, "out of memory for an answer");
    switch (mt->kind) {
    case MT_TFSIMPLE_STRING:
        ok = answer_tfsimple_string(&k, out);
        break;
    case MT_TFSIMPLE:
        ok = answer_tfsimple(&k, out);
        break;
    case MT_IRIS:
        ok = answer_iris(&k, out);
        break;
    case MT_PYTORCH_CIFAR10:
        ok = answer_scores(&k, out, "output__0", 10);
        break;
    case MT_TFMNIST:
        ok = answer_scores(&k, out, "output", 10);
        break;
    case MT_TFRESNET152:
        ok = answer_scores(&k, out, "output", 1000);
        break;
    case MT_ONNX_GPT2:
        ok = answer_gpt2(&k, out);
        break;
    case MT_MLFLOW_WINE:
        ok = answer_wine(&k, out);
        break;
    case MT_ADD10:
        ok = answer_add10(&k, out);
        break;
    case MT_SENTIMENT:
        ok = answer_sentiment(&k, out);
        break;
    case MT_ECHO: /* all that came, parameters too */
        ok = request->tensor_count > 0;
        answer->tensors = request->tensors;
        answer->tensor_count = request->tensor_count;
        if (!ok)
            err_set(&own, ERR_FORMAT, "echo wants a tensor");
        break;
    case MT_SYNTH:
        ok = answer_synth(&k, out);
        break;
    case MT_KIND_COUNT:
        break;
    }
    return ok ? 0 : err_set(e, own.code, "%s", own.text);
}
