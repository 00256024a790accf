# shellcheck shell=bash disable=SC2034  # what is not used here is for the scripts
# lib.sh - sourced by the scripts of tests/cli and tests/e2e. $REPRISE is the program.
# A scratch folder, and checks that say what was wanted and what came.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tmp=$(mktemp -d)
pids=()
cleanup() {
    local pid
    for pid in "${pids[@]:-}"; do
        [ -n "$pid" ] && kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
    done
    rm -rf "$tmp"
}
trap cleanup EXIT
failures=0
# Tests are right or wrong at any speed: on a busy machine a run may be INVALID.
export REPRISE_INVALID=pass
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }

# expect STATUS COMMAND...: runs it with output in $tmp/out and $tmp/err.
expect() {
    local want=$1 got; shift
    "$@" >"$tmp/out" 2>"$tmp/err"
    got=$?
    if [ "$got" -ne "$want" ]; then
        fail "exit $got, wanted $want: $*"
        head -n 20 "$tmp/out" "$tmp/err"
    fi
}
out_has() { grep -qF -- "$1" "$tmp/out" || { fail "stdout lacks: $1"; head -n 20 "$tmp/out"; }; }
err_has() { grep -qF -- "$1" "$tmp/err" || { fail "stderr lacks: $1"; head -n 20 "$tmp/err"; }; }
same() { [ "$1" = "$2" ] || fail "got '$1', wanted '$2'${3:+ ($3)}"; }
finish() { [ "$failures" -eq 0 ]; exit $?; }
