#!/usr/bin/env bash
# A broker of Kafka that stands still for a second, and one that is killed in the middle: every
# operation that was due has an outcome with its cause, and the answers that come once the broker
# goes on are counted as what they are.
source "$(dirname "$0")/lib.sh"
synth --rate 100 --count 400 --protocol both

broker() {
    rm -f "$tmp/ports"
    "$REPRISE" standin --tier kafka --model-type iris --ports "$tmp/ports" --quiet \
        >/dev/null 2>"$tmp/server.err" &
    server=$!
    pids+=("$server")
    await_ports
}
start_replay() { # OPTION...
    rm -f "$tmp/x.run"
    "$REPRISE" replay "$tmp/t.trace" --tier kafka --kafka "$(sed -n 's/^kafka.brokers=//p' "$tmp/ports")" \
        --kafka-option fetch.wait.max.ms=5 -o "$tmp/x.run" --force --quiet --json "$@" \
        >"$tmp/out" 2>"$tmp/err" &
    replayer=$!
    pids+=("$replayer")
    wait_for "outcomes in x.run" holds_outcomes "$tmp/x.run" 20
}
# A replay in whose middle the broker is stopped, and not by chance after its end.
stop_amid() { # OPTION...
    for _ in 1 2 3 4 5; do
        start_replay "$@"
        kill -STOP "$server"
        sleep 0.2
        kill -0 "$replayer" 2>/dev/null && return
        kill -CONT "$server"
        wait "$replayer"
    done
    fail "the replay was over before its broker could be stopped, five times"
}
stand_still() { # OPTION...
    stop_amid "$@"
    sleep 1
    kill -CONT "$server"
    wait "$replayer"
}
says() { same "$(jq -c "$1" "$tmp/out")" "$2" "$3"; }

# Frozen: what is due meanwhile is handed to librdkafka at its time, and answered afterwards.
broker
stand_still --deadline 20s
same "$?" 0 "a frozen broker"
says '.operations | [.due, .sent, .ok]' '[400,400,400]' "a frozen broker"
says '[.latency_ns.response.max > 9e8, .kafka.delivered, .kafka.answers_late]' '[true,400,0]' "a frozen broker"

# Frozen for longer than the deadline: those answers are late, and no operation's.
stand_still --deadline 300ms
same "$?" 0 "beyond the deadline"
says '.operations | [.due, .ok + .failed, .failed > 0]' '[400,400,true]' "beyond the deadline"
says '[.errors[].class] - ["deadline", "reset", "connect"]' '[]' "beyond the deadline"
says '.kafka.answers_late <= .operations.failed and .kafka.answers_again == 0' true "beyond the deadline"

# Killed: nothing hangs, and each that found no broker has a cause.
stop_amid --deadline 500ms
kill -KILL "$server"
wait "$server" 2>/dev/null
wait "$replayer"
same "$?" 0 "a killed broker"
says '.operations | [.due, .ok + .failed, .ok > 0, .failed > 0]' '[400,400,true,true]' "a killed broker"
says '[.errors[].class] - ["deadline", "reset", "connect"]' '[]' "a killed broker"
says '.kafka.delivered + .kafka.undelivered' 400 "a killed broker"
says '.connections.failed | length > 0' true "a killed broker"
finish
