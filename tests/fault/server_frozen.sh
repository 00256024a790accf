#!/usr/bin/env bash
# The server's process is frozen (SIGSTOP) for a second: its doing, told as such. With enough
# connections every operation goes out on time and waits for its answer; with few, the wait is
# back-pressure; with a deadline, what was under way ends there. None is lost, ever.
# alone: it judges times, or loads a processor (see run.sh)
source "$(dirname "$0")/lib.sh"
# affected JQ-CONDITION: the outcomes for which it holds.
affected() {
    "$REPRISE" trace cat "$tmp/x.run" --jsonl >"$tmp/outcomes" || fail "reading the run"
    jq -s "map(select($1)) | length" "$tmp/outcomes"
}
# frozen JQ-CONDITION OPTION...: for a second, in which 200 operations come due, half of which it affects;
# again, in a longer run, where one was over too soon for that.
frozen() {
    local condition=$1
    shift
    for count in 500 2000 8000; do
        synth --rate 200 --count "$count"
        standin --service fixed:1ms
        start_replay "$@"
        await_outcomes 0
        kill -STOP "$server"
        sleep 1
        kill -CONT "$server"
        replayed 0
        end_server
        [ "$(affected "$condition")" -lt 90 ] || return
    done
    fail "few were affected: $*"
}
enough_connections() {
    frozen '.done_ns - .due_ns > 0.5e9' --connections 1000
    counts "$count" "$count" "$count" 0
    holds_now '.latency_ns | .service.max > 0.8e9 and .lateness.back_pressure.max < 0.5e9 and
        .lateness.generator.max < 0.5e9'
}
few_connections() {
    frozen '.done_ns - .due_ns > 0.5e9' --connections 4
    counts "$count" "$count" "$count" 0
    holds_now '.latency_ns.lateness | .back_pressure.max > 0.8e9 and .generator.max < 0.5e9'
}
a_deadline() {
    frozen '.cause == "deadline"' --connections 1000 --deadline 300ms
    says '.operations | [.due, .sent, .ok + .failed]' "[$count,$count,$count]"
    says '[.errors[].class]' '["deadline"]'
    holds_now ".operations.failed < $count - 100 and .latency_ns.response_ok.max < 1e9"
}
once_right left_alone enough_connections
once_right left_alone few_connections
once_right left_alone a_deadline
finish
