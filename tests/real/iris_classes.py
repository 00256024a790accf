"""iris_classes.py TRACE RUN IRIS_JSON - proves that the iris answers of a run were right.

`--check-answers` can tell of a class only that it is one. Here the class of every iris
operation of TRACE (JSON lines of `reprise trace cat`) is computed from the model's own
numbers. Where a server's answer depends on the class alone, the answer hashes of RUN must
then fall into groups that are exactly the classes. An MLServer answer over REST carries a
random id and so a hash of its own; such answers are left out, and an error if that leaves
nothing. Prints how many answers were judged.

SPDX-License-Identifier: Apache-2.0
"""

import base64
import collections
import json
import struct
import sys

MARGIN = 1e-4  # servers compute in other precisions; closer calls than this are left out


def row_of(operation: dict) -> tuple[float, ...]:
    """The four floats of a request of batch size 1."""
    body = operation["body"]
    if operation["protocol"] == "rest":
        return tuple(json.loads(body["text"])["inputs"][0]["data"])
    # ModelInferRequest: the packed floats are the last field that synth writes.
    return struct.unpack("<4f", base64.b64decode(body["base64"])[-16:])


def class_of(row: tuple[float, ...], model: dict) -> int | None:
    scores = [
        sum(w * x for w, x in zip(weights, row)) + bias
        for weights, bias in zip(model["weights"], model["bias"])
    ]
    best, second = sorted(scores, reverse=True)[:2]
    return scores.index(best) if best - second > MARGIN else None


def lines(path: str) -> list[dict]:
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def main() -> int:
    trace, run, numbers = sys.argv[1:]
    with open(numbers, encoding="utf-8") as f:
        model = json.load(f)
    classes = {
        o["index"]: class_of(row_of(o), model) for o in lines(trace) if o["name"] == "iris"
    }
    hashes = collections.defaultdict(lambda: collections.defaultdict(list))
    for o in lines(run):
        if o["name"] == "iris" and classes[o["op"]] is not None:
            hashes[o["protocol"]][o["answer_hash"]].append(classes[o["op"]])
    judged = 0
    for protocol, groups in hashes.items():
        answers = sum(map(len, groups.values()))
        if len(groups) == answers > 3:
            continue  # every hash came once: answers with an id
        for value, members in groups.items():
            if len(set(members)) != 1:
                print(f"{protocol}: answer {value} was given to classes {set(members)}")
                return 1
        if len(groups) != len({members[0] for members in groups.values()}):
            print(f"{protocol}: {len(groups)} different answers to fewer classes")
            return 1
        judged += answers
    print(judged)
    return 0 if judged > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
