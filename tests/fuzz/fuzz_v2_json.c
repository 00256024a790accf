/*
 * fuzz_v2_json.c - what v2_json accepts is JSON, and survives writing and reading.
 *
 * Every input is read as a request and as a response. One that is accepted must be JSON
 * to jansson, too (which holds fewer numbers), and must come out equal after JSON and
 * after protobuf.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include <jansson.h>

#include "tests/unit/pay_equal.h"
#include "traces/payload/v2_json.h"
#include "traces/payload/v2_proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef void write_fn(const struct pay_message *m, struct buf *out);
typedef int read_fn(struct span bytes, struct arena *a, struct pay_message *m,
                    struct err *e);

/* Of a request JSON does not tell the model's name, and m has none either. */
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

static void must_be_json(const uint8_t *data, size_t size)
{
    json_error_t why;
    json_t *tree = json_loadb((const char *)data, size,
                              JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &why);
    if (!tree && json_error_code(&why) != json_error_numeric_overflow)
        abort();
    json_decref(tree);
}

static void check_error(const struct err *e, int rc, size_t size)
{
    if (e->code != (enum err_code)rc || e->text[0] == '\0' ||
        (e->has_at && e->at > size))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = {0};
    struct pay_message m;
    struct err e = {0};
    int rc = v2_json_parse_request(span_of(data, size), &a, &m, &e);
    if (rc == 0) {
        must_be_json(data, size);
        must_survive(&m, v2_json_request, v2_json_parse_request);
        must_survive(&m, v2_proto_request, v2_proto_parse_request);
    } else {
        check_error(&e, rc, size);
    }
    err_clear(&e);
    arena_reset(&a);
    rc = v2_json_parse_response(span_of(data, size), &a, &m, &e);
    if (rc == 0) {
        must_be_json(data, size);
        must_survive(&m, v2_json_response, v2_json_parse_response);
        m.raw = true;
        must_survive(&m, v2_proto_response, v2_proto_parse_response);
    } else {
        check_error(&e, rc, size);
    }
    arena_done(&a);
    return 0;
}
