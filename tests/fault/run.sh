#!/usr/bin/env bash
# run.sh BUILD [NAME...] - runs the fault tests (tests/fault/NAME.sh, all by default): those
# that say `# alone` one after the other, since they judge times or load a processor; before
# them the others, as many at once as there are processors. Each has TEST_TIMEOUT (600)
# seconds. As for other tests, silence and 0 is a pass, 77 a skip that says why on its last
# line. Ends with "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/../.." || exit 1
build=$1; shift
export REPRISE="$PWD/$build/reprise" BUILD="$PWD/$build"
results=$(mktemp -d) && trap 'rm -rf "$results"' EXIT

together=() apart=()
for t in tests/fault/*.sh; do
    name=$(basename "$t" .sh)
    case $name in lib | run) continue ;; esac
    [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
    if grep -q '^# alone' "$t"; then apart+=("$name"); else together+=("$name"); fi
done

one() { # NAME: its output, its status and its seconds become files
    local start=$SECONDS
    timeout -k 10 "${TEST_TIMEOUT:-600}" bash "tests/fault/$1.sh" >"$results/$1.out" 2>&1 </dev/null
    echo $? >"$results/$1.status"
    echo $((SECONDS - start)) >"$results/$1.seconds"
}
tell() { # NAME
    local status took
    status=$(cat "$results/$1.status" 2>/dev/null || echo "lost")
    took=$(cat "$results/$1.seconds" 2>/dev/null)
    case $status in
    0) passed=$((passed + 1)); echo "ok    fault/$1 ($took s)" ;;
    77) skipped=$((skipped + 1)); echo "skip  fault/$1: $(tail -n 1 "$results/$1.out")" ;;
    *) failed=$((failed + 1)); echo "FAIL  fault/$1 (exit $status, $took s)"; sed 's/^/      /' "$results/$1.out" ;;
    esac
}

passed=0 failed=0 skipped=0
for name in "${together[@]:-}"; do
    [ -n "$name" ] || continue
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
    one "$name" &
done
wait
for name in "${together[@]:-}"; do [ -z "$name" ] || tell "$name"; done
for name in "${apart[@]:-}"; do [ -z "$name" ] || { one "$name"; tell "$name"; }; done
echo
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
