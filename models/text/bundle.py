"""Writing a bundle's folder: manifest with digests, licence, card."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models.text.labels import LABELS, SENTIMENT

__all__ = ["LabelFacts", "copy_files", "write_manifest"]


@dataclass(frozen=True, slots=True)
class LabelFacts:
    """What calibration found for one label.

    Attributes:
        scale: Of the logit.
        offset: Added to the scaled logit.
        threshold: Default threshold on the probability.
        precision: Measured at the threshold, if there was enough to measure it on.
        strict: Threshold at which clean chat is left alone.
        experimental: Whether evidence of quality is missing.
        certain_below: Of a first stage: below this score the full model was measured not to fire.
    """

    scale: float = 1.0
    offset: float = 0.0
    threshold: float | None = None
    precision: float | None = None
    experimental: bool = False
    certain_below: float | None = None
    strict: float | None = None


def write_manifest(
    folder: Path,
    *,
    name: str,
    version: str,
    facts: Mapping[str, LabelFacts],
    text: Mapping[str, object],
    spdx: str,
    attribution: str,
    provenance: str,
    first_stage_of: str | None = None,
) -> None:
    """Write `manifest.json` for the files that lie in the folder."""
    labels = [_entry(label, facts.get(label, LabelFacts())) for label in LABELS]
    files = {}
    for path in sorted(folder.iterdir()):
        if path.name != "manifest.json":
            files[path.name] = {
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "bytes": path.stat().st_size,
            }
    manifest = {
        "schema_version": 1,
        "name": name,
        "version": version,
        "task": "text-classification",
        "model": "model.onnx",
        "files": files,
        "labels": labels,
        "text": dict(text),
        "licence": {"spdx": spdx, "attribution": attribution},
        "provenance": provenance,
    }
    if first_stage_of is not None:
        manifest["first_stage_of"] = first_stage_of
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


def _entry(label: str, fact: LabelFacts) -> dict[str, object]:
    """Return a label's part of the manifest, without what is not known."""
    entry: dict[str, object] = {"name": label}
    if fact.threshold is not None:
        entry["threshold"] = round(fact.threshold, 4)
    if fact.precision is not None:
        entry["precision"] = round(fact.precision, 3)
    if fact.strict is not None:
        entry["strict"] = round(max(fact.strict, fact.threshold or 0.0), 4)
    if fact.experimental:
        entry["experimental"] = True
    if fact.certain_below is not None:
        entry["certain_below"] = round(fact.certain_below, 4)
    if label in SENTIMENT:
        entry["group"] = "sentiment"
    entry["calibration"] = {"scale": round(fact.scale, 4), "offset": round(fact.offset, 4)}
    return entry


def copy_files(folder: Path, files: Mapping[str, Path]) -> None:
    """Copy files into a new, empty bundle folder under their new names."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for name, source in files.items():
        shutil.copyfile(source, folder / name)
