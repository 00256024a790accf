"""kafka_bench.py PROGRAM - replay's tier kafka beside librdkafka's own rdkafka_performance.

All produce the same number of the same records, with a key and one header, to the same topic
of the same broker (`reprise standin --tier kafka`, on a core of its own, which answers each of
them), as fast as they can, in turns. rdkafka_performance does so twice: a producer alone, which
waits until all are acknowledged; and a producer beside a consumer of the answers, on the same
core, which only counts them. reprise takes each record from a trace at its due time, reads the
answer, joins it by its key, and writes its outcome. Rates are of records handed over, and of
answers, from the first record to the last answer. CPU is the kernel's count of each process,
start and end included.

rdkafka_performance is compiled from the example that Debian's librdkafka-dev brings; the
few definitions that it takes from librdkafka's own sources are written here.

    BENCH_QUICK=1, BENCH_REPEATS=N   as of bench.py

SPDX-License-Identifier: Apache-2.0
"""

import dataclasses
import datetime
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

QUICK = os.environ.get("BENCH_QUICK") == "1"
REPEATS = int(os.environ.get("BENCH_REPEATS", "3" if QUICK else "7"))
RECORDS = 30_000  # the stand-in's broker keeps 100,000 of each partition
BODY = '{"inputs":[{"name":"predict","shape":[1,4],"datatype":"FP32","data":[5,3,1,0]}]}'
TOPIC = "seldon.default.model.iris0"
SETTLE_S = 1.5  # for the consumer to have reached the end of its topic
START_MAX_S = 20
CLIENT_MAX_S = 60
BAR = 0.9
EXAMPLE = pathlib.Path("/usr/share/doc/librdkafka-dev/examples/rdkafka_performance.c")
CORES = os.cpu_count() or 1
SERVER_CORE, CLIENT_CORE = (0, 1) if CORES > 1 else (0, 0)

# What the example uses of librdkafka's private headers rd.h and rdtime.h.
RD_H = """
#pragma once
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
typedef int64_t rd_ts_t;
#define rd_snprintf snprintf
#define RD_UNUSED __attribute__((unused))
#define RD_MIN(a, b) ((a) < (b) ? (a) : (b))
#define RD_MAX(a, b) ((a) > (b) ? (a) : (b))
"""
RDTIME_H = """
#pragma once
static inline rd_ts_t rd_clock(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (rd_ts_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
"""

reprise = sys.argv[1]
work = pathlib.Path(tempfile.mkdtemp(prefix="reprise-kafka-bench-"))


class Failed(Exception):
    """A client or server that did not do what was asked of it."""


@dataclasses.dataclass
class Sample:
    """What one run of one client came to."""

    rate: float  # records a second: acknowledged (reprise: handed to librdkafka)
    answered: float  # answers a second, first record to last answer; 0: not read
    cpu_us: float  # of each record


def build_peer() -> pathlib.Path:
    (work / "src").mkdir()
    (work / "examples").mkdir()
    (work / "src/rd.h").write_text(RD_H, encoding="ascii")
    (work / "src/rdtime.h").write_text(RDTIME_H, encoding="ascii")
    (work / "src/rdkafka.h").write_text("#include <librdkafka/rdkafka.h>\n", encoding="ascii")
    source, packed = work / "examples/rdkafka_performance.c", EXAMPLE.with_suffix(".c.gz")
    if EXAMPLE.exists():
        shutil.copy(EXAMPLE, source)
    elif packed.exists():
        with open(source, "wb") as f:
            subprocess.run(["gzip", "-dc", packed], stdout=f, check=True)
    else:
        raise Failed(f"{EXAMPLE} is missing; tests/deps.sh bench installs librdkafka-dev")
    program = work / "rdkafka_performance"
    made = subprocess.run(
        ["cc", "-O2", "-w", "-D_GNU_SOURCE", f"-I{work}/src", source, "-o", program]
        + ["-lrdkafka", "-lpthread", "-lm"],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise Failed(f"rdkafka_performance cannot be compiled: {made.stderr[-300:]}")
    return program


def start_broker() -> tuple[subprocess.Popen, str]:
    ports = work / "ports"
    server = subprocess.Popen(
        ["taskset", "-c", str(SERVER_CORE), reprise, "standin", "--tier", "kafka"]
        + ["--model-type", "iris", "--service", "fixed:0s", "--ports", ports, "--quiet"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    end = time.monotonic() + START_MAX_S
    while not ports.exists():
        if server.poll() is not None or time.monotonic() > end:
            server.kill()
            raise Failed("the broker did not start")
        time.sleep(0.02)
    return server, ports.read_text(encoding="ascii").strip().split("=", 1)[1]


def start_client(log, command: list) -> subprocess.Popen:
    return subprocess.Popen(
        ["taskset", "-c", str(CLIENT_CORE), "timeout", str(CLIENT_MAX_S), *map(str, command)],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
    )


def end_client(client: subprocess.Popen, log) -> tuple[str, float]:
    """What it said, and its CPU time."""
    _, status, usage = os.wait4(client.pid, 0)
    client.returncode = os.waitstatus_to_exitcode(status)
    log.seek(0)
    said = log.read().decode()
    if client.returncode:
        raise Failed(f"{client.args[5]} ended with {client.returncode}: {said[-300:]}")
    return said, usage.ru_utime + usage.ru_stime


def run_client(command: list) -> tuple[str, float]:
    with open(work / "client.log", "w+b") as log:
        return end_client(start_client(log, command), log)


def produce(peer: pathlib.Path, brokers: str) -> tuple[float, float]:
    """Records a second, and CPU time."""
    said, cpu = run_client(
        [peer, "-P", "-b", brokers, "-t", f"{TOPIC}.inputs", "-m", BODY, "-s", len(BODY)]
        + ["-k", "0.iris0.aaaaaaaa-ffff", "-H", "x-request-id=aaaaaaaa-ffff", "-c", RECORDS]
        + ["-X", "linger.ms=0", "-X", "message.max.bytes=1000000000"]
    )
    found = re.findall(r"(\d+) delivered .* in (\d+)ms: (\d+) msgs/s", said)
    if not found or int(found[-1][0]) != RECORDS:
        raise Failed(f"rdkafka_performance delivered something else: {said[-300:]}")
    return float(found[-1][2]), cpu


def producer_sample(peer: pathlib.Path, brokers: str) -> Sample:
    rate, cpu = produce(peer, brokers)
    return Sample(rate, 0, cpu / RECORDS * 1e6)


def pair_sample(peer: pathlib.Path, brokers: str) -> Sample:
    """A producer, and a consumer of what is answered. The consumer's time is from the first
    answer that it got to the last."""
    command = [peer, "-C", "-b", brokers, "-t", f"{TOPIC}.outputs", "-p", 0, "-p", 1, "-p", 2]
    command += ["-o", "end", "-c", RECORDS, "-H", "parse", "-X", "fetch.wait.max.ms=5"]
    with open(work / "consumer.log", "w+b") as log:
        consumer = start_client(log, command)
        time.sleep(SETTLE_S)
        rate, cpu = produce(peer, brokers)
        said, read_cpu = end_client(consumer, log)
    found = re.findall(r"(\d+) messages .* consumed in (\d+)ms", said)
    if not found or int(found[-1][0]) < RECORDS:
        raise Failed(f"rdkafka_performance consumed something else: {said[-300:]}")
    answered = RECORDS / max(int(found[-1][1]), 1) * 1e3
    return Sample(rate, answered, (cpu + read_cpu) / RECORDS * 1e6)


def our_sample(trace: pathlib.Path, brokers: str) -> Sample:
    said, cpu = run_client(
        [reprise, "replay", trace, "--tier", "kafka", "--kafka", brokers, "--speed", "1000"]
        + ["--kafka-option", "fetch.wait.max.ms=5", "-o", work / "x.run", "--force"]
        + ["--invalid", "pass", "--json", "--quiet"]
    )
    result = json.loads(said[said.index("{") :])
    if result["operations"]["ok"] != RECORDS:
        raise Failed(f"not every operation was answered well: {result['operations']}")
    return Sample(
        result["rate"]["achieved"],
        RECORDS / result["duration_ns"] * 1e9,
        cpu / RECORDS * 1e6,
    )


def make_trace() -> pathlib.Path:
    lines, trace = work / "t.jsonl", work / "t.trace"
    with open(lines, "w", encoding="ascii") as f:
        for i in range(RECORDS):
            operation = {"arrival_ns": i * 1_000_000, "protocol": "kafka", "tier": "kafka"}
            operation |= {"resource": "model", "name": "iris0", "body": {"text": BODY}}
            f.write(json.dumps(operation) + "\n")
    subprocess.run(
        [reprise, "import", "jsonl", lines, "-o", trace],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return trace


RESULTS = """# Kafka: benchmark results

Written by `make bench` on {date}: {cores} cores, medians of {repeats}, librdkafka {library}.
{records} records of {size} bytes, in turns, to one topic of one broker, which answers each.

| | producer alone | producer and consumer | reprise | ratio to the pair | bar |
|---|---|---|---|---|---|
| records a second, handed over | {alone_rate:,.0f} | {pair_rate:,.0f} | {our_rate:,.0f} | {ratio:.2f} | {bar} |
| answers a second | – | {pair_answered:,.0f} | {our_answered:,.0f} | {answered_ratio:.2f} | {bar} |
| CPU a record, us | {alone_cpu_us:.1f} | {pair_cpu_us:.1f} | {our_cpu_us:.1f} | {cpu_ratio:.2f} | |

The first two are rdkafka_performance, once and twice: it sends one record over and over, waits
until all are acknowledged, and counts what it consumes. reprise takes each record from a trace at
its due time, reads the answer, joins it by its key and writes an outcome. Of the pair, answers a
second begin with the first answer; of reprise, with the first record. CPU includes start and end.
"""


def main() -> None:
    server = None
    samples = {"alone": [], "pair": [], "our": []}
    try:
        peer, trace = build_peer(), make_trace()
        library = subprocess.run(
            ["pkg-config", "--modversion", "rdkafka"], capture_output=True, text=True, check=False
        ).stdout.strip()
        server, brokers = start_broker()
        for i in range(REPEATS + 1):  # the first warms all up
            print(f"bench: kafka {i}/{REPEATS}", file=sys.stderr)
            samples["alone"].append(producer_sample(peer, brokers))
            samples["pair"].append(pair_sample(peer, brokers))
            samples["our"].append(our_sample(trace, brokers))
        median = {
            f"{who}_{what}": statistics.median(getattr(s, what) for s in them[1:])
            for who, them in samples.items()
            for what in ("rate", "answered", "cpu_us")
        }
        text = RESULTS.format(
            date=datetime.date.today().isoformat(),
            cores=CORES,
            repeats=REPEATS,
            library=library,
            records=f"{RECORDS:,}",
            size=len(BODY),
            bar=BAR,
            ratio=median["our_rate"] / median["pair_rate"],
            answered_ratio=median["our_answered"] / median["pair_answered"],
            cpu_ratio=median["our_cpu_us"] / median["pair_cpu_us"],
            **median,
        )
    except Failed as failure:
        sys.exit(f"bench: {failure}")
    finally:
        if server:
            server.terminate()
            server.wait()
        shutil.rmtree(work, ignore_errors=True)
    print(text)
    if not QUICK:
        pathlib.Path("tests/bench/RESULTS_KAFKA.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
