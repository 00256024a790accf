#!/usr/bin/env bash
# Every twentieth call makes the server say GOAWAY and ignore the streams behind it: those go to a
# new connection, once; one that is disowned there, too, is a failure. The server processes no call twice, and
# each that it processed was answered.
source "$(dirname "$0")/lib.sh"
synth --protocol grpc --rate 1000
peer http2 --fault goaway --every 20
replay 0 --grpc-connections 2
end_server
holds '.operations | .due == 400 and .sent == 400 and .ok + .failed == 400'
holds '[.errors[].class] - ["reset"] == []'
server_says '[.requests, .twice]' "[$(jq .operations.ok "$tmp/report"),0]"
"$REPRISE" trace cat "$tmp/x.run" --jsonl >"$tmp/outcomes" || fail "reading the run"
same "$(jq -s 'map(select(.cause == "reset")) | all(.attempts <= 2)' "$tmp/outcomes")" true "none was sent a third time"
# How many are disowned hangs on how many are under way at once; each that had gone out is told.
same "$(jq -s 'map(.attempts - 1) | add' "$tmp/outcomes")" "$(jq .connections.retries "$tmp/report")" "retries"
same "$(jq '.connections > 3 and .faults > 1' "$tmp/summary")" true "connections were ended"
finish
