#!/usr/bin/env bash
# reprise itself is frozen for a second: everything is sent all the same, late by our own fault,
# and the run is INVALID.
# alone: it judges times, or loads a processor (see run.sh)
source "$(dirname "$0")/lib.sh"
unset REPRISE_INVALID # the verdict decides the exit status
# Of the 200 that come due in it, half are late by more than half of it; a longer run is frozen where
# one was over too soon for that.
frozen() {
    local status late
    for count in 500 2000 8000; do
        synth --rate 200 --count "$count"
        standin --service fixed:1ms
        start_replay --connections 64
        await_outcomes 0
        kill -STOP "$replayer" 2>/dev/null
        sleep 1
        kill -CONT "$replayer" 2>/dev/null
        wait "$replayer"
        status=$?
        end_server
        "$REPRISE" trace cat "$tmp/x.run" --jsonl >"$tmp/outcomes" || fail "reading the run"
        late=$(jq -s 'map(select(.sent_ns - .due_ns > 0.5e9)) | length' "$tmp/outcomes")
        [ "$late" -lt 90 ] || break
    done
    [ "$late" -ge 90 ] || fail "only $late were sent late"
    same "$status" 3 "exit status of the replay: $(head -n 5 "$tmp/err")"
    report
    counts "$count" "$count" "$count" 0
    unhealthy INVALID lateness
    unhealthy INVALID lateness-share
    # The pause is our own doing, though it made requests queue for connections. (But for the few
    # behind a call whose answer came during the pause: when it came, nobody saw.)
    holds_now '.latency_ns.lateness | .generator.max > 0.9e9 and .back_pressure.p95 < .generator.max / 2'
}
once_right left_alone frozen

# What was answered in time while reprise was frozen is no failure of the target, though it is
# read after its deadline. (But for one or two that had their connection, and had not gone out.)
synth --rate 1000 --count 6000 --protocol both
standin --service fixed:200ms
in_time() { # ENGINE
    start_replay --connections 400 --deadline 600ms --engine "$1" --invalid pass
    await_outcomes 200
    kill -STOP "$replayer"
    sleep 1
    kill -CONT "$replayer"
    replayed 0
    says '.operations | [.due, .sent, .done]' '[6000,6000,6000]'
    holds_now '.operations.failed < 3'
}
once_right left_alone in_time own
once_right left_alone in_time curl

# Nor does the pause go to the target's account where every stream is taken when it comes: whoever
# waited for one that was free meanwhile waited for us.
full() {
    start_replay --protocol grpc --connections 400 --grpc-connections 2 --streams 50 --invalid pass
    await_outcomes 200
    kill -STOP "$replayer"
    sleep 1
    kill -CONT "$replayer"
    replayed 0
    counts "$(jq .operations.due "$tmp/report")" "$(jq .operations.due "$tmp/report")" \
        "$(jq .operations.due "$tmp/report")" 0
    holds_now '.health.verdict == "INVALID" and .latency_ns.lateness.generator.max > 0.9e9'
}
once_right left_alone full
end_server
finish
