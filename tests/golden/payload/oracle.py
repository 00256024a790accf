#!/usr/bin/env python3
"""Computes request payloads a second time and compares them with tests/golden/payload/*.txt.

Independent of the C code: Python's json writes what JSON.stringify would, and a protobuf
encoder of twenty lines writes the wire form. Checked are the constant payloads and those of
k6, REST and gRPC, batches 1 and 3, byte for byte (of the long ones length and beginning),
and of all REST payloads that they are valid JSON whose data fills its shape.

SPDX-License-Identifier: Apache-2.0
"""
import json
import math
import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
WINE = ["fixed acidity", "volatile acidity", "citric acid", "residual sugar", "chlorides",
        "free sulfur dioxide", "total sulfur dioxide", "density", "pH", "sulphates", "alcohol"]


def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def contents(kind, values):
    if kind == "int":
        return field(2, b"".join(varint(v) for v in values))
    if kind == "fp32":
        return field(6, struct.pack("<%df" % len(values), *values))
    return b"".join(field(8, v.encode()) for v in values)


def proto(tensors, content_type=None):
    out = b""
    if content_type:
        out += field(4, field(1, b"content_type") + field(2, field(3, content_type.encode())))
    for name, datatype, shape, kind, values in tensors:
        out += field(5, field(1, name.encode()) + field(2, datatype.encode())
                     + field(3, b"".join(varint(d) for d in shape))
                     + field(5, contents(kind, values)))
    return out.hex()


def text(tensors, content_type=None, order=("name", "shape", "datatype", "data"), nest=False):
    inputs = []
    for name, datatype, shape, _, values in tensors:
        whole = {"name": name, "shape": shape, "datatype": datatype,
                 "data": [values] if nest else values}
        inputs.append({key: whole[key] for key in order if whole[key] is not None})
    message = {"parameters": {"content_type": content_type}} if content_type else {}
    message["inputs"] = inputs
    return json.dumps(message, separators=(",", ":"))


def filled(names, datatype, shape, kind, value):
    return [(n, datatype, shape, kind, [value] * math.prod(shape)) for n in names]


def tensors(model, b, how, protocol):
    """Rows (name, datatype, shape, kind of contents, values); None: k6 could not send it."""
    k6 = how == "k6"
    if model == "tfsimple":
        return [(n, "INT32", [b, 16], "int", list(range(16 * b))) for n in ("INPUT0", "INPUT1")]
    if model == "tfsimple_string":
        value = "1" if k6 and protocol == "grpc" else "97"
        return filled(("INPUT0", "INPUT1"), "BYTES", [b, 16], "bytes", value)
    if model == "iris":
        name = "input" if k6 and protocol == "grpc" else "predict"
        return [(name, "FP32", [b, 4], "fp32", list(range(4 * b)))]
    if model == "pytorch_cifar10":
        return filled(["input__0"], "FP32", [b, 3, 32, 32], "fp32", 0.1)
    if model == "tfmnist":
        return filled(["conv2d_input"], "FP32", [b, 28, 28, 1], "fp32", 0.1)
    if model == "tfresnet152":
        return filled(["input_1"], "FP32", [b, 224, 224, 3], "fp32", 0.1)
    if model == "onnx_gpt2":
        return filled(("input_ids", "attention_mask"), "INT32", [b, 10], "int", 1)
    if model == "mlflow_wine":
        names = [n + "ity" if k6 and n == "citric acid" else n for n in WINE]
        return filled(names, "FP32", [1 if k6 else b], "fp32", 1)
    if model == "add10":
        return None if k6 and protocol == "grpc" else filled(["INPUT"], "FP32", [4], "fp32", 0.1)
    if model == "sentiment":
        return filled(["args"], "BYTES", [b], "bytes", "this is a cool test")
    if model == "echo":
        if k6 and protocol == "grpc":
            return [("input_1", "BYTES", [1], "fp32", [1.2])]
        return filled(["predict"], "BYTES", [1], "bytes", "hello")
    if model == "synth":
        if k6:
            return None if protocol == "grpc" else filled([None], "BYTES", [1], "bytes", "h")
        return filled(["input_1"], "BYTES", [1], "bytes", "h")
    raise KeyError(model)


def expected(model, protocol, batch, how):
    rows = tensors(model, batch, how, protocol)
    content_type = "pd" if model == "mlflow_wine" else None
    if rows is None:
        return None
    if protocol == "grpc":
        return proto(rows, content_type)
    if how != "k6":
        return text(rows, content_type)
    if model == "iris":
        return text(rows, nest=True)
    return text(rows, content_type, ("name", "data", "datatype", "shape"))


def leaves(data):
    return sum(map(leaves, data)) if isinstance(data, list) else 1


def check(model, line):
    protocol, batch, how = line.split(": ")[0].split()
    got = line.split(": ", 1)[1].rstrip("\n")
    refused, elided = got.startswith("refused: "), " bytes, " in got[:20]
    if protocol == "rest" and not refused and not elided:
        for tensor in json.loads(got)["inputs"]:
            assert leaves(tensor["data"]) == math.prod(tensor["shape"]), line
    if how not in ("constant", "k6"):
        return 0
    want = expected(model, protocol, int(batch), how)
    if want is None or refused:
        assert refused and want is None, (model, line)
    elif elided:
        size, _, start = got.split(", ", 2)
        length = len(want) if protocol == "rest" else len(want) // 2
        assert size == "%d bytes" % length and want.startswith(start), (model, line, want[:200])
    else:
        assert got == want, "%s %s\nwanted %s" % (model, line, want)
    return 1


checked = 0
for file in sorted(os.listdir(HERE)):
    if file.endswith(".txt"):
        with open(os.path.join(HERE, file), encoding="utf-8") as lines:
            checked += sum(check(file[:-4], line) for line in lines)
assert checked == 12 * 2 * 2 * 2, checked
print("%d payloads are what they should be" % checked)
