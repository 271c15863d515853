"""Writing an ONNX graph node by node, with names that do not depend on anything but the order."""

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper


class Graph:
    """Nodes and constants of a graph under construction."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, values: npt.ArrayLike, dtype: type = np.float32) -> str:
        """Add a constant and return its name."""
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(np.asarray(values, dtype)), name))
        return name

    def node(self, operator: str, inputs: list[str], output: str = "", **attributes: object) -> str:
        """Add a node and return the name of its output."""
        name = output or f"n{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def conv(
        self,
        x: str,
        weights: npt.NDArray[np.float32],
        bias: npt.NDArray[np.float32],
        *,
        stride: int,
        padding: tuple[int, int],
        group: int = 1,
    ) -> str:
        """Add a square convolution; weights are (out, in / group, k, k)."""
        before, after = padding
        return self.node(
            "Conv",
            [x, self.constant(weights), self.constant(bias)],
            kernel_shape=list(weights.shape[2:]),
            strides=[stride, stride],
            pads=[before, before, after, after],
            group=group,
        )

    def model(self, name: str, size: int, outputs: dict[str, int]) -> onnx.ModelProto:
        """Return the model: input `image` of (n, 3, size, size), outputs of (n, width) each."""
        # Any number of pictures at once.
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, size, size])
        results = [
            helper.make_tensor_value_info(out, TensorProto.FLOAT, ["n", width]) for out, width in outputs.items()
        ]
        graph = helper.make_graph(self._nodes, name, [image], results, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 9
        return model
