#!/usr/bin/env bash
# Every tenth request is answered with a reset, of its connection or of its stream: an outcome,
# and never sent again, for a reset does not tell whether it was processed.
source "$(dirname "$0")/lib.sh"
synth --count 400
peer http1 --fault reset --every 10
replay 0
end_server
counts 400 400 360 40
errors reset 40
server_says '[.requests, .twice, .faults]' '[400,0,40]'

synth --protocol grpc
# Four connections, and two by which replay found that the target is there and speaks HTTP/2.
peer http2 --fault stream-reset --every 10
replay 0
end_server
counts 400 400 360 40
errors reset 40
server_says '[.requests, .twice, .faults, .connections]' '[400,0,40,6]'
finish
