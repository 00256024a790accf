#!/usr/bin/env python3
"""trc_encode.py DESCRIPTION OUT - writes a trace or a run from a description in JSON.

A second writer of the container, short and slow, laid out like traces/FORMAT.md and written
from it alone. It can write what `reprise` never writes but must read: padded headers, columns
and blocks of later versions, other forms of integers, bodies in many small blobs.

The description: "kind" ("trace" or "run"), "resolution_ns", "epoch_wall_ns", "notes" and
"end_notes" (pairs), "records" (lines of FORMAT.md, section 10) and "layout":

  block_records   records of a block                        header_extra   bytes behind a header
  unknown_columns columns that may be skipped               unknown_blocks blocks of that sort
  further_bytes   where FORMAT.md says that readers ignore them
  metas           META blocks between the others            complete       INDEX, FOOTER, TAIL
  blob_min        least bytes of a body kept in blobs       fragment       most bytes of a blob
  loose           signed and nullable integers without need constant       one value for all
  minor           minor version                             level          of zstd

SPDX-License-Identifier: Apache-2.0
"""
import base64
import json
import struct
import sys

import xxhash
import zstandard

# --- 1. Words and encodings ---


def varint(v):
    out = bytearray()
    while v >= 0x80:
        out.append(v & 0x7F | 0x80)
        v >>= 7
    out.append(v)
    return bytes(out)


def zigzag(v):
    return varint(v << 1 if v >= 0 else -v * 2 - 1)


def string(data):
    return varint(len(data)) + data


def xxh64(data):
    return xxhash.xxh3_64_intdigest(data)


def u128(v):
    return struct.pack("<QQ", v & (1 << 64) - 1, v >> 64)


def xxh128(data):
    return xxhash.xxh3_128_intdigest(data)


def text(v):
    """The bytes of a text of section 10."""
    if isinstance(v, dict):
        return base64.b64decode(v["base64"])
    return v.encode()


# --- 3. Block ---

META, OPS, BLOBS, STATS, LATE, OUTCOMES, INDEX, FOOTER = \
    0x81, 0x82, 0x83, 0x04, 0x85, 0x86, 0x07, 0x08
FRAME = 0x184D2A5E


class File:
    def __init__(self, description):
        self.layout = {"block_records": 1 << 20, "header_extra": 0, "unknown_columns": False,
                       "unknown_blocks": False, "further_bytes": False, "metas": 0,
                       "complete": True, "blob_min": 1 << 30, "fragment": 1 << 24,
                       "loose": False, "constant": True, "minor": 0, "level": 3,
                       **description.get("layout", {})}
        self.run = description["kind"] == "run"
        self.unit = 1 if self.run else description.get("resolution_ns", 1)
        self.epoch = description.get("epoch_wall_ns", 0)
        self.file_id = xxh64(json.dumps(description, sort_keys=True).encode()) or 1
        self.out = bytearray()
        self.index = []  # (offset, kind, first, records, t_min, t_max)
        self.prev = 0
        self.blobs = {}  # body -> (first, fragments)
        self.blob_count = 0
        self.hash = 0
        self.payload_bytes = 0
        self.packer = zstandard.ZstdCompressor(level=self.layout["level"],
                                               write_content_size=True)

    def block(self, kind, records, first, groups, t_min=0, t_max=0):
        """groups: [{column id: bytes}], of group 0 and on."""
        lengths, hashes, frames = [], [], []
        for group in groups + [{}] * (4 - len(groups)):
            raw = self.group(group)
            packed = self.packer.compress(raw) if raw else b""
            lengths += [len(raw), len(packed)]
            hashes.append(xxh64(packed) if raw else 0)
            frames.append(packed)
        extra = self.layout["header_extra"]
        head = bytearray(struct.pack(
            "<II4s5B3xIQqqQII8I4QQ", FRAME, 128 + extra, b"\x89TRZ", 1, self.layout["minor"],
            kind, 0xA0 * (extra > 0) | self.run, {1: 0, 1000: 3, 1000000: 6}[self.unit],
            len(self.index), self.file_id, t_min, t_max, first, records, self.prev, *lengths,
            *hashes, 0)) + bytes(i & 0xFF for i in range(extra))
        struct.pack_into("<Q", head, 128, xxh64(bytes(head)))
        self.index.append((len(self.out), kind, first, records, t_min, t_max))
        block = bytes(head) + b"".join(frames)
        self.out += block
        self.prev = len(block)

    # --- 5. Groups and columns ---

    def group(self, columns):
        columns = {i: c for i, c in columns.items() if c is not None}
        tags = {i: 2 * i + 1 for i in columns}
        if columns and self.layout["unknown_columns"]:
            for i in (46, 99, 1 << 40):
                columns[i], tags[i] = b"later" * 3, 2 * i
        return b"".join(varint(tags[i]) + string(columns[i]) for i in sorted(columns))

    def integers(self, values):
        """An integer column; None is "none"."""
        loose = self.layout["loose"]
        nullable = loose or None in values
        signed = loose or any(v is not None and v < 0 for v in values)
        constant = self.layout["constant"] and len(values) > 0 and \
            all(v == values[0] for v in values)
        out = bytes([constant | signed << 1 | nullable << 2])
        for v in values[:1] if constant else values:
            if v is None:
                out += varint(0)
                continue
            v = (v << 1 if v >= 0 else -v * 2 - 1) if signed else v
            out += varint(v + nullable)
        return out

    def column(self, values, default):
        return None if all(v == default for v in values) else self.integers(values)

    def further(self):
        return b"\x07more" if self.layout["further_bytes"] else b""


# --- 5.2 Stream table ---

PROTOCOLS = ["rest", "grpc", "kafka", "control"]
TIERS = ["any", "envoy", "rproxy", "server", "pipelinegateway", "modelgateway", "kafka"]
RESOURCES = ["model", "pipeline", "experiment"]


def stream(o):
    """The entry of a record's stream."""
    out = varint(PROTOCOLS.index(o["protocol"])) + varint(TIERS.index(o["tier"])) + \
        varint(RESOURCES.index(o["resource"])) + string(text(o["name"]))
    for key in ("model_type", "method", "path", "content_type", "content_encoding"):
        out += string(text(o.get(key, "")))
    headers = o.get("headers", [])
    return out + varint(len(headers)) + \
        b"".join(string(text(n)) + string(text(v)) for n, v in headers)


def stream_table(f, entries):
    """(column 2, column 32) of the records' entries."""
    table = list(dict.fromkeys(entries))
    where = {entry: i for i, entry in enumerate(table)}
    return f.column([where[e] for e in entries], 0), \
        varint(len(table)) + b"".join(string(e + f.further()) for e in table)


# --- 5.3 Bodies ---

def body(o, key):
    """None, ("kept", bytes, hash, data) or ("elided", bytes, hash)."""
    if key not in o:
        return None
    b = o[key]
    if "text" in b or "base64" in b:
        data = b["text"].encode() if "text" in b else base64.b64decode(b["base64"])
        return ("kept", len(data), xxh128(data), data)
    return ("elided", b["bytes"], int(b["hash"], 16))


def references(values):
    """(codes, table): a value that was there before is told by how far it lies back."""
    table, codes = [], []
    for v in values:
        if v is None:
            codes.append(0)
        elif v in table:
            codes.append(len(table) - table.index(v) + 1)
        else:
            table.append(v)
            codes.append(1)
    return codes, table


def keep_blobs(f, bodies):
    """A BLOBS block with what is large and new among the bodies of the block to come."""
    fresh = []
    for b in bodies:
        if b and b[0] == "kept" and b[1] >= max(1, f.layout["blob_min"]) and b not in f.blobs:
            step = f.layout["fragment"]
            parts = [b[3][i:i + step] for i in range(0, b[1], step)]
            f.blobs[b] = (f.blob_count + len(fresh), len(parts))
            fresh += parts
    if fresh:
        f.block(BLOBS, len(fresh), f.blob_count,
                [{}, {}, {}, {48: f.integers([len(p) for p in fresh]), 49: b"".join(fresh)}])
        f.blob_count += len(fresh)


def body_columns(f, bodies, first_id):
    """(column of references, {table, details, bytes})."""
    codes, table = references(bodies)
    if not table:
        return None, {}
    forms, details, inline = [], b"", b""
    for b in table:
        if b[0] == "elided":
            forms.append(b[1] * 8 + 2)
            details += u128(b[2])
        elif b in f.blobs:
            forms.append(b[1] * 8 + 1)
            details += varint(f.blobs[b][0]) + varint(f.blobs[b][1]) + u128(b[2])
        else:
            forms.append(b[1] * 8)
            inline += b[3]
    return f.column(codes, 0), {first_id: varint(len(table)) + f.integers(forms),
                                first_id + 1: details or None, first_id + 2: inline or None}


# --- 5.1.1 Messages ---

def message_columns(f, records, key, first_id):
    lists = [o.get(key, []) for o in records]
    if not any(lists):
        return {}
    times = []
    for one in lists:
        at = [m[0] // f.unit for m in one]
        times += [b - a for a, b in zip([0] + at, at)]
    return {first_id: f.integers([len(one) for one in lists]),
            first_id + 1: f.integers(times),
            first_id + 2: f.integers([m[1] for one in lists for m in one])}


# --- 5.1 OPS ---

FLAGS = ["truncated", "redacted", "inferred", "opaque", "gap", "sampled", "dequantized",
         "synthetic", "k6"]
ORDINALS = {18: "connection", 19: "conn_stream", 20: "client", 21: "tokens_in",
            22: "tokens_out"}


def flags(o):
    return sum(1 << (FLAGS.index(x) if x in FLAGS else x) for x in o.get("flags", []))


def weight(o):
    return struct.unpack("<I", struct.pack("<f", o.get("weight", 1)))[0]


def ident(data):
    """(form, bytes) of an id."""
    digits = b"0123456789abcdefghijklmnopqrstuv"
    if not data:
        return 0, b""
    if len(data) == 36 and all(data[i] == 0x2D for i in (8, 13, 18, 23)):
        h = data[:8] + data[9:13] + data[14:18] + data[19:23] + data[24:]
        if all(c in b"0123456789abcdef" for c in h):
            return 1, bytes.fromhex(h.decode())
    if len(data) == 20 and all(c in digits for c in data):
        bits = 0
        for c in data:
            bits = bits << 5 | digits.index(c)
        if bits & 15 == 0:
            return 2, (bits >> 4).to_bytes(12, "big")
    return len(data) + 3, data


CODINGS = {"gzip": 1, "deflate": 2, "zstd": 3, "br": 4, "compress": 5, "snappy": 6, "other": 15}


def codings(o):
    names = o.get("answer_encoding", "")
    return sum(CODINGS[name] << 4 * i for i, name in enumerate(names.split(", ") if names else []))


def answer_columns(f, records):
    """(columns 5 to 9 and 31, columns of group 3)."""
    def time(o, key):
        return o[key] // f.unit if key in o else None
    first = [time(o, "first_ns") for o in records]
    last = [time(o, "last_ns") for o in records]
    refs, payload = body_columns(f, [body(o, "answer") for o in records], 28)
    return {5: f.column([o.get("status", 0) for o in records], 0),
            6: f.column([o.get("grpc_status") for o in records], None),
            7: f.column(first, None),
            8: f.column([b if b is None else b - (a or 0) for a, b in zip(first, last)], None),
            9: refs,
            31: f.column([codings(o) for o in records], 0)}, {**payload, **message_columns(f, records, "answer_messages", 84)}


def ops(f, records):
    arrivals = [o["arrival_ns"] // f.unit for o in records]
    bodies = [body(o, "body") for o in records]
    keep_blobs(f, bodies + [body(o, "answer") for o in records])
    request, payload = body_columns(f, bodies, 24)
    payload.update(message_columns(f, records, "messages", 80))
    which, table = stream_table(f, [stream(o) for o in records])
    answers, more = answer_columns(f, records)
    ids = [ident(text(o.get("id", ""))) for o in records]
    schedule = {1: f.integers([b - a for a, b in zip(arrivals[:1] + arrivals, arrivals)]),
                2: which, 3: request, 4: f.column([flags(o) for o in records], 0), 32: table}
    names = {16: f.column([form for form, _ in ids], 0),
             17: b"".join(data for _, data in ids) or None,
             23: f.column([weight(o) for o in records], 0x3F800000)}
    for number, key in ORDINALS.items():
        names[number] = f.column([o.get(key) for o in records], None)
    f.block(OPS, len(records), records[0]["index"], [schedule, answers, names,
            {**payload, **more}], arrivals[0] * f.unit, arrivals[-1] * f.unit)


# --- 5.5 LATE ---

def late(f, records, before):
    keep_blobs(f, [body(o, "answer") for o in records])
    answers, payload = answer_columns(f, records)
    index = [o["late"] for o in records]
    answers[4] = f.column([flags(o) for o in records], 0)
    answers[50] = varint(index[0]) + \
        f.integers([b - a for a, b in zip(index[:1] + index, index)])
    f.block(LATE, len(records), before, [{}, answers, {}, payload])


# --- 5.6 OUTCOMES ---

CAUSES = ["ok", "status", "connect", "reset", "closed", "garbage", "too-big", "deadline",
          "dropped", "refused", "stopped"]
CHECKS = ["unchecked", "right", "wrong", "crossed"]
WAITS = ["none", "slot", "own", "connect", "turn"]


def outcomes(f, records, before):
    due, op = [o["due_ns"] for o in records], [o["op"] for o in records]
    times = {36: "ready_ns", 37: "sent_ns", 38: "first_ns", 39: "done_ns"}
    columns = {number: [] for number in times}
    for o in records:
        latest = o["due_ns"]
        for number, key in times.items():
            columns[number].append(o[key] - latest if key in o else None)
            latest = o.get(key, latest)
    hashes = [int(o["answer_hash"], 16) if "answer_hash" in o else None for o in records]
    codes, table = references(hashes)
    which, streams = stream_table(f, [stream(o) for o in records])

    def of(key, default):
        return f.column([o.get(key, default) for o in records], default)
    f.block(OUTCOMES, len(records), before, [
        {1: f.integers([b - a for a, b in zip([min(due)] + due, due)]), 2: which, 32: streams,
         33: varint(op[0]) + f.integers([0] + [b - a - 1 for a, b in zip(op, op[1:])])},
        {5: of("status", 0), 6: of("grpc_status", None),
         34: f.column([CAUSES.index(o["cause"]) for o in records], 0),
         35: f.column([CHECKS.index(o["check"]) for o in records], 0), 40: of("attempts", 1),
         47: f.column([WAITS.index(o.get("wait", "none")) for o in records], 0),
         **{number: f.column(values, None) for number, values in columns.items()},
         **message_columns(f, records, "messages", 88)},
        {18: of("connection", None), 41: of("worker", 0), 42: of("bytes_out", 0),
         43: of("bytes_in", 0)},
        {44: f.column(codes, 0),
         45: b"".join(struct.pack("<Q", h) for h in table) or None}], min(due), max(due))


# --- 5.7 META ---

def meta(f, notes):
    columns = {56: varint(f.run) + zigzag(f.epoch) + f.further()}
    if notes:
        columns[57] = b"".join(string(k.encode()) + string(v.encode()) for k, v in notes)
    f.block(META, len(notes), 0, [columns])


# --- 5.8 INDEX, 5.9 FOOTER, 5.10 TAIL ---

def steps(values):
    return [b - a for a, b in zip([0] + values, values)]


def close(f, records):
    offset, kind, first, count, t_min, t_max = map(list, zip(*f.index))
    index_at, index_blocks = len(f.out), 1
    f.block(INDEX, len(offset), 0, [{
        64: f.integers(steps(offset)), 65: f.integers(kind), 66: f.integers(steps(first)),
        67: f.integers(count), 68: f.integers(steps(t_min)),
        69: f.integers([b - a for a, b in zip(t_min, t_max)])}])

    def pairs(key, names):
        counts = [sum(o[key] == name for o in records) for name in names]
        out = b"".join(varint(i) + varint(n) for i, n in enumerate(counts) if n)
        return out or None
    times = [o["due_ns" if f.run else "arrival_ns"] for o in records] or [0]
    models = {}
    for o in records:
        key = (RESOURCES.index(o["resource"]), text(o["name"]))
        models[key] = models.get(key, 0) + 1
    footer_at = len(f.out)
    f.block(FOOTER, 0, 0, [{
        72: varint(len(records)) + varint(len(f.index)) + zigzag(min(times)) +
        zigzag(max(times)) + varint(f.payload_bytes) + varint(f.blob_count) + u128(f.hash) +
        varint(index_at) + varint(index_blocks) + f.further(),
        73: pairs("protocol", PROTOCOLS), 74: pairs("tier", TIERS),
        75: pairs("cause", CAUSES) if f.run else None,
        76: pairs("check", CHECKS) if f.run else None,
        77: b"".join(varint(r) + string(name) + varint(models[r, name])
                     for r, name in sorted(models)) or None}])
    tail = struct.pack("<II4sB3xQQ", FRAME, 32, b"\x89TRE", 1, f.file_id, footer_at)
    f.out += tail + struct.pack("<Q", xxh64(tail))


# --- 6. Content hash ---

def hashed_body(b):
    if b is None:
        return bytes(25)
    return struct.pack("<BQ", 1 if b[0] == "kept" else 2, b[1]) + u128(b[2])


def ordinal(o, key):
    return struct.pack("<I", o.get(key, (1 << 32) - 1))


def time(o, key):
    return struct.pack("<q", o.get(key, -1 << 63))


def hashed_op(o):
    return b"op" + struct.pack("<Qq", o["index"], o["arrival_ns"]) + \
        u128(xxh128(stream(o))) + struct.pack("<I", flags(o)) + \
        b"".join(ordinal(o, key) for key in ORDINALS.values()) + \
        struct.pack("<I", weight(o)) + hashed_body(body(o, "body")) + text(o.get("id", ""))


def hashed_messages(tag, index, messages):
    return tag + struct.pack("<Q", index) + b"".join(struct.pack("<qQ", *m) for m in messages)


ANSWER = ("status", "grpc_status", "first_ns", "last_ns", "answer", "answer_encoding", "answer_messages")


def hashed_answer(index, o):
    return b"an" + struct.pack("<Q", index) + time(o, "first_ns") + time(o, "last_ns") + \
        struct.pack("<Hh", o.get("status", 0), o.get("grpc_status", -1)) + \
        hashed_body(body(o, "answer"))


def hashed_outcome(o):
    return b"ou" + struct.pack("<Q", o["op"]) + u128(xxh128(stream(o))) + struct.pack(
        "<BBBBHHh", CAUSES.index(o["cause"]), CHECKS.index(o["check"]), o["attempts"],
        WAITS.index(o.get("wait", "none")), o["worker"], o.get("status", 0), o.get("grpc_status", -1)) + \
        ordinal(o, "connection") + \
        b"".join(time(o, k) for k in ("due_ns", "ready_ns", "sent_ns", "first_ns", "done_ns")) + \
        struct.pack("<QQQ", o["bytes_out"], o["bytes_in"], int(o.get("answer_hash", "0"), 16))


def content_hash(run, records):
    if run:
        total = sum(xxh128(hashed_messages(b"om", o["op"], o["messages"]))
                    for o in records if "messages" in o)
        return (total + sum(xxh128(hashed_outcome(o)) for o in records)) % (1 << 128)
    total = sum(xxh128(hashed_op(o)) for o in records if "late" not in o)
    for tag, key in ((b"qm", "messages"), (b"rm", "answer_messages")):
        total += sum(xxh128(hashed_messages(tag, o.get("late", o.get("index")), o[key]))
                     for o in records if key in o)
    total += sum(xxh128(b"ae" + struct.pack("<QH", o.get("late", o.get("index")), codings(o)))
                 for o in records if codings(o))
    total += sum(xxh128(b"af" + struct.pack("<QI", o["late"], flags(o)))
                 for o in records if "late" in o and flags(o))
    return (total + sum(xxh128(hashed_answer(o.get("late", o.get("index")), o))
                        for o in records if any(key in o for key in ANSWER))) % (1 << 128)


# --- 2. File ---

def runs_of(records, most):
    """Consecutive records of one sort, cut into blocks."""
    block = []
    for o in records:
        if block and (len(block) == most or ("late" in o) != ("late" in block[0]) or
                      "late" in o and o["late"] < block[-1]["late"]):
            yield block
            block = []
        block.append(o)
    if block:
        yield block


def encode(description):
    f = File(description)
    records = description["records"]
    meta(f, description.get("notes", []))
    before = 0
    for i, block in enumerate(runs_of(records, f.layout["block_records"])):
        if "late" in block[0]:
            late(f, block, before)
        elif f.run:
            outcomes(f, block, before)
            before += len(block)
        else:
            ops(f, block)
            before += len(block)
        if i < f.layout["metas"]:
            meta(f, [[f"conformance.meta{i}", "between"]])
        if f.layout["unknown_blocks"]:
            f.block(STATS if i % 2 else 0x55, i, 0, [{1: b"of a later version"}, {}, {2: b"x"}])
    if not f.layout["complete"]:
        return bytes(f.out)
    if description.get("end_notes"):
        meta(f, description["end_notes"])
    kept = [o for o in records if "late" not in o]
    f.hash = content_hash(f.run, records)
    f.payload_bytes = sum(b[1] for b in (body(o, "body") for o in kept) if b and b[0] == "kept")
    close(f, kept)
    return bytes(f.out)


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        description = json.load(f)
    with open(sys.argv[2], "wb") as f:
        f.write(encode(description))


if __name__ == "__main__":
    main()
