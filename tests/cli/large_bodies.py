"""large_bodies.py make PCAP EXPECTED [slow] | check EXPECTED JSONL [MOVED]

Calls with large bodies.

make writes packets of REST and gRPC calls with bodies of several kinds (random floats as
binary tensors and as JSON, constant ones, gzip, noise, in chunks), answered likewise, in
segments of all sizes, on connections that take turns and of which some segments come late;
and what a trace must say of each. check reads the trace as `reprise trace cat --jsonl`
prints it: every call is there once, in order, at its time, its bodies byte for byte. slow:
the first request stops half-way until all else is over; MOVED: so many calls at most have
a later time than they arrived.

SPDX-License-Identifier: Apache-2.0
"""

import base64
import gzip
import hashlib
import json
import random
import struct
import sys

EPOCH_US = 1_700_000_000 * 10**6
HTTP, GRPC = 9000, 9001
CONNECTIONS, CALLS = 8, 96
draw = random.Random(4)


# --- bodies ------------------------------------------------------------------------------


def varint(n: int) -> bytes:
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def field(number: int, value: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(raw: bytes) -> bytes:
    """A ModelInferRequest of one FP32 tensor."""
    tensor = field(1, b"predict") + field(2, b"FP32") + field(3, varint(len(raw) // 4))
    return field(1, b"big") + field(5, tensor) + field(7, raw)


def floats(n: int) -> bytes:
    bits = bytearray(draw.randbytes(4 * n))
    bits[3::4] = b"\x3f" * n
    return bytes(bits)


def text(numbers: list[str]) -> bytes:
    tensor = '{"name":"predict","shape":[%d],"datatype":"FP32","data":[%s]}'
    head = '{"id":"secret-4711","inputs":[' + tensor % (len(numbers), ",".join(numbers))
    return (head + "]}").encode()


def json_floats(n: int) -> bytes:
    return text([f"{draw.random():.7f}" for _ in range(n)])


def json_same(n: int) -> bytes:
    return text(["0.1"] * n)


REST_KINDS = [
    lambda: json_floats(20_000),
    lambda: json_floats(1_700),  # on either side of 16 KiB
    lambda: json_same(60_000),
    lambda: gzip.compress(json_floats(15_000), 1, mtime=0),
    lambda: draw.randbytes(70_000),
]
GRPC_KINDS = [
    lambda: message(floats(40_000)),
    lambda: message(floats(4_090)),
    lambda: message(struct.pack("<f", 0.1) * 50_000),
    lambda: message(floats(150_528)),
]


# --- packets -----------------------------------------------------------------------------


class Wire:
    def __init__(self, path: str):
        self.file, self.now = open(path, "wb"), EPOCH_US
        self.file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1))

    def frame(self, data: bytes) -> None:
        at = divmod(self.now, 10**6)
        self.file.write(struct.pack("<IIII", *at, len(data), len(data)) + data)
        self.now += 10


class Connection:
    def __init__(self, wire: Wire, number: int, port: int):
        self.wire, self.ports, self.calls = wire, (30_000 + number, port), 0
        self.address = b"\x0a\0\0" + bytes([number + 1]), b"\x0a\0\1\1"
        self.seq = [1000, 2000]
        for side, flags in (0, 2), (1, 0x12), (0, 0x10):
            self.packet(side, b"", flags)
        if port == GRPC:
            self.packet(0, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))
            self.packet(1, frame(4, 0, 0, b""))

    def packet(self, side: int, payload: bytes, flags: int = 0x18, seq: int | None = None):
        at = self.seq[side] if seq is None else seq
        ack = self.seq[1 - side] if flags & 0x10 else 0
        ports = self.ports[side], self.ports[1 - side]
        tcp = struct.pack(">HHIIBBHHH", *ports, at, ack, 0x50, flags, 65_535, 0, 0)
        total = 20 + len(tcp) + len(payload)
        ends = self.address[side] + self.address[1 - side]
        ip = struct.pack(">BBHHHBBH", 0x45, 0, total & 0xFFFF, 0, 0, 64, 6, 0) + ends
        self.wire.frame(bytes(12) + b"\x08\0" + ip + tcp + payload)
        if seq is None:
            self.seq[side] += len(payload) + (flags & 2) // 2

    def pieces(self, side: int, data: bytes):
        """Sends data step by step, in segments of all sizes; now and then two swap."""
        at = 0
        while at < len(data):
            size = draw.choice([1, 700, 1448, 1448, 9000, 64_000])
            two = data[at : at + size], data[at + size : at + 2 * size]
            if draw.random() < 0.1 and at > 0 and two[1]:
                first = self.seq[side]
                self.packet(side, two[1], seq=first + len(two[0]))
                yield
                self.packet(side, two[0], seq=first)
                self.seq[side] = first + len(two[0]) + len(two[1])
                at += len(two[0]) + len(two[1])
            else:
                self.packet(side, two[0])
                at += len(two[0])
            yield


def chunked(body: bytes) -> bytes:
    out = b""
    while body:
        n = draw.choice([1, 1000, 40_000])
        out += b"%x\r\n" % len(body[:n]) + body[:n] + b"\r\n"
        body = body[n:]
    return out + b"0\r\n\r\n"


def http(start: bytes, identity: str, body: bytes) -> bytes:
    encoding = b"Content-Encoding: gzip\r\n" if body[:2] == b"\x1f\x8b" else b""
    head = start + b"\r\nContent-Type: application/json\r\n" + encoding
    if draw.random() < 0.3:
        framing, body = b"Transfer-Encoding: chunked\r\n\r\n", chunked(body)
    else:
        framing = b"Content-Length: %d\r\n\r\n" % len(body)
    return head + b"x-request-id: " + identity.encode() + b"\r\n" + framing + body


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    head = struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream)
    return head + payload


def fields(*pairs: tuple[str, str]) -> bytes:
    out = b""
    for name, value in pairs:
        for part in name, value:
            out += (bytes([0]) if part is name else b"") + bytes([len(part)]) + part.encode()
    return out


def grpc(stream: int, head: bytes, body: bytes, trailers: bytes) -> bytes:
    out = frame(1, 4, stream, head)
    data = struct.pack(">BI", 0, len(body)) + body
    for at in range(0, len(data), 16_384):
        last = at + 16_384 >= len(data) and not trailers
        out += frame(0, int(last), stream, data[at : at + 16_384])
    return out + (frame(1, 5, stream, trailers) if trailers else b"")


def call(connection: Connection, identity: str, expected: list):
    """One call, step by step."""
    rest = connection.ports[1] == HTTP
    kinds = REST_KINDS if rest else GRPC_KINDS
    body, answer = draw.choice(kinds)(), draw.choice(kinds)()
    stream, connection.calls = 2 * connection.calls + 1, connection.calls + 1
    if rest:
        asked = http(b"POST /v2/models/big/infer HTTP/1.1\r\nHost: s", identity, body)
        answered = http(b"HTTP/1.1 200 OK", identity, answer)
    else:
        head = fields(
            (":method", "POST"), (":path", "/inference.GRPCInferenceService/ModelInfer"),
            ("content-type", "application/grpc"), ("seldon-model", "big"),
            ("x-request-id", identity),
        )  # fmt: skip
        asked = grpc(stream, head, body, b"")
        kind = fields((":status", "200"), ("content-type", "application/grpc"))
        answered = grpc(stream, kind, answer, fields(("grpc-status", "0")))
    expected.append(
        {
            "id": identity,
            "arrival_ns": (connection.wire.now - EPOCH_US) * 1000,
            "body": [len(body), hashlib.sha256(body).hexdigest()],
            "answer": [len(answer), hashlib.sha256(answer).hexdigest()],
        }
    )
    yield from connection.pieces(0, asked)
    yield from connection.pieces(1, answered)


def make(pcap: str, path: str, slow: bool) -> None:
    wire = Wire(pcap)
    connections = [Connection(wire, i, HTTP if i % 2 else GRPC) for i in range(CONNECTIONS)]
    expected: list[dict] = []
    active: dict[int, object] = {}
    started = 0
    if slow:
        first = call(connections.pop(), "00000000-0000-4000-8000-000000000000", expected)
        next(first)
        started = 1
    while started < CALLS or active:
        at = draw.randrange(len(connections))
        if at not in active and started < CALLS:
            identity = f"{started:08x}-0000-4000-8000-{draw.getrandbits(48):012x}"
            active[at] = call(connections[at], identity, expected)
            started += 1
        if at in active and next(active[at], active) is active:
            del active[at]
    if slow:
        connections += [first.gi_frame.f_locals["connection"]]
        for _ in first:
            pass
    for connection in connections:
        for side in 0, 1:
            connection.packet(side, b"", 0x11)
    wire.file.close()
    with open(path, "w", encoding="utf-8") as out:
        json.dump(expected, out)


# --- the check ---------------------------------------------------------------------------


def wrong(got: dict | None, want: list) -> bool:
    if got is None or got["bytes"] != want[0]:
        return True
    if "text" in got:
        data = got["text"].encode()
    elif "base64" in got:
        data = base64.b64decode(got["base64"])
    else:
        return True
    return hashlib.sha256(data).hexdigest() != want[1]


def check(path: str, jsonl: str, may_move: int) -> None:
    with open(path, encoding="utf-8") as file:
        expected = {call["id"]: call for call in json.load(file)}
    last, moved = 0, 0
    with open(jsonl, encoding="utf-8") as file:
        operations = [json.loads(line) for line in file]
    epoch = 0  # the first packet's time
    for op in operations:
        want = expected.pop(op.get("id"), None)
        if want is None:
            sys.exit(f"operation {op['index']} was not made, or came before")
        late = op["arrival_ns"] + epoch - want["arrival_ns"]
        moved += late > 0
        if late < 0 or moved > may_move or op["arrival_ns"] < last:
            sys.exit(f"operation {op['index']} arrived at another time")
        last = op["arrival_ns"]
        for which in "body", "answer":
            if wrong(op.get(which), want[which]):
                sys.exit(f"operation {op['index']}: another {which}")
    if expected:
        sys.exit(f"{len(expected)} calls are missing")
    print(f"{len(operations)} calls, {moved} moved")


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], sys.argv[3], sys.argv[4:] == ["slow"])
    else:
        check(sys.argv[2], sys.argv[3], int((sys.argv[4:] or "0")[0]))
