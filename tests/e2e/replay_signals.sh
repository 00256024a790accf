#!/usr/bin/env bash
# Ctrl-C closes the run file, a second one leaves at once, and kill -9 leaves what was written.
# All of it also while a pipe brings nothing more.
source "$(dirname "$0")/../cli/lib.sh"

"$REPRISE" standin --tier rproxy --http 127.0.0.1:0 --grpc 127.0.0.1:0 \
    --ports "$tmp/ports" --service fixed:1ms >/dev/null 2>"$tmp/standin.err" &
pids+=($!)
await_ports
http=$(sed -n 's/^rproxy.http=//p' "$tmp/ports")

# Ten minutes of schedule, so that it is still under way when the signal comes.
expect 0 "$REPRISE" synth -o "$tmp/t.trace" --model-type iris --rate 500 --count 300000 \
    --duration 1h --protocol rest --quiet

start() { # name
    "$REPRISE" replay "$tmp/t.trace" --tier rproxy --http "$http" -o "$tmp/$1.run" --quiet \
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

# Half of a trace comes through a pipe that stays open: some blocks, and a part of one.
"$REPRISE" synth -o - --model-type iris --rate 4000 --count 40000 --duration 1h --protocol rest \
    --values random --quiet >"$tmp/stream"
shadow() { # OPTION...
    rm -f "$tmp/pipe"
    mkfifo "$tmp/pipe"
    exec 9<>"$tmp/pipe"
    "$REPRISE" replay - --tier rproxy --http "$http" -o "$tmp/pipe.run" --force --quiet --json \
        "$@" <"$tmp/pipe" >"$tmp/out" 2>"$tmp/err" &
    replayer=$!
    pids+=("$replayer")
}
half() { head -c $(($(stat -c %s "$tmp/stream") / 2)) "$tmp/stream" >&9 & }
minds_signals() { # and is no longer the shell that began it
    [ "$(cat "/proc/$replayer/comm")" = reprise ] &&
        (("0x$(sed -n 's/^SigCgt:\t//p' "/proc/$replayer/status")" & 1 << 14))
}
# The pipe never ends, so the wait for that of the replay would.
ended_with() { # STATUS WHAT
    local got
    wait_for "the end: $2" gone "$replayer"
    wait "$replayer"
    got=$?
    same "$got" "$1" "$2: $(head -n 3 "$tmp/err")"
}
shadow
wait_for "the replay to mind signals" minds_signals
kill -TERM "$replayer"
ended_with 130 "SIGTERM before a pipe brought anything"

shadow
half
await_outcomes pipe
kill -TERM "$replayer"
ended_with 130 "SIGTERM while a pipe is silent"
same "$(jq -c '[.interrupted, .operations.due > 0]' "$tmp/out")" '[true,true]' "a silent pipe"
for options in "" "--sessions" "--closed-loop 2"; do
    # shellcheck disable=SC2086  # words
    shadow --duration 1s $options
    half
    ended_with 0 "--duration $options while a pipe is silent"
    same "$(jq -c '[.interrupted, .operations.due > 0]' "$tmp/out")" '[false,true]' "--duration $options"
done
finish
