#!/usr/bin/env python3
"""random_jsonl.py trace|run SEED COUNT - JSON lines with all that traces and runs can hold.

SPDX-License-Identifier: Apache-2.0
"""
import base64
import json
import random
import sys

FLAGS = ["truncated", "redacted", "inferred", "opaque", "gap", "sampled", "dequantized",
         "synthetic", "k6", 9, 20, 31]
CAUSES = ["ok", "status", "connect", "reset", "closed", "garbage", "too-big", "deadline",
          "dropped", "refused", "stopped"]
kind, seed, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
rng = random.Random(seed)


def words(most):
    return "".join(rng.choice("abc XYZ/0123456789-\"\\\n\té€𝄞") for _ in range(rng.randrange(most)))


def text(most):
    if rng.random() < 0.1:
        return {"base64": base64.b64encode(rng.randbytes(1 + rng.randrange(most)) + b"\xff").decode()}
    return words(most)


def ident():
    pick = rng.randrange(5)
    h = rng.randbytes(16).hex()
    if pick == 0:
        return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"
    if pick == 1:
        return "".join(rng.choice("0123456789abcdefghijklmnopqrstuv") for _ in range(19)) + \
            rng.choice("0g1")
    return text(40)


STREAMS = []
for i in range(20):
    s = {"protocol": rng.choice(["rest", "grpc", "kafka", "control"]),
         "tier": rng.choice(["any", "envoy", "rproxy", "server", "pipelinegateway",
                             "modelgateway", "kafka"]),
         "resource": rng.choice(["model", "pipeline", "experiment"]), "name": f"m{i // 2}"}
    for key in ("model_type", "method", "path", "content_type", "content_encoding"):
        value = text(30)
        if value:
            s[key] = value
    if rng.random() < 0.5:
        s["headers"] = [[text(20) or "h", text(40)] for _ in range(rng.randrange(4))]
    STREAMS.append(s)

BODIES = [{"text": words(200)} for _ in range(30)]
BODIES += [{"base64": base64.b64encode(rng.randbytes(rng.randrange(400))).decode()}
           for _ in range(30)]
BODIES += [{"bytes": rng.randrange(10**9), "hash": rng.randbytes(16).hex()} for _ in range(5)]
LARGE = [{"base64": base64.b64encode(rng.randbytes(8192 + rng.randrange(22000))).decode()}
         for _ in range(600)]


def body():
    return rng.choice(LARGE if rng.random() < 0.4 else BODIES)


def maybe(o, key, make, p=0.5):
    if rng.random() < p:
        o[key] = make()


def messages(of):
    left = of.get("bytes") if of and "bytes" in of else \
        len(of["text"].encode()) if of and "text" in of else \
        len(base64.b64decode(of["base64"])) if of else 0
    first = rng.randrange(left + 1)
    return [[0, first], [rng.randrange(10**9), left - first]]


def answer(o):
    maybe(o, "status", lambda: rng.choice([200, 200, 503, 65535]))
    maybe(o, "grpc_status", lambda: rng.randrange(17))
    maybe(o, "first_ns", lambda: rng.randrange(10**9))
    maybe(o, "last_ns", lambda: o.get("first_ns", 0) + rng.randrange(-10, 10**8))
    maybe(o, "answer", lambda: rng.choice(BODIES), 0.3)
    maybe(o, "answer_encoding", lambda: rng.choice(["gzip", "deflate, zstd", "br", "other"]), 0.1)
    maybe(o, "answer_messages", lambda: messages(o.get("answer")), 0.1)
    return o


now = 0
waiting = []
for i in range(count):
    now += rng.choice([0, 1, rng.randrange(10**6), rng.randrange(10**9)])
    s = rng.choice(STREAMS)
    if kind == "trace":
        o = {"index": i, "arrival_ns": now, **s}
        maybe(o, "flags", lambda: sorted(set(rng.choices(FLAGS, k=3)), key=FLAGS.index), 0.2)
        maybe(o, "body", body, 0.8)
        maybe(o, "messages", lambda: messages(o.get("body")), 0.1)
        maybe(o, "id", ident)
        for key in ("connection", "conn_stream", "client", "tokens_in", "tokens_out"):
            maybe(o, key, lambda: rng.choice([rng.randrange(50), 2**32 - 2]), 0.3)
        maybe(o, "weight", lambda: rng.choice([0.5, 3, 1e-10]), 0.1)
        print(json.dumps(answer(o)) if rng.random() < 0.7 else json.dumps(o))
        if rng.random() < 0.05:
            waiting.append(i)
        if waiting and rng.random() < 0.02:
            o = answer({"late": waiting.pop(rng.randrange(len(waiting)))})
            maybe(o, "flags", lambda: rng.sample(FLAGS, 1), 0.3)
            print(json.dumps(o))
    else:
        o = {"op": i, "due_ns": now, **s, "cause": rng.choice(CAUSES),
             "check": rng.choice(["unchecked", "right", "wrong", "crossed"]), "attempts": rng.randrange(3),
             "worker": rng.randrange(4), "bytes_out": rng.randrange(10**6),
             "bytes_in": rng.randrange(10**12)}
        t = now
        for key in ("ready_ns", "sent_ns", "first_ns", "done_ns"):
            t += rng.randrange(10**7)
            if rng.random() < 0.9:
                o[key] = t
        maybe(o, "wait", lambda: rng.choice(["slot", "own", "connect", "turn"]), 0.3)
        maybe(o, "messages", lambda: messages({"bytes": o["bytes_in"]}), 0.1)
        maybe(o, "status", lambda: rng.choice([200, 503]))
        maybe(o, "grpc_status", lambda: rng.randrange(17))
        maybe(o, "connection", lambda: rng.randrange(64))
        maybe(o, "answer_hash", lambda: rng.choice(["00000000000000ff", rng.randbytes(8).hex()]))
        print(json.dumps(o))
