#!/usr/bin/env bash
# kill -9 of a replay that sends at a steady rate: its file is readable and says that it was cut
# off, and by the server's own stamps every operation that was answered up to a second before the
# kill has its outcome in it. At a high rate, where blocks fill, and at one where they only age.
source "$(dirname "$0")/lib.sh"

# waits FILE PID [SIGNAL]: how long each thread has stood in line for a processor goes to the file; prints
# CLOCK_MONOTONIC, in which the stand-in stamps, just before the signal.
waits() {
    python3 -c 'import glob, os, sys, time
with open(sys.argv[1], "w") as f:
    for path in sorted(glob.glob(f"/proc/{sys.argv[2]}/task/*/schedstat")):
        print(path, open(path).read().split()[1], file=f)
print(time.clock_gettime_ns(time.CLOCK_MONOTONIC))
os.kill(int(sys.argv[2]), int((sys.argv + [0])[3]))' "$@"
}
# Whether the machine let it write what it had in time: no thread waited long for a processor, and it did not pause.
undisturbed() {
    even_until "$killed" && join "$tmp/waits.before" "$tmp/waits.killed" |
        awk '$3 - $2 > 3e8 { late = 1 } END { exit late || NR == 0 }'
}

killed_at() { # RATE LEAST: a second after so many have been answered
    local answered kept first
    synth --rate "$1" --count 100000
    standin --service fixed:1ms --stamps "$tmp/stamps"
    start_replay --connections 64
    await_outcomes "$2"
    waits "$tmp/waits.before" "$replayer" >/dev/null
    sleep 1
    killed=$(waits "$tmp/waits.killed" "$replayer" 9) || fail "the replay had ended"
    wait "$replayer" 2>/dev/null
    end_server
    answered=$(awk -v until=$((killed - 1000000000)) '!/^#/ && $3 > 0 && $3 <= until' "$tmp/stamps" | wc -l)
    [ "$answered" -ge "$2" ] || fail "only $answered requests were answered in time: nothing is proved"

    expect 0 "$REPRISE" trace info "$tmp/x.run"
    out_has "not closed"
    expect 0 "$REPRISE" trace info "$tmp/x.run" --json
    kept=$(jq .operations "$tmp/out")
    same "$(jq .complete "$tmp/out")" false
    expect 3 "$REPRISE" report "$tmp/x.run"
    out_has "INVALID truncated: the file"
    report
    says '[.file.complete, .operations.due, .operations.ok]' "[false,$kept,$kept]"
    unhealthy INVALID truncated
    "$REPRISE" trace cat "$tmp/x.run" --jsonl >"$tmp/outcomes" 2>"$tmp/err" || fail "reading the run"
    same "$(jq -s '[.[].op] | length == (unique | length)' "$tmp/outcomes")" true "$1/s: each once"

    # All that were answered a second before the kill, and which they are: the first of the schedule. (A few
    # answers may overtake others.)
    first=$((answered > 64 ? answered - 64 : answered / 2))
    [ "$kept" -ge "$answered" ] &&
        [ "$(jq -s --argjson n "$first" 'map(select(.op < $n)) | length == $n' "$tmp/outcomes")" = true ] && return
    echo "$1/s: of $answered answered a second before the kill, $kept outcomes are kept"
    return 1
}
once_right undisturbed killed_at 1000 500
once_right undisturbed killed_at 20 20
finish
