#!/usr/bin/env bash
# reprise itself is frozen for a second: everything is sent all the same, late by our own fault,
# and the run is INVALID.
# alone: it judges times, or loads a processor (see run.sh)
source "$(dirname "$0")/lib.sh"
unset REPRISE_INVALID # the verdict decides the exit status
synth --rate 200 --count 500
standin --service fixed:1ms
start_replay --connections 64
await_outcomes 0
kill -STOP "$replayer"
sleep 1
kill -CONT "$replayer"
replayed 3
end_server
counts 500 500 500 0
# The pause is our own doing, though it made requests queue for connections. (But for the few
# behind a call whose answer came during the pause: when it came, nobody saw.)
holds '.latency_ns.lateness.generator.max > 0.9e9 and .latency_ns.lateness.generator.p90 > 0.5e9'
holds '.latency_ns.lateness | .back_pressure.p95 < .generator.p95 / 2'
unhealthy INVALID lateness
unhealthy INVALID lateness-share
finish
