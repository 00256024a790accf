#!/usr/bin/env bash
# Ctrl-C closes the run file, a second one leaves at once, and kill -9 leaves what was written.
source "$(dirname "$0")/../cli/lib.sh"

"$REPRISE" standin --tier server --http 127.0.0.1:0 --grpc 127.0.0.1:0 \
    --ports "$tmp/ports" --service fixed:1ms >/dev/null 2>"$tmp/standin.err" &
pids+=($!)
await_ports
http=$(sed -n 's/^server.http=//p' "$tmp/ports")

# Ten minutes of schedule, so that it is still under way when the signal comes.
expect 0 "$REPRISE" synth -o "$tmp/t.trace" --model-type iris --rate 500 --count 300000 \
    --duration 1h --protocol rest --quiet

start() { # name
    "$REPRISE" replay "$tmp/t.trace" --tier server --http "$http" -o "$tmp/$1.run" --quiet \
        --json >"$tmp/out" 2>"$tmp/err" &
    replayer=$!
    pids+=("$replayer")
}
await_outcomes() { wait_for "outcomes in $1.run" holds_outcomes "$tmp/$1.run" 100; }

for signal in INT TERM; do
    start "$signal"
    await_outcomes "$signal"
    kill -"$signal" "$replayer"
    wait "$replayer"
    same "$?" 130 "SIG$signal"
    same "$(jq -c '[.interrupted, .operations.due + .operations.never_due,
        .operations.due > 0]' "$tmp/out")" '[true,300000,true]' "SIG$signal"
done

start killed
await_outcomes killed
kill -KILL "$replayer"
wait "$replayer" 2>/dev/null
expect 0 "$REPRISE" trace info "$tmp/killed.run" --json
same "$(jq -c '[.complete, .operations > 100]' "$tmp/out")" '[false,true]' "after kill -9"
expect 0 "$REPRISE" trace info "$tmp/INT.run" --json
same "$(jq -c .complete "$tmp/out")" true "after Ctrl-C"
finish
