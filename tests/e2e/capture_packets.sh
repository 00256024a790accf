#!/usr/bin/env bash
# Packets of a running Seldon Core, as tshark decodes them and as the trace tells them: the
# frames of Kafka, and the time of each record.
# one thread (see run.sh)
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
need tshark zstd
cd "$tmp" || exit 1
zstd -dqc "$root/tests/data/scv2-captures/pipeline-start.pcap.zst" >p.pcap
expect 0 "$REPRISE" capture -r p.pcap --map compose -o p.trace --json
cp out capture.json
expect 0 "$REPRISE" trace cat --jsonl p.trace
cp out p.jsonl

shark() { tshark -r p.pcap "$@" 2>/dev/null; }
# Requests by api: as many as tshark sees, and as many records as there were Produce requests.
shark -Y 'kafka.api_key && tcp.dstport == 9092' -T fields -e kafka.api_key | tr ',' '\n' | sort | uniq -c |
    awk '{print $2, $1}' >apis
same "$(awk '{n += $2} END {print n}' apis)" "$(jq .kafka.requests capture.json)" "requests to Kafka"
same "$(awk '$1 == 0 {print $2}' apis)" "$(jq '.kafka.inputs + .kafka.outputs' capture.json)" "records produced"

# Each leg on Kafka begins with a Produce frame, and ends with one.
epoch=$("$REPRISE" trace info --json p.trace | jq -r '.notes["capture.epoch_ns"]')
shark -Y 'kafka.api_key == 0 && tcp.dstport == 9092' -T fields -e frame.time_epoch | tr -d . | sort >produced
jq -r --arg epoch "$epoch" 'select(.tier == "kafka") | [.arrival_ns, .arrival_ns + (.last_ns // 0)] | unique[]' p.jsonl |
    awk -v epoch="$epoch" '{printf "%s%09d\n", substr(epoch, 1, 10) + int(($1 + substr(epoch, 11)) / 1e9),
        ($1 + substr(epoch, 11)) % 1e9}' | sort >told
same "$(comm -13 produced told | wc -l)" 0 "times of records that are of no Produce frame"
same "$(sort -u told | wc -l)" "$(sort -u produced | wc -l)" "Produce frames that are a request or an answer"

# Every record of a real client, in each of Kafka's codecs, byte for byte as tshark inflates it.
zstd -dqc "$root/tests/data/kafka-wire/codecs.pcap.zst" >codecs.pcap
expect 0 "$REPRISE" capture -r codecs.pcap --map 39813=kafka -o codecs.trace --quiet
expect 0 "$REPRISE" trace cat --jsonl codecs.trace
for topic in inputs:body outputs:answer; do
    tshark -r codecs.pcap -d tcp.port==39813,kafka -Y "kafka.api_key == 0 && kafka.topic_name contains \"${topic%:*}\"" \
        -T fields -e kafka.message_value 2>/dev/null | tr ',' '\n' | grep . | sort >shark.values
    jq -r --arg key "${topic#*:}" '.[$key].text | @base64' out |
        while read -r value; do base64 -d <<<"$value" | od -An -v -tx1 | tr -d ' \n'; echo; done | sort >our.values
    same "$(wc -l <shark.values)" 100 "records of ${topic%:*} that tshark read"
    cmp -s shark.values our.values || fail "values of ${topic%:*} differ from tshark's"
done

# What each leg of REST took, as tshark has it: from a request's frame to its answer's last.
for tier in 9000:envoy 9010:pipelinegateway; do
    shark -d "tcp.port==${tier%:*},http" -Y "http.response && tcp.srcport == ${tier%:*}" -T fields -e http.time |
        awk '{printf "%d\n", $1 * 1e6 + 0.5}' | sort -n >shark.times
    "$REPRISE" trace legs p.trace --calls | jq --arg tier "${tier#*:}" \
        '.legs[] | select(.tier == $tier and .protocol == "rest" and .took_ns) | .took_ns / 1000' | sort -n >our.times
    [ -s shark.times ] || fail "tshark saw no answers of ${tier#*:}"
    cmp -s shark.times our.times || fail "times at ${tier#*:}: $(diff shark.times our.times | head -5)"
    "$REPRISE" report p.trace --json | jq --arg tier "${tier#*:}" \
        '.legs[] | select(.tier == $tier and .protocol == "rest") | .p50_ns / 1000' >p50
    same "$(cat p50)" "$(awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}' shark.times)" "p50 at ${tier#*:}"
done
# Of gRPC, from the first HEADERS frame to the end of the trailers, on the legs with an id.
shark -d tcp.port==9998,http2 -Y 'tcp.port == 9998 && http2.streamid > 0' -T fields -e tcp.stream -e http2.streamid \
    -e frame.time_epoch -e tcp.dstport | awk '{split($2, id, ","); key = $1 " " id[1];
        if ($4 == 9998 && !(key in from)) from[key] = $3; else if ($4 != 9998) to[key] = $3}
        END {for (k in to) if (k in from) printf "%d\n", (to[k] - from[k]) * 1e6 + 0.5}' | sort -n >shark.times
"$REPRISE" trace legs p.trace --calls | jq '.legs[] | select(.tier == "rproxy" and .took_ns) | .took_ns / 1000' |
    sort -n >our.times
# tshark joins fewer of these connections midway.
[ "$(wc -l <shark.times)" -gt 20 ] || fail "tshark saw few calls at rproxy"
same "$(comm -23 <(sort shark.times) <(sort our.times))" "" "times at rproxy that only tshark has"
finish
