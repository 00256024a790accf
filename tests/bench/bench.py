"""bench.py PROGRAM TOOLS - reprise beside wrk, h2load and hey, in one run.

TOOLS is the folder of our benchmark programs: bench_server, bench_client, container_bench,
analysis_bench. bench_client ("bare") does nothing but send and read: a floor for all of them.

How it is kept fair: client and server are pinned to a core each; the clients take turns,
repeat by repeat, so that a machine which changes its speed does so under all of them; the
medians of the repeats are compared as ratios within this run; and whatever else used the
CPU meanwhile is shown beside every figure. How it is kept honest: rates, lateness and
evenness are taken from what the server saw (bench_server stamps), not from what a client
says of itself, and CPU from the kernel's accounting of the client's process from start to
end, reading the trace and writing every outcome included.

SPDX-License-Identifier: Apache-2.0
"""

import array
import collections
import contextlib
import dataclasses
import datetime
import functools
import json
import math
import os
import pathlib
import platform
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

QUICK = os.environ.get("BENCH_QUICK") == "1"
REPEATS = int(os.environ.get("BENCH_REPEATS", "3" if QUICK else "5"))
SECONDS = 1 if QUICK else 2  # of one closed-loop measurement
OPEN_SECONDS = 1 if QUICK else 4  # of one open-loop measurement
PUNCTUAL_NS = 1_000_000  # what counts as sent in time where the highest rate is sought
OPEN_SHARES = tuple(n / 10 for n in range(1, 10))  # of wrk's rate: what is tried
IN_FLIGHT = 80  # gRPC, closed loop: 8 connections of 10 streams
CLIENT_MAX_S = 120  # a client that takes longer hangs
EDGE_NS = 250_000_000  # taken off both ends where evenness is judged: start and stop
PACK_OPERATIONS = 150_000  # of a trace that is packed beside zstd
CORES = os.cpu_count() or 1
SERVER_CORE, CLIENT_CORE = (0, 1) if CORES > 1 else (0, 0)
# What bench_server answers too: a ModelInferResponse of one INT64, behind its prefix.
GRPC_ANSWER = (
    b"\0\0\0\0\x2b\x0a\x06iris_1\x12\x011\x2a\x14\x0a\x07predict\x12\x05INT64"
    b"\x1a\x02\x01\x01\x32\x08" + bytes(8)
)
GRPC_PATH = "/inference.GRPCInferenceService/ModelInfer"

reprise = sys.argv[1]
tools = pathlib.Path(sys.argv[2])
work = pathlib.Path(tempfile.mkdtemp(prefix="reprise-bench-"))
RUN = work / "bench.run"


# --- running and measuring one client ------------------------------------------------


def raise_priority() -> bool:
    """In a new child: all that this machine's scheduler will give, if we may ask for it.

    Nice values count within a session's own group only, so the group needs one too.
    """
    os.setsid()
    try:
        os.nice(-19)
        pathlib.Path("/proc/self/autogroup").write_text("-19", encoding="ascii")
    except OSError:
        return False
    return True


def start(core: int, command: list, **options) -> subprocess.Popen:
    """A client or server on its core, at raised priority: the same for all of them."""
    return subprocess.Popen(
        ["taskset", "-c", str(core), *map(str, command)],
        stdin=subprocess.DEVNULL,
        preexec_fn=raise_priority,
        **options,
    )


def busy_seconds() -> float:
    """CPU time that was used on this machine so far, by anybody (steal included)."""
    with open("/proc/stat", encoding="ascii") as f:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(
            int, f.readline().split()[1:9]
        )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def process_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass
class Sample:
    """What one run of one client came to."""

    client: str
    cpu_s: float  # of the client
    foreign: float  # cores used by neither client nor server
    begun_ns: int = 0  # monotonic clock, before the client was started
    requests: int = 0  # as the server counted them, like all that follows
    rate: float = 0  # requests a second, first to last
    stamps: list[int] = dataclasses.field(default_factory=list)
    output: str = ""


class Failed(Exception):
    """A client or server that did not do what was asked of it."""


def run_client(name: str, command: list, server_pids: list[int]) -> Sample:
    before, server_before = busy_seconds(), sum(map(process_seconds, server_pids))
    begun_ns = time.monotonic_ns()
    with open(work / "client.log", "wb") as log:
        client = start(CLIENT_CORE, command, stdout=log, stderr=log)
        watchdog = threading.Timer(CLIENT_MAX_S, client.kill)
        watchdog.start()
        try:
            _, status, usage = os.wait4(client.pid, 0)
        except BaseException:  # Ctrl-C does not reach a session of its own
            client.kill()
            raise
        finally:
            watchdog.cancel()
    client.returncode = os.waitstatus_to_exitcode(status)
    wall = (time.monotonic_ns() - begun_ns) / 1e9
    busy = busy_seconds() - before
    server = sum(map(process_seconds, server_pids)) - server_before
    cpu = usage.ru_utime + usage.ru_stime
    output = (work / "client.log").read_text(errors="replace")
    if client.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: exit {client.returncode}\n{output}")
    foreign = max(0.0, (busy - cpu - server) / wall)
    return Sample(name, cpu, foreign, begun_ns, output=output)


@contextlib.contextmanager
def own_server(protocol: str, stamps: bool = False, first: pathlib.Path | None = None):
    """bench_server; yields its port and a dictionary that holds its summary afterwards."""
    arguments = [tools / "bench_server", protocol]
    if stamps:
        arguments += ["--stamps", work / "stamps"]
    if first:
        arguments += ["--first", first]
    process = start(SERVER_CORE, arguments, stdout=subprocess.PIPE, text=True)
    summary = {"pid": process.pid}
    try:
        yield int(process.stdout.readline().split()[1]), summary
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            out, _ = process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    summary.update(json.loads(out))
    if summary["faults"]:
        raise Failed(f"bench_server counted {summary['faults']} faults")
    if stamps:
        flat = array.array("q")
        flat.frombytes((work / "stamps").read_bytes())
        summary["stamps"] = flat[0::2]


def measure(protocol: str, name: str, command, stamps: bool = False) -> Sample:
    """One client against a fresh bench_server; its command line is made from the port."""
    with own_server(protocol, stamps) as (port, summary):
        sample = run_client(name, command(port), [summary["pid"]])
    sample.requests = summary["requests"]
    span = (summary["last_ns"] - summary["first_ns"]) / 1e9
    sample.rate = (sample.requests - 1) / span if span > 0 else 0
    sample.stamps = sorted(summary.get("stamps", []))
    return sample


NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  log_format moment '$msec $status';
  access_log {folder}/access.log moment buffer=256k;
  keepalive_requests 1000000000;
  client_body_in_single_buffer on;
  server {{
    listen 127.0.0.1:{port} http2;
    root {folder};
    default_type application/grpc;
    location / {{ error_page 405 =200 /answer; return 405; }}
    location = /answer {{ add_trailer grpc-status 0; error_page 405 =200 /answer; }}
  }}
}}
"""


def measure_nginx(name: str, command) -> Sample:
    """One client against nginx, whose access log then tells how many requests, and when."""
    folder = work / "nginx"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    (folder / "answer").write_bytes(GRPC_ANSWER)
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
    server = start(SERVER_CORE, ["nginx", "-p", folder, "-c", folder / "nginx.conf"])
    try:
        wait_for_port(port, server)
        sample = run_client(name, command(port), [server.pid])
    finally:
        server.send_signal(signal.SIGQUIT)
        server.wait(timeout=30)
    moments, cut_off = [], 0
    for line in (folder / "access.log").read_text().splitlines():
        moment, status = line.split()
        if status == "200":
            moments.append(float(moment))
        else:
            cut_off += 1
    if cut_off > IN_FLIGHT:  # a client of fixed duration leaves what is in flight then
        raise Failed(f"nginx did not answer {name} with 200 {cut_off} times")
    moments.sort()
    sample.requests = len(moments)
    sample.rate = (len(moments) - 1) / (moments[-1] - moments[0])
    return sample


def wait_for_port(port: int, server: subprocess.Popen) -> None:
    for _ in range(100):
        if server.poll() is not None:
            raise Failed("nginx ended before it listened")
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise Failed("nginx does not listen")


def alternate(measure_one, commands: dict) -> dict[str, list[Sample]]:
    """Each client once a repeat, in an order that moves on by one each time."""
    names, samples = list(commands), {name: [] for name in commands}
    for repeat in range(REPEATS):
        for i in range(len(names)):
            name = names[(i + repeat) % len(names)]
            samples[name].append(measure_one(name, commands[name]))
    return samples


def progress(what: str) -> None:
    print(f"bench: {what}", file=sys.stderr, flush=True)


# --- what is sent -------------------------------------------------------------------------


def synth(name: str, *options) -> pathlib.Path:
    path = work / name
    command = [reprise, "synth", "-o", path, "--force", "--quiet"]
    command += ["--model-type", "iris", *options]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: {done.stderr}")
    return path


def replay(trace: pathlib.Path, port: int, *options) -> list:
    return [
        *(reprise, "replay", trace, "--quiet", "--invalid=pass", "--tier", "server"),
        *("--workers", 1),
        *("--http", f"http://127.0.0.1:{port}", "--grpc", f"127.0.0.1:{port}"),
        *("-o", RUN, "--force", *options),
    ]


def first_request(protocol: str, *options) -> bytes:
    """What reprise sends, so that the others send the same."""
    trace = synth("one.trace", "--protocol", protocol, "--count", 1, *options)
    first = work / "first"
    with own_server(protocol, first=first) as (port, summary):
        run_client("reprise", replay(trace, port), [summary["pid"]])
    return first.read_bytes()


# --- the table ---------------------------------------------------------------------------


HEAD = ("measurement", "client", "median", "least–greatest", "reprise ÷ this", "foreign")
rows: list[tuple[str, ...]] = []


def row(what: str, client: str, value: str, limits: str, ratio: str, samples) -> None:
    foreign = f"{statistics.median(s.foreign for s in samples):.2f}"
    rows.append((what, client, value, limits, ratio, foreign))


def compare(what: str, unit: str, samples: dict[str, list[Sample]], value, form: str) -> None:
    """A row for each client: median and range of value(sample), ours divided by theirs."""
    ours = statistics.median(map(value, samples["reprise"]))
    for name, group in samples.items():
        values = sorted(map(value, group))
        middle = statistics.median(values)
        row(
            what,
            name,
            f"{middle:{form}} {unit}".strip(),
            f"{values[0]:{form}}–{values[-1]:{form}}",
            "" if name == "reprise" else f"{ours / middle:.2f}",
            group,
        )


# --- the measurements ----------------------------------------------------------------------


def instrument() -> str:
    """Proves the stamps: each must lie within the send call that caused it.

    On loopback the kernel delivers inside that call, so both ends of it bound the truth.
    """
    sends, count = [], 1000
    with own_server("rest", stamps=True) as (port, summary):
        with socket.create_connection(("127.0.0.1", port)) as s:
            for _ in range(count):
                before = time.monotonic_ns()
                s.sendall(b"GET / HTTP/1.1\r\n\r\n")
                sends.append((before, time.monotonic_ns()))
                s.recv(4096)
                time.sleep(0.0002)
    slack_ns = 1000  # of the conversion between two clocks
    inside = sum(
        before - slack_ns <= stamp <= after + slack_ns
        for stamp, (before, after) in zip(summary["stamps"], sends, strict=True)
    )
    # Softirq work can be put off to a kernel thread under load, hence not quite all.
    if inside < 0.99 * count:
        raise Failed(f"only {inside} of {count} stamps lie within their send call")
    return f"{inside} of {count}"


def closed_trace(protocol: str, users: tuple, *options) -> pathlib.Path:
    """A trace that lasts about SECONDS in a closed loop, by a trial on this machine."""
    options = ("--protocol", protocol, *options)
    trial = synth("trial.trace", "--count", 50_000, *options)
    sample = measure(protocol, "reprise", lambda port: replay(trial, port, *users))
    count = int(sample.rate * SECONDS)
    return synth(f"closed-{protocol}.trace", "--count", count, *options)


def closed_rows(what: str, samples: dict[str, list[Sample]]) -> None:
    compare(f"{what}: rate", "/s", samples, lambda s: s.rate, ",.0f")
    compare(
        f"{what}: CPU of a request",
        "µs",
        samples,
        lambda s: s.cpu_s / s.requests * 1e6,
        ".2f",
    )


def closed_rest() -> None:
    """64 connections, one request in flight on each."""
    progress("REST, closed loop")
    request = first_request("rest")
    (work / "request").write_bytes(request)
    head, body = request.split(b"\r\n\r\n", 1)
    path = head.split(b" ", 2)[1].decode()
    (work / "body").write_bytes(body)
    (work / "path").write_text(path)
    (work / "post.lua").write_text(
        f'wrk.method = "POST"\nwrk.body = io.open("{work}/body", "rb"):read("*a")\n'
        'wrk.headers["Content-Type"] = "application/json"\n'
    )
    users = ("--closed-loop", 64, "--connections", 64)
    trace = closed_trace("rest", users)

    def url(port: int) -> str:
        return f"http://127.0.0.1:{port}{path}"

    def ours(port: int) -> list:
        return replay(trace, port, *users)

    def hey(port: int) -> list:
        return [
            *("hey", "-c", 64, "-z", f"{SECONDS}s", "-m", "POST"),
            *("-T", "application/json", "-D", work / "body", url(port)),
        ]

    def bare(port: int) -> list:
        return bare_command(port, "closed", SECONDS)

    one = functools.partial(measure, "rest")
    clients = {"reprise": ours, "wrk": wrk_command, "bare": bare, "hey": hey}
    samples = alternate(one, clients)
    closed_rows("REST, 64 connections, closed loop", samples)


def grpc_commands(*options) -> dict:
    """8 connections of 10 streams: a trace of ModelInfer, and h2load with its first message."""
    message = work / "message"
    message.write_bytes(first_request("grpc", *options))
    users = ("--closed-loop", IN_FLIGHT, "--grpc-connections", 8, "--streams", 10)
    trace = closed_trace("grpc", users, *options)

    def ours(port: int) -> list:
        return replay(trace, port, *users)

    def h2load(port: int) -> list:
        return [
            *("h2load", "-t1", "-c8", "-m10", "-D", SECONDS, "-d", message),
            *("-H", "content-type: application/grpc", "-H", "te: trailers"),
            # What reprise says, too: a server's work for a call grows with its fields.
            *("-H", "grpc-accept-encoding: identity", "-H", "grpc-timeout: 30000m"),
            *("-H", "x-request-id: 7f1d0c52-0"),
            f"http://127.0.0.1:{port}{GRPC_PATH}",
        ]

    return {"reprise": ours, "h2load": h2load}


def closed_grpc() -> None:
    """One small message, again and again; then tensors that differ from call to call."""
    progress("gRPC, closed loop")
    what, batching = "gRPC, 8 × 10 streams, closed loop", functools.partial(measure, "grpc")
    commands = grpc_commands()
    closed_rows(f"{what}, batching server", alternate(batching, commands))
    closed_rows(f"{what}, nginx", alternate(measure_nginx, commands))
    # 784 numbers that compress by a tenth, and so are stored; then 1,024 measures to a tenth,
    # which the trace holds in a third of their size. h2load sends one message all the time.
    random = ("--values", "random")
    flowers = (*random, "--batch", 256)
    distinct = {
        "distinct random tensors of 3 KiB": ("--model-type", "tfmnist", *random),
        "distinct measures of 4 KiB": flowers,
        "distinct measures of 4 KiB, synth --store": (*flowers, "--store"),
    }
    for name, options in distinct.items():
        closed_rows(f"{what}, {name}", alternate(batching, grpc_commands(*options)))


def trace_tool(*arguments) -> str:
    command = [reprise, "trace", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


def arrivals(trace: pathlib.Path) -> list[int]:
    """Of the operations of a trace, since its first: the schedule at speed 1."""
    lines = trace_tool("cat", trace, "--jsonl").splitlines()
    times = [json.loads(line)["arrival_ns"] for line in lines]
    return [t - times[0] for t in times]


def start_of_run() -> int:
    """When due time 0 of the last run was, on CLOCK_MONOTONIC."""
    return int(json.loads(trace_tool("info", RUN, "--json"))["notes"]["run.start_mono_ns"])


def own_lateness() -> list[int]:
    """What the last run says of itself: sent minus due, ascending."""
    lines = trace_tool("cat", RUN, "--jsonl").splitlines()
    return sorted(o["sent_ns"] - o["due_ns"] for o in map(json.loads, lines))


def lateness(rate: int, *options) -> None:
    """How long after its due time each request lay on the wire, by the kernel's stamps."""
    how = " ".join([f"{rate:,}/s", *options])
    progress(f"lateness at {how}")
    trace = synth(
        f"open-{rate}{''.join(options)}.trace",
        *("--protocol", "rest", "--arrivals", "poisson"),
        *("--rate", rate, "--duration", f"{OPEN_SECONDS}s"),
    )
    schedule = arrivals(trace)
    samples, late, own = {"reprise": [], "bare": []}, {"reprise": [], "bare": []}, []
    for _ in range(REPEATS):
        sample, begin = measure_reprise(trace, *options)
        samples["reprise"].append(sample)
        late["reprise"].append(wire_lateness(sample, begin, schedule))
        own.append(own_lateness())
        if not options:
            sample, begin = measure_bare(schedule)
            samples["bare"].append(sample)
            late["bare"].append(wire_lateness(sample, begin, schedule))
    ours, floor = samples["reprise"], samples["bare"]
    what = f"lateness on the wire, Poisson, {how}"
    for name in ("p50", "p99", "p99.9", "max"):
        middle = late_row(what, name, "reprise", late["reprise"], ours)
        if floor:
            late_row(what, name, "bare", late["bare"], floor, middle)
    what = f"lateness by its own word, Poisson, {how}"
    for name in ("p50", "p99"):
        late_row(what, name, "reprise", own, ours)


def late_row(what, name, client, repeats, samples, ours=0.0) -> float:
    """A row of one quantile over the repeats, and ours divided by it; its median, ns."""
    values = sorted(quantile(r, name) for r in repeats)
    middle = statistics.median(values)
    row(
        f"{what}: {name}",
        client,
        f"{middle / 1e3:,.1f} µs",
        f"{values[0] / 1e3:,.1f}–{values[-1] / 1e3:,.1f}",
        f"{ours / middle:.2f}" if ours else "",
        samples,
    )
    return middle


def wrk_command(port: int) -> list:
    """As closed_rest left it: the body that reprise sends, over 64 connections."""
    return [
        *("wrk", "-t1", "-c64", f"-d{SECONDS}s", "-s", work / "post.lua"),
        f"http://127.0.0.1:{port}{(work / 'path').read_text()}",
    ]


def bare_command(port: int, *how) -> list:
    """The floor, sending what reprise sends; as closed_rest left it."""
    return [tools / "bench_client", port, work / "request", 64, *how]


def measure_bare(schedule: list[int]) -> tuple[Sample, int]:
    """The floor on that schedule, and when its due time 0 was."""
    (work / "due").write_bytes(array.array("q", schedule).tobytes())
    sample = measure(
        "rest", "bare", lambda port: bare_command(port, "open", work / "due"), stamps=True
    )
    return sample, int(sample.output.split()[0])


def measure_reprise(trace: pathlib.Path, *options) -> tuple[Sample, int]:
    """Ours on that trace, and when its due time 0 was."""
    sample = measure(
        "rest",
        "reprise",
        lambda port: replay(trace, port, "--connections", 64, *options),
        stamps=True,
    )
    return sample, start_of_run()


def wire_lateness(sample: Sample, begin: int, schedule: list[int]) -> list[int]:
    """When the k-th request lay on the wire minus when the k-th was due, ascending."""
    if len(schedule) != sample.requests:
        raise Failed(f"{len(schedule)} were due, {sample.requests} arrived")
    return sorted(s - begin - due for s, due in zip(sample.stamps, schedule))


@functools.cache
def open_trace(rate: int) -> tuple[pathlib.Path, list[int]]:
    """Poisson arrivals at that rate, and when each is due."""
    trace = synth(
        f"steep-{rate}.trace",
        *("--protocol", "rest", "--arrivals", "poisson"),
        *("--rate", rate, "--duration", f"{SECONDS}s"),
    )
    return trace, arrivals(trace)


@dataclasses.dataclass
class Step:
    """What one client came to at one rate: a value for each repeat."""

    late: list[float] = dataclasses.field(default_factory=list)  # share of the requests
    samples: list[Sample] = dataclasses.field(default_factory=list)
    verdicts: list[str] = dataclasses.field(default_factory=list)  # reprise's, of itself

    def add(self, sample: Sample, begin: int, schedule: list[int]) -> None:
        values = wire_lateness(sample, begin, schedule)
        self.late.append(sum(v > PUNCTUAL_NS for v in values) / len(values))
        self.samples.append(sample)

    def punctual(self) -> bool:
        """99.9 % were in time, in at least half of the repeats."""
        return statistics.median_low(self.late) <= 0.001

    def cells(self) -> str:
        late = sorted(self.late)
        return f"{statistics.median(late):8.3%} {late[0]:8.3%} {late[-1]:8.3%}"


def verdict() -> str:
    return json.loads(trace_tool("info", RUN, "--json"))["notes"]["health.verdict"]


def open_limit() -> str:
    """The highest rate at which an open loop is punctual, beside wrk's highest at all; what
    was seen at each rate is the answer."""
    progress("REST, open loop, highest rate")
    tops = [measure("rest", "wrk", wrk_command, stamps=True) for _ in range(REPEATS)]
    top = statistics.median(s.rate for s in tops)
    steps = [(round(share * top / 1000) * 1000, Step(), Step()) for share in OPEN_SHARES]
    for _ in range(REPEATS):
        for rate, ours, floor in steps:
            trace, schedule = open_trace(rate)
            ours.add(*measure_reprise(trace), schedule)
            ours.verdicts.append(verdict())
            floor.add(*measure_bare(schedule), schedule)
    samples = {
        "reprise": next((s[1].samples for s in reversed(steps) if s[1].punctual()), []),
        "wrk": tops,
        "bare": next((s[2].samples for s in reversed(steps) if s[2].punctual()), []),
    }
    nothing = [Sample("", 0, 0)]
    compare(
        "REST, 64 connections, open loop (wrk: closed): rate with 99.9 % within 1 ms of due",
        "/s",
        {name: group or nothing for name, group in samples.items()},
        lambda s: s.rate,
        ",.0f",
    )
    return "\n".join(
        f"{share:4.1f} {rate:8,}/s   {ours.cells()}   {floor.cells()}   "
        + ", ".join(f"{n} {v}" for v, n in sorted(collections.Counter(ours.verdicts).items()))
        for share, (rate, ours, floor) in zip(OPEN_SHARES, steps)
    )


def start_up() -> None:
    """From before the program is started to its first request on the wire."""
    progress("start")
    trace = synth("long.trace", "--protocol", "rest", "--rate", 1000, "--count", 1_000_000)
    samples = [
        measure(
            "rest",
            "reprise",
            lambda port: replay(trace, port, "--connections", 64, "--duration", "100ms"),
            stamps=True,
        )
        for _ in range(REPEATS)
    ]
    values = sorted((s.stamps[0] - s.begun_ns) / 1e6 for s in samples)
    row(
        "start to first request on the wire, a trace of 1,000,000 operations",
        "reprise",
        f"{statistics.median(values):,.0f} ms",
        f"{values[0]:,.0f}–{values[-1]:,.0f}",
        "",
        samples,
    )


def quantile(values: list[int], name: str) -> int:
    """Nearest rank."""
    share = 1.0 if name == "max" else float(name[1:]) / 100
    return values[min(len(values), max(1, math.ceil(share * len(values)))) - 1]


def gap_cv(sample: Sample) -> float:
    """Coefficient of variation of the gaps between arrivals, start and stop left out."""
    first, last = sample.stamps[0] + EDGE_NS, sample.stamps[-1] - EDGE_NS
    inside = [t for t in sample.stamps if first <= t <= last]
    gaps = [b - a for a, b in zip(inside, inside[1:])]
    return statistics.pstdev(gaps) / statistics.mean(gaps)


def evenness() -> None:
    """1,000 a second over 16 connections, constant: how even are they at the server?"""
    progress("evenness")
    rate, connections = 1000, 16
    each = rate / connections
    trace = synth(
        "even.trace",
        *("--protocol", "rest", "--arrivals", "constant"),
        *("--rate", rate, "--duration", f"{OPEN_SECONDS}s"),
    )

    def url(port: int) -> str:
        return f"http://127.0.0.1:{port}/"

    commands = {
        "reprise": lambda port: replay(trace, port, "--connections", connections),
        "h2load": lambda port: [
            *("h2load", "--h1", "-t1", "-c", connections, "-D", OPEN_SECONDS),
            *("--rps", each, url(port)),
        ],
        "hey": lambda port: [
            *("hey", "-c", connections, "-z", f"{OPEN_SECONDS}s", "-q", each, url(port))
        ],
    }
    if shutil.which("wrk2"):
        commands["wrk2"] = lambda port: [
            *("wrk2", "-t1", f"-c{connections}", f"-R{rate}", f"-d{OPEN_SECONDS}s", url(port))
        ]
    samples = alternate(functools.partial(measure, "rest", stamps=True), commands)
    compare("gap CV at the server, 1,000/s over 16 connections", "", samples, gap_cv, ".3f")


def cpu_seconds(command: list, out: pathlib.Path | None = None) -> float:
    """What a command that must succeed took of a core."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(out or os.devnull, "wb") as stream:
        process = start(CLIENT_CORE, command, stdout=stream, stderr=subprocess.DEVNULL)
        process.wait(timeout=10 * CLIENT_MAX_S)
    if process.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))} failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def lean_jsonl(trace: pathlib.Path) -> pathlib.Path:
    """The trace as JSONL, without what a reader of it can work out."""
    path = work / "lean.jsonl"
    with open(path, "w", encoding="utf-8") as out:
        for line in trace_tool("cat", trace, "--jsonl").splitlines():
            record = json.loads(line)
            record.pop("index", None)
            record.get("body", {}).pop("hash", None)
            record.get("body", {}).pop("bytes", None)
            out.write(json.dumps(record, separators=(",", ":"), ensure_ascii=False) + "\n")
    return path


def beside_zstd() -> str:
    """Packed traces beside zstd -19 of the same operations as JSONL and as packets."""
    lines = []
    for what, form, values in (
        ("varied bodies, JSONL", "both", "random"),
        ("constant bodies, JSONL", "both", "constant"),
        ("varied bodies, pcap", "rest", "random"),
    ):
        trace = work / "pack.trace"
        trace.unlink(missing_ok=True)
        command = [reprise, "synth", "-o", trace, "--quiet", "--model-type", "iris,tfsimple"]
        command += ["--protocol", form, "--values", values, "--count", PACK_OPERATIONS]
        cpu_seconds(command)
        if what.endswith("pcap"):
            other = work / "pack.pcapng"
            cpu_seconds([reprise, "trace", "export", trace, "-F", "pcapng"], other)
        else:
            other = lean_jsonl(trace)
        packed, squeezed = work / "packed.trace", work / "squeezed.zst"
        theirs = cpu_seconds(["zstd", "-19", "-T1", "-q", "-c", other], squeezed)
        ours = statistics.median(
            cpu_seconds([reprise, "trace", "pack", trace, "-o", "-"], packed)
            for _ in range(REPEATS)
        )
        size = packed.stat().st_size / squeezed.stat().st_size
        bytes_each = packed.stat().st_size / PACK_OPERATIONS
        lines.append(
            f"{what:28} {bytes_each:6.1f} B/op   size {size:5.2f} (bar 0.9)   "
            f"speed {theirs / ours:6.1f} (bar 50)"
        )
    return "\n".join(lines)


def container() -> str:
    """Bytes and speed of trace files; left out of quick runs."""
    if QUICK:
        return ""
    progress("trace files")
    process = start(
        CLIENT_CORE,
        [tools / "container_bench", work / "container.trace"],
        stdout=subprocess.PIPE,
        text=True,
    )
    out, _ = process.communicate(timeout=CLIENT_MAX_S)
    if process.returncode != 0:
        raise Failed("container_bench failed")
    return CONTAINER.format(lines=out.rstrip(), beside=beside_zstd())


def analysis() -> str:
    """Size and speed of run files; left out of quick runs. Not pinned: a comparison uses
    all cores, and all else is CPU time."""
    if QUICK:
        return ""
    progress("run files")
    done = subprocess.run(
        [tools / "analysis_bench", work],
        stdout=subprocess.PIPE,
        text=True,
        timeout=CLIENT_MAX_S,
        check=False,
    )
    if done.returncode != 0:
        raise Failed("analysis_bench failed")
    return ANALYSIS.format(lines=done.stdout.rstrip())


# --- the report ------------------------------------------------------------------------------


def machine() -> str:
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return f"{CORES} cores ({model}), Linux {platform.release()}"


def version(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).split("\n")[0].strip()


def table() -> str:
    widths = [max(len(r[i]) for r in [HEAD, *rows]) for i in range(len(HEAD))]
    lines = [HEAD, tuple("-" * w for w in widths), *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths)) + " |"
        for line in lines
    )


RESULTS = """# Benchmark results

Written by `make bench` on {date}: {machine}. {repeats} repeats of each measurement, clients
taking turns; client and server pinned to a core each{priority}. Peers: {peers}.

{table}

Absolute figures are this machine's; the ratios, taken within one run, are the result.
*foreign* is how many cores anything else on the machine used meanwhile (median): where it
is high, the tails of lateness and evenness are those of the machine.

Rates, lateness and evenness come from the server: it counts requests and has the kernel
stamp each packet on the loopback device. Before anything is measured the stamps are put to
the proof: {proof} lay within the send call that caused them. CPU is the client's
whole process, from start to end; reprise reads its trace and writes every outcome in it. In
closed loop all clients send the same body, over gRPC with the same header fields; the request
id is another each time with reprise alone, which over REST sends it in addition.

Lateness *on the wire* is when the k-th request lay there minus when the k-th operation was
due, and so includes everything between plan and wire. *By its own word* is what the run file
says: its clock is read just before the system call that sends.

*bare* is the floor: a client that sends the same bytes and reads the answers, and does nothing
else. It reads no trace, writes no run and judges nothing; in open loop it polls all the time.
Where it falls short, too, the limit is the machine with its kernel and not what reprise does beside.

In open loop each client runs at shares of the rate that wrk reached in closed loop (median),
against the same stamping server, in turns. A rate counts as reached where 99.9 % of the
requests were in time in half of the repeats. The share of requests that lay on the wire more
than 1 ms after they were due, as median, least and greatest, and what reprise said of its own
run:

```
of wrk       rate   reprise                     bare                         health
{steps}
```

*Start* counts from before the fork that becomes the program, libraries, calibration and
connecting included.

What is reported is held against what a server stamped in RESULTS_TRUTH.md: known delays, a
stall, arrivals and drift.
"""


CONTAINER = """
## Trace files

Written and read on one core with the page cache warm, medians of five passes
(`container_bench`, which runs alone, too): a million operations of two models over REST and
gRPC, and what each bar asks for.

```
{lines}
```

Beside zstd -19, in one run, sizes as shares and speeds as multiples of its:

```
{beside}
```

JSONL is `trace cat --jsonl` without what can be told from the rest (index, length and hash of
a body); pcap is `trace export --format pcapng`, REST alone. Times are CPU seconds of whole
processes on one core.
"""

ANALYSIS = """
## Run files

Read on one core with the page cache warm, medians of five passes, CPU time (`analysis_bench`,
which runs alone, too): a million outcomes of two models over REST and gRPC. The comparison is
wall time on all cores. What a column costs is what a run is smaller by when that column says
nothing.

```
{lines}
```
"""


def main() -> None:
    started = time.monotonic()
    for tool in ("wrk", "hey", "h2load", "nginx", "taskset"):
        if not shutil.which(tool):
            sys.exit(f"bench: {tool} is missing; tests/deps.sh bench installs it")
    try:
        proof = instrument()
        closed_rest()
        steps = open_limit()
        start_up()
        closed_grpc()
        lateness(1_000)
        lateness(10_000)
        lateness(1_000, "--no-spin")
        evenness()
        trace_files = container()
        run_files = analysis()
    except Failed as failure:
        sys.exit(f"bench: {failure}")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    peers = [version(["wrk", "-v"]).split(" [")[0], version(["h2load", "--version"])]
    peers += [version(["nginx", "-v"]).removeprefix("nginx version: "), "hey (Debian)"]
    text = RESULTS.format(
        date=datetime.date.today().isoformat(),
        machine=machine(),
        repeats=REPEATS,
        peers=", ".join(peers),
        priority=", at raised priority" if os.geteuid() == 0 else "",
        proof=proof,
        steps=steps,
        table=table(),
    )
    text += trace_files + run_files
    print(text)
    print(f"took {time.monotonic() - started:.0f} s")
    if not QUICK:
        pathlib.Path("tests/bench/RESULTS.md").write_text(text)


if __name__ == "__main__":
    main()
