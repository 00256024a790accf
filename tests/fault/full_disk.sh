#!/usr/bin/env bash
# The disk fills up: the replay ends with 74 and says where, and what was written stays readable,
# by `trace info` and by report, which calls the file incomplete: of what the server answered, at
# most the last second is missing.
source "$(dirname "$0")/lib.sh"
own_namespace
mkdir "$tmp/small"
mount -t tmpfs -o size=64k reprise-test "$tmp/small" 2>"$tmp/err" || {
    echo "no small file system here: $(head -n 1 "$tmp/err")"
    exit 77
}
trap 'umount "$tmp/small"; cleanup' EXIT
synth --rate 1500 --count 30000
# Of CLOCK_MONOTONIC, in which the stand-in stamps, and the calendar's time, which costs no process.
ahead=$(python3 -c 'import time; print(time.clock_gettime_ns(time.CLOCK_MONOTONIC) - time.time_ns())')
fills_up() {
    local answered operations
    rm -f "$tmp/small/x.run"
    standin --service fixed:100us --stamps "$tmp/stamps"
    expect 74 "$REPRISE" replay "$tmp/t.trace" --tier "$tier" --http "$(at http)" \
        -o "$tmp/small/x.run" --quiet
    ended=$((${EPOCHREALTIME/[.,]/} * 1000 + ahead))
    err_has "No space left on device"
    err_has "x.run"
    end_server
    cp "$tmp/small/x.run" "$tmp/x.run"
    expect 0 "$REPRISE" trace info "$tmp/x.run" --json
    same "$(jq -c '[.complete, .operations > 1000, .operations < 30000]' "$tmp/out")" \
        '[false,true,true]' "what is readable"
    operations=$(jq .operations "$tmp/out")
    report
    says '[.file.complete, .operations.due, .operations.ok]' "[false,$operations,$operations]"
    says .health.verdict '"INVALID"'
    answered=$(awk -v until=$((ended - 1000000000)) '!/^#/ && $3 > 0 && $3 <= until' "$tmp/stamps" | wc -l)
    [ "$operations" -ge "$answered" ] && return
    echo "of $answered answered a second before the end, $((answered - operations)) are lost"
    return 1
}
undisturbed() { even_until "$ended"; }
once_right undisturbed fills_up
finish
