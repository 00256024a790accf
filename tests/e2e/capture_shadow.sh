#!/usr/bin/env bash
# Live shadowing: what one stand-in is asked is captured, piped into a replay, and asked of
# a second one, while it goes on. Nothing is lost, the bodies are the same, and the replay
# says how late it was.
source "$(dirname "$0")/../cli/lib.sh"

serve() { # name
    "$REPRISE" standin --tier server --http 127.0.0.1:0 --grpc 127.0.0.1:0 \
        --ports "$tmp/$1.ports" --service fixed:500us --log-requests "$tmp/$1.requests" \
        --quiet >/dev/null 2>"$tmp/$1.err" &
    pids+=($!)
    for _ in $(seq 300); do [ -e "$tmp/$1.ports" ] && return; sleep 0.1; done
    fail "the stand-in $1 does not listen"
}
at() { sed -n "s/^server.$2=//p" "$tmp/$1.ports"; }
serve first
serve second
http=$(at first http) grpc=$(at first grpc)
map=${http##*:}=server,${grpc##*:}=server

"$REPRISE" capture -i lo --map "$map" -d 100ms -o "$tmp/probe.trace" --quiet \
    >/dev/null 2>"$tmp/err" &
probe=$!
sleep 0.3
kill -INT "$probe" 2>/dev/null
wait "$probe"
grep -q CAP_NET_RAW "$tmp/err" && { echo "may not capture on lo: needs CAP_NET_RAW"; exit 77; }

expect 0 "$REPRISE" synth -o "$tmp/t.trace" --model-type iris,tfsimple --rate 200 \
    --count 800 --duration 1h --arrivals poisson --values random --protocol both --quiet
mkfifo "$tmp/pipe" "$tmp/copied"
"$REPRISE" capture -i lo --map "$map" -o - --flush 100ms --quiet \
    >"$tmp/pipe" 2>"$tmp/capture.err" &
capture=$!
pids+=("$capture")
tee "$tmp/piped.trace" <"$tmp/pipe" >"$tmp/copied" &
"$REPRISE" replay - --tier server --http "$(at second http)" --grpc "$(at second grpc)" \
    --lag 2s -o "$tmp/shadow.run" --quiet --json <"$tmp/copied" >"$tmp/shadow.json" 2>"$tmp/shadow.err" &
shadow=$!
pids+=("$shadow")
sleep 1 # until the ring is open; what came earlier would be missing, and show below
expect 0 "$REPRISE" replay "$tmp/t.trace" --tier server --http "$http" --grpc "$grpc" \
    -o "$tmp/first.run" --quiet --json
same "$(jq -c '[.operations.sent, .operations.ok]' "$tmp/out")" '[800,800]' "the first"
await_lines() { # file count
    for _ in $(seq 300); do [ "$(wc -l <"$1")" -ge "$2" ] && return; sleep 0.1; done
    fail "only $(wc -l <"$1") of $2 requests reached the second stand-in"
}
# While the capture goes on: everything is mirrored before it is ended.
await_lines "$tmp/second.requests" 800
kill -INT "$capture"
wait "$capture"
same "$?" 130 "the capture: $(cat "$tmp/capture.err")"
wait "$shadow"
same "$?" 0 "the shadow: $(cat "$tmp/shadow.err")"
same "$(jq -c '[.operations.due, .operations.sent, .operations.ok]' "$tmp/shadow.json")" \
    '[800,800,800]' "the shadow"

asked() { jq -cS '[.protocol, .method, .path, .body_bytes]' "$tmp/$1.requests" | sort; }
same "$(asked second | sha256sum)" "$(asked first | sha256sum)" "what both were asked"
# Of REST: messages of gRPC name the model, by its internal name at this tier.
bodies() {
    "$REPRISE" trace cat "$1" --jsonl |
        jq -c 'select(.protocol == "rest") | [.name, .body.hash]' | sort
}
same "$(bodies "$tmp/piped.trace" | sha256sum)" "$(bodies "$tmp/t.trace" | sha256sum)" "bodies"

# The lag is what was asked for, and stated in the summary, the run and its report; the pipe
# never starved the schedule. The upper bound only catches nonsense.
same "$(jq -c '[.lag_asked_ns == 2e9, (.lag_ns - 2e9 | fabs) < 1e6, .lag_most_ns >= .lag_ns, .lag_most_ns < 60e9]' \
    "$tmp/shadow.json")" '[true,true,true,true]' "lag: $(jq -c '[.lag_ns, .lag_most_ns]' "$tmp/shadow.json")"
same "$("$REPRISE" trace info "$tmp/shadow.run" --json | jq -c '.notes["schedule.lag_ns"]')" \
    "\"$(jq .lag_ns "$tmp/shadow.json")\"" "the lag in the run"
same "$("$REPRISE" trace info "$tmp/shadow.run" --json |
    jq -r '.notes["health.causes"] // ""' | grep -c trace-reading)" 0 "causes of reading"
"$REPRISE" report "$tmp/shadow.run" >"$tmp/out" 2>"$tmp/err" # 3 where the machine is busy
out_has "behind the recorded arrivals, 2 s were asked for"

# Too small a lag is told at once, and what the pipe kept back shows in the run's health.
half=$(($(stat -c %s "$tmp/piped.trace") / 2))
{
    head -c "$half" "$tmp/piped.trace"
    sleep 5
    tail -c "+$((half + 1))" "$tmp/piped.trace"
} | "$REPRISE" replay - --lag 1ms --tier server --http "$(at second http)" --grpc "$(at second grpc)" \
    -o "$tmp/small.run" --json >"$tmp/small.json" 2>"$tmp/small.err"
grep -q "a lag of 1 ms is too small" "$tmp/small.err" || fail "a lag that is past: $(cat "$tmp/small.err")"
same "$(jq -c '.lag_ns > .lag_asked_ns' "$tmp/small.json")" true "the lag as it is"
"$REPRISE" trace info "$tmp/small.run" --json | jq -r '.notes["health.causes"]' | grep -q trace-reading ||
    fail "nothing is said of a pipe that was late"
expect 64 "$REPRISE" replay - --lag 1s --speed 2 --http "$(at second http)" --tier server -o "$tmp/x.run"
err_has "--lag is for live traffic at its own speed"
finish
