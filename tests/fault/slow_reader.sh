#!/usr/bin/env bash
# A server that takes its requests in slowly, two connections for forty bodies of some 100 kB: the wait
# is told as back-pressure and as service time, never as lateness of our own; each goes out once.
source "$(dirname "$0")/lib.sh"
synth --rate 400 --count 40 --values random --batch 4096
peer http1 --fault slow-read
replay 0 --connections 2
end_server
counts 40 40 40 0
server_says '[.requests, .twice]' '[40,0]'
holds '.latency_ns.lateness.back_pressure.max > 500e6'
holds '.latency_ns.lateness.back_pressure.max > 4 * .latency_ns.lateness.generator.max'
holds '.latency_ns.service.p50 > 20e6'
finish
