/*
 * model_type.c - the table of MODEL_TYPEs, and the requests that follow from it.
 *
 * What k6 sends is a fact of SCv2's load tests (releases 2.0 to 2.10): names, shapes,
 * values and nesting. The order of members in its JSON is known of the first seven
 * types and taken to be the same for the rest. Where k6's payload is defective, the
 * correct one differs and
 * --k6-compatible brings the defect back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/payload/model_type.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "traces/payload/v2_json.h"
#include "traces/payload/v2_proto.h"

const char *const mt_values_names[] = {"constant", "counting", "random", NULL};

/* --- the table --------------------------------------------------------------- */

#define SAME(n) .name = (n), .k6_rest_name = (n), .k6_grpc_name = (n)

static const struct mt_tensor tfsimple_string_inputs[] = {
    {SAME("INPUT0"), .type = PAY_BYTES, .dims = {-1, 16}, .high = 999, .text = "97"},
    {SAME("INPUT1"), .type = PAY_BYTES, .dims = {-1, 16}, .high = 999, .text = "97"},
};

static const struct mt_tensor tfsimple_inputs[] = {
    {SAME("INPUT0"), .type = PAY_INT32, .dims = {-1, 16}, .high = 999, .ramp = true},
    {SAME("INPUT1"), .type = PAY_INT32, .dims = {-1, 16}, .high = 999, .ramp = true},
};

/* The range holds for counting; random rows are drawn as flowers (random_flowers). */
static const struct mt_tensor iris_inputs[] = {
    {.name = "predict",
     .k6_rest_name = "predict",
     .k6_grpc_name = "input",
     .type = PAY_FP32,
     .dims = {-1, 4},
     .low = 0.1,
     .high = 7.9,
     .ramp = true},
};

/* Pictures: brightness from 0 to 1. */
static const struct mt_tensor cifar10_inputs[] = {
    {SAME("input__0"), .type = PAY_FP32, .dims = {-1, 3, 32, 32}, .high = 1,
     .constant = 0.1},
};

static const struct mt_tensor mnist_inputs[] = {
    {SAME("conv2d_input"), .type = PAY_FP32, .dims = {-1, 28, 28, 1}, .high = 1,
     .constant = 0.1},
};

static const struct mt_tensor resnet152_inputs[] = {
    {SAME("input_1"), .type = PAY_FP32, .dims = {-1, 224, 224, 3}, .high = 1,
     .constant = 0.1},
};

/* GPT-2 knows 50,257 tokens; the mask is all ones, as there is no padding. */
static const struct mt_tensor gpt2_inputs[] = {
    {SAME("input_ids"), .type = PAY_INT32, .dims = {-1, 10}, .high = 50256,
     .constant = 1},
    {SAME("attention_mask"), .type = PAY_INT32, .dims = {-1, 10}, .low = 1, .high = 1,
     .constant = 1},
};

/* Ranges of the public red wine data (Cortez and others, 2009). k6 calls the third
 * column "citric acidity"; the data set, on which models are trained, "citric acid". */
#define WINE(n, from, to)                                                              \
    {                                                                                  \
        SAME(n), .type = PAY_FP32, .dims = {-1}, .low = (from), .high = (to),          \
                 .constant = 1                                                         \
    }
static const struct mt_tensor wine_inputs[] = {
    WINE("fixed acidity", 4.6, 15.9),
    WINE("volatile acidity", 0.12, 1.58),
    {.name = "citric acid",
     .k6_rest_name = "citric acidity",
     .k6_grpc_name = "citric acidity",
     .type = PAY_FP32,
     .dims = {-1},
     .high = 1,
     .constant = 1},
    WINE("residual sugar", 0.9, 15.5),
    WINE("chlorides", 0.012, 0.611),
    WINE("free sulfur dioxide", 1, 72),
    WINE("total sulfur dioxide", 6, 289),
    WINE("density", 0.99, 1.004),
    WINE("pH", 2.74, 4.01),
    WINE("sulphates", 0.33, 2),
    WINE("alcohol", 8.4, 14.9),
};

static const struct mt_tensor add10_inputs[] = {
    {SAME("INPUT"), .type = PAY_FP32, .dims = {4}, .high = 100, .constant = 0.1},
};

static const struct mt_tensor sentiment_inputs[] = {
    {SAME("args"), .type = PAY_BYTES, .dims = {-1}, .text = "this is a cool test"},
};

static const struct mt_tensor echo_inputs[] = {
    {.name = "predict",
     .k6_rest_name = "predict",
     .k6_grpc_name = "input_1",
     .type = PAY_BYTES,
     .dims = {1},
     .text = "hello"},
};

/* k6 sends no name over REST. */
static const struct mt_tensor synth_inputs[] = {
    {.name = "input_1",
     .k6_grpc_name = "input_1",
     .type = PAY_BYTES,
     .dims = {1},
     .text = "h"},
};

static const struct mt_param synth_params[] = {
    {"predict_latency_dist", "normal"},
    {"work_type", "async_cpu_busy_iter"},
    {"predict_latency_avg_us", "100000"},
    {"predict_latency_sd_us", "1"},
    {NULL, NULL},
};

#define INPUTS(list) .inputs = (list), .input_count = sizeof(list) / sizeof *(list)
#define BUCKET       "gs://seldon-models/"

/* Echo takes a model parameter response_length, which only pipeline scenarios set. */
static const struct model_type types[MT_KIND_COUNT] = {
    [MT_TFSIMPLE_STRING] = {.kind = MT_TFSIMPLE_STRING,
                            .name = "tfsimple_string",
                            .storage_uri = BUCKET "triton/tf_simple_string",
                            .requirements = "tensorflow",
                            .server = "triton",
                            INPUTS(tfsimple_string_inputs),
                            .batches = true},
    [MT_TFSIMPLE] = {.kind = MT_TFSIMPLE,
                     .name = "tfsimple",
                     .storage_uri = BUCKET "triton/simple",
                     .requirements = "tensorflow",
                     .server = "triton",
                     INPUTS(tfsimple_inputs),
                     .max_batch = 8,
                     .batches = true},
    [MT_IRIS] = {.kind = MT_IRIS,
                 .name = "iris",
                 .storage_uri = BUCKET "testing/iris",
                 .uri_numbered = true,
                 .requirements = "sklearn",
                 .server = "mlserver",
                 INPUTS(iris_inputs),
                 .batches = true},
    [MT_PYTORCH_CIFAR10] = {.kind = MT_PYTORCH_CIFAR10,
                            .name = "pytorch_cifar10",
                            .storage_uri = BUCKET "triton/pytorch_cifar10/cifar10",
                            .requirements = "pytorch",
                            .server = "triton",
                            INPUTS(cifar10_inputs),
                            .batches = true},
    [MT_TFMNIST] = {.kind = MT_TFMNIST,
                    .name = "tfmnist",
                    .storage_uri = BUCKET "triton/tf_mnist",
                    .requirements = "tensorflow",
                    .server = "triton",
                    INPUTS(mnist_inputs),
                    .batches = true},
    [MT_TFRESNET152] = {.kind = MT_TFRESNET152,
                        .name = "tfresnet152",
                        .storage_uri = BUCKET "triton/tf_resnet152",
                        .requirements = "tensorflow",
                        .server = "triton",
                        INPUTS(resnet152_inputs),
                        .batches = true},
    [MT_ONNX_GPT2] = {.kind = MT_ONNX_GPT2,
                      .name = "onnx_gpt2",
                      .storage_uri = BUCKET "triton/onnx_gpt2/gpt2",
                      .requirements = "onnx",
                      .server = "triton",
                      INPUTS(gpt2_inputs),
                      .batches = true},
    [MT_MLFLOW_WINE] = {.kind = MT_MLFLOW_WINE,
                        .name = "mlflow_wine",
                        .storage_uri =
                            BUCKET "mlflow/elasticnet_wine_model_mlserver_1_1",
                        .requirements = "mlflow",
                        .server = "mlserver",
                        INPUTS(wine_inputs),
                        .content_type_param = "pd",
                        .batches = true},
    [MT_ADD10] = {.kind = MT_ADD10,
                  .name = "add10",
                  .storage_uri = BUCKET "triton/add10",
                  .requirements = "tensorflow,python",
                  .server = "triton",
                  INPUTS(add10_inputs)},
    [MT_SENTIMENT] = {.kind = MT_SENTIMENT,
                      .name = "sentiment",
                      .storage_uri = BUCKET "mlserver/huggingface/sentiment",
                      .requirements = "huggingface",
                      .server = "mlserver",
                      INPUTS(sentiment_inputs),
                      .batches = true},
    [MT_ECHO] = {.kind = MT_ECHO,
                 .name = "echo",
                 .storage_uri = BUCKET "integration-tests/models/mlserver/echo",
                 .requirements = "mlserver",
                 .server = "mlserver",
                 INPUTS(echo_inputs)},
    [MT_SYNTH] = {.kind = MT_SYNTH,
                  .name = "synth",
                  .storage_uri = BUCKET
                  "integration-tests/models/mlserver/reference-workload-model",
                  .requirements = "mlserver",
                  .server = "mlserver",
                  INPUTS(synth_inputs),
                  .model_params = synth_params},
};

const struct model_type *model_type_find(struct span name)
{
    for (int i = 0; i < MT_KIND_COUNT; i++)
        if (span_eq_str(name, types[i].name))
            return &types[i];
    return NULL;
}

const struct model_type *model_type_at(size_t i)
{
    return i < MT_KIND_COUNT ? &types[i] : NULL;
}

void model_type_uri(const struct model_type *mt, uint64_t offset, struct buf *out)
{
    buf_str(out, mt->storage_uri);
    if (mt->uri_numbered)
        buf_u8(out, (uint8_t)('0' + offset % 10));
}

const char *model_type_k6_refusal(const struct model_type *mt,
                                  enum op_protocol protocol)
{
    if (protocol != OP_REST && protocol != OP_GRPC)
        return "k6 sends requests by REST and gRPC only";
    if (protocol == OP_GRPC && mt->kind == MT_ADD10)
        return "k6 puts 0.1 into int_contents, and its gRPC client refuses a fraction "
               "there";
    if (protocol == OP_GRPC && mt->kind == MT_SYNTH)
        return "k6 gives its gRPC client an object where fp32_contents needs a list";
    return NULL;
}

/* --- values ------------------------------------------------------------------ */

/* What one request is built from. */
struct making {
    const struct model_type *mt;
    const struct mt_request *q;
    struct arena *arena;
    struct rng rng;
};

static double numeric_value(struct making *k, const struct mt_tensor *in, uint64_t i,
                            uint64_t count)
{
    bool whole = !pay_type_is_float(in->type);
    double range = in->high - in->low;
    uint64_t at =
        k->q->ordinal * count + i; /* of MT_COUNTING: goes on behind the last */
    switch (k->q->values) {
    case MT_CONSTANT:
        return in->ramp ? (double)i : in->constant;
    case MT_COUNTING: /* floats in 250 steps; 251 is prime, so pictures differ, too */
        return whole ? in->low + (double)(at % ((uint64_t)range + 1))
                     : in->low + range * (double)(at % 251) / 250;
    default:
        return whole ? in->low + (double)rng_below(&k->rng, (uint64_t)range + 1)
                     : in->low + range * rng_unit(&k->rng);
    }
}

/* Sepal length and width, petal length and width in cm, as flowers have them: one of
 * three species at random, each measure normal around that species' mean with its
 * deviation (Fisher 1936), to a millimetre. */
static void random_flowers(struct making *k, uint8_t *out, uint64_t count)
{
    static const double mean[3][4] = {
        {5.006, 3.428, 1.462, 0.246},
        {5.936, 2.770, 4.260, 1.326},
        {6.588, 2.974, 5.552, 2.026},
    };
    static const double deviation[3][4] = {
        {0.352, 0.379, 0.174, 0.105},
        {0.516, 0.314, 0.470, 0.198},
        {0.636, 0.322, 0.552, 0.275},
    };
    uint64_t species = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (i % 4 == 0)
            species = rng_below(&k->rng, 3);
        double v =
            mean[species][i % 4] + deviation[species][i % 4] * rng_normal(&k->rng);
        double mm = fmax(1, nearbyint(v * 10));
        pay_store_float(PAY_FP32, out + 4 * i, mm / 10);
    }
}

static const char *const sentences[] = {
    "this is a cool test",
    "the service was slow and the food was cold",
    "what a wonderful surprise",
    "I would not buy it again",
    "it does what it says",
    "the worst film of the year",
    "everything arrived on time, thank you",
    "a dull book with a good ending",
};

/* One BYTES element. */
static void put_text_value(struct making *k, const struct mt_tensor *in, uint64_t i,
                           uint64_t count, struct buf *out)
{
    const uint64_t sentence_count = sizeof sentences / sizeof *sentences;
    uint64_t at = k->q->ordinal * count + i;
    bool random = k->q->values == MT_RANDOM;
    if (k->q->k6 && k->q->protocol == OP_GRPC && k->mt->kind == MT_TFSIMPLE_STRING)
        buf_str(out, "1"); /* not what it sends over REST */
    else if (k->q->values == MT_CONSTANT)
        buf_str(out, in->text);
    else if (k->mt->kind == MT_TFSIMPLE_STRING)
        buf_fmt(out, "%lld", (long long)numeric_value(k, in, i, count));
    else if (k->mt->kind == MT_SENTIMENT)
        buf_str(out, sentences[random ? rng_below(&k->rng, sentence_count)
                                      : at % sentence_count]);
    else if (random)
        buf_fmt(out, "%s-%016llx", in->text, (unsigned long long)rng_u64(&k->rng));
    else
        buf_fmt(out, "%s-%llu", in->text, (unsigned long long)at);
}

static int make_texts(struct making *k, const struct mt_tensor *in,
                      struct pay_tensor *t, struct err *e)
{
    struct buf text = {0};
    struct span *list = arena_alloc(k->arena, t->element_count * sizeof *list);
    for (uint64_t i = 0; list && i < t->element_count; i++) {
        buf_reset(&text);
        put_text_value(k, in, i, t->element_count, &text);
        list[i] = arena_dup(k->arena, buf_view(&text));
        if (text.failed || !list[i].p)
            list = NULL;
    }
    buf_done(&text);
    t->bytes = list;
    return list ? 0 : err_set(e, ERR_NOMEM, "out of memory for a payload");
}

static int make_numbers(struct making *k, const struct mt_tensor *in,
                        struct pay_tensor *t, struct err *e)
{
    size_t width = pay_type_width(t->type);
    uint8_t *out = arena_alloc(k->arena, t->element_count * width);
    if (!out)
        return err_set(e, ERR_NOMEM, "out of memory for a payload");
    t->packed = span_of(out, t->element_count * width);
    if (k->mt->kind == MT_IRIS && k->q->values == MT_RANDOM) {
        random_flowers(k, out, t->element_count);
        return 0;
    }
    for (uint64_t i = 0; i < t->element_count; i++, out += width) {
        double v = numeric_value(k, in, i, t->element_count);
        if (pay_type_is_float(t->type))
            pay_store_float(t->type, out, v);
        else
            pay_store_int(t->type, out, (int64_t)v);
    }
    return 0;
}

/* --- requests ---------------------------------------------------------------- */

static const char *name_in(const struct mt_tensor *in, const struct mt_request *q)
{
    if (!q->k6)
        return in->name;
    return q->protocol == OP_REST ? in->k6_rest_name : in->k6_grpc_name;
}

static int make_tensor(struct making *k, const struct mt_tensor *in,
                       struct pay_tensor *t, struct err *e)
{
    *t = (struct pay_tensor){.name = span_str(name_in(in, k->q)), .type = in->type};
    /* k6 sends a table of one row, whatever the batch size. */
    bool one_row = k->q->k6 && k->mt->kind == MT_MLFLOW_WINE;
    while (t->rank < 4 && in->dims[t->rank] != 0) {
        int32_t d = in->dims[t->rank];
        t->shape[t->rank++] = d > 0 ? d : one_row ? 1 : (int64_t)k->q->batch;
    }
    int rc = pay_shape_count(t->shape, t->rank, &t->element_count, e);
    if (rc < 0)
        return rc;
    size_t width = pay_type_width(t->type);
    if (t->element_count > MT_TENSOR_BYTES_MAX / (width ? width : sizeof(struct span)))
        return err_set(e, ERR_LIMIT, "%s at batch %u is larger than a message may be",
                       k->mt->name, k->q->batch);
    return t->type == PAY_BYTES ? make_texts(k, in, t, e) : make_numbers(k, in, t, e);
}

static int make_message(struct making *k, struct pay_message *m, struct err *e)
{
    const struct model_type *mt = k->mt;
    struct pay_tensor *list = arena_alloc(k->arena, mt->input_count * sizeof *list);
    struct pay_param *param = arena_zalloc(k->arena, sizeof *param);
    if (!list || !param)
        return err_set(e, ERR_NOMEM, "out of memory for a payload");
    for (uint32_t i = 0; i < mt->input_count; i++) {
        int rc = make_tensor(k, &mt->inputs[i], &list[i], e);
        if (rc < 0)
            return rc;
    }
    *m = (struct pay_message){.tensors = list, .tensor_count = mt->input_count};
    if (mt->content_type_param) {
        param->name = SPAN_LIT("content_type");
        param->kind = PAY_PARAM_STRING;
        param->s = span_str(mt->content_type_param);
        m->params = param;
        m->param_count = 1;
    }
    return 0;
}

/* A tensor in k6's spelling: members in its order, the values of iris one level deeper.
 */
static void put_k6_tensor(const struct model_type *mt, const struct pay_tensor *t,
                          struct buf *out)
{
    bool iris = mt->kind == MT_IRIS;
    buf_u8(out, '{');
    if (t->name.n > 0)
        buf_fmt(out, "\"name\":\"%.*s\",", SPAN_ARG(t->name));
    if (iris) {
        buf_str(out, "\"shape\":");
        v2_json_shape(t, out);
        buf_fmt(out, ",\"datatype\":\"%s\",\"data\":[", pay_type_names[t->type]);
        v2_json_data(t, out);
        buf_str(out, "]}");
    } else {
        buf_str(out, "\"data\":");
        v2_json_data(t, out);
        buf_fmt(out, ",\"datatype\":\"%s\",\"shape\":", pay_type_names[t->type]);
        v2_json_shape(t, out);
        buf_u8(out, '}');
    }
}

static void put_k6_json(const struct model_type *mt, const struct pay_message *m,
                        struct buf *out)
{
    buf_u8(out, '{');
    if (mt->content_type_param)
        buf_fmt(out, "\"parameters\":{\"content_type\":\"%s\"},",
                mt->content_type_param);
    buf_str(out, "\"inputs\":[");
    for (uint32_t i = 0; i < m->tensor_count; i++) {
        if (i > 0)
            buf_u8(out, ',');
        put_k6_tensor(mt, &m->tensors[i], out);
    }
    buf_str(out, "]}");
}

/* What k6 sends to echo by gRPC cannot be said as a pay_message: a BYTES tensor of
 * shape [1] with 1.2 in fp32_contents. MLServer answers INTERNAL, Triton
 * INVALID_ARGUMENT. Field numbers: v2_proto.h. */
static void put_k6_echo(struct buf *out)
{
    static const uint8_t tensor[] = {
        0x0a, 7, 'i',  'n', 'p',  'u',  't',  '_',  '1', /* 1 name */
        0x12, 5, 'B',  'Y', 'T',  'E',  'S',             /* 2 datatype */
        0x1a, 1, 1,                                      /* 3 shape, packed */
        0x2a, 6, 0x32, 4,   0x9a, 0x99, 0x99, 0x3f, /* 5 contents, 6 fp32, packed */
    };
    buf_u8(out, 0x2a); /* 5 inputs */
    buf_varint(out, sizeof tensor);
    buf_add(out, tensor, sizeof tensor);
}

static void put_k6(const struct model_type *mt, const struct mt_request *q,
                   struct pay_message *m, struct buf *out)
{
    if (q->protocol == OP_REST) {
        put_k6_json(mt, m, out);
    } else if (mt->kind == MT_ECHO) {
        put_k6_echo(out);
    } else {
        v2_proto_request(m, out);
    }
}

static int refuse(const struct model_type *mt, const struct mt_request *q,
                  struct err *e)
{
    const char *refusal = q->k6 ? model_type_k6_refusal(mt, q->protocol) : NULL;
    if (q->protocol != OP_REST && q->protocol != OP_GRPC && q->protocol != OP_KAFKA)
        return err_set(e, ERR_USAGE, "no payload goes with protocol %s",
                       op_protocol_names[q->protocol]);
    if (refusal)
        return err_set(e, ERR_USAGE, "no k6 payload of %s by %s: %s", mt->name,
                       op_protocol_names[q->protocol], refusal);
    if (q->k6 && q->values != MT_CONSTANT)
        return err_set(e, ERR_USAGE, "k6 payloads have constant values, not %s",
                       mt_values_names[q->values]);
    if (q->batch == 0)
        return err_set(e, ERR_USAGE, "a batch has at least one item");
    uint32_t limit = mt->max_batch && !q->k6 ? mt->max_batch : MT_BATCH_MAX;
    if (mt->batches && q->batch > limit)
        return err_set(e, ERR_LIMIT, "batch %u of %s (limit %u)", q->batch, mt->name,
                       limit);
    return 0;
}

int model_type_request(const struct model_type *mt, const struct mt_request *q,
                       struct buf *out, struct err *e)
{
    int rc = refuse(mt, q, e);
    if (rc < 0)
        return rc;
    struct arena arena = {0};
    struct making k = {.mt = mt, .q = q, .arena = &arena};
    struct rng seeded, of_type;
    struct pay_message m;
    rng_init(&seeded, q->seed);
    of_type = rng_fork(&seeded, mt->name);
    rng_init(&k.rng, rng_hash(rng_u64(&of_type), q->ordinal));
    size_t before = out->n;
    rc = make_message(&k, &m, e);
    if (rc == 0 && q->k6)
        put_k6(mt, q, &m, out);
    else if (rc == 0 && q->protocol == OP_REST)
        v2_json_request(&m, out);
    else if (rc == 0)
        v2_proto_request(&m, out);
    arena_done(&arena);
    if (rc == 0)
        rc = buf_check(out, e);
    if (rc == 0 && out->n - before > V2_JSON_MAX)
        rc = err_set(e, ERR_LIMIT, "%s at batch %u takes %zu bytes (limit %u)",
                     mt->name, q->batch, out->n - before, V2_JSON_MAX);
    return rc;
}
