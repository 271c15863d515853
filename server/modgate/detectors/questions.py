"""What conditions ask of detectors where a plain label does not say enough."""

from dataclasses import dataclass

__all__ = ["ALIKE", "LanguageQuestion", "PictureList", "SentenceList"]


@dataclass(frozen=True, slots=True)
class SentenceList:
    """Sentences to compare messages with; findings carry the list's name as their label."""

    name: str
    entries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LanguageQuestion:
    """Whether the language of a text is, or is not, one of `codes`.

    Attributes:
        label: Label of the finding.
        codes: ISO 639-1 codes.
        negated: Whether the finding is that the language is known and is none of `codes`.
    """

    label: str
    codes: tuple[str, ...]
    negated: bool = False


ALIKE = 31
"""Bits in which two PDQ hashes may differ and still be of the same picture, as ThreatExchange recommends."""


@dataclass(frozen=True, slots=True)
class PictureList:
    """A list of hashes.

    Attributes:
        name: The label of its findings.
        entries: Each `pdq:` or `sha256:` and 64 hexadecimal digits; without a kind it is PDQ. What follows a space or a
            comma is a note, so lines of common exports can be taken as they are.
        within: Bits by which a PDQ hash may differ.
    """

    name: str
    entries: tuple[str, ...]
    within: int = ALIKE
