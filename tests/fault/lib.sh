# shellcheck shell=bash
# lib.sh - sourced by the scripts of tests/fault, beside what tests/cli/lib.sh has: a target
# that fails on purpose, a replay against it, and what the run's report must say.
#
# shellcheck source=../cli/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../cli/lib.sh"
here=$(dirname "${BASH_SOURCE[0]}")
tier=server # of whoever is there to be replayed against

# own_namespace: runs the calling script anew in a network and mount namespace
# of its own, whose loopback is up; returns there. What is done to network and mounts ends
# with the script. Exits 77 where the machine does not allow that.
own_namespace() {
    local options=(--net --mount)
    if [ "${REPRISE_NAMESPACE:-}" = "$0" ]; then
        ip link set lo up
        return
    fi
    [ "$(id -u)" -eq 0 ] || options+=(--map-root-user)
    if ! unshare "${options[@]}" true 2>"$tmp/err"; then
        echo "no namespaces here: $(head -n 1 "$tmp/err")"
        exit 77
    fi
    REPRISE_NAMESPACE=$0 unshare "${options[@]}" bash "$0"
    exit $?
}

# Each starts a server, whose process is $server: the stand-in, or the scripted peer. The stand-in is of
# a tier that closes no connection for being idle, whatever a machine takes between two requests on it.
standin() { # OPTION...
    tier=rproxy
    rm -f "$tmp/ports"
    "$REPRISE" standin --tier rproxy --http 127.0.0.1:0 --grpc 127.0.0.1:0 \
        --ports "$tmp/ports" --quiet "$@" >/dev/null 2>"$tmp/server.err" &
    server=$!
    pids+=("$server")
    await_ports
}
peer() { # PROTOCOL OPTION...
    tier=server
    rm -f "$tmp/ports" "$tmp/summary"
    python3 "$here/peer.py" "$@" --ports "$tmp/ports" --summary "$tmp/summary" \
        2>"$tmp/server.err" &
    server=$!
    pids+=("$server")
    await_ports
}
end_server() {
    local pid others=()
    kill "$server"
    wait "$server" 2>/dev/null
    for pid in "${pids[@]}"; do [ "$pid" = "$server" ] || others+=("$pid"); done
    pids=("${others[@]:-}")
}
at() { sed -n "s/^$tier.$1=//p" "$tmp/ports"; }

synth() { # OPTION...: $tmp/t.trace, REST, 400 operations within a second unless told otherwise
    expect 0 "$REPRISE" synth -o "$tmp/t.trace" --force --model-type iris --values random --batch 4 \
        --arrivals constant --rate 400 --count 400 --duration 1h --protocol rest --seed 7 \
        --quiet "$@"
}
# replay STATUS OPTION...: replays $tmp/t.trace; its report goes to $tmp/report.
replay() {
    local status=$1
    shift
    expect "$status" "$REPRISE" replay "$tmp/t.trace" --tier "$tier" --http "$(at http)" \
        --grpc "$(at grpc)" -o "$tmp/x.run" --force --quiet "$@"
    report
}
# In the background; $replayer is its process. `replayed STATUS` waits for it.
start_replay() { # OPTION...
    rm -f "$tmp/x.run" # an earlier one's outcomes are waited for by nobody
    "$REPRISE" replay "$tmp/t.trace" --tier "$tier" --http "$(at http)" --grpc "$(at grpc)" \
        -o "$tmp/x.run" --force --quiet "$@" >"$tmp/out" 2>"$tmp/err" &
    replayer=$!
    pids+=("$replayer")
}
# Until the run's file, which is written twice a second, holds more than so many outcomes.
await_outcomes() { wait_for "$1 outcomes" holds_outcomes "$tmp/x.run" "$1"; }
replayed() { # STATUS
    local got
    wait "$replayer"
    got=$?
    same "$got" "$1" "exit status of the replay: $(head -n 5 "$tmp/err")"
    report
}
report() { # its exit status follows the health, which is asserted where it matters
    "$REPRISE" report "$tmp/x.run" --json >"$tmp/report" 2>"$tmp/report.err"
    case $? in
    0 | 3) ;;
    *) fail "no report"; cat "$tmp/report.err" ;;
    esac
}

# says EXPRESSION WANTED [WHAT]: of the report, as compact JSON.
says() { same "$(jq -c "$1" "$tmp/report")" "$2" "${3:-$1}"; }
holds() { says "$1" true; }
# counts DUE SENT OK FAILED: and nothing dropped, refused or stopped.
counts() {
    says '.operations | [.due, .sent, .ok, .failed, .dropped, .refused, .stopped]' \
        "[$1,$2,$3,$4,0,0,0]" "due, sent, ok, failed, dropped, refused, stopped"
}
# errors CLASS COUNT...: exactly these.
errors() {
    local want='[' comma=
    while [ $# -gt 0 ]; do
        want+="${comma}[\"$1\",$2]" comma=,
        shift 2
    done
    says '[.errors[] | [.class, .count]] | sort' "$want]" errors
}
# Times are judged where the machine left the run alone. Two words for that, which depend on nothing that
# is judged: `healthy`, the verdict of the run's health, where the target alone is out of order; and
# `left_alone`, the kernel's, where reprise itself is to be found late or not: no thread of its stood in
# line for a processor for a twentieth of a second, and the hypervisor took nothing.
healthy() { holds_now '.health.verdict == "VALID"'; }
left_alone() {
    "$REPRISE" trace info "$tmp/x.run" --json >"$tmp/info" 2>"$tmp/info.err" || return
    [ "$(jq '.notes | (."cpu.waited_ns" // 1e18 | tonumber) < 50e6 and (."cpu.steal_share" // 1 | tonumber) < 0.01' \
        "$tmp/info")" = true ]
}
# What the run's times are in truth ($tmp/truth, see truth.py), by the stamps of the stand-in.
truth() {
    "$REPRISE" trace cat "$tmp/x.run" --jsonl >"$tmp/outcomes" || fail "reading the run"
    START_NS=$("$REPRISE" trace info "$tmp/x.run" --json | jq -r '.notes["run.start_mono_ns"]') \
        python3 "$here/truth.py" "$tmp/stamps" "$tmp/outcomes" >"$tmp/truth" || fail "no truth"
}
# Whether a steady replay sent without a pause of a fifth of a second in the 2.5 s until then (CLOCK_MONOTONIC), by
# the stamps of the stand-in.
even_until() { # NS
    awk '!/^#/ { print $1 }' "$tmp/stamps" | sort -n |
        awk -v until="$1" '$1 > until - 2.5e9 { if (last && $1 - last > 2e8) exit paused = 1; last = $1 }
            END { exit paused || until - last > 2e8 }'
}
# once_right WITNESS COMMAND...: the command makes a run, asserts of it what holds at any speed, and
# succeeds if its times are right. It is made again, up to six times, until it does; but where it failed twice
# in runs that the witness calls undisturbed, the times are wrong. (Once may be a server that was held up.)
once_right() {
    local witness=$1 attempt wrong=0
    shift
    for attempt in 1 2 3 4 5 6; do
        "$@" && return
        [ "$failures" -eq 0 ] || finish
        [ ! -s "$tmp/truth" ] || cat "$tmp/truth"
        echo "attempt $attempt: $(jq -c '[.health.verdict, (.latency_ns | .response, .service, .lateness.generator,
            .lateness.back_pressure | [.p50, .p90, .p99, .max])]' "$tmp/report")"
        "$witness" && wrong=$((wrong + 1))
        [ "$wrong" -lt 2 ] || { fail "wrong in $attempt runs, of which nothing disturbed two: $*"; finish; }
    done
    echo "this machine is too busy to judge times: $*, in six runs"
    exit 77
}
# shellcheck disable=SC2016  # $code is jq's
cause() { holds_now --arg code "$1" '[.health.causes[].code] | index($code) != null'; }
# (jq -e would be content with an empty file.)
holds_now() { [ "$(jq "$@" "$tmp/report")" = true ]; }
# unhealthy VERDICT CODE: the verdict, and that cause with that severity.
unhealthy() {
    holds "[.health.causes[] | select(.code == \"$2\" and .severity == \"$1\")] | length == 1"
    [ "$1" != INVALID ] || says .health.verdict '"INVALID"'
}
# The server's word (scripted peer), once it ended: requests, twice, faults.
server_says() { # EXPRESSION WANTED
    same "$(jq -c "$1" "$tmp/summary")" "$2" "the server: $1"
}
