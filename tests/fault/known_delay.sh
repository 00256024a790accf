#!/usr/bin/env bash
# The server delays each answer by a known time, from 20 to 100 ms; what is reported must be that
# within 1 %, or 50 us. The delay is injected and stamped by the server: from the return of the
# read() with a request's first byte to the write of its answer. Other programs on this machine
# delay both sides, so a run whose health is not VALID does not count; a VALID one must be right.
# alone: it judges times, or loads a processor (see run.sh)
source "$(dirname "$0")/lib.sh"
synth --rate 300 --count 1500 --arrivals poisson
known_delay() {
    standin --service modes:0.55=20ms,0.37=50ms,0.08=100ms --stamps "$tmp/stamps"
    replay 0
    end_server
    counts 1500 1500 1500 0
    truth
    # shellcheck disable=SC2016  # $s and $t are jq's
    holds_now --slurpfile t "$tmp/truth" '.latency_ns.service as $s | $t[0].service as $t |
        ["p50", "p90", "p99"] | all(. as $p | ($s[$p] - $t[$p] | fabs) <=
            ([0.01 * $t[$p], 50e3] | max))'
}
once_right healthy known_delay
finish
