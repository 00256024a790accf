#!/usr/bin/env bash
# reprise capture of large bodies: byte for byte, in order, at their times, whatever is
# compressed and however little memory there is; and nothing that is masked reaches the disk.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$tmp" || exit 1
python3 "$root/tests/cli/large_bodies.py" make big.pcap expected.json || fail "no packets"
map=9000=envoy,9001=envoy

expect 64 "$REPRISE" capture -r big.pcap -o x --store --compress
err_has "--store and --compress"

record() { # NAME OPTION...: captures, holds the accounts and the calls to what was made
    local name=$1; shift
    expect 0 "$REPRISE" capture -r big.pcap --map "$map" -o "$name.trace" --json "$@"
    same "$(jq -c '[.operations, .coverage, .complete]' out)" '[96,1,true]' "$name"
    same "$(jq -c '[.bytes[] | .unexplained, .pending]' out)" '[0,0,0,0]' "$name adds up"
    cp out "$name.json"
    expect 0 "$REPRISE" trace verify "$name.trace"
    zstd -t -q "$name.trace" || fail "$name is not legal zstd"
    "$REPRISE" trace info "$name.trace" --json | jq -r .hash >"$name.hash"
}
calls() { # NAME [MOVED]
    "$REPRISE" trace cat --jsonl "$1.trace" >calls.jsonl
    python3 "$root/tests/cli/large_bodies.py" check expected.json calls.jsonl "${@:2}" >said 2>&1 ||
        fail "$1: $(cat said)"
}
record plain
calls plain
same "$(cat said)" "96 calls, 0 moved" plain
record stored --store
calls stored
record packed --compress
calls packed
{ cmp -s plain.hash stored.hash && cmp -s plain.hash packed.hash; } ||
    fail "how it is compressed changes what is recorded"
size() { stat -c %s "$1.trace"; }
[ "$(size stored)" -gt "$(size plain)" ] || fail "bodies that repeat themselves are stored"
[ "$(size plain)" -gt $(($(size packed) * 5 / 4)) ] || fail "large bodies are compressed unasked"
expect 0 "$REPRISE" trace pack plain.trace -o later.trace
calls later
[ "$(size later)" -lt $(($(size packed) * 11 / 10)) ] || fail "trace pack leaves them stored"

# A request that takes its time, and little memory: what arrived later does not wait for it
# until bodies must be let go.
python3 "$root/tests/cli/large_bodies.py" make big.pcap expected.json slow || fail "no packets"
record slow --memory 48MiB
moved=$(jq .requests.moved slow.json)
calls slow "$moved"
same "$(cat said)" "96 calls, $moved moved" slow
[ "$moved" -ge 1 ] || fail "the slow request is not counted as moved"

# What is written as it is can be seen; so what is masked would be, too.
grep -qa secret-4711 stored.trace || fail "the text to be masked is not in the bodies"
for bodies in hash shape mask:id; do
    expect 0 "$REPRISE" capture -r big.pcap --map "$map" -o "$bodies.trace" --store -q --bodies "$bodies"
    grep -qa secret-4711 "$bodies.trace" && fail "--bodies $bodies lets text through"
    "$REPRISE" trace info "$bodies.trace" --json >facts
    same "$(jq .operations facts)" 96 "--bodies $bodies"
done
finish
