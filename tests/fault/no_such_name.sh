#!/usr/bin/env bash
# A name that cannot be looked up: the target is unavailable, said with its name, and no run is
# left behind. In a network of its own, so that nobody is asked.
source "$(dirname "$0")/lib.sh"
own_namespace
synth --count 400
for target in http://no-such-host.invalid:9000 "http://$(printf 'a%.0s' $(seq 70)).invalid:9000"; do
    expect 69 "$REPRISE" replay "$tmp/t.trace" --tier server --http "$target" -o "$tmp/x.run" --quiet
    err_has ".invalid"
    [ -e "$tmp/x.run" ] && fail "a run was left behind"
done
finish
