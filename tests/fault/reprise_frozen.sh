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
finish
