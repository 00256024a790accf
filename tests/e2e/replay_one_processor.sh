#!/usr/bin/env bash
# On a single processor what prepares and writes gives way to what sends, and the run says so.
source "$(dirname "$0")/../cli/lib.sh"

"$REPRISE" standin --tier rproxy --http 127.0.0.1:0 --grpc 127.0.0.1:0 \
    --ports "$tmp/ports" --service fixed:1ms >/dev/null 2>"$tmp/standin.err" &
pids+=($!)
await_ports
http=$(sed -n 's/^rproxy.http=//p' "$tmp/ports")
one=$(taskset -cp $$ | sed 's/.*: //; s/[,-].*//')

# More than the rings hold, so that the feeder works while the worker sends.
expect 0 "$REPRISE" synth -o "$tmp/t.trace" --model-type iris --rate 20000 --count 20000 \
    --protocol rest --quiet
replay() {
    taskset -c "$one" "$REPRISE" replay "$tmp/t.trace" --tier rproxy --http "$http" \
        --quiet --invalid=pass "$@"
}
notes() { "$REPRISE" trace info "$1" --json | jq -c '.notes | [."pacer.shared", ."schedule.mode"]'; }

expect 0 replay --workers 1 -o "$tmp/open.run"
same "$(notes "$tmp/open.run")" '["gives way","open"]' "an open loop"
"$REPRISE" report "$tmp/open.run" --json >"$tmp/out" 2>"$tmp/err" # 3: the machine was too busy
same "$(jq -c '[.operations.due, .operations.ok]' "$tmp/out")" '[20000,20000]' "all sent"

expect 0 replay --workers 1 --closed-loop 4 -o "$tmp/closed.run"
same "$(notes "$tmp/closed.run")" '["no","closed"]' "a closed loop"
finish
