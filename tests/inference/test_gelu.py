"""Gelu in either order of factors: the same results, in the form that onnxruntime fuses."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from modgate.inference.gelu import with_known_gelu


def _model(*, outputs: tuple[str, ...] = ("y",), after: str = "Mul") -> bytes:
    constants = {"root": 2**0.5, "one": 1.0, "half": 0.5}
    nodes = [
        helper.make_node("Div", ["x", "root"], ["divided"]),
        helper.make_node("Erf", ["divided"], ["erf"]),
        helper.make_node("Add", ["erf", "one"], ["added"]),
        helper.make_node("Mul", ["half", "added"], ["halved"]),
        helper.make_node(after, ["x", "halved"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "gelu",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in outputs],
        [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    return model.SerializeToString()


def _operators(model: bytes, folder: Path) -> set[str]:
    """Return the operators that onnxruntime makes of a model."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return {node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node}


def test_the_unknown_form_becomes_one_operator(tmp_path: Path) -> None:
    """The runtime leaves the form as it is; rewritten it runs one Gelu, with the same results."""
    model = _model()
    assert "Erf" in _operators(model, tmp_path), "onnxruntime knows this form now: the rewriting can go"
    rewritten = with_known_gelu(model)
    assert _operators(rewritten, tmp_path) == {"Gelu"}
    x = np.linspace(-6, 6, 60, dtype=np.float32).reshape(-1, 3)
    before, after = (
        ort.InferenceSession(each, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
        for each in (model, rewritten)
    )
    assert after == pytest.approx(before, abs=1e-6)


def test_all_else_is_carried_along() -> None:
    """Names, constants, shapes and versions of the model are what they were; rewriting twice changes nothing more."""
    rewritten = with_known_gelu(_model())
    assert with_known_gelu(rewritten) is rewritten
    before, after = onnx.load_from_string(_model()), onnx.load_from_string(rewritten)
    onnx.checker.check_model(after)
    del before.graph.node[:], after.graph.node[:]
    assert before == after


@pytest.mark.parametrize(
    "model",
    [_model(outputs=("y", "halved")), _model(outputs=("y", "added")), _model(after="Add"), b""],
    ids=["factor is read elsewhere", "sum is read elsewhere", "no product", "no model"],
)
def test_what_is_no_gelu_stays(model: bytes) -> None:
    """A model that uses the inner results for something else, or has no such product, is returned as it was."""
    assert with_known_gelu(model) is model
