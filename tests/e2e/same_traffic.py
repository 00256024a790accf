#!/usr/bin/env python3
"""same_traffic.py REPRISE SENT.trace SENT.run CAPTURED.trace

Holds a capture against the trace that was sent and the run that says when: every operation
was captured once, under the same id, protocol, name and status, with the same body byte for
byte (gRPC: but for model_name and id, which the sender sets per tier), between the time at
which the run says it was sent and the one at which it says the answer came. Says what differs
and exits with 1."""
import base64
import json
import subprocess
import sys

reprise, sent_path, run_path, captured_path = sys.argv[1:]
DRIFT_NS = 1_000_000
SLEWED = 0.0005  # at most, of the time that passed, where the wall clock is being set right

def lines(path):
    out = subprocess.run([reprise, "trace", "cat", "--jsonl", path], check=True,
                         capture_output=True).stdout
    records = []
    for record in map(json.loads, out.splitlines()):
        if "late" in record:  # an answer that came when its operation was written already
            records[record.pop("late")] |= record
        else:
            records.append(record)
    return records

def info(path):
    return json.loads(subprocess.run([reprise, "trace", "info", "--json", path], check=True,
                                     capture_output=True).stdout)

def body(record, key="body"):
    b = record.get(key)
    if b is None:
        return b""
    return base64.b64decode(b["base64"]) if "base64" in b else b["text"].encode()

def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            return value, at

def without_names(message):
    """A ModelInferRequest without fields 1 to 3: model_name, model_version, id."""
    kept, at = b"", 0
    while at < len(message):
        start = at
        tag, at = varint(message, at)
        size, at = varint(message, at)
        at += size
        if tag >> 3 > 3:
            kept += message[start:at]
    return kept

sent, captured = lines(sent_path), lines(captured_path)
outcomes = {o["op"]: o for o in lines(run_path)}
start = int(info(run_path)["notes"]["run.start_wall_ns"])

epoch = int(info(captured_path)["notes"]["capture.epoch_ns"])
by_id = {}
faults = []
for c in captured:
    if by_id.setdefault(c.get("id"), c) is not c:
        faults.append(f"captured twice: {c.get('id')}")
if len(sent) != len(captured):
    faults.append(f"{len(sent)} sent, {len(captured)} captured")

offsets = []
for s in sent:
    c, o = by_id.get(s["id"]), outcomes[s["index"]]
    if c is None:
        faults.append(f"operation {s['index']} was not captured")
        continue
    for key in ("protocol", "resource", "name"):
        if c[key] != s[key]:
            faults.append(f"operation {s['index']}: {key} {c[key]}, sent {s[key]}")
    if c["tier"] != "envoy" or c.get("status") != o.get("status") or \
            c.get("grpc_status") != o.get("grpc_status"):
        faults.append(f"operation {s['index']}: {c['tier']} {c.get('status')} "
                      f"{c.get('grpc_status')}, the sender saw {o.get('status')} "
                      f"{o.get('grpc_status')}")
    mine, theirs = body(s), body(c)
    if s["protocol"] == "grpc":
        mine, theirs = without_names(mine), without_names(theirs)
    if mine != theirs:
        faults.append(f"operation {s['index']}: bodies differ")
    if len(body(c, "answer")) != o["bytes_in"]:
        faults.append(f"operation {s['index']}: answer of {len(body(c, 'answer'))} bytes, "
                      f"the sender read {o['bytes_in']}")
    # Exact on any machine, and as near as 1 ms of service on one that is quiet: the processor
    # may be taken away between a stamp and the system call beside it, and the two clocks drift.
    captured_ns = epoch + c["arrival_ns"] - start
    offsets.append(captured_ns - o["sent_ns"])
    drift = DRIFT_NS + SLEWED * o["sent_ns"]
    if not o["sent_ns"] - drift <= captured_ns <= o["first_ns"] + drift:
        faults.append(f"operation {s['index']}: captured at {captured_ns} ns, the sender says sent "
                      f"at {o['sent_ns']}, answered at {o['first_ns']}")

offsets.sort()
print(f"{len(offsets)} operations; captured after sent: p50 {offsets[len(offsets) // 2]} ns, "
      f"max {offsets[-1]} ns, min {offsets[0]} ns", file=sys.stderr)
if offsets[0] > DRIFT_NS:
    faults.append(f"none was captured within 1 ms of being sent: {offsets[0]} ns at best")
for fault in faults[:20]:
    print(fault)
sys.exit(1 if faults else 0)
