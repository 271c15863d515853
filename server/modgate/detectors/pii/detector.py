"""The PII detector: asks the recognisers of the kinds that rules name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from modgate.detectors.base import Finding, Report, Span, Subject, Tier
from modgate.detectors.pii.base import Recogniser, Settings
from modgate.detectors.pii.email import Email
from modgate.detectors.pii.phone import Phone
from modgate.detectors.suffixes import public_suffixes

__all__ = ["RECOGNISERS", "PiiDetector", "PiiInspector", "PiiQuestion"]

RECOGNISERS: tuple[Recogniser, ...] = (Email(), Phone())
"""Every kind of personal detail that is known."""


@dataclass(frozen=True, slots=True)
class PiiQuestion:
    """One kind of personal detail, and what the recognisers must know of the deployment."""

    kind: str
    settings: Settings = field(default_factory=Settings)


class PiiInspector:
    """Looks for some kinds of personal details in every part of a message."""

    def __init__(self, recognisers: Sequence[Recogniser], settings: Settings) -> None:
        self._recognisers = tuple(recognisers)
        self._settings = settings

    def inspect(self, subject: Subject) -> Report:
        """Return the details found, by kind."""
        report: dict[str, tuple[Finding, ...]] = {}
        for recogniser in self._recognisers:
            findings = tuple(
                Finding(recogniser.kind, hit.score, (Span(hit.start, hit.end),), part, hit.why)
                for part, text in subject.parts.items()
                for hit in recogniser.find(text, self._settings)
            )
            if findings:
                report[recogniser.kind] = findings
        return report


class PiiDetector:
    """Personal details, with checksums and context, one recogniser a kind."""

    name = "pii"
    tier = Tier.CHEAP
    cost_us = 60.0

    @property
    def labels(self) -> Mapping[str, float | None]:
        """The kinds there are, with their default confidence."""
        return dict.fromkeys((recogniser.kind for recogniser in RECOGNISERS), 0.5)

    def configure(self, questions: Sequence[PiiQuestion]) -> PiiInspector:
        """Return an inspector of the kinds asked for.

        Raises:
            ValueError: If a kind is not known.
        """
        by_kind = {recogniser.kind: recogniser for recogniser in RECOGNISERS}
        unknown = sorted({q.kind for q in questions} - by_kind.keys())
        if unknown:
            raise ValueError(f"no recogniser for {', '.join(unknown)}; there are {', '.join(by_kind)}")
        public_suffixes()  # read the list now, not on the first message
        kinds = {q.kind for q in questions}
        settings = questions[0].settings if questions else Settings()
        return PiiInspector([r for r in RECOGNISERS if r.kind in kinds], settings)
