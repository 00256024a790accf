#!/usr/bin/env bash
# A server that takes its requests in slowly, two connections for forty bodies of some 60 kB: the wait
# is told as back-pressure and as service time, never as lateness of our own; each goes out once.
# alone: it judges times (see run.sh)
source "$(dirname "$0")/lib.sh"
synth --rate 400 --count 40 --values random --batch 4096
slow_reader() {
    peer http1 --fault slow-read
    replay 0 --connections 2
    end_server
    counts 40 40 40 0
    server_says '[.requests, .twice]' '[40,0]'
    holds '.latency_ns.service.p50 > 40e6'
    holds_now '.latency_ns.lateness | .back_pressure.max > 500e6 and .generator.max < 0.1 * .back_pressure.max'
}
once_right left_alone slow_reader
finish
