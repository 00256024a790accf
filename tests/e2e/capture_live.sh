#!/usr/bin/env bash
# Live capture in two network namespaces that are joined by a veth: a replay in one, the
# stand-in in the other, a capture between them. The trace holds what the run says was
# sent, operation by operation. Then the captured trace is replayed and captured again, and
# both captures agree. Last, live shadowing: a capture piped into a replay.
source "$(dirname "$0")/../cli/lib.sh"

[ "$(id -u)" = 0 ] || { echo "needs root, for network namespaces and packets"; exit 77; }
command -v ip >/dev/null || { echo "needs ip (iproute2)"; exit 77; }
server=reprise-s-$$ client=reprise-c-$$
ip netns add "$server" 2>"$tmp/err" || { echo "no network namespaces here: $(cat "$tmp/err")"; exit 77; }
drop_namespaces() {
    cleanup
    ip netns del "$server" 2>/dev/null
    ip netns del "$client" 2>/dev/null
}
trap drop_namespaces EXIT
ip netns add "$client"
ip link add veth0 netns "$server" type veth peer name veth0 netns "$client" 2>"$tmp/err" ||
    { echo "no veth here: $(cat "$tmp/err")"; exit 77; }
in_server() { ip netns exec "$server" "$@"; }
in_client() { ip netns exec "$client" "$@"; }
in_server ip addr add 10.254.0.1/24 dev veth0
in_client ip addr add 10.254.0.2/24 dev veth0
for ns in "$server" "$client"; do
    ip -n "$ns" link set veth0 up
    ip -n "$ns" link set lo up
done

ip netns exec "$server" "$REPRISE" standin --tier envoy --http 10.254.0.1:9000 --grpc 10.254.0.1:9001 \
    --listen-any --service fixed:1ms --ports "$tmp/ports" >/dev/null 2>"$tmp/standin.err" &
pids+=($!)
await_ports

# Programs that are stopped later are started without a function, which would be a shell in
# between: $! is theirs.
# capture NAME: starts one, and returns when it listens; end_capture ends it.
capture() {
    local name=$1; shift
    ip netns exec "$server" "$REPRISE" capture -i veth0 --map 9000=envoy,9001=envoy "$@" \
        -o "$tmp/$name.trace" --json >"$tmp/$name.json" 2>"$tmp/$name.err" &
    capturing=$!
    await_capture "$capturing"
}
end_capture() {
    local name=$1
    kill -INT "$capturing"
    wait "$capturing"
    same $? 130 "$name: a capture that was interrupted"
    same "$(jq -c '[.coverage, .packets.dropped, .complete, .bytes.to_server.unexplained,
        .bytes.to_client.unexplained, .bytes.to_server.pending]' "$tmp/$name.json")" \
        '[1,0,true,0,0,0]' "$name: coverage, drops, whole, unexplained, pending" ||
        cat "$tmp/$name.err"
}
replay() { # NAME TRACE: a run of it through the veth
    in_client "$REPRISE" replay "$2" --tier envoy --http 10.254.0.1:9000 --grpc 10.254.0.1:9001 \
        --request-ids keep -o "$tmp/$1.run" --quiet --json >"$tmp/$1.out" 2>"$tmp/$1.err" ||
        { fail "replay $1"; cat "$tmp/$1.err"; }
    same "$(jq -c '[.operations.sent, .operations.ok]' "$tmp/$1.out")" "[$count,$count]" "$1"
}

# REPRISE_LIVE: another load than this short one, in synth's words (make check-live).
read -ra load <<<"${REPRISE_LIVE:---model-type iris,tfsimple,sentiment,pytorch_cifar10 --rate 300 --duration 2s}"
"$REPRISE" synth -o "$tmp/sent.trace" "${load[@]}" --protocol both --values random --ids --seed 11 \
    --quiet || fail "synth"
count=$("$REPRISE" trace info --json "$tmp/sent.trace" | jq .operations)

capture first
replay first "$tmp/sent.trace"
end_capture first
python3 "$root/tests/e2e/same_traffic.py" "$REPRISE" "$tmp/sent.trace" "$tmp/first.run" \
    "$tmp/first.trace" || fail "the capture is not what was sent"

# What was captured is a trace like any other.
expect 0 "$REPRISE" trace verify "$tmp/first.trace"
capture second
replay second "$tmp/first.trace"
end_capture second
python3 "$root/tests/e2e/same_traffic.py" "$REPRISE" "$tmp/first.trace" "$tmp/second.run" \
    "$tmp/second.trace" || fail "the second capture is not the first"

# Shadowing: what passes the veth is sent to a second target as it comes.
"$REPRISE" standin --tier envoy --http 127.0.0.1:0 --service fixed:1ms --ports "$tmp/ports2" \
    >/dev/null 2>&1 &
pids+=($!)
await_file "$tmp/ports2"
second=$(sed -n 's/^envoy.http=//p' "$tmp/ports2")
mkfifo "$tmp/pipe"
"$REPRISE" replay - --tier envoy --http "$second" -o "$tmp/shadow.run" --quiet --json \
    <"$tmp/pipe" >"$tmp/shadow.out" 2>"$tmp/shadow.err" &
shadow=$!
ip netns exec "$server" "$REPRISE" capture -i veth0 --map 9000=envoy,9001=envoy --quiet -o - \
    >"$tmp/pipe" 2>"$tmp/shadow-capture.err" &
capturing=$!
await_capture "$capturing"
replay third "$tmp/sent.trace"
kill -INT "$capturing"
wait "$capturing"
same $? 130 "the capture of a shadow"
wait "$shadow"
same $? 0 "the shadow"
same "$(jq -c '[.operations.sent, .operations.ok]' "$tmp/shadow.out")" "[$count,$count]" \
    "the shadow has sent what passed"

# Answers that take longer than operations are held: the requests are written in time, and
# each answer finds its own.
ip netns exec "$server" "$REPRISE" standin --tier envoy --http 10.254.0.1:9002 --listen-any \
    --service fixed:4s --ports "$tmp/ports3" >/dev/null 2>&1 &
pids+=($!)
await_file "$tmp/ports3"
"$REPRISE" synth -o "$tmp/slow.trace" --model-type iris --rate 20 --duration 1s --protocol both \
    --ids --quiet || fail "synth"
capture late --map 9002=envoy
in_client "$REPRISE" replay "$tmp/slow.trace" --tier envoy --http 10.254.0.1:9002 \
    -o "$tmp/slow.run" --quiet || fail "replay of slow answers"
end_capture late
expect 0 "$REPRISE" trace cat --jsonl "$tmp/late.trace"
same "$(jq -c 'select(.late == null) | .status' "$tmp/out" | sort | uniq -c | tr -s ' ')" " 20 null"
same "$(jq -s '[.[] | select(.late != null and .status == 200 and .first_ns > 3900000000)] |
    [length, ([.[].late] | unique | length)]' -c "$tmp/out")" '[20,20]' "late answers"

# An interface that is not there, and one that may not be opened.
expect 64 "$REPRISE" capture -i nosuch0 -o "$tmp/no.trace"
err_has "nosuch0"
[ -e "$tmp/no.trace" ] && fail "a refused capture left a file"
finish
