#!/usr/bin/env python3
"""trc_decode.py FILE - prints the records of a trace or a run as JSON lines.

A second reader of the container, short and slow, laid out like traces/FORMAT.md and written
from it alone: what it prints must be what `reprise trace cat --jsonl` prints. It checks every
checksum, but does not recover from damage: the first fault ends it.

SPDX-License-Identifier: Apache-2.0
"""
import base64
import json
import struct
import sys

import xxhash
import zstandard


def need(condition, what):
    if not condition:
        sys.exit(f"trc_decode: {what}")


# --- 1. Words and encodings ---

class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def left(self):
        return len(self.data) - self.at

    def take(self, n):
        need(n <= self.left(), "bytes end early")
        self.at += n
        return self.data[self.at - n:self.at]

    def varint(self):
        value = shift = 0
        while True:
            need(shift < 70, "varint of more than 10 bytes")
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                need(value < 1 << 64, "varint of more than 64 bits")
                return value

    def zigzag(self):
        v = self.varint()
        return (v >> 1) ^ -(v & 1)

    def string(self):
        return self.take(self.varint())


def xxh64(data):
    return xxhash.xxh3_64_intdigest(data)


def xxh128(data):
    return xxhash.xxh3_128_intdigest(data)


# --- 3. Block ---

KINDS = {0x81: "META", 0x82: "OPS", 0x83: "BLOBS", 0x04: "STATS", 0x85: "LATE",
         0x86: "OUTCOMES", 0x07: "INDEX", 0x08: "FOOTER"}


class Block:
    def __init__(self, file, at):
        magic, length = struct.unpack_from("<II", file, at)
        need(magic == 0x184D2A5E and 128 <= length <= 4088, f"no header at byte {at}")
        frame = bytearray(file[at:at + 8 + length])
        h = frame[8:]
        need(h[:4] == b"\x89TRZ", f"no block at byte {at}")
        (self.major, self.minor, self.kind, self.flags, self.resolution) = h[4:9]
        need(self.major == 1, f"version {self.major}")
        (self.ordinal, self.file_id, self.t_min, self.t_max, self.first, self.records,
         self.prev) = struct.unpack_from("<IQqqQII", h, 12)
        lengths = struct.unpack_from("<8I", h, 56)
        hashes = struct.unpack_from("<4Q", h, 88)
        frame[128:136] = bytes(8)
        need(xxh64(bytes(frame)) == struct.unpack_from("<Q", h, 120)[0], "header checksum")
        need(self.flags & 0x0E == 0, "unknown flags")
        self.unit = 10 ** self.resolution
        self.groups = []
        end = at + 8 + length
        for g in range(4):
            raw, packed = lengths[2 * g:2 * g + 2]
            data = file[end:end + packed]
            end += packed
            if packed == 0:
                self.groups.append({})
                continue
            need(xxh64(data) == hashes[g], f"group checksum in block {self.ordinal}")
            data = zstandard.ZstdDecompressor().decompress(data)
            need(len(data) == raw, "raw length")
            self.groups.append(columns(data))
        self.end = end


# --- 5. Groups and columns ---

KNOWN = set(range(1, 10)) | set(range(16, 27)) | set(range(28, 46)) | \
    {47, 48, 49, 50, 56, 57} | set(range(64, 70)) | set(range(72, 79)) | \
    {80, 81, 82, 84, 85, 86, 88, 89, 90}


def columns(data):
    out, c, last = {}, Cursor(data), 0
    while c.left():
        tag = c.varint()
        ident, content = tag >> 1, c.string()
        need(ident > last, "column ids must ascend")
        last = ident
        if ident in KNOWN:
            out[ident] = content
        else:
            need(tag & 1 == 0, f"column {ident} must be understood")
    return out


def integers(content, n):
    """An integer column of n values; None for "none"."""
    c = Cursor(content)
    form = c.take(1)[0]
    need(form < 8, "unknown form of integers")

    def value():
        v = c.varint()
        if form & 4:
            if v == 0:
                return None
            v -= 1
        return (v >> 1) ^ -(v & 1) if form & 2 else v

    values = [value()] * n if form & 1 else [value() for _ in range(n)]
    need(c.left() == 0, "bytes left over in a column")
    return values


def column(group, ident, n, default):
    return integers(group[ident], n) if ident in group else [default] * n


# --- 5.2 Stream table ---

PROTOCOLS = ["rest", "grpc", "kafka", "control"]
TIERS = ["any", "envoy", "rproxy", "server", "pipelinegateway", "modelgateway", "kafka"]
RESOURCES = ["model", "pipeline", "experiment"]


def streams(content):
    table, out = Cursor(content), []
    for _ in range(table.varint()):
        c = Cursor(table.string())
        s = {"protocol": PROTOCOLS[c.varint()], "tier": TIERS[c.varint()],
             "resource": RESOURCES[c.varint()]}
        for key in ("name", "model_type", "method", "path", "content_type",
                    "content_encoding"):
            s[key] = c.string()
        s["headers"] = [(c.string(), c.string()) for _ in range(c.varint())]
        out.append(s)
    return out


# --- 5.3 Bodies ---

def bodies(group, ident, blobs):
    """[(state, bytes, hash, data)] of a table."""
    if ident not in group:
        return []
    c = Cursor(group[ident])
    n = c.varint()
    details = Cursor(group.get(ident + 1, b""))
    inline = Cursor(group.get(ident + 2, b""))
    out = []
    for v in integers(c.take(c.left()), n):
        size, form = v >> 3, v & 7
        need(form <= 2, "unknown form of a body")
        if form == 0:
            data = inline.take(size)
            out.append(("kept", size, xxh128(data), data))
            continue
        first, count = (details.varint(), details.varint()) if form == 1 else (0, 0)
        low, high = struct.unpack("<QQ", details.take(16))
        data = b"".join(blobs[first:first + count])
        if form == 1:
            need(first + count <= len(blobs), "a blob that does not stand before")
            need(len(data) == size and xxh128(data) == high << 64 | low, "a wrong blob")
        out.append(("kept" if form == 1 else "elided", size, high << 64 | low, data))
    need(details.left() == 0 and inline.left() == 0, "bytes of bodies left over")
    return out


def resolve(codes, table):
    """Body references to entries of the table, or None."""
    out, used = [], 0
    for k in codes:
        if k == 0:
            out.append(None)
        elif k == 1:
            out.append(table[used])
            used += 1
        else:
            need(k - 1 <= used, "a reference outside of its table")
            out.append(table[used - (k - 1)])
    need(used == len(table), "a table entry that nothing refers to")
    return out


# --- 5.1.1 Messages ---

def messages(group, ident, n, unit, sizes):
    """A list of [time, bytes] per record, or None."""
    counts = column(group, ident, n, 0)
    need(ident in group or not group.keys() & {ident + 1, ident + 2}, "messages without counts")
    total = sum(counts)
    need(total <= 1 << 20 and all(k <= 65535 for k in counts), "too many messages")
    times, sizes_of = column(group, ident + 1, total, 0), column(group, ident + 2, total, 0)
    out, at = [], 0
    for count, size in zip(counts, sizes):
        now, one = 0, []
        for k in range(at, at + count):
            now += times[k]
            one.append([now * unit, sizes_of[k]])
        at += count
        need(not one or size is None or sum(m[1] for m in one) == size,
             "messages are not their body")
        out.append(one or None)
    return out


# --- 10. JSON lines ---

def text(data):
    if b"\0" not in data:
        try:
            return data.decode()
        except UnicodeDecodeError:
            pass
    return {"base64": base64.b64encode(data).decode()}


def body_json(body):
    state, size, digest, data = body
    out = {}
    if state == "kept":
        t = text(data)
        out = t if isinstance(t, dict) else {"text": t}
    return {**out, "bytes": size, "hash": f"{digest:032x}"}


def stream_names(s):
    return {"protocol": s["protocol"], "tier": s["tier"], "resource": s["resource"],
            "name": text(s["name"])}


def stream_details(s):
    out = {key: text(s[key]) for key in ("model_type", "method", "path", "content_type",
                                         "content_encoding") if s[key]}
    if s["headers"]:
        out["headers"] = [[text(n), text(v)] for n, v in s["headers"]]
    return out


FLAGS = ["truncated", "redacted", "inferred", "opaque", "gap", "sampled", "dequantized",
         "synthetic", "k6"]


def flag_names(bits):
    """The member "flags", where there are any."""
    names = [FLAGS[k] if k < len(FLAGS) else k for k in range(32) if bits >> k & 1]
    return {"flags": names} if names else {}


CODINGS = {1: "gzip", 2: "deflate", 3: "zstd", 4: "br", 5: "compress", 6: "snappy"}


def coding_names(value):
    names = []
    while value:
        need(value & 15, "a list of encodings with a hole")
        names.append(CODINGS.get(value & 15, "other"))
        value >>= 4
    return ", ".join(names)


def answers(b, n, blobs):
    """What columns 5 to 9 and 31 say, as the members of n JSON objects."""
    g = b.groups[1]
    status, grpc = column(g, 5, n, 0), column(g, 6, n, None)
    first, last = column(g, 7, n, None), column(g, 8, n, None)
    response = resolve(column(g, 9, n, 0), bodies(b.groups[3], 28, blobs))
    codings = column(g, 31, n, 0)
    parts = messages(b.groups[3], 84, n, b.unit, [r[1] if r else 0 for r in response])
    out = []
    for i in range(n):
        o = {}
        if status[i]:
            o["status"] = status[i]
        if grpc[i] is not None:
            o["grpc_status"] = grpc[i]
        if first[i] is not None:
            o["first_ns"] = first[i] * b.unit
        if last[i] is not None:
            o["last_ns"] = (last[i] + (first[i] or 0)) * b.unit
        if response[i]:
            o["answer"] = body_json(response[i])
        if codings[i]:
            o["answer_encoding"] = coding_names(codings[i])
        if parts[i]:
            o["answer_messages"] = parts[i]
        out.append(o)
    return out


# --- 5.1 OPS ---

def uuid(data):
    h = data.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}".encode()


def xid(data):
    bits = int.from_bytes(data, "big") << 4
    digits = "0123456789abcdefghijklmnopqrstuv"
    return "".join(digits[bits >> 5 * (19 - i) & 31] for i in range(20)).encode()


def idents(g, n):
    c, out = Cursor(g.get(17, b"")), []
    for form in column(g, 16, n, 0):
        out.append(b"" if form == 0 else uuid(c.take(16)) if form == 1 else
                   xid(c.take(12)) if form == 2 else c.take(form - 3))
    need(c.left() == 0, "ids are longer than said")
    return out


def ops(b, blobs):
    n, (schedule, _, ids, payload) = b.records, b.groups
    table = streams(schedule[32])
    now, arrivals = b.t_min, []
    for step in integers(schedule[1], n):
        now += step * b.unit
        arrivals.append(now)
    need(arrivals[-1] == b.t_max, "the last arrival is not t_max")
    stream, flags = column(schedule, 2, n, 0), column(schedule, 4, n, 0)
    request = resolve(column(schedule, 3, n, 0), bodies(payload, 24, blobs))
    parts = messages(payload, 80, n, b.unit, [r[1] if r else 0 for r in request])
    ident, answer = idents(ids, n), answers(b, n, blobs)
    ordinals = {key: column(ids, number, n, None) for key, number in
                (("connection", 18), ("conn_stream", 19), ("client", 20),
                 ("tokens_in", 21), ("tokens_out", 22))}
    weight = column(ids, 23, n, 0x3F800000)
    for i in range(n):
        s = table[stream[i]]
        o = {"index": b.first + i, "arrival_ns": arrivals[i], **stream_names(s),
             **stream_details(s)}
        o.update(flag_names(flags[i]))
        if request[i]:
            o["body"] = body_json(request[i])
        if parts[i]:
            o["messages"] = parts[i]
        if ident[i]:
            o["id"] = text(ident[i])
        for key, values in ordinals.items():
            if values[i] is not None:
                o[key] = values[i]
        w = struct.unpack("<f", struct.pack("<I", weight[i]))[0]
        if w != 1:
            o["weight"] = w
        yield {**o, **answer[i]}


# --- 5.4 BLOBS, 5.5 LATE ---

def more_blobs(b):
    group = b.groups[3]
    c = Cursor(group[49])
    return [c.take(n) for n in integers(group[48], b.records)]


def late(b, blobs):
    c = Cursor(b.groups[1][50])
    index = c.varint()
    flags = column(b.groups[1], 4, b.records, 0)
    for step, added, answer in zip(integers(c.take(c.left()), b.records), flags,
                                   answers(b, b.records, blobs)):
        index += step
        yield {"late": index, **flag_names(added), **answer}


# --- 5.6 OUTCOMES ---

CAUSES = ["ok", "status", "connect", "reset", "closed", "garbage", "too-big", "deadline",
          "dropped", "refused", "stopped"]
CHECKS = ["unchecked", "right", "wrong", "crossed"]
WAITS = ["none", "slot", "own", "connect", "turn"]


def outcomes(b):
    n, (schedule, answer, ids, payload) = b.records, b.groups
    table = streams(schedule[32])
    c = Cursor(schedule[33])
    base, due, op = c.varint(), b.t_min, -1
    steps = integers(c.take(c.left()), n)
    hashes = Cursor(payload.get(45, b""))
    hash_table = [struct.unpack("<Q", hashes.take(8))[0]
                  for _ in range(len(hashes.data) // 8)]
    answer_hash = resolve(column(payload, 44, n, 0), hash_table)
    parts = messages(answer, 88, n, 1, [None] * n)
    col = {key: column(group, number, n, default) for key, group, number, default in (
        ("due", schedule, 1, 0), ("stream", schedule, 2, 0), ("status", answer, 5, 0),
        ("grpc", answer, 6, None), ("cause", answer, 34, 0), ("check", answer, 35, 0),
        ("ready", answer, 36, None), ("sent", answer, 37, None),
        ("first", answer, 38, None), ("done", answer, 39, None),
        ("attempts", answer, 40, 1), ("wait", answer, 47, 0), ("connection", ids, 18, None),
        ("worker", ids, 41, 0), ("out", ids, 42, 0), ("in", ids, 43, 0))}
    for i in range(n):
        due += col["due"][i]
        op = base + steps[i] if i == 0 else op + 1 + steps[i]
        s = table[col["stream"][i]]
        o = {"op": op, "due_ns": due, **stream_names(s),
             "cause": CAUSES[col["cause"][i]], "check": CHECKS[col["check"][i]]}
        latest = due
        for key in ("ready", "sent", "first", "done"):
            if col[key][i] is not None:
                latest += col[key][i]
                o[key + "_ns"] = latest
        if col["status"][i]:
            o["status"] = col["status"][i]
        if col["grpc"][i] is not None:
            o["grpc_status"] = col["grpc"][i]
        o["attempts"] = col["attempts"][i]
        if col["wait"][i]:
            o["wait"] = WAITS[col["wait"][i]]
        o["worker"] = col["worker"][i]
        if col["connection"][i] is not None:
            o["connection"] = col["connection"][i]
        o["bytes_out"], o["bytes_in"] = col["out"][i], col["in"][i]
        if answer_hash[i]:
            o["answer_hash"] = f"{answer_hash[i]:016x}"
        if parts[i]:
            o["messages"] = parts[i]
        yield {**o, **stream_details(s)}


# --- 2. File, 5.10 TAIL ---

def decode(file):
    at, blobs, file_id, kind = 0, [], None, None
    while kind != "FOOTER":
        need(at + 136 <= len(file), "the file ends without a footer")
        b = Block(file, at)
        file_id = file_id or b.file_id
        need(b.file_id == file_id, "a block of another file")
        kind = KINDS.get(b.kind)
        need(kind or b.kind < 0x80, f"block of kind {b.kind:#x} must be understood")
        if kind == "OPS":
            yield from ops(b, blobs)
        elif kind == "OUTCOMES":
            yield from outcomes(b)
        elif kind == "LATE":
            yield from late(b, blobs)
        elif kind == "BLOBS":
            blobs += more_blobs(b)
        footer, at = at, b.end
    magic, length, mark, major, tail_id, where, check = \
        struct.unpack_from("<II4sB3xQQQ", file, at)
    need((magic, length, mark, major, tail_id, where, check) ==
         (0x184D2A5E, 32, b"\x89TRE", 1, file_id, footer, xxh64(file[at:at + 32])), "tail")


def main():
    with open(sys.argv[1], "rb") as f:
        file = f.read()
    for record in decode(file):
        print(json.dumps(record, ensure_ascii=False, separators=(",", ":")))


if __name__ == "__main__":
    main()
