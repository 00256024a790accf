#!/usr/bin/env bash
# Packets of a running Seldon Core in many variants (capture_variants.py says which and what
# must hold): what is told of them is right, or it is not told.
# one thread (see run.sh)
source "$(dirname "$0")/../cli/lib.sh"
need python3 zstd
data=$root/tests/data/scv2-captures
map=9000=envoy,9999=rproxy,9998=rproxy,8080=server,8081=server,9010=pipelinegateway,9011=pipelinegateway,9092=kafka
python3 "$root/tests/e2e/capture_variants.py" "$REPRISE" "$tmp" "$data/rest-200.pcap.zst=$map" \
    "$data/grpc-200.pcap.zst=$map" "$data/pipeline-start.pcap.zst=$map" >"$tmp/said" || fail "$(cat "$tmp/said")"
same "$(tail -n 1 "$tmp/said")" "186 variants"
finish
