"""capture_odd.py - a server and its clients that do what few do, and what they did.

    capture_odd.py serve PORTFILE      HTTP/1.1 and gRPC servers on free ports, until SIGTERM
    capture_odd.py drive PORTFILE      every case once; prints, for each call that a capture
                                       has to tell, a line of JSON of what was sent and got
    capture_odd.py tls PORTFILE CERT KEY    answers 200 over TLS on a free port, until SIGTERM
    capture_odd.py compare WANT GOT    those lines against the operations of a trace, as
                                       `trace cat --jsonl` tells them; exit 1 and says where
                                       they differ

The cases: HTTP/1.1 over IPv6, chunked both ways, gzip, 100-continue, HEAD, a body of 13 MB,
an answer that the connection's end ends, one that a reset breaks off; gRPC with messages
of 12 MiB, errors, a call that is cancelled, streams of 1 to 5,000 messages, GOAWAY.

SPDX-License-Identifier: Apache-2.0
"""

import base64
import gzip
import hashlib
import json
import os
import signal
import socket
import ssl
import struct
import sys
import threading
import time

SERVICE = "/inference.GRPCInferenceService/"
PATH = "/v2/models/{}/infer"


# --- the servers -------------------------------------------------------------------


def read_head(f):
    lines = []
    while (line := f.readline()) not in (b"\r\n", b""):
        lines.append(line.decode("latin-1").strip())
    return lines


def read_body(f, headers):
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while (n := int(f.readline().split(b";")[0], 16)) > 0:
            body += f.read(n)
            f.readline()
        read_head(f)
        return body
    return f.read(int(headers.get("content-length", 0)))


def answer_of(name, body):
    return json.dumps({"model_name": name, "n": len(body), "x": "y" * 900}).encode()


def send_http1(s, name, method, body):
    answer = answer_of(name, body)
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    if name == "chunked":
        s.sendall((head + "Transfer-Encoding: chunked\r\n\r\n").encode())
        for i in range(0, len(answer), 100):
            part = answer[i : i + 100]
            s.sendall(b"%x;ext=1\r\n%s\r\n" % (len(part), part))
        s.sendall(b"0\r\nX-Trailer: t\r\n\r\n")
    elif name == "gzip":
        answer = gzip.compress(answer, mtime=0)
        head += f"Content-Encoding: gzip\r\nContent-Length: {len(answer)}\r\n\r\n"
        s.sendall(head.encode() + answer)
    elif name == "reset":
        s.sendall((head + "Content-Length: 5000\r\n\r\n").encode() + answer[:300])
        time.sleep(0.05)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
    elif name == "closes":
        s.sendall((head + "Connection: close\r\n\r\n").encode() + answer)
        return False
    else:
        head += f"Content-Length: {len(answer)}\r\n\r\n"
        s.sendall(head.encode() + (b"" if method == "HEAD" else answer))
    return True


def serve_connection(s):
    f = s.makefile("rb")
    while head := read_head(f):
        method, path, _ = head[0].split(" ")
        headers = {k.lower(): v for k, v in (h.split(": ", 1) for h in head[1:])}
        if headers.get("expect") == "100-continue":
            s.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = read_body(f, headers)
        if not send_http1(s, path.split("/")[3], method, body):
            break
    f.close()
    s.close()


def serve_http1(listener):
    while True:
        s, _ = listener.accept()
        threading.Thread(target=serve_connection, args=(s,), daemon=True).start()


def grpc_handlers(grpc, slow):
    def infer(request, context):
        kind = dict(context.invocation_metadata()).get("seldon-model")
        if kind == "fails":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no")
        if kind == "slow":
            with open(slow, "w", encoding="utf-8"):
                pass  # the client may cancel it now
            while context.is_active():
                time.sleep(0.01)
        return request

    def stream(requests, _context):
        for request in requests:
            yield request
            yield request[::-1]

    class Handler(grpc.GenericRpcHandler):
        def service(self, details):
            if details.method.endswith("/ModelInfer"):
                return grpc.unary_unary_rpc_method_handler(infer)
            return grpc.stream_stream_rpc_method_handler(stream)

    return Handler()


LARGE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def serve(portfile):
    import concurrent.futures

    import grpc  # pylint: disable=import-outside-toplevel

    listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    threading.Thread(target=serve_http1, args=(listener,), daemon=True).start()
    pool = concurrent.futures.ThreadPoolExecutor(8)
    server = grpc.server(pool, options=LARGE)
    server.add_generic_rpc_handlers((grpc_handlers(grpc, portfile + ".slow"),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with open(portfile + ".new", "w", encoding="utf-8") as f:
        f.write(f"{listener.getsockname()[1]} {port}\n")
    os.rename(portfile + ".new", portfile)
    signal.sigwait([signal.SIGTERM])
    server.stop(0.2).wait()  # GOAWAY


def serve_tls(portfile, cert, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    listener = socket.create_server(("127.0.0.1", 0))
    with open(portfile + ".new", "w", encoding="utf-8") as f:
        f.write(f"{listener.getsockname()[1]}\n")
    os.rename(portfile + ".new", portfile)
    while True:
        s, _ = listener.accept()
        serve_connection(context.wrap_socket(s, server_side=True))


# --- the clients -------------------------------------------------------------------


def digest(data):
    return None if data is None else [len(data), hashlib.sha256(data).hexdigest()]


def told(protocol, name, body, answer, status=200, **more):
    line = {"protocol": protocol, "name": name, "status": status} | more
    print(json.dumps(line | {"body": body, "answer": answer}), flush=True)


def http1(port, host, name, body, extra=(), method="POST", chunk=0, broken=False):
    s = socket.create_connection((host, port))
    head = [f"{method} {PATH.format(name)} HTTP/1.1", "Host: h", "Content-Type: application/json"]
    head += list(extra)
    if chunk:
        head.append("Transfer-Encoding: chunked")
    elif method != "HEAD":
        head.append(f"Content-Length: {len(body)}")
    s.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
    f = s.makefile("rb")
    if "Expect: 100-continue" in extra:
        read_head(f)
    if chunk:
        for i in range(0, len(body), chunk):
            s.sendall(b"%x\r\n%s\r\n" % (len(body[i : i + chunk]), body[i : i + chunk]))
        s.sendall(b"0\r\n\r\n")
    elif method != "HEAD":
        s.sendall(body)
    try:
        lines = read_head(f)
        headers = {k.lower(): v for k, v in (h.split(": ", 1) for h in lines[1:])}
        if "content-length" in headers or "transfer-encoding" in headers:
            answer = b"" if method == "HEAD" else read_body(f, headers)
        else:
            answer = f.read()
    except ConnectionResetError:
        answer = None
    s.close()
    if method == "POST":
        told("rest", name, digest(body), None if broken else digest(answer))


def rest_cases(port):
    body = b'{"inputs":[{"name":"a","shape":[1],"datatype":"FP32","data":[1.5]}]}'
    http1(port, "127.0.0.1", "plain", body)
    http1(port, "::1", "plain", body + b" over IPv6")
    http1(port, "127.0.0.1", "chunked", body)
    http1(port, "127.0.0.1", "chunked", body * 50, chunk=37)
    http1(port, "127.0.0.1", "gzip", body)
    http1(port, "127.0.0.1", "closes", body)
    http1(port, "127.0.0.1", "continue", body * 100, extra=["Expect: 100-continue"])
    http1(port, "127.0.0.1", "plain", b"", method="HEAD")
    http1(port, "127.0.0.1", "large", body * 200000)
    http1(port, "127.0.0.1", "reset", body, broken=True)


def field(number, value):
    n, size = len(value), b""
    while True:
        size += bytes([n & 127 | (128 if n > 127 else 0)])
        n >>= 7
        if not n:
            return bytes([number << 3 | 2]) + size + value


def infer_request(name, floats):
    values = field(5, field(6, struct.pack("<f", 1.25) * floats))
    tensor = field(1, b"a") + field(2, b"FP32") + field(3, b"\1") + values
    return field(1, name.encode()) + field(5, tensor)


def grpc_cases(port, slow):
    import grpc  # pylint: disable=import-outside-toplevel

    with grpc.insecure_channel(f"127.0.0.1:{port}", options=LARGE) as channel:
        infer = channel.unary_unary(SERVICE + "ModelInfer")
        stream = channel.stream_stream(SERVICE + "ModelStreamInfer")
        for name, floats in ("small", 3), ("large", 3 << 20), ("small", 5):
            request = infer_request(name, floats)
            answer = infer(request, metadata=(("seldon-model", name),), timeout=60)
            told("grpc", name, digest(request), digest(answer), grpc_status=0)
        request = infer_request("fails", 1)
        try:
            infer(request, metadata=(("seldon-model", "fails"),), timeout=60)
        except grpc.RpcError as e:
            told("grpc", "fails", digest(request), None, grpc_status=e.code().value[0])
        request = infer_request("slow", 1)
        future = infer.future(request, metadata=(("seldon-model", "slow"),), timeout=60)
        while not os.path.exists(slow):
            time.sleep(0.01)
        future.cancel()
        told("grpc", "slow", digest(request), None, status=None, grpc_status=None)
        for count in 1, 3, 5000:
            parts = [infer_request("stream", i % 7 + 1) for i in range(count)]
            answers = list(stream(iter(parts), metadata=(("seldon-model", "stream"),), timeout=120))
            sizes = [len(parts), len(answers)]
            joined = digest(b"".join(parts)), digest(b"".join(answers))
            told("grpc", "stream", *joined, grpc_status=0, messages=sizes)


def drive(portfile):
    with open(portfile, encoding="utf-8") as f:
        http_port, grpc_port = map(int, f.read().split())
    rest_cases(http_port)
    grpc_cases(grpc_port, portfile + ".slow")


# --- the trace ---------------------------------------------------------------------


def digest_told(body):
    if body is None or ("text" not in body and "base64" not in body):
        return None
    text = body.get("text")
    return digest(base64.b64decode(body["base64"]) if text is None else text.encode())


def as_wanted(op):
    """An operation in the words of told()."""
    got = {"protocol": op["protocol"], "name": op["name"], "status": op.get("status")}
    if op["protocol"] == "grpc":
        got["grpc_status"] = op.get("grpc_status")
    if "messages" in op:
        got["messages"] = [len(op["messages"]), len(op["answer_messages"])]
    return got | {side: digest_told(op.get(side)) for side in ("body", "answer")}


def compare(want, got):
    with open(want, encoding="utf-8") as f:
        wanted = sorted(f.read().splitlines())
    with open(got, encoding="utf-8") as f:
        found = sorted(json.dumps(as_wanted(json.loads(line))) for line in f)
    for line in wanted:
        if line not in found:
            print("not told:", line)
    for line in found:
        if line not in wanted:
            print("not sent:", line)
    sys.exit(wanted != found)


if __name__ == "__main__":
    verbs = {"serve": serve, "tls": serve_tls, "drive": drive, "compare": compare}
    verbs[sys.argv[1]](*sys.argv[2:])
