#!/usr/bin/env bash
# search finds a knee that is known: four workers of 40 ms answer 100 a second, so of N operations
# at rate r the p90 waits 0.9 N (1/100 - 1/r), which reaches the limit of 200 ms at a rate to be
# computed. Probes are taken at their numbers whatever their health (--invalid pass), and the numbers
# are large beside what a busy machine adds. A search that is off is made again: it has to be right
# once in three times, unless the machine held up a probe of each. What health does to a search is
# shown with runs that are always INVALID: they lack descriptors.
source "$(dirname "$0")/../cli/lib.sh"
summary() { jq -r "$1" "$tmp/out"; }

"$REPRISE" standin --tier rproxy --http 127.0.0.1:0 --ports "$tmp/ports" --service fixed:40ms \
    --workers 4 >/dev/null 2>"$tmp/standin.err" &
pids+=($!)
await_ports
http=$(sed -n 's/^rproxy.http=//p' "$tmp/ports")
expect 0 "$REPRISE" synth -o "$tmp/t.trace" --model-type iris --rate 50 --count 120 \
    --duration 1h --quiet
target=(--tier rproxy --http "$http" --connections 200)

# found KNEE: the last search found a knee that is no farther from KNEE than 10 %, and confirmed it.
# Everything else that it says has to hold at any speed.
found() {
    same "$(summary .schema)" reprise/search/1
    same "$(summary '(.probes | length) <= 12')" true "number of probes"
    same "$(summary '.probes | length')" "$(find "$folder" -name '*.run' | wc -l)"
    [ "$(grep -c '^search: probe' "$tmp/err")" = "$(summary '.probes | length')" ] ||
        fail "not a line for each probe"
    # Each probe said what its own report says.
    local i said path
    for ((i = 0; i < $(summary '.probes | length'); i++)); do
        path=$(summary ".probes[$i].run")
        said=$(jq -r 'if .latency_ns.response.p90 < 200e6 and
            .operations.ok > 0.99 * .operations.due then "within" else "beyond" end' \
            "${path%.run}.json")
        same "$said" "$(summary ".probes[$i].said")" "probe $((i + 1))"
    done
    # shellcheck disable=SC2016  # $knee is jq's
    [ "$(jq --argjson knee "$1" '.outcome == "found" and .confirmed and .error <= 0.05 and
        .within.rate < .beyond.rate and (.within.rate / $knee | . > 0.9 and . < 1.1)' "$tmp/out")" = true ]
}
# Whether the machine held a probe of the last search up for a twentieth of the limit.
disturbed() {
    jq -s -e 'any(.latency_ns.lateness.generator.max > 10e6)' "$folder"/*.json >/dev/null
}
# knee_at KNEE NAME SEARCH-ARGUMENT...: in up to three searches, in folders NAME1 to NAME3.
knee_at() {
    local knee=$1 name=$2 try calm=0 status
    shift 2
    for try in 1 2 3; do
        folder=$tmp/$name$try
        "$REPRISE" search -o "$folder" --limit 'p90<200ms' --limit 'errors<1%' --invalid pass --json "$@" \
            >"$tmp/out" 2>"$tmp/err"
        status=$?
        same "$status" "$(summary 'if .outcome == "found" then 0 else 2 end')" "status of a search: $(cat "$tmp/err")"
        found "$knee" && return
        echo "try $try: the knee is said to be at $(summary .within.rate)/s: $(summary .outcome)"
        disturbed || calm=$((calm + 1))
    done
    [ "$calm" -eq 0 ] || fail "the knee is not at $knee/s, and $calm of three searches were not disturbed"
}

# A recorded trace, faster and slower: always 120 operations. 1 / (1/100 - 0.160/108) = 117.4.
knee_at 117.4 knee "$tmp/t.trace" --start 2 --from 0.5 -- "${target[@]}"
same "$(summary '[.probes[0].speed, .probes[0].synth_rate] | @json')" '[2,null]'

# Synthesized at each rate, for 1.2 s: N is 1.2 r, so 1.08 (r/100 - 1) = 0.160, at 114.8.
knee_at 114.8 made --synth --start 100 --from 90 --probe-duration 1200ms -- "${target[@]}" -- --model-type iris
same "$(summary '[.trace, .probes[0].speed, .probes[0].synth_rate] | @json')" '[null,null,100]'
for i in 01 02; do # each was made for its rate, and lasts as long as the others
    same "$("$REPRISE" trace info "$folder/probe-$i.trace" --json |
        jq '.span_ns > 1.1e9 and .span_ns <= 1.2e9')" true "span of probe-$i.trace"
done

# A limit that always holds, and one that never does; as text.
few=(--probes 3 --quiet --probe-duration 300ms --invalid pass)
expect 2 "$REPRISE" search "$tmp/t.trace" --limit 'p50<10s' --start 4 --to 4 "${few[@]}" \
    -o "$tmp/a" -- "${target[@]}"
out_has "the limit holds up to the greatest speed"
expect 2 "$REPRISE" search --synth --limit 'p50<1us' --start 200 --from 200 "${few[@]}" \
    -o "$tmp/b" -- "${target[@]}" -- --model-type iris
out_has "does not hold even at the least rate"
# Too short a run for the quantile says nothing, twice.
expect 3 "$REPRISE" search "$tmp/t.trace" --limit 'p99.9<1s' --start 4 "${few[@]}" \
    -o "$tmp/c" -- "${target[@]}"
out_has "too few operations for p99.9"
# Nor does an INVALID one; health is asked first.
starved() { (ulimit -n 40 && "$REPRISE" "$@"); }
expect 3 starved search "$tmp/t.trace" \
    --limit 'p50<10s' --start 4 "${few[@]}" --invalid fail -o "$tmp/n" -- "${target[@]}"
out_has "two probes in a row say nothing: the run is INVALID: "
expect 2 starved search "$tmp/t.trace" \
    --limit 'p50<10s' --start 4 --to 4 "${few[@]}" -o "$tmp/p" -- "${target[@]}"

synth=(--synth --limit 'p99<50ms')
expect 64 "$REPRISE" search "${synth[@]}" -- --http "$http"
err_has "a second -- is missing"
expect 64 "$REPRISE" search "$tmp/t.trace" "${synth[@]}" -- --http "$http" -- --model-type iris
err_has "one trace too many"
for ours in --rate=5 '--duration 1s' -d1s --stages=1,2 '-o x'; do
    # shellcheck disable=SC2086  # some are two words
    expect 64 "$REPRISE" search "${synth[@]}" -- --http "$http" -- $ours
    err_has "the search sets it"
done
for ours in --speed=2 '--duration 1s' '-o x'; do
    # shellcheck disable=SC2086  # some are two words
    expect 64 "$REPRISE" search "$tmp/t.trace" --limit 'p99<50ms' -- --http "$http" $ours
    err_has "behind the first --: the search sets it"
done
expect 64 "$REPRISE" search "${synth[@]}" --to 2000000 -- --http "$http" -- --model-type iris
err_has "must ascend, from 0.001 to 1000000"
expect 64 "$REPRISE" search "${synth[@]}" -o "$tmp/g" -- --http "$http" -- --model-type nothing
err_has "synth at 100/s ended with exit status 64"
expect 64 "$REPRISE" search "$tmp/t.trace" -- --http "$http"
err_has "--limit is missing"
expect 64 "$REPRISE" search "$tmp/t.trace" --limit 'p99<50' -- --http "$http"
err_has "--limit 'p99<50' is not"
expect 64 "$REPRISE" search "$tmp/t.trace" --limit 'p99<50ms' --from 2 -- --http "$http"
expect 64 "$REPRISE" search "$tmp/t.trace" --limit 'p99<50ms' -o "$tmp/knee1" -- --http "$http"
err_has "holds probes already"
expect 64 "$REPRISE" search "$tmp/t.trace" --limit 'p99<50ms' -o "$tmp/d" --quiet -- --no-such
err_has "ended with exit status 64"
expect 74 "$REPRISE" search "$tmp/none.trace" --limit 'p99<50ms' -o "$tmp/e" -- --http "$http"
expect 69 "$REPRISE" search "$tmp/t.trace" --limit 'p99<50ms' -o "$tmp/f" -- --http 127.0.0.1:1
finish
