"""capture_clients.py - the two helpers of capture_clients.sh that are easier in Python.

    capture_clients.py call HOST:PORT N       N gRPC calls by Debian's client, then a failing one
    capture_clients.py compare PCAP PORT h1|h2 TRACE.jsonl
        tshark's decoding of the packets against the operations of the trace

What is compared: how many requests there were, how many answers of each status (of gRPC
too), and every body, byte for byte, as multisets: tshark and a trace do not order alike.
Prints "N requests" when all agrees, else what differs, with exit status 1.

SPDX-License-Identifier: Apache-2.0
"""

import base64
import collections
import json
import struct
import subprocess
import sys


def field(number: int, value: bytes) -> bytes:
    """A length-delimited field of protobuf, short."""
    return bytes([number << 3 | 2, len(value)]) + value


def infer_request() -> bytes:
    values = field(5, field(6, struct.pack("<4f", 5.1, 3.5, 1.4, 0.2)))
    tensor = field(1, b"predict") + field(2, b"FP32") + field(3, b"\1\4") + values
    return field(1, b"iris1") + field(5, tensor)


def call(target: str, count: int) -> None:
    import grpc  # pylint: disable=import-outside-toplevel

    with grpc.insecure_channel(target) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for _ in range(count):
            if not infer(infer_request(), metadata=(("seldon-model", "iris1"),), timeout=60):
                sys.exit("an empty answer")
        try:
            infer(infer_request(), metadata=(("seldon-model", "nosuch"),), timeout=60)
        except grpc.RpcError:
            return
    sys.exit("a model that does not exist was served")


class Seen:
    """What there was on the wire, by whoever read it."""

    def __init__(self):
        self.requests = 0
        self.statuses = collections.Counter()
        self.grpc_statuses = collections.Counter()
        self.bodies = collections.Counter()


def tshark(pcap: str, port: str, protocol: str, fields: list[str]):
    """Rows of lists: all occurrences of each field in a frame."""
    name = {"h1": "http", "h2": "http2"}[protocol]
    command = ["tshark", "-r", pcap, "-d", f"tcp.port=={port},{name}", "-Y", name]
    command += ["-T", "fields", "-E", "separator=/t", "-E", "aggregator=|"]
    for f in fields:
        command += ["-e", f]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        yield [cell.split("|") if cell else [] for cell in line.split("\t")]


def by_tshark(pcap: str, port: str, protocol: str) -> Seen:
    seen = Seen()
    if protocol == "h1":
        names = ["http.request.method", "http.response.code", "http.file_data"]
        for methods, statuses, bodies in tshark(pcap, port, protocol, names):
            seen.requests += len(methods)
            seen.statuses.update(s for s in map(int, statuses) if s >= 200)
            seen.bodies.update(body.encode() for body in bodies)
        return seen
    names = ["http2.headers.method", "http2.headers.status", "http2.data.data"]
    names += ["http2.header.name", "http2.header.value"]
    for methods, statuses, data, keys, values in tshark(pcap, port, protocol, names):
        seen.requests += len(methods)
        seen.statuses.update(map(int, statuses))
        fields = zip(keys, values, strict=True)
        seen.grpc_statuses.update(int(v) for k, v in fields if k == "grpc-status")
        seen.bodies.update(bytes.fromhex(d) for d in data if d)
    return seen


def body_of(told: dict | None, grpc: bool) -> bytes | None:
    if told is None:
        return None
    data = told["text"].encode() if "text" in told else base64.b64decode(told["base64"])
    if len(data) != told["bytes"]:
        sys.exit(f"a body of {told['bytes']} bytes has {len(data)}")
    return struct.pack(">BI", 0, len(data)) + data if grpc else data


def by_trace(path: str) -> Seen:
    seen = Seen()
    protocols: dict[int, str] = {}
    with open(path, encoding="utf-8") as f:
        for op in map(json.loads, f):
            if "late" in op:  # an answer that came when its operation was written already
                grpc = protocols[op["late"]] == "grpc"
            else:
                protocols[op["index"]] = op["protocol"]
                grpc = op["protocol"] == "grpc"
                seen.requests += 1
            if "status" in op:
                seen.statuses[op["status"]] += 1
            if "grpc_status" in op:
                seen.grpc_statuses[op["grpc_status"]] += 1
            bodies = [body_of(op.get(side), grpc) for side in ("body", "answer")]
            seen.bodies.update(b for b in bodies if b)
    return seen


def compare(pcap: str, port: str, protocol: str, trace: str) -> None:
    theirs, ours = vars(by_tshark(pcap, port, protocol)), vars(by_trace(trace))
    differences = [
        f"{what}: tshark {theirs[what]!s:.600}, the trace {ours[what]!s:.600}"
        for what in theirs
        if theirs[what] != ours[what]
    ]
    if differences:
        sys.exit("\n".join(differences))
    print(ours["requests"], "requests")


if __name__ == "__main__":
    if sys.argv[1] == "call":
        call(sys.argv[2], int(sys.argv[3]))
    else:
        compare(*sys.argv[2:6])
