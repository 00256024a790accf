#!/usr/bin/env bash
# Targets that fail, close early, talk garbage or never answer give outcomes, not failures;
# what prevents a run has its own exit status.
source "$(dirname "$0")/../cli/lib.sh"
summary() { jq -c "$1" "$tmp/out"; }

expect 0 "$REPRISE" synth -o "$tmp/t.trace" --model-type iris --rate 2000 --count 400 \
    --duration 1h --protocol both --quiet

serve() { # options of the stand-in...
    rm -f "$tmp/ports"
    "$REPRISE" standin --tier server --http 127.0.0.1:0 --grpc 127.0.0.1:0 \
        --ports "$tmp/ports" --service fixed:100us "$@" >/dev/null 2>"$tmp/standin.err" &
    pids=($!)
    await_ports
}
unserve() { kill "${pids[0]}"; wait "${pids[0]}" 2>/dev/null; pids=(); }
at() { sed -n "s/^$1=//p" "$tmp/ports"; }
replay() { # status options...
    local status=$1; shift
    expect "$status" "$REPRISE" replay "$tmp/t.trace" --tier server \
        --http "$(at server.http)" --grpc "$(at server.grpc)" \
        -o "$tmp/x.run" --force --quiet --json "$@"
    same "$(summary '[.operations.due, .operations.sent]')" '[400,400]' "nothing lost: $*"
}
classes() { summary '[.errors[].class] | sort'; }

serve --error-rate 0.3
replay 0
same "$(classes)" '["grpc 14 UNAVAILABLE","http 503"]'
same "$(summary '.operations.ok + .operations.failed')" 400
unserve

serve --close-rate 0.3
replay 0
same "$(summary '.operations.failed > 50 and .operations.ok > 200')" true "close-rate"
unserve

serve --garbage-rate 0.3
replay 0
classes | grep -q '"garbage"' || fail "no garbage seen: $(classes)"
unserve

serve --never-rate 0.1
replay 0 --deadline 300ms
same "$(classes)" '["deadline"]'
unserve

# A target that dies in the middle: what was under way and what follows are outcomes.
# (Slower where it was over before the target was dead.)
for speed in 0.05 0.02 0.01; do
    serve
    "$REPRISE" replay "$tmp/t.trace" --tier server --http "$(at server.http)" \
        --grpc "$(at server.grpc)" --speed $speed -o "$tmp/died.run" --force --quiet --json \
        >"$tmp/out" 2>"$tmp/err" &
    replayer=$!
    wait_for "outcomes in died.run" holds_outcomes "$tmp/died.run" 0
    unserve
    wait "$replayer"
    same "$?" 0 "the target died"
    [ "$(summary .operations.failed)" -eq 0 ] || break
done
same "$(summary '[.operations.due, .operations.ok + .operations.failed]')" '[400,400]'
same "$(summary '.operations.failed > 0 and .operations.ok > 0')" true "the target died"

# Nobody there at the start.
expect 69 "$REPRISE" replay "$tmp/t.trace" --tier server --http "$(at server.http)" \
    --grpc "$(at server.grpc)" -o "$tmp/none.run" --quiet
err_has "cannot reach 127.0.0.1"
[ -e "$tmp/none.run" ] && fail "a run file was left behind"

# Bad input, bad output, bad command lines.
serve
target=(--tier server --http "$(at server.http)" --grpc "$(at server.grpc)" --quiet)
head -c 3000 /dev/urandom >"$tmp/noise.trace"
expect 65 "$REPRISE" replay "$tmp/noise.trace" "${target[@]}" -o "$tmp/y.run"
err_has "noise.trace"
expect 74 "$REPRISE" replay "$tmp/missing.trace" "${target[@]}" -o "$tmp/y.run"
err_has "missing.trace"
expect 74 "$REPRISE" replay "$tmp/t.trace" "${target[@]}" -o /dev/full --force
expect 65 "$REPRISE" replay "$tmp/x.run" "${target[@]}" -o "$tmp/y.run"
err_has "is a run, not a trace"
expect 64 "$REPRISE" replay "$tmp/t.trace" "${target[@]}" -o "$tmp/x.run"
err_has "exists already"
[ -e "$tmp/y.run" ] && fail "a run file was made of bad input"

expect 64 "$REPRISE" replay "$tmp/t.trace" -o "$tmp/y.run"
err_has "no target"
expect 64 "$REPRISE" replay "$tmp/t.trace" "${target[@]}" --speed 0
err_has "speed '0' is out of range"
expect 64 "$REPRISE" replay "$tmp/t.trace" "${target[@]}" --deadline 30
err_has "30"
expect 64 "$REPRISE" replay "$tmp/t.trace" "${target[@]}" --tier kafka
expect 64 "$REPRISE" replay "$tmp/t.trace" "${target[@]}" --label no-equals-sign
expect 64 "$REPRISE" replay "$tmp/t.trace" --http http://user:secret@127.0.0.1:1
grep -q secret "$tmp/err" && fail "a credential was printed"

# A run that must not be believed ends the command with its cause: here the generator is stopped
# again and again until it is over, and sends what was due meanwhile late.
invalid() { # status options...
    local status=$1 replayer got; shift
    rm -f "$tmp/i.run"
    env -u REPRISE_INVALID "$REPRISE" replay "$tmp/t.trace" "${target[@]}" --speed 0.1 \
        -o "$tmp/i.run" "$@" >"$tmp/out" 2>"$tmp/err" &
    replayer=$!
    while kill -STOP "$replayer" 2>/dev/null; do
        sleep 0.2; kill -CONT "$replayer"; sleep 0.1
    done
    wait "$replayer"; got=$?
    same "$got" "$status" "an INVALID run: $*"
}
invalid 3
err_has "reprise replay: the run is INVALID: lateness: "
expect 3 "$REPRISE" report "$tmp/i.run"
invalid 0 --invalid=pass
expect 3 "$REPRISE" report "$tmp/i.run"

# The environment variables of the k6 tests name the targets as well.
INFER_HTTP_ENDPOINT="http://$(at server.http)" INFER_GRPC_ENDPOINT="$(at server.grpc)" \
    expect 0 "$REPRISE" replay "$tmp/t.trace" --tier server -o "$tmp/env.run" --quiet --json
same "$(summary .operations.ok)" 400 "targets from the environment"
finish
