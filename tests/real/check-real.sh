#!/usr/bin/env bash
# check-real.sh PROGRAM - replays traces against real Envoy, MLServer and Triton.
#
# For tier server (MLServer, Triton) and tier envoy (both behind it): a trace of random
# values over REST and gRPC is replayed, every operation must be answered, every answer
# must be right (sums, echoes and classes are checked), and the servers' own counters must
# agree on how many requests came. Then what these servers do to a client: MLServer closes
# idle connections after five seconds, and streams; Envoy answers an unknown model with an error and a
# closed connection; 12 MiB both ways; calls that are never answered; bounded connections. Then the topics of a real Kafka broker are captured (kafka.sh). Rates are what the servers hold on two busy cores; health is printed
# but does not decide, since it judges the machine.
#
# Exit status 0: all passed; 77: skipped, because this machine cannot get the servers
# (REPRISE_REQUIRE_REAL=1 turns that into 1).
set -u
program=$(realpath "$1")
# shellcheck source=servers.sh
. "$(dirname "${BASH_SOURCE[0]}")/servers.sh"

failures=0
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }

leave() {
    local status=$?
    stop_servers
    [ "$status" -eq 0 ] && [ "$failures" -gt 0 ] && status=1
    if [ "$status" -eq 0 ]; then
        rm -rf "$run"
    else
        for log in "$run"/*.log; do
            echo "--- the end of $log"
            tail -n 15 "$log"
        done
        echo "check-real: what was used and written is kept in $run"
    fi
    exit "$status"
}
trap leave EXIT
trap 'exit 130' INT TERM
install_parts

types=iris,tfsimple,add10,echo

# must COMMAND... : runs it; its output is shown only when it fails.
must() {
    "$@" >"$run/out" 2>&1 </dev/null && return 0
    fail "exit $?: $*"
    head -n 40 "$run/out" | sed 's/^/    /'
    return 1
}

# holds FILE WHAT EXPRESSION : EXPRESSION is true of the JSON in FILE.
holds() {
    [ "$(jq "$3" "$1")" = true ] && return 0 # jq -e would be content with an empty file
    fail "$2: not true of its report: $3"
    jq -c '{operations, errors, health}' "$1"
}

# --- the servers' own word ----------------------------------------------------------------

# Sums the samples of a metric, whatever their labels.
metric() { # URL NAME
    curl -s -m 60 "$1" | awk -v name="$2" 'index($1, name "{") == 1 { n += $2 } END { printf "%d\n", n }'
}
mlserver_count() {
    metric "http://127.0.0.1:${mlserver_ports[2]}/metrics" model_infer_request_success_total
}
triton_count() {
    metric "http://127.0.0.1:${triton_ports[2]}/metrics" nv_inference_request_success
}
envoy_count() {
    curl -s -m 60 "http://127.0.0.1:${envoy_ports[1]}/stats?filter=seldon_http.downstream_rq_total" |
        awk '{ n += $2 } END { printf "%d\n", n }'
}

# counted COUNTER BEFORE WANTED: how many it counted since then, once that is as many as wanted: a
# server counts a request when it has answered it, or a little later. More are told at once.
counted() {
    local count end=$((SECONDS + 60))
    until count=$(($("$1") - $2)) && [[ $count -ge $3 || $SECONDS -ge $end ]]; do sleep 0.2; done
    echo "$count"
}

# One question with a known answer to each model, so that a check that passes means
# something: setosa is class 0, virginica 2.
probe() { # NAME PORT
    local model body want got
    while IFS='|' read -r model body want; do
        got=$(curl -s -m 60 -H 'content-type: application/json' -d "{\"inputs\":[$body]}" \
            "http://127.0.0.1:$2/v2/models/${model}_1/infer")
        [ "$(jq "[.outputs[].data] == $want" <<<"$got")" = true ] ||
            fail "$1: $model answered '$got', wanted the data $want"
    done <<'EOF'
iris|{"name":"predict","shape":[2,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2,6.3,3.3,6.0,2.5]}|[[0,2]]
add10|{"name":"INPUT","shape":[4],"datatype":"FP32","data":[0,1,2,-3.5]}|[[10,11,12,6.5]]
echo|{"name":"predict","shape":[1],"datatype":"BYTES","data":["hello"]}|[["hello"]]
tfsimple|{"name":"INPUT0","shape":[1,16],"datatype":"INT32","data":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]},{"name":"INPUT1","shape":[1,16],"datatype":"INT32","data":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}|[[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16],[-1,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14]]
EOF
}

# --- replays ------------------------------------------------------------------------------

# one_run NAME TIER REST GRPC OPTION... : replays $run/NAME.trace, its report as JSON goes to
# $run/NAME.json. A wrong answer makes replay fail.
one_run() {
    local name=$1 tier=$2 rest=$3 grpc=$4
    shift 4
    must "$program" replay "$run/$name.trace" --tier "$tier" --http "http://127.0.0.1:$rest" \
        --grpc "127.0.0.1:$grpc" --deadline 60s --quiet --invalid=pass -o "$run/$name.run" "$@" || return
    "$program" report "$run/$name.run" --json >"$run/$name.json" 2>"$run/out"
    case $? in
    0 | 3) ;; # 3: the machine was too busy for its times to be believed; answers still count
    *) fail "report of $name"; cat "$run/out"; return 1 ;;
    esac
}

# replays NAME TIER REST GRPC COUNTER SYNTH-OPTION... [--replay OPTION...] : all answered, all right.
replays() {
    local name=$1 tier=$2 rest=$3 grpc=$4 counter=$5 report=$run/$1.json before count right
    local options=()
    shift 5
    while [ $# -gt 0 ] && [ "$1" != --replay ]; do options+=("$1") && shift; done
    [ $# -eq 0 ] || shift
    must "$program" synth -o "$run/$name.trace" --model-type "$types" --model-name "$types" \
        --protocol both --values random "${options[@]}" || return
    before=$("$counter")
    one_run "$name" "$tier" "$rest" "$grpc" --check-answers "$@" || return
    count=$(jq .trace.operations "$report")
    # shellcheck disable=SC2016  # $n is jq's
    holds "$report" "$name" '.trace.operations as $n | $n > 0 and (.operations |
        .due == $n and .sent == $n and .done == $n and .ok == $n and
        .failed == 0 and .dropped == 0 and .refused == 0)'
    holds "$report" "$name" '.errors == []'
    holds "$report" "$name" '[.cells[].protocol] | unique == ["grpc", "rest"]'
    [ "$(jq -c '[.cells[].model] | unique' "$report")" = "$("$program" trace info \
        "$run/$name.trace" --json | jq -c '[.models[].name] | unique')" ] ||
        fail "$name: the models of the report are not those of the trace"
    right=$("$program" trace info "$run/$name.run" --json | jq -r '.notes["check.right"]')
    [ "$right" = "$count" ] || fail "$name: $right of $count answers were found right"
    count=$(($(counted "$counter" "$before" "$count") - count))
    [ "$count" -eq 0 ] || fail "$name: the server counted $count requests more than were sent"
    iris_classes "$name"
    summary "$name" "$report"
}

# Runs too short to hold an iris operation of each protocol are not asked.
iris_classes() { # NAME
    [ "$(jq '[.cells[] | select(.model == "iris") | .operations.due] | min // 0' "$run/$1.json")" -ge 10 ] || return
    "$program" trace cat "$run/$1.trace" --jsonl >"$run/$1.trace.jsonl"
    "$program" trace cat "$run/$1.run" --jsonl >"$run/$1.run.jsonl"
    must "$python" "$real/iris_classes.py" "$run/$1.trace.jsonl" "$run/$1.run.jsonl" \
        "$run/mlserver/iris.json" && echo "$1: iris classes of $(cat "$run/out") answers are the model's own"
}

summary() { # NAME REPORT
    jq -r --arg name "$1" 'def ms: if . == null then "-" else "\(. / 1e4 | round / 100) ms" end;
        "\($name): \(.operations.ok) of \(.operations.due) answered right, " +
        "p50 \(.latency_ns.response.p50 | ms), p99 \(.latency_ns.response.p99 | ms); " +
        "health \(.health.verdict)"' "$2"
}

# Envoy has no route for a model that nobody loaded: 404 with "connection: close", gRPC
# UNIMPLEMENTED. Each is an outcome; none is lost to the closed connections.
unknown_model() {
    local report=$run/unknown.json
    must "$program" synth -o "$run/unknown.trace" --model-type iris --model-name nobody \
        --protocol both --rate 30 --duration 4s --arrivals poisson --seed 5 || return
    one_run unknown envoy "${envoy_ports[0]}" "${envoy_ports[0]}" || return
    holds "$report" unknown '.operations | .due > 0 and .done == .due and .failed == .due'
    holds "$report" unknown '.errors | map(.class) | sort == ["grpc 12 UNIMPLEMENTED", "http 404"]'
    holds "$report" unknown '(.errors | map(.count) | add) == .operations.due'
    # Each 404 ended its connection, and nothing was sent a second time for that.
    # shellcheck disable=SC2016  # $n is jq's
    holds "$report" unknown '(.errors[] | select(.class == "http 404") | .count) as $n |
        .connections.ended == [{"cause": "answer", "count": $n}] and .connections.retries == 0'
    jq -r '"unknown: \(.operations.due) operations, " +
        (.errors | map("\(.count) × \(.class)") | join(", "))' "$report"
}

# MLServer streams: three answers to each request, 40 ms apart, as events and as messages of
# ModelStreamInfer, whose requests are two messages 50 ms apart. Each is right, and none
# comes before its time.
streams() {
    local report=$run/streams.json
    must "$program" synth -o "$run/plain.trace" --model-type echo --protocol both --rate 10 \
        --duration 3s --arrivals poisson --seed 7 || return
    "$program" trace export "$run/plain.trace" --format jsonl -o "$run/plain.jsonl" &&
        "$python" "$real/../e2e/as_streams.py" drip 50 <"$run/plain.jsonl" >"$run/streams.jsonl" &&
        must "$program" import jsonl "$run/streams.jsonl" -o "$run/streams.trace" || return
    one_run streams server "${mlserver_ports[0]}" "${mlserver_ports[1]}" --check model || return
    holds "$report" streams '.operations | .due > 10 and .ok == .due'
    "$program" trace cat "$run/streams.run" --jsonl >"$run/streams.run.jsonl"
    jq -e -s 'length > 0 and all(.check == "right" and (.messages | length) == (if .protocol == "rest" then 3 else 6 end))' \
        "$run/streams.run.jsonl" >/dev/null || fail "streams: messages are missing, or not right"
    jq -e -s 'all(.messages[2][0] >= 120e6) and
        all(select(.protocol == "grpc") | .messages[5][0] >= 240e6)' \
        "$run/streams.run.jsonl" >/dev/null || fail "streams: a message came before it was made"
    jq -r 'def ms: if . == null then "-" else "\(. / 1e4 | round / 100) ms" end;
        "streams: \(.operations.ok) of \(.operations.due) answered right, " +
        "first message p50 \(.latency_ns.first_message.p50 | ms), gap p50 \(.latency_ns.message_gap.p50 | ms)"' "$report"
}

# Triton's decoupled models answer a request with any number of messages, each in a wrapper. Asked
# for it, it says behind the last that it was the last. An error comes in the stream, which ends well:
# that answer is wrong.
decoupled() {
    local report=$run/decoupled.json what
    must "$program" trace filter "$run/plain.trace" --protocol grpc -o "$run/calls.trace" &&
        "$program" trace export "$run/calls.trace" --format jsonl -o "$run/calls.jsonl" || return
    for what in plain final; do
        "$python" "$real/../e2e/as_streams.py" drip 50 "$what" <"$run/calls.jsonl" >"$run/decoupled.jsonl"
        must "$program" import jsonl "$run/decoupled.jsonl" --force -o "$run/decoupled.trace" || return
        one_run decoupled server "${triton_ports[0]}" "${triton_ports[1]}" --check model --force || return
        holds "$report" decoupled '.operations | .due > 5 and .ok == .due'
        "$program" trace cat "$run/decoupled.run" --jsonl >"$run/decoupled.run.jsonl"
        jq -e -s --argjson n "$([ "$what" = final ] && echo 8 || echo 6)" \
            'length > 0 and all(.check == "right" and (.messages | length) == $n and .messages[-1][0] >= 240e6)' \
            "$run/decoupled.run.jsonl" >/dev/null || {
            fail "decoupled, $what: messages are missing, too early, or not right"
            jq -c '[.check, .messages]' "$run/decoupled.run.jsonl" | head -n 3
        }
    done
    "$python" "$real/../e2e/as_streams.py" drip 50 error <"$run/calls.jsonl" >"$run/errors.jsonl"
    must "$program" import jsonl "$run/errors.jsonl" -o "$run/errors.trace" || return
    "$program" replay "$run/errors.trace" --tier server --grpc "127.0.0.1:${triton_ports[1]}" --deadline 60s \
        --quiet --invalid=pass --check model -o "$run/errors.run" >"$run/out" 2>&1
    [ $? -eq 3 ] || { fail "decoupled: an error in a stream is not a wrong answer"; cat "$run/out"; }
    "$program" trace cat "$run/errors.run" --jsonl |
        jq -e -s 'length > 0 and all(.cause == "ok" and .check == "wrong" and (.messages | length) == 4)' >/dev/null ||
        fail "decoupled: errors in streams are not seen"
    jq -r 'def ms: if . == null then "-" else "\(. / 1e4 | round / 100) ms" end;
        "decoupled: \(.operations.ok) of \(.operations.due) answered right, " +
        "first message p50 \(.latency_ns.first_message.p50 | ms)"' "$report"
}

# A server that ended: Envoy retries five times and answers 503 after some seconds; gRPC is
# UNAVAILABLE. Slow, but outcomes.
upstream_gone() {
    local report=$run/gone.json
    must "$program" synth -o "$run/gone.trace" --model-type add10 --model-name add10 \
        --protocol both --rate 4 --duration 1s --seed 6 || return
    one_run gone envoy "${envoy_ports[0]}" "${envoy_ports[0]}" || return
    holds "$report" gone '.operations | .due == 4 and .done == 4 and .failed == 4'
    holds "$report" gone '.errors | map(.class) | sort == ["grpc 14 UNAVAILABLE", "http 503"]'
    jq -r '"gone: \(.operations.due) operations, " +
        (.errors | map("\(.count) × \(.class)") | join(", "))' "$report"
}

# Forty connections, left alone for the five seconds after which MLServer closes them, and used
# just then: whatever the close meets, nothing is processed twice, and what is sent again says so.
idle_race() {
    local report=$run/race.json before count ok
    # shellcheck disable=SC2016  # $i is jq's
    jq -nc 'range(80) as $i | {
        arrival_ns: (if $i < 40 then 0 else 4990000000 + ($i - 40) * 2500000 end),
        protocol: "rest", tier: "server", name: "echo", model_type: "echo", method: "POST",
        path: "/v2/models/echo/infer", content_type: "application/json",
        body: {text: ({inputs: [{name: "predict", shape: [1], datatype: "BYTES", data: ["text \($i)"]}]} | tojson)}
    }' >"$run/race.jsonl"
    must "$program" import jsonl "$run/race.jsonl" -o "$run/race.trace" || return
    before=$(mlserver_count)
    one_run race server "${mlserver_ports[0]}" "${mlserver_ports[1]}" --connections 40 --check model || return
    ok=$(jq .operations.ok "$report")
    count=$(counted mlserver_count "$before" "$ok")
    holds "$report" race '.operations | .due == 80 and .sent == 80 and .done == 80'
    holds "$report" race '[.errors[].class] - ["closed", "reset"] == []'
    [[ $count -ge $ok && $count -le 80 ]] ||
        fail "race: the server processed $count, of 80 requests of which $ok were answered"
    "$program" trace cat "$run/race.run" --jsonl >"$run/race.run.jsonl"
    [ "$(jq -s 'map(select(.attempts > 1)) | length' "$run/race.run.jsonl")" = "$(jq .connections.retries "$report")" ] ||
        fail "race: retries are not in their outcomes"
    jq -r '"race: \(.operations.ok) of \(.operations.due) answered, \(.connections.retries) sent again, connections ended: " +
        (.connections.ended | map("\(.count) \(.cause)") | join(", "))' "$report"
}

# Messages of 12 MiB, there and back, each right to the last byte.
large() { # NAME TIER REST GRPC
    local name=large-$1 report=$run/large-$1.json
    cp "$run/large.trace" "$run/$name.trace"
    one_run "$name" "$2" "$3" "$4" --deadline 60s --check model || return
    holds "$report" "$name" '.operations | .due == 4 and .sent == 4 and .ok == 4'
    [ "$("$program" trace cat "$run/$name.run" --jsonl |
        jq -s 'map(select(.bytes_out >= 12 * 1048576 and .bytes_in >= 12 * 1048576 and .attempts == 1 and
            .check == "right")) | length')" = 4 ] || fail "$name: not all of them there and back, and right"
    summary "$name" "$report"
}

# Every fifth is never answered: an outcome at its deadline, which is longer the next time where a busy machine
# lets others miss it, too. gRPC goes on over the one connection that there is; over HTTP/1.1 such a request costs
# its connection, and no other.
never_answered() {
    local report=$run/mute.json deadline
    must "$program" synth -o "$run/talk.trace" --model-type echo --model-name echo --protocol both --rate 20 --duration 4s \
        --seed 8 || return
    "$program" trace export "$run/talk.trace" --format jsonl -o "$run/talk.jsonl" &&
        jq -c 'if .protocol and input_line_number % 5 == 0 then .name = "mute" else . end' "$run/talk.jsonl" >"$run/mute.jsonl" &&
        must "$program" import jsonl "$run/mute.jsonl" -o "$run/mute.trace" || return
    for deadline in 2s 8s 32s; do
        one_run mute server "${mlserver_ports[0]}" "${mlserver_ports[1]}" --deadline $deadline --grpc-connections 1 \
            --check model --force || return
        [ "$(jq '[.cells[] | select(.model == "echo") | .operations.ok == .operations.due] | all' "$report")" = true ] && break
    done
    holds "$report" mute '.operations | .due > 60 and .sent == .due and .done == .due'
    holds "$report" mute '[.cells[] | {m: .model, all: .operations.due, ok: .operations.ok}] |
        (map(select(.m == "echo")) | length == 2 and all(.ok == .all)) and
        (map(select(.m == "mute")) | length == 2 and all(.ok == 0))'
    # The server may be the first to say that the time is over.
    holds "$report" mute '[.errors[].class] | all(. == "deadline" or . == "grpc 4 DEADLINE_EXCEEDED")'
    # shellcheck disable=SC2016  # $n is jq's
    holds "$report" mute '(.cells[] | select(.model == "mute" and .protocol == "rest") | .operations.due) as $n |
        .connections.ended == [{"cause": "given-up", "count": $n}]'
    jq -r '"mute: \(.operations.due) operations, \(.operations.ok) answered, " +
        (.errors | map("\(.count) × \(.class)") | join(", "))' "$report"
}

# Connections of seven requests each: none is lost or sent twice where they change.
bounded() { # NAME TIER REST GRPC COUNTER
    local name=bounded-$1 report=$run/bounded-$1.json
    replays "$name" "$2" "$3" "$4" "$5" --rate 80 --duration 3s --seed 9 --replay \
        --connections 3 --grpc-connections 2 --requests-per-connection 7 || return
    # The last of each three need not have been full. gRPC's come on top.
    # shellcheck disable=SC2016  # $n is jq's
    holds "$report" "$name" '(.connections.ended | map(select(.cause == "limit") | .count) | add) as $n |
        (.cells | map(select(.protocol == "rest") | .operations.due) | add) as $rest |
        $n >= ($rest - 18) / 7 and .connections.retries == 0'
}

start mlserver 3
start triton 3
start envoy 2
probe mlserver "${mlserver_ports[0]}"
probe triton "${triton_ports[0]}"

poisson=(--arrivals poisson)
replays server-mlserver server "${mlserver_ports[0]}" "${mlserver_ports[1]}" mlserver_count \
    --rate 60 --duration 10s "${poisson[@]}" --seed 1
replays server-triton server "${triton_ports[0]}" "${triton_ports[1]}" triton_count \
    --rate 300 --duration 8s "${poisson[@]}" --seed 2
replays envoy envoy "${envoy_ports[0]}" "${envoy_ports[0]}" envoy_count \
    --rate 100 --duration 8s "${poisson[@]}" --seed 3
# Eight seconds between any two operations: every REST connection is closed in between. (A server that is held
# up for three of them gets more time.)
# shellcheck disable=SC2016  # $rest is jq's
each_idle='(.cells | map(select(.protocol == "rest") | .operations.due) | add) as $rest |
    $rest > 1 and (.connections.ended | map(select(.cause == "idle") | .count) | add >= $rest - 1)'
idle() { # NAME RATE DURATION
    replays "$1" server "${mlserver_ports[0]}" "${mlserver_ports[1]}" mlserver_count \
        --rate "$2" --duration "$3" --arrivals constant --seed 2
}
idle idle 0.125 17s
[ "$(jq "$each_idle" "$run/idle.json")" = true ] || { idle idle-long 0.05 45s; holds "$run/idle-long.json" idle "$each_idle"; }
idle_race
must "$python" "$real/large_trace.py" $((12 * 1048576)) 2 && mv "$run/out" "$run/large.jsonl" &&
    must "$program" import jsonl "$run/large.jsonl" -o "$run/large.trace"
large mlserver server "${mlserver_ports[0]}" "${mlserver_ports[1]}"
large triton server "${triton_ports[0]}" "${triton_ports[1]}"
large envoy envoy "${envoy_ports[0]}" "${envoy_ports[0]}"
bounded mlserver server "${mlserver_ports[0]}" "${mlserver_ports[1]}" mlserver_count
bounded triton server "${triton_ports[0]}" "${triton_ports[1]}" triton_count
bounded envoy envoy "${envoy_ports[0]}" "${envoy_ports[0]}" envoy_count
never_answered
streams
decoupled
unknown_model
stop_server triton
upstream_gone
stop_servers
bash "$real/kafka.sh" "$program"
case $? in
0) ;;
77) echo "check-real: the step kafka was skipped" ;;
*) fail "capture of Kafka topics" ;;
esac

echo
[ "$failures" -eq 0 ] && echo "check-real: all passed" || echo "check-real: $failures failed"
