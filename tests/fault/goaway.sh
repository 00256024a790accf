#!/usr/bin/env bash
# Every twentieth call makes the server say GOAWAY and ignore the streams behind it: those go to a
# new connection, and the server processes each call exactly once.
source "$(dirname "$0")/lib.sh"
synth --protocol grpc --rate 1000
peer http2 --fault goaway --every 20
replay 0 --grpc-connections 2
end_server
counts 400 400 400 0
says .errors '[]'
server_says '[.requests, .twice]' '[400,0]'
same "$(jq '.connections > 3 and .faults > 1' "$tmp/summary")" true "connections were ended"
finish
