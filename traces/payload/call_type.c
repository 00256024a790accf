/*
 * call_type.c - see call_type.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "traces/payload/call_type.h"

#include "traces/payload/v2_json.h"
#include "traces/payload/v2_proto.h"

/* "tfsimple-string2" of "tfsimple_string": dashes for underscores, then a number. */
static bool name_fits(struct span name, const char *type)
{
    size_t n = strlen(type);
    if (name.n < n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (name.p[i] != type[i] && !(type[i] == '_' && name.p[i] == '-'))
            return false;
    for (size_t i = n; i < name.n; i++)
        if ((name.p[i] < '0' || name.p[i] > '9') && name.p[i] != '-')
            return false;
    return true;
}

static bool shape_fits(const struct mt_tensor *want, const struct pay_tensor *t)
{
    uint32_t rank = 0;
    while (rank < 4 && want->dims[rank] != 0)
        rank++;
    if (t->rank != rank || t->type != want->type)
        return false;
    for (uint32_t i = 0; i < rank; i++)
        if (want->dims[i] > 0 && t->shape[i] != want->dims[i])
            return false;
    return true;
}

static bool tensors_fit(const struct model_type *mt, const struct pay_message *m)
{
    if (m->tensor_count != mt->input_count)
        return false;
    for (uint32_t i = 0; i < mt->input_count; i++) {
        const struct mt_tensor *want = &mt->inputs[i];
        const struct pay_tensor *t = pay_message_tensor(m, want->name);
        if (!t && want->k6_rest_name)
            t = pay_message_tensor(m, want->k6_rest_name);
        if (!t && want->k6_grpc_name)
            t = pay_message_tensor(m, want->k6_grpc_name);
        if (!t || !shape_fits(want, t))
            return false;
    }
    return true;
}

const struct model_type *call_type_of(struct span name, enum op_protocol protocol,
                                      struct span body, struct arena *a)
{
    const struct model_type *mt = NULL;
    for (size_t i = 0; (mt = model_type_at(i)) != NULL; i++)
        if (name_fits(name, mt->name))
            break;
    if (!mt)
        return NULL;
    struct pay_message m;
    struct err e = {0};
    int rc = protocol == OP_REST ? v2_json_parse_request(body, a, &m, &e)
                                 : v2_proto_parse_request(body, a, &m, &e);
    return rc == 0 && tensors_fit(mt, &m) ? mt : NULL;
}
