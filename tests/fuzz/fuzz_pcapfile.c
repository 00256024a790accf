/*
 * fuzz_pcapfile.c - no file makes the reader crash, run away, or tell two stories.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "capture/link.h"
#include "capture/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add(uint64_t *sum, uint64_t v)
{
    *sum = (*sum ^ v) * UINT64_C(0x100000001b3);
}

static uint64_t read_all(const uint8_t *data, size_t size)
{
    struct cap_source *s;
    struct err e = {0};
    uint64_t sum = 0, packets = 0;
    int rc = cap_source_open_bytes(&s, span_of(data, size), &e);
    struct cap_link *l = cap_link_new(NULL);
    if (!l)
        abort();
    struct cap_packet p;
    struct cap_segment seg;
    while (rc >= 0 && (rc = cap_source_next(s, &p, &e)) == CAP_SOURCE_PACKET) {
        if (p.bytes.n > CAP_PACKET_MAX || p.wire_bytes < p.bytes.n)
            abort();
        for (size_t i = 0; i < p.bytes.n; i++)
            add(&sum, p.bytes.p[i]);
        add(&sum, (uint64_t)p.at.ns);
        add(&sum, p.interface);
        if (cap_link_decode(l, &p, &seg) == CAP_SEEN_SEGMENT)
            add(&sum, seg.payload_bytes);
        packets++;
    }
    if ((rc < 0) != (e.code != ERR_OK))
        abort();
    if (s) {
        if (cap_source_counts(s)->packets != packets)
            abort();
        cap_source_close(s);
    }
    cap_link_free(l);
    add(&sum, (uint64_t)rc);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (read_all(data, size) != read_all(data, size))
        abort();
    return 0;
}
