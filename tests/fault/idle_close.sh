#!/usr/bin/env bash
# A server that closes every third connection right behind its answer, without a word, as servers
# end idle ones: the next request on it meets a close that it races with. None is lost, none is
# processed twice, and what was written twice says so.
source "$(dirname "$0")/lib.sh"
synth --count 400
peer http1 --fault idle-close --every 3
replay 0 --connections 8
end_server
counts 400 400 400 0
says .errors '[]'
server_says '[.requests, .twice]' '[400,0]'
"$REPRISE" trace cat "$tmp/x.run" --jsonl >"$tmp/outcomes" || fail "reading the run"
same "$(jq -s 'all(.attempts == 1 or .attempts == 2)' "$tmp/outcomes")" true "attempts"
finish
