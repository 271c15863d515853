"""Linear heads of one's own: a label learnt from a folder of pictures, on the features of a bundle that is there.

The trunk stays as it is; one logistic regression on its features is fitted in seconds and written into the graph as a
new last layer. What comes out is a bundle like any other. How good it is is measured by cross-validation on the same
folder, and the folder is all that it knows.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from modgate.inference.bundle import MANIFEST, Bundle
from modgate.inference.manifest import ImageInput
from modgate.media.decode import decode
from modgate.media.errors import MediaError
from modgate.media.limits import Limits
from modgate.media.preprocess import preprocess

__all__ = ["HeadError", "HeadReport", "fit_head", "fit_logistic"]

_LEAST = 12
"""Pictures of each side that are needed; some dozens of each are advisable."""
_FOLDS = 5
_PRECISION = 0.95
"""Precision that the threshold is set for, by cross-validation."""
_EARNED = 0.9
"""Precision under which a label counts as experimental."""
_SECONDS = 10.0
"""Time for decoding one picture: nobody waits here."""

Matrix = npt.NDArray[np.float32]


class HeadError(Exception):
    """A head cannot be fitted; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class HeadReport:
    """What was fitted, and how it did on pictures that it had not seen.

    Attributes:
        path: The new bundle.
        positives: Pictures with the label.
        negatives: Pictures without.
        skipped: Pictures that could not be decoded.
        threshold: Score from which the label counts.
        precision: Share of pictures at or over the threshold that have the label.
        recall: Share of pictures with the label that are at or over it.
    """

    path: Path
    positives: int
    negatives: int
    skipped: int
    threshold: float
    precision: float
    recall: float


def fit_head(base: Bundle, images: Path, label: str, target: Path, report: Callable[[str], None]) -> HeadReport:
    """Fit a head and write its bundle, `head-<label>`.

    Args:
        base: A bundle whose manifest names its `features`.
        images: A folder with a folder named like the label; pictures in it have the label, all others have not.
        label: Of the taxonomy, or one of your own.
        target: The folder of bundles.
        report: Takes one line of progress at a time.

    Raises:
        HeadError: If there are too few pictures, or the base has no features.
    """
    spec = base.manifest.image
    if spec is None or spec.features is None:
        raise HeadError(f"bundle {base.manifest.name} names no features; use swiftformer-s or efficientnet-lite0")
    files = sorted(path for path in images.rglob("*") if path.is_file() and not path.name.startswith("."))
    inside = [images / label in path.parents for path in files]
    trunk = _trunk(base, spec.features)
    report(f"{sum(inside)} pictures with {label}, {len(files) - sum(inside)} without; reading them")
    rows, kept, skipped = _features(trunk, spec, files, inside)
    truth = np.array(kept, np.float32)
    if min(truth.sum(), len(truth) - truth.sum()) < _LEAST:
        raise HeadError(
            f"{int(truth.sum())} readable pictures with {label} and {int(len(truth) - truth.sum())} without; "
            f"at least {_LEAST} of each are needed: put those with it into {images / label}, others beside that folder"
        )
    threshold, precision, recall = _rate(_cross_validated(rows, truth), truth)
    weights, offset = fit_logistic(rows, truth)
    path = target / f"head-{label.replace('_', '-')}"
    model = _with_head(trunk, spec.features, weights, offset)
    earned: dict[str, object] = {
        "name": label,
        "threshold": threshold,
        "precision": round(precision, 3),
        "feeds": {label: 1.0},
    }
    earned["experimental"] = precision < _EARNED
    _write(path, base, model, label=earned, pictures=len(truth))
    return HeadReport(path, int(truth.sum()), int(len(truth) - truth.sum()), skipped, threshold, precision, recall)


def fit_logistic(rows: Matrix, truth: Matrix, decay: float = 0.01, steps: int = 400) -> tuple[Matrix, float]:
    """Return weights and offset of a logistic regression on features of shape (n, d); classes count equally."""
    mean, deviation = rows.mean(0), rows.std(0) + 1e-3
    scaled = (rows - mean) / deviation
    share = np.where(truth > 0, 0.5 / truth.sum(), 0.5 / (len(truth) - truth.sum())).astype(np.float32)
    weights, offset = np.zeros(rows.shape[1], np.float32), np.float32(0)
    speed_w, speed_b = np.zeros_like(weights), np.float32(0)
    # Nesterov's gradient descent: the objective is convex and smooth, with curvature bounded by d / 4 + decay.
    rate = np.float32(1 / (0.25 * (scaled**2).sum(1).max() + decay))
    for step in range(steps):
        momentum = np.float32(step / (step + 3))
        ahead_w, ahead_b = weights + momentum * speed_w, offset + momentum * speed_b
        error = share * (_sigmoid(scaled @ ahead_w + ahead_b) - truth)
        new_w = ahead_w - rate * (scaled.T @ error + decay * ahead_w)
        new_b = ahead_b - rate * error.sum()
        speed_w, speed_b = new_w - weights, new_b - offset
        weights, offset = new_w, new_b
    folded = (weights / deviation).astype(np.float32)
    return folded, float(offset - folded @ mean)


def _sigmoid(values: Matrix) -> Matrix:
    return np.asarray(0.5 * (1 + np.tanh(values / 2)), np.float32)


def _cross_validated(rows: Matrix, truth: Matrix) -> Matrix:
    """Return for each picture the probability by a head that was fitted without it."""
    order = np.random.default_rng(0).permutation(len(truth))
    order = order[np.argsort(truth[order], kind="stable")]
    fold = np.empty(len(truth), np.intp)
    fold[order] = np.arange(len(truth)) % _FOLDS
    scores = np.empty(len(truth), np.float32)
    for left_out in range(_FOLDS):
        seen = fold != left_out
        weights, offset = fit_logistic(rows[seen], truth[seen])
        scores[~seen] = _sigmoid(rows[~seen] @ weights + offset)
    return scores


def _rate(scores: Matrix, truth: Matrix) -> tuple[float, float, float]:
    """Return the lowest threshold with the wanted precision, or the most precise one, with precision and recall."""
    best = (0.5, 0.0, 0.0)
    for threshold in np.arange(0.5, 0.991, 0.01):
        hits = scores >= threshold
        if not hits.any():
            break
        precision, recall = float(truth[hits].mean()), float(hits[truth > 0].mean())
        if precision > best[1]:
            best = (round(float(threshold), 2), precision, recall)
        if precision >= _PRECISION:
            break
    return best


def _onnx() -> Any:  # noqa: ANN401  an optional package without types
    try:
        import onnx  # noqa: PLC0415  needed for fitting only
    except ImportError as error:
        raise HeadError("fitting a head needs the package onnx: pip install 'onnx>=1.20,<2'") from error
    return onnx


def _trunk(base: Bundle, features: str) -> Any:  # noqa: ANN401  an ONNX graph
    """Return the base's model, ending in its features."""
    onnx = _onnx()
    model = onnx.load(str(base.model))
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info(features, onnx.TensorProto.FLOAT, None))
    return model


def _with_head(trunk: Any, features: str, weights: Matrix, offset: float) -> bytes:  # noqa: ANN401  an ONNX graph
    onnx = _onnx()
    helper, arrays = onnx.helper, onnx.numpy_helper
    graph = trunk.graph
    graph.initializer.append(arrays.from_array(weights.reshape(-1, 1), "head_weights"))
    graph.initializer.append(arrays.from_array(np.array([offset], np.float32), "head_offset"))
    graph.node.append(helper.make_node("Gemm", [features, "head_weights", "head_offset"], ["head_logit"]))
    graph.node.append(helper.make_node("Sigmoid", ["head_logit"], ["head_probability"]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("head_probability", onnx.TensorProto.FLOAT, ["n", 1]))
    serialised: bytes = trunk.SerializeToString(deterministic=True)
    return serialised


def _features(
    trunk: Any,  # noqa: ANN401  an ONNX graph
    spec: ImageInput,
    files: Sequence[Path],
    inside: Iterable[bool],
) -> tuple[Matrix, list[bool], int]:
    """Return the features of the readable pictures, (n, d), which of them have the label, and how many were skipped."""
    import onnxruntime as ort  # noqa: PLC0415  heavy, and needed here only

    session = ort.InferenceSession(trunk.SerializeToString(), providers=["CPUExecutionProvider"])
    limits = Limits()
    rows, kept, skipped = [], [], 0
    for file, has in zip(files, inside, strict=True):
        try:
            frame = decode(file.read_bytes(), time.monotonic() + _SECONDS, limits).frames[0]
        except MediaError:
            skipped += 1
            continue
        rows.append(session.run(None, {spec.input: preprocess(frame, spec)})[0].reshape(-1))
        kept.append(has)
    return np.array(rows, np.float32).reshape(len(rows), -1), kept, skipped


def _write(path: Path, base: Bundle, model: bytes, *, label: dict[str, object], pictures: int) -> None:
    path.mkdir(parents=True, exist_ok=True)
    files = {"model.onnx": model}
    licence = base.manifest.licence
    if licence.text:
        files[licence.text] = (base.path / licence.text).read_bytes()
    image = base.manifest.image
    manifest = {
        "schema_version": 1,
        "name": path.name,
        "version": "1",
        "task": base.manifest.task.value,
        "model": "model.onnx",
        "files": {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            for name, content in files.items()
        },
        "labels": [label],
        "image": image.model_dump(mode="json", exclude={"features"}) | {"output": "head_probability", "softmax": False}
        if image
        else None,
        "licence": licence.model_dump(mode="json"),
        "provenance": f"A linear head for {label['name']}, fitted on {pictures} pictures on the features of "
        f"{base.manifest.name} {base.manifest.version} ({base.digest[:12]}) by `modgate models fit-head`.",
    }
    for name, content in files.items():
        (path / name).write_bytes(content)
    (path / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    Bundle.load(path)
