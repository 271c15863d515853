"""The PII detector: asks the recognisers of the kinds that rules name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from modgate.detectors.base import Finding, Report, Subject, Tier
from modgate.detectors.pii.base import Recogniser, Settings
from modgate.detectors.pii.btc import Btc
from modgate.detectors.pii.credit_card import CreditCard
from modgate.detectors.pii.email import Email
from modgate.detectors.pii.email_written import WrittenEmail
from modgate.detectors.pii.eth import Eth
from modgate.detectors.pii.iban import Iban
from modgate.detectors.pii.ip import Ip
from modgate.detectors.pii.phone import Phone
from modgate.detectors.pii.phone_written import WrittenPhone
from modgate.detectors.pii.uk_nhs import UkNhs
from modgate.detectors.pii.url import Url
from modgate.detectors.pii.us_bank_account import UsBankAccount
from modgate.detectors.pii.us_bank_routing import UsBankRouting
from modgate.detectors.pii.us_driver_licence import UsDriverLicence
from modgate.detectors.pii.us_passport import UsPassport
from modgate.detectors.pii.us_ssn import UsSsn
from modgate.detectors.suffixes import public_suffixes
from modgate.detectors.visible import visible

__all__ = ["RECOGNISERS", "PiiDetector", "PiiInspector", "PiiQuestion"]

RECOGNISERS: tuple[Recogniser, ...] = (
    Email(),
    WrittenEmail(),
    Phone(),
    WrittenPhone(),
    Url(),
    Ip(),
    CreditCard(),
    Iban(),
    UsSsn(),
    UsBankRouting(),
    UsBankAccount(),
    UsPassport(),
    UsDriverLicence(),
    UkNhs(),
    Btc(),
    Eth(),
)
"""Every way of finding a personal detail; some kinds have two."""


_MOST = 50
"""Findings of one recogniser in one part."""


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
        report: dict[str, list[Finding]] = {}
        for part, text in subject.parts.items():
            seen = visible(text)
            for recogniser in self._recognisers:
                for count, hit in enumerate(recogniser.find(seen.text, self._settings)):
                    if count == _MOST:
                        # Enough to know what this message is for: what follows is covered as one.
                        span = seen.original(hit.start, len(seen.text))
                        report[recogniser.kind].append(Finding(recogniser.kind, hit.score, (span,), part, "many"))
                        break
                    finding = Finding(recogniser.kind, hit.score, (seen.original(hit.start, hit.end),), part, hit.why)
                    report.setdefault(recogniser.kind, []).append(finding)
        return {kind: tuple(findings) for kind, findings in report.items()}


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
            raise ValueError(f"no recogniser for {', '.join(unknown)}; there are {', '.join(sorted(by_kind))}")
        public_suffixes()  # read the list now, not on the first message
        kinds = {q.kind for q in questions}
        settings = questions[0].settings if questions else Settings()
        return PiiInspector([r for r in RECOGNISERS if r.kind in kinds], settings)
