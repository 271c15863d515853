"""ONNX out: float32 first, then int8 weights."""

import warnings
from pathlib import Path

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn

__all__ = ["quantise", "to_onnx"]


def to_onnx(model: nn.Module, path: Path, *, embedding: bool = True) -> None:
    """Write the model in float32 with inputs `input_ids`, `attention_mask` and outputs `logits`, `embedding`.

    Args:
        model: Takes ids and mask.
        path: The file.
        embedding: Whether the model has the second output.
    """
    model.eval()
    ids = torch.randint(5, 1000, (2, 12))
    dynamic = {0: "batch", 1: "tokens"}
    with warnings.catch_warnings():
        # The tracing exporter is deprecated; the new one needs a package that nothing else here needs.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (ids, torch.ones_like(ids)),
            str(path),
            input_names=["input_ids", "attention_mask"],
            output_names=["logits", "embedding"] if embedding else ["logits"],
            dynamic_axes={
                "input_ids": dynamic,
                "attention_mask": dynamic,
                "logits": {0: "batch"},
                **({"embedding": {0: "batch"}} if embedding else {}),
            },
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
