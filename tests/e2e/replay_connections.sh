#!/usr/bin/env bash
# Recorded connections through a whole job: as many at the target as in the trace, of each
# protocol, each with its operations in order; the report says what was waited for.
source "$(dirname "$0")/../cli/lib.sh"
summary() { jq -c "$1" "$tmp/out"; }

expect 0 "$REPRISE" synth -o "$tmp/t.trace" --model-type iris --rate 1000 --count 500 \
    --duration 1h --protocol both --clients 7 --arrivals poisson --quiet
serve() {
    rm -f "$tmp/ports"
    "$REPRISE" standin --tier rproxy --http 127.0.0.1:0 --grpc 127.0.0.1:0 --ports "$tmp/ports" \
        --service fixed:10ms --stamps "$tmp/stamps" >/dev/null 2>"$tmp/standin.err" &
    pids=($!)
    await_ports
}
unserve() { kill "${pids[0]}"; wait "${pids[0]}" 2>/dev/null; pids=(); }
at() { sed -n "s/^$1=//p" "$tmp/ports"; }
replay() { # status options...
    local status=$1; shift
    expect "$status" "$REPRISE" replay "$tmp/t.trace" --tier rproxy --http "$(at rproxy.http)" \
        --grpc "$(at rproxy.grpc)" -o "$tmp/x.run" --force --quiet --json "$@"
}

# Status 3 is a machine that was too busy: what was waited for holds all the same.
report() { "$REPRISE" report "$tmp/x.run" "$@" >"$tmp/out" 2>"$tmp/err"; }

serve
replay 0 --connections recorded
same "$(summary '[.operations.due, .operations.ok]')" '[500,500]'
unserve
# Column 2 is the connection; HTTP codes are below 1000, gRPC codes are not.
connections() { awk -v low="$1" -v high="$2" '!/^#/ && $4 >= low && $4 < high {print $2}' \
    "$tmp/stamps" | sort -u | wc -l; }
same "$(connections 100 1000)" 7 "HTTP/1.1 connections"
same "$(connections 1000 2000)" 7 "HTTP/2 connections"
"$REPRISE" trace cat --jsonl "$tmp/x.run" >"$tmp/outcomes"
"$REPRISE" trace cat --jsonl "$tmp/t.trace" >"$tmp/operations"
jq -s -e '[.[] | select(.protocol == "rest")] | group_by(.connection) | map(sort_by(.op)
    | [.[:-1], .[1:]] | transpose | all(.[0].done_ns <= .[1].sent_ns)) | all' \
    "$tmp/outcomes" >/dev/null || fail "two requests at once, or out of order, on one connection"
same "$(jq -s -c 'sort_by(.op)[].connection' "$tmp/outcomes" | md5sum)" \
    "$(jq -c '.connection' "$tmp/operations" | md5sum)" "each on its own connection"
report
out_has "waited for  its own connection: "
report --json
same "$(summary '.waits.own.count > 50 and .waits.slot.count == 0 and .waits.connect.count >= 14')" \
    true "what was waited for"

# From a pool it is a free connection that is waited for.
serve
replay 0 --connections 2 --grpc-connections 1 --streams 2
report --json
same "$(summary '.waits.slot.count > 50 and .waits.own.count == 0')" true "from a pool"
# So it is with libcurl, which connects when it is asked to send: the first ones wait for that.
replay 0 --protocol rest --connections 2 --engine curl
report --json
same "$(summary '.waits.slot.count > 50 and .waits.own.count == 0 and .waits.connect.count >= 1')" true "by libcurl"
replay 0 --connections recorded --sessions --workers 2
same "$(summary '[.operations.due, .operations.ok, .discipline]')" '[500,500,"partly-open"]'

# A bound to the requests of a connection: none carries more, and each end has its cause.
bounded() { # options...
    unserve
    serve
    replay 0 --protocol rest --connections 2 --requests-per-connection 10 "$@"
    local due ended
    due=$(summary .operations.due)
    ended=$(summary .connections.ended[0].count)
    same "$(summary .operations.ok)" "$due" "answers with bounded connections"
    same "$(summary '.connections.ended | map(.cause)')" '["limit"]' "why connections ended"
    # Two at once: the last of each may not have been full.
    { [ "$ended" -ge $(((due - 19) / 10)) ] && [ "$ended" -le $((due / 10)) ]; } ||
        fail "$ended connections had their $due requests"
    expect 0 "$REPRISE" trace info "$tmp/x.run" --json
    same "$(summary '.notes["client.connection_ends"]')" "\"$ended: limit\""
    unserve
    same "$(awk '!/^#/ && $4 < 1000 {n[$2]++} END {for (c in n) if (n[c] > most) most = n[c]; print most}' \
        "$tmp/stamps")" 10 "requests on one connection"
    serve
}
bounded
bounded --engine curl

# Over gRPC the successor begins while the last calls are still under way.
unserve
serve
replay 0 --protocol grpc --grpc-connections 2 --streams 3 --requests-per-connection 10
same "$(summary .operations.ok)" "$(summary .operations.due)" "answers with bounded connections"
same "$(summary '.connections.ended | map(.cause)')" '["limit"]' "why connections ended"
[ "$(summary .connections.ended[0].count)" -ge $((($(summary .operations.due) - 19) / 10)) ] ||
    fail "connections went on for longer than they may"
unserve
same "$(awk '!/^#/ && $4 >= 1000 {n[$2]++} END {for (c in n) if (n[c] > most) most = n[c]; print most}' \
    "$tmp/stamps")" 10 "calls on one connection"
serve
replay 64 --requests-per-connection 0
err_has "--requests-per-connection must be more than 0"
replay 64 --requests-per-connection 5 --connections recorded
err_has "--requests-per-connection excludes"
replay 64 --requests-per-connection 5 --engine curl --http-version 2
err_has "--requests-per-connection excludes"

replay 64 --connections some
err_has "--connections 'some' is neither a number nor recorded"
replay 64 --connections recorded --closed-loop 3
err_has "--connections recorded excludes"
expect 0 "$REPRISE" synth -o "$tmp/none.trace" --model-type iris --count 3 --quiet
mv "$tmp/none.trace" "$tmp/t.trace"
replay 69 --connections recorded
err_has "the trace does not say which connection it came on"
unserve
finish
