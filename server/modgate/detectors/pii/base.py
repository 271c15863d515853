"""What all recognisers of personal details share: hits, context words, the settings of the deployment."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from modgate.detectors.base import Example

__all__ = ["CONTEXT_REACH", "Hit", "Recogniser", "Settings", "near"]

CONTEXT_REACH = 48
"""Characters before and after a candidate in which a context word raises its score."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One personal detail: where, how sure, and why."""

    start: int
    end: int
    score: float
    why: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What recognisers need to know of the deployment.

    Attributes:
        phone_regions: ISO 3166 codes whose national numbers are recognised, the likeliest first.
    """

    phone_regions: tuple[str, ...] = ("US", "GB")


class Recogniser(Protocol):
    """Finds one kind of personal detail. Weak pattern first, then checksum, then context."""

    @property
    def kind(self) -> str:
        """Name in rules and findings."""
        ...

    @property
    def examples(self) -> tuple[Example, ...]:
        """Documented cases: tests and docs are made of them."""
        ...

    def find(self, text: str, settings: Settings) -> Iterator[Hit]:
        """Yield what is found in `text`; cheap when there is nothing."""
        ...


_WORD = re.compile(r"\w+")


def near(words: frozenset[str], text: str, start: int, end: int, reach: int = CONTEXT_REACH) -> bool:
    """Whether one of `words` (folded) stands within `reach` characters around text[start:end], outside of it."""
    return any(
        match.group().casefold() in words
        for low, high in ((max(0, start - reach), start), (end, min(len(text), end + reach)))
        for match in _WORD.finditer(text, low, high)
    )
