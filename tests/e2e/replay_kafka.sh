#!/usr/bin/env bash
# The tier kafka of the stand-in: operations of every protocol are produced to its topics, and
# every answer is the one that its model must give; failures, faults and a broker that goes are
# outcomes; what went through the topics is captured from them and replayed as it was.
source "$(dirname "$0")/../cli/lib.sh"
summary() { jq -c "$1" "$tmp/out"; }

serve() { # options of the stand-in...
    rm -f "$tmp/ports"
    "$REPRISE" standin --tier kafka --model-type iris,tfsimple,add10,echo --pipeline chain=add10-0 \
        --pipeline iris0=iris0 --ports "$tmp/ports" --service fixed:200us "$@" \
        >/dev/null 2>"$tmp/standin.err" &
    pids=($!)
    await_ports
    brokers=$(sed -n 's/^kafka.brokers=//p' "$tmp/ports")
}
unserve() { kill "${pids[0]}"; wait "${pids[0]}" 2>/dev/null; pids=(); }

# The stand-in's broker answers a fetch that finds nothing only when all of its wait is over.
swift=(--kafka-option fetch.wait.max.ms=5)
replay() { # status trace options...
    local status=$1 trace=$2; shift 2
    expect "$status" "$REPRISE" replay "$tmp/$trace.trace" --tier kafka --kafka "$brokers" \
        "${swift[@]}" -o "$tmp/x.run" --force --quiet --json "$@"
}
counts() { same "$(summary '[.operations | .due, .sent, .ok, .failed]')" "$1" "$2"; }

expect 0 "$REPRISE" synth -o "$tmp/models.trace" --model-type iris,tfsimple,add10,echo \
    --rate 1000 --count 400 --duration 1h --protocol both --values random --seed 3 --quiet
expect 0 "$REPRISE" synth -o "$tmp/pipes.trace" --model-type iris --pipeline \
    --rate 500 --count 100 --duration 1h --protocol both --quiet

serve
for keys in 2.10 2.8 2.7; do
    replay 0 models --check model --kafka-keys "$keys"
    counts '[400,400,400,0]' "keys of $keys"
    same "$(summary '[.answers.right, .answers.wrong, .answers.unjudged]')" '[400,0,0]' "$keys"
    same "$(summary '.kafka | [.delivered, .undelivered, .answers, .answers_again, .answers_late,
        .records_of_others]')" '[400,0,400,0,0,0]' "keys of $keys"
done
replay 0 pipes --check model
counts '[100,100,100,0]' pipelines
replay 0 models --closed-loop 8
counts '[400,400,400,0]' "closed loop"
replay 0 models --check model --topic-prefix seldon --namespace default --deadline 10s --speed 4
counts '[400,400,400,0]' "four times as fast"

# What went through the topics, taken from them, goes through them again.
expect 0 "$REPRISE" capture --kafka "$brokers" --from beginning --until end -o "$tmp/all.trace" -q
expect 0 "$REPRISE" trace cut "$tmp/all.trace" --count 300 -o "$tmp/taken.trace"
replay 0 taken --check recorded --speed 100
same "$(summary '[.operations.ok == .operations.due, .operations.due > 0, .answers.wrong]')" \
    '[true,true,0]' "records replayed as records"

# A report says what there is to say, and nothing of HTTP.
"$REPRISE" report "$tmp/x.run" >"$tmp/out" # 3: the machine was too busy
out_has "kafka $brokers, seldon.default, 2.10 keys"
out_has "delivered; sent to acknowledged"

# A rate within a limit is searched for as at other tiers: here all rates are, up to --to.
expect 2 "$REPRISE" search "$tmp/models.trace" --limit 'errors<1%' --to 1 --invalid pass \
    -o "$tmp/search" -- --tier kafka --kafka "$brokers" "${swift[@]}"

# Models that are not there are refused, each operation of theirs.
expect 0 "$REPRISE" synth -o "$tmp/others.trace" --model-type iris,mlflow_wine --rate 500 --count 100 \
    --duration 1h --quiet
replay 0 others
same "$(summary '.operations | [.due, .sent + .refused, .refused > 0, .ok == .sent]')" \
    '[100,100,true,true]' "a model without topics"
err_has "the brokers have no topic for its requests"
replay 69 models --namespace nowhere
err_has "have no topic seldon.nowhere.*"
unserve

serve --error-rate 0.3
replay 0 models
same "$(summary '[.errors[].class]')" '["kafka error"]'
same "$(summary '[.operations.failed > 50, .operations.ok + .operations.failed,
    .kafka.failures == .operations.failed]')" '[true,400,true]' "error-rate"
summary '.kafka.errors[].text' | grep -q '"model .*0: rpc error: code = Unavailable desc = made to fail"' ||
    fail "no word of the model: $(summary .kafka.errors)"
replay 0 pipes
same "$(summary '[.errors[].class, .kafka.records_of_steps == .kafka.failures]')" '["kafka error",true]'
"$REPRISE" report "$tmp/x.run" >"$tmp/out" # 3: the machine was too busy
out_has "kafka error"
unserve

serve --never-rate 0.1
replay 0 models --deadline 1s
same "$(summary '[.errors[].class]')" '["deadline"]'
unserve

serve --garbage-rate 0.2
replay 0 models
same "$(summary '[.errors[].class]')" '["garbage"]'
unserve

# Nobody there: said at the start, with what to look at.
replay 69 models --connect-timeout 500ms
err_has "cannot reach the Kafka brokers $brokers"
err_has "is it --kafka, or security.protocol of --kafka-option?"

# A broker that dies in the middle: what was under way and what follows are outcomes. (Slower where it
# was over before the broker was dead.)
for speed in 0.05 0.02 0.01; do
    serve
    rm -f "$tmp/died.run"
    "$REPRISE" replay "$tmp/models.trace" --tier kafka --kafka "$brokers" "${swift[@]}" --speed $speed \
        --deadline 4s -o "$tmp/died.run" --quiet --json >"$tmp/out" 2>"$tmp/err" &
    replayer=$!
    wait_for "outcomes in died.run" holds_outcomes "$tmp/died.run" 0
    kill -KILL "${pids[0]}"
    wait "${pids[0]}" 2>/dev/null
    pids=()
    wait "$replayer"
    same "$?" 0 "the broker died"
    [ "$(summary .operations.failed)" -eq 0 ] || break
done
same "$(summary '.operations | [.due, .ok + .failed, .ok > 0, .failed > 0]')" '[400,400,true,true]' \
    "the broker died"
summary '[.errors[].class] | . - ["connect", "reset", "deadline"]' | grep -q '^\[\]$' ||
    fail "causes: $(summary .errors)"

# Ctrl-C: everything that was due has its outcome.
serve --never-rate 0.5
"$REPRISE" replay "$tmp/models.trace" --tier kafka --kafka "$brokers" "${swift[@]}" --speed 0.01 \
    -o "$tmp/int.run" --force --quiet --json >"$tmp/out" 2>"$tmp/err" &
replayer=$!
wait_for "outcomes in int.run" holds_outcomes "$tmp/int.run" 0
kill -INT "$replayer"
wait "$replayer"
same "$?" 130 "interrupted"
same "$(summary '[.interrupted, .operations.due + .operations.never_due,
    .operations.ok + .operations.stopped == .operations.due, .operations.stopped > 0]')" \
    '[true,400,true,true]' "interrupted"
unserve
finish
