#!/usr/bin/env bash
# Six other programs want the processor that reprise is bound to: nothing is lost, and the run's
# health says that it was late by its own fault.
# alone: it judges times, or loads a processor (see run.sh)
source "$(dirname "$0")/lib.sh"
synth --rate 400 --count 1200
processor=$(taskset -cp $$ | sed 's/.*: //; s/[,-].*//')
standin --service fixed:1ms
for _ in 1 2 3 4 5 6; do
    taskset -c "$processor" bash -c 'while :; do :; done' &
    pids+=($!)
done
expect 0 taskset -c "$processor" "$REPRISE" replay "$tmp/t.trace" --tier "$tier" \
    --http "$(at http)" -o "$tmp/x.run" --quiet
end_server_and_hogs() { for p in "${pids[@]}"; do kill "$p"; wait "$p" 2>/dev/null; done; pids=(); }
end_server_and_hogs
report
counts 1200 1200 1200 0
holds '.health.verdict != "VALID"'
# And why: six others stand in the same line.
holds '[.health.causes[] | select(.code == "lateness")][0].text | test("; for [0-9.]+ m?s of [0-9.]+ s it stood in line for a processor")'
cause lateness || fail "no lateness among the causes: $(jq -c .health "$tmp/report")"
finish
