/*
 * fuzz_h1_capture.c - any bytes of a connection, most of all HTTP/1.1: each is
 * accounted for after every call, what was handed on counts what was recorded, nothing
 * stays charged, and pieces tell the same exchanges as the whole.
 *
 * Input: a byte of options, then steps of one byte (direction, gap) and one of length.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/fuzz/wire_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    wire_fuzz(data, size, "");
    return 0;
}
