"""What conditions ask of detectors where a plain label does not say enough."""

from dataclasses import dataclass

__all__ = ["LanguageQuestion", "SentenceList"]


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
