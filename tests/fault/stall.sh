#!/usr/bin/env bash
# The server freezes for one second in six at 1,000/s. Who only counts what was sent sees nothing;
# what is reported from due must be within 2 % of the truth, which is made of the plan's due times
# and of the moments at which the server says its answers left; and all is sent. Other programs on
# this machine delay both sides, so a run whose health is not VALID does not count.
# alone: it judges times, or loads a processor (see run.sh)
source "$(dirname "$0")/lib.sh"
synth --rate 1000 --count 6000
stall() {
    standin --service fixed:1ms --stall 3s,1s --stamps "$tmp/stamps"
    replay 0 --connections 1024
    end_server
    counts 6000 6000 6000 0
    truth
    # A fifth of the plan lies between 0.8 and 1 s, whatever else: the stall was there.
    same "$(jq '.response.p90 > 0.3e9 and .response.p99 > 0.8e9' "$tmp/truth")" true "the stall"
    # shellcheck disable=SC2016  # $r and $t are jq's
    holds_now --slurpfile t "$tmp/truth" '.latency_ns.response as $r | $t[0].response as $t |
        ["p90", "p99"] | all(. as $p | ($r[$p] - $t[$p] | fabs) <= 0.02 * $t[$p])'
}
once_right healthy stall
finish
