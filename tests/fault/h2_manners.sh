#!/usr/bin/env bash
# An HTTP/2 server that nobody here wrote, with every manner that the RFC allows (unknown SETTINGS
# and frames, PINGs, small and changing windows, padding, CONTINUATION, answers in pieces): each call is
# answered and counted once. Calls that it never answers end at their deadline, by a reset of their stream
# alone: the connection goes on.
source "$(dirname "$0")/lib.sh"
python=/usr/bin/python3 # Debian's, which sees Debian's h2
"$python" -c 'import h2' 2>/dev/null || { echo "python3-h2 is not installed"; exit 77; }
h2_peer() { # OPTION...
    tier=server
    rm -f "$tmp/ports" "$tmp/summary"
    "$python" "$here/h2_peer.py" "$@" --ports "$tmp/ports" --summary "$tmp/summary" 2>"$tmp/server.err" &
    server=$!
    pids+=("$server")
    await_ports
}
polite() { # what the server says of a client that kept to the protocol
    server_says '[.requests, .twice]' '[400,0]'
    server_says '[.unacknowledged, .acks >= 1000, .settings_acks > 8]' '[0,true,true]'
    [ ! -s "$tmp/server.err" ] || { fail "the server's complaints"; tail -n 5 "$tmp/server.err"; }
}

synth --protocol grpc --batch 40 # bodies of several windows
h2_peer
replay 0 --grpc-connections 2
end_server
counts 400 400 400 0
says .errors '[]'
polite
server_says '.resets' '{}'

# One connection, and two by which replay found that the target is there and speaks HTTP/2. A deadline
# that a busy machine lets others miss, too, is longer the next time.
for deadline in 3 12 48; do
    h2_peer --never 20
    replay 0 --grpc-connections 1 --deadline ${deadline}s
    end_server
    holds_now '.operations.failed > 20 and [.errors[].class] == ["deadline"]' || break
done
counts 400 400 380 20
errors deadline 20
polite
server_says '[.never, .resets, .connections]' '[20,{"8":20},3]'
"$REPRISE" trace cat "$tmp/x.run" --jsonl >"$tmp/outcomes" || fail "reading the run"
same "$(jq -s --argjson least $((deadline - 1))e9 'map(select(.cause == "deadline")) |
    all(.done_ns - .due_ns > $least and .attempts == 1)' "$tmp/outcomes")" true \
    "deadlines are kept, and nothing is sent again"

# The same server over REST, by libcurl.
synth --protocol rest --batch 40
h2_peer
replay 0 --engine curl --http-version 2 --connections 2
end_server
counts 400 400 400 0
says .errors '[]'
polite
finish
