#!/usr/bin/env bash
# Replay over TLS: both protocols against the stand-in, REST and h2 against nginx, REST against
# openssl s_server, mutual TLS,
# and each reason for which a handshake fails, with its message and exit status 69.
. "$(dirname "$0")/../cli/lib.sh"
cd "$tmp" || exit 1

# An authority, and certificates of it: NAME SUBJECT-ALT-NAMES [DAYS].
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem \
    -days 2 -subj "/CN=test authority" 2>/dev/null || fail "no authority"
certificate() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" \
        -subj "/CN=$1" 2>/dev/null
    openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -out "$1.pem" \
        -days "${3:-2}" -extfile <(echo "subjectAltName=$2") 2>/dev/null || fail "no certificate $1"
}
certificate server DNS:localhost,IP:127.0.0.1
certificate other DNS:elsewhere.example
certificate client DNS:client.example
certificate expired DNS:localhost,IP:127.0.0.1 -1
certificate late-client DNS:client.example -1

expect 0 "$REPRISE" synth --model-type iris --rate 200 --duration 1s --protocol both -o both.trace
expect 0 "$REPRISE" synth --model-type iris --rate 200 --duration 1s --protocol rest -o rest.trace

standin_at() { # NAME OPTION...: starts one, sets $at
    local name=$1; shift
    "$REPRISE" standin --tier envoy --http 127.0.0.1:0 --ports "$name.ports" --service fixed:0ms "$@" \
        >"$name.out" 2>"$name.err" &
    pids+=("$!")
    await_file "$name.ports"
    at=$(sed -n 's/^envoy.http=//p' "$name.ports")
}
replay() { "$REPRISE" replay "$@" --force --no-spin -o tls.run; }
report() { "$REPRISE" report tls.run >out 2>err; } # whatever it thinks of the generator
json() { jq -r "$1" "$tmp/out"; }

# Both protocols on one port, told apart by ALPN.
standin_at plain-tls --tls-cert server.pem --tls-key server.key
expect 0 replay both.trace --http "https://$at" --tls-ca ca.pem --json
same "$(json .operations.ok)" 200 "operations over TLS"
same "$(json '.errors | length')" 0 "errors over TLS"
report
out_has "TLS TLSv1.3 "
out_has " http/1.1, verified; TLSv1.3 "
out_has " h2, verified"
expect 0 replay both.trace --http "https://localhost:${at##*:}" --tls-ca ca.pem --json
same "$(json .operations.ok)" 200 "operations over TLS, by name"
expect 0 replay both.trace --http "https://$at" --tls-ca ca.pem --workers 2 --closed-loop 8 --json
same "$(json .operations.ok)" 200 "operations over TLS, closed loop"

# One that takes connections and never says a word is asked once, for as long as was allowed.
cat >mute.py <<'END'
import os
import socket
held, hellos = [], 0
listener = socket.create_server(("127.0.0.1", 0))
with open("mute.part", "w") as f:
    f.write(f"127.0.0.1:{listener.getsockname()[1]}")
os.rename("mute.part", "mute.port")
while True:
    held.append(listener.accept()[0])
    if held[-1].recv(1):
        hellos += 1
        with open("mute.hellos", "w") as f:
            f.write(str(hellos))
END
python3 mute.py 2>mute.err &
pids+=("$!")
await_file mute.port
expect 69 replay rest.trace --http "https://$(cat mute.port)" --connect-timeout 500ms
err_has "Connection timed out during the TLS handshake"
same "$(cat mute.hellos)" 1 "handshakes that were begun with a mute target"

# Whom we do not know, unless we are told to believe anybody; then the run says so.
expect 69 replay rest.trace --http "https://$at"
err_has "the authority that signed the peer's certificate, 'CN=test authority', is not trusted here"
expect 0 replay rest.trace --http "https://$at" --tls-insecure --json
err_has "the target's certificate is not verified"
report
out_has "NOT VERIFIED"
expect 69 replay rest.trace --http "https://$at" --tls-ca ca.pem --tls-server-name wrong.example
err_has "the peer's certificate is for localhost, 127.0.0.1, not for 'wrong.example'"
# Plaintext where TLS is spoken, and the other way round.
standin_at plaintext
expect 69 replay rest.trace --http "https://$at" --tls-ca ca.pem
err_has "the peer does not speak TLS"
standin_at other --tls-cert other.pem --tls-key other.key
expect 69 replay rest.trace --http "https://$at" --tls-ca ca.pem
err_has "the peer's certificate is for elsewhere.example, not for '127.0.0.1'"
expect 0 replay rest.trace --http "https://$at" --tls-ca ca.pem --tls-server-name elsewhere.example
standin_at expired --tls-cert expired.pem --tls-key expired.key
expect 69 replay rest.trace --http "https://$at" --tls-ca ca.pem
err_has "the peer's certificate expired at "
expect 69 replay both.trace --protocol grpc --grpc "grpcs://$at" --tls-ca ca.pem
err_has "the peer's certificate expired at "

# Mutual TLS.
standin_at mutual --tls-cert server.pem --tls-key server.key --tls-client-ca ca.pem
expect 69 replay both.trace --http "https://$at" --tls-ca ca.pem
err_has "the peer asks for a client's certificate, and none was given"
expect 0 replay both.trace --http "https://$at" --tls-ca ca.pem --tls-cert client.pem --tls-key client.key --json
same "$(json .operations.ok)" 200 "operations over mutual TLS"
report
out_has "mutual"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout own.key -out own.pem \
    -days 2 -subj /CN=stranger 2>/dev/null
expect 69 replay both.trace --http "https://$at" --tls-ca ca.pem --tls-cert own.pem --tls-key own.key
err_has "the peer refuses our certificate: "
err_has "unknown CA"
for engine in own curl; do
    expect 69 replay rest.trace --http "https://$at" --tls-ca ca.pem --tls-cert late-client.pem \
        --tls-key late-client.key --engine "$engine"
    err_has "the peer refuses our certificate: "
    err_has "expired"
done

# The command line.
expect 64 replay rest.trace --http "http://$at" --tls-ca ca.pem
err_has "no target that takes it"
expect 64 replay rest.trace --http "https://$at" --tls-cert client.pem
err_has "--tls-cert and --tls-key belong together"
expect 74 replay rest.trace --http "https://$at" --tls-ca missing.pem
err_has "cannot read a certificate 'missing.pem'"
expect 65 replay rest.trace --http "https://$at" --tls-ca ca.pem --tls-cert client.pem --tls-key server.key
err_has "'server.key' is not the key of 'client.pem'"

# openssl's own server: one connection at a time, each with one answer, behind which it says
# goodbye. TLS 1.3 and 1.2, sessions by ticket and by id, and an answer as long as its connection.
mkdir -p v2/models/iris_1
printf 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok' >v2/models/iris_1/whole
printf 'to the end' >v2/models/iris_1/bare
s_server_at() { # OPTION...: starts one, sets $at and $s_server
    rm -f s_server.out # which said that the one before listens
    openssl s_server -accept 127.0.0.1:0 -cert server.pem -key server.key "$@" >s_server.out 2>&1 &
    s_server=$!
    pids+=("$s_server")
    wait_for "s_server" grep -qs '^ACCEPT .*:[0-9]*$' s_server.out
    at=$(sed -n 's/^ACCEPT \(.*\)$/\1/p' s_server.out)
}
gets() { # PATH: twenty GETs
    jq -nc --arg path "/v2/models/iris/$1" 'range(20) | {arrival_ns: (. * 20000000), protocol: "rest", tier: "server",
        name: "iris", method: "GET", path: $path}' >gets.jsonl
    expect 0 "$REPRISE" import jsonl gets.jsonl -o gets.trace --force --quiet
}
# Behind an answer with a length the server takes its time to close, in which a second request
# would be read and not answered: each connection is asked once.
asked() { # VERSION RESUMED-AT-LEAST
    expect 0 replay gets.trace --tier server --http "https://$at" --tls-ca ca.pem --connections 1 \
        --requests-per-connection 1 --json
    same "$(json '[.operations.due, .operations.ok]' | tr -d '\n ')" "[20,20]" "answers of s_server, $1"
    [ "$(json '.connections.made')" -ge 20 ] || fail "s_server ends each connection: $(json .connections)"
    expect 0 "$REPRISE" trace info tls.run --json
    json '.notes["target.tls"]' | grep -q "^$1 " || fail "not $1: $(json '.notes["target.tls"]')"
    [ "$(json '.notes["client.tls_resumed"] | tonumber')" -ge "$2" ] || fail "few resumed, $1: $(json .notes)"
    kill "$s_server"
    wait "$s_server" 2>/dev/null
}
gets whole
s_server_at -HTTP
asked TLSv1.3 15
s_server_at -HTTP -tls1_2
asked TLSv1.2 15
s_server_at -HTTP -tls1_2 -no_ticket
asked TLSv1.2 15
s_server_at -HTTP -Verify 1 -CAfile ca.pem -verify_return_error
expect 69 replay gets.trace --tier server --http "https://$at" --tls-ca ca.pem --connections 1 \
    --tls-cert own.pem --tls-key own.key
err_has "the peer refuses our certificate: "
kill "$s_server"
gets bare
s_server_at -WWW
asked TLSv1.3 15

# A server that nobody here wrote either; it speaks no h2 over TLS unless it is told to.
if command -v nginx >/dev/null; then
    answers_or_gone() { curl -sko /dev/null "https://$at/" || gone "$nginx"; }
    nginx_at() { # LISTEN-WORDS: starts one, sets $at and $nginx
        local try
        for try in 1 2 3; do # another may have taken the port meanwhile
            nginx_on "$(free_port)" "$1"
            wait_for "nginx" answers_or_gone
            gone "$nginx" || return
        done
        fail "nginx does not start ($try times)"; cat nginx.log
    }
    free_port() {
        python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
    }
    nginx_on() { # PORT LISTEN-WORDS
        mkdir -p nginx
        cat >nginx.conf <<CONF
daemon off; master_process off; pid $tmp/nginx.pid; error_log $tmp/nginx.log;
events { worker_connections 256; }
http {
    log_format tls '\$connection \$ssl_session_reused \$ssl_protocol \$request_method';
    access_log nginx.access tls; client_body_temp_path nginx; proxy_temp_path nginx; fastcgi_temp_path nginx;
    uwsgi_temp_path nginx; scgi_temp_path nginx; keepalive_requests 20;
    server {
        listen 127.0.0.1:$1 $2; ssl_certificate server.pem; ssl_certificate_key server.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        location / { default_type application/json; return 200 '{"outputs":[]}'; }
    }
}
CONF
        nginx -p "$tmp" -c nginx.conf 2>/dev/null &
        nginx=$!
        pids+=("$nginx")
        at=127.0.0.1:$1
    }
    # It says what it did once it has done it.
    has_logged() { [ "$(grep -c ' POST$' nginx.access)" -ge "$1" ]; }
    nginx_at ssl
    # Connections end after 20 requests: those made anew resume.
    expect 0 replay rest.trace --http "https://$at" --tls-ca ca.pem --connections 2 --json
    same "$(json .operations.ok)" 200 "operations against nginx"
    expect 0 "$REPRISE" trace info tls.run --json
    resumed=$(json '.notes["client.tls_resumed"] | tonumber')
    [ "$resumed" -ge 4 ] || fail "few sessions were resumed: $(json .notes)"
    wait_for "nginx's log" has_logged 200
    # nginx's own word: connections with a request, and those of them that resumed.
    words() { sort -u nginx.access | awk '$4 == "POST" {n++; r += $2 == "r"} END {print n, r + 0}'; }
    read -r took reused <<<"$(words)"
    [[ $reused -ge 4 && $reused -le $resumed && $reused -ge $((resumed - 2)) ]] ||
        fail "nginx saw $took connections, $reused of them resumed; we counted $resumed"
    : >nginx.access # nginx appends
    expect 0 replay rest.trace --http "https://$at" --tls-ca ca.pem --connections 2 --no-tls-resume
    expect 0 "$REPRISE" trace info tls.run --json
    same "$(json '.notes["client.tls_resumed"]')" 0 "resumed though it was forbidden"
    wait_for "nginx's log" has_logged 200
    read -r took reused <<<"$(words)"
    [[ $took -ge 4 && $reused = 0 ]] || fail "nginx saw $took connections, $reused of them resumed"
    expect 69 replay both.trace --protocol grpc --grpc "grpcs://$at" --tls-ca ca.pem
    err_has "(h2)"
    nginx_at "ssl http2"
    expect 0 replay both.trace --protocol grpc --grpc "grpcs://$at" --tls-ca ca.pem --json
    same "$(json .operations.failed)" "$(json .operations.due)" "calls to nginx, which answers but speaks no gRPC"
    same "$(json '.errors[0].class')" garbage "what an answer without gRPC is"
fi
finish
