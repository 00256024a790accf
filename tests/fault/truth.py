"""truth.py STAMPS OUTCOMES - quantiles of a run, by the server's own stamps and by its plan.

STAMPS is what `reprise standin --stamps` wrote, OUTCOMES the lines of `reprise trace cat
--jsonl`, and the environment variable START_NS the run's start on CLOCK_MONOTONIC, which
both programs share. Prints JSON: for p50, p90 and p99 of the service time (the server:
first byte of the request read to answer written) and of the response time from due (the
plan's due time to answer written), in nanoseconds, of inverse-ECDF quantiles like report's.
Requests and answers are paired in the order of due times and of answers: exact where the
server answers in order, and within a burst off by no more than the burst takes.

SPDX-License-Identifier: Apache-2.0
"""

import json
import math
import os
import sys


def quantiles(values: list[int]) -> dict[str, int]:
    values.sort()
    at = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    return {name: values[max(0, math.ceil(p * len(values)) - 1)] for name, p in at.items()}


def main() -> None:
    start = int(os.environ["START_NS"])
    stamps = []
    with open(sys.argv[1], encoding="ascii") as f:
        for line in f:
            if not line.startswith("#"):
                first, _, replied = map(int, line.split()[:3])
                stamps.append((first, replied))
    with open(sys.argv[2], encoding="ascii") as f:
        dues = sorted(json.loads(line)["due_ns"] for line in f)
    if len(dues) != len(stamps):
        sys.exit(f"{len(dues)} outcomes, but the server saw {len(stamps)} requests")
    replies = sorted(replied - start for _, replied in stamps)
    print(
        json.dumps(
            {
                "service": quantiles([replied - first for first, replied in stamps]),
                "response": quantiles([r - d for r, d in zip(replies, dues, strict=True)]),
            }
        )
    )


main()
