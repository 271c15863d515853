"""The two thresholds of a label in a manifest."""

import pytest
from pydantic import ValidationError

from modgate.detectors.text import strict_thresholds, text_labels
from modgate.inference.manifest import Label, Manifest


def manifest(*labels: Label) -> Manifest:
    return Manifest.model_validate(
        {
            "name": "m",
            "version": "1",
            "task": "text-classification",
            "model": "m.onnx",
            "files": {name: {"sha256": "0" * 64, "bytes": 1} for name in ("m.onnx", "t.json")},
            "labels": [label.model_dump() for label in labels],
            "text": {"tokenizer": "t.json", "max_tokens": 64},
            "licence": {"spdx": "MIT"},
            "provenance": "made up",
        }
    )


def test_a_bundle_without_strict_thresholds_is_strict_at_its_default_ones() -> None:
    """Manifests from before strict thresholds load, and rules that ask for `strict` get the default threshold."""
    old = manifest(Label(name="toxic", threshold=0.9), Label(name="spam"), Label(name="mood", threshold=0.5, group="g"))
    assert strict_thresholds(old) == text_labels(old) == {"toxic": 0.9, "spam": None}


def test_a_strict_threshold_stands_beside_the_default_one() -> None:
    """Both are offered to rules."""
    new = manifest(Label(name="toxic", threshold=0.6, strict=0.98))
    assert text_labels(new) == {"toxic": 0.6}
    assert strict_thresholds(new) == {"toxic": 0.98}


@pytest.mark.parametrize("threshold", [None, 0.99])
def test_strict_is_never_below_the_default(threshold: float | None) -> None:
    """A strict threshold without a default one, or below it, is a mistake in the manifest."""
    with pytest.raises(ValidationError, match="strict"):
        Label(name="toxic", threshold=threshold, strict=0.98)
