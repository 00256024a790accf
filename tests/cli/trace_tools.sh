#!/usr/bin/env bash
# trace_tools.sh - traces made from traces: merge and filter, against what jq makes of the
# same operations as text.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

synth() { "$REPRISE" synth "$@" --quiet || fail "synth $*"; }
lines() { "$REPRISE" trace cat --jsonl "$@"; }
# What two operations must have in common, whatever their place.
content() { jq -c 'del(.index)'; }

synth --model-type iris,tfsimple --rate 300 --duration 10s --arrivals poisson --protocol both --seed 1 -o "$tmp/a.trace"
synth --model-type add10 --rate 200 --duration 12s --arrivals poisson --seed 2 -o "$tmp/b.trace"
a=$(lines "$tmp/a.trace" | wc -l) b=$(lines "$tmp/b.trace" | wc -l)

# --- merge: all operations, in order of time
expect 0 "$REPRISE" trace merge "$tmp/a.trace" "$tmp/b.trace" -o "$tmp/ab.trace"
err_has "$tmp/ab.trace: $((a + b)) of $((a + b)) operations"
expect 0 "$REPRISE" trace verify "$tmp/ab.trace"
{ lines "$tmp/a.trace"; lines "$tmp/b.trace"; } | content | jq -cs 'sort_by(.arrival_ns)[]' | sort >"$tmp/want"
lines "$tmp/ab.trace" | content >"$tmp/got"
sort "$tmp/got" | cmp - "$tmp/want" || fail 'merge loses or changes operations'
same "$(jq -s 'map(.arrival_ns) | . == sort' "$tmp/got")" true 'merged times ascend'
expect 0 "$REPRISE" trace info "$tmp/ab.trace" --json
same "$(jq -r '.notes["merge.1.synth.seed"], .notes["merge.2.synth.seed"]' "$tmp/out" | paste -sd' ')" '1 2'

# One file of three as a stream; the same bytes as from a file.
expect 0 "$REPRISE" trace merge "$tmp/a.trace" "$tmp/b.trace" "$tmp/ab.trace" -o "$tmp/three.trace" -q
cp "$tmp/a.trace" "$tmp/again.trace"
"$REPRISE" trace merge - "$tmp/b.trace" "$tmp/ab.trace" -o - -q <"$tmp/again.trace" | "$REPRISE" trace cat --jsonl - |
    cmp - <(lines "$tmp/three.trace") || fail 'a stream merges otherwise than a file'

# By calendar: the second begins 2.5 s behind the first.
calendar() { # NAME EPOCH TIMES...
    local name=$1 epoch=$2 t
    shift 2
    {
        printf '{"reprise":"trace","epoch_wall_ns":%s}\n' "$epoch"
        for t in "$@"; do
            printf '{"arrival_ns":%s,"protocol":"rest","name":"%s","connection":%s,"client":1}\n' "$t" "$name" "$((t % 7))"
        done
    } | "$REPRISE" import jsonl - -o "$tmp/$name.trace" -q
}
calendar early 1700000000000000000 0 1000000000 3000000000
calendar later 1700000002500000000 0 1000000000
expect 0 "$REPRISE" trace merge "$tmp/later.trace" "$tmp/early.trace" --by-calendar -o "$tmp/c.trace" -q
same "$(lines "$tmp/c.trace" | jq -r '"\(.name) \(.arrival_ns)"' | paste -sd,)" \
    'early 0,early 1000000000,later 2500000000,early 3000000000,later 3500000000'
same "$("$REPRISE" trace info "$tmp/c.trace" --json | jq -r .epoch)" '2023-11-14T22:13:20.000Z'
same "$(lines "$tmp/c.trace" | jq -r '"\(.name) \(.connection) \(.client)"' | sort -u | paste -sd,)" \
    'early 1 3,early 13 3,early 9 3,later 0 2,later 12 2' 'connections and clients stay apart'
expect 64 "$REPRISE" trace merge "$tmp/early.trace" "$tmp/a.trace" --by-calendar -o "$tmp/x"
err_has "'$tmp/a.trace' has no calendar time to merge by"
expect 64 "$REPRISE" trace merge "$tmp/a.trace"
err_has '-o OUT is needed'
expect 64 "$REPRISE" trace merge -o "$tmp/x"
[ ! -e "$tmp/x" ] || fail 'a refused merge leaves a file'

# --- filter: what cat selects, with times as they are
filtered() { # OPTIONS...: filter and cat --jsonl agree
    expect 0 "$REPRISE" trace filter "$tmp/ab.trace" "$@" -o "$tmp/f.trace"
    lines "$tmp/ab.trace" "$@" | content >"$tmp/want"
    [ -s "$tmp/want" ] || fail "nothing to compare for $*"
    lines "$tmp/f.trace" | content | cmp - "$tmp/want" || fail "filter $*"
    expect 0 "$REPRISE" trace verify "$tmp/f.trace"
}
filtered --model iris0
filtered --protocol grpc --from 2s --to 4s
filtered --model iris0,add100 --protocol rest
expect 0 "$REPRISE" trace filter "$tmp/ab.trace" --model iris0 --invert -o "$tmp/f.trace"
same "$(lines "$tmp/f.trace" | jq -r .name | sort -u | paste -sd,)" 'add100,tfsimple0'
expect 0 "$REPRISE" trace filter "$tmp/f.trace" --model add100 -o "$tmp/g.trace" -q
same "$("$REPRISE" trace info "$tmp/g.trace" --json | jq -r .notes.filter)" 'model=iris0 invert, then model=add100'
expect 64 "$REPRISE" trace filter "$tmp/ab.trace" -o "$tmp/x"
err_has 'nothing to filter by'
expect 64 "$REPRISE" trace filter "$tmp/ab.trace" --protocol http -o "$tmp/x"
err_has "unknown protocol 'http'"
[ ! -e "$tmp/x" ] || fail 'a refused filter leaves a file'

# --- late answers follow their operations through cut, merge and filter
{
    for i in $(seq 0 99); do
        printf '{"arrival_ns":%d,"protocol":"rest","name":"m%d","status":%d}\n' "$((i * 10))" "$((i % 2))" 100
    done
    for i in 97 3 50 51; do printf '{"late":%d,"status":%d}\n' "$i" "$((200 + i))"; done
} | "$REPRISE" import jsonl - -o "$tmp/late.trace" -q
answers() { lines "$1" | jq -cs '[.[] | select(.late)] as $l | [.[] | select(.late | not)] as $o |
    [$l[] | {name: $o[.late].name, arrival: $o[.late].arrival_ns, status}] | sort_by(.arrival)[]' | paste -sd' '; }
all='{"name":"m1","arrival":30,"status":203} {"name":"m0","arrival":500,"status":250} {"name":"m1","arrival":510,"status":251} {"name":"m1","arrival":970,"status":297}'
same "$(answers "$tmp/late.trace")" "$all"
expect 0 "$REPRISE" trace merge "$tmp/late.trace" "$tmp/early.trace" -o "$tmp/m.trace" -q
same "$(answers "$tmp/m.trace")" "$all" 'merge'
expect 0 "$REPRISE" trace filter "$tmp/late.trace" --model m1 -o "$tmp/m.trace" -q
# shellcheck disable=SC2001  # the pattern is more than a glob
same "$(answers "$tmp/m.trace")" "$(sed 's/{"name":"m0"[^}]*} //' <<<"$all")" 'filter'
expect 0 "$REPRISE" trace cut "$tmp/late.trace" --from 500ns --to 900ns -o "$tmp/m.trace" --quiet
same "$(answers "$tmp/m.trace")" '{"name":"m0","arrival":0,"status":250} {"name":"m1","arrival":10,"status":251}' 'cut'
finish
