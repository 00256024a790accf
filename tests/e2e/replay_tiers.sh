#!/usr/bin/env bash
# Every tier of the stand-in is replayed against over both protocols: nothing is lost, and
# every answer is the one that its model must give.
source "$(dirname "$0")/../cli/lib.sh"

"$REPRISE" standin --all --free-ports --ports "$tmp/ports" --service fixed:200us \
    >/dev/null 2>"$tmp/standin.err" &
pids+=($!)
await_ports
at() { sed -n "s/^$1=//p" "$tmp/ports"; }
summary() { jq -c "$1" "$tmp/out"; }

expect 0 "$REPRISE" synth -o "$tmp/models.trace" --model-type iris,tfsimple,add10,echo \
    --rate 1000 --count 1000 --duration 1h --protocol both --values random --seed 3 --quiet
expect 0 "$REPRISE" synth -o "$tmp/pipes.trace" --model-type iris --pipeline \
    --rate 500 --count 200 --duration 1h --protocol both --quiet

replay() { # status trace tier options...
    local status=$1 trace=$2 tier=$3; shift 3
    expect "$status" "$REPRISE" replay "$tmp/$trace.trace" --tier "$tier" \
        --http "$(at "$tier.http")" --grpc "$(at "$tier.grpc")" \
        -o "$tmp/x.run" --force --quiet --json --check-answers "$@"
}

for tier in envoy rproxy server modelgateway; do
    replay 0 models "$tier"
    same "$(summary '[.operations.due, .operations.sent, .operations.ok, .operations.wrong]')" \
        '[1000,1000,1000,0]' "$tier"
done

# One address is enough for envoy, which tells the protocols apart.
expect 0 "$REPRISE" replay "$tmp/models.trace" --http "http://$(at envoy.http)/" \
    -o "$tmp/x.run" --force --quiet --json
same "$(summary .operations.ok)" 1000 "envoy at one address"

for tier in envoy pipelinegateway; do
    replay 0 pipes "$tier"
    same "$(summary '[.operations.due, .operations.ok]')" '[200,200]' "pipelines at $tier"
done
# What a tier cannot express is refused, one outcome each, and nothing is sent.
replay 69 pipes server
same "$(summary '[.operations.due, .operations.sent, .operations.refused]')" '[200,0,200]'
err_has "a pipeline can be called at envoy, pipelinegateway and kafka only"

# Internal names carry the version: with a wrong one the server knows no such model.
replay 0 models server --model-version 2
same "$(summary '[.operations.sent, .operations.ok]')" '[1000,0]' "wrong version"
same "$(summary '[.errors[].class] | sort')" '["grpc 5 NOT_FOUND","http 404"]'
replay 0 models server --model-version 2 --internal-version iris0=1
same "$(summary '.operations.ok > 0 and .operations.failed > 0')" true "one version listed"

# The same through a pipe, with several workers, at another speed, of one protocol.
"$REPRISE" replay - --tier server --http "$(at server.http)" --grpc "$(at server.grpc)" \
    -o - --quiet --workers 3 --speed 2.5 <"$tmp/models.trace" >"$tmp/piped.run" ||
    fail "replay from a pipe to a pipe"
[ -s "$tmp/piped.run" ] || fail "no run came out of the pipe"
replay 0 models server --protocol rest
rest=$(summary .operations.due)
replay 0 models server --protocol grpc
same "$((rest + $(summary .operations.due)))" 1000 "protocols add up"
replay 0 models server --closed-loop 5
same "$(summary '[.operations.due, .operations.ok]')" '[1000,1000]' "closed loop"
finish
