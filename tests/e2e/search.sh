#!/usr/bin/env bash
# search finds a knee that is known: four workers of 10 ms answer 400 a second, so of N operations
# at rate r the p90 waits 0.9 N (1/400 - 1/r), which reaches the limit at a rate to be computed.
source "$(dirname "$0")/../cli/lib.sh"
summary() { jq -r "$1" "$tmp/out"; }

"$REPRISE" standin --tier server --http 127.0.0.1:0 --ports "$tmp/ports" --service fixed:10ms \
    --workers 4 >/dev/null 2>"$tmp/standin.err" &
pids+=($!)
for _ in $(seq 100); do [ -e "$tmp/ports" ] && break; sleep 0.1; done
http=$(sed -n 's/^server.http=//p' "$tmp/ports")
expect 0 "$REPRISE" synth -o "$tmp/t.trace" --model-type iris --rate 200 --count 300 \
    --duration 1h --quiet

"$REPRISE" search "$tmp/t.trace" --limit 'p90<50ms' --limit 'errors<1%' --start 2 --json \
    -o "$tmp/knee" -- --tier server --http "$http" --connections 200 >"$tmp/out" 2>"$tmp/err"
case $? in
0) ;;
3) # a machine that is too busy says nothing, and says so
    same "$(summary .outcome)" invalid
    [ -n "$(summary .reason)" ] || fail "no reason was given"
    finish ;;
*) fail "search failed"; cat "$tmp/err" ;;
esac
same "$(summary .schema)" reprise/search/1
same "$(summary '[.outcome, .confirmed, .error <= 0.05, (.probes | length) <= 12] | @json')" \
    '["found",true,true,true]'
# shellcheck disable=SC2016  # $knee is jq's
same "$(summary '(1 / (1/400 - 0.040/270)) as $knee | .within.rate / $knee | . > 0.95 and . < 1.05')" \
    true "knee at $(summary .within.rate)/s"
same "$(summary '.within.rate < .beyond.rate')" true
same "$(summary '.probes | length')" "$(find "$tmp/knee" -name '*.run' | wc -l)"
[ "$(grep -c '^search: probe' "$tmp/err")" = "$(summary '.probes | length')" ] ||
    fail "not a line for each probe"

# A limit that always holds, and one that never does.
few=(--probes 3 --quiet --probe-duration 300ms)
expect 2 "$REPRISE" search "$tmp/t.trace" --limit 'p90<10s' --start 4 --to 4 "${few[@]}" \
    -o "$tmp/a" -- --tier server --http "$http"
out_has "the limit holds up to the greatest speed"
expect 2 "$REPRISE" search "$tmp/t.trace" --limit 'p50<1us' --start 4 --from 4 "${few[@]}" \
    -o "$tmp/b" -- --tier server --http "$http"
out_has "does not hold even at the least speed"
# Too short a run for the quantile says nothing, twice.
expect 3 "$REPRISE" search "$tmp/t.trace" --limit 'p99.9<1s' --start 4 "${few[@]}" \
    -o "$tmp/c" -- --tier server --http "$http"
out_has "too few operations for p99.9"

expect 64 "$REPRISE" search "$tmp/t.trace" -- --http "$http"
err_has "--limit is missing"
expect 64 "$REPRISE" search "$tmp/t.trace" --limit 'p99<50' -- --http "$http"
err_has "--limit 'p99<50' is not"
expect 64 "$REPRISE" search "$tmp/t.trace" --limit 'p99<50ms' --from 2 -- --http "$http"
expect 64 "$REPRISE" search "$tmp/t.trace" --limit 'p99<50ms' -o "$tmp/knee" -- --http "$http"
err_has "holds probes already"
expect 64 "$REPRISE" search "$tmp/t.trace" --limit 'p99<50ms' -o "$tmp/d" --quiet -- --no-such
err_has "ended with exit status 64"
expect 74 "$REPRISE" search "$tmp/none.trace" --limit 'p99<50ms' -o "$tmp/e" -- --http "$http"
expect 69 "$REPRISE" search "$tmp/t.trace" --limit 'p99<50ms' -o "$tmp/f" -- --http 127.0.0.1:1
finish
