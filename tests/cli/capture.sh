#!/usr/bin/env bash
# reprise capture on the command line: real packets of SCv2 2.10.2, redaction, coverage,
# statuses and messages.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$tmp" || exit 1
data=$root/tests/data/scv2-captures
map=9000=envoy,9999=rproxy,9998=rproxy,8080=server,8081=server
map+=,9010=pipelinegateway,9011=pipelinegateway,9092=kafka

expect 0 "$REPRISE" capture --help
out_has "reprise capture"
for command in "capture -r x" "capture -o x" "capture -i lo -r x -o y" "capture --kafka b -r x -o y" \
    "capture -r x -o y --map 9000=nowhere" "capture -r x -o y --bodies some" \
    "capture -r x -o y --keep-header Authorization" "capture -r x -o y --memory 1MiB" \
    "capture -r x -o - --json" "capture -r x -o y --min-coverage 2"; do
    # shellcheck disable=SC2086  # words on purpose
    expect 64 "$REPRISE" $command
done
for command in "--map k8s" "--until noon" "--from noon" "--kafka-option group.id=x" \
    "--kafka-option security.protocol" "--kafka-option sasl.password=hush" "--kafka-timeout 0" \
    "--ring 1MiB"; do
    # shellcheck disable=SC2086  # words on purpose
    expect 64 "$REPRISE" capture --kafka 127.0.0.1:1 -o x $command
done
expect 64 "$REPRISE" capture -r x -o y --from beginning
err_has "--from is for --kafka"
expect 69 "$REPRISE" capture --kafka 127.0.0.1:1 -o x --kafka-timeout 300ms
err_has "Kafka: list of topics"
expect 74 "$REPRISE" capture -r nosuch.pcap -o x
expect 65 "$REPRISE" capture -r "$data/README.md" -o x
[ -e x ] && fail "a refused capture left a file"

# Every call on each leg, with tier, status, model, body, answer and latency.
legs() { # TRACE: "tier protocol resource name type status grpc_status" with counts
    "$REPRISE" trace cat --jsonl "$1" | jq -r '
        select(.body.bytes > 0 and .answer.bytes > 0 and .first_ns > 0 and .last_ns >= .first_ns
            and (.body | has("text") or has("base64"))) |
        [.tier, .protocol, .resource, .name, .model_type // "-", .status, .grpc_status // "-"] |
        join(" ")' | sort | uniq -c | sed 's/^ *//'
}
expect 0 "$REPRISE" capture -r "$data/rest-200.pcap.zst" --map "$map" -o rest.trace --json
same "$(jq -c '[.operations, .coverage, .requests.inferred, .complete]' out)" '[600,1,0,true]' rest
same "$(legs rest.trace)" "200 envoy rest model iris iris 200 -
200 rproxy rest model iris iris 200 -
200 server rest model iris iris 200 -" "legs of REST"
# Cut into files, as tcpdump -C does: connections go on from each to the next.
python3 - "$data/rest-200.pcap.zst" <<'EOP'
import subprocess, sys
data = subprocess.run(["zstd", "-dqc", sys.argv[1]], capture_output=True, check=True).stdout
at, packets = 24, []
while at < len(data):
    n = 16 + int.from_bytes(data[at + 8 : at + 12], "little")
    packets.append(data[at : at + n])
    at += n
for i in range(3):
    part = packets[i * len(packets) // 3 : (i + 1) * len(packets) // 3]
    open(f"part{i}.pcap", "wb").write(data[:24] + b"".join(part))
EOP
expect 0 "$REPRISE" capture -r part0.pcap -r part1.pcap -r part2.pcap --map "$map" -o parts.trace --json
same "$(jq -c '[.operations, .coverage, .requests.inferred]' out)" '[600,1,0]' "several files"
for trace in rest parts; do
    "$REPRISE" trace info "$trace.trace" --json | jq -r .hash >"$trace.hash"
done
cmp rest.hash parts.hash || fail "several files are not as one"
"$REPRISE" trace info parts.trace --json | grep -q 'file part0.pcap and 2 more' || fail "the note of several files"
expect 74 "$REPRISE" capture -r part0.pcap -r nosuch.pcap --map "$map" -o none.trace
err_has "nosuch.pcap"
[ -e none.trace ] && fail "a file that is not there was found too late"
head -c 5000 part1.pcap >torn.pcap
expect 65 "$REPRISE" capture -r part0.pcap -r torn.pcap -r part2.pcap --map "$map" -o torn.trace
err_has "reading 'torn.pcap'"
expect 64 "$REPRISE" capture -r part0.pcap -r part1.pcap -o part1.pcap -f
# Stored or compressed: the same operations.
expect 0 "$REPRISE" capture -r "$data/rest-200.pcap.zst" --map "$map" -o stored.trace --store -q
[ "$(stat -c %s stored.trace)" -gt $((2 * $(stat -c %s rest.trace))) ] || fail "--store compresses"
zstd -t -q stored.trace || fail "a stored trace is not legal zstd"
for trace in rest stored; do
    "$REPRISE" trace info "$trace.trace" --json | jq -r .hash >"$trace.hash"
done
cmp rest.hash stored.hash || fail "--store changes what is recorded"

expect 0 "$REPRISE" capture -r "$data/grpc-200.pcap.zst" --map "$map" -o grpc.trace --json
same "$(jq -c '[.operations, .coverage, .requests.passed, .complete]' out)" '[600,1,1,true]' grpc
same "$(legs grpc.trace)" "200 envoy grpc model iris iris 200 0
200 rproxy grpc model iris iris 200 0
200 server grpc model iris iris 200 0" "legs of gRPC, of which most connections were joined midway"

# A file as tcpdump and gzip leave it, also on standard input.
zstd -dcq "$data/grpc-200.pcap.zst" | gzip >grpc.pcap.gz
expect 0 "$REPRISE" capture -r grpc.pcap.gz --map "$map" -o gzip.trace -q
expect 0 "$REPRISE" capture -r - --map "$map" -o piped.trace -q <grpc.pcap.gz
for trace in grpc gzip piped; do
    "$REPRISE" trace info "$trace.trace" --json | jq -r .hash >"$trace.hash"
done
{ cmp grpc.hash gzip.hash && cmp grpc.hash piped.hash; } || fail "in gzip it is another capture"
head -c 5000 grpc.pcap.gz >cut.pcap.gz
expect 65 "$REPRISE" capture -r cut.pcap.gz --map "$map" -o short.trace
err_has "compressed data ends early"

# Ports that the map forgot are named.
expect 0 "$REPRISE" capture -r "$data/grpc-200.pcap.zst" --map 9000=envoy -o some.trace --json
same "$(jq -c '[.operations, .requests.passed, .requests.unmapped]' out)" \
    '[200,401,{"9998":200,"8081":201}]' "what has no tier"
err_has "no tier     for the requests to port 9998: 200, 8081: 201; --map PORT=TIER names one"

# The bytes add up, in each direction and file.
for name in rest-200 grpc-200 pipeline-start; do
    expect 0 "$REPRISE" capture -r "$data/$name.pcap.zst" --map "$map" -o y.trace -f --json
    same "$(jq -c '[.bytes[] | .unexplained, .pending,
        .seen - .records - .passed - .lost - .framing - .gaps - .opaque - .shed - .unread
        - .duplicates - .stray - .pending]' out)" '[0,0,0,0,0,0]' "$name adds up"
    expect 0 "$REPRISE" trace verify y.trace
done

# A pipeline of one step: its legs, those on Kafka among them, read from the packets. The
# file ends within the 28th call.
expect 0 "$REPRISE" capture -r "$data/pipeline-start.pcap.zst" --map compose -o pipe.trace --json
same "$(jq -c '[.coverage, .kafka.inputs, .kafka.outputs, .kafka.responses_unmatched,
    .kafka.batches_of_unknown_topic, .kafka.topic_ids_matched]' out)" '[1,56,54,0,0,4]' "Kafka on the wire"
expect 0 "$REPRISE" trace cat --jsonl pipe.trace
same "$(jq -r 'select(.tier == "kafka") | [.protocol, .resource, .name, .path, .status] | join(" ")' out |
    sort | uniq -c | sed 's/^ *//; s/ *$//')" "1 kafka model iris seldon.default.model.iris.inputs
27 kafka model iris seldon.default.model.iris.inputs 200
1 kafka pipeline irispipe seldon.default.pipeline.irispipe.inputs
27 kafka pipeline irispipe seldon.default.pipeline.irispipe.inputs 200" "legs on Kafka"
same "$(jq -r 'select(.tier == "kafka" and .id == "pcap-0003") | [.body.bytes, .answer.bytes] | join(" ")' out)" \
    "41 49
41 60" "bodies on Kafka"

# A client of Kafka that no one here wrote, with each of its codecs: 20 calls each, with the same
# bodies whatever the codec was. What is fetched afterwards was seen before.
expect 0 "$REPRISE" capture -r "$root/tests/data/kafka-wire/codecs.pcap.zst" --map 39813=kafka -o codecs.trace --json
same "$(jq -c '[.coverage, .requests.recorded, .kafka.batches, .kafka.batches_again, .kafka.records]' out)" \
    '[1,100,15,5,200]' "what a client of Kafka sent"
expect 0 "$REPRISE" trace cat --jsonl codecs.trace
same "$(jq -r '[(.id | sub("-.*"; "")), .status, .content_type] | join(" ")' out | sort | uniq -c | sed 's/^ *//')" \
    "$(printf '20 %s 200 application/json\n' gzip lz4 none snappy zstd)" "calls by codec"
for codec in gzip lz4 snappy zstd; do
    same "$(jq -r "select(.id | startswith(\"$codec-\")) | .body.text + .answer.text" out | sha256sum)" \
        "$(jq -r 'select(.id | startswith("none-")) | .body.text + .answer.text' out | sha256sum)" "bodies of $codec"
done

# A real broker, and clients that speak old and new versions: magic 0 in, and out again in other
# formats. Each record once, whatever it was produced and fetched as.
expect 0 "$REPRISE" capture -r "$root/tests/data/kafka-wire/broker.pcap.zst" --map 54163=kafka -o broker.trace --json
same "$(jq -c '[.coverage, .requests.recorded, .requests.unanswered, (.kafka |
    .batches, .batches_again, .batches_old_format, .batches_cut, .batches_late, .records)]' out)" \
    '[1,125,0,185,137,102,4,0,250]' "a real broker"
expect 0 "$REPRISE" trace cat --jsonl broker.trace
for client in 0.9.0.1 0.10.0.0 new; do
    for codec in none gzip snappy lz4; do
        same "$(jq -r "select(.id | startswith(\"$client-$codec-\")) | .body.text + .answer.text" out | sha256sum)" \
            "$(jq -r 'select(.id | startswith("new-none-")) | .body.text + .answer.text' out | sha256sum)" "$client, $codec"
    done
done
same "$(jq -r 'select(.id | startswith("j")) | .body.text' out | sort | tail -n 1)" '{"inputs":[],"n":5}' "Java's producer"

# The pipeline's calls, taken apart by tier. Six legs at envoy have an id that was a number in a table
# from before the capture: their message tells it.
expect 0 "$REPRISE" report pipe.trace --json
same "$(jq -c '[.calls, .single, .without_id, .matched, ([.legs[] | .tier, .resource, .count])]' out)" \
    '[28,0,0,6,["envoy","pipeline",28,"pipelinegateway","pipeline",28,"kafka","pipeline",28,"kafka","model",28,"envoy","model",28,"rproxy","model",28]]' \
    "the legs of a pipeline"
same "$(jq '[.legs[].share] | add | . > 0.999999 and . < 1.000001' out)" true "shares"
expect 0 "$REPRISE" report pipe.trace
out_has "pipelinegateway  rest     pipeline"
expect 64 "$REPRISE" report pipe.trace --html x.html
err_has "is a trace: --html and --warmup are for runs"
expect 64 "$REPRISE" report pipe.trace pipe.trace
# Each call of its own: what its legs own adds up to what it took.
expect 0 "$REPRISE" trace legs pipe.trace --calls
same "$(jq -s '[length, ([.[] | select(.legs | all(.took_ns)) | .took_ns - ([.legs[].own_ns] | add)] | unique)]' out |
    tr -d ' \n')" "[28,[0]]" "what is its own adds up"
expect 64 "$REPRISE" trace legs pipe.trace --calls --json

# The same input gives the same bytes, also through pipes.
"$REPRISE" capture -r - --map "$map" -q -o - <"$data/rest-200.pcap.zst" >piped.trace || fail "pipes"
expect 0 "$REPRISE" trace cat --jsonl rest.trace; mv out a
expect 0 "$REPRISE" trace cat --jsonl piped.trace
cmp -s a out || fail "through pipes it is another trace"

# Legs of one call are put together by its id, though most connections hide its name.
expect 0 "$REPRISE" trace legs grpc.trace --json
same "$(jq -c '[.calls, .single, .without_id, ([.legs[] | .tier, .count])]' out)" \
    '[200,0,0,["envoy",200,"rproxy",200,"server",200]]' legs
expect 0 "$REPRISE" trace legs grpc.trace --id pcap-0007
same "$(tail -n +2 out | awk '{print $1}' | tr '\n' ' ')" "envoy rproxy server " "legs of one id"

expect 0 "$REPRISE" trace info grpc.trace --id pcap-0007
same "$(tail -n +2 out | awk '{print $1}' | tr '\n' ' ')" "envoy rproxy server " "the same from info"
expect 64 "$REPRISE" trace info grpc.trace --id nosuch
err_has "has no call 'nosuch' at more than one tier"
expect 0 "$REPRISE" trace info grpc.trace
out_has "coverage    100 %: 600 requests recorded, 0 lost"
out_has "            requests   inferred 181, opaque"
grep -qE ' 0(,|$)' out && fail "counts of nothing in a text for people"
grep -q coverage.series out && fail "rows of seconds in a text for people"

# What is not asked for does not reach the disk.
expect 0 "$REPRISE" capture -r "$data/rest-200.pcap.zst" --map 9000=envoy -o - -q
zstd -q -dc <out >plain 2>/dev/null
for word in user-agent h3-drive Host 127.0.0.1 x-seldon-route:; do
    grep -qai -- "$word" plain && fail "the trace holds $word"
done
expect 0 "$REPRISE" capture -r "$data/rest-200.pcap.zst" --map 9000=envoy -o z.trace -f \
    --keep-header user-agent --bodies shape -q
expect 0 "$REPRISE" trace cat --jsonl z.trace
same "$(head -n 1 out | jq -c '[.headers[] | select(.[0] == "user-agent") | .[1]]')" '["h3-drive/1"]'
same "$(jq -c .flags out | sort -u)" '["redacted"]' shape
same "$(jq -r '.body.text | fromjson | .inputs[0].data | flatten | add' out | sort -u)" 0 "zeros"
same "$(jq -r '.body.bytes' out | sort -u)" 117 "sizes stay"
expect 0 "$REPRISE" capture -r "$data/rest-200.pcap.zst" --map 9000=envoy -o z.trace -f --bodies hash -q
expect 0 "$REPRISE" trace cat --jsonl z.trace
same "$(jq -c '.body | has("text") or has("base64")' out | sort -u)" false "hashed"

# A file that was cut off: what came before is in the trace, and it is said.
zstd -q -dc "$data/rest-200.pcap.zst" | head -c 300000 >cut.pcap
expect 65 "$REPRISE" capture -r cut.pcap --map "$map" -o cut.trace
err_has "cut.trace: "
expect 0 "$REPRISE" trace info cut.trace
out_has "the input is damaged or cut off"
# Packets that are missing: the coverage says so, and so does who replays it.
python3 - cut.pcap gaps.pcap <<'PY'
import struct, sys
data = open(sys.argv[1], "rb").read()
out, at, n = data[:24], 24, 0
while at + 16 <= len(data):
    size = struct.unpack("<I", data[at + 8:at + 12])[0]
    if at + 16 + size > len(data):
        break
    n += 1
    if n < 100 or n % 7:
        out += data[at:at + 16 + size]
    at += 16 + size
open(sys.argv[2], "wb").write(out)
PY
expect 3 "$REPRISE" capture -r gaps.pcap --map "$map" -o gaps.trace --min-coverage 0.999 --json
same "$(jq -c '.coverage < 0.95 and .coverage > 0.5 and .bytes.to_server.gaps > 0 and
    .bytes.to_server.unexplained == 0 and .bytes.to_client.unexplained == 0' out)" true gaps
err_has "is below --min-coverage 0.999"
expect 69 "$REPRISE" replay gaps.trace --tier envoy --http 127.0.0.1:1 -o gaps.run
err_has "the trace does not hold all that happened: coverage"

# An input without a packet makes a trace of nothing, without a coverage.
head -c 24 cut.pcap >empty.pcap
expect 0 "$REPRISE" capture -r empty.pcap -o empty.trace
err_has "coverage    nothing was seen"
expect 0 "$REPRISE" trace info --json empty.trace
same "$(jq -c '[.operations, .complete, .notes["coverage.share"]]' out)" '[0,true,null]' empty
finish
