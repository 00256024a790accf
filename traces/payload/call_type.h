/*
 * call_type.h - of which MODEL_TYPE a call's model is, as its name and tensors tell.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_PAYLOAD_CALL_TYPE_H
#define TRACES_PAYLOAD_CALL_TYPE_H

#include "traces/base/arena.h"
#include "traces/payload/model_type.h"

/* The type whose name the model's begins with ("iris1", "tfsimple-string2"), provided
 * that the request, in its REST or gRPC form, has exactly that type's tensors; else
 * NULL. Uses a. Thread-safe. */
const struct model_type *call_type_of(struct span name, enum op_protocol protocol,
                                      struct span body, struct arena *a);

#endif
