#!/usr/bin/env bash
# A stream that the server refuses was not processed: it is sent once more, and its outcome says
# so; where every stream is refused, two attempts are all.
source "$(dirname "$0")/lib.sh"
synth --protocol grpc
peer http2 --fault refuse --every 10
replay 0
end_server
counts 400 400 400 0
server_says '[.requests, .twice]' '[400,0]'
"$REPRISE" trace cat "$tmp/x.run" --jsonl >"$tmp/outcomes" || fail "reading the run"
same "$(jq -s 'map(select(.attempts == 2)) | length' "$tmp/outcomes")" \
    "$(jq .faults "$tmp/summary")" "sent twice"
same "$(jq '.faults > 10' "$tmp/summary")" true "some were refused"

peer http2 --fault refuse-all
replay 0
end_server
counts 400 400 0 400
errors reset 400
server_says '[.requests, .faults]' '[0,800]'
finish
