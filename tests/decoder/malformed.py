#!/usr/bin/env python3
"""malformed.py REPRISE FOLDER - files that break FORMAT.md, through `reprise trace verify`, `cat`
and `info`.

Each differs from a sound file in one thing, and the one error must name it and its place. `cat`
warns of the same, goes on and ends with 65; `info` reads index and footer alone and so fails where
there is no file to speak of. The unit tests hold every sentence; this is a sample of them made by
the second writer.

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


def block_bytes(at):
    return 136 + sum(struct.unpack_from("<8I", sound(), at + 64)[1::2])


BYTES = block_bytes(AT)
FOOTER = AT + BYTES + block_bytes(AT + BYTES)  # where its block begins, behind INDEX


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


# What each tool may say instead of what `verify` says: only what it reads can be found.
SILENT = []  # `cat`: nothing, and exit status 0
OPS_NAMED = "OPS "  # `cat` knows the kind of the block by then
UNREADABLE = "unreadable"  # no tool can begin
UNCLOSED = "unclosed"  # `cat` says the same, but nothing is lost: exit status 0


class More(list):
    """`cat` goes on where `verify` stops, and has more to say."""


STREAMS = bytes.fromhex("010e0000000469726973000000000000")
END = len(sound())
COLUMN = "OPS block 1: {} column {}: {} at byte " + str(AT)
CASES = [
    (b"", "the file is empty", UNREADABLE),
    (b"GET / HTTP/1.1\r\n\r\n", "not a trace or run: no block header at byte 0", UNREADABLE),
    (sound()[:5], "the file ends within its first header at byte 5", UNREADABLE),
    (with_header(7, 2), f"block header: unknown flags 0x02 at byte {AT}"),
    (with_header(8, 9), f"block header: unknown resolution 10^9 ns at byte {AT}"),
    (with_header(12, 9), f"blocks 1 to 8 are missing at byte {AT}",
     More([f"block 2 where block 10 belongs at byte {AT + BYTES}",
           f"block 3 where block 10 belongs at byte {FOOTER}",
           f"the file ends without a sound footer at byte {END - 40}"])),
    (with_header(12, 0), f"block 0 where block 1 belongs at byte {AT}",
     More([f"blocks 1 to 1 are missing at byte {AT + BYTES}"])),
    (with_header(40, 5), f"block 1: first index 5 where 0 belongs at byte {AT}"),
    (with_header(47, 0x80), f"block header: impossible first index at byte {AT}"),
    (with_header(6, 0x86), f"OUTCOMES block 1 in a trace at byte {AT}"),
    (with_header(6, 0x9F), "block 1 is of kind 0x9f, which must be understood and is not known "
     f"to this version at byte {AT}"),
    (with_header(88, 0), f"block 1: schedule: checksum mismatch at byte {AT}", OPS_NAMED),
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
    (with_column(1, 31, b"\x01\x90\x02"),
     COLUMN.format("answers", 31, "a list with a hole")),
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
    (with_byte(AT + 140), f"block 1: schedule: checksum mismatch at byte {AT}", OPS_NAMED),
    (with_byte(AT + 60), f"block header: checksum mismatch at byte {AT}; {BYTES} bytes skipped "
     f"at byte {AT}"),
    (with_header(0, 0x88), f"no block header; {BYTES} bytes skipped at byte {AT}"),
    (with_header(4, 2), "block header: format version 2, this program reads version 1 at byte "
     f"{AT}; {BYTES} bytes skipped at byte {AT}"),
    (with_header(16, 9), f"a block of another file; {BYTES} bytes skipped at byte {AT}"),
    (with_header(31, 0x80), f"block header: impossible times at byte {AT}"),
    (with_header(24, 0xFF), COLUMN.format("schedule", 1, "an arrival behind t_max")),
    (with_header(32, 0), COLUMN.format("schedule", 1, "an arrival behind t_max")),
    (with_header(48, 0), COLUMN.format("payload", 24, "more bodies than records")),
    (with_header(48, 4), COLUMN.format("schedule", 3, "malformed integers")),
    (with_header(48, 2), COLUMN.format("schedule", 1, "bytes left over")),
    (with_header(50, 0x11), f"block header: 1114115 records, limit 1048576 at byte {AT}"),
    (with_header(59, 5), f"block header: raw length above 67108864 bytes at byte {AT}"),
    (with_header(60, 0), f"block header: half of group schedule is absent at byte {AT}",
     More([f"no block header; 41 bytes skipped at byte {AT + BYTES - 41}"])),
    (with_header(63, 0xFF), "block header: group schedule: 4278190121 compressed bytes for 32 at "
     f"byte {AT}",
     More(["the file was not closed: it ends without a footer at byte "
           f"{AT + BYTES + 0xFF000000}"])),
    (with_header(72, 1), f"block header: half of group ids is absent at byte {AT}"),
    (with_header(96, 1), f"block 1: answers: checksum mismatch at byte {AT}", OPS_NAMED),
    (with_header(6, 0x02),
     f"INDEX block 2: entry 1 is not what the file holds at byte {AT + BYTES}", SILENT),
    (with_header(7, 1), f"block 1: another kind of file at byte {AT}"),
    (with_header(8, 3), f"block 1: another kind of file at byte {AT}"),
    (with_header(120, 0, False), f"block header: checksum mismatch at byte {AT}; {BYTES} bytes "
     f"skipped at byte {AT}"),
    (with_column(0, 1, None), COLUMN.format("schedule", 1, "the column is absent")),
    (with_column(0, 1, b""), COLUMN.format("schedule", 1, "malformed integers")),
    (with_column(0, 1, b"\x00\x00\xe8\x07\xe8\x07\x00"),
     COLUMN.format("schedule", 1, "bytes left over")),
    (with_column(0, 1, b"\x01\x03"),
     COLUMN.format("schedule", 1, "the last arrival is not t_max")),
    (with_column(0, 3, b"\xff" * 11), COLUMN.format("schedule", 3, "malformed integers")),
    (with_column(0, 3, b"\x00\x01\x02\x02\x00"),
     COLUMN.format("schedule", 3, "bytes left over")),
    (with_column(0, 3, b"\x01\x03"),
     COLUMN.format("schedule", 3, "a reference outside of its table")),
    (with_column(0, 32, b""), COLUMN.format("schedule", 32, "impossible count of streams")),
    (with_column(0, 32, STREAMS[:-1]), COLUMN.format("schedule", 32, "malformed stream")),
    (with_column(0, 32, STREAMS + b"\0"), COLUMN.format("schedule", 32, "bytes left over")),
    (with_column(1, 5, b"\x01\x03"),
     f"the content hash of the footer is not the file's at byte {FOOTER - 1}", SILENT),
    (with_column(3, 24, None), COLUMN.format("payload", 24, "details or bytes left over")),
    (with_column(3, 24, b""), COLUMN.format("payload", 24, "more bodies than records")),
    (with_column(3, 24, b"\x01\x01"), COLUMN.format("payload", 24, "malformed integers")),
    (with_column(3, 24, b"\x01\x01\x18\x00"), COLUMN.format("payload", 24, "bytes left over")),
    (with_column(3, 26, None), COLUMN.format("payload", 26, "fewer bytes than the bodies have")),
    (with_column(3, 26, b"abc\0"), COLUMN.format("payload", 24, "details or bytes left over")),
    (with_column(3, 26, b"abd"),
     f"the content hash of the footer is not the file's at byte {FOOTER}", SILENT),
    (sound()[:4], "the file ends within its first header at byte 4", UNREADABLE),
    (sound()[:135], "the file ends within its first header at byte 135", UNREADABLE),
    (sound()[:136], f"block 0 is cut off: wanted {AT} bytes, got 136 at byte 0"),
    (sound()[:AT], f"the file was not closed: it ends without a footer at byte {AT}", UNCLOSED),
    (sound()[:AT + 1], f"block 1 is cut off: wanted 136 bytes, got 1 at byte {AT}"),
    (sound()[:AT + 140], f"block 1 is cut off: wanted {BYTES} bytes, got 140 at byte {AT}"),
    (sound()[:-1], f"the tail is cut off: wanted 40 bytes, got 39 at byte {END - 40}", UNCLOSED),
    (sound()[:-40], f"the tail is cut off: wanted 40 bytes, got 0 at byte {END - 40}", UNCLOSED),
    (sound()[:-41], f"block 3 is cut off: wanted {END - 40 - FOOTER} bytes, got "
     f"{END - 41 - FOOTER} at byte {FOOTER}"),
    (sound() + b"x", f"1 bytes stand behind the end of the file's own at byte {END}", SILENT),
    (sound()[:AT + BYTES] + sound()[AT:],
     f"block 1 where block 2 belongs at byte {AT + BYTES}",
     More([f"the tail is damaged at byte {END - 40 + BYTES}"])),
    (with_byte(-32), f"the tail is damaged at byte {END - 40}"),
    (with_byte(-16), f"the tail is damaged at byte {END - 40}"),
]

# Stale bytes: another file's, or the file's own once more, behind what counts. They are named, and
# what is read is the file's own three operations.
OTHER = bytes(trc_encode.encode({**DESCRIPTION, "records": [
    {**r, "arrival_ns": r["arrival_ns"] + 5, "name": "other"} for r in RECORDS * 2]}))
STALE = [
    (sound() + sound(), f"{END} bytes stand behind the end of the file's own at byte {END}",
     SILENT),
    (sound() + OTHER, f"{len(OTHER)} bytes stand behind the end of the file's own at byte {END}",
     SILENT),
    (sound() + sound()[AT:AT + BYTES],
     f"{BYTES} bytes stand behind the end of the file's own at byte {END}", SILENT),
    (sound()[:AT + BYTES] + OTHER, "no block of this file from here on: a block of "
     f"another file at byte {AT + BYTES}"),
    (sound()[:AT + BYTES] + OTHER[AT + BYTES:], "no block of this file from here on: no block "
     f"header at byte {AT + BYTES}"),
    (sound()[:AT + BYTES] + OTHER[-40:], f"block 2 is cut off: wanted 136 bytes, got 40 at byte "
     f"{AT + BYTES}"),
]


def run(program, tool, path):
    done = subprocess.run([program, "trace", tool, path], capture_output=True, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def wanted_of_cat(path, reason, how):
    """Exit status and stderr."""
    if how is UNREADABLE:
        return 65, f"reprise trace cat: '{path}': {reason}\n"
    if how is SILENT:
        return 0, ""
    first = (how if how is OPS_NAMED else "") + reason
    more = how if isinstance(how, More) else []
    return 0 if how is UNCLOSED else 65, "".join(
        f"reprise trace cat: warning: '{path}': {line}\n" for line in [first, *more])


def check(program, path, number, file, reason, how=None):
    with open(path, "wb") as f:
        f.write(file)
    info = (65, "", f"reprise trace info: '{path}': {reason}\n") if how is UNREADABLE else (0, "")
    wants = {"verify": (65, "", f"reprise trace verify: '{path}': {reason}\n"),
             "cat": wanted_of_cat(path, reason, how), "info": info}
    bad = 0
    for tool, want in wants.items():
        got = run(program, tool, path)
        if len(want) == 2:  # what is on standard output is not the error's
            got = got[0], got[2]
        if got != want:
            bad = 1
            print(f"malformed file {number}, trace {tool}: got {got}\n  wanted {want}")
    return bad


def main():
    program, path, failed = sys.argv[1], os.path.join(sys.argv[2], "malformed.trace"), 0
    with open(path, "wb") as f:
        f.write(sound())
    own = run(program, "cat", path)[1]
    for number, case in enumerate(CASES + STALE):
        bad = check(program, path, number, *case)
        if case in STALE and run(program, "cat", path)[1] != own:
            bad = 1
            print(f"malformed file {number}: other operations than the file's own")
        failed += bad
    print(f"{len(CASES + STALE) - failed} malformed files refused as they must be, {failed} not")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
