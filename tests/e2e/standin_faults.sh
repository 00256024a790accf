#!/usr/bin/env bash
# Faults that the stand-in counts are the failures that replay counts, one by one; and a stall
# is in the stamps. Nothing here depends on speed.
. "$(dirname "$0")/../cli/lib.sh"

start() { # OPTION...: envoy alone, on a free port, in $at
    "$REPRISE" standin --tier envoy --free-ports --ports "$tmp/ports" "$@" \
        >"$tmp/standin.out" 2>"$tmp/standin.err" &
    pid=$!
    pids+=("$pid")
    await_ports
    at=$(sed -n 's/^envoy.http=//p' "$tmp/ports")
}
stop() {
    kill -TERM "$pid"
    wait "$pid" || fail "the stand-in ended with $?"
    rm -f "$tmp/ports"
}
# A number behind these words in the stand-in's summary.
counted() { sed -n "s/.*$1 \([0-9]*\).*/\1/p" "$tmp/standin.err" | head -n 1; }
errors() { jq -r "[.errors[] | select(.class | test(\"$1\")) | .count] | add // 0" "$tmp/out"; }

expect 0 "$REPRISE" synth --model-type iris,tfsimple --rate 400 --duration 2s --protocol both -o "$tmp/t.trace"
# A deadline that a busy machine lets others miss, too, is longer the next time.
for deadline in 1s 5s 30s; do
    start --service fixed:1ms --error-rate 0.1 --close-rate 0.05 --garbage-rate 0.05 --never-rate 0.02 --seed 3
    expect 0 "$REPRISE" replay "$tmp/t.trace" --tier envoy --http "http://$at" --grpc "$at" --deadline $deadline --json -o "$tmp/a.run" -f
    stop
    [ "$(errors '^deadline$')" = "$(counted 'never')" ] && break
done
same "$(counted 'requests')" 800 "requests"
same "$(errors '^(http 503|grpc 14 UNAVAILABLE)$')" "$(counted 'errors')" "errors"
same "$(errors '^(closed|reset)$')" "$(counted 'closed')" "closed early"
same "$(errors '^garbage$')" "$(counted 'garbage')" "garbage"
same "$(errors '^deadline$')" "$(counted 'never')" "never answered"
same "$(errors .)" "$(jq -r .operations.failed "$tmp/out")" "failures in all"
[ "$(counted 'errors')" -gt 50 ] || fail "too few errors to prove anything: $(cat "$tmp/standin.err")"

# The same seed hits as many again, and another seed others.
start --service fixed:1ms --error-rate 0.1 --seed 3
expect 0 "$REPRISE" replay "$tmp/t.trace" --tier envoy --http "http://$at" --grpc "$at" --json -o "$tmp/b.run"
stop
first=$(counted 'errors')
start --service fixed:1ms --error-rate 0.1 --seed 3
expect 0 "$REPRISE" replay "$tmp/t.trace" --tier envoy --http "http://$at" --grpc "$at" --json -o "$tmp/c.run"
stop
same "$(counted 'errors')" "$first" "errors of the second run"

# Frozen for 0.2 s in every 0.5 s: each stall is stamped, and no stamp falls into one.
start --service fixed:1ms --stall 500ms,200ms --stamps "$tmp/stamps"
expect 0 "$REPRISE" replay "$tmp/t.trace" --tier envoy --http "http://$at" --grpc "$at" --json -o "$tmp/d.run"
stop
same "$(jq -r .operations.ok "$tmp/out")" 800 "answered in spite of the stalls"
awk '/^# stall/ { n++; from[n] = $3; until[n] = $4; if ($4 - $3 < 200000000) { print "stall of " $4 - $3 " ns"; bad = 1 } }
     !/^#/ { for (i = 1; i <= n; i++) if ($1 > from[i] && $1 < until[i]) { print "stamp within a stall: " $0; bad = 1 } }
     END { if (n < 3) { print n " stalls"; bad = 1 } exit bad }' "$tmp/stamps" || fail "stalls"
same "$(grep -vc '^#' "$tmp/stamps")" 800 "stamps"

finish
