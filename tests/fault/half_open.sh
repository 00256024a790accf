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
has_its_own() { [ "$(readlink "/proc/$far/ns/net")" != "$(readlink /proc/$$/ns/net)" ]; }
wait_for "the far end's network" has_its_own
ip link set far netns "$far"
ip addr add 192.0.2.1/24 dev near
ip link set near up
there() { nsenter --target "$far" --net "$@"; }
there ip addr add 192.0.2.2/24 dev far
there ip link set far up

there ip link set lo up

# vanishes: while a run is under way, some time after its fiftieth outcome; in a longer run where one
# was over too soon for that.
vanishes() {
    local count taken ok
    for count in 400 2000 8000; do
        synth --rate 100 --count "$count"
        tier=server
        there ip link set far up
        rm -f "$tmp/ports"
        nsenter --target "$far" --net python3 "$here/peer.py" http1 --host 192.0.2.2 --patience 1 \
            --ports "$tmp/ports" --summary "$tmp/summary" 2>"$tmp/server.err" &
        server=$!
        pids+=("$server")
        await_ports
        start_replay --connections 60 --deadline 500ms
        await_outcomes 50
        there ip link set far down
        replayed 0
        end_server
        holds_now '.operations.failed > 0 and .operations.ok > 0' && break
    done
    # What the server took before it vanished was answered, but for what was under way.
    taken=$(jq .requests "$tmp/summary")
    ok=$(jq .operations.ok "$tmp/report")
    says '.operations | [.due, .ok + .failed, .dropped, .refused, .stopped]' "[$count,$count,0,0,0]"
    holds '.operations.ok > 0 and .operations.failed > 0'
    [ "$ok" -le "$taken" ] || fail "the server took $taken, $ok are ok"
    server_says .twice 0
    holds '[.errors[].class] | (. - ["connect", "deadline"]) == [] and index("deadline") != null'
    "$REPRISE" trace cat "$tmp/x.run" --jsonl >"$tmp/outcomes" || fail "reading the run"
    same "$(jq -s 'map(select(.cause == "deadline")) |
        length > 0 and all(.done_ns - .due_ns > 0.49e9)' "$tmp/outcomes")" true \
        "deadlines are kept"
    # Each ended with its deadline, once it was its turn, and no more was lost than connections had under way.
    [ "$ok" -ge $((taken - 60)) ] && holds_now '.latency_ns.service.max < 1e9'
}
once_right left_alone vanishes
finish
