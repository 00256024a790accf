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
# wait_for WHAT COMMAND...: until the command succeeds. No machine takes two minutes for what is
# waited for here, so a wait that runs out is a failure and ends the test.
wait_for() {
    local what=$1 end=$((SECONDS + 120)); shift
    until "$@"; do
        if [ "$SECONDS" -ge "$end" ]; then
            fail "waited two minutes for $what"
            tail -n 5 "$tmp"/*err 2>/dev/null
            finish
        fi
        sleep 0.02
    done
}
# Servers write their addresses to a file, which appears whole once they listen.
await_file() { wait_for "the file $1" test -s "$1"; }
await_ports() { await_file "$tmp/ports"; }
gone() { ! kill -0 "$1" 2>/dev/null; }
# Whether a run or a trace, as far as its file is written, holds more than so many records.
holds_outcomes() { # FILE COUNT
    [ "$("$REPRISE" trace info "$1" --json 2>/dev/null | jq ".operations > $2")" = true ]
}
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
# Whether a process has a packet socket that is bound and running: from then on packets are its.
captures() { # pid
    local fd inode
    for fd in /proc/"$1"/fd/*; do
        inode=$(readlink "$fd" 2>/dev/null) || continue
        inode=${inode#socket:[}
        awk -v i="${inode%]}" '$NF == i && $6 == 1 { found = 1 } END { exit !found }' \
            /proc/"$1"/net/packet 2>/dev/null && return
    done
    return 1
}
await_capture() { wait_for "a capture by process $1" captures "$1"; }
captures_or_gone() { captures "$1" || gone "$1"; }
# Skips where packets of lo may not be captured.
may_capture() {
    local probe status
    "$REPRISE" capture -i lo -d 1ms -o "$tmp/probe.trace" -f -q 2>"$tmp/probe.err" &
    probe=$!
    wait_for "a capture of lo, or why there is none" captures_or_gone "$probe"
    kill -INT "$probe" 2>/dev/null
    wait "$probe"
    status=$?
    [ "$status" -eq 0 ] || [ "$status" -eq 130 ] || { cat "$tmp/probe.err"; exit 77; }
}
finish() { [ "$failures" -eq 0 ]; exit $?; }
