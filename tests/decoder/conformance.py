#!/usr/bin/env python3
"""conformance.py REPRISE FOLDER GOLDEN [update] - the container against its second reader and writer.

Makes descriptions of traces and runs: every combination of what records can hold, over the
ways in which a file can be laid out. Each is a pair of a file and the JSON of its records:

  read    trc_encode.py writes the file; `reprise trace cat`, `verify` and `info` must say what
          the description says, of a file without end also after `repair`
  write   `reprise import jsonl` writes the file; trc_decode.py must say the same

All is made from the numbers of the cases, so a failure comes again. GOLDEN holds a few small
files of both writers with their records, so that a change of the format is seen even where
both sides change at once; "update" makes them anew.

SPDX-License-Identifier: Apache-2.0
"""
import base64
import concurrent.futures
import functools
import itertools
import json
import os
import random
import struct
import subprocess
import sys

import trc_decode
import trc_encode

TRACE_FEATURES = ("ids", "answers", "late", "headers", "ordinals", "weights", "messages")
PAIRS_LEAST = 300
BODIES = ("none", "constant", "varied", "elided", "blobs")
RUN_FEATURES = ("status", "times", "connections", "bytes", "hashes")


# --- records ---

def words(rng, most):
    return "".join(rng.choice("abcXYZ/019-\"\\\n\té€𝄞 ") for _ in range(rng.randrange(most)))


def some_text(rng, most):
    """A text; now and then one that is not UTF-8."""
    if rng.random() < 0.1:
        data = rng.randbytes(rng.randrange(most)) + b"\xff"
        return {"base64": base64.b64encode(data).decode()}
    return words(rng, most)


def body_of(data):
    digest = {"bytes": len(data), "hash": f"{trc_encode.xxh128(data):032x}"}
    shown = trc_decode.text(data)
    return {**(shown if isinstance(shown, dict) else {"text": shown}), **digest}


def some_bodies(rng, bodies):
    """What the records of a case choose their bodies from."""
    if bodies == "none":
        return [None]
    if bodies == "constant":
        return [body_of(b'{"inputs":[]}')]
    if bodies == "elided":
        return [{"bytes": rng.randrange(1 << 26), "hash": rng.randbytes(16).hex()}
                for _ in range(5)] + [None]
    sizes = [0, 1, 60, 300] if bodies == "varied" else [40, 9000, 30000]
    return [body_of(rng.choice([rng.randbytes(n), words(rng, n + 1).encode()]))
            for n in sizes for _ in range(3)] + [None]


def some_streams(rng, headers):
    streams = []
    for i in range(rng.choice([1, 2, 9])):
        s = {"protocol": rng.choice(trc_encode.PROTOCOLS), "tier": rng.choice(trc_encode.TIERS),
             "resource": rng.choice(trc_encode.RESOURCES), "name": f"model{i // 2}"}
        for key in ("model_type", "method", "path", "content_type", "content_encoding"):
            value = some_text(rng, 20)
            if value:
                s[key] = value
        if headers:
            s["headers"] = [[some_text(rng, 9) or "h", some_text(rng, 30)]
                            for _ in range(1 + rng.randrange(4))]
        streams.append(s)
    return streams


def some_id(rng):
    h = rng.randbytes(16).hex()
    return rng.choice([
        f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}", h[:8] + "-" + h[8:], h[:20],
        f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}".upper(), "a" * 19 + "g",
        "v" * 19 + "h", some_text(rng, 30) or "x"])


def some_messages(rng, unit, body):
    """The body (or none) as a stream of one to four messages."""
    left = body["bytes"] if body else 0
    cuts = sorted(rng.randrange(left + 1) for _ in range(rng.randrange(4)))
    times = sorted(rng.randrange(-5, 10**6) * unit for _ in range(len(cuts) + 1))
    if rng.random() < 0.1:
        times.reverse()
    return [[t, b - a] for t, a, b in zip(times, [0] + cuts, cuts + [left])]


def some_answer(rng, unit, bodies, messages=False):
    a = {"status": rng.choice([200, 200, 503, 65535])}
    if rng.random() < 0.5:
        a["grpc_status"] = rng.randrange(17)
    if rng.random() < 0.8:
        a["first_ns"] = rng.randrange(1000) * unit
    if rng.random() < 0.8:
        a["last_ns"] = a.get("first_ns", 0) + rng.randrange(-5, 1000) * unit
    body = rng.choice(bodies)
    if body and rng.random() < 0.5:
        a["answer"] = body
    if rng.random() < 0.2:
        a["answer_encoding"] = rng.choice(["gzip", "br", "other", "gzip, br", "zstd, deflate, compress, snappy"])
    if messages and rng.random() < 0.5:
        a["answer_messages"] = some_messages(rng, unit, a.get("answer"))
    return a


def some_flags(rng):
    chosen = set(rng.choices(trc_encode.FLAGS + [9, 31], k=3))
    return [x for x in trc_encode.FLAGS + [9, 31] if x in chosen]


def some_operations(rng, features, bodies, unit):
    pool, streams = some_bodies(rng, bodies), some_streams(rng, "headers" in features)
    records, waiting, now = [], [], rng.choice([0, 7 * unit, 10**15 // unit * unit])
    for i in range(rng.choice([1, 2, 17, 40])):
        o = {"index": i, "arrival_ns": now, **rng.choice(streams)}
        body = rng.choice(pool)
        if body:
            o["body"] = body
        if "ids" in features and rng.random() < 0.9:
            o["id"] = some_id(rng)
        if "ordinals" in features:
            for key in trc_encode.ORDINALS.values():
                if rng.random() < 0.7:
                    o[key] = rng.choice([0, rng.randrange(300), (1 << 32) - 2])
        if "weights" in features:
            w = struct.unpack("<f", struct.pack("<f", rng.choice([0.5, 0.1, 3, 1e-10, 2**60])))[0]
            o["weight"] = w
            o["flags"] = some_flags(rng)
        if "answers" in features and rng.random() < 0.8:
            o.update(some_answer(rng, unit, pool, "messages" in features))
        if "messages" in features and rng.random() < 0.5:
            o["messages"] = some_messages(rng, unit, o.get("body"))
        records.append(o)
        waiting.append(i)
        if "late" in features and rng.random() < 0.3:
            index = waiting.pop(rng.randrange(len(waiting)))
            answer = {"late": index, **some_answer(rng, unit, pool, "messages" in features)}
            if rng.random() < 0.3:
                answer["flags"] = some_flags(rng)
            records.append(answer)
        now += rng.choice([0, 1, rng.randrange(10**4), rng.randrange(10**7)]) * unit
    return records


def some_outcomes(rng, features):
    streams, records, now, op = some_streams(rng, False), [], rng.choice([0, 10**12]), 0
    for _ in range(rng.choice([1, 2, 17, 40])):
        o = {"op": op, "due_ns": now, **rng.choice(streams), "cause": "ok",
             "check": "unchecked", "attempts": 1, "worker": 0, "bytes_out": 0, "bytes_in": 0}
        if "status" in features:
            o.update(status=rng.choice([200, 503]), cause=rng.choice(trc_encode.CAUSES),
                     check=rng.choice(trc_encode.CHECKS), attempts=rng.randrange(4))
            if rng.random() < 0.5:
                o["grpc_status"] = rng.randrange(17)
            if rng.random() < 0.3:
                o["bytes_in"] = rng.randrange(1, 10**6)
                o["messages"] = some_messages(rng, 1, {"bytes": o["bytes_in"] - 1})
            if rng.random() < 0.3:
                o["wait"] = rng.choice(trc_encode.WAITS[1:])
        if "times" in features:
            t = now
            for key in ("ready_ns", "sent_ns", "first_ns", "done_ns"):
                t += rng.randrange(-3, 10**7)
                if rng.random() < 0.8:
                    o[key] = t
        if "connections" in features:
            o.update(worker=rng.randrange(300), connection=rng.randrange(1000))
        if "bytes" in features:
            o.update(bytes_out=rng.randrange(10**6), bytes_in=rng.randrange(10**12))
        if "hashes" in features and rng.random() < 0.8:
            o["answer_hash"] = rng.choice(["00000000000000ff", rng.randbytes(8).hex()])
        records.append(o)
        now += rng.randrange(-100 if "times" in features and now > 10**6 else 0, 10**6)
        op += rng.choice([1, 1, 1, 900])
    return records


# --- descriptions ---

def some_layout(rng):
    return {"block_records": rng.choice([1, 3, 16, 1 << 20]),
            "header_extra": rng.choice([0, 0, 1, 24, 3960]),
            "unknown_columns": rng.random() < 0.5, "unknown_blocks": rng.random() < 0.3,
            "further_bytes": rng.random() < 0.5, "metas": rng.choice([0, 0, 1, 3]),
            "complete": rng.random() < 0.75, "blob_min": rng.choice([1, 100, 8192, 1 << 30]),
            "fragment": rng.choice([12000, 1 << 24]), "loose": rng.random() < 0.3,
            "constant": rng.random() < 0.7, "minor": rng.choice([0, 0, 3]),
            "level": rng.choice([1, 3, 19])}


def describe(name, kind, rng, make, unit=1):
    layout = some_layout(rng)
    return {"name": name, "kind": kind, "resolution_ns": unit,
            "epoch_wall_ns": rng.choice([0, 1700000000 * 10**9, -5]),
            "notes": [["tool.version", "conformance"], ["note.text", words(rng, 40)]],
            "end_notes": rng.choice([[], [["note.end", "told at the end"]]]),
            "records": make(unit), "layout": layout}


def subsets(features):
    for n in range(len(features) + 1):
        yield from itertools.combinations(features, n)


def descriptions():
    number = 0
    for features, bodies in itertools.product(subsets(TRACE_FEATURES), BODIES):
        rng = random.Random(number)
        number += 1
        yield describe(" ".join(("trace",) + features + ("bodies:" + bodies,)), "trace", rng,
                       lambda unit: some_operations(rng, features, bodies, unit),
                       (1, 1000, 1000000)[number % 3])
    for features, _ in itertools.product(subsets(RUN_FEATURES), range(2)):
        rng = random.Random(number)
        number += 1
        yield describe(" ".join(("run",) + features), "run", rng,
                       lambda unit: some_outcomes(rng, features))
    for kind in ("trace", "run"):
        yield describe(kind + " without records", kind, random.Random(number), lambda unit: [])


# --- the two ways ---

class Differs(Exception):
    pass


class Check:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder

    def call(self, want, *arguments):
        done = subprocess.run([self.program, *arguments], capture_output=True, check=False)
        if done.returncode != want:
            raise Differs(f"{' '.join(arguments)}: exit {done.returncode}, wanted {want}: "
                          f"{done.stderr.decode()}")
        return done.stdout.decode(), done.stderr.decode()

    def lines(self, path):
        return [json.loads(line) for line in self.call(0, "trace", "cat", "--jsonl", path)[0]
                .split("\n") if line]

    def info(self, path, d, complete):
        said = json.loads(self.call(0, "trace", "info", "--json", path)[0])
        count = sum("late" not in o for o in d["records"])
        want = {"kind": d["kind"], "operations": count, "complete": complete,
                "resolution_ns": d["resolution_ns"], "lost_blocks": 0}
        if complete:
            want["hash"] = f"{trc_encode.content_hash(d['kind'] == 'run', d['records']):032x}"
        for key, value in want.items():
            same(f"info: {key}", said[key], value)
        notes = d["notes"] + (d["end_notes"] if complete and d["layout"]["complete"] else [])
        for key, value in notes:
            same(f"info: note {key}", said["notes"].get(key), value)

    def path(self, d, name):
        return os.path.join(self.folder, f"{name}.{d['kind']}")

    def read(self, d):
        path, complete = self.path(d, "read"), d["layout"]["complete"]
        file = trc_encode.encode(d)
        save(path, file)
        subprocess.run(["zstd", "-tq", path], check=True)  # legal frames, whatever they hold
        same_records(self.lines(path), d["records"])
        self.info(path, d, complete)
        if complete:
            self.call(0, "trace", "verify", path)
        else:
            error = self.call(65, "trace", "verify", path)[1]
            same("verify", error, f"reprise trace verify: '{path}': the file was not closed: "
                 f"it ends without a footer at byte {len(file)}\n")
            mended = self.path(d, "mended")
            self.call(0, "trace", "repair", path, "--force", "-o", mended)
            self.call(0, "trace", "verify", mended)
            path = mended
        with open(path, "rb") as f:
            same_records(list(trc_decode.decode(f.read())), d["records"])

    def write(self, d):
        text, path = self.path(d, "jsonl"), self.path(d, "written")
        head = {"reprise": d["kind"], "resolution_ns": d["resolution_ns"],
                "epoch_wall_ns": d["epoch_wall_ns"], "notes": dict(d["notes"] + d["end_notes"])}
        save(text, "".join(json.dumps(o) + "\n" for o in [head] + d["records"]).encode())
        self.call(0, "import", "jsonl", text, "--force", "-o", path, "--quiet")
        with open(path, "rb") as f:
            found = list(trc_decode.decode(f.read()))
        same_records(settled(found), settled(d["records"]))
        self.call(0, "trace", "verify", path)
        self.info(path, {**d, "layout": {"complete": True}}, True)


def settled(records):
    """The operations with the answer that holds in the end, wherever it was told."""
    late = {o["late"]: o for o in records if "late" in o}
    out = []
    for o in (o for o in records if "late" not in o):
        if o.get("index") in late:
            o = {key: v for key, v in o.items() if key not in trc_encode.ANSWER}
            o.update((k, v) for k, v in late[o["index"]].items() if k in trc_encode.ANSWER)
            if "flags" in late[o["index"]]:
                o["flags of the answer"] = late[o["index"]]["flags"]
        out.append(o)
    return out


def save(path, data):
    with open(path, "wb") as f:
        f.write(data)


def same(what, got, want):
    if got != want:
        raise Differs(f"{what}: got {got!r:.200}, wanted {want!r:.200}")


def same_records(got, want):
    for i, (a, b) in enumerate(zip(got, want)):
        for key in a.keys() | b.keys():
            same(f"record {i}: {key}", a.get(key), b.get(key))
    same("records", len(got), len(want))


# --- golden files ---

GOLDEN_MOST = 4096  # bytes of a file, and of its records
GOLDEN_FILES = {"trace": 4, "run": 2}  # of each writer


def update_golden(check, folder):
    """The first small files of each kind and writer whose records have the most to tell."""
    found = {}
    for d in sorted(descriptions(), key=lambda d: -len(d["name"])):
        for writer, name in ((check.read, "read"), (check.write, "written")):
            chosen = found.setdefault((writer, d["kind"]), [])
            if len(chosen) == GOLDEN_FILES[d["kind"]] or len(d["records"]) < 2:
                continue
            writer(d)
            with open(check.path(d, name), "rb") as f:
                file = f.read()
            records = "".join(json.dumps(o, ensure_ascii=False) + "\n"
                              for o in trc_decode.decode(file)) \
                if d["layout"]["complete"] or name == "written" else ""
            if 0 < len(records.encode()) <= GOLDEN_MOST and len(file) <= GOLDEN_MOST:
                chosen.append(d)
                path = os.path.join(folder, f"{'second' if name == 'read' else 'first'}-"
                                            f"{len(chosen)}.{d['kind']}")
                save(path, file)
                save(path + ".jsonl", records.encode())


def check_golden(check, folder):
    count = 0
    for name in sorted(os.listdir(folder)):
        if name.endswith(".jsonl"):
            path = os.path.join(folder, name)
            with open(path, encoding="utf-8") as f:
                want = [json.loads(line) for line in f.read().split("\n") if line]
            with open(path.removesuffix(".jsonl"), "rb") as f:
                same_records(list(trc_decode.decode(f.read())), want)
            same_records(check.lines(path.removesuffix(".jsonl")), want)
            check.call(0, "trace", "verify", path.removesuffix(".jsonl"))
            count += 1
    same("golden files", count, 2 * sum(GOLDEN_FILES.values()))


def judge(program, folder, case):
    """What each way says of a case: None, or how they differ. Cases are judged side by side, so
    each process has files of its own."""
    own = os.path.join(folder, str(os.getpid()))
    os.makedirs(own, exist_ok=True)
    check = Check(program, own)
    said = {}
    for way in (check.read, check.write):
        try:
            way(case)
            said[way.__name__] = None
        except (Differs, SystemExit) as e:
            said[way.__name__] = str(e)
    return said


def main():
    program, folder, golden = sys.argv[1:4]
    check = Check(program, folder)
    if sys.argv[4:] == ["update"]:
        return update_golden(check, golden)
    check_golden(check, golden)
    agreed, failed = {"read": 0, "write": 0}, 0
    used = {}
    cases = list(descriptions())
    with concurrent.futures.ProcessPoolExecutor() as pool:
        verdicts = list(pool.map(functools.partial(judge, program, folder), cases))
    for number, (d, said) in enumerate(zip(cases, verdicts)):
        for key, value in d["layout"].items():
            used.setdefault(key, set()).add(value)
        for way, difference in said.items():
            if difference is None:
                agreed[way] += 1
                continue
            failed += 1
            print(f"case {number} ({d['name']}), {way}: {difference}")
            print(f"  layout: {d['layout']}")
    if min(len(values) for values in used.values()) < 2:
        failed += 1
        print(f"a choice of the layout was never taken: {used}")
    print(f"{agreed['read']} pairs read and {agreed['write']} pairs written as described, "
          f"{failed} not")
    return failed > 0 or min(agreed.values()) < PAIRS_LEAST


if __name__ == "__main__":
    sys.exit(main())
