#!/usr/bin/env bash
# Clients that no one here wrote, each captured twice at once: by dumpcap into a file, and
# live by reprise. The trace made of the file and the live one must agree with what tshark
# decodes of that file: requests, statuses, and every body byte for byte.
# shellcheck disable=SC2317 # functions that await calls
source "$(dirname "$0")/../cli/lib.sh"
python=/usr/bin/python3 # Debian's, which sees Debian's grpc
helper=$(dirname "$0")/capture_clients.py

need curl nghttp h2load wrk dumpcap tshark
"$python" -c 'import grpc' 2>/dev/null || lack python3-grpcio
dumpcap -q -i lo -a duration:1 -w "$tmp/probe" 2>/dev/null ||
    { echo "may not capture on lo: needs CAP_NET_RAW"; exit 77; }

"$REPRISE" standin --tier envoy --http 127.0.0.1:0 --ports "$tmp/ports" \
    --service fixed:500us --quiet >/dev/null 2>"$tmp/standin.err" &
pids+=($!)
await_ports
target=$(sed -n 's/^envoy.http=//p' "$tmp/ports")
port=${target##*:}
url=http://$target/v2/models/iris1/infer
printf '{"inputs":[{"name":"predict","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}]}' \
    >"$tmp/small.json"
# 40,000 rows: a body of many segments, frames and windows.
jq -nj --indent 0 '{inputs: [{name: "predict", shape: [40000, 4], datatype: "FP32",
    data: [range(160000) | . % 79 / 10]}]}' >"$tmp/large.json"
cat >"$tmp/post.lua" <<END
wrk.method = "POST"
wrk.body = io.open("$tmp/small.json", "rb"):read("*a")
wrk.headers["Content-Type"] = "application/json"
END
json='content-type: application/json'

# Packets come to a capture in their order: once it has written a datagram that was sent now (to
# the port of discarding, where nobody listens), it has written all that came before.
has_all() { # FILE
    echo "the end of $1" >/dev/udp/127.0.0.1/9
    sleep 0.1
    grep -qaF "the end of $1" "$1"
} 2>/dev/null

total=0
# both NAME h1|h2 COMMAND...: runs the client under both captures and compares.
both() {
    local name=$1 protocol=$2 dumper live count status; shift 2
    dumpcap -q -B 64 -i lo -f "tcp port $port or udp port 9" -w "$tmp/$name.pcapng" 2>"$tmp/dumpcap" &
    dumper=$!
    "$REPRISE" capture -i lo --map "$port=envoy" -o "$tmp/$name.live" --quiet \
        2>"$tmp/live.err" &
    live=$!
    pids+=("$dumper" "$live")
    wait_for "dumpcap" captures "$dumper"
    await_capture "$live"
    "$@" >"$tmp/client" 2>&1 || { fail "$name: exit $?"; tail "$tmp/client"; }
    wait_for "all packets in the file of dumpcap" has_all "$tmp/$name.pcapng"
    kill -INT "$dumper"; wait "$dumper"
    expect 0 "$REPRISE" capture -r "$tmp/$name.pcapng" --map "$port=envoy" \
        -o "$tmp/$name.trace" --min-coverage 1 --json
    same "$(jq -c '[.operations > 0, ([.requests.lost[]] | add)]' "$tmp/out")" '[true,0]' "$name"
    "$REPRISE" trace cat "$tmp/$name.trace" --jsonl >"$tmp/file.jsonl"
    count=$(grep -vc '"late":' "$tmp/file.jsonl")
    "$python" "$helper" compare "$tmp/$name.pcapng" "$port" "$protocol" "$tmp/file.jsonl" \
        >"$tmp/compare" 2>&1 || { fail "$name: the file"; cat "$tmp/compare"; }
    kill -INT "$live"; wait "$live"; status=$?
    same "$status" 130 "$name, live: $(cat "$tmp/live.err")"
    "$REPRISE" trace cat "$tmp/$name.live" --jsonl >"$tmp/live.jsonl"
    "$python" "$helper" compare "$tmp/$name.pcapng" "$port" "$protocol" "$tmp/live.jsonl" \
        >"$tmp/compare" 2>&1 || { fail "$name: live"; cat "$tmp/compare"; }
    total=$((total + count))
}

post=(-s -o /dev/null -H "$json")
both curl-h1 h1 curl "${post[@]}" -d "@$tmp/small.json" "$url"
both curl-large h1 curl "${post[@]}" --expect100-timeout 60 -H 'Expect: 100-continue' \
    --data-binary "@$tmp/large.json" "$url"
both curl-h2c h2 curl "${post[@]}" --http2-prior-knowledge -d "@$tmp/small.json" "$url"
both nghttp h2 nghttp -H ':method: POST' -H "$json" -d "$tmp/small.json" -m 5 "$url"
both h2load h2 h2load -n 300 -c 4 -m 5 -d "$tmp/small.json" -H "$json" "$url"
both h2load-h1 h1 h2load --h1 -n 300 -c 4 -d "$tmp/small.json" -H "$json" "$url"
both wrk h1 wrk -t 1 -c 1 -d 3s -s "$tmp/post.lua" "$url"
both grpc h2 "$python" "$helper" call "$target" 30
# 1 + 1 + 1 + 5 + 300 + 300 + 31, and wrk's at least one.
[ "$total" -gt 639 ] || fail "$total operations in all"
finish
