#!/usr/bin/env bash
# This machine has ports for sixteen connections, and forty are wanted: what finds no port is our
# own failure, and the run is INVALID, whatever its latencies.
source "$(dirname "$0")/lib.sh"
unset REPRISE_INVALID # the verdict decides the exit status
own_namespace
synth --rate 400 --count 100
standin --service fixed:600ms --log-requests "$tmp/log"
echo 40000 40015 >/proc/sys/net/ipv4/ip_local_port_range || { echo "the port range cannot be set"; exit 77; }
replay 3 --connections 40
end_server
says '.operations | [.due, .ok + .failed, .dropped, .refused, .stopped]' '[100,100,0,0,0]'
holds '.operations.ok >= 10 and .operations.failed > 0'
says '[.errors[].class]' '["connect"]'
same "$(jq .operations.ok "$tmp/report")" "$(wc -l <"$tmp/log")" "the server saw what was answered"
unhealthy INVALID client-errors
finish
