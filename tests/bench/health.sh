#!/usr/bin/env bash
# health.sh PROGRAM - does health tell a client in trouble from one that is well? RUNS (100) short
# runs of each kind, in turn, against the stand-in:
#
#   clean     nothing else is done to this machine: at most one in a hundred may be flagged
#   troubled  by turns: reprise is frozen for 100 ms; its processor is wanted by four others; it has
#             descriptors for a third of its connections: all but one in a hundred must be flagged
#
# Flagged means: not VALID. A bench, not a test: on a machine that others use, clean runs are not
# clean, and are rightly flagged. Prints the counts, and the causes of clean runs that were flagged;
# its exit status is 1 when a bound is broken.
set -u
export REPRISE
REPRISE=$(realpath "$1")
runs=${RUNS:-100}
# shellcheck source=../fault/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../fault/lib.sh"

synth --rate 500 --count 500
processor=$(taskset -cp $$ | sed 's/.*[:,-] *//') # the last that we may use
flagged() { ! healthy; }

frozen() {
    start_replay --connections 64
    sleep 0.6
    kill -STOP "$replayer"
    sleep 0.1
    kill -CONT "$replayer"
    replayed 0
}
crowded() {
    local hogs=() hog
    for _ in 1 2 3 4; do
        taskset -c "$processor" bash -c 'while :; do :; done' &
        hogs+=($!)
    done
    expect 0 taskset -c "$processor" "$REPRISE" replay "$tmp/t.trace" --tier server \
        --http "$(at http)" -o "$tmp/x.run" --force --quiet
    for hog in "${hogs[@]}"; do kill "$hog"; wait "$hog" 2>/dev/null; done
    report
}
starved() {
    (ulimit -n 30 && exec "$REPRISE" replay "$tmp/t.trace" --tier server --http "$(at http)" \
        -o "$tmp/x.run" --force --quiet --connections 60) >"$tmp/out" 2>"$tmp/err"
    report
}

standin --service fixed:1ms
clean=0 troubled=0
kinds=(frozen crowded starved)
declare -A missed=([frozen]=0 [crowded]=0 [starved]=0)
for ((i = 0; i < runs; i++)); do
    replay 0
    flagged && { clean=$((clean + 1)); jq -c '[.health.causes[].text]' "$tmp/report"; }
    kind=${kinds[i % 3]}
    "$kind"
    if flagged; then troubled=$((troubled + 1)); else missed[$kind]=$((missed[$kind] + 1)); fi
done
end_server
echo "clean runs: $clean of $runs flagged"
echo "troubled runs: $troubled of $runs flagged; missed: frozen ${missed[frozen]}, crowded ${missed[crowded]}, starved ${missed[starved]}"
[ $((clean * 100)) -le "$runs" ] || fail "more than one clean run in a hundred was flagged"
[ $(((runs - troubled) * 100)) -le "$runs" ] || fail "more than one troubled run in a hundred was not"
finish
