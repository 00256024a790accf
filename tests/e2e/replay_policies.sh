#!/usr/bin/env bash
# What becomes of operations that find nothing free: every policy accounts for each of them.
source "$(dirname "$0")/../cli/lib.sh"

"$REPRISE" standin --tier rproxy --http 127.0.0.1:0 --grpc 127.0.0.1:0 \
    --ports "$tmp/ports" --service fixed:100ms >/dev/null 2>"$tmp/standin.err" &
pids+=($!)
await_ports
http=$(sed -n 's/^rproxy.http=//p' "$tmp/ports")

# Ten times what one connection can carry.
expect 0 "$REPRISE" synth -o "$tmp/t.trace" --model-type iris --rate 100 --count 60 \
    --duration 1h --protocol rest --quiet
trace=t.trace
replay() {
    "$REPRISE" replay "$tmp/$trace" --tier rproxy --http "$http" --connections 1 --quiet \
        --force -o "$tmp/t.run" "$@"
}
# In the summary and in the file: each operation has one fate.
accounted() {
    same "$(jq -c '.operations | [.due + .never_due,
        .due - .ok - .failed - .dropped - .refused - .stopped]' "$tmp/out")" '[60,0]' "$1"
    cp "$tmp/out" "$tmp/summary"
    "$REPRISE" report "$tmp/t.run" --json >"$tmp/out"
    same "$(jq -c '.operations | [.due, .ok, .dropped, .refused, .stopped]' "$tmp/out")" \
        "$(jq -c '.operations | [.due, .ok, .dropped, .refused, .stopped]' "$tmp/summary")" \
        "$1: the file"
}

expect 0 replay --json --catch-up 20; accounted catch-up
expect 0 replay --json --drop-late 200ms
[ "$(jq .operations.dropped "$tmp/out")" -gt 0 ] || fail "nothing was dropped"
accounted drop-late
expect 0 replay --json --cap 2
[ "$(jq .operations.refused "$tmp/out")" -gt 0 ] || fail "nothing was refused"
accounted cap
expect 3 replay --json --abort-late 200ms
err_has "aborted: an operation waited longer than --abort-late 200 ms"
same "$(jq -r .aborted "$tmp/out")" "an operation waited longer than --abort-late 200 ms" json
accounted abort-late
expect 3 "$REPRISE" report "$tmp/t.run"; out_has "--abort-late"
# A run lasts to its last end, also where nothing was ever answered: to the end of its schedule
# here, and to the abort where the first answer would come later.
expect 69 replay --json --tier pipelinegateway
same "$(jq -c '[.operations.refused, .duration_ns]' "$tmp/out")" '[60,590000000]' "all are refused"
expect 3 replay --json --abort-late 30ms
same "$(jq -c '[.operations.ok, .duration_ns >= 30000000]' "$tmp/out")" '[0,true]' "none was answered"

# Two minutes of it, of which the rule allows little more than a second (how soon is proved by
# tests/unit/test_rules.c, by the clock). Nothing ends in time to tell by latency: what is
# outstanding tells.
expect 0 "$REPRISE" synth -o "$tmp/long.trace" --model-type iris --rate 100 --count 12000 \
    --duration 1h --protocol rest --quiet
trace=long.trace
expect 3 replay --json --abort-if 'outstanding > 5' --abort-if 'errors>50%' --abort-window 1s
err_has "aborted: rule outstanding > 5: "
[ "$(jq .operations.due "$tmp/out")" -lt 12000 ] || fail "the rule was found broken too late"
same "$(jq -c '.operations | [.due + .never_due,
    .due - .ok - .failed - .dropped - .refused - .stopped]' "$tmp/out")" '[12000,0]' abort-if
expect 3 "$REPRISE" report "$tmp/t.run"; out_has "rule outstanding > 5"
expect 64 replay --deadline 9223372036s; err_has "--deadline is longer than 87600h"
expect 64 replay --abort-if 'p99<1s'; err_has "p99<1s"
expect 64 replay --abort-if 'errors>5%' --abort-window 1ms; err_has "--abort-window"

for zero in '--drop-late 0s' '--abort-late 0s' '--cap 0' '--duration 0s' '--closed-loop 0' \
    '--grpc-connections 0' '--requests-per-connection 0'; do
    # shellcheck disable=SC2086  # two words
    expect 64 replay $zero
    err_has "${zero% *} must be more than 0"
done
expect 64 replay --debug pacer,nothing; err_has "--debug 'nothing' is none of engine, kafka, pacer and all"
expect 64 replay --catch-up 0.5; err_has "must be 1 or more"
expect 64 replay --cap 1 --connections 2 --workers 2; err_has "cap"
expect 64 replay --cap 2 --closed-loop 2; err_has "--closed-loop"
finish
