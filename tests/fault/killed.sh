#!/usr/bin/env bash
# kill -9 of a replay that sends at a steady rate: its file is readable and says that it was cut
# off, and by the server's own stamps every operation that was answered up to a second before the
# kill has its outcome in it. At a high rate, where blocks fill, and at one where they only age.
source "$(dirname "$0")/lib.sh"

# kill_now PID: prints CLOCK_MONOTONIC, in which the stand-in stamps, just before the signal.
kill_now() {
    python3 -c 'import os, sys, time
now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
os.kill(int(sys.argv[1]), 9)
print(now)' "$1"
}

killed_at() { # RATE LEAST: a second after so many have been answered
    synth --rate "$1" --count 100000
    standin --service fixed:1ms --stamps "$tmp/stamps"
    start_replay --connections 64
    await_outcomes "$2"
    sleep 1
    local killed answered kept first
    killed=$(kill_now "$replayer") || fail "the replay had ended"
    wait "$replayer" 2>/dev/null
    end_server
    answered=$(awk -v until=$((killed - 1000000000)) '!/^#/ && $3 > 0 && $3 <= until' "$tmp/stamps" | wc -l)
    [ "$answered" -ge "$2" ] || fail "only $answered requests were answered in time: nothing is proved"

    expect 0 "$REPRISE" trace info "$tmp/x.run"
    out_has "not closed"
    expect 0 "$REPRISE" trace info "$tmp/x.run" --json
    kept=$(jq .operations "$tmp/out")
    same "$(jq .complete "$tmp/out")" false
    [ "$kept" -ge "$answered" ] ||
        fail "$1/s: of $answered answered a second before the kill, $((answered - kept)) are lost"
    # Which they are: the first of the schedule, each once. (A few answers may overtake others.)
    "$REPRISE" trace cat "$tmp/x.run" --jsonl >"$tmp/outcomes" 2>"$tmp/err" || fail "reading the run"
    first=$((answered > 64 ? answered - 64 : answered / 2))
    same "$(jq -s --argjson n "$first" '[.[].op] | length == (unique | length) and
        (map(select(. < $n)) | length == $n)' "$tmp/outcomes")" true "$1/s: no gap in $kept outcomes"

    expect 3 "$REPRISE" report "$tmp/x.run"
    out_has "INVALID truncated: the file"
    report
    says '[.file.complete, .operations.due, .operations.ok]' "[false,$kept,$kept]"
    unhealthy INVALID truncated
}
killed_at 1000 500
killed_at 20 20
finish
