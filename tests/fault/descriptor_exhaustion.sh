#!/usr/bin/env bash
# This process may hold thirty descriptors, and sixty connections are wanted: the run file is
# written all the same, what finds no descriptor is our own failure, and the run is INVALID.
source "$(dirname "$0")/lib.sh"
unset REPRISE_INVALID # the verdict decides the exit status
synth --rate 400 --count 100
standin --service fixed:600ms --log-requests "$tmp/log"
(
    ulimit -n 30
    exec "$REPRISE" replay "$tmp/t.trace" --tier "$tier" --http "$(at http)" -o "$tmp/x.run" \
        --connections 60 --quiet
) >"$tmp/out" 2>"$tmp/err"
same "$?" 3 "exit status: $(head -n 5 "$tmp/err")"
end_server
report
says '.operations | [.due, .ok + .failed, .dropped, .refused, .stopped]' '[100,100,0,0,0]'
holds '.operations.ok > 5 and .operations.failed > 0'
says '[.errors[].class]' '["connect"]'
same "$(jq .operations.ok "$tmp/report")" "$(wc -l <"$tmp/log")" "the server saw what was answered"
unhealthy INVALID client-errors
finish
