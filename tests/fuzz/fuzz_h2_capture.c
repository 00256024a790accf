/*
 * fuzz_h2_capture.c - as fuzz_h1_capture, behind an HTTP/2 preface: frames, header
 * blocks, gRPC.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/fuzz/wire_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    wire_fuzz(data, size, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    return 0;
}
