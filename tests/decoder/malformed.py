#!/usr/bin/env python3
"""malformed.py REPRISE FOLDER - files that break FORMAT.md, through `reprise trace verify`.

Each differs from a sound file in one thing, and the one error must name it and its place. The
unit tests hold every sentence; this is a sample of them made by the second writer.

SPDX-License-Identifier: Apache-2.0
"""
import os
import struct
import subprocess
import sys

import trc_encode

RECORDS = [{"index": i, "arrival_ns": 1000 * i, "protocol": "rest", "tier": "any",
            "resource": "model", "name": "iris", "status": 200,
            "body": {"text": "abc"}} for i in range(3)]
DESCRIPTION = {"kind": "trace", "records": RECORDS}


def sound():
    return bytearray(trc_encode.encode(DESCRIPTION))


FIRST = trc_encode.File(DESCRIPTION)
trc_encode.meta(FIRST, [])
AT = len(FIRST.out)  # of the OPS block
BYTES = 136 + sum(struct.unpack_from("<8I", sound(), AT + 64)[1::2])  # of it


def with_column(group, ident, content):
    """The OPS block with another column (None: without it), checksums right."""
    class Changed(trc_encode.File):
        def block(self, kind, records, first, groups, t_min=0, t_max=0):
            if kind == trc_encode.OPS:
                groups[group][ident] = content
            super().block(kind, records, first, groups, t_min, t_max)
    plain, trc_encode.File = trc_encode.File, Changed
    try:
        return bytearray(trc_encode.encode(DESCRIPTION))
    finally:
        trc_encode.File = plain


def with_header(offset, value, sign=True):
    """Byte `offset` of the content of the OPS block's header changed."""
    file = sound()
    file[AT + 8 + offset] = value
    if sign:
        length = struct.unpack_from("<I", file, AT + 4)[0]
        file[AT + 128:AT + 136] = bytes(8)
        head = bytes(file[AT:AT + 8 + length])
        struct.pack_into("<Q", file, AT + 128, trc_encode.xxh64(head))
    return file


def with_byte(at):
    """One bit of a sound file turned round."""
    file = sound()
    file[at] ^= 1
    return file


COLUMN = "OPS block 1: {} column {}: {} at byte " + str(AT)
CASES = [
    (b"", "the file is empty"),
    (b"GET / HTTP/1.1\r\n\r\n", "not a trace or run: no block header at byte 0"),
    (sound()[:5], "the file ends within its first header at byte 5"),
    (with_header(7, 2), f"block header: unknown flags 0x02 at byte {AT}"),
    (with_header(8, 9), f"block header: unknown resolution 10^9 ns at byte {AT}"),
    (with_header(12, 9), f"blocks 1 to 8 are missing at byte {AT}"),
    (with_header(12, 0), f"block 0 where block 1 belongs at byte {AT}"),
    (with_header(40, 5), f"block 1: first index 5 where 0 belongs at byte {AT}"),
    (with_header(47, 0x80), f"block header: impossible first index at byte {AT}"),
    (with_header(6, 0x86), f"OUTCOMES block 1 in a trace at byte {AT}"),
    (with_header(6, 0x9F), "block 1 is of kind 0x9f, which must be understood and is not known "
     f"to this version at byte {AT}"),
    (with_header(88, 0), f"block 1: schedule: checksum mismatch at byte {AT}"),
    (with_header(52, 7), f"block 1: the block before has {AT} bytes, not 7 at byte {AT}"),
    (with_column(0, 32, None), COLUMN.format("schedule", 32, "the stream table is absent")),
    (with_column(0, 32, b"\xff\xff\xff\xff\x0f"),
     COLUMN.format("schedule", 32, "impossible count of streams")),
    (with_column(1, 5, b"\x09\x00"), COLUMN.format("answers", 5, "malformed integers")),
    (with_column(1, 5, b"\x01\x00\x00"), COLUMN.format("answers", 5, "bytes left over")),
    (with_column(1, 5, b"\x01\x80\x80\x04"),
     COLUMN.format("answers", 5, "a value out of range")),
    (with_column(1, 9, b"\x01\x01"),
     COLUMN.format("answers", 9, "a reference outside of its table")),
    (with_column(2, 23, b"\x01\x00"),
     COLUMN.format("ids", 23, "a weight that is not above 0")),
    (with_column(2, 16, b"\x01\x01"), COLUMN.format("ids", 17, "ends early")),
    (with_column(3, 24, b"\x01\x01\x07"),
     COLUMN.format("payload", 24, "unknown form of a body")),
    (with_column(3, 24, b"\x01\x01\x20"),
     COLUMN.format("payload", 26, "fewer bytes than the bodies have")),
    (with_column(3, 24, b"\x01\x01\x10"),
     COLUMN.format("payload", 24, "details or bytes left over")),
    (with_column(0, 3, None),
     COLUMN.format("schedule", 3, "a table entry that nothing refers to")),
    (with_byte(-1), f"the tail is damaged at byte {len(sound()) - 40}"),
    (with_byte(AT + 140), f"block 1: schedule: checksum mismatch at byte {AT}"),
    (with_byte(AT + 60), f"block header: checksum mismatch at byte {AT}; {BYTES} bytes skipped "
     f"at byte {AT}"),
]


def main():
    program, path, failed = sys.argv[1], os.path.join(sys.argv[2], "malformed.trace"), 0
    for number, (file, reason) in enumerate(CASES):
        with open(path, "wb") as f:
            f.write(file)
        done = subprocess.run([program, "trace", "verify", path], capture_output=True,
                              check=False)
        want = f"reprise trace verify: '{path}': {reason}\n"
        if (done.returncode, done.stdout.decode(), done.stderr.decode()) != (65, "", want):
            failed += 1
            print(f"malformed file {number}: exit {done.returncode}, wanted 65")
            print(f"  got    {done.stdout.decode()}{done.stderr.decode()}  wanted {want}", end="")
    print(f"{len(CASES) - failed} malformed files refused as they must be, {failed} not")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
