#!/usr/bin/env bash
# Each rule of --abort-if ends a run that breaks it: exit status 3, the rule with its value on
# stderr, in the run file and in the report, and nothing of what was due is lost. How soon a rule
# is decided is proved by tests/unit/test_rules.c, by the clock; here, that it is at all.
source "$(dirname "$0")/lib.sh"
synth --rate 200 --count 12000 # a minute of it

# ends_by RULE VALUE SERVER-OPTION... -- REPLAY-OPTION...: VALUE is an extended regular expression.
ends_by() {
    local rule=$1 value=$2 server=()
    shift 2
    while [ "$1" != -- ]; do server+=("$1"); shift; done
    shift
    standin "${server[@]}"
    start_replay --abort-if "$rule" --abort-window 1s "$@"
    if [ "$rule" = 'lateness>50ms' ]; then # our own doing: reprise is held up, time and again
        while kill -STOP "$replayer" 2>/dev/null; do
            sleep 0.2
            kill -CONT "$replayer"
            sleep 0.3
        done
    fi
    replayed 3
    end_server
    grep -qE "aborted: rule $rule: $value over the last 1 s\$" "$tmp/err" ||
        fail "$rule: $(cat "$tmp/err")"
    "$REPRISE" trace info "$tmp/x.run" --json | jq -r '.notes["run.ended_by"]' >"$tmp/note"
    grep -qE "^rule $rule: $value over the last 1 s\$" "$tmp/note" || fail "$rule: noted '$(cat "$tmp/note")'"
    # shellcheck disable=SC2016  # $rule is jq's
    same "$(jq --arg rule "rule $rule: " '.health.verdict == "INVALID" and
        ([.health.causes[] | select(.code == "interrupted" and .severity == "INVALID" and
            (.text | contains($rule)))] | length == 1)' "$tmp/report")" true "$rule: the report"
    holds '.file.complete and .operations.due < 12000 and (.operations |
        .due == .ok + .failed + .dropped + .refused + .stopped)'
}
ends_by 'p99>100ms' '[0-9]+ of [0-9]+ took longer or failed' --service fixed:200ms -- --connections 400
ends_by 'errors>5%' '[0-9.]+ %' --service fixed:1ms --error-rate 0.3 --
ends_by 'lateness>50ms' '[0-9]+ of [0-9]+ were sent later' --service fixed:1ms -- --connections 400
ends_by 'achieved<90%' '[0-9.]+ %' --service fixed:50ms -- --connections 1
ends_by 'outstanding>20' '[0-9]+' --service fixed:1s -- --connections 400
finish
