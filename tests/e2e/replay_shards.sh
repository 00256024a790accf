#!/usr/bin/env bash
# Three shards that start at one instant send the whole trace once, and report takes them as one run.
source "$(dirname "$0")/../cli/lib.sh"

"$REPRISE" standin --tier rproxy --http 127.0.0.1:0 --grpc 127.0.0.1:0 \
    --ports "$tmp/ports" --service fixed:1ms >/dev/null 2>"$tmp/standin.err" &
pids+=($!)
await_ports
http=$(sed -n 's/^rproxy.http=//p' "$tmp/ports")

expect 0 "$REPRISE" synth -o "$tmp/t.trace" --model-type iris --rate 200 --count 301 \
    --duration 1h --protocol rest --quiet
replay() { "$REPRISE" replay "$tmp/t.trace" --tier rproxy --http "$http" --quiet "$@"; }

# All three have to be ready before the start; one that is not says that it is past.
for lead in 2 10 60; do
    at=$(date -u -d "+$lead seconds" +%Y-%m-%dT%H:%M:%SZ)
    shards=() statuses=
    for i in 0 1 2; do
        JOB_COMPLETION_INDEX=$i replay --shard auto/3 --start-at "$at" --label pair=1 \
            -o "$tmp/$i.run" --force 2>"$tmp/$i.err" &
        shards+=($!)
    done
    pids+=("${shards[@]}")
    for p in "${shards[@]}"; do wait "$p"; statuses+="$? "; done
    grep -q "is past: everything was ready" "$tmp"/[012].err || break
done
same "$statuses" "0 0 0 " "the shards: $(cat "$tmp"/[012].err)"

# The health is that of a shared machine: what was due and sent is the claim here.
"$REPRISE" report "$tmp"/[012].run --json >"$tmp/out"
same "$(jq -c '[.operations.due, .operations.ok]' "$tmp/out")" '[301,301]' "all three"
same "$(jq -r .schedule.start "$tmp/out" | cut -c1-19)Z" "$at" "the start"
same "$(jq -c '[.health.causes[] | select(.code == "missing" or
    (.code == "shards" and (.text | contains("missing"))))]' "$tmp/out")" '[]' "no cause"

expect 3 "$REPRISE" report "$tmp/0.run" "$tmp/2.run" --json
same "$(jq -r '.health.causes[] | select(.code == "shards") | .text' "$tmp/out")" \
    "2 of 3 shards are here; missing: 2/3" "without the second"
expect 64 "$REPRISE" report "$tmp/0.run" "$tmp/0.run"; err_has "is there twice"

expect 64 replay --start-at 2001-01-01T00:00:00Z -o "$tmp/past.run"; err_has "is past"
[ ! -e "$tmp/past.run" ] || fail "a start that was missed left a run"
expect 64 replay --shard 4/3 -o "$tmp/x.run"; err_has "numbered 1 to 3"
expect 64 replay --shard auto/3 -o "$tmp/x.run"; err_has "JOB_COMPLETION_INDEX"
finish
