#!/usr/bin/env bash
# A target that speaks another version of HTTP than it is asked for, or TLS, is named as
# such, with what to do: where HTTP/2 is wanted before anything is sent, and where HTTP/1.1
# is, with the first answer. The status is 69 either way.
source "$(dirname "$0")/../cli/lib.sh"

expect 0 "$REPRISE" synth -o "$tmp/t.trace" --model-type tfsimple --rate 200 --count 40 \
    --duration 1h --protocol both --quiet
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$tmp/ca.key" \
    -out "$tmp/ca.pem" -days 2 -subj "/CN=127.0.0.1" -addext "subjectAltName=IP:127.0.0.1" 2>/dev/null
python3 "$root/tests/e2e/proxy.py" "$tmp/port" >"$tmp/proxied" &
pids+=($!)
await_file "$tmp/port"

# The ports of a server: one speaks HTTP/1.1 alone, the other HTTP/2 alone.
serve() { # options of the stand-in...
    rm -f "$tmp/ports"
    "$REPRISE" standin --tier server --http 127.0.0.1:0 --grpc 127.0.0.1:0 --ports "$tmp/ports" \
        "$@" >/dev/null 2>"$tmp/standin.err" &
    pids+=($!)
    await_ports
    http1=$(sed -n 's/^server.http=//p' "$tmp/ports")
    http2=$(sed -n 's/^server.grpc=//p' "$tmp/ports")
}
refused() { # words, then options...
    local words=$1; shift
    rm -f "$tmp/x.run"
    expect 69 "$REPRISE" replay "$tmp/t.trace" --tier server -o "$tmp/x.run" --force --quiet "$@"
    err_has "$words"
}
# The same, before anything is sent. A target that says nothing for a second may be slow: where the machine
# held it up for so long, a run was begun, and the target is asked again.
refused_at_once() { # words, then options...
    local words=$1 try status; shift
    for try in 1 2 3 4 5; do
        rm -f "$tmp/x.run"
        "$REPRISE" replay "$tmp/t.trace" --tier server -o "$tmp/x.run" --force --quiet "$@" >"$tmp/out" 2>"$tmp/err"
        status=$?
        [ -e "$tmp/x.run" ] || break
    done
    [ ! -e "$tmp/x.run" ] || fail "a run was begun, $try times: $*"
    same "$status" 69 "exit status: $*"
    err_has "$words"
}

serve
proxy=http://127.0.0.1:$(cat "$tmp/port")
refused_at_once "cannot reach $http1: it answers in HTTP/1.1, not HTTP/2: --http-version 1.1 speaks that" \
    --http "$http1" --protocol rest --engine curl --http-version 2
refused_at_once "cannot reach $http1: it answers in HTTP/1.1, not HTTP/2: --http-version 1.1 speaks that" \
    --http "$http1" --protocol rest --engine curl --http-version 2 --proxy "$proxy"
refused_at_once "cannot reach $http1: it answers in HTTP/1.1, and gRPC needs HTTP/2: is this the port for REST?" \
    --grpc "$http1" --protocol grpc
refused "cannot reach $http2: it answers in HTTP/2, not HTTP/1.1: is this the port for gRPC?" \
    --http "$http2" --protocol rest
# One of both is wrong: so is the run.
refused "is this the port for gRPC?" --http "$http2" --grpc "$http2"
refused_at_once "is this the port for REST?" --http "$http1" --grpc "$http1"

# libcurl does not show what came, so this is no more than a question, and the run goes on.
expect 0 "$REPRISE" replay "$tmp/t.trace" --tier server -o "$tmp/x.run" --force \
    --http "$http2" --protocol rest --engine curl
err_has "$http2 does not answer in HTTP/1.1: is this the port for gRPC?"

# Where the version is right nothing is said, and no connection is left over.
expect 0 "$REPRISE" replay "$tmp/t.trace" --tier server -o "$tmp/x.run" --force \
    --http "$http1" --grpc "$http2" --json
same "$(jq -c '[.operations.ok, .operations.due]' "$tmp/out" 2>/dev/null || echo '?')" "[40,40]"

# Who hangs up is no server of HTTP/2, nor is who sends an alert; who says nothing may be
# slow.
cat >"$tmp/peer.py" <<'PEER'
import socket, threading
kept = []
def answer(c, name):
    kept.append(c)
    if name == "mute":
        return
    c.recv(4096)
    if name == "tls":
        c.sendall(bytes.fromhex("15030100020246"))
    c.close()
def serve(s, name):
    while True:
        threading.Thread(target=answer, args=(s.accept()[0], name), daemon=True).start()
for name in ("hangs", "mute", "tls"):
    s = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(s, name)).start()
    print(f"{name} {s.getsockname()[1]}", flush=True)
PEER
python3 "$tmp/peer.py" >"$tmp/peers" &
pids+=($!)
all_listen() { [ "$(wc -l <"$tmp/peers")" = 3 ]; }
wait_for "three peers" all_listen
at() { echo "127.0.0.1:$(sed -n "s/^$1 //p" "$tmp/peers")"; }
refused_at_once "it hangs up when HTTP/2 is begun" --grpc "$(at hangs)" --protocol grpc
refused_at_once "it answers in TLS: grpcs://HOST:PORT speaks that" --grpc "$(at tls)" --protocol grpc
refused "it answers in TLS: https://HOST:PORT speaks that" --http "$(at tls)" --protocol rest
expect 0 "$REPRISE" replay "$tmp/t.trace" --tier server -o "$tmp/x.run" --force \
    --grpc "$(at mute)" --protocol grpc --deadline 100ms --quiet

# TLS: ALPN tells.
serve --tls-cert "$tmp/ca.pem" --tls-key "$tmp/ca.key"
tls=(--tls-ca "$tmp/ca.pem")
refused_at_once "over TLS: the peer speaks none of what was offered (h2); it answers in HTTP/1.1, not HTTP/2: \
--http-version 1.1 speaks that" --http "https://$http1" --protocol rest --engine curl --http-version 2 "${tls[@]}"
refused "it answers in HTTP/1.1, not HTTP/2: --http-version 1.1 speaks that" --http "https://$http1" \
    --protocol rest --engine curl --http-version 2 "${tls[@]}" --proxy "$proxy"
refused_at_once "it answers in HTTP/1.1, and gRPC needs HTTP/2: is this the port for REST?" \
    --grpc "grpcs://$http1" --protocol grpc "${tls[@]}"
refused_at_once "it answers in HTTP/2, not HTTP/1.1: is this the port for gRPC?" --http "https://$http2" \
    --protocol rest "${tls[@]}"
finish
