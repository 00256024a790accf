#!/usr/bin/env bash
# reprise import goreplay: requests and answers joined, versions told apart, hostile files.
# one thread
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$tmp" || exit 1
python=$(command -v /usr/bin/python3 || command -v python3)
cat >make.py <<'END'
import gzip, sys
T, SEPARATOR = 1700000000 * 10**9, "\n\U0001F435\U0001F648\U0001F649\n".encode()
def request(name, body=b"{}", head=""):
    return (f"POST /v2/models/{name}/infer?q=1 HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer hunter2\r\nx-request-id: {name}\r\n{head}Content-Length: {len(body)}\r\n\r\n").encode() + body
def answer(body, head="", status="200 OK"):
    return f"HTTP/1.1 {status}\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
def file(*payloads):
    return b"".join(head.encode() + b"\n" + message + SEPARATOR for head, message in payloads)
def save(name, data):
    open(name, "wb").write(data)
trap = b'{"a":"' + SEPARATOR + b'1 is no first line' + SEPARATOR + b'"}'  # a body that seems to end
chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
save("new.gor", file(
    (f"1 aaa {T} 7", request("a", trap)),
    (f"1 bbb {T + 5000} 9", request("b")),
    (f"2 bbb {T + 105000} 2000", answer(b"second")),
    (f"2 aaa {T + 300000} 40", chunked),
    (f"3 aaa {T + 400000} 40", answer(b"replayed")),
    (f"1 ccc {T + 2000} 3", request("c")),
    (f"1 ddd {T + 6000} 3", b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n"),
    (f"1 eee {T + 7000} 3", request("e")[:-1]),
    (f"2 eee {T + 8000} 3", answer(b"")),
    (f"2 ccc {T + 9000} 3", answer(b"")[:-3])))
save("middle.gor", file((f"1 aaa {T}", request("a")), (f"2 aaa {T + 90} 70", answer(b"x"))))
save("request.gor", file((f"1 aaa {T}", request("a")), (f"2 aaa {T} 90", answer(b"x"))))
save("old.gor", file((f"1 aaa {T}", request("a")), ("2 aaa 1231", b"HTTP/1.1 503 No\r\n\r\nuntil the end")))
save("open.gor", file((f"1 aaa {T}", request("a")))[:-len(SEPARATOR)])
save("many.gor.gz", gzip.compress(file(*(p for i in range(3000) for p in (
    (f"1 {i:024x} {T + 1000 * i} 1", request(f"m{i % 7}", b"x" * (i * 37 % 5000))),
    (f"2 {i:024x} {T + 1000 * i + 500} 1", answer(b"y" * (i % 900))))))))
save("late.gor", file(*[(f"1 {i} {T + i} 1", request("m")) for i in range(65540)],
                      *[(f"2 {i} {T + 10**9} 1", answer(b"y")) for i in (3, 4)]))
END
"$python" make.py || fail 'no samples'
ops() { "$REPRISE" trace cat --jsonl "$1" | jq -c "$2"; }

expect 0 "$REPRISE" import goreplay new.gor --tier envoy -o new.trace
same "$(sed 's/byte [0-9]*/byte N/' err)" "import: 3 operations over 5 us to 'new.trace', 2 answered
import: left out: 1 calls that are no V2 inference (the first: byte N)
import: left out: 2 payloads that are no whole HTTP/1.1 message (the first: byte N)
import: left out: 1 answers to a replay, not to the recorded requests (the first: byte N)
import: left out: 1 answers whose request is not there (the first: byte N)
import: 3 headers denied
import: 3 paths lost their query
import: 1 came with an earlier time than the one before, by up to 3 us; sorted"
same "$(ops new.trace '[.arrival_ns, .tier, .name, .path, .content_type, .id, .status, .first_ns, .last_ns, .answer.text, .answer_encoding]')" \
'[0,"envoy","a","/v2/models/a/infer","application/json","a",200,300000,300040,"hello","gzip"]
[2000,"envoy","c","/v2/models/c/infer","application/json","c",null,null,null,null,null]
[5000,"envoy","b","/v2/models/b/infer","application/json","b",200,100000,102000,"second",null]'
same "$(ops new.trace 'select(.name == "a") | .body.text')" '"{\"a\":\"\n🐵🙈🙉\n1 is no first line\n🐵🙈🙉\n\"}"' 'a body with separators'
! grep -q hunter2 new.trace || fail 'a credential is in the trace'
"$REPRISE" trace export new.trace | grep -q '"epoch_wall_ns":1700000000000000000,' || fail 'another epoch'

# What each version says of an answer's time.
for case in 'middle [200,90,null,"x"]' 'request [200,null,90,"x"]' 'old [503,null,1231,"until the end"]' 'open [null,null,null,null]'; do
    expect 0 "$REPRISE" import goreplay "${case%% *}.gor" -q -o v.trace --force
    same "$(ops v.trace '[.status, .first_ns, .last_ns, .answer.text]')" "${case#* }" "${case%% *}"
done

# Compressed, larger than any window, to the last byte; and answers behind what is written.
expect 0 "$REPRISE" import goreplay many.gor.gz -o many.trace
err_has "import: 3000 operations over 3 ms to 'many.trace', 3000 answered"
same "$("$REPRISE" trace cat --jsonl many.trace | jq -s '[.[] | select(.body.bytes == .index * 37 % 5000 or (.body == null and .index * 37 % 5000 == 0)
    ) | select((.answer.bytes // 0) == .index % 900 and .first_ns == 500 and .last_ns == 501 and .arrival_ns == .index * 1000)] | length')" 3000
expect 0 "$REPRISE" import goreplay late.gor -o late.trace
err_has "import: 65540 operations over 65.5 us to 'late.trace', 1 answered"
err_has 'import: left out: 1 answers whose request is not there'
same "$(ops late.trace 'select(.status) | [.index // .late, .first_ns]')" '[4,999999996]'
expect 0 "$REPRISE" trace verify late.trace

# --- refused, with the byte
refused() { # TEXT MESSAGE
    printf '%b' "$1" >bad.gor
    expect 65 "$REPRISE" import goreplay bad.gor -o no.trace
    same "$(cat err)" "reprise import goreplay: 'bad.gor': $2"
    [ ! -e no.trace ] || fail 'a refused import left a file'
}
monkeys='\n\xf0\x9f\x90\xb5\xf0\x9f\x99\x88\xf0\x9f\x99\x89\n'
refused '' 'no operation in it'
for line in 'GET / HTTP/1.1' '4 a 1' '1 a' '1  1' '1 a x' '1 a 99999999999999999999' '1 a 1 y' '1 a 1'; do
    refused "$line" "not a payload of GoReplay: its first line is no 'TYPE ID TIME' at byte 0"
done
refused "3 a 1\nx${monkeys}7 b 2\n" "no operation in it" # a separator that none follows
refused "3 a 1\nx$monkeys" 'no operation in it'
refused "3 a 1\nx${monkeys}${monkeys}" 'no operation in it'
head -c 3000 many.gor.gz >cut.gor.gz
expect 65 "$REPRISE" import goreplay cut.gor.gz -o no.trace
err_has "'cut.gor.gz': compressed data ends early at byte 3000"
"$python" -c "
import sys
sys.stdout.buffer.write(b'1 a 1700000000000000000\n' + b'x' * (81 << 20))" | expect 65 "$REPRISE" import goreplay - -o no.trace
same "$(cat err)" "reprise import goreplay: '-': a payload of more than 83886080 bytes at byte 0"
[ ! -e no.trace ] || fail 'a refused import left a file'
finish
