#!/usr/bin/env bash
# deps.sh SET - installs the Debian packages of a set that are missing; does nothing when
# all are there. Sets: build (program and demo), check, fuzz, bench.
set -euo pipefail

build="gcc make pkg-config libzstd-dev libxxhash-dev libjansson-dev libnghttp2-dev libcurl4-openssl-dev libssl-dev libprotobuf-c-dev libpcap-dev librdkafka-dev zlib1g-dev"
check="$build libcmocka-dev python3 python3-xxhash python3-zstandard zstd openssl curl jq iproute2"
fuzz="$build clang libclang-rt-14-dev"
bench="$build python3 wrk nghttp2-client hey nginx-light tshark"
ci="$check $fuzz nghttp2-client wrk tshark wireshark-common python3-grpcio python3-h2 python3-prometheus-client clang-format protobuf-c-compiler protobuf-compiler python3-venv libpython3.11 shellcheck default-jre-headless maven"

case "${1:-}" in
build) wanted=$build ;;
check) wanted=$check ;;
fuzz) wanted=$fuzz ;;
bench) wanted=$bench ;;
ci) wanted=$ci ;;
*) echo "usage: $0 build|check|fuzz|bench|ci" >&2; exit 64 ;;
esac

missing=()
for package in $wanted; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "deps: please install: ${missing[*]}" >&2; exit 69; }
    as_root=sudo
fi
echo "deps: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
$as_root apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
