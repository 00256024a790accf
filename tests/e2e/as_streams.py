#!/usr/bin/env python3
"""as_streams.py NAME GAP_MS [final|error] < operations > streams - JSON lines of a trace, every operation a
call that streams: REST by infer_stream; gRPC by ModelStreamInfer, its request sent twice,
GAP_MS apart. NAME is the model that is called. Of gRPC, final: Triton is asked for an empty answer behind
the last of each request; error: echo is asked for the text "error"."""
import base64
import json
import sys



def field(number: int, data: bytes) -> bytes:
    """Of a protobuf message; short ones alone."""
    return bytes([number << 3 | 2, len(data)]) + data


name, gap_ns = sys.argv[1], int(sys.argv[2]) * 1_000_000
what = sys.argv[3] if len(sys.argv) > 3 else ""
# ModelInferRequest: parameters (4) has an entry whose value is an InferParameter, true.
FINAL = field(4, field(1, b"triton_enable_empty_final_response") + field(2, b"\x08\x01"))
ERROR = field(1, b"echo") + field(5, field(1, b"predict") + field(2, b"BYTES") + field(3, b"\x01") + field(5, field(8, b"error")))
for line in sys.stdin:
    o = json.loads(line)
    if "arrival_ns" not in o:
        print(line, end="")
        continue
    o["name"] = name
    if o["protocol"] == "rest":
        o["path"] = f"/v2/models/{name}/infer_stream"
    else:
        o["path"] = "/inference.GRPCInferenceService/ModelStreamInfer"
        body = base64.b64decode(o["body"]["base64"]) if "base64" in o["body"] else \
            o["body"]["text"].encode()
        body = ERROR if what == "error" else body + FINAL if what == "final" else body
        o["body"] = {"base64": base64.b64encode(body + body).decode()}
        o["messages"] = [[0, len(body)], [gap_ns, len(body)]]
    print(json.dumps(o))
