#!/usr/bin/env bash
# bench.sh PROGRAM - measures PROGRAM beside wrk, h2load, hey and a bare client (wrk2 too where it is
# installed), prints the table, and keeps it in tests/bench/RESULTS.md; then captures from
# files beside tshark, and keeps that in tests/bench/RESULTS_CAPTURE.md; then replays into topics
# beside rdkafka_performance, and keeps that in tests/bench/RESULTS_KAFKA.md; then holds what replay
# reports against what a server stamped, and keeps that in tests/bench/RESULTS_TRUTH.md.
#
#   BENCH_QUICK=1   a rougher table in about two minutes; the files are left alone
#   BENCH_REPEATS=N repeats of each measurement (default 5; quick 3)
set -euo pipefail
cd "$(dirname "$0")/../.."
program=$(realpath "$1")
python3 tests/bench/bench.py "$program" "$(dirname "$program")/tests/bench"
python3 tests/bench/capture_bench.py "$program"
python3 tests/bench/kafka_bench.py "$program"
python3 tests/bench/truth.py "$program"
