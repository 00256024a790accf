#!/usr/bin/env bash
# fuzz.sh BUILD SECONDS [NAME...] - searches with libFuzzer for inputs that break a parser,
# SECONDS for each target (all of them, or those named). Starts from tests/fuzz/corpus; what
# it finds interesting goes to BUILD/corpus and is used the next time. An input that breaks
# something is left in BUILD/broken: mend the fault, then add the input to tests/fuzz/corpus.
set -u
cd "$(dirname "$0")/../.." || exit
build=$1 seconds=$2
shift 2
if [ $# -eq 0 ]; then
    for target in tests/fuzz/fuzz_*.c; do
        target=$(basename "$target" .c)
        set -- "$@" "${target#fuzz_}"
    done
fi
mkdir -p "$build/broken"
broken=0
for name in "$@"; do
    found="$build/corpus/$name"
    log="$build/fuzz_$name.log"
    mkdir -p "$found"
    if "$build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=10 \
        -rss_limit_mb=2048 -artifact_prefix="$build/broken/$name-" \
        "$found" "tests/fuzz/corpus/$name" >"$log" 2>&1; then
        echo "ok    $name: $(sed -n 's/^Done \([0-9]* runs in [0-9]*\) second.*/\1 s/p' "$log")"
    else
        broken=$((broken + 1))
        echo "FAIL  $name: see $log"
        grep -E '^(==|SUMMARY|artifact_prefix)|Test unit written' "$log" | sed 's/^/      /'
    fi
done
[ "$broken" -eq 0 ]
