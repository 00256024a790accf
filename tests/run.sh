#!/usr/bin/env bash
# run.sh BUILD KIND... - runs the quick tests of the given kinds against one build folder.
#   unit  tests/unit/test_*.c          cli  tests/cli/*.sh
#   fuzz  corpora of tests/fuzz        e2e  tests/e2e/*.sh
# Silence and exit status 0 is a pass; the output of a failed test is shown whole. A script
# that exits 77 was skipped and must have said why. ThreadSanitizer does not get the scripts that
# say `# one thread`: all that they run has but one. Each has TEST_TIMEOUT (600) seconds, far more
# than any needs. Ends with the slowest tests and "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/.." || exit 1
build=$1; shift
export REPRISE="$PWD/$build/reprise" BUILD="$PWD/$build"
passed=0 failed=0 skipped=0
out=$(mktemp) times=$(mktemp) && trap 'rm -f "$out" "$times"' EXIT

one() { # name command...
    local name=$1 status start=${EPOCHREALTIME/[.,]/} took; shift
    timeout "${TEST_TIMEOUT:-600}" "$@" >"$out" 2>&1 </dev/null
    status=$?
    took=$(((${EPOCHREALTIME/[.,]/} - start) / 100000))
    took=$((took / 10)).$((took % 10))
    echo "$took $name" >>"$times"
    case $status in
    0) passed=$((passed + 1)); echo "ok    $name ($took s)" ;;
    77) skipped=$((skipped + 1)); echo "skip  $name: $(tail -n 1 "$out")" ;;
    *) failed=$((failed + 1)); echo "FAIL  $name (exit $status, $took s)"; sed 's/^/      /' "$out" ;;
    esac
}

mode=$(basename "$build"); cc=gcc
case $mode in *-clang) mode=${mode%-clang}; cc=clang ;; esac
quiet_make() { make -s --no-print-directory MODE="$mode" CC="$cc" "$@"; }

for kind in "$@"; do
    case $kind in
    unit)
        quiet_make unit-tests || exit 1
        for t in tests/unit/test_*.c; do
            t=$(basename "$t" .c)
            one "unit/$t" "$build/tests/unit/$t"
        done ;;
    fuzz)
        quiet_make fuzzers || exit 1
        for t in tests/fuzz/fuzz_*.c; do
            t=$(basename "$t" .c)
            one "fuzz/$t" "$build/tests/fuzz/$t" "tests/fuzz/corpus/${t#fuzz_}"
        done ;;
    cli | e2e)
        for t in tests/"$kind"/*.sh; do
            case $t in */lib.sh | *'*'*) continue ;; esac # the glob itself: no such tests
            [ "$mode" = tsan ] && grep -q '^# one thread' "$t" && continue
            one "$kind/$(basename "$t" .sh)" bash "$t"
        done ;;
    *) echo "run.sh: unknown kind '$kind'" >&2; exit 64 ;;
    esac
done
echo
echo "slowest: $(sort -rn "$times" | head -n 5 | sed 's/\([^ ]*\) \(.*\)/\2 \1 s/' | paste -sd, | sed 's/,/, /g')"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
