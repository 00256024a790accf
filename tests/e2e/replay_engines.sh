#!/usr/bin/env bash
# One trace through the engine of our own and through libcurl, against a target that fails
# now and then, always the same requests: every outcome agrees, in status, cause, size,
# answer and its check. By HTTP/2 and through a proxy too, and nothing else is contacted.
source "$(dirname "$0")/../cli/lib.sh"

expect 0 "$REPRISE" synth -o "$tmp/t.trace" --model-type tfsimple,add10 --rate 1000 \
    --count 300 --duration 1h --protocol rest --ids --quiet

serve() { # options of the stand-in...
    rm -f "$tmp/ports"
    "$REPRISE" standin --tier envoy --http 127.0.0.1:0 --ports "$tmp/ports" --draw id \
        --service fixed:100us "$@" >/dev/null 2>"$tmp/standin.err" &
    server=$!
    pids+=("$server")
    await_ports
    target=$(sed -n 's/^envoy.http=//p' "$tmp/ports")
}
unserve() { kill "$server"; wait "$server" 2>/dev/null; }

replay() { # run options...
    local run=$1; shift
    expect 0 "$REPRISE" replay "$tmp/t.trace" --http "$target" --request-ids keep \
        --deadline 2m -o "$tmp/$run.run" --force --quiet --json "$@"
    "$REPRISE" trace cat --jsonl "$tmp/$run.run" |
        jq -s -c 'sort_by(.op)[] | [.op, .cause, .status, .check, .bytes_in, .bytes_out, .answer_hash,
                .sent_ns != null, .done_ns != null]' >"$tmp/$run.outcomes"
    [ "$(wc -l <"$tmp/$run.outcomes")" = 300 ] || fail "$run: an outcome is missing"
}
agree() { # run run
    cmp -s "$tmp/$1.outcomes" "$tmp/$2.outcomes" || {
        fail "$1 and $2 do not agree on every outcome"
        diff "$tmp/$1.outcomes" "$tmp/$2.outcomes" | head
    }
}
causes() { jq -r '.[1]' "$tmp/$1.outcomes" | sort | uniq -c | awk '{print $2}' | xargs; }

serve --error-rate 0.2
replay own --engine own
replay curl --engine curl
replay curl2 --engine curl --http-version 2
same "$(causes own)" "ok status"
agree own curl
agree own curl2
unserve

serve --close-rate 0.1
replay own --engine own
replay curl --engine curl
same "$(causes own)" "closed ok"
agree own curl
unserve

serve --garbage-rate 0.1
replay own --engine own
replay curl --engine curl
same "$(causes own)" "garbage ok"
agree own curl
unserve

# A deadline that a busy machine lets others miss, too, is longer the next time.
serve --never-rate 0.01
for deadline in 400ms 2s 10s 60s; do
    replay own --engine own --deadline $deadline
    replay curl --engine curl --deadline $deadline
    replay curl2 --engine curl --deadline $deadline --http-version 2
    cmp -s "$tmp/own.outcomes" "$tmp/curl.outcomes" && cmp -s "$tmp/own.outcomes" "$tmp/curl2.outcomes" && break
done
same "$(causes own)" "deadline ok"
agree own curl
agree own curl2
unserve

# Nobody there: no answer, nothing sent.
expect 69 "$REPRISE" replay "$tmp/t.trace" --http "$target" --engine curl \
    --connect-timeout 300ms -o "$tmp/none.run" --force --quiet

# A proxy sees every request, and the target no other client. What the environment says
# of proxies is no address that was given.
python3 "$root/tests/e2e/proxy.py" "$tmp/port" >"$tmp/proxied" &
pids+=($!)
await_file "$tmp/port"
serve
replay own --engine own
export http_proxy=http://127.0.0.1:1 all_proxy=http://127.0.0.1:1 no_proxy=127.0.0.1
replay direct --engine curl
same "$(wc -l <"$tmp/proxied")" 0 "nothing through the proxy unless it is asked for"
replay proxied --engine curl --proxy "http://127.0.0.1:$(cat "$tmp/port")"
same "$(grep -c "^POST http://$target/v2/models/" "$tmp/proxied")" 300
proxied=$(wc -l <"$tmp/proxied")
replay tunnel --engine curl --http-version 2 --proxy "http://127.0.0.1:$(cat "$tmp/port")"
same "$(tail -n +$((proxied + 1)) "$tmp/proxied" | sort -u)" "CONNECT $target"
unset http_proxy all_proxy no_proxy
for run in direct proxied tunnel; do agree own $run; done
unserve

expect 64 "$REPRISE" replay "$tmp/t.trace" --http "$target" --http-version 2
err_has "--proxy and --http-version need --engine curl"
# TLS: the same options, the same outcomes, by either version and through a tunnel. Whom
# nobody vouches for is not believed, nor one of another name.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$tmp/ca.key" \
    -out "$tmp/ca.pem" -days 2 -subj "/CN=test authority" 2>/dev/null
certificate() { # NAME SUBJECT-ALT-NAME
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$tmp/$1.key" \
        -out "$tmp/$1.csr" -subj "/CN=$1" 2>/dev/null
    openssl x509 -req -in "$tmp/$1.csr" -CA "$tmp/ca.pem" -CAkey "$tmp/ca.key" -CAcreateserial \
        -out "$tmp/$1.pem" -days 2 -extfile <(echo "subjectAltName=$2") 2>/dev/null
}
certificate server IP:127.0.0.1,DNS:models.example
certificate client DNS:client.example
serve --error-rate 0.1 --tls-cert "$tmp/server.pem" --tls-key "$tmp/server.key" --tls-client-ca "$tmp/ca.pem"
target=https://$target
mutual=(--tls-ca "$tmp/ca.pem" --tls-cert "$tmp/client.pem" --tls-key "$tmp/client.key")
replay own --engine own "${mutual[@]}"
replay curl --engine curl "${mutual[@]}"
replay curl2 --engine curl --http-version 2 "${mutual[@]}"
replay named --engine curl "${mutual[@]}" --tls-server-name models.example
replay proxied --engine curl "${mutual[@]}" --proxy "http://127.0.0.1:$(cat "$tmp/port")" \
    --tls-server-name models.example
same "$(tail -n 1 "$tmp/proxied")" "CONNECT ${target#https://}" "the proxy is told the address"
same "$(causes own)" "ok status"
for run in curl curl2 named proxied; do agree own $run; done
for wrong in "--tls-ca $tmp/server.pem" "--tls-ca $tmp/ca.pem --tls-server-name other.example"; do
    # shellcheck disable=SC2086  # several words
    expect 69 "$REPRISE" replay "$tmp/t.trace" --http "$target" --engine curl $wrong \
        --tls-cert "$tmp/client.pem" --tls-key "$tmp/client.key" -o "$tmp/none.run" --force --quiet
    # The proxy is not asked who it is, so that libcurl alone decides.
    # shellcheck disable=SC2086
    expect 69 "$REPRISE" replay "$tmp/t.trace" --http "$target" --engine curl $wrong \
        --tls-cert "$tmp/client.pem" --tls-key "$tmp/client.key" -o "$tmp/none.run" --force --quiet \
        --proxy "http://127.0.0.1:$(cat "$tmp/port")" --duration 20ms
done
unserve
finish
