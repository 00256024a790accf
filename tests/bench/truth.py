"""truth.py PROGRAM - is what reprise reports true? Held against the server's own stamps.

The server is `reprise standin --stamps`: for each request it notes, on the clock that both
programs share, when its first byte was read and when its answer left. From these and from
the trace's arrivals the true numbers are computed here, without a word of the client:

  known delay  service times of 20, 50 and 100 ms, over one trace of REST and gRPC, by the
               engines of our own and by libcurl; reported p50, p90 and p99 must be within
               the larger of 1 % and 50 µs, and so must the engines be of each other
  stall        the server freezes for one second in six at 1,000/s: p90 and p99 from due must
               be within 2 % of the truth, and all that is due must be sent; h2load and hey,
               given the same rate, beside it
  arrivals     the share of gaps between arrivals at the server that are not those of the plan,
               beside what the run's own arrival test says: alone, and with its processor
               wanted by another
  drift        a recorded trace at a tenth of its speed to a hundred times: the last request
               must reach the server within 1 ms of its plan

Client and server have a core each and raised priority, where this machine allows it. A run
whose health is INVALID says so itself, and is shown as such: it is made again, twice at most.

SPDX-License-Identifier: Apache-2.0
"""

import csv
import datetime
import json
import math
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from fractions import Fraction

QUICK = os.environ.get("BENCH_QUICK") == "1"
REPEATS = int(os.environ.get("BENCH_REPEATS", "1" if QUICK else "3"))
CLIENT_MAX_S = 300  # a client that takes longer hangs
TRIES = 3  # of a run that turns out INVALID
CORES = os.cpu_count() or 1
SERVER_CORE, CLIENT_CORE = (0, 1) if CORES > 1 else (0, 0)
DELAYS = "modes:0.55=20ms,0.37=50ms,0.08=100ms"
QUANTILES = ("p50", "p90", "p99")
SECOND = 10**9
AZURE = pathlib.Path(__file__).parents[1] / "data" / "azure-conv-2023.csv.zst"
AZURE_FROM = 1200  # seconds: by then it has found its rate
# Speed, and how much of the recorded trace: a minute of the wall clock each, but for the last.
SPEEDS = (("0.1", 6), ("1", 60), ("10", 600), ("100", 600))
QUICK_SPEEDS = (("1", 5), ("100", 600))

program = sys.argv[1]
work = pathlib.Path(tempfile.mkdtemp(prefix="reprise-truth-bench-"))
RUN = work / "bench.run"


class Failed(Exception):
    """A program that did not do what was asked of it."""


def progress(what: str) -> None:
    print(f"bench: {what}", file=sys.stderr, flush=True)


# --- running things ----------------------------------------------------------------------


def raise_priority() -> None:
    """In a new child: all that the scheduler will give, if we may ask for it."""
    os.setsid()
    try:
        os.nice(-19)
        pathlib.Path("/proc/self/autogroup").write_text("-19", encoding="ascii")
    except OSError:
        pass


def start(core: int, command: list, **options) -> subprocess.Popen:
    return subprocess.Popen(
        ["taskset", "-c", str(core), *map(str, command)],
        stdin=subprocess.DEVNULL,
        preexec_fn=raise_priority,
        **options,
    )


def client(command: list, passes=(0,)) -> str:
    """Runs a client to its end; its standard output."""
    with open(work / "client.err", "wb") as err:
        process = start(CLIENT_CORE, command, stdout=subprocess.PIPE, stderr=err, text=True)
        try:
            out, _ = process.communicate(timeout=CLIENT_MAX_S)
        except BaseException:
            process.kill()
            raise
    if process.returncode not in passes:
        told = (work / "client.err").read_text(errors="replace")
        raise Failed(f"{' '.join(map(str, command))}: exit {process.returncode}\n{told}")
    return out


class Standin:
    """The stand-in, and what it stamped once it has ended: `with Standin(...) as s: …`."""

    def __init__(self, *options):
        self.options, self.ports, self.file = options, work / "ports", work / "stamps"
        self.stamps: list[tuple[int, int, bool]] = []  # first byte, answer left, gRPC

    def __enter__(self):
        self.ports.unlink(missing_ok=True)
        command = [program, "standin", "--tier", "server", "--quiet", "--ports", self.ports]
        command += ["--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--stamps", self.file]
        self.process = start(
            SERVER_CORE, [*command, *self.options], stdout=subprocess.DEVNULL
        )
        limit = time.monotonic() + 10
        while not self.ports.exists():
            if self.process.poll() is not None or time.monotonic() > limit:
                raise Failed("the stand-in does not start")
            time.sleep(0.01)
        lines = self.ports.read_text(encoding="ascii").split()
        self.at = dict(line.split("=") for line in lines)
        return self

    def __exit__(self, kind, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)
        if kind is not None:
            return
        for line in self.file.read_text(encoding="ascii").splitlines():
            if not line.startswith("#"):
                field = line.split()
                self.stamps.append((int(field[0]), int(field[2]), int(field[3]) >= 1000))

    def url(self) -> str:
        return f"http://{self.at['server.http']}"


def replay(trace: pathlib.Path, server: Standin, *options) -> list:
    return [
        *(program, "replay", trace, "--quiet", "--invalid=pass", "--tier", "server"),
        *("--http", server.url(), "--grpc", server.at["server.grpc"]),
        *("-o", RUN, "--force", *options),
    ]


def replayed(trace: pathlib.Path, service: tuple, *options) -> tuple[Standin, dict]:
    """A replay and its report; made again where its health says that it is worth nothing."""
    for _ in range(TRIES):
        with Standin(*service) as server:
            client(replay(trace, server, *options))
        report = json.loads(client([program, "report", RUN, "--json"], (0, 3)))
        if report["health"]["verdict"] != "INVALID":
            break
    return server, report


def outcomes() -> list[dict]:
    lines = client([program, "trace", "cat", RUN, "--jsonl"]).splitlines()
    return [json.loads(line) for line in lines]


def start_of_run() -> int:
    info = json.loads(client([program, "trace", "info", RUN, "--json"]))
    return int(info["notes"]["run.start_mono_ns"])


def arrivals(trace: pathlib.Path) -> list[int]:
    """Of each operation, since the first."""
    lines = client([program, "trace", "cat", trace, "--jsonl"]).splitlines()
    moments = [json.loads(line)["arrival_ns"] for line in lines]
    return [moment - moments[0] for moment in moments]


def synth(name: str, *options) -> pathlib.Path:
    path = work / name
    client(
        [program, "synth", "-o", path, "--force", "--quiet", "--model-type", "iris", *options]
    )
    return path


def quantile(values: list[int], name: str) -> int:
    """The inverse of the empirical distribution: rank ceil(p n), as the report has it."""
    values = sorted(values)
    rank = math.ceil(Fraction(name[1:]) / 100 * len(values))
    return values[max(1, rank) - 1]


def middle(values: list[float]) -> float:
    return statistics.median(values)


def ms(ns: float) -> str:
    return f"{ns / 1e6:,.3f} ms"


def table(head: tuple, rows: list[tuple]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def met(ok: bool) -> str:
    return "met" if ok else "**missed**"


# --- known delay ---------------------------------------------------------------------------


def known_delay() -> str:
    progress("known delay")
    count = 2400 if QUICK else 4800  # half of them by each protocol
    trace = synth(
        "delay.trace",
        *("--protocol", "both", "--arrivals", "poisson"),
        *("--rate", 600, "--count", count, "--duration", "1h"),
    )
    engines = {"own": "own", "libcurl": "curl"}
    found: dict[tuple[str, str], dict[str, list[tuple[int, int]]]] = {}
    verdicts: dict[str, list[str]] = {name: [] for name in engines}
    for repeat in range(REPEATS):
        for name in sorted(engines, reverse=bool(repeat % 2)):
            server, report = replayed(
                trace, ("--service", DELAYS), "--engine", engines[name], "--connections", 400
            )
            verdicts[name].append(report["health"]["verdict"])
            for cell in report["cells"]:
                grpc = cell["protocol"] == "grpc"
                true = [left - read for read, left, is_grpc in server.stamps if is_grpc == grpc]
                if len(true) != cell["operations"]["ok"]:
                    raise Failed(f"{len(true)} answers, {cell['operations']['ok']} reported")
                of = found.setdefault((name, cell["protocol"]), {q: [] for q in QUANTILES})
                for q in QUANTILES:
                    of[q].append((cell["latency_ns"]["service"][q], quantile(true, q)))
    rows = []
    for (name, protocol), of in found.items():
        if (name, protocol) == ("libcurl", "grpc"):
            continue  # gRPC has one engine: these are more of its runs
        for q in QUANTILES:
            off = [abs(told - true) for told, true in of[q]]
            bar = [max(0.01 * true, 50_000) for _, true in of[q]]
            told, true = (middle([pair[i] for pair in of[q]]) for i in (0, 1))
            rows.append(
                (f"{protocol}, {name}", q, ms(true), ms(told))
                + (f"{middle(off) / 1e3:,.0f} µs", f"{max(off) / 1e3:,.0f} µs")
                + (met(middle(off) <= middle(bar)), ", ".join(verdicts[name]))
            )
    for q in QUANTILES:  # what each adds to the truth of its own runs
        own, curl = (middle([t - s for t, s in found[n, "rest"][q]]) for n in engines)
        bar = max(0.01 * middle([true for _, true in found["own", "rest"][q]]), 50_000)
        apart = f"{abs(own - curl) / 1e3:,.0f} µs"
        rows.append(
            ("rest, own less libcurl", q, "", "", apart, "", met(abs(own - curl) <= bar), "")
        )
    head = ("engine", "quantile", "true", "reported", "off by", "at most", "bar", "health")
    return table(head, rows)


# --- stall -------------------------------------------------------------------------------


STALL_RATE, STALL_SECONDS, STALL_CLIENTS = 1000, 6, 64


def times_of_h2load(server: Standin) -> list[int]:
    log, each = work / "h2load.log", STALL_RATE / STALL_CLIENTS
    log.unlink(missing_ok=True)
    client(
        ["h2load", "--h1", "-t1", "-c", STALL_CLIENTS, "-D", STALL_SECONDS, "--rps", each]
        + [f"--log-file={log}", server.url() + "/v2/health/live"]
    )
    lines = log.read_text(encoding="ascii").splitlines()
    return [int(line.split("\t")[2]) * 1000 for line in lines]


def times_of_hey(server: Standin) -> list[int]:
    each = STALL_RATE / STALL_CLIENTS
    out = client(
        ["hey", "-c", STALL_CLIENTS, "-z", f"{STALL_SECONDS}s", "-q", each, "-o", "csv"]
        + [server.url() + "/v2/health/live"]
    )
    return [int(float(row["response-time"]) * 1e9) for row in csv.DictReader(out.splitlines())]


def stall() -> str:
    progress("stall")
    due_count = STALL_RATE * STALL_SECONDS
    trace = synth(
        "stall.trace",
        *("--protocol", "rest", "--arrivals", "constant"),
        *("--rate", STALL_RATE, "--count", due_count, "--duration", "1h"),
    )
    plan = arrivals(trace)
    service = ("--service", "fixed:1ms", "--stall", f"{STALL_SECONDS // 2}s,1s")
    names = ("reprise", "h2load", "hey")
    sent: dict[str, list[int]] = {name: [] for name in names}
    told = {name: {q: [] for q in QUANTILES[1:]} for name in names}
    off = {name: {q: [] for q in QUANTILES[1:]} for name in names}
    for _ in range(REPEATS):
        server, _ = replayed(trace, service, "--connections", 1024)
        begin = start_of_run()
        replies = sorted(left - begin for _, left, _ in server.stamps)
        if len(replies) != due_count:
            raise Failed(f"{due_count} were due, {len(replies)} arrived")
        # In order of due times and of answers: exact but for who overtakes whom in a burst.
        truth = [left - due for left, due in zip(replies, plan, strict=True)]
        times = {"reprise": [o["done_ns"] - o["due_ns"] for o in outcomes()]}
        sent["reprise"].append(len(server.stamps))
        for name, measure in (("h2load", times_of_h2load), ("hey", times_of_hey)):
            with Standin(*service) as server:
                times[name] = measure(server)
            sent[name].append(len(server.stamps))
        for name in names:
            for q in QUANTILES[1:]:
                value, true = quantile(times[name], q), quantile(truth, q)
                told[name][q].append((value, true))
                off[name][q].append(max(value / true, true / value))
    rows = []
    for name in names:
        share = middle(sent[name]) / due_count
        for q in QUANTILES[1:]:
            value, true = (middle([pair[i] for pair in told[name][q]]) for i in (0, 1))
            factor = middle(off[name][q])
            good = factor <= 1.02 and share == 1
            rows.append(
                (name, q, ms(true), ms(value))
                + (f"{factor:,.3f}" if factor < 2 else f"{factor:,.0f}", f"{100 * share:.1f} %")
                + ((met(good) if name == "reprise" else ""),)
            )
    head = ("client", "quantile", "true, from due", "told", "off by a factor of", "sent", "bar")
    return table(head, rows)


# --- arrivals --------------------------------------------------------------------------------


def off_plan(arrived: list[int], plan: list[int]) -> float:
    """As the arrival test counts (replay/gaps.h): gaps too short, or too long, the more."""
    shorter = longer = 0
    for i in range(1, len(plan)):
        planned = plan[i] - plan[i - 1]
        off, slack = arrived[i] - arrived[i - 1] - planned, max(planned // 100, 250_000)
        shorter += off < -slack
        longer += off > slack
    return max(shorter, longer) / (len(plan) - 1)


def arrivals_at_server() -> str:
    progress("arrivals")
    trace = synth(
        "arrivals.trace",
        *("--protocol", "rest", "--arrivals", "poisson"),
        *("--rate", 500, "--duration", "2s" if QUICK else "6s"),
    )
    plan, rows = arrivals(trace), []
    for what, hogs in (("alone", 0), ("its processor wanted by another", 1)):
        spin = ["sh", "-c", "while :; do :; done"]
        others = [start(CLIENT_CORE, spin) for _ in range(hogs)]
        try:
            with Standin("--service", "fixed:1ms") as server:
                client(replay(trace, server, "--connections", 64))
        finally:
            for other in others:
                other.kill()
                other.wait()
        info = json.loads(client([program, "trace", "info", RUN, "--json"]))["notes"]
        seen = off_plan(sorted(first for first, _, _ in server.stamps), plan)
        own, verdict = float(info["arrivals.distance"]), info["health.verdict"]
        rows.append((what, f"{100 * seen:.1f} %", f"{100 * own:.1f} %", verdict))
    return table(("reprise", "off at the server", "off by its own word", "health"), rows)


# --- drift ------------------------------------------------------------------------------------


def drift() -> str:
    whole = work / "azure.trace"
    client([program, "import", "azure-llm", AZURE, "-o", whole, "--quiet"])
    rows = []
    for speed, seconds in QUICK_SPEEDS if QUICK else SPEEDS:
        progress(f"drift at x{speed}")
        trace = work / "part.trace"
        client(
            [program, "trace", "cut", whole, "--from", f"{AZURE_FROM}s", "--to"]
            + [f"{AZURE_FROM + seconds}s", "-o", trace, "--force", "--quiet"]
        )
        plan = [int(at / Fraction(speed)) for at in arrivals(trace)]
        options = ("--speed", speed, "--connections", 256)
        server, report = replayed(trace, ("--service", "fixed:1ms"), *options)
        begin = start_of_run()
        if len(server.stamps) != len(plan):
            raise Failed(f"{len(plan)} were due, {len(server.stamps)} arrived")
        read = sorted(first for first, _, _ in server.stamps)
        late = [at - begin - due for at, due in zip(read, plan, strict=True)]
        exact = [o["due_ns"] for o in sorted(outcomes(), key=lambda o: o["op"])] == plan
        tenth = max(1, len(late) // 10)
        rows.append(
            (f"×{speed}", f"{seconds} s", f"{plan[-1] / SECOND:,.1f} s", len(plan))
            + ("all" if exact else "**not all**", f"{late[-1] / 1e3:,.0f} µs")
            + (f"{middle(late[:tenth]) / 1e3:,.0f} µs", f"{middle(late[-tenth:]) / 1e3:,.0f} µs")
            + (met(exact and late[-1] <= 10**6), report["health"]["verdict"])
        )
    head = ("speed", "of the trace", "takes", "operations", "due to the nanosecond")
    head += ("last one late", "first tenth late", "last tenth late", "bar", "health")
    return table(head, rows)


# --- the report ------------------------------------------------------------------------------

RESULTS = """# What is reported, and what is true

Written by `make bench` on {date}: {cores} cores, Linux {release}, {repeats} repeats. The
server is the stand-in; what is true comes from its stamps and from the trace, and never from
the client (`tests/bench/truth.py` says how).

## Known delay

REST and gRPC in one trace at 600/s; each answer takes 20, 50 or 100 ms. Service time, sent
to answered. *Bar*: median within the larger of 1 % and 50 µs.

{delay}

## Stall

1,000/s for six seconds, of which the server is frozen for one. *Told* is what the client's
own times say. *Bar*: within 2 % (a factor of 1.02), and 100 % of what was due is sent.

{stall}

## Arrivals

Poisson, 500/s. *Off*: the share of gaps that are longer than planned, or shorter, by more than
250 µs and 1 % (the more of the two); above 1 % the run is DEGRADED, above 5 % INVALID.

{arrived}

## Drift

A recorded trace (Azure's conversations of 2023, bodies of iris) at several speeds. *Late* is
when the server read the first byte, less the plan; it includes the server's own wake-up.
*Bar*: every due time is the exact quotient, and the last request is there within 1 ms.

{drift}
"""


def main() -> None:
    started = time.monotonic()
    for tool in ("hey", "h2load", "taskset"):
        if not shutil.which(tool):
            sys.exit(f"bench: {tool} is missing; tests/deps.sh bench installs it")
    try:
        text = RESULTS.format(
            date=datetime.date.today().isoformat(),
            cores=CORES,
            release=os.uname().release,
            repeats=REPEATS,
            delay=known_delay(),
            stall=stall(),
            arrived=arrivals_at_server(),
            drift=drift(),
        )
    except Failed as failure:
        sys.exit(f"bench: {failure}")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(text)
    print(f"took {time.monotonic() - started:.0f} s")
    if not QUICK:
        pathlib.Path("tests/bench/RESULTS_TRUTH.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
