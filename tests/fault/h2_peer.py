"""h2_peer.py --ports FILE --summary FILE [--never N] [--plain] - an HTTP/2 server by python3-h2.

Nothing of it is ours but what it is told to do, so it finds what we and a peer of our own
would both get wrong. Unless --plain, it has every manner that RFC 9113 allows: small and
changing windows, SETTINGS that nobody knows, frames of unknown types on streams and on
the connection, PINGs between the frames of an answer, padding, header blocks in
CONTINUATION frames, answers in pieces. It answers gRPC calls and REST requests alike.

--never N: each N-th request is read and never answered.

At its end (SIGTERM, and all that came before was read) it says what it did, as one line of
JSON: requests, twice (bodies that came before), never, acks (of PINGs) and settings_acks,
unacknowledged (PINGs and SETTINGS without an acknowledgement when that of a later PING on
their connection came: what was on its way when a connection ended is nobody's fault), resets
(by error code), connections.

SPDX-License-Identifier: Apache-2.0
"""

import argparse
import collections
import contextlib
import json
import os
import socket
import struct
import threading
import time

import accepting
import h2.config
import h2.connection
import h2.events
import h2.settings

MESSAGE = b"\n\x01m"  # ModelInferResponse: model_name "m"
GRPC_ANSWER = b"\0" + struct.pack(">I", len(MESSAGE)) + MESSAGE
REST_ANSWER = b'{"model_name":"m","outputs":[]}'
UNKNOWN_FRAME, UNKNOWN_SETTING = 0xBB, 0xFE03

lock = threading.Lock()
counts = collections.Counter(requests=0, twice=0, never=0, acks=0, settings_acks=0, unacknowledged=0, connections=0)
resets: collections.Counter = collections.Counter()
bodies: set[bytes] = set()


def count(what: str, by: int = 1) -> int:
    with lock:
        counts[what] += by
        return counts[what]


def raw_frame(kind: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, 0, stream) + payload


class Connection:
    def __init__(self, s: socket.socket, options: argparse.Namespace):
        self.s, self.options = s, options
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self.c = h2.connection.H2Connection(config)
        self.got: dict[int, bytes] = {}
        self.grpc: dict[int, bool] = {}
        self.cancelled: set[int] = set()
        self.answered = 0
        self.pings = self.acks = self.settings = self.settings_acks = 0  # of this connection
        self.settings_before: list[int] = []  # each PING

    def flush(self) -> None:
        with contextlib.suppress(ConnectionError):  # what a client said before it went is still read
            self.s.sendall(self.c.data_to_send())

    def odd(self, stream: int) -> None:
        """What a peer must read and forget."""
        if self.options.plain:
            return
        self.flush()
        self.s.sendall(raw_frame(UNKNOWN_FRAME, stream, b"of no type"))
        self.s.sendall(raw_frame(UNKNOWN_FRAME, 0, b""))
        self.c.ping(struct.pack(">Q", self.pings))
        self.pings += 1
        self.settings_before.append(self.settings)

    def on_ping_ack(self, nth: int) -> None:
        count("acks")
        missing = nth - self.acks + max(0, self.settings_before[nth] - self.settings_acks)
        if missing != 0:
            count("unacknowledged", missing)
        self.acks = nth + 1

    def run(self) -> None:
        self.c.initiate_connection()
        self.settings += 1
        if not self.options.plain:
            code = h2.settings.SettingCodes
            self.c.update_settings({code.INITIAL_WINDOW_SIZE: 300, code.MAX_CONCURRENT_STREAMS: 10})
            self.flush()
            self.s.sendall(raw_frame(4, 0, struct.pack(">HI", UNKNOWN_SETTING, 1)))
            # h2 did not send that one, and must not take its acknowledgement for that of
            # another: it gets one to await.
            self.c.update_settings({})
            self.c.clear_outbound_data_buffer()
            self.settings += 2
        self.flush()
        while True:
            data = self.s.recv(65536)
            if not data:
                return
            events = self.c.receive_data(data)
            # Requests that came together with their cancellation are not answered: h2 knows of both by now.
            self.cancelled = {e.stream_id for e in events if isinstance(e, h2.events.StreamReset)}
            for event in events:
                self.on_event(event)
            self.flush()

    def on_event(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            fields = dict(event.headers)
            self.got[event.stream_id] = b""
            self.grpc[event.stream_id] = fields.get("content-type", "").startswith("application/grpc")
        elif isinstance(event, h2.events.DataReceived):
            self.got[event.stream_id] += event.data
            if event.flow_controlled_length > 0:
                self.c.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.on_request(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            with lock:
                resets[str(int(event.error_code))] += 1
        elif isinstance(event, h2.events.PingAckReceived):
            self.on_ping_ack(struct.unpack(">Q", event.ping_data)[0])
        elif isinstance(event, h2.events.SettingsAcknowledged):
            count("settings_acks")
            self.settings_acks += 1

    def on_request(self, stream: int) -> None:
        body = self.got.pop(stream)
        nth = count("requests")
        with lock:
            counts["twice"] += body in bodies
            bodies.add(body)
        if self.options.never and nth % self.options.never == 0:
            count("never")
            return
        if stream in self.cancelled:
            return
        self.odd(stream)
        fields = [(":status", "200"), ("content-type", "application/grpc" if self.grpc[stream] else "application/json")]
        if not self.options.plain:
            # Longer than a frame, 16,384 bytes: CONTINUATION follows.
            fields += [(f"x-filler-{i}", os.urandom(1500).hex()) for i in range(10 if nth % 50 == 0 else 0)]
        self.c.send_headers(stream, fields)
        self.odd(stream)
        answer = GRPC_ANSWER if self.grpc[stream] else REST_ANSWER
        half = len(answer) // 2
        self.c.send_data(stream, answer[:half], pad_length=None if self.options.plain else 7)
        self.odd(stream)
        if not self.options.plain:
            self.flush()
            time.sleep(0.0005)
        self.c.send_data(stream, answer[half:], end_stream=not self.grpc[stream])
        if self.grpc[stream]:
            self.c.send_headers(stream, [("grpc-status", "0")], end_stream=True)
        self.answered += 1
        if not self.options.plain and self.answered % 40 == 0:
            window = h2.settings.SettingCodes.INITIAL_WINDOW_SIZE
            self.c.update_settings({window: 200 + self.answered})
            self.settings += 1


def serve(s: socket.socket, options: argparse.Namespace) -> None:
    try:
        Connection(s, options).run()
    except OSError:
        pass  # the client is gone
    finally:
        s.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ports", required=True)
    parser.add_argument("--summary", required=True)
    parser.add_argument("--never", type=int, default=0)
    parser.add_argument("--plain", action="store_true")
    options = parser.parse_args()

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    with open(options.ports + ".new", "w", encoding="ascii") as f:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        f.write(f"server.http={address}\nserver.grpc={address}\n")
    os.rename(options.ports + ".new", options.ports)

    def each(s: socket.socket) -> None:
        count("connections")
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        serve(s, options)

    accepting.serve(listener, each, patience=60)
    with open(options.summary, "w", encoding="ascii") as f:
        json.dump(dict(counts) | {"resets": resets}, f)


main()
