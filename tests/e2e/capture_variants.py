"""capture_variants.py - what a capture tells of packets that are not all there.

    capture_variants.py REPRISE FOLDER PCAP=MAP...

From each capture of a running Seldon Core many others are made, always the same ones: in
other kinds of frames, with copies, in another order, joined later, cut off earlier, without
some packets, one direction, or the end of each packet. Each is captured, and must hold:

  * every byte of each direction has one place; the counts are those of the operations;
  * where nothing is missing, the operations are exactly those of the whole capture;
  * where packets have the times of another order, they are the same but for their times;
  * where something is, each that is told is one of those, and differs from it only by what
    it lacks: never another model, status, time, id or body. A request whose first bytes are
    missing, or a record of Kafka whose Produce was, may be told later than it came, and is
    flagged.

Prints how many there were and what was wrong with them; exit 1 if anything was.

SPDX-License-Identifier: Apache-2.0
"""

import collections
import json
import random
import struct
import subprocess
import sys

HEAD, RECORD = struct.Struct("<IHHiIII"), struct.Struct("<IIII")
ETHERNET, RAW, SLL, SLL2 = 1, 101, 113, 276
YEAR = 365 * 86400 * 10**9
Packet = collections.namedtuple("Packet", "ns data length")


def read_pcapng(data):
    """Of one interface with times in microseconds, as those of the tests are."""
    at, packets = 0, []
    while at < len(data):
        kind, n = struct.unpack_from("<II", data, at)
        if kind == 6:
            _, high, low, have, length = struct.unpack_from("<5I", data, at + 8)
            packet = data[at + 28 : at + 28 + have]
            packets.append(Packet((high << 32 | low) * 1000, packet, length))
        at += n
    return packets


def read(path):
    data = subprocess.run(["zstd", "-dqc", path], capture_output=True, check=True).stdout
    if data.startswith(b"\n\r\r\n"):
        return read_pcapng(data)
    at, packets = HEAD.size, []
    while at < len(data):
        s, us, n, length = RECORD.unpack_from(data, at)
        at += RECORD.size + n
        packets.append(Packet(s * 10**9 + us * 1000, data[at - n : at], length))
    return packets


def write(path, packets, link):
    with open(path, "wb") as f:
        f.write(HEAD.pack(0xA1B2C3D4, 2, 4, 0, 0, 262144, link))
        for p in packets:
            f.write(RECORD.pack(p.ns // 10**9, p.ns % 10**9 // 1000, len(p.data), p.length))
            f.write(p.data)


# --- variants: name, packets, link type, what must be told: "all", "late", "untimed" or
# "some" ---


def reframed(packets, cut, front):
    """Without the first bytes of each frame, and with others in front."""
    for p in packets:
        head = front(p.data)
        yield Packet(p.ns, head + p.data[cut:], p.length - cut + len(head))


def frames(packets):
    def tags(*words):
        return lambda d: d[:12] + b"".join(struct.pack(">HH", *w) for w in words)

    cooked = struct.pack(">HHHQ", 0, 772, 6, 0)
    cooked2 = struct.pack(">HIHBBQ", 0, 1, 772, 0, 6, 0)
    yield "vlan", list(reframed(packets, 12, tags((0x8100, 5)))), ETHERNET, "all"
    yield "qinq", list(reframed(packets, 12, tags((0x88A8, 5), (0x8100, 7)))), ETHERNET, "all"
    yield "sll", list(reframed(packets, 14, lambda d: cooked + d[12:14])), SLL, "all"
    yield "sll2", list(reframed(packets, 14, lambda d: d[12:14] + cooked2)), SLL2, "all"
    yield "raw", list(reframed(packets, 14, lambda d: b"")), RAW, "all"


def mix(packets, places, luck):
    """Another order, in which none stands more than so many places, or 5 ms, from its own."""
    order, i = [], 0
    while i < len(packets):
        n = 1
        while (n <= places and i + n < len(packets)
               and abs(packets[i + n].ns - packets[i].ns) <= 5 * 10**6):
            n += 1
        order += luck.sample(range(i, i + n), n)
        i += n
    return order


def again_and_mixed(packets, luck):
    yield "each twice", [p for p in packets for _ in range(2)], ETHERNET, "all"
    late = list(enumerate(packets))
    late += [(i + 20.5, p) for i, p in enumerate(packets[:-20]) if i % 5 == 0]
    late.sort(key=lambda item: item[0])
    ns = [packets[min(int(i), len(packets) - 1)].ns for i, _ in late]
    late = [p._replace(ns=t) for t, (_, p) in zip(ns, late, strict=True)]
    yield "sent again", late, ETHERNET, "all"
    mixed = sorted(range(len(packets)), key=lambda i: i + luck.random() * 2)
    yield "out of order", [packets[i] for i in mixed], ETHERNET, "all"
    for places in 4, 8, 16, 32, 64:
        mixed = [packets[i] for i in mix(packets, places, luck)]
        yield f"within {places} places", mixed, ETHERNET, "all"
        mixed = [packets[i] for i in mix(packets, places, luck)]
        mixed = [p._replace(ns=q.ns) for p, q in zip(mixed, packets, strict=True)]
        yield f"seen within {places} places", mixed, ETHERNET, "untimed"
    yield "a year later", [p._replace(ns=p.ns + YEAR) for p in packets], ETHERNET, "late"


def parts(packets, luck):
    n = len(packets)
    for i in range(12):
        k = n * i // 12 + luck.randrange(n // 12)
        yield f"joined at {k}", packets[k:], ETHERNET, "some"
        if i % 3 == 0:
            yield f"until {k}", packets[:k], ETHERNET, "some"
    for i in range(16):
        k, burst = luck.randrange(n), (1, 1, 5, 40)[i % 4]
        yield f"{burst} missing at {k}", packets[:k] + packets[k + burst :], ETHERNET, "some"
    for share in 0.005, 0.05, 0.3:
        left = [p for p in packets if luck.random() >= share]
        yield f"{share} missing", left, ETHERNET, "some"


def cut_short(packets, ports):
    for n in 60, 96, 160, 256, 400, 1500:
        yield f"snaplen {n}", [p._replace(data=p.data[:n]) for p in packets], ETHERNET, "some"
    for side, what in (36, "requests"), (34, "answers"):
        left = [p for p in packets if int.from_bytes(p.data[side : side + 2], "big") not in ports]
        yield f"no {what}", left, ETHERNET, "some"


def variants(packets, ports):
    luck = random.Random(20)
    yield from frames(packets)
    yield from again_and_mixed(packets, luck)
    yield from parts(packets, luck)
    yield from cut_short(packets, ports)


# --- what is told ------------------------------------------------------------------


class Told:
    """A capture of packets: its operations, and what was wrong with its accounts."""

    def __init__(self, reprise, folder, packets, link, tiers):
        pcap, trace = f"{folder}/v.pcap", f"{folder}/v.trace"
        write(pcap, packets, link)
        command = [reprise, "capture", "-r", pcap, "-m", tiers, "-o", trace, "-f", "-q", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.wrong = [] if done.returncode == 0 else [f"exit {done.returncode}: {done.stderr}"]
        cat = subprocess.run([reprise, "trace", "cat", "--jsonl", trace], capture_output=True,
                             text=True, check=True)
        self.ops = []
        for op in map(json.loads, cat.stdout.splitlines()):
            if "late" in op:  # an answer that came, or was given up, after its request
                of = self.ops[op.pop("late")]
                op["flags"] = of.get("flags", []) + op.get("flags", [])
                of.update(op)
            else:
                self.ops.append(op)
        for op in self.ops:
            op["at"] = packets[0].ns + op.pop("arrival_ns")
        if done.returncode == 0:
            self.check_accounts(json.loads(done.stdout))

    def check_accounts(self, summary):
        for direction, bytes_of in summary["bytes"].items():
            told = sum(n for what, n in bytes_of.items() if what not in ("seen", "unexplained"))
            if told != bytes_of["seen"] or bytes_of["unexplained"] or bytes_of["pending"]:
                self.wrong.append(f"{direction}: {bytes_of}")
        requests = summary["requests"]
        inferred = sum("inferred" in op.get("flags", []) for op in self.ops)
        if (requests["recorded"], requests["inferred"]) != (len(self.ops), inferred):
            self.wrong.append(f"{len(self.ops)} operations, {inferred} inferred: {requests}")


SAME = "tier protocol resource name path status grpc_status first_ns last_ns id".split()


def text_of(body):
    return None if body is None else body.get("text", body.get("base64"))


def contradictions(op, whole):
    """What op says that the whole capture's operation does not."""
    gap = "gap" in op.get("flags", [])
    late = op["protocol"] == "kafka" and gap
    found = []
    for key in SAME:
        if key not in op or op[key] == whole.get(key):
            continue
        if (key == "first_ns" and gap) or (key == "last_ns" and late):
            continue  # of what was seen of it
        found.append(key)
    for key in "body", "answer":
        if text_of(op.get(key)) not in (None, text_of(whole.get(key))):
            found.append(key)
    return found


def is_moved(op, with_its_body):
    """Its first bytes are missing, so that it begins later; all else is as it was."""
    if "gap" not in op.get("flags", []):
        return False
    times = {"first_ns", "last_ns"}
    return text_of(op["body"]) is None or any(
        not set(contradictions(op, w)) - times for w in with_its_body
    )


def check_some(told, whole):
    by_time, by_body = collections.defaultdict(list), collections.defaultdict(list)
    for op in whole:
        by_time[op["at"], op["tier"], op["protocol"]].append(op)
        by_body[op["tier"], text_of(op["body"])].append(op)
    for op in told.ops:
        like = by_time[op["at"], op["tier"], op["protocol"]]
        best = min((contradictions(op, w) for w in like), key=len, default=None)
        if best == [] or is_moved(op, by_body[op["tier"], text_of(op["body"])]):
            continue
        told.wrong.append(f"{best or 'told of no call'}: {json.dumps(op)[:300]}")


TIMES = "at first_ns last_ns".split()


def check_untimed(told, whole):
    def without(ops):
        return collections.Counter(
            json.dumps([op.get(k) for k in SAME if k not in TIMES]
                       + [text_of(op.get("body")), text_of(op.get("answer"))]
                       # a copy of a record on another connection may come before it
                       + [op.get("flags") if op["protocol"] != "kafka" else None])
            for op in ops
        )

    differ = without(told.ops)
    differ.subtract(without(whole))
    told.wrong += [f"{n:+} {what[:300]}" for what, n in differ.items() if n]
    told.wrong += [f"answered before it was asked: {op}"[:300] for op in told.ops
                   if op.get("first_ns", 0) < 0]


def check_all(told, whole):
    if len(told.ops) != len(whole):
        told.wrong.append(f"{len(told.ops)} operations, not {len(whole)}")
    check_some(told, whole)


def check(reprise, folder, pcap, tiers):
    packets = read(pcap)
    ports = {int(word.split("=")[0]) for word in tiers.split(",")}
    whole = Told(reprise, folder, packets, ETHERNET, tiers)
    count, bad = 0, len(whole.wrong)
    for line in whole.wrong:
        print(pcap, line)
    for name, left, link, must in variants(packets, ports):
        told = Told(reprise, folder, left, link, tiers)
        wanted = whole.ops
        if must == "late":
            wanted = [op | {"at": op["at"] + YEAR} for op in wanted]
        {"some": check_some, "untimed": check_untimed}.get(must, check_all)(told, wanted)
        for line in told.wrong[:3]:
            print(f"{pcap}, {name}: {line}")
        count += 1
        bad += len(told.wrong)
    return count, bad


def main():
    counts = [check(*sys.argv[1:3], *word.split("=", 1)) for word in sys.argv[3:]]
    print(sum(count for count, _ in counts), "variants")
    sys.exit(any(bad for _, bad in counts))


if __name__ == "__main__":
    main()
