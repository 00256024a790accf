#!/usr/bin/env bash
# reprise synth on the command line: reproducible bytes, streams, statuses and messages.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$tmp" || exit 1

# Equal options and seed give equal bytes; another seed does not.
# shellcheck disable=SC2054 # the commas are the list's
mix=(--model-type iris:3,tfsimple --instances 5 --popularity zipf:1.1 --rate 300 --duration 20s
    --arrivals gamma:2 --protocol both --batch 1:8,4:1 --values random --ids)
expect 0 "$REPRISE" synth -o a.trace "${mix[@]}"
err_has "to 'a.trace'"
same "$(wc -c <out)" 0 "stdout is empty"
expect 0 "$REPRISE" synth -o b.trace "${mix[@]}"
cmp a.trace b.trace || fail "the same options gave different bytes"
expect 0 "$REPRISE" synth -o c.trace "${mix[@]}" --seed 2
cmp -s a.trace c.trace && fail "another seed gave the same bytes"
expect 0 "$REPRISE" synth -o - "${mix[@]}" --quiet
cmp out a.trace || fail "a pipe got other bytes than a file"
same "$(wc -c <err)" 0 "--quiet says nothing"

zstd -q -t a.trace || fail "a trace is not a legal zstd file"

# The same operations, uncompressed.
expect 0 "$REPRISE" synth -o stored.trace "${mix[@]}" --store
same "$("$REPRISE" trace info stored.trace --json | jq -r .hash)" \
    "$("$REPRISE" trace info a.trace --json | jq -r .hash)" "hash of what --store wrote"
[ "$(wc -c <stored.trace)" -gt "$(jq -n "$("$REPRISE" trace info a.trace --json) | .payload_bytes")" ] \
    || fail "--store wrote fewer bytes than the bodies have"

# The same by variables of k6.
expect 0 "$REPRISE" synth -o e.trace --model-type iris,tfsimple --instances 3 --rate 40 --duration 3s
expect 0 env MODEL_TYPE=iris,tfsimple MAX_NUM_MODELS=3 REQUEST_RATE=40 \
    CONSTANT_RATE_DURATION_SECONDS=3 "$REPRISE" synth -o f.trace
err_has "synth: 120 operations"
cmp e.trace f.trace || fail "variables and options gave different bytes"

# Nothing is written where the command line makes no sense.
expect 64 "$REPRISE" synth --model-type iris
err_has "reprise synth: -o FILE is missing: where shall the trace go?"
expect 64 "$REPRISE" synth -o no.trace --model-type iris,mnist
err_has "unknown model type 'mnist'; known: "
expect 64 "$REPRISE" synth -o no.trace --duration 30
err_has "needs a unit"
expect 64 "$REPRISE" synth -o no.trace --model-type tfsimple --batch 16
err_has "--batch: tfsimple takes at most 8, not 16"
expect 64 "$REPRISE" synth -o no.trace --model-type iris,tfsimple --name-prefix model
err_has "iris and tfsimple would share the name of a model ('model0')"
expect 64 "$REPRISE" synth -o no.trace --arrival poisson
err_has "did you mean '--arrivals'?"
[ -e no.trace ] && fail "a refused command left a file"
expect 74 "$REPRISE" synth -o nosuch/dir/x.trace
err_has "nosuch/dir/x.trace"

# A signal closes the file properly.
"$REPRISE" synth -o stopped.trace --rate 1000k --count 1000000000 --quiet 2>err &
pid=$!
pids+=("$pid")
has_grown() { [ "$(stat -c %s stopped.trace 2>/dev/null || echo 0)" -gt 100000 ]; }
wait_for "100 kB of a trace" has_grown
kill -INT "$pid"
wait "$pid"
same $? 130 "status of a stopped synth"
grep -q 'stopped after [0-9]* operations' err || fail "a stopped synth does not say so"
zstd -q -t stopped.trace || fail "a stopped trace is not whole"

finish
