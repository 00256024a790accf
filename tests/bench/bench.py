"""bench.py PROGRAM BENCH_SERVER - reprise beside wrk, h2load and hey, in one run.

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
import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

QUICK = os.environ.get("BENCH_QUICK") == "1"
REPEATS = int(os.environ.get("BENCH_REPEATS", "3" if QUICK else "5"))
SECONDS = 1 if QUICK else 2  # of one closed-loop measurement
OPEN_SECONDS = 2 if QUICK else 4  # of one open-loop measurement
EDGE_NS = 250_000_000  # taken off both ends where evenness is judged: start and stop
CORES = os.cpu_count() or 1
SERVER_CORE, CLIENT_CORE = (0, 1) if CORES > 1 else (0, 0)
# What bench_server answers too: a ModelInferResponse of one INT64, behind its prefix.
GRPC_ANSWER = (
    b"\0\0\0\0\x2b\x0a\x06iris_1\x12\x011\x2a\x14\x0a\x07predict\x12\x05INT64"
    b"\x1a\x02\x01\x01\x32\x08" + bytes(8)
)
GRPC_PATH = "/inference.GRPCInferenceService/ModelInfer"

reprise, bench_server = sys.argv[1:3]
work = pathlib.Path(tempfile.mkdtemp(prefix="reprise-bench-"))


# --- running and measuring one client ------------------------------------------------


def pinned(core: int, command: list) -> list[str]:
    return ["taskset", "-c", str(core), *map(str, command)]


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
    requests: int = 0  # as the server counted them, like all that follows
    rate: float = 0  # requests a second, first to last
    stamps: list[int] = dataclasses.field(default_factory=list)
    output: str = ""


class Failed(Exception):
    """A client or server that did not do what was asked of it."""


def run_client(name: str, command: list, server_pids: list[int]) -> Sample:
    before, server_before = busy_seconds(), sum(map(process_seconds, server_pids))
    start = time.monotonic()
    with open(work / "client.log", "wb") as log:
        client = subprocess.Popen(
            pinned(CLIENT_CORE, command), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        _, status, usage = os.wait4(client.pid, 0)
    client.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - start
    busy = busy_seconds() - before
    server = sum(map(process_seconds, server_pids)) - server_before
    cpu = usage.ru_utime + usage.ru_stime
    output = (work / "client.log").read_text(errors="replace")
    if client.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: exit {client.returncode}\n{output}")
    return Sample(name, cpu, max(0.0, (busy - cpu - server) / wall), output=output)


@contextlib.contextmanager
def own_server(protocol: str, stamps: bool = False, first: pathlib.Path | None = None):
    """bench_server; yields its port and a dictionary that holds its summary afterwards."""
    arguments = [bench_server, protocol]
    if stamps:
        arguments += ["--stamps", work / "stamps"]
    if first:
        arguments += ["--first", first]
    process = subprocess.Popen(
        pinned(SERVER_CORE, arguments), stdout=subprocess.PIPE, text=True
    )
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


def measure(name: str, protocol: str, command, stamps: bool = False) -> Sample:
    """One client against a fresh bench_server; command is made from the port."""
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
    server = subprocess.Popen(
        pinned(SERVER_CORE, ["nginx", "-p", folder, "-c", folder / "nginx.conf"])
    )
    try:
        wait_for_port(port, server)
        sample = run_client(name, command(port), [server.pid])
    finally:
        server.send_signal(signal.SIGQUIT)
        server.wait(timeout=30)
    lines = (folder / "access.log").read_text().splitlines()
    bad = [line for line in lines if not line.endswith(" 200")]
    if bad:
        raise Failed(f"nginx answered {name} {len(bad)} times with an error: {bad[0]}")
    moments = sorted(float(line.split()[0]) for line in lines)
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


def alternate(clients: dict) -> dict[str, list[Sample]]:
    """Each client once a repeat, in an order that moves on by one each time."""
    names, samples = list(clients), {name: [] for name in clients}
    for repeat in range(REPEATS):
        for i in range(len(names)):
            name = names[(i + repeat) % len(names)]
            samples[name].append(clients[name]())
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return samples


# --- what is sent -------------------------------------------------------------------------


def synth(name: str, *options) -> pathlib.Path:
    path = work / name
    command = [reprise, "synth", "-o", path, "--quiet", "--model-type", "iris", *options]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: {done.stderr}")
    return path


def replay(trace: pathlib.Path, port: int, *options) -> list:
    return [
        *(reprise, "replay", trace, "--quiet", "--tier", "server", "--workers", 1),
        *("--http", f"http://127.0.0.1:{port}", "--grpc", f"127.0.0.1:{port}"),
        *("-o", work / "bench.run", *options),
    ]


def first_request(protocol: str) -> bytes:
    """What reprise sends, so that the others send the same."""
    trace, first = synth("one.trace", "--protocol", protocol, "--count", 1), work / "first"
    with own_server(protocol, first=first) as (port, summary):
        run_client("reprise", replay(trace, port), [summary["pid"]])
    return first.read_bytes()


# --- the table -------------------------------------------------------------------------------


rows: list[tuple[str, ...]] = []


def median(samples: list[Sample], what) -> float:
    return statistics.median(what(s) for s in samples)


def spread(samples: list[Sample], what) -> str:
    values = [what(s) for s in samples]
    return f"{min(values):,.0f}–{max(values):,.0f}"


def row(*cells: str) -> None:
    rows.append(cells)
    print("  ".join(cells), file=sys.stderr)


def closed_rows(what: str, samples: dict[str, list[Sample]]) -> None:
    ours = samples["reprise"]
    for name, list_ in samples.items():
        rate, cpu = (lambda s: s.rate), (lambda s: s.cpu_s / s.requests * 1e6)
        ratio = "–"
        if name != "reprise":
            ratio = (
                f"rate {median(ours, rate) / median(list_, rate):.2f}, "
                f"CPU {median(ours, cpu) / median(list_, cpu):.2f}"
            )
        row(
            what,
            name,
            f"{median(list_, rate):,.0f}/s ({spread(list_, rate)})",
            f"{median(list_, cpu):.2f} µs",
            ratio,
            f"{median(list_, lambda s: s.foreign):.2f}",
        )
