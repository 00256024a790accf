"""encodings_peer.py PORT - a server whose answers are encoded, as the model's name asks.

Serves REST on a free loopback port, which is written to the file PORT. The model
"NAME-and-NAME" answers {"outputs": [...]} with that content-encoding, applied in order:
gzip, deflate (zlib's wrapping), bare (deflate without it), zstd; br and odd are bytes
that only claim to be something; cut is gzip without its end, bomb 80 MiB of blanks.

SPDX-License-Identifier: Apache-2.0
"""

import gzip
import http.server
import os
import subprocess
import sys
import zlib

ANSWER = b'{"outputs":[{"name":"x","shape":[2],"datatype":"FP32","data":[1,2]}]}'


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


WAYS = {
    "plain": ("identity", lambda data: data),
    "gzip": ("gzip", gzip.compress),
    "xgzip": ("X-GZIP", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "bare": ("deflate", bare),
    "zstd": ("zstd", zstd),
    "br": ("br", lambda data: b"\x0b\x02\x80" + data + b"\x03"),
    "odd": ("dcb", lambda data: data[::-1]),
    "cut": ("gzip", lambda data: gzip.compress(data)[:-9]),
    "bomb": ("gzip", lambda data: gzip.compress(data + b" " * (80 << 20), 1)),
}


def encoded(model: str) -> tuple[str, bytes]:
    """(value of content-encoding, body) of the answer of that model."""
    names, body = [], ANSWER
    for part in model.split("-and-"):
        name, way = WAYS[part]
        names.append(name)
        body = way(body)
    return ", ".join(names), body


class Rest(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        names, body = encoded(self.path.split("/")[3].removesuffix("_1"))
        self.send_response(200)
        self.send_header("content-encoding", names)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Rest)
    with open(sys.argv[1] + ".new", "w", encoding="ascii") as f:
        f.write(f"{server.server_port}\n")
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    server.serve_forever()
