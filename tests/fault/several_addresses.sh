#!/usr/bin/env bash
# A name with several addresses, of which one answers: that one is found, for a protocol that the trace uses at once and for one that
# comes late in it. In a network and with names of its own.
source "$(dirname "$0")/lib.sh"
own_namespace
printf '%s several\n' 127.0.0.5 127.0.0.6 127.0.0.7 >"$tmp/hosts"
mount --bind "$tmp/hosts" /etc/hosts || exit 77
# Which of them the look-up names first, and what is not that one.
first=$(getent ahostsv4 several | awk '{ print $1; exit }')
there=127.0.0.6
[ "$first" != "$there" ] || there=127.0.0.7
"$REPRISE" standin --tier server --http "$there:0" --grpc "$there:0" --ports "$tmp/ports" --quiet \
    >/dev/null 2>"$tmp/server.err" &
pids+=($!)
await_ports
http=several:$(at http | sed 's/.*://') grpc=several:$(at grpc | sed 's/.*://')

# More REST than is read before the start, then gRPC.
"$REPRISE" synth -o "$tmp/early.trace" --model-type iris --rate 40000 --count 40000 --duration 1h --protocol rest --quiet
"$REPRISE" synth -o "$tmp/late.trace" --model-type iris --rate 100 --count 20 --duration 1h --protocol grpc --quiet
"$REPRISE" trace export "$tmp/early.trace" --format jsonl -o "$tmp/all.jsonl"
"$REPRISE" trace export "$tmp/late.trace" --format jsonl -o - |
    jq -c 'select(.arrival_ns) | .arrival_ns += 2000000000 | del(.index)' >>"$tmp/all.jsonl"
expect 0 "$REPRISE" import jsonl "$tmp/all.jsonl" -o "$tmp/t.trace" --quiet

expect 0 "$REPRISE" replay "$tmp/t.trace" --tier server --http "$http" --grpc "$grpc" -o "$tmp/x.run" --quiet --json
same "$(jq -c '[.operations.due, .operations.ok, .connections.failed]' "$tmp/out")" \
    '[40020,40020,[]]' "operations"
finish
