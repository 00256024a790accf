#!/usr/bin/env python3
"""proxy.py PORTFILE - a forward proxy on loopback for tests: absolute-form requests and
CONNECT. Writes its port to PORTFILE, and a line per request (method and target) to
standard output. It understands bodies with a length, no more."""
import os
import socket
import sys
import threading

lock = threading.Lock()


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def target_of(text):
    host, port = text.rsplit(":", 1)
    return socket.create_connection((host, int(port)))


def read_head(stream):
    lines = []
    while (line := stream.readline()) not in (b"\r\n", b""):
        lines.append(line)
    return lines


def serve(client):
    stream = client.makefile("rb")
    upstream = None
    while lines := read_head(stream):
        method, url, version = lines[0].decode().split()
        with lock:
            print(method, url, flush=True)
        if method == "CONNECT":
            upstream = target_of(url)
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            threading.Thread(target=pump, args=(upstream, client), daemon=True).start()
            while data := stream.read1(65536):
                upstream.sendall(data)
            return
        authority, _, path = url.removeprefix("http://").partition("/")
        if upstream is None:
            upstream = target_of(authority)
            threading.Thread(target=pump, args=(upstream, client), daemon=True).start()
        fields = [f for f in lines[1:] if not f.lower().startswith(b"proxy-")]
        length = sum(int(f.split(b":")[1]) for f in fields if f.lower().startswith(b"content-length:"))
        upstream.sendall(f"{method} /{path} {version}\r\n".encode() + b"".join(fields) + b"\r\n" + stream.read(length))


def visit(client):
    try:
        serve(client)
    except OSError:
        pass
    client.close()


listener = socket.create_server(("127.0.0.1", 0), backlog=256)
with open(sys.argv[1] + ".new", "w", encoding="ascii") as f:
    f.write(str(listener.getsockname()[1]))
os.rename(sys.argv[1] + ".new", sys.argv[1])
while True:
    threading.Thread(target=visit, args=(listener.accept()[0],), daemon=True).start()
