"""peer.py http1|http2 --fault NAME [--every N] [--tls PEM] --ports FILE --summary FILE

A scripted server for faults that the stand-in does not have. It answers every request but
those that --fault hits, and says at its end (SIGTERM, and all that came before was read; see
--patience), as one line of JSON, what it did:

    requests     read whole, and taken for its own (not disowned, not refused)
    twice        requests of these whose body it had taken before
    faults       requests or connections that the fault hit
    connections  accepted

so that a run's word can be held against the server's. Every N-th request is hit, counted
over all connections, where the fault has no rule of its own. With --tls (a file with key and
certificate) all of this happens behind TLS; where it closes, close_notify goes first, unless
--no-goodbye. A connection whose end does not come is waited for --patience seconds. Faults:

    none         nothing
    close-mid    half of the answer, then FIN
    close        FIN instead of an answer
    reset        RST instead of an answer
    idle-close   an answer, then FIN without a word, as servers end idle connections
    slow-read    reads 4 KiB at a time, with 5 ms between them, through a small window
    goaway       HTTP/2: GOAWAY that names this stream as the last; later ones are ignored
    refuse       HTTP/2: REFUSED_STREAM, to each request once
    refuse-all   HTTP/2: REFUSED_STREAM, to every stream
    stream-reset HTTP/2: RST_STREAM with INTERNAL_ERROR instead of an answer

SPDX-License-Identifier: Apache-2.0
"""

import argparse
import hashlib
import json
import os
import socket
import ssl
import struct
import threading
import time

import accepting

ANSWER = b'{"model_name":"m","outputs":[]}'
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    % len(ANSWER)
)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
INTERNAL_ERROR, REFUSED_STREAM = 2, 7
# RFC 7541: ":status: 200" is 8 of the static table, "content-type" 31; grpc-status is new.
RESPONSE_HEADERS = b"\x88\x0f\x10\x10application/grpc"
TRAILERS = b"\x00\x0bgrpc-status\x010"


class Book:
    """What was done, by all threads."""

    def __init__(self, every: int):
        self.lock = threading.Lock()
        self.every = every
        self.seen = 0
        self.bodies: set[bytes] = set()
        self.refused: set[bytes] = set()
        self.counts = {"requests": 0, "twice": 0, "faults": 0, "connections": 0}

    def add(self, what: str) -> None:
        with self.lock:
            self.counts[what] += 1

    def hit(self) -> bool:
        """Whether this request is one of those that the fault is for."""
        with self.lock:
            self.seen += 1
            hit = self.seen % self.every == 0
            self.counts["faults"] += hit
            return hit

    def refuse_once(self, body: bytes) -> bool:
        with self.lock:
            mine = int.from_bytes(hashlib.sha256(body).digest()[:4], "big") % self.every == 0
            if not mine or body in self.refused:
                return False
            self.refused.add(body)
            self.counts["faults"] += 1
            return True

    def take(self, body: bytes) -> None:
        with self.lock:
            self.counts["requests"] += 1
            self.counts["twice"] += body in self.bodies
            self.bodies.add(body)


def reset(s: socket.socket) -> None:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def read_http1(s: socket.socket, slow: bool) -> bytes | None:
    """The body of the next request; None at the end of the connection."""
    got = b""
    while b"\r\n\r\n" not in got:
        piece = s.recv(4096)
        if not piece:
            return None
        got += piece
    head, body = got.split(b"\r\n\r\n", 1)
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, value = line.split(b":", 1)
        if name.strip().lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        if slow:
            time.sleep(0.005)
        piece = s.recv(4096)
        if not piece:
            return None
        body += piece
    return body


def serve_http1(s: socket.socket, fault: str, book: Book) -> None:
    while (body := read_http1(s, fault == "slow-read")) is not None:
        book.take(body)
        if fault == "none" or not book.hit():
            s.sendall(HEAD + ANSWER)
        elif fault == "slow-read":
            s.sendall(HEAD + ANSWER)
        elif fault == "close-mid":
            s.sendall(HEAD + ANSWER[: len(ANSWER) // 2])
            return
        elif fault == "close":
            return
        elif fault == "idle-close":
            s.sendall(HEAD + ANSWER)
            return
        elif fault == "reset":
            reset(s)
            return


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


class Http2:
    """One connection."""

    def __init__(self, s: socket.socket, fault: str, book: Book):
        self.s, self.fault, self.book = s, fault, book
        self.got = b""
        self.bodies: dict[int, bytes] = {}
        self.last: int | None = None  # named by our GOAWAY

    def read(self, n: int) -> bytes | None:
        while len(self.got) < n:
            piece = self.s.recv(65536)
            if not piece:
                return None
            self.got += piece
        out, self.got = self.got[:n], self.got[n:]
        return out

    def run(self) -> None:
        if self.read(len(PREFACE)) != PREFACE:
            return
        self.s.sendall(frame(SETTINGS, 0, 0))
        while (head := self.read(9)) is not None:
            length = int.from_bytes(head[:3], "big")
            kind, flags, stream = struct.unpack(">BBI", head[3:])
            payload = self.read(length)
            if payload is None:
                return
            self.on_frame(kind, flags, stream, payload)

    def on_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == SETTINGS and not flags & ACK:
            self.s.sendall(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.s.sendall(frame(PING, ACK, 0, payload))
        elif kind == RST_STREAM:
            self.bodies.pop(stream, None)
        elif kind in (HEADERS, DATA):
            if kind == DATA and payload:
                self.s.sendall(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", len(payload))))
                self.bodies[stream] = self.bodies.get(stream, b"") + payload
            if flags & END_STREAM:
                self.on_request(stream, self.bodies.pop(stream, b""))

    def on_request(self, stream: int, body: bytes) -> None:
        if self.last is not None and stream > self.last:
            return  # disowned
        if self.fault == "refuse-all" or (
            self.fault == "refuse" and self.book.refuse_once(body)
        ):
            if self.fault == "refuse-all":
                self.book.add("faults")
            self.s.sendall(frame(RST_STREAM, 0, stream, struct.pack(">I", REFUSED_STREAM)))
            return
        self.book.take(body)
        if self.fault in ("goaway", "stream-reset") and self.last is None and self.book.hit():
            if self.fault == "stream-reset":
                code = struct.pack(">I", INTERNAL_ERROR)
                self.s.sendall(frame(RST_STREAM, 0, stream, code))
                return
            self.last = stream
            self.s.sendall(frame(GOAWAY, 0, 0, struct.pack(">II", stream, 0)))
        self.s.sendall(
            frame(HEADERS, END_HEADERS, stream, RESPONSE_HEADERS)
            + frame(DATA, 0, stream, b"\0\0\0\0\0")
            + frame(HEADERS, END_HEADERS | END_STREAM, stream, TRAILERS)
        )


def say_goodbye(s: ssl.SSLSocket) -> None:
    """close_notify, without waiting for the client's."""
    try:
        s.setblocking(False)
        s.unwrap()
    except OSError:
        pass


def serve(s: socket.socket, protocol: str, a: argparse.Namespace, tls: ssl.SSLContext | None, book: Book) -> None:
    try:
        if tls:
            s = tls.wrap_socket(s, server_side=True)
        if protocol == "http1":
            serve_http1(s, a.fault, book)
        else:
            Http2(s, a.fault, book).run()
        if tls and not a.no_goodbye:
            say_goodbye(s)
    except OSError:
        pass  # the client is gone
    finally:
        s.close()


def context(pem: str, protocol: str) -> ssl.SSLContext:
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(pem)
    c.set_alpn_protocols(["h2" if protocol == "http2" else "http/1.1"])
    return c


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("protocol", choices=("http1", "http2"))
    parser.add_argument("--fault", default="none")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--tls")
    parser.add_argument("--no-goodbye", action="store_true")
    parser.add_argument("--patience", type=float, default=60)
    parser.add_argument("--ports", required=True)
    parser.add_argument("--summary", required=True)
    a = parser.parse_args()
    book = Book(a.every)
    tls = context(a.tls, a.protocol) if a.tls else None

    listener = socket.socket()
    if a.fault == "slow-read":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.bind((a.host, 0))
    listener.listen(512)
    with open(a.ports + ".new", "w", encoding="ascii") as f:
        address = f"{a.host}:{listener.getsockname()[1]}"
        http, grpc = ("https://", "grpcs://") if a.tls else ("", "")
        f.write(f"server.http={http}{address}\nserver.grpc={grpc}{address}\n")
    os.rename(a.ports + ".new", a.ports)

    def each(s: socket.socket) -> None:
        book.add("connections")
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        serve(s, a.protocol, a, tls, book)

    accepting.serve(listener, each, a.patience)
    with open(a.summary, "w", encoding="ascii") as f:
        json.dump(book.counts, f)


main()
