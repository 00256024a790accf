/*
 * fuzz_model_answer.c - answers to requests from outside are right answers.
 *
 * The first byte chooses the MODEL_TYPE, the second the protocol. The rest is read as a
 * request: what the type answers must pass its own check. It is read as an answer, too,
 * and judged against a request of our own making.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "traces/payload/model_type.h"
#include "traces/payload/v2_json.h"
#include "traces/payload/v2_proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer_from_outside(const struct model_type *mt, struct span bytes,
                                bool rest)
{
    struct arena a = {0};
    struct buf body = {0};
    struct err e = {0};
    struct pay_message request, answer;
    struct mt_request q = {.batch = 1};
    if (model_type_request(mt, &q, &body, &e) < 0 ||
        v2_json_parse_request(buf_view(&body), &a, &request, &e) < 0)
        abort();
    int rc = rest ? v2_json_parse_response(bytes, &a, &answer, &e)
                  : v2_proto_parse_response(bytes, &a, &answer, &e);
    if (rc == 0) {
        rc = model_type_check(mt, &request, &answer, &e);
        if (rc != 0 && (rc != ERR_FORMAT || e.text[0] == '\0'))
            abort();
    }
    buf_done(&body);
    arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = {0};
    struct err e = {0};
    struct pay_message request, answer;
    if (size < 2)
        return 0;
    const struct model_type *mt = model_type_at(data[0] % MT_KIND_COUNT);
    bool rest = data[1] % 2 == 0;
    struct span bytes = span_of(data + 2, size - 2);
    int rc = rest ? v2_json_parse_request(bytes, &a, &request, &e)
                  : v2_proto_parse_request(bytes, &a, &request, &e);
    if (rc == 0 && model_type_answer(mt, &request, &a, &answer, &e) == 0 &&
        model_type_check(mt, &request, &answer, &e) != 0)
        abort();
    arena_done(&a);
    answer_from_outside(mt, bytes, rest);
    return 0;
}
