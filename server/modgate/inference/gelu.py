"""Writing Gelu in the order of factors that onnxruntime recognises and runs as one operator.

PyTorch's newer exporter writes `x * (0.5 * (1 + erf(x / sqrt 2)))`. onnxruntime 1.31 fuses `0.5 * (x * (1 + ...))`, not
the other: that runs as five operators and, between convolutions, leaves their layout. Both are the same product.

Only the fields that matter here are described to protobuf; it carries all others along unread.
"""

from collections import Counter
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["with_known_gelu"]

_STRING, _MESSAGE = descriptor_pb2.FieldDescriptorProto.TYPE_STRING, descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
_ONE, _MANY = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL, descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
_SCHEMA = {
    "Value": [("name", 1, _ONE, _STRING, "")],
    "Node": [
        ("input", 1, _MANY, _STRING, ""),
        ("output", 2, _MANY, _STRING, ""),
        ("op_type", 4, _ONE, _STRING, ""),
    ],
    "Graph": [("node", 1, _MANY, _MESSAGE, "Node"), ("output", 12, _MANY, _MESSAGE, "Value")],
    "Model": [("graph", 7, _ONE, _MESSAGE, "Graph")],
}
"""Name, number, label, type and message type of fields, as in onnx.proto."""


def with_known_gelu(model: bytes) -> bytes:
    """Return an ONNX model that gives the same results, with every Gelu of the unknown form in the known one.

    Args:
        model: The content of an ONNX file.

    Raises:
        google.protobuf.message.DecodeError: If it is none.
    """
    if b"Erf" not in model:
        return model
    parsed = _MODEL.FromString(model)
    return parsed.SerializeToString() if _rearrange(parsed.graph) else model


def _rearrange(graph: Any) -> int:  # noqa: ANN401  a message of the schema above
    """Swap factors in place and return in how many places."""
    made = {name: node for node in graph.node for name in node.output}
    uses = Counter(name for node in graph.node for name in node.input) + Counter(value.name for value in graph.output)
    users = {name: node for node in graph.node for name in node.input}

    def then(node: Any, op_type: str) -> Any:  # noqa: ANN401
        """Return the one operator that uses a result, if it is of that type."""
        name = node.output[0]
        user = users.get(name) if uses[name] == 1 else None
        return user if user is not None and user.op_type == op_type else None

    swapped = 0
    for erf in graph.node:
        divided = made.get(erf.input[0]) if erf.op_type == "Erf" else None
        if divided is None or divided.op_type != "Div":
            continue
        x = divided.input[0]
        inner = (added := then(erf, "Add")) and then(added, "Mul")
        outer = inner and then(inner, "Mul")
        if outer is None or x not in outer.input or x in inner.input:
            continue
        factor = 1 - list(inner.input).index(added.output[0])
        inner.input[factor], outer.input[list(outer.input).index(x)] = x, inner.input[factor]
        swapped += 1
    return swapped


def _described() -> Any:  # noqa: ANN401
    """Return the class of models, of the schema above."""
    file = descriptor_pb2.FileDescriptorProto(name="modgate/gelu.proto", package="modgate.gelu")
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for field, number, label, kind, of in fields:
            message.field.add(
                name=field, number=number, label=label, type=kind, type_name=f".modgate.gelu.{of}" if of else None
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("modgate.gelu.Model"))


_MODEL = _described()
