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
expect 0 "$REPRISE" import jsonl "$tmp/har.jsonl" -o "$tmp/har.trace" -q
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

expect 0 "$REPRISE" synth --model-type iris,tfsimple --rate 300 --duration 4s --protocol both --seed 1 -o "$tmp/s.trace" --quiet
expect 0 "$REPRISE" trace export "$tmp/s.trace" --format har -o "$tmp/s.har"
[ ! -s "$tmp/err" ] || fail 'an export that leaves nothing out warns'
lines "$tmp/s.trace" | jq -c '[.arrival_ns, .body.text // .body.base64]' >"$tmp/want"
jq -c '.log.entries[] | [._arrivalNs, .request.postData.text]' "$tmp/s.har" | cmp - "$tmp/want" ||
    fail 'the HAR has other requests'
jq -r .log.comment "$tmp/s.har" | grep -q '1970-01-01' || fail 'a trace without calendar does not say so'
"$REPRISE" trace export - --format har <"$tmp/s.trace" | cmp - "$tmp/s.har" || fail 'a stream gives another HAR'
printf '%s\n' '{"arrival_ns":0,"protocol":"rest","name":"m","status":100}' '{"late":0,"status":503}' |
    "$REPRISE" import jsonl - -o "$tmp/late.trace" -q
expect 0 "$REPRISE" trace export "$tmp/late.trace" --format har
err_has '1 answers stand behind their operations and are left out'
expect 64 "$REPRISE" trace export "$tmp/s.trace" --format haar
if [ -w /dev/full ]; then
    expect 74 "$REPRISE" trace export "$tmp/s.trace" --format har -o /dev/full
fi

finish
