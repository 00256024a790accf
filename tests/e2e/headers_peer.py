"""headers_peer.py PORTS SEEN HOLD - a target that keeps what it is told beside the requests.

Serves HTTP/1.1 (and, where grpc is installed, gRPC) on free loopback ports, written to
PORTS as server.http=… and server.grpc=… lines. Every request appends a line to SEEN:
protocol, value of authorization, value of x-api-key ("-" where there is none). Answers
repeat the values, so that they come back to whoever might write them down. None is given while
there is a file HOLD.

SPDX-License-Identifier: Apache-2.0
"""

import http.server
import os
import sys
import threading
import time
from concurrent import futures

try:
    import grpc
except ImportError:
    grpc = None

lock = threading.Lock()


def note(protocol: str, fields: dict[str, str]) -> str:
    line = f"{protocol} {fields.get('authorization', '-')} {fields.get('x-api-key', '-')}"
    with lock, open(sys.argv[2], "a", encoding="ascii") as f:
        f.write(line + "\n")
    while os.path.exists(sys.argv[3]):
        time.sleep(0.01)
    return line


class Rest(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = note("rest", {k.lower(): v for k, v in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def grpc_port() -> int:
    class Any(grpc.GenericRpcHandler):
        def service(self, call):
            line = note("grpc", {k: v for k, v in call.invocation_metadata})
            return grpc.unary_unary_rpc_method_handler(lambda request, context: line.encode())

    server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[Any()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    grpc_port.server = server  # lives as long as this process
    return port


def main() -> None:
    rest = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Rest)
    with open(sys.argv[1] + ".new", "w", encoding="ascii") as f:
        f.write(f"server.http=127.0.0.1:{rest.server_port}\n")
        if grpc:
            f.write(f"server.grpc=127.0.0.1:{grpc_port()}\n")
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    rest.serve_forever()


main()
