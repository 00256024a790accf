#!/usr/bin/env bash
# Every tenth answer breaks off in the middle: an outcome of its own, and never sent again,
# for it was read.
source "$(dirname "$0")/lib.sh"
synth --count 400
peer http1 --fault close-mid --every 10
replay 0
end_server
counts 400 400 360 40
errors closed 40
server_says '[.requests, .twice, .faults]' '[400,0,40]'
# Without a byte of an answer it is the same, as long as the request was read.
peer http1 --fault close --every 10
replay 0
end_server
counts 400 400 360 40
errors closed 40
server_says '[.requests, .twice, .faults]' '[400,0,40]'
finish
