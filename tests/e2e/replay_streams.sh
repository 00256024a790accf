#!/usr/bin/env bash
# Streamed inference end to end: messages of requests keep their gaps, every message of an
# answer has its time and is checked, and the report tells both. Over gRPC, and as events
# through either engine of REST.
source "$(dirname "$0")/../cli/lib.sh"

expect 0 "$REPRISE" synth -o "$tmp/plain.trace" --model-type iris --rate 100 --count 40 \
    --duration 1h --protocol both --quiet
"$REPRISE" trace export "$tmp/plain.trace" --format jsonl -o "$tmp/plain.jsonl"
grpc=$(grep -c '"protocol":"grpc"' "$tmp/plain.jsonl")
rest=$((40 - grpc))
python3 "$root/tests/e2e/as_streams.py" iris0 30 <"$tmp/plain.jsonl" >"$tmp/streams.jsonl"
expect 0 "$REPRISE" import jsonl "$tmp/streams.jsonl" -o "$tmp/t.trace" --quiet

"$REPRISE" standin --tier envoy --http 127.0.0.1:0 --ports "$tmp/ports" --service fixed:2ms \
    --stream-messages 3 --stream-gap 5ms --quiet >/dev/null 2>"$tmp/standin.err" &
pids=($!)
await_ports
target=$(sed -n 's/^envoy.http=//p' "$tmp/ports")

declare -A options=([own]="--engine own" [curl]="--engine curl"
    [http2]="--engine curl --http-version 2")
for engine in own curl http2; do
    # shellcheck disable=SC2086  # several words
    expect 0 "$REPRISE" replay "$tmp/t.trace" --http "$target" ${options[$engine]} --check model \
        -o "$tmp/$engine.run" --quiet --json
    same "$(jq -c '[.operations | .due, .ok, .wrong]' "$tmp/out")" '[40,40,0]' "$engine"
    "$REPRISE" trace cat --jsonl "$tmp/$engine.run" >"$tmp/run.jsonl"
    same "$(jq -r '"\(.protocol) \(.messages | length) \(.check)"' "$tmp/run.jsonl" |
        sort -u | xargs)" "grpc 6 right rest 3 right" "$engine: messages"
    same "$(jq -c 'select((.messages | map(.[1]) | add) != .bytes_in or
        (.messages | map(.[0]) | . != sort) or .messages[0][0] < .first_ns - .sent_ns or
        .messages[-1][0] > .done_ns - .sent_ns)' "$tmp/run.jsonl")" "" "$engine: times and bytes"
    # It comes no sooner than the stand-in says it.
    same "$(jq -c 'select(.messages[2][0] < 12e6 or
        (.protocol == "grpc" and .messages[5][0] < 57e6))' "$tmp/run.jsonl")" "" "$engine: gaps"
    # The stand-in answers once it has the whole request.
    same "$(jq -c 'select(.protocol == "grpc" and .messages[0][0] < 30e6)' "$tmp/run.jsonl")" \
        "" "$engine: the second message of a request goes out 30 ms after the first"
    "$REPRISE" report "$tmp/$engine.run" --json >"$tmp/out" 2>&1 # 3: the machine was busy
    same "$(jq -c '.latency_ns | [.first_message.n, .message_gap.n]' "$tmp/out")" "[40,$((5 * grpc + 2 * rest))]"
    same "$(jq -c '[.cells[] | [.protocol, .latency_ns.first_message.n, .latency_ns.message_gap.n]] |
        sort' "$tmp/out")" "[[\"grpc\",$grpc,$((5 * grpc))],[\"rest\",$rest,$((2 * rest))]]"
done

# A run that is ended in the middle of streams is whole all the same, with the messages that came.
"$REPRISE" standin --tier envoy --http 127.0.0.1:0 --ports "$tmp/slow.ports" --stream-messages 1000 \
    --stream-gap 20ms --quiet >/dev/null 2>"$tmp/slow.err" &
pids+=($!)
await_file "$tmp/slow.ports"
for engine in own curl http2; do
    # shellcheck disable=SC2086  # several words
    expect 3 "$REPRISE" replay "$tmp/t.trace" --http "$(sed -n 's/^envoy.http=//p' "$tmp/slow.ports")" \
        ${options[$engine]} --abort-if 'outstanding>30' --abort-window 1s -o "$tmp/ended.run" --force --quiet --json
    same "$(jq -c '[.operations | .due, .sent, .stopped]' "$tmp/out")" '[40,40,40]' "$engine: ended"
    same "$("$REPRISE" trace cat --jsonl "$tmp/ended.run" |
        jq -s 'all((.messages | length) > 0 and (.messages | map(.[1]) | add) == .bytes_in)')" \
        true "$engine: messages of streams that were ended"
done

# Faster: the gaps of a request, of a minute and more here, shrink with the schedule.
python3 "$root/tests/e2e/as_streams.py" iris0 100000 <"$tmp/plain.jsonl" >"$tmp/minutes.jsonl"
expect 0 "$REPRISE" import jsonl "$tmp/minutes.jsonl" -o "$tmp/minutes.trace" --quiet
expect 0 "$REPRISE" replay "$tmp/minutes.trace" --http "$target" --protocol grpc --speed 1000 \
    -o "$tmp/fast.run" --quiet --json
same "$(jq .operations.ok "$tmp/out")" "$grpc"
same "$("$REPRISE" trace cat --jsonl "$tmp/fast.run" |
    jq -s 'all(.messages[0][0] >= 100e6 and .messages[0][0] < 100e9)')" true "a thousand times as fast"

# What a run holds of messages survives its JSON form.
expect 0 "$REPRISE" trace export "$tmp/own.run" --format jsonl -o "$tmp/own.jsonl"
expect 0 "$REPRISE" import jsonl "$tmp/own.jsonl" -o "$tmp/again.run" --quiet
"$REPRISE" trace cat --jsonl "$tmp/own.run" >"$tmp/a"
"$REPRISE" trace cat --jsonl "$tmp/again.run" >"$tmp/b"
cmp -s "$tmp/a" "$tmp/b" || fail "messages differ after export and import"
"$REPRISE" report "$tmp/own.run" >"$tmp/out" 2>&1
out_has "1st message"
out_has "between them"
finish
