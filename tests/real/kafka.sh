#!/usr/bin/env bash
# kafka.sh PROGRAM - captures the topics of a real Kafka broker (3.9, KRaft, one node), and replays
# into them.
#
# Requests, answers and an error go through the broker's own producer; what is captured
# must be all of it, joined, from the beginning, from a time, and live until a signal;
# over SASL with the right password, and not with a wrong one. What is replayed must be answered by
# the models behind the topics (the stand-in's), each operation by its own answer, also where the
# topics of answers come late; a broker that dies is an outcome. No consumer group may be
# left behind. Exit status as of check-real.sh; needs java and mvn.
set -u
program=$(realpath "$1")
# shellcheck source=servers.sh
. "$(dirname "${BASH_SOURCE[0]}")/servers.sh"

failures=0
fail() { echo "FAILED: kafka: $*"; failures=$((failures + 1)); }
leave() {
    local status=$?
    stop_servers
    [ "$status" -eq 0 ] && [ "$failures" -gt 0 ] && status=1
    [ "$status" -eq 0 ] || tail -n 15 "$run"/*.log
    rm -rf "$run"
    exit "$status"
}
trap leave EXIT
trap 'exit 130' INT TERM

# The broker's jars, in a folder that is named by what asks for them.
install_kafka() {
    local hash log=$parts_cache/kafka.log
    command -v java mvn >/dev/null || skip "Kafka needs java and mvn"
    hash=$(sha256sum "$real/kafka/pom.xml" | cut -c1-12)
    jars=$parts_cache/kafka-$hash
    mkdir -p "$parts_cache"
    exec {kafka_lock}>"$parts_cache/kafka.lock"
    flock "$kafka_lock"
    if [ ! -d "$jars" ]; then
        echo "check-real: installing kafka into $jars"
        rm -rf "$jars.tmp"
        if ! mvn -B -q -f "$real/kafka/pom.xml" \
            org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
            -DincludeScope=runtime -DoutputDirectory="$jars.tmp" >"$log" 2>&1; then
            tail -n 5 "$log" >&2
            grep -Eq 'Unknown host|Connection refused|timed out|Network is unreachable' "$log" &&
                skip "Maven's registry cannot be reached"
            die "mvn cannot install $real/kafka/pom.xml; its whole output is in $log"
        fi
        mv "$jars.tmp" "$jars"
    fi
    exec {kafka_lock}>&-
}

kafka_java=(java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1
    "-Dlog4j.configuration=file:$real/kafka/log4j.properties")

start_kafka() {
    local i
    read -r broker sasl controller < <("$python" "$real/ports.py" free 3 | tr '\n' ' ')
    cat >"$run/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$broker,SASL_PLAINTEXT://127.0.0.1:$sasl,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$broker,SASL_PLAINTEXT://127.0.0.1:$sasl
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=$run/data
num.partitions=3
offsets.topic.replication.factor=1
log.cleaner.dedupe.buffer.size=4194304
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="alice-pw";
PROPERTIES
    "${kafka_java[@]}" -cp "$jars/*" kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qg \
        -c "$run/server.properties" >"$run/format.log" 2>&1 || die "the broker's storage cannot be made"
    launch kafka "${kafka_java[@]}" -cp "$jars/*" kafka.Kafka "$run/server.properties"
    for ((i = 0; i < 900; i++)); do
        kill -0 "${server_pid[kafka]}" 2>/dev/null || die "the broker ended"
        grep -qs 'Kafka Server started' "$run/kafka.log" && break
        sleep 0.2
    done
    "$python" "$real/ports.py" owned "${server_pid[kafka]}" "$broker" "$sasl" ||
        die "the broker does not own its ports"
}

# produce TOPIC : lines "HEADER:VALUE,...;KEY|VALUE" from standard input.
produce() {
    "${kafka_java[@]}" -cp "$jars/*" kafka.tools.ConsoleProducer --bootstrap-server \
        "127.0.0.1:$broker" --topic "$1" --property parse.key=true --property 'key.separator=|' \
        --property parse.headers=true --property 'headers.delimiter=;' >"$run/produce.log" 2>&1 ||
        fail "the producer failed"
}
records() { # FIRST LAST MEMBER
    local i
    for ((i = $1; i <= $2; i++)); do
        echo "pipeline:iris,authorization:hush;0.iris.r$i|{\"$3\":[{\"name\":\"predict\",\"shape\":[1,4],\"datatype\":\"FP32\",\"data\":[5,3,1,$i]}]}"
    done
}

# capture STATUS OPTION... : the summary goes to $run/json.
capture() {
    local want=$1 got
    shift
    "$program" capture -f -o "$run/k.trace" --json -q "$@" >"$run/json" 2>"$run/capture.log"
    got=$?
    [ "$got" = "$want" ] || fail "exit $got, wanted $want: capture $* ($(head -n 1 "$run/capture.log"))"
}
holds() { # WHAT EXPRESSION
    [ "$(jq "$2" "$run/json")" = true ] || fail "$1: not true of its summary: $2"
}

install_kafka
start_kafka
records 1 10 inputs | produce seldon.default.model.iris.inputs
records 1 9 outputs | produce seldon.default.model.iris.outputs
echo 'pipeline:iris,seldon-pipeline-errors:iris;0.iris.r10|boom' | produce seldon.default.errors.errors

whole='.complete and .coverage == 1 and .operations == 10 and (.kafka | .inputs == 10 and
    .answered == 10 and .failed == 1 and .unmatched_answers == 0 and .create_time == 20)'
capture 0 --kafka "127.0.0.1:$broker" --from beginning --until end
holds beginning "$whole"
"$program" trace cat --jsonl "$run/k.trace" >"$run/jsonl" || fail "the trace cannot be read"
[ "$(jq -c '[.id, .status, (.body.text | fromjson | .inputs[0].data[3])]' "$run/jsonl" | sort)" = \
    "$(for i in 1 10 2 3 4 5 6 7 8 9; do echo "[\"r$i\",$((i == 10 ? 400 : 200)),$i]"; done | sort)" ] ||
    fail "ids, statuses and bodies are not what was produced"
grep -q hush "$run/jsonl" && fail "a credential is in the trace"
capture 0 --kafka "127.0.0.1:$broker" --from 1h --until end
holds "an hour ago" "$whole"
capture 0 --kafka "127.0.0.1:$broker" --from 2099-01-01T00:00:00Z --until end
holds "a time to come" '.operations == 0'

secure=(--kafka "127.0.0.1:$sasl" --from beginning --until end
    --kafka-option security.protocol=SASL_PLAINTEXT --kafka-option sasl.mechanism=PLAIN
    --kafka-option sasl.username=alice)
echo alice-pw >"$run/password"
capture 0 "${secure[@]}" --kafka-option "sasl.password=file:$run/password"
holds SASL "$whole"
export WRONG=not-hers
capture 69 "${secure[@]}" --kafka-option sasl.password=env:WRONG --kafka-timeout 3s
grep -q not-hers "$run/capture.log" && fail "a password was printed"

# await_that WHAT COMMAND...: at most three minutes.
await_that() {
    local what=$1 end=$((SECONDS + 180))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || { fail "waited three minutes for $what"; return; }
        sleep 0.1
    done
}
answers() { [ "$("$program" trace cat --jsonl "$1" 2>/dev/null | jq -s 'map(select(.status == 200)) | length')" = "$2" ]; }
# Asks once more, without an answer, until the capture has seen one: from then on it sees all.
asked=100
attends() {
    [ -s "$run/live.trace" ] && return
    asked=$((asked + 1))
    records "$asked" "$asked" inputs | produce seldon.default.model.iris.inputs
    sleep 0.5
    [ -s "$run/live.trace" ]
}

# Live: what comes after the start, until a signal.
"$program" capture --kafka "127.0.0.1:$broker" --from end -o "$run/live.trace" --flush 100ms -q \
    2>"$run/live.log" &
live=$!
await_that "the live capture" attends
records 11 15 inputs | produce seldon.default.model.iris.inputs
records 11 15 outputs | produce seldon.default.model.iris.outputs
await_that "five answers" answers "$run/live.trace" 5
kill -INT "$live"
wait "$live"
status=$?
[ "$status" = 130 ] || fail "live: exit $status, wanted 130"
"$program" trace info --json "$run/live.trace" >"$run/json" || fail "live: the trace cannot be read"
holds live '.complete and .operations > 5 and .notes["coverage.kafka.answered"] == "5"'
"$program" trace cat --jsonl "$run/live.trace" | jq -s 'map(select(.id).id) as $ids |
    ($ids | all(test("^r1([1-5]|[0-9][0-9])$"))) and (["r11", "r12", "r13", "r14", "r15"] - $ids == [])' >"$run/json"
holds "what came since the start, and nothing before" .

# --- replay ---

# gateway NAME MODEL: answers behind the topics of a model, from now on; its pid is $gateway.
gateway() {
    rm -f "$run/$1.ports"
    "$program" standin --tier kafka --kafka "127.0.0.1:$broker" --namespace real --models "$2" \
        --kafka-partitions 3 --service fixed:1ms --ports "$run/$1.ports" >/dev/null 2>"$run/$1.log" &
    gateway=$!
    await_that "the gateway $1" test -s "$run/$1.ports"
    sleep 3 # topics that it made get their leaders, and its consumer finds where they end
}
# replay STATUS NAME OPTION...
replay() {
    local want=$1 name=$2 got
    shift 2
    "$program" replay "$run/$name.trace" --tier kafka --namespace real -o "$run/r.run" --force \
        --invalid pass --json -q "$@" >"$run/json" 2>"$run/replay.log"
    got=$?
    [ "$got" = "$want" ] || fail "exit $got, wanted $want: replay $* ($(head -n 1 "$run/replay.log"))"
}
synth() { # NAME TYPE COUNT
    "$program" synth -o "$run/$1.trace" --force --model-type "$2" --rate 100 --count "$3" --duration 1h \
        --protocol both --values random --quiet || fail "synth"
}
synth iris iris 300
synth add add10 300
# The broker makes topics for its own producer; what is in them is older than any replay.
records 1 3 inputs | produce seldon.real.model.iris0.inputs
records 1 3 outputs | produce seldon.real.model.iris0.outputs
records 1 3 inputs | produce seldon.real.model.add100.inputs

gateway iris iris0=iris
replay 0 iris --kafka "127.0.0.1:$broker" --check model
answered='.operations.ok == 300 and .answers.right == 300 and (.kafka | .delivered == 300 and
    .answers == 300 and .undelivered + .answers_again + .answers_late + .records_of_others == 0)'
holds "replay" "$answered"
jq -r '"kafka: sent to acknowledged p50 \(.kafka.delivery_ns.p50 / 1e3) us; answered p50 \(
    .latency_ns.response.p50 / 1e6) ms; late p50 \(.latency_ns.lateness.generator.p50 / 1e3) us"' "$run/json"
secure=(--kafka "127.0.0.1:$sasl" --kafka-option security.protocol=SASL_PLAINTEXT
    --kafka-option sasl.mechanism=PLAIN --kafka-option sasl.username=alice)
replay 0 iris "${secure[@]}" --check model --kafka-option "sasl.password=file:$run/password"
holds "replay over SASL" "$answered"
replay 69 iris "${secure[@]}" --kafka-option sasl.password=env:WRONG --connect-timeout 3s
grep -q not-hers "$run/replay.log" && fail "a password was printed"
for keys in 2.8 2.7; do
    replay 0 iris --kafka "127.0.0.1:$broker" --check model --kafka-keys "$keys"
    holds "keys of $keys" "$answered"
done
kill "$gateway"

# Nobody answers at first, and the topics of answers are not there: they come with the gateway.
"$program" replay "$run/add.trace" --tier kafka --namespace real --kafka "127.0.0.1:$broker" --speed 0.2 \
    --deadline 2s --check model -o "$run/late.run" --force --invalid pass --json -q >"$run/json" \
    2>"$run/replay.log" &
late=$!
sleep 3
gateway add add100=add10
wait "$late" || fail "replay with late topics: exit $? ($(head -n 1 "$run/replay.log"))"
holds "topics that come late" '.kafka.topics_late >= 1 and .operations.ok > 100 and .operations.failed > 0 and
    .operations.ok + .operations.failed == 300 and .answers.wrong == 0'

# A broker that dies: what is under way and what follows are outcomes with a cause.
"$program" replay "$run/add.trace" --tier kafka --namespace real --kafka "127.0.0.1:$broker" \
    --deadline 1s -o "$run/died.run" --force --invalid pass --json -q >"$run/json" 2>"$run/replay.log" &
died=$!
sleep 1.5
kill -KILL "${server_pid[kafka]}"
wait "$died" || fail "the broker died: exit $? ($(head -n 1 "$run/replay.log"))"
holds "the broker died" '.operations.due == 300 and .operations.ok > 0 and .operations.failed > 0 and
    .operations.ok + .operations.failed == 300 and
    ([.errors[].class] - ["deadline", "reset", "connect"] == [])'
kill -KILL "$gateway" # it would wait for its broker

# Whoever joins a group or commits makes the broker keep a topic of offsets.
[ -d "$run/data/seldon.default.model.iris.inputs-0" ] || fail "the broker's data is not where it should be"
compgen -G "$run/data/__consumer_offsets-*" >/dev/null && fail "a group was joined"
[ "$failures" -eq 0 ] && echo "kafka: topics of a real broker captured, whole, live and over SASL, and replayed into"
exit 0
