"""capture_bench.py PROGRAM - `reprise capture` beside tshark: speed and memory, from files.

The packets are made here, so that they are the same everywhere: connections of REST and
gRPC with small messages (three packets a request: request, answer, acknowledgement), and
with bodies of 600 KB in segments of 64 KB, as segmentation offload gives them, and of 1448
bytes, as a wire has them. The bodies are of two kinds: all the same (what the k6 tests of
Seldon Core send, and what deduplication is for) and each one different with random mantissas.

Both programs read the same file from a warm page cache on the same core and take turns;
figures are medians, by CPU time (of all threads, user and system), so that they stay what
they are on a busy machine. tshark reads only the first packets of the file, for it would
take minutes otherwise, and what it takes for a single packet (start, dissectors) is
subtracted: that favours tshark. reprise is measured from start to end, output included,
and a run that loses one request is an error.

SPDX-License-Identifier: Apache-2.0
"""

import dataclasses
import datetime
import json
import os
import pathlib
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

QUICK = os.environ.get("BENCH_QUICK") == "1"
REPEATS = int(os.environ.get("BENCH_REPEATS", "1" if QUICK else "3"))
SMALL_REQUESTS = 60_000 if QUICK else 200_000
LARGE_BODIES = 40 if QUICK else 300
LARGE_BYTES = 602_112  # an image of 224 x 224 x 3 as FP32
CONNECTIONS = 64
LONGER = 100  # times: the files whose memory is compared, with one of 10 times between,
LONGEST = 300  # and, of small messages, one beyond: what has grown until there, grows on?
LONGER_SMALL = 20_000 if QUICK else 200_000  # requests of the longer ones
LONGER_SHORT = 10_000 if QUICK else 50_000  # of them, each on a connection of its own
LONGER_LARGE = 100 if QUICK else 300
OPEN = 5_000 if QUICK else 20_000  # connections that are open at once
CORE = (os.cpu_count() or 1) - 1
HTTP, GRPC = 9000, 9001
MAP = f"{HTTP}=envoy,{GRPC}=envoy"
TSHARK = ("-d", f"tcp.port=={HTTP},http", "-d", f"tcp.port=={GRPC},http2")
GRO, MSS = 64_000, 1448

program = sys.argv[1]
work = pathlib.Path(tempfile.mkdtemp(prefix="reprise-capture-bench-"))


# --- packets -----------------------------------------------------------------------------


class Pcap:
    """Writes Ethernet frames of TCP over IPv4; 10 µs from one to the next."""

    def __init__(self, path: pathlib.Path):
        self.path, self.packets, self.payload, self.now = path, 0, 0, 1_700_000_000 * 10**6
        self.file = open(path, "wb", buffering=1 << 20)
        self.file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1))

    def add(self, head: bytes, payload: bytes) -> None:
        size = len(head) + len(payload)
        stamp = struct.pack("<IIII", self.now // 10**6, self.now % 10**6, size, size)
        self.file.write(stamp + head + payload)
        self.now += 10
        self.packets += 1
        self.payload += len(payload)

    def close(self) -> None:
        self.file.close()


ETHERNET = bytes(11) + b"\x01\x08\x00"
SYN, FIN, ACK = 2, 1, 16


class Connection:
    def __init__(self, pcap: Pcap, number: int, port: int):
        self.pcap, self.sent = pcap, 0  # requests
        address = [b"\x0a" + (1 << 16 | number).to_bytes(3, "big"), b"\x0a\xff\x00\x01"]
        ports = [20_000 + number % 40_000, port]
        self.ip = [address[0] + address[1], address[1] + address[0]]
        self.ports = [struct.pack(">HH", *ports), struct.pack(">HH", *ports[::-1])]
        self.next = [1000, 5000]
        self.packet(0, b"", SYN)
        self.packet(1, b"", SYN | ACK)
        self.packet(0, b"")

    def packet(self, side: int, payload: bytes, flags: int = ACK) -> None:
        ip = struct.pack(">BBHIBBH", 0x45, 0, 40 + len(payload), 0x4000, 64, 6, 0)
        tcp = struct.pack(
            ">IIBBHI", self.next[side], self.next[1 - side], 0x50, flags, 65_535, 0
        )
        self.pcap.add(ETHERNET + ip + self.ip[side] + self.ports[side] + tcp, payload)
        step = len(payload) + (1 if flags & (SYN | FIN) else 0)
        self.next[side] = (self.next[side] + step) & 0xFFFFFFFF

    def send(self, side: int, data: bytes, segment: int) -> None:
        """In segments; the other side acknowledges every second one."""
        for i, at in enumerate(range(0, len(data), segment)):
            self.packet(side, data[at : at + segment])
            if i % 2 == 1:
                self.packet(1 - side, b"")

    def finish(self) -> None:
        self.packet(0, b"", FIN | ACK)
        self.packet(1, b"", FIN | ACK)
        self.packet(0, b"")


# --- messages ------------------------------------------------------------------------------


def rest_request(body: bytes, identity: str) -> bytes:
    return (
        "POST /v2/models/iris0/infer HTTP/1.1\r\nHost: seldon-mesh:9000\r\n"
        "User-Agent: python-requests/2.31.0\r\nAccept: */*\r\nseldon-model: iris0\r\n"
        f"Content-Type: application/json\r\nx-request-id: {identity}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


REST_ANSWER_BODY = (
    b'{"model_name":"iris0_1","model_version":"1","id":"0","parameters":{},"outputs":'
    b'[{"name":"predict","shape":[1,1],"datatype":"INT64","data":[2]}]}'
)
REST_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Type: application/json\r\n"
    b"date: Tue, 14 Nov 2023 22:13:20 GMT\r\nserver: envoy\r\n\r\n" % len(REST_ANSWER_BODY)
) + REST_ANSWER_BODY
REST_SMALL = (
    b'{"inputs":[{"name":"predict","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}]}'
)


def varint(n: int) -> bytes:
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number: int, value: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(name: str, shape: list[int], raw: bytes) -> bytes:
    """A ModelInferRequest behind gRPC's prefix."""
    tensor = field(1, b"predict") + field(2, b"FP32") + field(3, b"".join(map(varint, shape)))
    body = field(1, name.encode()) + field(5, tensor) + field(7, raw)
    return struct.pack(">BI", 0, len(body)) + body


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    head = struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream)
    return head + payload


def text(value: str) -> bytes:
    return bytes([len(value)]) + value.encode()


def literal(name: str, value: str, indexed: bool) -> bytes:
    return (b"\x40" if indexed else b"\x00") + text(name) + text(value)


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"")
KEPT = (  # in the dynamic table from the first request on; the last one is index 62
    ("te", "trailers"),
    ("content-type", "application/grpc"),
    ("user-agent", "grpc-python/1.51.1 grpc-c/29.0.0 (linux; chttp2)"),
    ("seldon-model", "iris0"),
    ("grpc-accept-encoding", "identity, deflate, gzip"),
)
FIRST_HEAD = (
    b"\x83\x86\x44" + text("/inference.GRPCInferenceService/ModelInfer")
    + b"\x41" + text("seldon-mesh:9000")
    + b"".join(literal(name, value, True) for name, value in KEPT)
)  # fmt: skip
LATER_HEAD = b"\x83\x86" + bytes(0x80 | 62 + i for i in range(len(KEPT) + 2))


def grpc_request(body: bytes, identity: str, stream: int, first: bool) -> bytes:
    head = (FIRST_HEAD if first else LATER_HEAD) + literal("x-request-id", identity, False)
    out = frame(1, 4, stream, head)
    for at in range(0, len(body), 16_384):
        last = at + 16_384 >= len(body)
        out += frame(0, int(last), stream, body[at : at + 16_384])
    return out


GRPC_MESSAGE = (
    b"\0\0\0\0\x2b\x0a\x06iris_1\x12\x011\x2a\x14\x0a\x07predict\x12\x05INT64"
    b"\x1a\x02\x01\x01\x32\x08" + bytes(8)
)


def grpc_answer(stream: int, first: bool) -> bytes:
    kind = literal("content-type", "application/grpc", True) if first else b"\xbf"
    status = literal("grpc-status", "0", True) if first else b"\xbe"
    if first:  # grpc-status is index 62 afterwards, content-type 63
        head = b"\x88" + kind
    else:
        head = b"\x88\xbf"
    return (
        frame(1, 4, stream, head)
        + frame(0, 0, stream, GRPC_MESSAGE)
        + frame(1, 5, stream, status)
    )


# --- files -------------------------------------------------------------------------------


@dataclasses.dataclass
class File:
    path: pathlib.Path
    requests: int
    packets: int
    payload: int


def exchange(connection: Connection, protocol: str, body: bytes, number: int, segment: int):
    """A request, its answer, and an acknowledgement."""
    identity = f"{number:08x}-0000-4000-8000-{number * 2654435761 % 2**48:012x}"
    first, stream = connection.sent == 0, 2 * connection.sent + 1
    connection.sent += 1
    if protocol == "rest":
        connection.send(0, rest_request(body, identity), segment)
        connection.packet(1, REST_ANSWER)
    else:
        start = PREFACE if first else b""
        connection.send(0, start + grpc_request(body, identity, stream, first), segment)
        settings = frame(4, 0, 0, b"") if first else b""
        connection.packet(1, settings + grpc_answer(stream, first))
    connection.packet(0, b"")


def make(name: str, protocol: str, bodies, segment: int, connections=CONNECTIONS) -> File:
    """One file: bodies are dealt to the connections in turn, each answered before the
    next. 0 connections: each body has one of its own, which then ends."""
    pcap = Pcap(work / f"{name}.pcap")
    port = HTTP if protocol == "rest" else GRPC
    kept = [Connection(pcap, i, port) for i in range(connections)]
    count = 0
    for count, body in enumerate(bodies, start=1):
        connection = kept[count % connections] if kept else Connection(pcap, count, port)
        exchange(connection, protocol, body, count, segment)
        if not kept:
            connection.finish()
    for connection in kept:
        connection.finish()
    pcap.close()
    return File(pcap.path, count, pcap.packets, pcap.payload)


def small(protocol: str, count: int):
    body = REST_SMALL
    if protocol == "grpc":
        body = message("iris0", [1, 4], struct.pack("<4f", 5.1, 3.5, 1.4, 0.2))
    return (body for _ in range(count))


JSON_HEAD = b'{"name":"predict","shape":[1,224,224,3],"datatype":"FP32","data":['


def rows_of(draw: random.Random, varied: bool) -> bytes:
    """JSON numbers that fill LARGE_BYTES, and the end of the tensor."""
    if not varied:
        return b",".join([b"0.1"] * (LARGE_BYTES // 4)) + b"]}"
    return b",".join(b"0.%d" % n for n in draw.randbytes(LARGE_BYTES // 5)) + b"]}"


def large(protocol: str, count: int, varied: bool):
    """Bodies of LARGE_BYTES: JSON text, or FP32 behind a message."""
    draw = random.Random(1)
    for _ in range(count):
        if protocol == "grpc":
            raw = struct.pack("<f", 0.1) * (LARGE_BYTES // 4)
            if varied:  # floats from 1 to 2: a random mantissa under one exponent
                bits = bytearray(draw.randbytes(LARGE_BYTES))
                bits[3::4] = b"\x3f" * (LARGE_BYTES // 4)
                raw = bytes(bits)
            yield message("resnet0", [1, 224, 224, 3], raw)
        else:
            yield b'{"inputs":[%s]}' % (JSON_HEAD + rows_of(draw, varied))


# --- measuring -----------------------------------------------------------------------------


class Failed(Exception):
    """A program did not do what was asked of it."""


def high_water(pid: int) -> float:
    """MiB; rusage would tell the most of ours, too, from which the process came."""
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass  # it has just ended
    return 0.0


def timed(command: list) -> tuple[float, float, str]:
    """CPU seconds, largest resident MiB, and standard output of a command on CORE."""
    with open(work / "out", "wb") as out, open(work / "err", "wb") as err:
        process = subprocess.Popen(
            ["taskset", "-c", str(CORE), *map(str, command)],
            stdin=subprocess.DEVNULL, stdout=out, stderr=err,
        )  # fmt: skip
        resident = 0.0
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            resident = max(resident, high_water(process.pid))
            time.sleep(0.002)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        said = (work / "err").read_text(errors="replace")[-2000:]
        raise Failed(f"{' '.join(map(str, command))}: exit {process.returncode}\n{said}")
    seconds = usage.ru_utime + usage.ru_stime
    return seconds, resident, (work / "out").read_text()


def capture(file: pathlib.Path, *options) -> list:
    command = [program, "capture", "-r", file, "--map", MAP, "-o", "/dev/null", "--json"]
    return [*command, *options]


def check(file: File, out: str) -> None:
    """A fast capture that loses something is no result."""
    told = json.loads(out)["operations"]
    if told != file.requests:
        raise Failed(f"{file.path.name}: {file.requests} requests, {told} operations")


def progress(what: str) -> None:
    print(f"bench: capture: {what}", file=sys.stderr, flush=True)


HEAD = ("packets", "reprise", "goal", "tshark", "reprise ÷ tshark", "resident, both")
rows: list[tuple[str, ...]] = []


def measure(
    what: str, file: File, bar: str, unit: str, tshark_packets: int, *options
) -> None:
    progress(what)
    tshark_packets = min(tshark_packets, file.packets)
    read = ["tshark", "-r", file.path, *TSHARK, "-q", "-z", "io,stat,0"]
    ours, theirs, memory = [], [], []
    for _ in range(REPEATS):
        seconds, resident, out = timed(capture(file.path, *options))
        check(file, out)
        ours.append(seconds)
        idle, _, _ = timed([*read, "-c", "1"])
        seconds, tshark_resident, _ = timed([*read, "-c", str(tshark_packets)])
        theirs.append(max(seconds - idle, 1e-3))
        memory.append((resident, tshark_resident))
    share = tshark_packets / file.packets
    amount = file.packets / 1e6 if unit == "Mpps" else file.payload * 8 / 1e9
    a, b = amount / statistics.median(ours), amount * share / statistics.median(theirs)
    most = [max(m[i] for m in memory) for i in (0, 1)]
    form = ".2f" if unit == "Mpps" else ".1f"
    rows.append(
        (
            f"{what}: {file.packets:,} packets, {file.payload / 1e6:,.0f} MB",
            f"{a:{form}} {unit}",
            f"≥ {bar} {unit}" if bar else "–",
            f"{b:.3f} {unit}",
            f"{a / b:,.0f}",
            f"{most[0]:.0f} / {most[1]:.0f} MiB",
        )
    )


# --- the report ------------------------------------------------------------------------------


def resident(what: str, protocol: str, bodies, connections: int) -> float:
    """MiB that a capture of these requests takes at most."""
    progress(what)
    file = make("longer", protocol, bodies, GRO, connections)
    _, most, out = timed(capture(file.path))
    check(file, out)
    return most


def longer() -> list[tuple[str, ...]]:
    """Whether memory grows with the file: its kind, and MiB of ever longer ones. What is
    held back, the block in the making, and the connections that are over but remembered
    for two seconds of packet time grow until they are full; then nothing may."""
    cases = [
        (f"small {protocol}, {how}", protocol, requests, None, connections)
        for how, requests, connections in (
            (f"{CONNECTIONS} connections", LONGER_SMALL, CONNECTIONS),
            ("a connection for each", LONGER_SHORT, 0),
        )
        for protocol in ("rest", "grpc")
    ] + [
        (f"600 KB {protocol}, {kind}", protocol, LONGER_LARGE, kind == "varied", CONNECTIONS)
        for protocol in ("rest", "grpc")
        for kind in ("same", "varied")
    ]
    found = []
    for what, protocol, most, varied, connections in cases:
        took = []
        times = [1, 10, LONGER] + ([LONGEST] if varied is None else [])
        for requests in (most * n // LONGER for n in times):
            bodies = (
                small(protocol, requests)
                if varied is None
                else large(protocol, requests, varied)
            )
            took.append(resident(f"memory, {what}", protocol, bodies, connections))
        row = [f"{mib:.0f} MiB" for mib in took] + ["–"] * (4 - len(took))
        found.append((what, f"{most // LONGER:,}", *row))
    return found


def open_at_once() -> str:
    """Memory by the number of connections that are open."""
    took = [
        resident(f"memory, {n:,} connections", protocol, small(protocol, 2 * n), n)
        for protocol in ("rest", "grpc")
        for n in (OPEN // 10, OPEN)
    ]
    return (
        f"With {OPEN // 10:,} and {OPEN:,} connections open at once it takes {took[0]:.0f} and "
        f"{took[1]:.0f} MiB (small REST), {took[2]:.0f} and {took[3]:.0f} MiB (small gRPC)."
    )


RESULTS = """# Capture: benchmark results

Written by `make bench` on {date}: {cores} cores, medians of {repeats}, {peer}.

{table}

Resident memory over a file {times} times longer (goal: at most 96 MiB, and flat). It
grows until what is held back, a block of the trace, and the connections of the last two
seconds, which are remembered that long for what comes late, have the memory they need:

{longer}

{open}

Figures are per second of CPU time, the file in the page cache, the trace written to
/dev/null. *Same*: all bodies are equal, as the k6 tests of Seldon Core send them; *varied*:
each differs. Bodies of 16 KiB or more are stored as they are (`trace pack` compresses them
later); with `--compress` they are compressed at once: most of what is measured then, and
without a goal. tshark dissects the first packets of the same file, its start-up time
subtracted; it writes no bodies. Goals of Gbit/s are counted in TCP payload.
"""


def table_of(head: tuple[str, ...], body: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def report() -> str:
    return RESULTS.format(
        date=datetime.date.today().isoformat(),
        cores=os.cpu_count(),
        repeats=REPEATS,
        peer=subprocess.run(
            ["tshark", "--version"], capture_output=True, text=True, check=True
        ).stdout.split(" (Git")[0],
        table=table_of(HEAD, rows),
        times=LONGER,
        longer=table_of(
            ("requests", "in the short", "short", "× 10", f"× {LONGER}", f"× {LONGEST}"),
            longer(),
        ),
        open=open_at_once(),
    )


def main() -> None:
    if not shutil.which("tshark"):
        sys.exit("bench: tshark is missing; tests/deps.sh bench installs it")
    try:
        for protocol, goal in ("rest", "1.5"), ("grpc", "1.2"):
            file = make("small", protocol, small(protocol, SMALL_REQUESTS), GRO)
            measure(f"small {protocol}", file, goal, "Mpps", 20_000)
        for segment, how, goal in (GRO, "64 KB", "10"), (MSS, "MSS", "5"):
            for protocol in "rest", "grpc":
                for varied in False, True:
                    bodies = large(protocol, LARGE_BODIES, varied)
                    file = make("large", protocol, bodies, segment)
                    kind = "varied" if varied else "same"
                    what = f"600 KB {protocol}, {how} segments, {kind}"
                    measure(what, file, goal, "Gbit/s", 10_000)
                    if varied:
                        for option, bar in ("--store", goal), ("--compress", ""):
                            also = f"{what}, {option}"
                            measure(also, file, bar, "Gbit/s", 10_000, option)
        text = report()
    except Failed as failure:
        sys.exit(f"bench: {failure}")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(text)
    if not QUICK:
        pathlib.Path("tests/bench/RESULTS_CAPTURE.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()


