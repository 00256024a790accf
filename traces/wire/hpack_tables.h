/*
 * hpack_tables.h - the tables of RFC 7541: its static headers and its Huffman code.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TRACES_WIRE_HPACK_TABLES_H
#define TRACES_WIRE_HPACK_TABLES_H

#include "traces/op.h"

#define HPACK_STATIC 61u

/* Appendix A; index 1 of the wire is [0]. */
extern const struct op_header hpack_static[HPACK_STATIC];

/* Appendix B. A code of b bits with value v stands for the symbol
 * symbols[begin[b] + v - first[b]] when that index is below begin[b + 1]; symbol 256
 * is the end of string. quick[] answers for the codes of up to eight bits at once; bits
 * 0: a longer one. */
#define HPACK_HUFFMAN_BITS 30u
extern const uint16_t hpack_huffman_symbols[257];
extern const uint32_t hpack_huffman_first[31];
extern const uint16_t hpack_huffman_begin[32];
struct hpack_huffman_quick {
    uint8_t symbol, bits;
};
extern const struct hpack_huffman_quick hpack_huffman_quick[256];

#endif
