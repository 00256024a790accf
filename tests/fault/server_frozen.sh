#!/usr/bin/env bash
# The server's process is frozen (SIGSTOP) for a second: its doing, told as such. With enough
# connections every operation goes out on time and waits for its answer; with few, the wait is
# back-pressure; with a deadline, what was under way ends there. None is lost, ever.
# alone: it judges times, or loads a processor (see run.sh)
source "$(dirname "$0")/lib.sh"
synth --rate 200 --count 500
frozen() { # OPTION...
    standin --service fixed:1ms
    start_replay "$@"
    await_outcomes 0
    kill -STOP "$server"
    sleep 1
    kill -CONT "$server"
    replayed 0
    end_server
}
frozen --connections 400
counts 500 500 500 0
holds '.latency_ns.service.max > 0.8e9 and .latency_ns.lateness.back_pressure.max < 0.5e9'
holds '.latency_ns.response.p90 > 0.5e9'
holds '.latency_ns.lateness.generator.max < 0.5e9'

frozen --connections 4
counts 500 500 500 0
holds '.latency_ns.lateness.back_pressure.max > 0.8e9'
holds '.latency_ns.lateness.generator.max < 0.5e9'

frozen --connections 400 --deadline 300ms
says '.operations | [.due, .sent, .ok + .failed]' '[500,500,500]'
says '[.errors[].class]' '["deadline"]'
holds '.operations.failed > 50 and .operations.failed < 400'
holds '.latency_ns.response_ok.max < 1e9'
finish
