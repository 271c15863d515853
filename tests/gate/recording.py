"""Listens to what the detectors of a ruleset say to the gate, so that the reference can judge by the same facts."""

from dataclasses import dataclass, field, replace
from typing import cast

from modgate.detectors.base import CheapInspector, DetectorError, ModelInspector, Problem, Report, Subject, Tier
from modgate.message import Message
from modgate.rules.ruleset import Inspection, Ruleset

__all__ = ["Recorder"]


@dataclass(slots=True)
class Recorder:
    """Reports and problems of one message's detectors, as the gate got them."""

    reports: dict[str, Report] = field(default_factory=dict)
    problems: dict[str, Problem] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def listen(self, ruleset: Ruleset) -> Ruleset:
        """Return the ruleset with every inspector overheard."""
        inspections = {name: self._overheard(inspection) for name, inspection in ruleset.inspections.items()}
        return replace(ruleset, inspections=inspections)

    def nothing_in(self, message: Message, ruleset: Ruleset) -> None:
        """Note what needs no asking: a message without media has nothing in its media."""
        if not message.media:
            self.reports.update({name: {} for name, i in ruleset.inspections.items() if i.media_only})

    def failed(self, name: str, error: DetectorError) -> None:
        """Note a failure and what was found before it."""
        self.problems[name] = error.problem
        if error.partial:
            self.reports[name] = error.partial

    def _overheard(self, inspection: Inspection) -> Inspection:
        wrapped: CheapInspector | ModelInspector
        if inspection.tier is Tier.CHEAP:
            wrapped = _Cheap(self, inspection.detector, cast("CheapInspector", inspection.inspector))
        else:
            wrapped = _Model(self, inspection.detector, cast("ModelInspector", inspection.inspector))
        return replace(inspection, inspector=wrapped)


@dataclass(frozen=True, slots=True)
class _Cheap:
    recorder: Recorder
    name: str
    inner: CheapInspector

    def inspect(self, subject: Subject) -> Report:
        self.recorder.asked.append(self.name)
        try:
            report = self.inner.inspect(subject)
        except DetectorError as error:
            self.recorder.failed(self.name, error)
            raise
        except Exception:
            self.recorder.problems[self.name] = Problem.ERROR
            raise
        self.recorder.reports[self.name] = report
        return report


@dataclass(frozen=True, slots=True)
class _Model:
    recorder: Recorder
    name: str
    inner: ModelInspector

    async def inspect(self, subject: Subject, deadline: float) -> Report:
        self.recorder.asked.append(self.name)
        # Until it answers, it is out of time; the gate may stop waiting at any moment.
        self.recorder.problems[self.name] = Problem.TIMEOUT
        try:
            report = await self.inner.inspect(subject, deadline)
        except DetectorError as error:
            self.recorder.failed(self.name, error)
            raise
        except Exception:
            self.recorder.problems[self.name] = Problem.ERROR
            raise
        del self.recorder.problems[self.name]
        self.recorder.reports[self.name] = report
        return report
