"""large_trace.py BYTES COUNT > lines - a trace as JSON lines: COUNT inferences by REST and as many
by gRPC, two seconds apart, each of one text of BYTES bytes for the model echo, whose
answer is as large. Texts differ.

SPDX-License-Identifier: Apache-2.0
"""

import base64
import json
import sys


def varint(n: int) -> bytes:
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def grpc_body(text: bytes) -> bytes:
    """ModelInferRequest: the name is replay's to set."""
    tensor = field(1, b"predict") + field(2, b"BYTES") + field(3, b"\1") + field(5, field(8, text))
    return field(1, b"echo") + field(5, tensor)


def rest_body(text: bytes) -> str:
    tensor = {"name": "predict", "shape": [1], "datatype": "BYTES", "data": [text.decode()]}
    return json.dumps({"inputs": [tensor]})


def main() -> None:
    size, count = int(sys.argv[1]), int(sys.argv[2])
    for i in range(2 * count):
        text = (b"%d large enough. " % i * (size // 16 + 1))[:size]
        operation = {"arrival_ns": i * 2_000_000_000, "tier": "server", "name": "echo", "model_type": "echo"}
        if i % 2 == 0:
            operation |= {
                "protocol": "rest",
                "method": "POST",
                "path": "/v2/models/echo/infer",
                "content_type": "application/json",
                "body": {"text": rest_body(text)},
            }
        else:
            operation |= {
                "protocol": "grpc",
                "path": "/inference.GRPCInferenceService/ModelInfer",
                "body": {"base64": base64.b64encode(grpc_body(text)).decode()},
            }
        print(json.dumps(operation))


main()
