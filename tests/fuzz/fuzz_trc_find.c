/*
 * fuzz_trc_find.c - no body makes the search for secrets crash, and every finding lies
 * within the text.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "traces/base/arena.h"
#include "traces/tool/trc_find.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void within(void *ctx, const struct trc_finding *f)
{
    const struct span *text = ctx;
    if (f->kind >= TRC_FIND_COUNT)
        abort();
    if (f->inside ? f->at != 0 : f->at > text->n || f->bytes > text->n - f->at)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy of its own: reading past it is found. */
    uint8_t *exact = malloc(size ? size : 1);
    if (!exact)
        abort();
    if (size)
        memcpy(exact, data, size);
    struct span text = span_of(exact, size);
    struct arena a = {0};
    struct err e = {0};
    if (trc_find_body(text, &a, within, &text, &e) != 0 && e.code != ERR_NOMEM)
        abort();
    trc_find_path(text, within, &text);
    arena_done(&a);
    free(exact);
    return 0;
}
