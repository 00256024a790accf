#!/usr/bin/env bash
# Live shadowing: what one stand-in is asked is captured, piped into a replay, and asked of
# a second one, while it goes on. Nothing is lost, the bodies are the same, and the replay
# says how late it was.
source "$(dirname "$0")/../cli/lib.sh"

may_capture
serve() { # name; rproxy closes no connection for being idle, whatever a run is late
    rm -f "$tmp/$1.ports" "$tmp/$1.requests"
    "$REPRISE" standin --tier rproxy --http 127.0.0.1:0 --grpc 127.0.0.1:0 \
        --ports "$tmp/$1.ports" --service fixed:500us --log-requests "$tmp/$1.requests" \
        --quiet >/dev/null 2>"$tmp/$1.err" &
    pids+=($!)
    await_file "$tmp/$1.ports"
}
at() { sed -n "s/^rproxy.$2=//p" "$tmp/$1.ports"; }
were_asked() { [ "$(wc -l <"$tmp/$1.requests")" -ge "$2" ]; } # name count
asked() { jq -cS '[.protocol, .method, .path, .body_bytes]' "$tmp/$1.requests" | sort; }
# Of REST: messages of gRPC name the model, by its internal name at this tier.
bodies() {
    "$REPRISE" trace cat "$1" --jsonl |
        jq -c 'select(.protocol == "rest") | [.name, .body.hash]' | sort
}
causes() { "$REPRISE" trace info "$1" --json | jq -r '.notes["health.causes"] // ""'; }

expect 0 "$REPRISE" synth -o "$tmp/t.trace" --model-type iris,tfsimple --rate 400 \
    --count 800 --duration 1h --arrivals poisson --values random --protocol both --quiet
mkfifo "$tmp/pipe" "$tmp/copied"

shadowed() { # LAG: both stand-ins are asked the same, the second one so much later
    local map capture shadow
    serve first
    serve second
    map=$(at first http) map=${map##*:}=rproxy,$(at first grpc | sed 's/.*://')=rproxy
    "$REPRISE" capture -i lo --map "$map" -o - --flush 100ms --quiet \
        >"$tmp/pipe" 2>"$tmp/capture.err" &
    capture=$!
    pids+=("$capture")
    tee "$tmp/piped.trace" <"$tmp/pipe" >"$tmp/copied" &
    "$REPRISE" replay - --tier rproxy --http "$(at second http)" --grpc "$(at second grpc)" --force \
        --lag "$1" -o "$tmp/shadow.run" --quiet --json <"$tmp/copied" >"$tmp/shadow.json" 2>"$tmp/shadow.err" &
    shadow=$!
    pids+=("$shadow")
    await_capture "$capture"
    expect 0 "$REPRISE" replay "$tmp/t.trace" --tier rproxy --http "$(at first http)" \
        --grpc "$(at first grpc)" -o "$tmp/first.run" --force --quiet --json
    same "$(jq -c '[.operations.sent, .operations.ok]' "$tmp/out")" '[800,800]' "the first"
    # While the capture goes on: everything is mirrored before it is ended.
    wait_for "800 requests at the second stand-in" were_asked second 800
    kill -INT "$capture"
    wait "$capture"
    same "$?" 130 "the capture: $(cat "$tmp/capture.err")"
    wait "$shadow"
    same "$?" 0 "the shadow: $(cat "$tmp/shadow.err")"
    same "$(jq -c '[.operations.due, .operations.sent, .operations.ok]' "$tmp/shadow.json")" \
        '[800,800,800]' "the shadow"
    same "$(asked second | sha256sum)" "$(asked first | sha256sum)" "what both were asked"
    same "$(bodies "$tmp/piped.trace" | sha256sum)" "$(bodies "$tmp/t.trace" | sha256sum)" "bodies"
}
# A machine that is too slow for the first lag says so in one of two ways; the second one is
# enough for any, unless it is held up just when the run should start: not three times.
for lag in 2 20 20 20; do
    shadowed "${lag}s"
    grep -q "a lag of .* is too small" "$tmp/shadow.err" || causes "$tmp/shadow.run" | grep -q trace-reading || break
    echo "a lag of $lag s was too small here: $(cat "$tmp/shadow.err") $(causes "$tmp/shadow.run")"
done

# The lag is what was asked for, and stated in the summary, the run and its report; the pipe
# never starved the schedule. The upper bound only catches nonsense.
same "$(jq -c --argjson lag "${lag}e9" '[.lag_asked_ns == $lag, (.lag_ns - $lag | fabs) < 1e6,
    .lag_most_ns >= .lag_ns, .lag_most_ns < 60e9]' "$tmp/shadow.json")" \
    '[true,true,true,true]' "lag: $(jq -c '[.lag_ns, .lag_most_ns]' "$tmp/shadow.json")"
same "$("$REPRISE" trace info "$tmp/shadow.run" --json | jq -c '.notes["schedule.lag_ns"]')" \
    "\"$(jq .lag_ns "$tmp/shadow.json")\"" "the lag in the run"
same "$(causes "$tmp/shadow.run" | grep -c trace-reading)" 0 "causes of reading"
"$REPRISE" report "$tmp/shadow.run" >"$tmp/out" 2>"$tmp/err" # 3 where the machine is busy
out_has "behind the recorded arrivals, $lag s were asked for"

# Too small a lag is told at once, and what the pipe kept back shows in the run's health.
half=$(($(stat -c %s "$tmp/piped.trace") / 2))
head -c "$half" "$tmp/piped.trace" >"$tmp/half.trace"
before=$("$REPRISE" trace cat "$tmp/half.trace" --jsonl 2>/dev/null | jq -c 'select(.late == null)' | wc -l)
[ "$before" -gt 0 ] || fail "half a trace holds nothing"
{
    cat "$tmp/half.trace"
    wait_for "the first half at the second stand-in" were_asked second $((800 + before))
    sleep 0.5
    tail -c "+$((half + 1))" "$tmp/piped.trace"
} | "$REPRISE" replay - --lag 1ms --tier rproxy --http "$(at second http)" --grpc "$(at second grpc)" \
    -o "$tmp/small.run" --json >"$tmp/small.json" 2>"$tmp/small.err"
grep -q "a lag of 1 ms is too small" "$tmp/small.err" || fail "a lag that is past: $(cat "$tmp/small.err")"
same "$(jq -c '.lag_ns > .lag_asked_ns' "$tmp/small.json")" true "the lag as it is"
causes "$tmp/small.run" | grep -q trace-reading ||
    fail "nothing is said of a pipe that was late"
expect 64 "$REPRISE" replay - --lag 1s --speed 2 --http "$(at second http)" --tier rproxy -o "$tmp/x.run"
err_has "--lag is for live traffic at its own speed"
finish
