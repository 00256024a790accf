#!/usr/bin/env bash
# reprise import har: the way back from our own archives, what other tools write, hostile files.
# one thread
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$tmp" || exit 1
python=$(command -v /usr/bin/python3 || command -v python3)

# --- export -> import gives the trace again, but for what the page of `import har` names
cat >same.py <<'END'
import json, sys
def lines(path):
    return [json.loads(line) for line in open(path)]
before, after = lines(sys.argv[1]), lines(sys.argv[2])
late = {o["late"]: o for o in before if "late" in o}
ANSWER = ("status", "grpc_status", "first_ns", "last_ns", "answer", "answer_encoding", "answer_messages")
BITS = ["truncated", "redacted", "inferred", "opaque", "gap", "sampled", "dequantized", "synthetic", "k6"]
bits = lambda flags: {BITS.index(f) if f in BITS else f for f in flags}
want, decoded, seen = [], 0, 0
for o in before:
    if "late" in o or o["protocol"] not in ("rest", "grpc"):
        continue
    if o["index"] in late:
        o = {k: v for k, v in o.items() if k not in ANSWER} | \
            {k: v for k, v in late[o["index"]].items() if k in ANSWER or k == "flags"} | \
            {"flags": sorted(bits(o.get("flags", [])) | bits(late[o["index"]].get("flags", [])))}
    o["flags"] = sorted(bits(o.get("flags", [])))
    o["index"] = len(want)
    o["path"] = o.get("path") or ("/inference.GRPCInferenceService/ModelInfer" if o["protocol"] == "grpc"
                                  else f"/v2/models/{o['name']}/infer")
    if o["protocol"] == "grpc":
        o.pop("method", None)
    else:
        o.setdefault("method", "POST")
    want.append(o)
assert len(want) == len(after), (len(want), len(after))
for a, b in zip(want, after):
    b["flags"] = sorted(bits(b.get("flags", [])))
    if "answer_encoding" in a and "answer_encoding" not in b:  # the archive has it decoded
        decoded += 1
        for o in (a, b):
            o.pop("answer", None), o.pop("answer_encoding", None)
    for key in a.keys() | b.keys():
        if isinstance(a.get(key), dict) and "base64" in a[key] and key not in ("body", "answer"):
            continue  # a text that is no UTF-8 is none in JSON
        assert a.get(key) == b.get(key), (a["index"], key, a.get(key), b.get(key))
        seen += 1
print(len(want), decoded, seen > 8 * len(want))
END
expect 0 "$python" "$root/tests/decoder/random_jsonl.py" trace 5 600
jq -c 'if .headers then .headers |= map(select((.[1] | type) == "string" and (.[0] | type) == "string")) else . end
    | if (.id | type) == "object" then del(.id) else . end | if (.path | type) == "object" then del(.path) else . end
    | if (.path // "/" | startswith("/") | not) then .path |= "/" + . else . end' out >all.jsonl
expect 0 "$REPRISE" import jsonl all.jsonl -q -o a.trace
expect 0 "$REPRISE" trace export a.trace --format har -o a.har
expect 0 "$REPRISE" import har a.har -o b.trace
"$REPRISE" trace cat --jsonl a.trace >a.jsonl
"$REPRISE" trace cat --jsonl b.trace >b.jsonl
expect 0 "$python" same.py a.jsonl b.jsonl
same "$(cat out)" '299 0 True' 'operations, answers decoded, members compared'
expect 0 "$REPRISE" trace export a.trace --format har -o c.har
jq -c '.log.entries |= reverse' c.har | zstd -q >back.har.zst
expect 0 "$REPRISE" import har back.har.zst -o c.trace
err_has ' came with an earlier time than the one before, by up to '
cmp <("$REPRISE" trace cat --jsonl c.trace | jq -c 'del(.index)' | sort) <(jq -c 'del(.index)' b.jsonl | sort) ||
    fail 'entries in another order give other operations'
epoch() { "$REPRISE" trace export "$1" | sed -n 's/.*"epoch_wall_ns":\([0-9]*\).*/\1/p;q'; }
printf '%s\n' '{"reprise":"trace","epoch_wall_ns":1700000000123456789}' '{"arrival_ns":7000000001,"protocol":"rest","name":"m"}' |
    "$REPRISE" import jsonl - -q -o epoch.trace
"$REPRISE" trace export epoch.trace --format har | expect 0 "$REPRISE" import har - -q -o again.trace
same "$(epoch again.trace)" 1700000000123456789 'the epoch, to the nanosecond'

# An answer that the archive has decoded comes back so, and is counted.
printf '{"arrival_ns":7,"protocol":"rest","name":"m","status":200,"answer_encoding":"gzip","answer":{"base64":"%s"}}\n' \
    "$(printf '{"outputs":[]}' | gzip -n | base64 -w0)" | "$REPRISE" import jsonl - -q -o zip.trace
"$REPRISE" trace export zip.trace --format har | expect 0 "$REPRISE" import har - -o plain.trace
err_has 'import: 1 answers are kept as they were decoded'
same "$("$REPRISE" trace cat --jsonl plain.trace | jq -c '[.arrival_ns, .answer.text, .answer_encoding]')" '[7,"{\"outputs\":[]}",null]'

# --- what a browser and a proxy write
cat >browser.har <<'END'
{"log": {"version": "1.2", "creator": {"name": "WebInspector", "version": "537.36"}, "pages": [{"id": "page_1", "x": "]}\""}],
 "entries": [
 {"_priority": "High", "connection": "443", "startedDateTime": "2024-05-01T10:00:00.250Z", "time": 60,
  "request": {"method": "POST", "url": "https://seldon.example/v2/models/iris/infer?debug=1#x", "httpVersion": "http/2.0",
   "headers": [{"name": ":authority", "value": "seldon.example"}, {"name": "Content-Type", "value": "application/json"},
               {"name": "Authorization", "value": "Bearer hunter2"}, {"name": "Cookie", "value": "sid=hunter2"},
               {"name": "X-Request-Id", "value": "r-1"}, {"name": "Seldon-Model", "value": "iris1.model"}, {"name": "X-Team", "value": "a"}],
   "queryString": [], "cookies": [{"name": "sid", "value": "hunter2"}], "headersSize": -1, "bodySize": 12,
   "postData": {"mimeType": "application/json", "text": "{\"inputs\":1}"}},
  "response": {"status": 200, "statusText": "OK", "headers": [{"name": "content-encoding", "value": "br"}],
   "content": {"size": 14, "mimeType": "application/json", "text": "{\"outputs\":[]}"}, "bodySize": 9},
  "cache": {}, "timings": {"blocked": 1.5, "dns": 2, "connect": 6.5, "ssl": 3, "send": 0.25, "wait": 49.75, "receive": 0.5}},
 {"connection": "443", "startedDateTime": "2024-05-01T12:00:00.100+02:00",
  "request": {"method": "GET", "url": "https://seldon.example/app.js", "headers": [], "bodySize": 0},
  "response": {"status": 200, "headers": [], "content": {"size": 3, "text": "x()"}}, "timings": {"send": 0, "wait": 1, "receive": 1}},
 {"startedDateTime": "2024-05-01T10:00:01Z", "connection": "444",
  "request": {"method": "POST", "url": "http://10.0.0.7:9000/inference.GRPCInferenceService/ModelInfer",
   "headers": [{"name": "content-type", "value": "application/grpc"}],
   "postData": {"mimeType": "application/grpc", "encoding": "base64", "text": "AAAAAAcKBWFkZDEw"}, "bodySize": 12},
  "response": {"status": 200, "headers": [{"name": "grpc-status", "value": "0"}], "content": {"size": 5, "encoding": "base64", "text": "AAAAAAA="}},
  "timings": {"send": -1, "wait": 3, "receive": -1}},
 {"startedDateTime": "2024-05-01T10:00:02Z",
  "request": {"method": "POST", "url": "http://10.0.0.7:9000/inference.GRPCInferenceService/ModelInfer",
   "headers": [{"name": "content-type", "value": "application/grpc"}], "postData": {"encoding": "base64", "text": "AQAAAAA="}}},
 {"startedDateTime": "2024-05-01T10:00:00.2Z",
  "request": {"method": "POST", "url": "/v2/pipelines/p/infer", "headers": [], "bodySize": 77},
  "response": {"status": 0, "headers": [], "content": {"size": 0}}, "timings": {"send": 0, "wait": -1, "receive": 0}}
 ]}, "comment": "end"}
END
expect 0 "$REPRISE" import har browser.har --tier envoy -o browser.trace
same "$(cat err)" "import: 3 operations over 800 ms to 'browser.trace', 2 answered
import: left out: 1 calls that are no V2 inference (the first: entry 2 at byte 1265)
import: left out: 1 gRPC calls whose body is not one whole, plain message (the first: entry 4 at byte 2138)
import: 3 headers denied
import: 1 paths lost their query
import: 1 bodies are not in the file; their length alone is kept
import: 1 answers are kept as they were decoded
import: 1 came with an earlier time than the one before, by up to 800 ms; sorted"
"$REPRISE" trace cat --jsonl browser.trace >browser.jsonl
same "$(jq -c '[.arrival_ns, .protocol, .tier, .resource, .name, .method, .path, .content_type, .id, .headers, .body.text, .body.bytes, .connection]' browser.jsonl)" \
'[0,"rest","envoy","pipeline","p","POST","/v2/pipelines/p/infer",null,null,null,null,77,null]
[60000000,"rest","envoy","model","iris1","POST","/v2/models/iris/infer","application/json","r-1",[["seldon-model","iris1.model"]],"{\"inputs\":1}",12,0]
[800000000,"grpc","envoy","model","add10",null,"/inference.GRPCInferenceService/ModelInfer","application/grpc",null,null,"\n\u0005add10",7,1]'
same "$(jq -c '[.status, .grpc_status, .first_ns, .last_ns, .answer.text]' browser.jsonl)" \
'[null,null,null,null,null]
[200,null,50000000,50500000,"{\"outputs\":[]}"]
[200,0,3000000,null,null]'
same "$(epoch browser.trace)" 1714557600200000000
same "$("$REPRISE" trace info browser.trace --json | jq -r '.notes["import.source"]')" browser.har
! grep -q hunter2 browser.trace || fail 'a credential is in the trace'
expect 0 "$REPRISE" import har browser.har --keep-header X-TEAM --keep-header authorization --keep-query -q -o kept.trace
same "$(wc -c <err)" 0 '--quiet says nothing'
same "$("$REPRISE" trace cat --jsonl kept.trace | jq -c 'select(.id == "r-1") | [.path, .headers]')" \
    '["/v2/models/iris/infer?debug=1",[["seldon-model","iris1.model"],["x-team","a"]]]'

# --- refused, with the place
refused() { # STATUS TEXT MESSAGE
    printf '%s' "$2" >bad.har
    expect "$1" "$REPRISE" import har bad.har -o no.trace
    same "$(cat err)" "reprise import har: 'bad.har': $3"
    [ ! -e no.trace ] || fail "a refused import left a file"
}
one() { printf '{"log":{"entries":[%s]}}' "$1"; }
refused 65 '' 'the document ends where an object belongs at byte 0'
refused 65 'GET / HTTP/1.1' 'not a HAR: an object belongs here at byte 0'
refused 65 '{"lag":1}' "not a HAR: it has no 'log' at byte 9"
refused 65 '{"log":{"version":"1.2"}}' "not a HAR: its log has no 'entries' at byte 24"
refused 65 '{"log":{"entries":[]}}' 'no operation in it'
refused 65 '{"log":{"entries":[{"a":1}' 'entry 1 at byte 19: request is not an object'
refused 65 '{"log":{"entries":[{"a":' 'the document ends where the rest of a value belongs at byte 24'
refused 65 '{"log":{"entries":[7]}}' 'not a HAR: an entry, an object, belongs here at byte 19'
refused 65 "$(one '{"request" 1}')" "entry 1 at byte 19: not JSON: ':' expected near '1' (12 bytes into it)"
refused 65 "$(one '{"request":{"method":"POST","url":"/v2/models/m/infer"},"startedDateTime":"yesterday"}')" \
    "entry 1 at byte 19: startedDateTime: 'yesterday' is not a time like 2023-11-16 18:17:03.97996 (1970 to 2035, UTC unless an offset follows)"
refused 65 "$(one '{"request":{"method":"POST","url":"/v2/models/m/infer","postData":{"text":"a?","encoding":"base64"}}}')" \
    'entry 1 at byte 19: request: text: not base64 at byte 2'
refused 65 "$(one '{"request":{"method":"POST","url":"/v2/models/m/infer"},"startedDateTime":"2024-05-01T10:00:00Z","timings":{"wait":"3"}}')" \
    'entry 1 at byte 19: timings.wait is not a number of milliseconds'
refused 65 '{"log":{"entries":[{"request":{"method":"POST","url":"/v2/models/m/infer"},"startedDateTime":"2024-05-01T10:00:00Z"}]},"log":{}}' \
    "a second 'log' at byte 125"
refused 65 "{\"log\":{\"pages\":$(printf '[%.0s' {1..600})" 'more than 512 brackets in another at byte 529'
expect 74 "$REPRISE" import har nosuch.har -o no.trace
err_has "opening 'nosuch.har': No such file or directory"
finish
