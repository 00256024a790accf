#!/usr/bin/env bash
# Packets of a running Seldon Core, as tshark decodes them and as the trace tells them: the
# frames of Kafka, and the time of each record.
source "$(dirname "$0")/../cli/lib.sh"
for tool in tshark zstd; do
    command -v "$tool" >/dev/null || { echo "$tool is not installed"; exit 77; }
done
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
finish
