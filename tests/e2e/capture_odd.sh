#!/usr/bin/env bash
# What few clients do, captured live: every body, status and message of a stream as the
# client itself has them (capture_odd.py names the cases), with nothing missing. TLS is
# counted as opaque, and nothing of it is told.
source "$(dirname "$0")/../cli/lib.sh"
python=/usr/bin/python3 # Debian's, which sees Debian's grpc
helper=$root/tests/e2e/capture_odd.py
need openssl curl
"$python" -c 'import grpc' 2>/dev/null || lack python3-grpcio
cd "$tmp" || exit 1
may_capture

# live NAME MAP: captures into NAME.trace until `enough`.
live() {
    "$REPRISE" capture -i lo --map "$2" -o "$1.trace" --json >"$1.json" 2>"$1.err" &
    capture=$!
    pids+=("$capture")
    await_capture "$capture"
}
enough() { # NAME [SIGNAL]
    local status
    kill -"${2:-INT}" "$capture"
    wait "$capture"
    status=$?
    same "$status" 130 "the capture: $(cat "$1.err")"
}

"$python" "$helper" serve ports 2>serve.err &
server=$!
pids+=("$server")
await_file ports
read -r http grpc <ports
live odd "$http=envoy,$grpc=rproxy"
"$python" "$helper" drive ports >want 2>drive.err || fail "the clients: $(tail -n 3 drive.err)"
kill "$server" # its connections end with GOAWAY
wait "$server"
wait_for "17 operations" holds_outcomes odd.trace 16 # much for a capture that is starved
enough odd
expect 0 "$REPRISE" trace cat --jsonl odd.trace
mv out got
"$python" "$helper" compare want got || fail "the trace differs"
same "$(wc -l <want)" 17 "cases"
same "$(jq -c '[.coverage, .requests.passed, ([.requests.lost[]] | add), .requests.messages_beyond]' odd.json)" \
    '[1,1,0,0]' "coverage; HEAD is passed over"
same "$(jq -s '[.[] | .messages, .answer_messages | select(.) | map(.[0]) | . == sort] | all' got)" true \
    "messages of streams in order of time"

# TLS: bytes alone.
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost 2>/dev/null
"$python" "$helper" tls tls.port cert.pem key.pem 2>tls.serve &
pids+=("$!")
await_file tls.port
port=$(cat tls.port)
live tls "$port=envoy"
curl -sk -o page -d '{"inputs":[]}' "https://127.0.0.1:$port/v2/models/iris/infer" || fail "curl over TLS: $?"
enough tls
same "$(jq -c '[.operations, .coverage < 0.01, ([.bytes[] | .opaque > 500, .unexplained, .records])]' tls.json)" \
    '[0,true,[true,0,0,true,0,0]]' "TLS"

# A capture for a time ends, though nothing comes.
expect 0 timeout 60 "$REPRISE" capture -i lo -d 300ms --map 9=envoy -o nothing.trace --json
same "$(jq -c '[.operations, .coverage, .complete]' out)" '[0,null,true]' "of nothing"

# What came before a signal is in the trace, though it was not read by then.
"$REPRISE" standin --tier envoy --http 127.0.0.1:0 --ports late.ports --quiet >/dev/null 2>standin.err &
pids+=("$!")
await_file late.ports
at=$(sed -n 's/^envoy.http=//p' late.ports)
live late "${at##*:}=envoy"
kill -STOP "$capture"
for _ in 1 2 3; do curl -s -o page -d '{"inputs":[]}' "http://$at/v2/models/iris1/infer" || fail "curl: $?"; done
kill -INT "$capture"
enough late CONT
same "$(jq -c '[.operations, .coverage, ([.requests.lost[]] | add)]' late.json)" '[3,1,0]' "what stood in the ring"
finish
