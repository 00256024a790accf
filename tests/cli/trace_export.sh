#!/usr/bin/env bash
# trace_export.sh - traces and runs in other tools' formats, held against the same records as JSON lines.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

lines() { "$REPRISE" trace cat --jsonl "$@"; }

# --- HAR: every request and answer, and -1 for what was not recorded
cat >"$tmp/har.jsonl" <<'END'
{"reprise":"trace","epoch_wall_ns":1700000000250000000}
{"arrival_ns":0,"protocol":"rest","tier":"envoy","name":"iris","method":"POST","path":"/v2/models/iris/infer?a=1%202&b=%zz&c","content_type":"application/json","headers":[["seldon-model","iris"]],"id":"r0","connection":3,"body":{"text":"{\"inputs\":[\"\u00e9\"]}"},"status":200,"first_ns":1500000,"last_ns":2000000,"answer":{"text":"{\"outputs\":[]}"}}
{"arrival_ns":1000000,"protocol":"grpc","tier":"server","name":"iris","content_type":"application/grpc","body":{"base64":"CgRpcmlz/w=="},"status":200,"grpc_status":5,"first_ns":700000}
{"arrival_ns":2000000,"protocol":"kafka","tier":"kafka","name":"iris"}
{"arrival_ns":1500000000,"protocol":"rest","tier":"envoy","name":"wine"}
END
expect 0 "$REPRISE" import jsonl "$tmp/har.jsonl" --force -o "$tmp/har.trace" -q
expect 0 "$REPRISE" trace export "$tmp/har.trace" --format har
cp "$tmp/out" "$tmp/1.har"
err_has '1 operations are neither REST nor gRPC, and are left out'
python3 - "$tmp/1.har" <<'END' || fail 'the HAR is not what the trace holds'
import base64, json, sys
log = json.load(open(sys.argv[1]))["log"]
assert log["version"] == "1.2" and log["creator"]["name"] == "reprise"
assert "1970" not in log["comment"]
rest, grpc, none = log["entries"]
assert [e["_index"] for e in log["entries"]] == [0, 1, 3]
assert rest["startedDateTime"] == "2023-11-14T22:13:20.250Z"
assert none["startedDateTime"] == "2023-11-14T22:13:21.750Z"
q = rest["request"]
assert q["method"] == "POST" and q["url"] == "http://envoy.invalid/v2/models/iris/infer?a=1%202&b=%zz&c"
assert q["httpVersion"] == "HTTP/1.1"
assert [(x["name"], x["value"]) for x in q["queryString"]] == [("a", "1 2"), ("b", "%zz"), ("c", "")]
assert [(x["name"], x["value"]) for x in q["headers"]] == [
    ("seldon-model", "iris"), ("content-type", "application/json"), ("x-request-id", "r0")]
assert q["postData"]["text"] == '{"inputs":["\u00e9"]}' and "_encoding" not in q["postData"]
assert q["bodySize"] == len(q["postData"]["text"].encode()) and rest["connection"] == "3"
assert rest["response"]["status"] == 200 and rest["response"]["content"]["text"] == '{"outputs":[]}'
assert rest["timings"]["wait"] == 1.5 and rest["timings"]["receive"] == 0.5 and rest["time"] == 2
assert grpc["request"]["postData"]["_encoding"] == "base64"
assert base64.b64decode(grpc["request"]["postData"]["text"]) == b"\n\x04iris\xff"
assert grpc["request"]["url"].endswith("/inference.GRPCInferenceService/ModelInfer")
assert grpc["response"]["_grpcStatus"] == 5 and grpc["request"]["httpVersion"] == "HTTP/2.0"
assert grpc["timings"]["wait"] == 0.7 and grpc["timings"]["receive"] == -1 and grpc["time"] == 0.7
assert none["response"]["status"] == 0 and "postData" not in none["request"]
assert set(none["timings"].values()) == {-1} and none["time"] == 0
for e in log["entries"]:  # what HAR 1.2 demands
    assert {"startedDateTime", "time", "request", "response", "cache", "timings"} <= set(e)
    assert {"method", "url", "httpVersion", "cookies", "headers", "queryString", "headersSize",
            "bodySize"} <= set(e["request"])
    assert {"status", "statusText", "httpVersion", "cookies", "headers", "content", "redirectURL",
            "headersSize", "bodySize"} <= set(e["response"])
    assert {"send", "wait", "receive"} <= set(e["timings"]) and {"size", "mimeType"} <= set(e["response"]["content"])
END

# An answer in an encoding is in the HAR as its client read it.
python3 - >"$tmp/gzip.jsonl" <<'END'
import base64, gzip, json, zlib
text = b'{"outputs":[]}'
for body, names in ((gzip.compress(text), ""), (gzip.compress(text)[:-1], ""), (zlib.compress(text), "deflate"),
                    (zlib.compress(gzip.compress(text)), "gzip, deflate"), (b"\x0b\x02\x80", "br")):
    print(json.dumps({"arrival_ns": 0, "protocol": "rest", "tier": "server", "name": "iris_1", "status": 200,
                      "answer": {"base64": base64.b64encode(body).decode()}} | ({"answer_encoding": names} if names else {})))
END
expect 0 "$REPRISE" import jsonl "$tmp/gzip.jsonl" -o "$tmp/gzip.trace" -q
expect 0 "$REPRISE" trace export "$tmp/gzip.trace" --format har
same "$(jq -c '.log.entries[0].response | .content as $c
    | [$c.size, $c.text, $c.encoding, $c.size - $c.compression == .bodySize]' "$tmp/out")" \
    '[14,"{\"outputs\":[]}",null,true]' "gzip in a HAR"
same "$(jq -c '.log.entries[1].response | [.content.encoding, .content.size == .bodySize]' "$tmp/out")" \
    '["base64",true]' "gzip that ends early in a HAR"
same "$(jq -c '[.log.entries[2, 3].response | .headers[0].name, .headers[0].value, .content.text,
    (.content.size - .content.compression == .bodySize)]' "$tmp/out")" \
    '["content-encoding","deflate","{\"outputs\":[]}",true,"content-encoding","gzip, deflate","{\"outputs\":[]}",true]' "deflate in a HAR"
same "$(jq -c '.log.entries[4].response | [.headers[0].value, .content.encoding, .content.comment, .content.size]' "$tmp/out")" \
    '["br","base64","as it was sent, in br",3]' "an encoding that is not known in a HAR"

expect 0 "$REPRISE" synth --model-type iris,tfsimple --rate 300 --duration 4s --protocol both --seed 1 --force -o "$tmp/s.trace" --quiet
expect 0 "$REPRISE" trace export "$tmp/s.trace" --format har --force -o "$tmp/s.har"
[ ! -s "$tmp/err" ] || fail 'an export that leaves nothing out warns'
lines "$tmp/s.trace" | jq -c '[.arrival_ns, .body.text // .body.base64]' >"$tmp/want"
jq -c '.log.entries[] | [._arrivalNs, .request.postData.text]' "$tmp/s.har" | cmp - "$tmp/want" ||
    fail 'the HAR has other requests'
jq -r .log.comment "$tmp/s.har" | grep -q '1970-01-01' || fail 'a trace without calendar does not say so'
"$REPRISE" trace export - --format har <"$tmp/s.trace" | cmp - "$tmp/s.har" || fail 'a stream gives another HAR'
printf '%s\n' '{"arrival_ns":0,"protocol":"rest","name":"m","status":100}' '{"late":0,"flags":["gap"],"status":503}' |
    "$REPRISE" import jsonl - --force -o "$tmp/late.trace" -q
expect 0 "$REPRISE" trace cat "$tmp/late.trace"
out_has '       0  late answer  gap  http 503'
expect 0 "$REPRISE" trace export "$tmp/late.trace" --format har
[ ! -s "$tmp/err" ] || fail "a late answer is joined, and yet: $(head -n 1 "$tmp/err")"
same "$(jq -c '[.log.entries[].response.status]' "$tmp/out")" '[503]' 'an answer that stands behind its operation'
expect 64 "$REPRISE" trace export "$tmp/s.trace" --format haar
if [ -w /dev/full ]; then
    expect 74 "$REPRISE" trace export "$tmp/s.trace" --format har -o /dev/full
fi

# --- hlog: every latency of a run in its bucket, by a decoder written for this test
python3 - >"$tmp/run.jsonl" <<'END'
import json, random
random.seed(7)
print(json.dumps({"reprise": "run", "notes": {"run.start_wall_ns": "1700000000250000000"}}))
for i in range(5000):
    due = i * 10_000_000 if i != 4995 else 3_000_000  # that one stands far behind its interval
    o = {"op": i, "due_ns": due, "protocol": "rest", "name": "m"}
    sent = due + random.choice([0, 1, 2047, 2048, 12345, 80_000_000])
    first = sent + int(random.lognormvariate(15, 2))
    done = first + random.choice([0, 999, 4096, 10 ** 6, 4 * 10 ** 12 if i == 77 else 5])
    kind = i % 10
    if kind == 0:
        o |= {"cause": "dropped", "attempts": 0}
    elif kind == 1:
        o |= {"cause": "status", "status": 503, "sent_ns": sent, "first_ns": first, "done_ns": done}
    elif kind == 2:
        o |= {"status": 200, "check": "wrong", "sent_ns": sent, "first_ns": first, "done_ns": done}
    else:
        o |= {"status": 200, "ready_ns": due, "sent_ns": sent, "first_ns": first, "done_ns": done}
    print(json.dumps(o))
END
cat >"$tmp/check_hlog.py" <<'END'
import base64, json, struct, sys, zlib
log, lines, interval = sys.argv[1], sys.argv[2], float(sys.argv[3])

def decode(text):
    raw = base64.b64decode(text, validate=True)
    cookie, length = struct.unpack(">II", raw[:8])
    assert cookie == 0x1C849314 and length == len(raw) - 8, "compressed cookie and length"
    plain = zlib.decompress(raw[8:])
    cookie, length, offset, digits, low, high, ratio = struct.unpack(">IIIIQQd", plain[:40])
    assert (cookie, offset, digits, low, ratio) == (0x1C849313, 0, 3, 1, 1.0) and length == len(plain) - 40
    counts, index, at = {}, 0, 40
    while at < len(plain):
        v = shift = 0
        while True:
            byte = plain[at]
            at += 1
            v |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        v = (v >> 1) ^ -(v & 1)
        if v < 0:
            index -= v
        else:
            if v:
                counts[index] = v
            index += 1
    return counts, high

def bucket(v):  # least values that count as equal: 11 significant bits
    return v >> max(0, v.bit_length() - 11), max(0, v.bit_length() - 11)

def of_index(i):
    return (i, 0) if i < 2048 else (i % 1024 + 1024, i // 1024 - 1)

want = {}
failed = 0
for line in open(lines):
    o = json.loads(line)
    good = o["cause"] == "ok" and o["check"] != "wrong"
    failed += not good
    sent, first, done = (o.get(k) for k in ("sent_ns", "first_ns", "done_ns"))
    times = {} if sent is None else {"lateness": sent - o["due_ns"]}
    if good:
        times |= {"response_ok": done - o["due_ns"], "service": done - sent, "ttfb": first - sent}
    for tag, ns in times.items():
        want.setdefault((tag, int(o["due_ns"] / 1e9 // interval)), []).append(ns)

got, maxima, starts = {}, {}, []
text = open(log).read().splitlines()
for line in text:
    if line.startswith("#") or line.startswith('"'):
        continue
    tag, start, length, top, histogram = line.split(",")
    assert tag.startswith("Tag=") and float(length) == interval
    key = tag[4:], round(float(start) / interval)
    starts.append(key[1])
    counts, high = decode(histogram)
    assert high >= float(top) * 1e6 * (1 - 1e-9)
    maxima[key] = max(maxima.get(key, 0), float(top))
    for i, n in counts.items():
        b = got.setdefault(key, {})
        b[of_index(i)] = b.get(of_index(i), 0) + n
assert got.keys() == want.keys(), "tags and intervals"
for key, values in want.items():
    buckets = {}
    for v in values:
        buckets[bucket(v)] = buckets.get(bucket(v), 0) + 1
    assert buckets == got[key], key
    assert abs(maxima[key] - max(values) / 1e6) < 1e-6, key
assert f"#[Not in the latencies: {failed} outcomes that are not good]" in text
assert len(want) > 8
print(sum(a > b for a, b in zip(starts, starts[1:])))
END
expect 0 "$REPRISE" import jsonl "$tmp/run.jsonl" --force -o "$tmp/1.run" -q
lines "$tmp/1.run" >"$tmp/1.lines"
hlog() { # INTERVAL SECONDS: writes it and holds it against the outcomes
    expect 0 "$REPRISE" trace export "$tmp/1.run" --format hlog --interval "$1" --force -o "$tmp/1.hlog"
    [ ! -s "$tmp/err" ] || fail "hlog warns: $(head -n 1 "$tmp/err")"
    python3 "$tmp/check_hlog.py" "$tmp/1.hlog" "$tmp/1.lines" "$2" >"$tmp/backwards" || fail "hlog of $1"
}
hlog 1s 1
grep -qx '#\[StartTime: 1700000000.250 (seconds since epoch), 2023-11-14T22:13:20.250Z\]' "$tmp/1.hlog" || fail 'no StartTime'
grep -qx '#\[BaseTime: 1700000000.250 (seconds since epoch)\]' "$tmp/1.hlog" || fail 'no BaseTime'
same "$(cat "$tmp/backwards")" 1 'an interval that is written already gets another line'
hlog 250ms 0.25
hlog 10s 10
same "$(cat "$tmp/backwards")" 0 'intervals ascend where all are open'
"$REPRISE" trace export - --format hlog --interval 10s <"$tmp/1.run" | cmp - "$tmp/1.hlog" || fail 'a stream gives another log'
expect 64 "$REPRISE" trace export "$tmp/1.run" --format hlog --interval 1500us
err_has '--interval is whole milliseconds, at least one'
expect 64 "$REPRISE" trace export "$tmp/1.run" --interval 1s
err_has '--interval is for hlog'
expect 64 "$REPRISE" trace export "$tmp/1.run" --format har
err_has 'a run holds no requests to make a HAR of'
expect 64 "$REPRISE" trace export "$tmp/s.trace" --format hlog
err_has 'a trace has no latencies of a run to log'
printf '%s\n' '{"reprise":"run"}' '{"op":0,"due_ns":0,"protocol":"rest","name":"m","status":200,"sent_ns":9,"first_ns":10,"done_ns":5}' |
    "$REPRISE" import jsonl - --force -o "$tmp/odd.run" -q
expect 65 "$REPRISE" trace export "$tmp/odd.run" --format hlog
err_has 'operation 0: service below 0: -4 ns'

# --- pcapng: a capture of it gives the same operations
python3 - >"$tmp/p.jsonl" <<'END'
import json, random
random.seed(3)
print(json.dumps({"reprise": "trace", "epoch_wall_ns": 1700000000250000000}))
tiers = ["envoy", "rproxy", "server", "pipelinegateway", "modelgateway"]
for i in range(600):
    tier = tiers[i % 5]
    o = {"arrival_ns": i * 3_000_001, "protocol": "rest", "tier": tier, "name": f"m{i % 7}", "method": "POST",
         "resource": "pipeline" if tier == "pipelinegateway" or i % 35 == 0 else "model",
         "path": f"/v2/models/m{i % 7}{'_1' if tier == 'server' else ''}/infer", "content_type": "application/json",
         "id": f"id-{i}", "body": {"text": json.dumps({"inputs": [], "x": "y" * (40000 if i == 50 else i)})}}
    if i % 10:
        first = random.randrange(1, 10 ** 8)
        o |= {"status": 503 if i % 9 == 0 else 200, "first_ns": first, "last_ns": first + random.randrange(0, 10 ** 6),
              "answer": {"text": json.dumps({"outputs": [i], "z": "w" * (50000 if i == 51 else 1)})}}
    print(json.dumps(o))
END
expect 0 "$REPRISE" import jsonl "$tmp/p.jsonl" --force -o "$tmp/p.trace" -q
expect 0 "$REPRISE" trace export "$tmp/p.trace" --format pcapng --force -o "$tmp/p.pcapng"
[ ! -s "$tmp/err" ] || fail "pcapng warns: $(head -n 1 "$tmp/err")"
expect 0 "$REPRISE" capture -r "$tmp/p.pcapng" -o "$tmp/again.trace"
operations() { lines "$1" | jq -c '[.arrival_ns, .protocol, .tier, .resource, .name, .method, .path, .content_type,
    .id, .body, .status, .first_ns, .last_ns, .answer]'; }
operations "$tmp/p.trace" >"$tmp/want"
same "$(wc -l <"$tmp/want")" 600
operations "$tmp/again.trace" | diff "$tmp/want" - >"$tmp/diff" || fail "a capture of the packets: $(cut -c 1-400 "$tmp/diff" | head -n 4)"
if command -v tshark >/dev/null; then
    bad=$(tshark -r "$tmp/p.pcapng" -o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE \
        -Y 'ip.checksum.status == 0 || tcp.checksum.status == 0 || tcp.analysis.flags || _ws.malformed' 2>/dev/null | wc -l)
    same "$bad" 0 'packets that tshark finds bad'
    same "$(tshark -r "$tmp/p.pcapng" -d tcp.port==9001,http -d tcp.port==9500,http -d tcp.port==9010,http \
        -Y http.request -T fields -e http.request.uri 2>/dev/null | wc -l)" 600 'requests that tshark sees'
fi
# The same of gRPC, in HTTP/2: messages over several frames, refusals without a message, a long header.
python3 - >"$tmp/g.jsonl" <<'END'
import base64, json, random
random.seed(4)
field = lambda n, b: varint(n << 3 | 2) + varint(len(b)) + b
def varint(v):
    out = b""
    while v > 127:
        out, v = out + bytes([v & 127 | 128]), v >> 7
    return out + bytes([v])
print(json.dumps({"reprise": "trace", "epoch_wall_ns": 1700000000250000000}))
tiers = ["envoy", "rproxy", "server", "pipelinegateway", "modelgateway"]
for i in range(600):
    tier = tiers[i % 5]
    name = f"m{i % 7}"
    tensor = field(1, b"x") + field(2, b"BYTES") + b"\x1a\x01\x01" + field(5, field(8, b"y" * (70000 if i == 50 else i)))
    o = {"arrival_ns": i * 3_000_001, "protocol": "grpc", "tier": tier, "name": name,
         "resource": "pipeline" if tier == "pipelinegateway" or i % 35 == 0 else "model",
         "path": "/inference.GRPCInferenceService/ModelInfer", "content_type": "application/grpc",
         "id": f"id-{i}", "body": {"base64": base64.b64encode(field(1, (name + ("_1" if tier == "server" else "")).encode()) + field(5, tensor)).decode()}}
    if i == 52:
        o["headers"] = [["seldon-model", name + ".pipeline" * (o["resource"] == "pipeline")], ["x-long", "v" * 30000]]
    if i % 10:
        first = random.randrange(1, 10 ** 8)
        o |= {"status": 200, "grpc_status": 14 if i % 9 == 0 else 0, "first_ns": first, "last_ns": first + random.randrange(0, 10 ** 6)}
        if i % 9:
            o["answer"] = {"base64": base64.b64encode(field(1, name.encode()) + field(3, b"z" * (50000 if i == 51 else 1))).decode()}
    print(json.dumps(o))
END
expect 0 "$REPRISE" import jsonl "$tmp/g.jsonl" --force -o "$tmp/g.trace" -q
expect 0 "$REPRISE" trace export "$tmp/g.trace" --format pcapng -o "$tmp/g.pcapng"
[ ! -s "$tmp/err" ] || fail "pcapng of gRPC warns: $(head -n 1 "$tmp/err")"
expect 0 "$REPRISE" capture -r "$tmp/g.pcapng" -o "$tmp/again.g.trace"
grpc_operations() { lines "$1" | jq -c '[.arrival_ns, .protocol, .tier, .resource, .name, .path, .content_type,
    .id, .body, .status, .grpc_status, .first_ns, .last_ns, .answer]'; }
grpc_operations "$tmp/g.trace" >"$tmp/want"
same "$(wc -l <"$tmp/want")" 600
grpc_operations "$tmp/again.g.trace" | diff "$tmp/want" - >"$tmp/diff" || fail "a capture of gRPC packets: $(cut -c 1-500 "$tmp/diff" | head -n 4)"
if command -v tshark >/dev/null; then
    # shellcheck disable=SC2046  # words on purpose
    sees() { tshark -r "$tmp/g.pcapng" $(printf -- '-d tcp.port==%d,http2 ' 80 9501 9500 9011) "$@" 2>/dev/null; }
    same "$(sees -o tcp.check_checksum:TRUE -Y 'tcp.checksum.status == 0 || tcp.analysis.flags || _ws.malformed' | wc -l)" 0 'bad packets'
    same "$(sees -Y 'http2.headers.path' -T fields -e http2.headers.path | sort | uniq -c | awk '{print $1, $2}')" \
        '600 /inference.GRPCInferenceService/ModelInfer' 'methods that tshark sees'
    same "$(sees -Y 'http2.header.name == "x-long"' -T fields -e http2.header.value | tr , '\n' | awk 'length > 20000 {print length}')" 30000 'a header in two frames'
    same "$(sees -Y 'grpc.message_length' -T fields -e grpc.message_length | tr , '\n' | grep -c .)" \
        "$(jq -s '[.[] | (.body, .answer) | select(.)] | length' "$tmp/g.jsonl")" 'messages that tshark sees'
fi
# Streams of both protocols, and answers that stand behind their operations: each message is a packet at its own time.
cat >"$tmp/streams.py" <<'END'
import base64, gzip, json, random, sys, zlib
random.seed(5)
def bytes_of(n):  # a protobuf message of about so many
    return b"" if n == 0 else b"\x1a" + bytes([n]) + b"z" * n if n < 128 else b"\x1a" + bytes([n & 127 | 128, n >> 7 & 127 | 128, n >> 14]) + random.randbytes(n)
def body(data):
    return {"base64": base64.b64encode(data).decode()}
print(json.dumps({"reprise": "trace", "epoch_wall_ns": 1700000000250000000}))
name = b"\n\x04iris"  # model_name
late, lines = [], []
for i in range(300):
    kind = i % 6
    rest = kind in (2, 3)
    o = {"index": i, "arrival_ns": i * 7_000_003, "protocol": "rest" if rest else "grpc", "tier": "envoy", "name": "iris", "resource": "model",
         "path": "/v2/models/iris/infer_stream" if rest else "/inference.GRPCInferenceService/ModelStreamInfer",
         "headers": [["seldon-model", "iris"]], "content_type": "application/json" if rest else "application/grpc", "id": f"id-{i}"}
    if rest:
        o |= {"method": "POST", "body": body(b'{"inputs":[]}')}
    else:  # the first says the model; some are empty, some longer than a frame
        parts = [name] + [bytes_of(random.choice([0, 1, 5, 300, 40000])) for _ in range(random.randrange(4))]
        times, now = [], 0
        for _ in parts:
            now += random.choice([0, 1, 1000, 30_000_000])
            times.append(now)
        if kind == 4:
            parts, times = parts[:1], times[:1]
        o |= {"body": body(b"".join(parts)), "messages": [[t, len(p)] for t, p in zip(times, parts)]}
    first = now = random.randrange(1, 10 ** 8) + (0 if rest else times[-1] // 2)
    if rest:
        parts = [random.choice([b"data: %d\n\n" % k, b": alive\r\n\r\n", b"event: x\ndata: " + b"y" * 20000 + b"\n\n"]) for k in range(random.randrange(1, 6))]
        if i % 5 == 0:
            parts.append(b"data: no end")
    else:
        parts = [bytes_of(random.choice([0, 1, 7, 20000])) for _ in range(random.randrange(1, 6))]
    if kind == 5 and i % 12 != 11:  # each message compressed by itself
        o["content_encoding"] = "gzip"
        whole = base64.b64decode(o["body"]["base64"])
        cut, at = [], 0
        for t, n in o["messages"]:
            cut.append([t, gzip.compress(whole[at:at + n], mtime=0)])
            at += n
        o |= {"body": body(b"".join(c for _, c in cut)), "messages": [[t, len(c)] for t, c in cut]}
        parts = [zlib.compress(p) for p in parts]  # deflate, in zlib's wrapping
    answer = {"status": 200, "first_ns": first, "answer": body(b"".join(parts))}
    listed = []
    for p in parts:
        now += random.choice([0, 2, 5000, 40_000_000, 2_000_000_000 if i % 7 == 0 else 1])
        listed.append([now, len(p)])
    answer |= {"last_ns": now + random.choice([0, 1, 900_000_000]), "answer_messages": listed}
    if not any(parts):
        del answer["answer"]
    if not rest:
        answer["grpc_status"] = 0 if i % 9 else 13
        if kind == 5 and i % 12 != 11:
            answer["answer_encoding"] = "deflate"
    if i % 25 == 7:  # a unary call in gzip that came late
        o |= {"protocol": "rest", "path": "/v2/models/iris/infer", "method": "POST", "content_type": "application/json", "body": body(b'{"inputs":[]}')}
        o.pop("messages", None), o.pop("content_encoding", None)
        answer = {"status": 200, "first_ns": 4_000_000_000, "last_ns": 4_000_000_900, "answer": body(gzip.compress(b'{"outputs":[]}', mtime=0)), "answer_encoding": "gzip"}
    if i % 4 == 3 or i % 25 == 7:
        if i % 8 == 3:
            late.append({"late": i, "status": 500})  # the one behind it counts
        late.append({"late": i, **answer})
    elif i % 10 != 9:
        o |= answer
    lines.append(o)
for line in lines + late:
    print(json.dumps(line))
END
# joined: late answers at their operations, and no hash, which a body's bytes have already
cat >"$tmp/joined.py" <<'END'
import json, sys
ops = []
for line in map(json.loads, sys.stdin):
    if "late" in line:
        o = ops[line.pop("late")]
        for key in ("status", "grpc_status", "first_ns", "last_ns", "answer", "answer_encoding", "answer_messages"):
            o.pop(key, None)
        o |= line
    elif "arrival_ns" in line:
        ops.append(line)
for o in ops:
    print(json.dumps([o.get(k) for k in ("arrival_ns", "protocol", "tier", "resource", "name", "path", "content_type", "content_encoding", "id", "body",
        "messages", "status", "grpc_status", "first_ns", "last_ns", "answer", "answer_encoding", "answer_messages")]))
END
python3 "$tmp/streams.py" >"$tmp/streams.jsonl"
expect 0 "$REPRISE" import jsonl "$tmp/streams.jsonl" -o "$tmp/whole.trace" -q
lines "$tmp/whole.trace" | python3 "$tmp/joined.py" >"$tmp/want"
same "$(wc -l <"$tmp/want")" 300
same "$(lines "$tmp/whole.trace" | jq -s 'map(select(.late)) | length > 80')" true 'answers behind their operations'
expect 0 "$REPRISE" trace export "$tmp/whole.trace" --format pcapng -o "$tmp/whole.pcapng"
[ ! -s "$tmp/err" ] || fail "pcapng of streams warns: $(head -n 1 "$tmp/err")"
expect 0 "$REPRISE" capture -r "$tmp/whole.pcapng" -o "$tmp/again.s.trace"
lines "$tmp/again.s.trace" | python3 "$tmp/joined.py" >"$tmp/got"
diff "$tmp/want" "$tmp/got" >"$tmp/diff" || fail "a capture of streams: $(cut -c 1-900 "$tmp/diff" | head -n 6)"
if command -v tshark >/dev/null; then
    streams() { tshark -r "$tmp/whole.pcapng" -d tcp.port==80,http2 "$@" 2>/dev/null; }
    same "$(streams -o tcp.check_checksum:TRUE -Y 'tcp.checksum.status == 0 || tcp.analysis.flags || _ws.malformed || _ws.expert.severity >= 0x600000' | wc -l)" \
        0 'packets of streams that tshark finds bad'
    same "$(streams -Y grpc.message_length -T fields -e grpc.message_length | tr , '\n' | grep -c .)" \
        "$(jq -s 'map(select(.[1] == "grpc") | (.[10], .[17]) | select(.) | length) | add' "$tmp/want")" 'messages of streams that tshark sees'
fi
# The same as a HAR: each body is all of its messages, each answer at its own time.
expect 0 "$REPRISE" trace export "$tmp/whole.trace" --format har -o "$tmp/whole.har"
[ ! -s "$tmp/err" ] || fail "a HAR of streams warns: $(head -n 1 "$tmp/err")"
python3 - "$tmp/whole.har" "$tmp/want" <<'END' || fail 'the HAR of streams is not what the trace holds'
import base64, json, sys
entries = json.load(open(sys.argv[1]))["log"]["entries"]
want = [json.loads(line) for line in open(sys.argv[2])]
assert len(entries) == len(want) == 300
seen = set()
for e, (at, protocol, *_, messages, status, grpc, first, last, answer, encoding, parts) in zip(entries, want):
    r, c = e["response"], e["response"]["content"]
    assert e["_arrivalNs"] == at and e.get("_requestMessages") == messages and e.get("_responseMessages") == parts
    assert r["status"] == (status or 0) and r.get("_grpcStatus") == grpc
    assert e["timings"]["wait"] == (-1 if first is None else first / 1e6)
    assert abs(e["timings"]["receive"] - (-1 if last is None else (last - first) / 1e6)) < 1e-6
    text = base64.b64decode(c.get("text", "")) if c.get("encoding") else c.get("text", "").encode()
    whole = base64.b64decode(answer["base64"]) if answer and "base64" in answer else (answer or {}).get("text", "").encode()
    assert text == (b'{"outputs":[]}' if encoding == "gzip" else whole)
    assert c["mimeType"] == ("application/grpc" if protocol == "grpc" else "text/event-stream" if parts else "x-unknown")
    assert r["headers"] == ([{"name": "grpc-encoding" if protocol == "grpc" else "content-encoding", "value": encoding}] if encoding else [])
    seen |= {(protocol, bool(parts), encoding, first is not None and first > 10 ** 9)}
assert len(seen) == 6, seen
END
# What cannot be said truly is left out and counted: messages out of their order, events that come apart elsewhere, and of a
# stream, which cannot be read twice, what stands behind.
printf '%s\n' '{"arrival_ns":0,"protocol":"grpc","name":"m","body":{"text":"abcd"},"messages":[[5,2],[1,2]]}' \
    '{"arrival_ns":1,"protocol":"grpc","name":"m","first_ns":1,"last_ns":9,"grpc_status":0,"answer":{"text":"abcd"},"answer_messages":[[0,2],[1,2]]}' \
    '{"arrival_ns":2,"protocol":"grpc","name":"m","first_ns":1,"grpc_status":0,"answer":{"text":"abcd"},"answer_messages":[[1,2],[2,2]]}' \
    '{"arrival_ns":3,"protocol":"grpc","name":"m","first_ns":1,"last_ns":9,"grpc_status":0,"answer":{"text":"abcd"},"answer_messages":[[1,4]]}' \
    '{"arrival_ns":4,"protocol":"rest","name":"m","status":200,"first_ns":1,"last_ns":9,"answer":{"text":"data: a\n\n"},"answer_messages":[[1,4],[1,5]]}' \
    '{"arrival_ns":5,"protocol":"rest","name":"m","status":200,"first_ns":1,"last_ns":9,"answer":{"text":"data: a\n\n"},"answer_messages":[[1,9]]}' |
    "$REPRISE" import jsonl - -o "$tmp/untrue.trace" -q
expect 0 "$REPRISE" trace export "$tmp/untrue.trace" --format pcapng -o "$tmp/untrue.pcapng"
err_has '1 operations are no REST or gRPC call that HTTP can carry whole'
err_has '4 answers lack their time, status or bytes, or have messages out of order'
expect 0 "$REPRISE" trace export - --format pcapng <"$tmp/whole.trace"
err_has 'answers stand behind their operations, where a stream or the memory for them does not let them be joined'
expect 0 "$REPRISE" trace export - --format har <"$tmp/late.trace"
err_has '1 answers stand behind their operations'
"$REPRISE" trace export - --format pcapng <"$tmp/p.trace" | cmp - "$tmp/p.pcapng" || fail 'a stream gives other packets'
expect 0 "$REPRISE" trace export "$tmp/har.trace" --format pcapng --force -o "$tmp/x"
err_has '1 operations are no REST or gRPC call that HTTP can carry whole, and are left out'
printf '%s\n' '{"arrival_ns":0,"protocol":"rest","name":"m","path":"/a\r\nb","status":200}' \
    '{"arrival_ns":1,"protocol":"rest","name":"m","status":200}' | "$REPRISE" import jsonl - --force -o "$tmp/odd.trace" -q
expect 0 "$REPRISE" trace export "$tmp/odd.trace" --format pcapng --force -o "$tmp/x"
err_has '1 operations are no REST or gRPC call'
err_has '1 answers lack their time, status or bytes, or have messages out of order, and are left out'
expect 64 "$REPRISE" trace export "$tmp/1.run" --format pcapng
err_has 'a run holds no requests to make packets of'

finish
