#!/usr/bin/env python3
"""as_streams.py NAME GAP_MS < operations > streams - JSON lines of a trace, every operation a
call that streams: REST by infer_stream; gRPC by ModelStreamInfer, its request sent twice,
GAP_MS apart. NAME is the model that is called."""
import base64
import json
import sys

name, gap_ns = sys.argv[1], int(sys.argv[2]) * 1_000_000
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
        o["body"] = {"base64": base64.b64encode(body + body).decode()}
        o["messages"] = [[0, len(body)], [gap_ns, len(body)]]
    print(json.dumps(o))
