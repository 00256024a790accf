#!/usr/bin/env bash
# Credentials by file and by environment: they arrive with every request, through each
# engine, and are nowhere in what is written, said, served or shown of the process.
source "$(dirname "$0")/../cli/lib.sh"
python=/usr/bin/python3 # Debian's, which sees Debian's grpc

"$python" "$root/tests/e2e/headers_peer.py" "$tmp/ports" "$tmp/seen" "$tmp/hold" 2>"$tmp/peer.err" &
pids+=($!)
await_ports
at() { sed -n "s/^server.$1=//p" "$tmp/ports"; }

# A recorded value of the same name is not sent beside the given one.
expect 0 "$REPRISE" synth -o "$tmp/made.trace" --model-type iris --rate 80 --count 40 --duration 1h \
    --protocol both --quiet
expect 0 "$REPRISE" trace export "$tmp/made.trace" --format jsonl -o "$tmp/made.jsonl"
jq -c 'if .protocol then .headers = [["x-api-key", "recorded"]] else . end' "$tmp/made.jsonl" >"$tmp/with.jsonl"
expect 0 "$REPRISE" import jsonl "$tmp/with.jsonl" -o "$tmp/t.trace" --quiet
expect 0 "$REPRISE" trace cat "$tmp/t.trace" --jsonl
out_has recorded

token=T0ken$RANDOM$RANDOM$RANDOM key=K3y$RANDOM$RANDOM$RANDOM
mkdir "$tmp/given" "$tmp/written"
printf '%s\n' "$token" >"$tmp/given/token"
printf '# for the gateway\nX-Api-Key: %s\n' "$key" >"$tmp/given/headers"
chmod 600 "$tmp/given"/*

nowhere() { # in anything that was written
    local found
    found=$(grep -rlaF -e "$token" -e "$key" "$tmp/written")
    [ -z "$found" ] || fail "a secret is in: $found"
}
tells_metrics() { grep -qs '127.0.0.1:[0-9]*/metrics' "$1"; }
# replay NAME OPTION...: everything about it goes to $tmp/written. The target answers once the run
# has been looked at, so that it is not over before.
replay() {
    local name=$1 w=$tmp/written/$1 status pid metrics
    shift
    touch "$tmp/hold"
    "$REPRISE" replay "$tmp/t.trace" --tier server --http "$(at http)" ${grpc:+--grpc "$grpc"} \
        --deadline 10m -o "$w.run" --debug all --metrics 127.0.0.1:0 --json "$@" >"$w.out" 2>"$w.err" &
    pid=$!
    pids+=("$pid")
    wait_for "the address of metrics of $name" tells_metrics "$w.err"
    metrics=$(grep -o '127.0.0.1:[0-9]*/metrics' "$w.err" | head -n 1)
    tr '\0' ' ' <"/proc/$pid/cmdline" >"$w.cmdline" || fail "$name: it was over before it was looked at"
    grep -q replay "$w.cmdline" || fail "$name: its command line was not seen"
    curl -s "http://$metrics" >"$w.metrics"
    grep -q reprise_build_info "$w.metrics" || fail "$name: its metrics were not seen"
    rm "$tmp/hold"
    wait "$pid"
    status=$?
    same "$status" 0 "exit status of $name: $(tail -n 3 "$w.err")"
    "$REPRISE" trace info "$w.run" --json >"$w.info"
    "$REPRISE" trace cat "$w.run" --jsonl >"$w.jsonl"
    "$REPRISE" report "$w.run" >"$w.report" 2>&1
    "$REPRISE" report "$w.run" --json >"$w.report.json" 2>&1
}
arrived() { # NAME WANTED: all that the target saw, as COUNT PROTOCOL AUTHORIZATION KEY lines
    same "$(sort "$tmp/seen" | uniq -c | awk '{$1 = $1; print}')" "$2" "what arrived of $1"
    rm -f "$tmp/seen"
}

grpc=$(at grpc)
if [ -n "$grpc" ]; then
    rest=$(jq -s 'map(select(.protocol == "rest")) | length' "$tmp/made.jsonl")
    calls="$((40 - rest)) grpc Bearer $token $key"$'\n'
else
    echo "python3-grpcio is not installed: gRPC is left out"
    rest=40 calls=
    expect 0 "$REPRISE" trace filter "$tmp/t.trace" --protocol rest -o "$tmp/r.trace" --quiet
    mv "$tmp/r.trace" "$tmp/t.trace"
    rest=$("$REPRISE" trace info "$tmp/t.trace" --json | jq .operations)
fi
files=(--bearer-file "$tmp/given/token" --header-file "$tmp/given/headers")
replay own "${files[@]}"
arrived own "$calls$rest rest Bearer $token $key"
same "$(jq -r '.notes["target.headers"]' "$tmp/written/own.info")" "x-api-key, authorization" "names in the run"
replay curl "${files[@]}" --engine curl --protocol rest
arrived curl "$rest rest Bearer $token $key"
REPRISE_BEARER=$token replay environment --header-file "$tmp/given/headers"
arrived environment "$calls$rest rest Bearer $token $key"
# The file that was named wins.
REPRISE_BEARER=of-another-place replay both "${files[@]}"
arrived both "$calls$rest rest Bearer $token $key"
# None: the recorded ones, as far as they are not credentials.
replay none --protocol rest
arrived none "$rest rest - recorded"

# A search hands the options on, and the environment is inherited. (What it finds in so few
# operations is no matter.)
REPRISE_BEARER=$token "$REPRISE" search "$tmp/t.trace" --limit 'p50<10s' --to 2 \
    --probe-duration 200ms -o "$tmp/written/knee" -- --tier server --http "$(at http)" --protocol rest \
    --header-file "$tmp/given/headers" >"$tmp/written/search.out" 2>"$tmp/written/search.err"
same "$(sort -u "$tmp/seen")" "rest Bearer $token $key" "what arrived of the search"
rm -f "$tmp/seen"

# What goes wrong says so without them; who else can read them is told.
bad() { # STATUS OPTION...
    local status=$1
    shift
    expect "$status" "$REPRISE" replay "$tmp/t.trace" --tier server --http "$(at http)" -o "$tmp/no.run" \
        --force --quiet --protocol rest "$@"
    cp "$tmp/err" "$tmp/written/bad.$((++bads)).err"
}
bads=0
printf 'X-Api-Key %s\n' "$key" >"$tmp/given/broken"
bad 65 --header-file "$tmp/given/broken"
err_has "'$tmp/given/broken', line 1: this is not 'name: value'"
printf 'authorization: %s\n' "$key" >"$tmp/given/twice"
bad 65 --header-file "$tmp/given/twice" --bearer-file "$tmp/given/token"
err_has "'authorization' is given twice"
printf '%s %s\n' "$token" "$key" >"$tmp/given/words"
bad 65 --bearer-file "$tmp/given/words"
err_has "does not hold a token"
bad 74 --bearer-file "$tmp/given/missing"
chmod 644 "$tmp/given/token"
bad 0 "${files[@]}"
err_has "holds credentials, and everybody on this machine may read it (mode 0644)"
bad 69 --http 127.0.0.1:1 --connect-timeout 100ms "${files[@]}"
bad 69 --http 127.0.0.1:1 --connect-timeout 100ms --engine curl "${files[@]}"
nowhere
# The check itself can fail.
cp "$tmp/given/token" "$tmp/written/leak"
grep -rqaF -e "$token" "$tmp/written" || fail "a leak would not be found"
finish
