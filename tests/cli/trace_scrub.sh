#!/usr/bin/env bash
# trace_scrub.sh - a trace full of secrets: scan finds each, scrub takes them out, and scan says so.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

secret=hunter2 mail=ann@example.org card=4111111111111111 jwt=eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.c2ln
cat >"$tmp/in.jsonl" <<LINES
{"reprise":"trace","notes":{"redaction.policy":"bodies=keep"}}
{"arrival_ns":0,"protocol":"rest","name":"m","method":"POST","path":"/v2/models/m/infer?token=$secret","headers":[["authorization","Bearer abcdef0123456789"],["x-user","$mail"],["seldon-model","m"],["traceparent","00-11-22-01"]],"id":"$mail","body":{"text":"{\"id\":\"u1\",\"parameters\":{\"password\":\"$secret\"},\"inputs\":[{\"name\":\"t\",\"shape\":[2],\"datatype\":\"BYTES\",\"data\":[\"$card\",\"$jwt\"]},{\"name\":\"n\",\"shape\":[1],\"datatype\":\"INT32\",\"data\":[7]}]}"},"status":200,"first_ns":5,"last_ns":6,"answer":{"text":"{\"model_name\":\"m\",\"outputs\":[{\"name\":\"o\",\"shape\":[1],\"datatype\":\"BYTES\",\"data\":[\"$mail\"]}]}"}}
{"arrival_ns":9,"protocol":"rest","name":"m","method":"POST","path":"/v2/models/m/infer","id":"$mail","body":{"text":"not JSON, but AKIAABCDEFGHIJKLMNOP"}}
LINES
expect 0 "$REPRISE" import jsonl "$tmp/in.jsonl" -o "$tmp/in.trace"

# --- scan finds every place and kind, and tells no secret
expect 1 "$REPRISE" trace scan "$tmp/in.trace" --json
same "$(jq -r 'select(.kind) | "\(.index) \(.place) \(.kind)"' "$tmp/out" | sort | paste -sd,)" \
    '0 answer email,0 header email,0 header header,0 id email,0 path named,0 request card,0 request jwt,0 request named,1 id email,1 request aws-key'
same "$(jq -r '.findings // empty' "$tmp/out")" 10 'findings'
expect 1 "$REPRISE" trace scan "$tmp/in.trace"
out_has $'0\theader authorization\theader'
err_has 'in.trace: 10 findings in 2 records and 3 bodies'
for word in "$secret" "$mail" "$card" "$jwt" AKIAABC abcdef0123; do
    ! grep -qF -- "$word" "$tmp/out" || fail "scan shows $word"
done

# --- shape only, hashed ids: nothing is left
echo 000102030405060708090a0b0c0d0e0f >"$tmp/key"
expect 0 "$REPRISE" trace scrub "$tmp/in.trace" --shape-only --hash-ids --key-file "$tmp/key" -o "$tmp/out.trace"
err_has '2 operations, 2 changed: 2 headers denied, 2 bodies masked, 1 bodies reduced to a hash, 0 answers dropped, 2 ids hashed'
expect 0 "$REPRISE" trace verify "$tmp/out.trace"
expect 0 "$REPRISE" trace scan "$tmp/out.trace"
same "$(wc -c <"$tmp/out")" 0 'scan of a clean trace prints nothing'
expect 0 "$REPRISE" trace cat --jsonl "$tmp/out.trace"
same "$(jq -sc '[.[0].id == .[1].id, (.[0].id | length), .[0].path, .[0].headers, .[0].flags, .[1].flags, .[1].body.text, .[0].status]' "$tmp/out")" \
    '[true,36,"/v2/models/m/infer",[["seldon-model","m"],["traceparent",""]],["redacted"],["redacted"],null,200]'
same "$(jq -sc '.[0].body.text | fromjson | [.inputs[] | [.name, .shape, .datatype, .data]]' "$tmp/out")" \
    '[["t",[2],"BYTES",["xxxxxxxxxxxxxxxx","xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"]],["n",[1],"INT32",[0]]]'
"$REPRISE" trace info "$tmp/out.trace" --json >"$tmp/info"
jq -e '.notes["redaction.policy"] | startswith("bodies=keep, then scrub: bodies=shape ")' "$tmp/info" >"$tmp/out" || fail 'the policy is not noted'
same "$(jq -r '.notes["scrub.key"] | length' "$tmp/info")" 16 'name of the key'
! grep -q 00010203 "$tmp/info" || fail 'the key is in the notes'

# The key from the environment gives the same hashes; another one gives others. A stream is as good as a file.
REPRISE_SCRUB_KEY=$(cat "$tmp/key") "$REPRISE" trace scrub - --shape-only --hash-ids -o - -q <"$tmp/in.trace" >"$tmp/env.trace"
"$REPRISE" trace cat --jsonl "$tmp/env.trace" | cmp - <("$REPRISE" trace cat --jsonl "$tmp/out.trace") || fail 'other hashes'
expect 0 "$REPRISE" trace scrub "$tmp/in.trace" --hash-ids -q -o "$tmp/drawn.trace"
! cmp -s <("$REPRISE" trace cat --jsonl "$tmp/drawn.trace" | jq .id) <("$REPRISE" trace cat --jsonl "$tmp/out.trace" | jq .id) ||
    fail 'a drawn key gives the same hashes'

# --- an answer that came late says itself that something was taken out
printf '%s\n' '{"arrival_ns":0,"protocol":"rest","name":"m"}' '{"late":0,"flags":["gap"],"status":200,"answer":{"text":"{\"outputs\":[{\"name\":\"o\",\"shape\":[1],\"datatype\":\"INT32\",\"data\":[7]}]}"}}' |
    "$REPRISE" import jsonl - -o "$tmp/late.trace" -q
expect 0 "$REPRISE" trace scrub "$tmp/late.trace" --shape-only -q -o "$tmp/late.clean.trace"
same "$("$REPRISE" trace cat --jsonl "$tmp/late.clean.trace" | jq -c 'select(.late != null) | .flags')" '["redacted","gap"]' 'flags of a late answer'

# --- masks take what they name and nothing else, in JSON and in messages
expect 0 "$REPRISE" trace scrub "$tmp/in.trace" --mask parameters.password --mask inputs.t.data --drop-answers --keep-query --keep-header X-User -o "$tmp/masked.trace"
err_has '1 answers dropped'
expect 0 "$REPRISE" trace cat --jsonl "$tmp/masked.trace"
same "$(jq -sc '.[0] | [.path, .headers[0], .answer, .last_ns, (.body.text | fromjson | .id, .parameters.password, .inputs[0].data[0], .inputs[1].data)]' "$tmp/out")" \
    '["/v2/models/m/infer?token=hunter2",["x-user","ann@example.org"],null,6,"u1","xxxxxxx","xxxxxxxxxxxxxxxx",[7]]'
expect 0 "$REPRISE" synth --model-type iris --protocol grpc --rate 10 --duration 1s --quiet -o "$tmp/grpc.trace"
expect 0 "$REPRISE" trace scrub "$tmp/grpc.trace" --mask 'inputs.*.data' -o "$tmp/grpc.clean.trace"
err_has '10 operations, 10 changed: 0 headers denied, 10 bodies masked, 0 bodies reduced'
expect 0 "$REPRISE" trace scan "$tmp/grpc.clean.trace"

# --- shape only is replayed: messages of the same tensors, as long as before in JSON, and
# the models answer to them as they must
"$REPRISE" standin --tier envoy --http 127.0.0.1:0 --grpc 127.0.0.1:0 --ports "$tmp/ports" \
    --quiet >/dev/null 2>"$tmp/standin.err" &
pids+=($!)
expect 0 "$REPRISE" synth --model-type iris,tfsimple,add10 --protocol both --values random --rate 1000 --count 300 \
    --duration 1h --quiet -o "$tmp/real.trace"
expect 0 "$REPRISE" trace scrub "$tmp/real.trace" --shape-only -o "$tmp/shape.trace"
err_has '300 operations, 300 changed: 0 headers denied, 300 bodies masked, 0 bodies reduced to a hash'
bodies() { "$REPRISE" trace cat --jsonl "$1" | jq -c 'select(.protocol == "rest") | .body | [.bytes, (.text | fromjson | .inputs[] | [.name, .shape, .datatype])]'; }
same "$(bodies "$tmp/shape.trace")" "$(bodies "$tmp/real.trace")" 'shapes and lengths'
same "$("$REPRISE" trace cat --jsonl "$tmp/shape.trace" | jq -r 'select(.protocol == "rest") | .body.text | fromjson | .inputs[].data | flatten[]' | sort -u)" \
    0 'values'
distinct() { "$REPRISE" trace cat --jsonl "$1" | jq -c "$2" | sort -u | wc -l; }
[ "$(distinct "$tmp/real.trace" .body.hash)" -gt 250 ] || fail 'random values that are alike'
same "$(distinct "$tmp/shape.trace" .body.hash)" "$(distinct "$tmp/shape.trace" '[.protocol, .name, .body.bytes]')" \
    'one body for each shape and length'
await_ports
at() { sed -n "s/^envoy.$1=//p" "$tmp/ports"; }
expect 0 "$REPRISE" replay "$tmp/shape.trace" --tier envoy --http "$(at http)" --grpc "$(at grpc)" \
    --check-answers -o "$tmp/shape.run" --quiet --json
same "$(jq -c '.operations | [.due, .sent, .ok, .wrong]' "$tmp/out")" '[300,300,300,0]' 'replay of shapes'

# --- hashes of bodies: equal bodies stay equal under one key, and differ under another
printf '{"arrival_ns":%d,"protocol":"rest","name":"m","body":{"text":"%s"}}\n' \
    1 'no JSON' 2 'no JSON' 3 'other' >"$tmp/plain.jsonl"
expect 0 "$REPRISE" import jsonl "$tmp/plain.jsonl" -o "$tmp/plain.trace"
hashes() { # key
    REPRISE_SCRUB_KEY=$1 "$REPRISE" trace scrub "$tmp/plain.trace" --shape-only -q -o - | "$REPRISE" trace cat --jsonl - |
        jq -c '[.body.bytes, .body.text, .body.hash]'
}
one=$(hashes 000102030405060708090a0b0c0d0e0f) other=$(hashes 100102030405060708090a0b0c0d0e0f)
same "$(jq -s '.[0] == .[1] and .[0] != .[2] and .[0][0] == 7 and .[0][1] == null' <<<"$one")" true 'equal bodies'
same "$(hashes 000102030405060708090a0b0c0d0e0f)" "$one" 'the same key'
same "$(jq -sc 'map(.[2]) | unique | length' <<<"$one$other")" 4 'another key'
bare=$("$REPRISE" trace cat --jsonl "$tmp/plain.trace" | jq -r .body.hash | head -n 1)
! grep -qF -- "$bare" <<<"$one$other" || fail 'a hash without a key'

# --- streams: each message for itself; server-sent events are looked at, and not kept where something must go
expect 0 "$REPRISE" trace cat --jsonl "$tmp/grpc.trace"
message=$(head -n 1 "$tmp/out" | jq -r .body.base64) bytes=$(head -n 1 "$tmp/out" | jq .body.bytes)
event="data: {\\\"model_name\\\":\\\"m\\\",\\\"password\\\":\\\"$secret\\\"}\\n\\n"
cat >"$tmp/stream.jsonl" <<LINES
{"arrival_ns":1,"protocol":"grpc","name":"iris0","path":"/inference.GRPCInferenceService/ModelStreamInfer","body":{"base64":"$( (base64 -d <<<"$message"; base64 -d <<<"$message") | base64 -w0)"},"messages":[[0,$bytes],[5,$bytes]]}
{"arrival_ns":2,"protocol":"rest","name":"m","body":{"text":"{\"inputs\":[]}"},"status":200,"first_ns":5,"last_ns":6,"answer":{"text":"$event$event"},"answer_messages":[[5,47],[6,47]]}
LINES
expect 0 "$REPRISE" import jsonl "$tmp/stream.jsonl" -o "$tmp/stream.trace"
expect 1 "$REPRISE" trace scan "$tmp/stream.trace" --json
same "$(jq -c 'select(.kind) | [.index, .place, .kind, .at]' "$tmp/out" | paste -sd' ')" '[1,"answer","named",36] [1,"answer","named",83]'
expect 0 "$REPRISE" trace scrub "$tmp/stream.trace" --shape-only -o "$tmp/stream.clean.trace"
err_has '1 bodies masked, 1 bodies reduced to a hash'
expect 0 "$REPRISE" trace scan "$tmp/stream.clean.trace"
expect 0 "$REPRISE" trace cat --jsonl "$tmp/stream.clean.trace"
same "$(jq -sc '.[0].messages == [[0,'"$bytes"'],[5,'"$bytes"']] and .[0].body.bytes == 2 * '"$bytes"' and .[1].answer.text == null' "$tmp/out")" true streams

# --- what makes no sense
expect 64 "$REPRISE" trace scrub "$tmp/in.trace"
err_has '-o OUT is needed'
expect 64 "$REPRISE" trace scrub "$tmp/in.trace" -o "$tmp/no.trace" --keep-header Cookie
err_has 'never kept'
expect 64 "$REPRISE" trace scrub "$tmp/in.trace" -o "$tmp/no.trace" --shape-only --mask id
expect 64 "$REPRISE" trace scrub "$tmp/in.trace" -o "$tmp/no.trace" --mask a..b
echo short >"$tmp/key"
expect 65 "$REPRISE" trace scrub "$tmp/in.trace" -o "$tmp/no.trace" --hash-ids --key-file "$tmp/key"
[ ! -e "$tmp/no.trace" ] || fail 'a refused scrub leaves a file'

# --- compressed bodies are not called clean
printf '{"arrival_ns":0,"protocol":"rest","name":"m","content_encoding":"gzip","body":{"base64":"%s"}}\n' \
    "$(printf '{"inputs":[]}' | gzip -nc | base64 -w0)" >"$tmp/zip.jsonl"
expect 0 "$REPRISE" import jsonl "$tmp/zip.jsonl" -o "$tmp/zip.trace"
expect 3 "$REPRISE" trace scan "$tmp/zip.trace"
err_has '1 bodies are compressed and were not looked into'
finish
