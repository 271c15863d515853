"""ONNX out: float32 first, then int8 weights."""

import warnings
from pathlib import Path

import onnx
import torch
from models.text.encoder import Classifier, load_minilm
from models.text.packed import Packed
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import Tensor, nn

__all__ = ["padded_to_onnx", "plain_minilm", "quantise", "to_onnx"]


class Plain(nn.Module):
    """A sentence encoder without heads; what it calls logits is the mean of its last hidden states."""

    def __init__(self, encoder: Classifier) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return means [batch, hidden]."""
        return self.encoder.encode(ids, mask)[1]


def plain_minilm(folder: Path, target: Path) -> None:
    """Write MiniLM-L6 as published, in int8: the yardstick of latency."""
    whole = target.with_suffix(".float32.onnx")
    padded_to_onnx(Plain(load_minilm(folder)), whole)
    quantise(whole, target)


def to_onnx(model: Classifier, path: Path) -> None:
    """Write a classifier in float32, packed: inputs `input_ids`, `lengths` and outputs `logits`, `embedding`."""
    ids = torch.randint(5, 1000, (20,))
    axes = {"input_ids": {0: "tokens"}, "lengths": {0: "texts"}, "logits": {0: "texts"}, "embedding": {0: "texts"}}
    _write(Packed(model), (ids, torch.tensor([8, 12])), path, axes, outputs=2)


def padded_to_onnx(model: nn.Module, path: Path) -> None:
    """Write a model of ids and mask in float32: inputs `input_ids`, `attention_mask` and the output `logits`."""
    ids = torch.randint(5, 1000, (2, 12))
    rows = {0: "texts", 1: "tokens"}
    axes = {"input_ids": rows, "attention_mask": rows, "logits": {0: "texts"}}
    _write(model, (ids, torch.ones_like(ids)), path, axes, outputs=1)


def _write(
    model: nn.Module, example: tuple[torch.Tensor, ...], path: Path, axes: dict[str, dict[int, str]], *, outputs: int
) -> None:
    names = list(axes)
    with warnings.catch_warnings():
        # The tracing exporter is deprecated; the new one needs a package that nothing else here needs.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(),
            example,
            str(path),
            input_names=names[:-outputs],
            output_names=names[-outputs:],
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )
    onnx.checker.check_model(str(path))


def quantise(source: Path, target: Path) -> None:
    """Write the model with int8 weights, per channel; activations are quantised as they come."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantize_dynamic(
            source, target, per_channel=True, weight_type=QuantType.QInt8, extra_options={"MatMulConstBOnly": True}
        )
