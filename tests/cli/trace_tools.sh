#!/usr/bin/env bash
# trace_tools.sh - traces made from traces: merge, filter, scale and pack, against what jq makes of the
# same operations as text.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

synth() { "$REPRISE" synth "$@" --quiet || fail "synth $*"; }
lines() { "$REPRISE" trace cat --jsonl "$@"; }
# What two operations must have in common, whatever their place.
content() { jq -c 'del(.index)'; }

synth --model-type iris,tfsimple --rate 300 --duration 10s --arrivals poisson --protocol both --seed 1 --force -o "$tmp/a.trace"
synth --model-type add10 --rate 200 --duration 12s --arrivals poisson --seed 2 --force -o "$tmp/b.trace"
a=$(lines "$tmp/a.trace" | wc -l) b=$(lines "$tmp/b.trace" | wc -l)

# --- merge: all operations, in order of time
expect 0 "$REPRISE" trace merge "$tmp/a.trace" "$tmp/b.trace" --force -o "$tmp/ab.trace"
err_has "$tmp/ab.trace: $((a + b)) of $((a + b)) operations"
expect 0 "$REPRISE" trace verify "$tmp/ab.trace"
{ lines "$tmp/a.trace"; lines "$tmp/b.trace"; } | content | jq -cs 'sort_by(.arrival_ns)[]' | sort >"$tmp/want"
lines "$tmp/ab.trace" | content >"$tmp/got"
sort "$tmp/got" | cmp - "$tmp/want" || fail 'merge loses or changes operations'
same "$(jq -s 'map(.arrival_ns) | . == sort' "$tmp/got")" true 'merged times ascend'
expect 0 "$REPRISE" trace info "$tmp/ab.trace" --json
same "$(jq -r '.notes["merge.1.synth.seed"], .notes["merge.2.synth.seed"]' "$tmp/out" | paste -sd' ')" '1 2'

# One file of three as a stream; the same bytes as from a file.
expect 0 "$REPRISE" trace merge "$tmp/a.trace" "$tmp/b.trace" "$tmp/ab.trace" --force -o "$tmp/three.trace" -q
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
    } | "$REPRISE" import jsonl - --force -o "$tmp/$name.trace" -q
}
calendar early 1700000000000000000 0 1000000000 3000000000
calendar later 1700000002500000000 0 1000000000
expect 0 "$REPRISE" trace merge "$tmp/later.trace" "$tmp/early.trace" --by-calendar --force -o "$tmp/c.trace" -q
same "$(lines "$tmp/c.trace" | jq -r '"\(.name) \(.arrival_ns)"' | paste -sd,)" \
    'early 0,early 1000000000,later 2500000000,early 3000000000,later 3500000000'
same "$("$REPRISE" trace info "$tmp/c.trace" --json | jq -r .epoch)" '2023-11-14T22:13:20.000Z'
same "$(lines "$tmp/c.trace" | jq -r '"\(.name) \(.connection) \(.client)"' | sort -u | paste -sd,)" \
    'early 1 3,early 13 3,early 9 3,later 0 2,later 12 2' 'connections and clients stay apart'
expect 64 "$REPRISE" trace merge "$tmp/early.trace" "$tmp/a.trace" --by-calendar --force -o "$tmp/x"
err_has "'$tmp/a.trace' has no calendar time to merge by"
expect 64 "$REPRISE" trace merge "$tmp/a.trace"
err_has '-o OUT is needed'
expect 64 "$REPRISE" trace merge --force -o "$tmp/x"
[ ! -e "$tmp/x" ] || fail 'a refused merge leaves a file'

# --- filter: what cat selects, with times as they are
filtered() { # OPTIONS...: filter and cat --jsonl agree
    expect 0 "$REPRISE" trace filter "$tmp/ab.trace" "$@" --force -o "$tmp/f.trace"
    lines "$tmp/ab.trace" "$@" | content >"$tmp/want"
    [ -s "$tmp/want" ] || fail "nothing to compare for $*"
    lines "$tmp/f.trace" | content | cmp - "$tmp/want" || fail "filter $*"
    expect 0 "$REPRISE" trace verify "$tmp/f.trace"
}
filtered --model iris0
filtered --protocol grpc --from 2s --to 4s
filtered --model iris0,add100 --protocol rest
expect 0 "$REPRISE" trace filter "$tmp/ab.trace" --model iris0 --invert --force -o "$tmp/f.trace"
same "$(lines "$tmp/f.trace" | jq -r .name | sort -u | paste -sd,)" 'add100,tfsimple0'
expect 0 "$REPRISE" trace filter "$tmp/f.trace" --model add100 --force -o "$tmp/g.trace" -q
same "$("$REPRISE" trace info "$tmp/g.trace" --json | jq -r .notes.filter)" 'model=iris0 invert, then model=add100'
expect 64 "$REPRISE" trace filter "$tmp/ab.trace" --force -o "$tmp/x"
err_has 'nothing to filter by'
expect 64 "$REPRISE" trace filter "$tmp/ab.trace" --protocol http --force -o "$tmp/x"
err_has "unknown protocol 'http'"
[ ! -e "$tmp/x" ] || fail 'a refused filter leaves a file'

# --- scale
expect 0 "$REPRISE" trace scale "$tmp/a.trace" --speed 4 --force -o "$tmp/fast.trace"
err_has "before: $a operations, gap CV "
err_has "after: $a operations, gap CV "
lines "$tmp/a.trace" | jq -c '.arrival_ns = (.arrival_ns / 4 | floor)' | content >"$tmp/want"
lines "$tmp/fast.trace" | content | cmp - "$tmp/want" || fail 'scale --speed 4'
same "$("$REPRISE" trace info "$tmp/fast.trace" --json |
    jq '.notes | (."scale.gap_cv_before" | tonumber) - (."scale.gap_cv_after" | tonumber) | fabs < 1e-4')" true 'speed keeps the gap CV'

expect 0 "$REPRISE" trace scale "$tmp/a.trace" --rate 0.25 --seed 7 --force -o "$tmp/thin.trace" -q
[ ! -s "$tmp/err" ] || fail 'scale -q speaks'
n=$(lines "$tmp/thin.trace" | wc -l)
# Binomial with n = a, p = 1/4: six standard deviations around its mean.
[ $(((n - a / 4) * (n - a / 4))) -le $((36 * a * 3 / 16)) ] || fail "thinning to a quarter left $n of $a"
lines "$tmp/thin.trace" | content | sort >"$tmp/got"
lines "$tmp/a.trace" | content | sort | comm -13 - "$tmp/got" | grep -q . && fail 'thinning made up operations'
expect 0 "$REPRISE" trace scale "$tmp/a.trace" --rate 0.25 --seed 7 --force -o "$tmp/thin2.trace" -q
cmp "$tmp/thin.trace" "$tmp/thin2.trace" || fail 'the same seed thins otherwise'
expect 0 "$REPRISE" trace scale "$tmp/a.trace" --rate 0.25 --seed 8 --force -o "$tmp/thin2.trace" -q
cmp -s "$tmp/thin.trace" "$tmp/thin2.trace" && fail 'another seed thins the same'

expect 0 "$REPRISE" trace scale "$tmp/a.trace" --rate 3 --force -o "$tmp/three.trace"
err_has "after: $((3 * a)) operations"
expect 0 "$REPRISE" trace verify --quiet "$tmp/three.trace"
lines "$tmp/three.trace" | jq -cs 'map(.arrival_ns) | . == sort' | grep -q true || fail 'superposition does not ascend'
lines "$tmp/three.trace" | jq -c 'del(.index, .arrival_ns)' | sort | uniq -c | awk '{print $1 / 3, $2}' | sort >"$tmp/got"
lines "$tmp/a.trace" | jq -c 'del(.index, .arrival_ns)' | sort | uniq -c | awk '{print $1, $2}' | sort >"$tmp/want"
cmp "$tmp/want" "$tmp/got" || fail 'superposition is not three times the same'
span() { "$REPRISE" trace info "$1" --json | jq .last_ns; }
[ "$(span "$tmp/three.trace")" -lt $(($(span "$tmp/a.trace") + 100000000)) ] || fail 'superposition is longer'
expect 64 "$REPRISE" trace scale - --rate 2 --force -o "$tmp/x" <"$tmp/a.trace"
err_has "'-': a rate above 1 needs a complete file"
expect 64 "$REPRISE" trace scale "$tmp/a.trace" --rate 2 --speed 2 --force -o "$tmp/x"
err_has 'give either a speed above 0 or a rate above 0 and up to 64'
expect 64 "$REPRISE" trace scale "$tmp/a.trace" --rate 65 --force -o "$tmp/x"
expect 64 "$REPRISE" trace scale "$tmp/a.trace" --speed 1e-300 --force -o "$tmp/x"
err_has 'is not within 0 and 2^61 ns'
expect 64 "$REPRISE" trace scale "$tmp/a.trace" --speed -1 --force -o "$tmp/x"
[ ! -e "$tmp/x" ] || fail 'a refused scale leaves a file'
# ids and connections of copies stay apart
printf '{"arrival_ns":%d,"protocol":"rest","name":"m","id":"x%d","connection":3}\n' 0 0 1000 1 |
    "$REPRISE" import jsonl - --force -o "$tmp/two.trace" -q
expect 0 "$REPRISE" trace scale "$tmp/two.trace" --rate 2 --force -o "$tmp/four.trace" -q
same "$(lines "$tmp/four.trace" | jq -r '"\(.id) \(.connection)"' | sort | paste -sd,)" 'x0 6,x0~1 7,x1 6,x1~1 7'

# --- late answers follow their operations through cut, merge and filter
{
    for i in $(seq 0 99); do
        printf '{"arrival_ns":%d,"protocol":"rest","name":"m%d","status":%d}\n' "$((i * 10))" "$((i % 2))" 100
    done
    for i in 97 3 50 51; do printf '{"late":%d,"status":%d}\n' "$i" "$((200 + i))"; done
} | "$REPRISE" import jsonl - --force -o "$tmp/late.trace" -q
answers() { lines "$1" | jq -cs '[.[] | select(.late)] as $l | [.[] | select(.late | not)] as $o |
    [$l[] | {name: $o[.late].name, arrival: $o[.late].arrival_ns, status}] | sort_by(.arrival)[]' | paste -sd' '; }
all='{"name":"m1","arrival":30,"status":203} {"name":"m0","arrival":500,"status":250} {"name":"m1","arrival":510,"status":251} {"name":"m1","arrival":970,"status":297}'
same "$(answers "$tmp/late.trace")" "$all"
expect 0 "$REPRISE" trace merge "$tmp/late.trace" "$tmp/early.trace" --force -o "$tmp/m.trace" -q
same "$(answers "$tmp/m.trace")" "$all" 'merge'
expect 0 "$REPRISE" trace filter "$tmp/late.trace" --model m1 --force -o "$tmp/m.trace" -q
# shellcheck disable=SC2001  # the pattern is more than a glob
same "$(answers "$tmp/m.trace")" "$(sed 's/{"name":"m0"[^}]*} //' <<<"$all")" 'filter'
expect 0 "$REPRISE" trace scale "$tmp/late.trace" --speed 0.5 --force -o "$tmp/m.trace" -q
same "$(answers "$tmp/m.trace" | jq -r .status | paste -sd' ')" '203 250 251 297' 'scale'
expect 0 "$REPRISE" trace cut "$tmp/late.trace" --from 500ns --to 900ns --force -o "$tmp/m.trace" --quiet
same "$(answers "$tmp/m.trace")" '{"name":"m0","arrival":0,"status":250} {"name":"m1","arrival":10,"status":251}' 'cut'

# --- pack: the same records, fewer bytes, and no byte changes when it is done again
hash_of() { "$REPRISE" trace info --json "$1" | jq -r .hash; }
packed() { # FILE [LEVEL]: keeps the hash and is idempotent
    expect 0 "$REPRISE" trace pack "$1" --force -o "$tmp/p1" --level "${2:-5}"
    err_has ' records, '
    expect 0 "$REPRISE" trace verify --quiet "$tmp/p1"
    same "$(hash_of "$tmp/p1")" "$(hash_of "$1")" "hash of $1 packed"
    expect 0 "$REPRISE" trace pack "$tmp/p1" --force -o "$tmp/p2" --level "${2:-5}" -q
    cmp "$tmp/p1" "$tmp/p2" || fail "packing $1 twice changes it"
}
packed "$tmp/ab.trace"
packed "$tmp/late.trace"
lines "$tmp/ab.trace" | cmp - <("$REPRISE" trace pack "$tmp/ab.trace" -o - | lines -) || fail 'pack through a pipe'
[ "$(stat -c %s "$tmp/p1")" -le "$(stat -c %s "$tmp/late.trace")" ] || fail 'pack makes a file larger'
for seed in 1 2; do
    python3 "$root/tests/decoder/random_jsonl.py" trace $seed 800 | "$REPRISE" import jsonl - --force -o "$tmp/r.trace" -q
    packed "$tmp/r.trace"
    python3 "$root/tests/decoder/random_jsonl.py" run $seed 800 | "$REPRISE" import jsonl - --force -o "$tmp/r.run" -q
    packed "$tmp/r.run"
    small=$(stat -c %s "$tmp/p1")
    packed "$tmp/r.run" 0
    [ "$(stat -c %s "$tmp/p1")" -gt "$small" ] || fail 'level 0 compresses'
    packed "$tmp/r.trace" 0
done
expect 64 "$REPRISE" trace pack "$tmp/ab.trace" --force -o "$tmp/x" --level 20
err_has '--level is 0 to 19'
[ ! -e "$tmp/x" ] || fail 'a refused pack leaves a file'
# --- dispersion is told of 20 seconds or more, and is about 1 for a Poisson process
for seconds in 19 600; do
    expect 0 "$REPRISE" synth --model-type iris --rate 50 --arrivals poisson --duration ${seconds}s --quiet -o "$tmp/d$seconds.trace"
    expect 0 "$REPRISE" trace scale "$tmp/d$seconds.trace" --rate 0.5 -o "$tmp/d$seconds.half.trace"
    cp "$tmp/err" "$tmp/d$seconds"
done
! grep -q dispersion "$tmp/d19" || fail 'a dispersion of 19 seconds'
same "$(sed -n 's/.*dispersion per second //p' "$tmp/d600" | awk '$1 > 0.8 && $1 < 1.2' | wc -l)" 2 'dispersion of Poisson'

# --- an input is never written over, and another file only when asked; refused, both stay as they were
expect 0 "$REPRISE" synth --model-type iris --rate 100 --duration 1s --quiet -o "$tmp/in.trace"
expect 0 "$REPRISE" trace cat --jsonl "$tmp/in.trace"
cp "$tmp/out" "$tmp/lines.jsonl"
cp "$tmp/in.trace" "$tmp/in.before"
cp "$tmp/in.trace" "$tmp/there.trace"
guarded() { # command with its input, but its output
    expect 64 "$REPRISE" "$@" -o "$tmp/there.trace"
    err_has "there.trace' exists already; --force replaces it"
    cmp -s "$tmp/there.trace" "$tmp/in.before" || fail "$* wrote over a file"
    expect 64 "$REPRISE" "$@" -o "$tmp/in.trace" --force
    err_has "in.trace' is read: it cannot be written at the same time"
    cmp -s "$tmp/in.trace" "$tmp/in.before" || fail "$* wrote over its input"
    expect 0 "$REPRISE" "$@" -o "$tmp/there.trace" --force
    cp "$tmp/in.before" "$tmp/there.trace"
}
guarded trace cut "$tmp/in.trace" --from 100ms
guarded trace merge "$tmp/in.before" "$tmp/in.trace"
guarded trace filter "$tmp/in.trace" --model iris0
guarded trace scale "$tmp/in.trace" --rate 2
guarded trace scrub "$tmp/in.trace"
guarded trace pack "$tmp/in.trace"
guarded trace export "$tmp/in.trace"
expect 64 "$REPRISE" import jsonl "$tmp/lines.jsonl" --force -o "$tmp/lines.jsonl"
err_has "is read: it cannot be written at the same time"
for command in 'synth --duration 1s' "import jsonl $tmp/lines.jsonl" "trace repair $tmp/in.trace" \
    "import azure-llm $root/tests/data/azure-code-2023-300.csv --from 0s"; do
    # shellcheck disable=SC2086  # words
    expect 64 "$REPRISE" $command -o "$tmp/there.trace"
    err_has "there.trace' exists already; --force replaces it"
    # shellcheck disable=SC2086
    expect 0 "$REPRISE" $command -o "$tmp/there.trace" --force
done
expect 0 "$REPRISE" trace repair "$tmp/in.trace" -o "$tmp/in.trace" # in place, by a rename
# shellcheck disable=SC2094  # that is what must be refused
expect 64 "$REPRISE" trace pack - -o "$tmp/in.trace" --force <"$tmp/in.trace"
err_has "is read: it cannot be written at the same time"
finish
