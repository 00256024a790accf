/*
 * answer.c - see answer.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replay/answer.h"

#include "traces/payload/model_type.h"
#include "traces/payload/v2_json.h"
#include "traces/payload/v2_proto.h"

static bool is_inference(const struct op_stream *s)
{
    return span_ends(s->path, s->protocol == OP_REST ? "/infer" : "/ModelInfer");
}

enum out_check rep_answer_check(const struct rep_request *r, struct arena *a,
                                struct err *why)
{
    const struct op_stream *s = &r->stream->as_sent;
    const struct model_type *type = model_type_find(s->model_type);
    struct pay_message request, answer;
    bool rest = s->protocol == OP_REST;

    if (r->out.cause != OUT_OK || !type || !is_inference(s))
        return OUT_UNCHECKED;
    arena_reset(a);
    int rc = rest ? v2_json_parse_request(r->body, a, &request, NULL)
                  : v2_proto_parse_request(r->body, a, &request, NULL);
    if (rc < 0)
        return OUT_UNCHECKED;
    struct span body = buf_view(&r->answer);
    rc = rest ? v2_json_parse_response(body, a, &answer, why)
              : v2_proto_parse_response(body, a, &answer, why);
    if (rc == 0)
        rc = model_type_check(type, &request, &answer, why);
    if (rc == 0)
        return OUT_RIGHT;
    if (rc == ERR_USAGE || rc == ERR_NOMEM)
        return OUT_UNCHECKED;
    return OUT_WRONG;
}
