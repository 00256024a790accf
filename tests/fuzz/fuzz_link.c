/*
 * fuzz_link.c - no packet makes the decoder crash, or see more than there is.
 *
 * The input is a row of packets: one byte for the link type, one for what the snapshot
 * length cut off, one for the time that passes, two for the length, and the bytes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "capture/link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const int LINKS[] = {CAP_LINK_ETHERNET, CAP_LINK_SLL,  CAP_LINK_SLL2,
                            CAP_LINK_NULL,     CAP_LINK_LOOP, CAP_LINK_RAW,
                            CAP_LINK_IPV4,     CAP_LINK_IPV6, 105};

static void decode(struct cap_link *l, struct cap_packet *p, const uint8_t *bytes,
                   size_t n, uint64_t *sum)
{
    /* A copy of its own: reading past it is found. */
    uint8_t *exact = malloc(n ? n : 1);
    if (!exact)
        abort();
    if (n)
        memcpy(exact, bytes, n);
    p->bytes = span_of(exact, n);
    struct cap_segment seg;
    enum cap_seen seen = cap_link_decode(l, p, &seg);
    if (seen >= CAP_SEEN_COUNT || !cap_seen_names[seen])
        abort();
    if (seen == CAP_SEEN_SEGMENT) {
        if (seg.payload.n > seg.payload_bytes || seg.payload_bytes > 0x20000)
            abort();
        for (size_t i = 0; i < seg.payload.n; i++)
            *sum += seg.payload.p[i]; /* readable, all of it */
    }
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cap_link *l = cap_link_new(NULL);
    if (!l)
        abort();
    uint64_t packets = 0, sum = 0;
    struct cap_packet p = {0};
    for (struct cursor c = cursor_of(span_of(data, size)); cursor_left(&c) >= 5;) {
        p.link_type = LINKS[cursor_u8(&c) % (sizeof LINKS / sizeof LINKS[0])];
        size_t cut = cursor_u8(&c);
        p.at.ns += cursor_u8(&c) * CLK_SEC / 4;
        size_t n = cursor_u16(&c), left = cursor_left(&c);
        struct span bytes = cursor_take(&c, n < left ? n : left);
        p.wire_bytes = (uint32_t)(bytes.n + cut);
        decode(l, &p, bytes.p, bytes.n, &sum);
        packets++;
    }
    const struct cap_link_counts *counts = cap_link_counts(l);
    for (size_t i = 0; i < CAP_SEEN_COUNT; i++)
        packets -= counts->packets[i];
    if (packets != 0 || counts->fragments_lost > counts->packets[CAP_SEEN_FRAGMENT] +
                                                     counts->packets[CAP_SEEN_OVERLAP])
        abort();
    cap_link_free(l);
    return (int)(sum & 0);
}
