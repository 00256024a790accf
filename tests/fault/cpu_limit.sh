#!/usr/bin/env bash
# reprise runs under a CPU limit that it cannot keep, as a container does: the run says for how long
# it was held back, and is INVALID. Nothing is lost.
# alone: it judges times, or loads a processor (see run.sh)
source "$(dirname "$0")/lib.sh"
unset REPRISE_INVALID # the verdict decides the exit status
name=reprise-test-$$
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    group=/sys/fs/cgroup/$name
    limit() { echo "2000 100000" >"$group/cpu.max"; }
else
    group=/sys/fs/cgroup/cpu/$name
    limit() { echo 100000 >"$group/cpu.cfs_period_us" && echo 2000 >"$group/cpu.cfs_quota_us"; }
fi
if ! mkdir "$group" 2>"$tmp/err" || ! limit 2>>"$tmp/err"; then
    rmdir "$group" 2>/dev/null
    echo "no control groups here: $(head -n 1 "$tmp/err")"
    exit 77
fi
trap 'cleanup; rmdir "$group" 2>/dev/null' EXIT
synth --rate 400 --count 1200
limited() {
    standin --service fixed:1ms
    (
        echo "$BASHPID" >"$group/cgroup.procs"
        exec "$REPRISE" replay "$tmp/t.trace" --tier "$tier" --http "$(at http)" -o "$tmp/x.run" --quiet --force
    ) >"$tmp/out" 2>"$tmp/err"
    same "$?" 3 "exit status: $(head -n 5 "$tmp/err")"
    end_server
    report
    counts 1200 1200 1200 0
    unhealthy INVALID throttled
    # (Where the stand-in stops for a second, too, lateness is little beside what is waited for it.)
    holds_now '[.health.causes[] | select(.code == "lateness" and .severity == "INVALID")] | length == 1'
}
once_right true limited
finish
