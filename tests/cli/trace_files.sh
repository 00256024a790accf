#!/usr/bin/env bash
# trace_files.sh - traces and runs through all that looks at them: import, verify, info, cat,
# export, the second reader, zstd itself, pipes, repair and cut.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

python=python3
"$python" -c 'import xxhash, zstandard' 2>/dev/null || python=/usr/bin/python3
"$python" -c 'import xxhash, zstandard' 2>/dev/null ||
    { echo "python3-xxhash and python3-zstandard are missing"; exit 77; }
decode() { "$python" "$root/tests/decoder/trc_decode.py" "$1"; }
hash_of() { "$REPRISE" trace info --json "$1" | jq -r .hash; }
random_lines() { "$python" "$root/tests/decoder/random_jsonl.py" "$@"; }

# --- two readers agree on all that a file can hold, and text is a way there and back
check_file() { # FILE
    expect 0 "$REPRISE" trace verify "$1"
    out_has "$1: sound, "
    expect 0 zstd -tq "$1"
    "$REPRISE" trace cat --jsonl "$1" >"$tmp/ours" || fail "cat $1"
    decode "$1" >"$tmp/theirs" || fail "the second reader on $1"
    # Compared as JSON, order of keys included: the ways to escape a character are many.
    "$python" - "$tmp/ours" "$tmp/theirs" <<'PY' || fail "the readers differ on $1"
import json, sys
a, b = ([json.loads(line, object_pairs_hook=list) for line in open(name)] for name in sys.argv[1:])
if a != b:
    at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    sys.exit(f"line {at + 1} of {len(a)} and {len(b)}:\n{a[at:at + 1]}\n{b[at:at + 1]}")
PY
    "$REPRISE" trace export "$1" --force -o "$tmp/lines" || fail "export $1"
    expect 0 "$REPRISE" import jsonl "$tmp/lines" --force -o "$tmp/again" --quiet
    # Late answers may be told in another block than before, which is no other content.
    if grep -q '^{"late"' "$tmp/ours"; then
        same "$(hash_of "$tmp/again")" "$(hash_of "$1")" "hash of $1 after export and import"
        "$REPRISE" trace cat --jsonl "$tmp/again" | sort | cmp - <(sort "$tmp/ours") ||
            fail "$1 has other records after export and import"
    else
        cmp "$1" "$tmp/again" || fail "$1 is not the same after export and import"
    fi
}
for seed in 1 2; do
    random_lines trace $seed 1500 >"$tmp/in"
    expect 0 "$REPRISE" import jsonl "$tmp/in" --force -o "$tmp/$seed.trace"
    err_has "$tmp/$seed.trace: 1500 operations"
    check_file "$tmp/$seed.trace"
    random_lines run $seed 1000 >"$tmp/in"
    expect 0 "$REPRISE" import jsonl "$tmp/in" --force -o "$tmp/$seed.run"
    err_has "$tmp/$seed.run: 1000 outcomes"
    check_file "$tmp/$seed.run"
done
expect 0 "$REPRISE" synth --model-type iris,tfsimple,add10 --rate 500 --duration 20s --arrivals poisson \
    --protocol both --values random -o "$tmp/s.trace" --quiet
check_file "$tmp/s.trace"
random_lines trace 1 1500 | zstd -q >"$tmp/in.zst"
expect 0 "$REPRISE" import jsonl "$tmp/in.zst" --force -o "$tmp/z.trace"
cmp "$tmp/1.trace" "$tmp/z.trace" || fail "compressed lines give another file"

# --- info
expect 0 "$REPRISE" trace info "$tmp/s.trace"
out_has 'operations  '
out_has 'models      model      add100 '
out_has 'hash        '
expect 0 "$REPRISE" trace info "$tmp/s.trace" --json
same "$(jq -r '.kind, .complete, .resolution_ns, .lost_blocks, .epoch, (.tiers | keys[0])' "$tmp/out" | paste -sd' ')" \
    'trace true 1 0 null any'
n=$(jq .operations "$tmp/out")
same "$(jq '[.models[].operations] | add' "$tmp/out")" "$n" 'models add up'
same "$(jq '[.protocols[]] | add' "$tmp/out")" "$n" 'protocols add up'
same "$(jq -r .hash "$tmp/out" | tr -d '0-9a-f' | wc -c)" 1 'hash is hex'
same "$(jq -r .hash "$tmp/out" | wc -c)" 33 'hash has 32 digits'
same "$("$REPRISE" trace cat "$tmp/s.trace" | wc -l)" "$n" 'cat has a line for each'
expect 0 "$REPRISE" trace info "$tmp/1.run" --json
same "$(jq '([.causes[]] | add), ([.checks[]] | add), .operations' "$tmp/out" | paste -sd' ')" '1000 1000 1000'
expect 0 "$REPRISE" trace info - --json <"$tmp/s.trace"
same "$(jq '.operations, .file_bytes' "$tmp/out" | paste -sd' ')" "$n null"

# --- cat with filters
expect 0 "$REPRISE" trace cat --jsonl "$tmp/s.trace" --model iris0 --protocol grpc --from 5s --to 6s
[ -s "$tmp/out" ] || fail 'nothing was selected'
same "$(jq -r '[.name, .protocol] | join(" ")' "$tmp/out" | sort -u)" 'iris0 grpc'
same "$(jq -s 'map(.arrival_ns) | min >= 5e9 and max < 6e9' "$tmp/out")" true
expect 0 "$REPRISE" trace cat --jsonl "$tmp/1.run" --status deadline,grpc:NOT_FOUND
same "$(jq -s 'length > 0 and all(.cause == "deadline" or .grpc_status == 5)' "$tmp/out")" true
expect 0 "$REPRISE" trace cat --jsonl "$tmp/1.run" --status ok
same "$(jq -s 'length > 0 and all(.cause == "ok" and .check != "wrong")' "$tmp/out")" true
expect 64 "$REPRISE" trace cat "$tmp/1.run" --status 9
err_has "unknown status '9'"
expect 64 "$REPRISE" trace cat "$tmp/1.run" --tier envoi
err_has "reprise trace cat: unknown tier 'envoi'; did you mean 'envoy'?"
expect 64 "$REPRISE" trace cat "$tmp/1.run" --from 2s --to 1s
err_has '--from must be before --to'

# --- cut
expect 0 "$REPRISE" trace cut "$tmp/s.trace" --from 5s --to 15s --force -o "$tmp/part.trace"
expect 0 "$REPRISE" trace verify --quiet "$tmp/part.trace"
same "$(wc -c <"$tmp/out")" 0
"$REPRISE" trace cat --jsonl "$tmp/s.trace" --from 5s --to 15s | jq -c '.arrival_ns -= 5000000000 | del(.index)' >"$tmp/want"
"$REPRISE" trace cat --jsonl "$tmp/part.trace" | jq -c 'del(.index)' >"$tmp/got"
cmp "$tmp/want" "$tmp/got" || fail 'cut gives other operations than cat selects'
expect 0 "$REPRISE" trace cut "$tmp/s.trace" --from 5s --keep-times --count 7 --force -o "$tmp/seven.trace"
err_has "$tmp/seven.trace: 7 operations"
same "$("$REPRISE" trace cat --jsonl "$tmp/seven.trace" | jq -s 'length == 7 and .[0].arrival_ns >= 5e9')" true
"$REPRISE" trace cut - --count 1200 -o - --quiet <"$tmp/1.trace" | "$REPRISE" trace cat --jsonl - >"$tmp/piped"
same "$(grep -vc '"late"' "$tmp/piped")" 1200 'through two pipes'
expect 0 "$REPRISE" trace cut "$tmp/1.trace" --count 1200 --force -o "$tmp/direct" --quiet
"$REPRISE" trace cat --jsonl "$tmp/direct" | cmp - "$tmp/piped" || fail 'a pipe gives other operations than a file'
expect 64 "$REPRISE" trace cut "$tmp/1.run" --force -o "$tmp/x"
err_has "'$tmp/1.run' is a run, not a trace"
expect 64 "$REPRISE" trace cut "$tmp/1.trace"
err_has '-o OUT is needed'
[ ! -e "$tmp/x" ] || fail 'a refused cut leaves a file'

# --- damage: verify names it, cat passes it over, repair mends it
size=$(stat -c %s "$tmp/s.trace")
blocks=$("$REPRISE" trace info "$tmp/s.trace" --json | jq .blocks)
[ "$blocks" -ge 4 ] || fail "only $blocks blocks"
head -c $((size - 10)) "$tmp/s.trace" >"$tmp/cut.trace"
expect 65 "$REPRISE" trace verify "$tmp/cut.trace"
err_has "reprise trace verify: '$tmp/cut.trace': the tail is cut off: wanted 40 bytes, got 30 at byte $((size - 40))"
expect 0 "$REPRISE" trace cat "$tmp/cut.trace"
same "$(wc -l <"$tmp/out")" "$n"
err_has 'warning:'
expect 0 "$REPRISE" trace info "$tmp/cut.trace" --json
same "$(jq -c '[.complete, .operations, .hash, .models]' "$tmp/out")" "[false,$n,null,null]"
expect 0 "$REPRISE" trace repair "$tmp/cut.trace" --force -o "$tmp/mended.trace"
out_has "$tmp/mended.trace: $n operations, blocks as they were"
cmp "$tmp/s.trace" "$tmp/mended.trace" || fail 'repair does not give what the close gave'
expect 0 "$REPRISE" trace repair "$tmp/cut.trace" --force -o "$tmp/cut.trace"
cmp "$tmp/s.trace" "$tmp/cut.trace" || fail 'repair in place differs'

cp "$tmp/1.trace" "$tmp/bad.trace"
printf 'XXXX' | dd of="$tmp/bad.trace" bs=1 seek=1000 conv=notrunc status=none
expect 65 "$REPRISE" trace verify "$tmp/bad.trace"
err_has "reprise trace verify: '$tmp/bad.trace': "
err_has 'checksum mismatch at byte'
expect 65 "$REPRISE" trace cat "$tmp/bad.trace"
err_has "reprise trace cat: warning: '$tmp/bad.trace': "
expect 65 "$REPRISE" trace cut "$tmp/bad.trace" --force -o "$tmp/x"
err_has "damaged input ('reprise trace repair' saves what is whole)"
[ ! -e "$tmp/x" ] || fail 'a failed cut leaves a file'
expect 3 "$REPRISE" trace repair "$tmp/bad.trace" --force -o "$tmp/mended.trace"
out_has 'blocks written anew'
out_has 'lost: 1 blocks with at least '
expect 0 "$REPRISE" trace verify "$tmp/mended.trace"
expect 0 "$REPRISE" trace info "$tmp/mended.trace" --json
same "$(jq -r '.notes["repair.lost_blocks"]' "$tmp/out")" 1

# Damage in the bodies of a block costs the bodies alone: what was asked when, and answered, stays.
printf '{"arrival_ns":%d,"protocol":"rest","name":"m","status":200,"last_ns":7,"body":{"base64":"%s"}}\n' \
    3 "$(head -c 6000 /dev/urandom | base64 -w0)" 5 "$(head -c 6000 /dev/urandom | base64 -w0)" |
    "$REPRISE" import jsonl - --force -q -o "$tmp/bad.trace"
printf 'XXXX' | dd of="$tmp/bad.trace" bs=1 seek=6000 conv=notrunc status=none
expect 65 "$REPRISE" trace verify "$tmp/bad.trace"
err_has 'block 1: payload: checksum mismatch at byte'
expect 3 "$REPRISE" trace repair "$tmp/bad.trace" --force -o "$tmp/mended.trace"
same "$(cat "$tmp/out")" "$tmp/mended.trace: 2 operations, blocks written anew
kept in part: 1 blocks with 2 operations; without bodies or hashes: 1, without answers: 0, without ids, connections and tokens: 0"
expect 0 "$REPRISE" trace verify "$tmp/mended.trace"
same "$("$REPRISE" trace cat --jsonl "$tmp/mended.trace" | jq -c '[.arrival_ns, .status, .last_ns, .flags, .body.bytes, .body.text]')" \
'[3,200,7,["truncated"],0,null]
[5,200,7,["truncated"],0,null]'

echo 'not a trace, but a file' >"$tmp/foreign"
: >"$tmp/empty"
for verb in info cat verify export; do
    expect 65 "$REPRISE" trace $verb "$tmp/foreign"
    err_has "reprise trace $verb: '$tmp/foreign': not a trace or run: no block header at byte 0"
    expect 65 "$REPRISE" trace $verb "$tmp/empty"
    err_has "reprise trace $verb: '$tmp/empty': the file is empty"
    expect 74 "$REPRISE" trace $verb "$tmp/none"
    err_has "cannot open '$tmp/none': No such file or directory"
done
expect 65 "$REPRISE" trace repair "$tmp/foreign" --force -o "$tmp/x"
[ ! -e "$tmp/x" ] || fail 'a failed repair leaves a file'
expect 65 "$REPRISE" trace verify "$tmp/s.trace" "$tmp/empty" "$tmp/1.run"
same "$(grep -c sound "$tmp/out")" 2 'verify goes on behind a bad file'
expect 64 "$REPRISE" trace inof "$tmp/s.trace"
err_has "'inof'; did you mean 'info'?"
if [ -w /dev/full ]; then
    expect 74 "$REPRISE" trace cut "$tmp/s.trace" -o /dev/full
    err_has "cannot write '/dev/full' at byte 0: No space left on device"
fi

# --- import jsonl says which line is wrong
bad_line() { # LINE MESSAGE
    printf '{"arrival_ns":5,"protocol":"rest","name":"m"}\n%s\n' "$1" >"$tmp/in"
    expect 65 "$REPRISE" import jsonl "$tmp/in" --force -o "$tmp/x"
    err_has "reprise import jsonl: '$tmp/in': line 2: $2"
    [ ! -e "$tmp/x" ] || fail 'a failed import leaves a file'
}
bad_line '{' 'not JSON: '
bad_line '[]' 'not a JSON object'
bad_line '{"arrival_ns":5,"protocol":"rest","name":"m","pth":"/"}' "unknown key 'pth'"
bad_line '{"arrival_ns":5,"protocol":"http","name":"m"}' "'protocol' is not a known name"
bad_line '{"arrival_ns":5,"protocol":"rest"}' "'name' is missing"
bad_line '{"arrival_ns":-1,"protocol":"rest","name":"m"}' "'arrival_ns' is not a whole number from 0 to"
bad_line '{"arrival_ns":5,"protocol":"rest","name":"m","body":{"text":"a","hash":"00000000000000000000000000000000"}}' \
    "'body' does not have the hash that is given"
bad_line '{"arrival_ns":5,"protocol":"rest","name":"m","body":{"text":"a","bytes":2}}' "'body' has 1 bytes, not 2"
bad_line '{"arrival_ns":5,"protocol":"rest","name":"m","body":{"base64":"YQ"}}' "'body' is not base64"
bad_line '{"arrival_ns":5,"protocol":"rest","name":"m","body":{"base64":"YR=="}}' "'body' is not base64"
bad_line '{"arrival_ns":5,"protocol":"rest","name":"m","flags":["new"]}' "'flags' is not a known name"
bad_line '{"arrival_ns":5,"protocol":"rest","name":"m","index":0}' "'index' does not ascend"
bad_line '{"late":7,"status":200}' 'no operation 7 stands before its answer'
printf '{"arrival_ns":5,"protocol":"rest","name":"m"}\n{"arrival_ns":4,"protocol":"rest","name":"m"}\n' >"$tmp/in"
expect 65 "$REPRISE" import jsonl "$tmp/in" --force -o "$tmp/x"
err_has 'line 2: operation 1 arrives before the one in front of it'
expect 65 "$REPRISE" import jsonl "$tmp/empty" --force -o "$tmp/x"
err_has 'no operation and no outcome in it'
finish
