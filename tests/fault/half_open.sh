#!/usr/bin/env bash
# The server's machine vanishes without a word while calls are on their way and connections are
# idle: what was sent ends at its deadline, new connections fail, and nothing waits for ever.
source "$(dirname "$0")/lib.sh"
own_namespace
# The server gets a network of its own, behind a virtual cable that will be pulled.
unshare --net sleep 900 &
far=$!
pids+=("$far")
ip link add near type veth peer name far || { echo "no virtual cables here"; exit 77; }
moved() { ip link set far netns "$far" 2>"$tmp/ip.err"; } # once the far end has its own
wait_for "the far end" moved
ip addr add 192.0.2.1/24 dev near
ip link set near up
there() { nsenter --target "$far" --net "$@"; }
there ip addr add 192.0.2.2/24 dev far
there ip link set far up

synth --rate 100
rm -f "$tmp/ports"
nsenter --target "$far" --net python3 "$here/peer.py" http1 --host 192.0.2.2 \
    --ports "$tmp/ports" --summary "$tmp/summary" 2>"$tmp/server.err" &
server=$!
pids+=("$server")
await_ports
start_replay --connections 60 --deadline 500ms
await_outcomes 50
there ip link set far down
replayed 0
end_server
# What the server took before it vanished was answered, but for one or two under way.
taken=$(jq .requests "$tmp/summary")
ok=$(jq .operations.ok "$tmp/report")
says '.operations | [.due, .ok + .failed, .dropped, .refused, .stopped]' '[400,400,0,0,0]'
holds '.operations.ok > 50 and .operations.failed > 0'
if [ "$ok" -gt "$taken" ] || [ "$ok" -lt $((taken - 60)) ]; then
    fail "the server took $taken, $ok are ok"
fi
server_says .twice 0
holds '[.errors[].class] | (. - ["connect", "deadline"]) == [] and index("deadline") != null'
# Each ended within its deadline, once it was its turn.
holds '.latency_ns | .service.max < 1e9 + .lateness.generator.max'
finish
