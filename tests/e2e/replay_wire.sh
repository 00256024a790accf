#!/usr/bin/env bash
# What `reprise replay` sends to each tier, held against what SCv2's own clients and hops sent
# there (tests/data/scv2-wire): the names of fields, the method and the path. The differences
# that are allowed are listed; any other fails, and so does a listed one that is gone.
. "$(dirname "$0")/../cli/lib.sh"
data="$root/tests/data/scv2-wire"

expect 0 "$REPRISE" synth --model-type iris --rate 40 --duration 1s --protocol both -o "$tmp/models.trace"
expect 0 "$REPRISE" synth --pipeline --model-type iris --rate 40 --duration 1s --protocol both -o "$tmp/pipelines.trace"

"$REPRISE" standin --free-ports --ports "$tmp/ports" --service fixed:0ms --log-requests "$tmp/log" \
    >"$tmp/standin.out" 2>"$tmp/standin.err" &
standin=$!
pids+=("$standin")
await_ports
address() { sed -n "s/^$1=//p" "$tmp/ports"; }

for tier in envoy rproxy server modelgateway envoy:pipelines pipelinegateway:pipelines; do
    name=${tier%:*} trace="$tmp/models.trace"
    [ "$tier" = "$name" ] || trace="$tmp/pipelines.trace"
    expect 0 "$REPRISE" replay "$trace" --tier "$name" --http "http://$(address "$name.http")" \
        --grpc "$(address "$name.grpc")" -o "$tmp/$tier.run"
done
kill -TERM "$standin"
wait "$standin" || fail "the stand-in ended with $?"

# Lower-case names of the fields in a recorded request. Behind an unknown name stands the id.
recorded() {
    sed -n '/^\[request\]$/,/^$/p' "$data/$1.txt" | grep -v -e '^\[' -e '^:' -e '^$' -e ' HTTP/1.1$' |
        sed 's/^?: pcap-.*/x-request-id: /; s/: .*//; s/:$//' | tr '[:upper:]' '[:lower:]' | sort -u
}
# The same of the requests that came, as jq selects them: one line for each set of names.
sent() {
    jq -r "select($1) | [.fields[][0] | ascii_downcase] | sort | unique | join(\" \")" "$tmp/log" | sort -u
}
# RECORDED JQ-CONDITION MISSING EXTRA: names that replay does not send there, and that it adds.
compare() {
    local file=$1 condition=$2 missing=$3 extra=$4 ours
    ours=$(sent "$condition")
    same "$(printf '%s\n' "$ours" | wc -l)" 1 "kinds of requests like $file"
    recorded "$file" >"$tmp/theirs"
    tr ' ' '\n' <<<"$ours" >"$tmp/ours"
    same "$(comm -23 "$tmp/theirs" "$tmp/ours" | xargs)" "$missing" "$file: names that SCv2 saw and replay does not send"
    same "$(comm -13 "$tmp/theirs" "$tmp/ours" | xargs)" "$extra" "$file: names that replay adds"
}

# accept-encoding is sent everywhere, so that no tier compresses where another does not. What
# envoy and rproxy add on the way is theirs; the two routing headers are what rproxy needs.
rest='.protocol == "rest" and .method == "POST"'
grpc='.protocol == "grpc"'
route='([.fields[] | select(.[0] == "seldon-model")][0][1])'
compare rest-envoy "$rest and .tier == \"envoy\" and $route == \"iris0\"" "" "accept-encoding"
compare rest-envoy-pipeline "$rest and .tier == \"envoy\" and $route == \"iris0.pipeline\"" "" "accept-encoding"
compare rest-rproxy "$rest and .tier == \"rproxy\"" "x-forwarded-proto" "accept-encoding"
compare rest-server "$rest and .tier == \"server\"" \
    "seldon-internal-model seldon-model x-forwarded-for x-forwarded-proto" ""
compare rest-pipelinegateway "$rest and .tier == \"pipelinegateway\"" \
    "seldon-internal-model x-forwarded-proto" "accept-encoding"
compare grpc-envoy "$grpc and .tier == \"envoy\"" "" ""
compare grpc-rproxy "$grpc and .tier == \"rproxy\"" "x-forwarded-proto" ""

# Paths and methods: those of the recording, with the name that each tier wants.
paths() { jq -r "select($rest and .tier == \"$1\") | .path" "$tmp/log" | sort -u | xargs; }
same "$(paths envoy)" "/v2/models/iris0/infer"
same "$(paths rproxy)" "/v2/models/iris0/infer"
same "$(paths server)" "/v2/models/iris0_1/infer"
same "$(paths pipelinegateway)" "/v2/models/iris0/infer"
same "$(jq -r "select($grpc) | .method + \" \" + .path" "$tmp/log" | sort -u)" \
    "POST $(sed -n 's/^:path: //p' "$data/grpc-envoy.txt" | sort -u)" "gRPC method and path"
same "$(jq -r '.fields[][0] | ascii_downcase | select(. == "x-seldon-route")' "$tmp/log")" "" "stale routes"
# Every id is used once: equal ones in flight would mix answers up.
same "$(jq -r '.fields[] | select(.[0] == "x-request-id")[1]' "$tmp/log" | sort | uniq -d)" "" "ids used twice"
[ "$(wc -l <"$tmp/log")" -ge 240 ] || fail "only $(wc -l <"$tmp/log") requests came"

finish
