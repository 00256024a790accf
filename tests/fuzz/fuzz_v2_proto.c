/*
 * fuzz_v2_proto.c - what v2_proto accepts survives writing and reading, and renaming.
 *
 * Every input is read as a request and as a response. One that is accepted must come
 * out equal after protobuf, and after JSON unless it holds what JSON cannot say.
 * Renaming must change the name, the version and the id alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "tests/unit/pay_equal.h"
#include "traces/payload/v2_json.h"
#include "traces/payload/v2_proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef void write_fn(const struct pay_message *m, struct buf *out);
typedef int read_fn(struct span bytes, struct arena *a, struct pay_message *m,
                    struct err *e);

static void must_survive(const struct pay_message *m, write_fn *write, read_fn *read)
{
    struct arena a = {0};
    struct buf b = {0};
    struct err e = {0};
    struct pay_message back;
    write(m, &b);
    if (buf_check(&b, &e) < 0 || read(buf_view(&b), &a, &back, &e) < 0 ||
        !messages_equal(m, &back))
        abort();
    buf_done(&b);
    arena_done(&a);
}

static bool sayable_params(const struct pay_param *params, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (params[i].kind == PAY_PARAM_DOUBLE && !isfinite(params[i].d))
            return false;
    return true;
}

static bool sayable_in_json(const struct pay_message *m)
{
    if (!sayable_params(m->params, m->param_count))
        return false;
    for (uint32_t i = 0; i < m->tensor_count; i++) {
        const struct pay_tensor *t = &m->tensors[i];
        if (!sayable_params(t->params, t->param_count))
            return false;
        for (uint64_t k = 0; k < t->element_count; k++) {
            if (t->type == PAY_BYTES && pay_utf8_fault(t->bytes[k]) != t->bytes[k].n)
                return false;
            if (pay_type_is_float(t->type) && isinf(pay_tensor_number(t, k)))
                return false;
        }
    }
    return true;
}

/* Whether it is copied whole or only its front, the message is the same. */
static void check_front(struct span request)
{
    struct buf whole = {0}, front = {0};
    struct span rest = {0};
    int a = v2_proto_rename(request, SPAN_LIT("n_1"), (struct span){0}, &whole, NULL);
    int b = v2_proto_rename_front(request, SPAN_LIT("n_1"), &front, &rest, NULL);
    if (a != b)
        abort();
    buf_span(&front, rest);
    if (a == 0 && !span_eq(buf_view(&whole), buf_view(&front)))
        abort();
    buf_done(&whole);
    buf_done(&front);
}

static void check_rename(struct span request, const struct pay_message *original)
{
    struct arena a = {0};
    struct buf b = {0};
    struct err e = {0};
    struct pay_message back, want;
    check_front(request);
    if (v2_proto_rename(request, SPAN_LIT("n_1"), SPAN_LIT("i"), &b, &e) < 0) {
        if (original || e.at > request.n)
            abort();
    } else if (original) {
        want = *original;
        want.model_name = SPAN_LIT("n_1");
        want.model_version = SPAN_LIT("");
        want.id = SPAN_LIT("i");
        if (v2_proto_parse_request(buf_view(&b), &a, &back, &e) < 0 ||
            !messages_equal(&want, &back))
            abort();
    }
    buf_done(&b);
    arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = span_of(data, size);
    struct arena a = {0};
    struct pay_message m;
    struct err e = {0};
    int rc = v2_proto_parse_request(bytes, &a, &m, &e);
    if (rc < 0 && (e.code != (enum err_code)rc || (e.has_at && e.at > size)))
        abort();
    if (rc == 0)
        must_survive(&m, v2_proto_request, v2_proto_parse_request);
    check_rename(bytes, rc == 0 ? &m : NULL);
    err_clear(&e);
    arena_reset(&a);
    rc = v2_proto_parse_response(bytes, &a, &m, &e);
    if (rc < 0 && (e.code != (enum err_code)rc || (e.has_at && e.at > size)))
        abort();
    if (rc == 0) {
        must_survive(&m, v2_proto_response, v2_proto_parse_response);
        if (sayable_in_json(&m))
            must_survive(&m, v2_json_response, v2_json_parse_response);
    }
    arena_done(&a);
    struct span inner;
    enum v2_stream kind = v2_proto_unwrap(bytes, &inner);
    bool within = inner.p >= bytes.p && inner.n <= size - (size_t)(inner.p - bytes.p);
    if (kind == V2_STREAM_ERROR ? inner.n != 0 : size > 0 && !within)
        abort();
    return 0;
}
