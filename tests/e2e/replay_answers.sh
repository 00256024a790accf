#!/usr/bin/env bash
# Whose answer is it? Exchanged answers are found by request ids where a tier shows them, and by
# tensors where none does; clean runs show none. Recorded answers; digests that compare uses.
source "$(dirname "$0")/../cli/lib.sh"
summary() { jq -c "$1" "$tmp/out"; }

expect 0 "$REPRISE" synth -o "$tmp/m.trace" --model-type tfsimple,add10 --rate 1000 --count 400 \
    --duration 1h --protocol both --values counting --quiet
expect 0 "$REPRISE" synth -o "$tmp/p.trace" --model-type tfsimple --pipeline --rate 1000 \
    --count 400 --duration 1h --protocol both --values counting --quiet

serve() { # options of the stand-in...
    rm -f "$tmp/ports"
    "$REPRISE" standin --free-ports --ports "$tmp/ports" --service fixed:2ms "$@" \
        >/dev/null 2>"$tmp/standin.err" &
    pids=($!)
    await_ports
}
unserve() { kill "${pids[0]}"; wait "${pids[0]}" 2>/dev/null; pids=(); }
at() { sed -n "s/^$1=//p" "$tmp/ports"; }
replay() { # status tier trace options...
    local status=$1 tier=$2 trace=$3; shift 3
    expect "$status" "$REPRISE" replay "$tmp/$trace" --tier "$tier" --http "$(at "$tier.http")" \
        --grpc "$(at "$tier.grpc")" -o "$tmp/$tier.run" --force --quiet --json "$@"
    same "$(summary '[.operations.due, .operations.sent]')" '[400,400]' "nothing lost: $*"
}
tiers() { echo "envoy m.trace rproxy m.trace server m.trace modelgateway m.trace
    envoy p.trace pipelinegateway p.trace"; }

serve
read -ra list <<<"$(tiers | tr '\n' ' ')"
for ((i = 0; i < ${#list[@]}; i += 2)); do
    replay 0 "${list[i]}" "${list[i + 1]}" --check model
    same "$(summary '[.operations.ok, .operations.wrong, .operations.crossed]')" '[400,0,0]' \
        "clean at ${list[i]}"
done
unserve

# Half of what is exchanged is one of two; an odd last one keeps its own answer.
for ((i = 0; i < ${#list[@]}; i += 2)); do
    tier=${list[i]}
    serve --cross-rate 0.1
    replay 3 "$tier" "${list[i + 1]}" --check model
    crossed=$(summary .operations.crossed)
    err_has "of them another operation's"
    same "$(summary '[.operations.ok + .operations.crossed, .operations.wrong,
        (.errors | map(select(.class == "crossed answer")) | .[0].count)]')" \
        "[400,0,$crossed]" "exchanged at $tier"
    unserve
    same "$(sed -n 's/.*exchanged \([0-9]*\);.*/\1/p' "$tmp/standin.err")" "$crossed" \
        "found and made at $tier"
    [ "$crossed" -ge 10 ] || fail "only $crossed answers were exchanged at $tier"
done

# Ids are looked at without being asked: that makes a bad run, not a failed command.
serve --cross-rate 0.1
replay 0 rproxy m.trace
same "$(summary '.operations.crossed > 10 and .operations.failed == .operations.crossed')" true
err_has "got the answer of another operation"
"$REPRISE" report "$tmp/rproxy.run" --json >"$tmp/out" # 3: the machine was too busy
same "$(summary '.errors[0].class')" '"crossed answer"'
replay 0 server m.trace
same "$(summary .operations.crossed)" 0 "no mark at the server tier"
unserve

# What answers say is compared from run to run. Exchanged ones at the server tier, where nothing
# else tells them: B differs from A by as many as the stand-in exchanged, A from itself by none.
run() { # arm pair
    replay 0 server m.trace --digest content --label "arm=$1" --label "pair=$2"
    mv "$tmp/server.run" "$tmp/$2-$1.run"
}
serve; run A 1; run A 2; unserve
serve --cross-rate 0.1; run B 1; run B 2; unserve
made=$(sed -n 's/.*exchanged \([0-9]*\);.*/\1/p' "$tmp/standin.err")
"$REPRISE" compare "$tmp"/?-A.run --vs "$tmp"/?-B.run --json >"$tmp/out" 2>"$tmp/err"
# Its verdict is about times, and hangs on how busy the machine was; what answers say does not.
same "$(summary '.answers | [.A_B.compared, .A_B.differ, .A_A.compared, .A_A.differ]')" \
    "[800,$made,400,0]" "answers that differ"
"$REPRISE" compare "$tmp"/?-A.run --vs "$tmp"/?-B.run >"$tmp/out" 2>"$tmp/err"
out_has "answers   $made of 800 differ between A and B, 0 of 400 between runs of A"

# Recorded answers: a run's own answers cannot be put into a trace, so one is made by hand.
"$REPRISE" trace cat --jsonl "$tmp/m.trace" | jq -c 'select(.protocol == "rest") | select(
    (.body.text | fromjson | .inputs | length) == 1) | . + {status: 200, first_ns: 1, last_ns: 1,
    answer: {text: ({outputs: [(.body.text | fromjson | .inputs[0]
        | {name: "OUTPUT", shape, datatype, data: [.data[] + 10]})]} | tojson)}}
    | del(.body.hash, .body.bytes, .index)' >"$tmp/recorded.jsonl"
expect 0 "$REPRISE" import jsonl "$tmp/recorded.jsonl" -o "$tmp/recorded.trace" --quiet
count=$(wc -l <"$tmp/recorded.jsonl")
serve
expect 0 "$REPRISE" replay "$tmp/recorded.trace" --tier server --http "$(at server.http)" \
    -o "$tmp/x.run" --force --quiet --json --check recorded
same "$(summary '[.operations.ok, .operations.wrong]')" "[$count,0]" "as recorded"
sed 's/\(\\"data\\":\[\)1/\12/' "$tmp/recorded.jsonl" >"$tmp/off.jsonl"
expect 0 "$REPRISE" import jsonl "$tmp/off.jsonl" -o "$tmp/off.trace" --quiet
expect 3 "$REPRISE" replay "$tmp/off.trace" --tier server --http "$(at server.http)" \
    -o "$tmp/x.run" --force --quiet --json --check recorded
same "$(summary '.operations.wrong > 0')" true "not as recorded"
err_has "wrong answer to operation"
# Its client took gzip, which replay never asks for: what it says is compared. What cannot be
# read is not judged.
zipped() { # from to: answers in gzip, every third of them cut short where $3 says so
    python3 -c '
import base64, gzip, json, sys
for i, line in enumerate(sys.stdin):
    op = json.loads(line)
    packed = gzip.compress(op["answer"]["text"].encode())
    packed = packed[:-9] if sys.argv[1:] and i % 3 == 0 else packed
    print(json.dumps({**op, "answer": {"base64": base64.b64encode(packed).decode()}}))
' "${@:3}" <"$tmp/$1.jsonl" >"$tmp/$2.jsonl"
    expect 0 "$REPRISE" import jsonl "$tmp/$2.jsonl" -o "$tmp/$2.trace" --quiet
}
zipped recorded packed
expect 0 "$REPRISE" replay "$tmp/packed.trace" --tier server --http "$(at server.http)" \
    -o "$tmp/x.run" --force --quiet --json --check recorded
same "$(summary '[.operations.ok, .operations.wrong]')" "[$count,0]" "as recorded in gzip"
"$REPRISE" trace cat "$tmp/x.run" --jsonl >"$tmp/out"
same "$(jq -s 'map(select(.check == "right")) | length' "$tmp/out")" "$count" "gzip was judged"
zipped off off-packed
expect 3 "$REPRISE" replay "$tmp/off-packed.trace" --tier server --http "$(at server.http)" \
    -o "$tmp/x.run" --force --quiet --json --check recorded
same "$(summary '.operations.wrong > 0')" true "not as recorded in gzip"
zipped recorded cut short
expect 0 "$REPRISE" replay "$tmp/cut.trace" --tier server --http "$(at server.http)" \
    -o "$tmp/x.run" --force --quiet --json --check recorded
"$REPRISE" trace cat "$tmp/x.run" --jsonl >"$tmp/out"
same "$(jq -s 'map(select(.check == "right")) | length' "$tmp/out")" \
    $((count - (count + 2) / 3)) "gzip that ends early is not judged"
replay 0 server m.trace --check recorded # which holds no answers
err_has "--check judged none of 400 answers: the trace holds no answer to compare it with"
# A quantile is told where ten operations or more lie beyond it.
same "$(summary '.latency_ns.response | [.p90 > 0, .p99, ."p99.9"]')" \
    '[true,null,null]' "quantiles of 400 operations"
expect 0 "$REPRISE" replay "$tmp/m.trace" --tier server --http "$(at server.http)" \
    --grpc "$(at server.grpc)" -o "$tmp/x.run" --force
out_has " p99 -         p99.9 - "
unserve
finish
