"""nsfwjs-mid: from the TensorFlow.js files in the npm package to ONNX.

The package holds the graph as a JavaScript literal and the weights as base64, quantised to 8 bits. They are read as
text, dequantised, and the graph is written again node by node.
"""

import base64
import json
import re
from typing import Any

import numpy as np
import numpy.typing as npt
from models.images.graph import Graph
from models.images.sources import finish, npm_members, same_padding

_SHA256 = "4496790efc9bdc6f3e85a826a8e482c1fa1e9db4b3d18c095e98cc0c73cfb12f"
_FOLDER = "dist/models/mobilenet_v2_mid"
_SIZE = 224
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[A-Za-z_$][\w$]*(?=:)|![01]|(?<![\w.])\.(?=\d)')

Weights = dict[str, npt.NDArray[np.float32]]


def build() -> None:
    """Download, convert, write and check."""
    names = [f"{_FOLDER}/{name}.min.js" for name in ("model", "group1-shard1of2", "group1-shard2of2")]
    files = npm_members("nsfwjs", "4.3.0", _SHA256, names)
    model, *shards = (files[name].decode() for name in names)
    document = _literal(model)
    raw = b"".join(base64.b64decode(_string(shard)) for shard in shards)
    graph = _convert(document["modelTopology"]["node"], _weights(document["weightsManifest"], raw))
    finish("nsfwjs-mid", graph.model("nsfwjs-mid", _SIZE, {"probabilities": 5}))


def _exported(script: str) -> str:
    """Return what the inner module exports: the second assignment, up to the end of the bundler's frame."""
    start = list(re.finditer(r"\.exports=", script))[1].end()
    return script[start : script.rindex("},{}]},{},[1])")]


def _string(script: str) -> str:
    return _exported(script).strip('"')


def _literal(script: str) -> Any:  # noqa: ANN401  a JSON document
    def quoted(match: re.Match[str]) -> str:
        token = match[0]
        if token[0] == '"':
            return token
        return {"!0": "true", "!1": "false", ".": "0."}.get(token, f'"{token}"')

    return json.loads(_TOKEN.sub(quoted, _exported(script)))


def _weights(manifest: list[dict[str, Any]], raw: bytes) -> Weights:
    weights: Weights = {}
    at = 0
    for entry in (weight for group in manifest for weight in group["weights"]):
        shape = [int(side) for side in entry["shape"]]
        count = int(np.prod(shape)) if shape else 1
        packing = entry.get("quantization")
        dtype = np.dtype(packing["dtype"] if packing else entry["dtype"])
        values = np.frombuffer(raw, dtype, count, at).astype(np.float32)
        at += count * dtype.itemsize
        if packing:
            values = values * np.float32(packing["scale"]) + np.float32(packing["min"])
        weights[entry["name"]] = values.reshape(shape)
    if at != len(raw):
        raise SystemExit(f"weights end at {at}, the file at {len(raw)}")
    return weights


_PLAIN = {
    "AvgPool": ("GlobalAveragePool", {}),
    "Squeeze": ("Flatten", {}),
    "Softmax": ("Softmax", {"axis": 1}),
    "Identity": ("Identity", {}),
}
_ARITHMETIC = {"Mul": "Mul", "Sub": "Sub", "AddV2": "Add"}


def _convert(nodes: list[dict[str, Any]], weights: Weights) -> Graph:
    """Write the nodes again; every one of them comes after its inputs."""
    graph = Graph()
    made: dict[str, tuple[str, int]] = {}
    for node in nodes:
        name, operator = node["name"], node["op"]
        inputs = [source.split(":")[0].lstrip("^") for source in node.get("input", [])]
        if operator == "Placeholder":
            made[name] = "image", _SIZE
        elif operator in ("_FusedConv2D", "FusedDepthwiseConv2dNative"):
            kernel, bias = (weights[source] for source in inputs[1:3])
            made[name] = _conv(graph, made[inputs[0]], node, kernel, bias)
        elif operator in _ARITHMETIC:
            terms = [made[i][0] if i in made else graph.constant(_channels(weights[i])) for i in inputs]
            side = next(made[i][1] for i in inputs if i in made)
            made[name] = graph.node(_ARITHMETIC[operator], terms), side
        elif operator == "_FusedMatMul":
            product = graph.node("MatMul", [made[inputs[0]][0], graph.constant(weights[inputs[1]])])
            made[name] = graph.node("Add", [product, graph.constant(weights[inputs[2]])]), 1
        elif operator in _PLAIN:
            plain, attributes = _PLAIN[operator]
            made[name] = graph.node(plain, [made[inputs[0]][0]], **attributes), made[inputs[0]][1]
        elif operator != "Const":
            raise SystemExit(f"unknown operator {operator}")
    graph.node("Identity", [made[nodes[-1]["name"]][0]], "probabilities")
    return graph


def _channels(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return values.reshape(-1) if values.size == 1 else values.reshape(-1, 1, 1)


def _conv(
    graph: Graph,
    x: tuple[str, int],
    node: dict[str, Any],
    kernel: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32],
) -> tuple[str, int]:
    """Write one of TensorFlow's fused convolutions; return its output and that one's side."""
    attributes, (tensor, side) = node["attr"], x
    depthwise = node["op"] == "FusedDepthwiseConv2dNative"
    kernel = kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(3, 2, 0, 1)
    stride, size = int(attributes["strides"]["list"]["i"][1]), kernel.shape[2]
    same = base64.b64decode(attributes["padding"]["s"]) == b"SAME"
    fused = [base64.b64decode(step) for step in attributes["fused_ops"]["list"]["s"]]
    padding = same_padding(side, size, stride) if same else (0, 0)
    y = graph.conv(tensor, kernel, bias, stride=stride, padding=padding, group=kernel.shape[0] if depthwise else 1)
    if fused[1:] == [b"Relu6"]:
        y = graph.node("Clip", [y, graph.constant(0.0), graph.constant(6.0)])
    elif fused[1:]:
        raise SystemExit(f"unknown fused steps {fused}")
    return y, -(-side // stride) if same else (side - size) // stride + 1
