#!/usr/bin/env bash
# shellcheck disable=SC2154  # start() sets the address of each tier by name
# standin: help, bad options, port file, and what each tier answers, to the header.
. "$(dirname "$0")/lib.sh"

expect 0 "$REPRISE" standin --help
out_has "reprise standin"
out_has "--service"
out_has "deploy/standin/README.md"

expect 64 "$REPRISE" standin --tier nowhere
err_has "unknown tier 'nowhere'"
expect 64 "$REPRISE" standin --http 127.0.0.1:0
err_has "--http and --grpc need --tier"
expect 64 "$REPRISE" standin --tier envoy --http 0.0.0.0:0
err_has "'0.0.0.0:0' is not a loopback address; --listen-any allows it"
expect 64 "$REPRISE" standin --tier envoy --http 127.0.0.1
err_has "'127.0.0.1' is not HOST:PORT"
expect 64 "$REPRISE" standin --service fixed:5
err_has "service time 'fixed:5'"
expect 64 "$REPRISE" standin --service modes:0.5=1ms,0.4=2ms
err_has "the shares of modes sum to 0.9, not to 1"
expect 64 "$REPRISE" standin --slow 1.1
err_has "'1.1' is not FACTOR@QUANTILE"
expect 64 "$REPRISE" standin --error-rate 0.7 --never-rate 0.4
err_has "the rates of faults sum to 1.1, above 1"
expect 64 "$REPRISE" standin --release 1.0
expect 64 "$REPRISE" standin --model-type nosuch
err_has "unknown MODEL_TYPE 'nosuch'"
expect 64 "$REPRISE" standin --models iris1
err_has "'iris1' is not NAME=TYPE"
expect 64 "$REPRISE" standin --stall 1s,2s
err_has "EVERY is longer than FOR"
expect 74 "$REPRISE" standin --tier envoy --http 127.0.0.1:0 --ports "$tmp/no/such/dir/ports"
err_has "cannot write ports to"

# start NAME OPTION...: starts a stand-in and sets the addresses it chose, envoy_http ….
start() {
    local name=$1 line; shift
    "$REPRISE" standin --free-ports --ports "$tmp/$name.ports" "$@" \
        >"$tmp/$name.out" 2>"$tmp/$name.err" &
    pid=$!
    pids+=("$pid")
    await_file "$tmp/$name.ports"
    while IFS='=' read -r line address; do
        printf -v "${line/./_}" '%s' "$address"
    done <"$tmp/$name.ports"
}
stop() { # NAME: ends it with SIGTERM; its exit status must be 0
    kill -TERM "$pid"
    wait "$pid"
    same "$?" 0 "exit status of stand-in $1"
}
# get WANTED-STATUS URL [CURL-OPTION]...: head in $tmp/head, body in $tmp/body.
get() {
    local want=$1 url=$2 got; shift 2
    got=$(curl -s -o "$tmp/body" -D "$tmp/head.crlf" -w '%{http_code}' "$@" "http://$url")
    tr -d '\r' <"$tmp/head.crlf" >"$tmp/head"
    same "$got" "$want" "status of $url"
}
body_is() { same "$(cat "$tmp/body")" "$1" "body"; }
head_has() { grep -qxF -- "$1" "$tmp/head" || { fail "head lacks: $1"; cat "$tmp/head"; }; }
head_lacks() { ! grep -qi -- "^$1:" "$tmp/head" || { fail "head has $1"; cat "$tmp/head"; }; }

iris='{"id":"r1","inputs":[{"name":"predict","shape":[1,4],"datatype":"FP32","data":[1.1,6.7,6.1,2.1]}]}'
simple='{"inputs":[{"name":"INPUT0","shape":[1,16],"datatype":"INT32","data":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]},{"name":"INPUT1","shape":[1,16],"datatype":"INT32","data":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}]}'
answer='{"model_name":"iris1_1","model_version":"1","id":"r1","parameters":{},"outputs":[{"name":"predict","shape":[1,1],"datatype":"INT64","parameters":{"content_type":"np"},"data":[2]}]}'
json=(-H 'content-type: application/json')
infer=/v2/models/iris1/infer

start now --service fixed:1ms --stamps "$tmp/stamps"
same "$(cat "$tmp/now.out")" "$(cat "$tmp/now.ports")" "printed and written addresses"
same "$envoy_http" "$envoy_grpc" "envoy has one port"
same "$pipelinegateway_http" "$modelgateway_http" "one gateway"

# envoy: by header, by path, both; over HTTP/2 too
get 200 "$envoy_http$infer" "${json[@]}" -d "$iris" -H 'x-request-id: a-1'
body_is "$answer"
head_has 'server: envoy'
head_has 'x-request-id: a-1'
head_has 'x-seldon-route: :iris1_1:'
get 200 "$envoy_http/v2/models/other/infer" "${json[@]}" -d "$iris" -H 'seldon-model: iris1'
body_is "$answer"
get 200 "$envoy_http$infer" --http2-prior-knowledge "${json[@]}" -d "$iris"
body_is "$answer"
head_has 'HTTP/2 200 '
get 404 "$envoy_http/v2/models/nope/infer" "${json[@]}" -d "$iris"
body_is ""
head_has 'connection: close'
get 404 "$envoy_http/v2/models/nope"
head_lacks connection
get 404 "$envoy_http/elsewhere"
get 404 "$envoy_http$infer" "${json[@]}" -d "$iris" -H 'seldon-model: iris1.model'
get 404 "$envoy_http$infer" "${json[@]}" -d "$iris" -H 'seldon-model: iris1' -H 'seldon-model: iris1'
get 404 "$envoy_http$infer" "${json[@]}" -d "$iris" -H 'x-seldon-route: :iris1_1:'
get 426 "$envoy_http$infer" --http1.0 "${json[@]}" -d "$iris"
body_is 'Upgrade Required'
get 400 "$envoy_http/v2/models/iris1/ready"
body_is 'Failed to get path termination for request: no valid marker found in path'
get 200 "$envoy_http/v2/models/x/infer" "${json[@]}" -d "$iris" -H 'seldon-model: iris1.pipeline' -H 'x-request-id: b-1'
head_has 'x-request-id: 0.iris1.b-1,b-1'
head_has 'x-seldon-route: :iris1.pipeline:'
head_has 'x-pipeline-version: 1'
get 200 "$envoy_http/v2/models/iris1.pipeline/infer" "${json[@]}" -d "$iris"

# rproxy: both headers, the internal one alone, none; the forced second run
get 200 "$rproxy_http$infer" "${json[@]}" -d "$iris" -H 'seldon-model: iris1' -H 'seldon-internal-model: iris1_1' -H 'x-request-id: c-1'
body_is "$answer"
head_has 'Server: uvicorn'
head_has 'X-Request-Id: c-1'
get 200 "$rproxy_http$infer" "${json[@]}" -d "$iris" -H 'seldon-internal-model: iris1_1'
get 404 "$rproxy_http$infer" "${json[@]}" -d "$iris"
body_is '{"error":"Model iris1 not found"}'
get 404 "$rproxy_http$infer" "${json[@]}" -d "$iris" -H 'seldon-internal-model: iris1_2'
body_is '404 page not found'
head_lacks x-request-id

# server: internal names only
get 200 "$server_http/v2/models/iris1_1/infer" "${json[@]}" -d "$iris"
body_is "$answer"
head_has 'server: uvicorn'
head_lacks x-request-id
get 404 "$server_http$infer" "${json[@]}" -d "$iris"
body_is '{"error":"Model iris1 not found"}'
get 422 "$server_http/v2/models/iris1_1/infer" "${json[@]}" -d '{"inputs":'
grep -q '^{"detail":\[' "$tmp/body" || fail "422 without detail: $(cat "$tmp/body")"
get 422 "$server_http/v2/models/iris1_1/infer" -H 'content-type: text/csv' -d "$iris"
get 405 "$server_http/v2/models/iris1_1/infer"
body_is '{"detail":"Method Not Allowed"}'
head_has 'allow: POST'
get 200 "$server_http/v2/health/ready"
get 200 "$server_http/v2/models/iris1_1/ready"
get 200 "$server_http/v2/models/tfsimple1_1/infer" "${json[@]}" -d "$simple"
grep -q '"name":"OUTPUT0".*"data":\[2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17\]' "$tmp/body" || fail "tfsimple adds: $(cat "$tmp/body")"
grep -q '"name":"OUTPUT1".*"data":\[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\]' "$tmp/body" || fail "tfsimple subtracts: $(cat "$tmp/body")"

# pipeline gateway
gateway="$pipelinegateway_http/v2/models/x/infer"
get 200 "$gateway" "${json[@]}" -d "$iris" -H 'seldon-model: iris1.pipeline' -H 'x-request-id: d-1' -H 'x-mine: 7'
body_is '{"model_name":"","outputs":[{"data":[2],"name":"predict","shape":[1,1],"datatype":"INT64","parameters":{"content_type":"np"}}]}'
head_has 'Content-Type: text/plain; charset=utf-8'
head_has 'X-Request-Id: 0.iris1.d-1'
head_has 'X-Request-Id: d-1'
head_has 'X-Mine: 7'
get 200 "$gateway" "${json[@]}" -d "$iris" -H 'seldon-model: iris1.model'
grep -q '"model_name":"iris1_1"' "$tmp/body" || fail "model by way of the gateway: $(cat "$tmp/body")"
get 400 "$gateway" "${json[@]}" -d "$iris"
get 400 "$gateway" "${json[@]}" -d 'no json' -H 'seldon-model: iris1.pipeline'
get 500 "$gateway" "${json[@]}" -d "$iris" -H 'seldon-model: unknown.pipeline'
get 424 "$pipelinegateway_http/v2/pipelines/iris1/ready"
get 404 "$pipelinegateway_http/v2/pipelines/unknown/ready"
get 200 "$pipelinegateway_http/ready"
get 404 "$pipelinegateway_http/v2/health/live"
stop now
grep -q '^standin: connections [0-9]*, requests 34, answered 34 ' "$tmp/now.err" || { fail "summary"; cat "$tmp/now.err"; }
same "$(grep -c ' envoy$' "$tmp/stamps")" 13 "stamps of envoy"
same "$(grep -v '^#' "$tmp/stamps" | awk '$1 <= 0 || $3 < $1 || $4 < 200' | wc -l)" 0 "stamps without times"

# the older release, and declared names
start old --release 2.8 --service fixed:0ms --models box=tfsimple:7 --models iris1=iris --pipeline two=iris1 --experiment ab=box,box
get 200 "$envoy_http/v2/models/iris1/ready"
get 200 "$envoy_http/v2/models/box/infer" "${json[@]}" -d "$simple"
grep -q '"model_name":"box_7"' "$tmp/body" || fail "declared version: $(cat "$tmp/body")"
get 404 "$envoy_http/v2/models/tfsimple1/infer" "${json[@]}" -d "$simple"
get 404 "$rproxy_http$infer" "${json[@]}" -d "$iris" -H 'seldon-internal-model: iris1_1'
get 200 "$pipelinegateway_http/v2/pipelines/two/ready"
get 404 "$pipelinegateway_http/ready"
get 200 "$envoy_http/v2/models/ab/infer" "${json[@]}" -d "$simple" -H 'seldon-model: ab.experiment'
head_has 'x-seldon-route: :box_7:'
get 200 "$pipelinegateway_http/v2/models/x/infer" "${json[@]}" -d "$iris" -H 'seldon-model: two.pipeline' -H 'x-request-id: e-1'
same "$(grep -c '^X-Request-Id: two.e-1$' "$tmp/head")" 1 "one id line"
stop old

finish
