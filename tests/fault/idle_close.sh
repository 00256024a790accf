#!/usr/bin/env bash
# A server that closes every third connection right behind its answer, without a word, as servers
# end idle ones: the next request on it meets a close that it races with. One that had arrived by then may not
# be sent again, for nobody knows that it was not read; any other is. None is lost, none is processed twice,
# and what was written twice says so.
source "$(dirname "$0")/lib.sh"

# The same of both engines, whoever wins the races: what the server read is what was answered.
race() { # REPLAY-OPTION...
    replay 0 --connections 8 "$@"
    end_server
    holds '.operations | .due == 400 and .sent == 400 and .ok + .failed == 400'
    holds '[.errors[].class] - ["closed", "reset"] == []'
    server_says '[.requests, .twice]' "[$(jq .operations.ok "$tmp/report"),0]"
    "$REPRISE" trace cat "$tmp/x.run" --jsonl >"$tmp/outcomes" || fail "reading the run"
    same "$(jq -s 'all(.attempts == 1 or .attempts == 2)' "$tmp/outcomes")" true "attempts"
    same "$(jq -s 'map(.attempts - 1) | add' "$tmp/outcomes")" "$(jq .connections.retries "$tmp/report")" "retries"
    # Each that the server closed is told as ended, but for those that nobody wanted again.
    # shellcheck disable=SC2016  # $server is jq's
    same "$(jq --slurpfile server "$tmp/summary" '(.connections.ended | map(.count) | add) as $ended |
        $server[0] | $ended <= .connections and $ended >= .faults - 8 and .faults >= 100' "$tmp/report")" true \
        "ends of connections: $(jq -c .connections "$tmp/report"); the server: $(cat "$tmp/summary")"
}

synth --count 400
for engine in own curl; do
    peer http1 --fault idle-close --every 3
    race --engine "$engine"
done

# Behind TLS, with close_notify before the FIN and without.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$tmp/key.pem" -out "$tmp/cert.pem" \
    -days 2 -subj /CN=peer -addext subjectAltName=IP:127.0.0.1 2>/dev/null || fail "no certificate"
cat "$tmp/key.pem" "$tmp/cert.pem" >"$tmp/peer.pem"
for goodbye in "" --no-goodbye; do
    for engine in own curl; do
        # shellcheck disable=SC2086  # a word or none
        peer http1 --fault idle-close --every 3 --tls "$tmp/peer.pem" $goodbye
        race --engine "$engine" --tls-ca "$tmp/cert.pem"
        [ "$engine" = curl ] && continue
        expect 0 "$REPRISE" trace info "$tmp/x.run" --json
        same "$(jq '.notes["client.tls_resumed"] | tonumber > 50' "$tmp/out")" true "sessions were resumed"
    done
done
finish
