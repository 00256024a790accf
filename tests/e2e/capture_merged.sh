#!/usr/bin/env bash
# A capture that was taken in two places and put together by mergecap tells the same operations
# as the one it was cut from, and lacks nothing: cut by direction, by connection with another
# kind of link and clock, packet by packet, and in two copies.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/../cli/lib.sh"
need tshark mergecap editcap reordercap capinfos zstd jq
cd "$tmp" || exit 1

# Operations by the wall clock, which does not depend on which packet is the first.
story() { # trace jq-filter
    "$REPRISE" trace info --json "$1" | jq -r '.notes["capture.epoch_ns"]' >epoch
    "$REPRISE" trace cat --jsonl "$1" |
        jq -c --arg epoch "$(tail -c 16 epoch)" ".arrival_ns += (\$epoch | tonumber) | $2"
}
take() { # packets trace
    expect 0 "$REPRISE" capture -r "$1" --map compose -o "$2" --json -q
    cp out "$2.json"
}
# What was merged against the whole; copies: how many times each byte was seen; where packets
# do not come in the order of time, `gap` is said of more operations than need be.
check() { # what packets jq-filter copies
    take "$2" merged.trace
    same "$(jq .coverage merged.trace.json)" 1 "$1: coverage"
    story merged.trace "$3" >merged.jsonl
    story whole.trace "$3" >whole.jsonl
    cmp -s whole.jsonl merged.jsonl ||
        fail "$1: operations differ: $(diff whole.jsonl merged.jsonl | head -2 | cut -c 1-300)"
    for way in to_server to_client; do
        same "$(jq -c ".bytes.$way | .seen -= .duplicates | .duplicates = 0" merged.trace.json)" \
            "$(jq -c ".bytes.$way" whole.trace.json)" "$1: bytes $way"
        same "$(jq ".bytes.$way.seen" merged.trace.json)" \
            "$(jq ".bytes.$way.seen * $4" whole.trace.json)" "$1: bytes seen $way"
    done
    same "$(jq .packets.seen merged.trace.json)" "$(capinfos -Mrc "$2" | awk '$NF ~ /^[0-9]+$/ {print $NF}')" "$1: packets"
    rm merged.trace
}
part() { tshark -r whole.pcap -Y "$1" -w "$2" 2>/dev/null; }

begin() { # name
    name=$1
    zstd -dqc "$root/tests/data/scv2-captures/$name.pcap.zst" >whole.pcap
    rm -f whole.trace
    take whole.pcap whole.trace
    [ "$(jq .operations whole.trace.json)" -ge 150 ] || fail "$name: too few operations to say anything"
    part 'tcp.srcport < tcp.dstport' answers.pcap
    part '!(tcp.srcport < tcp.dstport)' requests.pcap
}
# Two interfaces: one without Ethernet headers, of nanoseconds.
by_interface() { # jq-filter
    part 'tcp.port == 9000' here.pcap
    part '!(tcp.port == 9000)' rest.pcap
    editcap -C 14 -T rawip -F nsecpcap rest.pcap there.pcap
    mergecap -w merged.pcapng there.pcap here.pcap
    check "$name by interface" merged.pcapng "$1" 1
}
# The same packets seen on two links.
on_two_links() { # jq-filter
    editcap -C 14 -T rawip whole.pcap raw.pcap
    mergecap -w merged.pcapng raw.pcap whole.pcap
    check "$name on two links" merged.pcapng "$1" 1
    "$REPRISE" capture -r merged.pcapng --map compose -o copies.trace -f -q
    [ "$("$REPRISE" trace info --json copies.trace | jq -r '.notes["coverage.packets.copies_dropped"]')" -gt 500 ] ||
        fail "$name: copies were not told"
}

begin rest-200
mergecap -w merged.pcapng answers.pcap requests.pcap
check "$name by direction" merged.pcapng . 1
# One file behind the other: each answer long before its request, or long after it.
for order in "answers.pcap requests.pcap" "requests.pcap answers.pcap"; do
    # shellcheck disable=SC2086
    mergecap -a -w merged.pcapng $order
    check "$name: $order" merged.pcapng 'del(.connection, .flags)' 1
done
# One leg's packets behind those of the others: each operation is there, but later than it was, and
# the summary says why; once the packets are in order, all is as it was.
part 'tcp.port == 9000' here.pcap
part '!(tcp.port == 9000)' rest.pcap
mergecap -a -w merged.pcapng here.pcap rest.pcap
expect 0 "$REPRISE" capture -r merged.pcapng --map compose -o joined.trace
err_has "time        steps back by more than 1s: 1;"
"$REPRISE" trace info --json joined.trace >joined.json
same "$(jq -r '.notes | [."coverage.packets.time_back", (."coverage.requests.moved" | tonumber > 300), ."coverage.share"] | join(" ")' joined.json)" \
    "1 true 1.000000000" "one leg behind the others"
reordercap merged.pcapng ordered.pcapng >/dev/null
check "$name: in order again" ordered.pcapng . 1
# Requests alone: all of them, and what is missing is what was answered (but for 250 ms of the
# connection that was joined midway).
take requests.pcap alone.trace
same "$(jq -c '[.operations, .requests.unanswered, .coverage < 0.5]' alone.trace.json)" "[600,600,true]" "requests alone"
missing=$(jq .bytes.to_client.gaps alone.trace.json)
answers=$(jq .bytes.to_client.seen whole.trace.json)
((missing <= answers && missing > answers * 97 / 100)) || fail "$missing of $answers bytes of answers are missing"
part 'frame.number % 2 == 0' even.pcap
part 'frame.number % 2 == 1' odd.pcap
mergecap -F pcap -w merged.pcap even.pcap odd.pcap
check "$name packet by packet" merged.pcap . 1
mergecap -w merged.pcapng whole.pcap whole.pcap # sent again, as far as one link can say
check "$name twice" merged.pcapng . 2
by_interface .

begin grpc-200
mergecap -F pcap -w merged.pcap requests.pcap answers.pcap
check "$name by direction" merged.pcap . 1
on_two_links .

begin pipeline-start
mergecap -w merged.pcapng requests.pcap answers.pcap
check "$name by direction" merged.pcapng . 1
# Which of two records of Kafka was read first is no one's.
on_two_links 'if .tier == "kafka" then del(.conn_stream) else . end'
[ "$failures" -eq 0 ]
