/*
 * fuzz_hpack.c - hpack reads what nghttp2 reads and refuses what it refuses; and a
 * joined decoder, which knows less, never crashes and never contradicts.
 *
 * Input: blocks, each behind its length in one byte.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

#include "traces/wire/hpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int oracle(nghttp2_hd_inflater *inflater, struct span block, struct buf *story)
{
    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t n = nghttp2_hd_inflate_hd2(inflater, &nv, &flags, block.p, block.n, 1);
        if (n < 0)
            return -1;
        block = span_sub(block, (size_t)n, block.n);
        if (flags & NGHTTP2_HD_INFLATE_EMIT) {
            buf_u32(story, (uint32_t)nv.namelen);
            buf_add(story, nv.name, nv.namelen);
            buf_u32(story, (uint32_t)nv.valuelen);
            buf_add(story, nv.value, nv.valuelen);
        }
        if (flags & NGHTTP2_HD_INFLATE_FINAL) {
            nghttp2_hd_inflate_end_headers(inflater);
            return 0;
        }
        if (!(flags & NGHTTP2_HD_INFLATE_EMIT) && block.n == 0)
            return 0; /* only size updates */
    }
}

static int ours(struct hpack *h, struct span block, struct buf *story)
{
    struct hpack_field f;
    int rc;
    hpack_begin(h, block);
    while ((rc = hpack_next(h, &f, NULL)) > 0) {
        buf_u32(story, (uint32_t)f.name.n);
        buf_span(story, f.name);
        buf_u32(story, (uint32_t)f.value.n);
        buf_span(story, f.value);
    }
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 4096)
        return 0;
    nghttp2_hd_inflater *inflater;
    if (nghttp2_hd_inflate_new(&inflater) != 0)
        abort();
    struct hpack h, late;
    hpack_init(&h, HPACK_TABLE_INIT);
    hpack_init(&late, UINT32_MAX);
    hpack_join(&late);
    struct buf a = {0}, b = {0}, c = {0};
    for (size_t at = 0; at < size;) {
        size_t n = data[at++];
        n = n < size - at ? n : size - at;
        uint8_t *exact = malloc(n ? n : 1);
        if (!exact)
            abort();
        memcpy(exact, data + at, n);
        at += n;
        int want = oracle(inflater, span_of(exact, n), &a);
        int got = ours(&h, span_of(exact, n), &b);
        int known = ours(&late, span_of(exact, n), &c);
        free(exact);
        if ((want < 0) != (got < 0))
            abort();
        if (want < 0)
            break;
        if (known < 0 || a.n != b.n || (a.n && memcmp(a.p, b.p, a.n) != 0))
            abort();
    }
    buf_done(&a);
    buf_done(&b);
    buf_done(&c);
    nghttp2_hd_inflate_del(inflater);
    hpack_done(&h);
    hpack_done(&late);
    return 0;
}
