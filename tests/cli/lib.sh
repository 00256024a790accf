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
# need TOOL...: skips the test where one is not installed, unless REPRISE_REQUIRE_TOOLS=1 says
# that all are there. lack WHAT does so for what is no program.
lack() {
    echo "$* is not installed"
    [ "${REPRISE_REQUIRE_TOOLS:-0}" = 1 ] && exit 1
    exit 77
}
need() {
    local tool
    for tool in "$@"; do command -v "$tool" >/dev/null || lack "$tool"; done
}
# Skips where packets of lo may not be captured.
may_capture() {
    local probe status
    "$REPRISE" capture -i lo -d 1ms -o "$tmp/probe.trace" -f -q 2>"$tmp/probe.err" &
    probe=$!
    sleep 0.3
    kill -INT "$probe" 2>/dev/null
    wait "$probe"
    status=$?
    [ "$status" -eq 0 ] || [ "$status" -eq 130 ] || { cat "$tmp/probe.err"; exit 77; }
}
# Whether a process has a packet socket that is bound and running.
captures() { # pid
    local fd inode
    for fd in /proc/"$1"/fd/*; do
        inode=$(readlink "$fd" 2>/dev/null) || continue
        inode=${inode#socket:[}
        awk -v i="${inode%]}" '$NF == i && $6 == 1 { found = 1 } END { exit !found }' \
            /proc/net/packet && return
    done
    return 1
}
finish() { [ "$failures" -eq 0 ]; exit $?; }
