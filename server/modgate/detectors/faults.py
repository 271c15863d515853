"""Drills: detectors that are slow, hang or fail on purpose, so that fallbacks can be watched for real."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from modgate.detectors.base import CheapInspector, ModelInspector, Report, Subject, Tier
from modgate.rules.ruleset import Inspection, Ruleset

__all__ = ["Fault", "FaultError", "parse_faults", "with_faults"]

_FORM = re.compile(r"^(?P<detector>[a-z_]+)=(?:delay:(?P<ms>\d{1,6})ms|(?P<kind>hang|error))$")


class FaultError(RuntimeError):
    """What a detector under an `error` drill raises."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One drill: seconds of delay, None to fail, infinity to hang."""

    detector: str
    delay: float | None


def parse_faults(texts: Sequence[str]) -> dict[str, Fault]:
    """Return drills by detector.

    Args:
        texts: Each `DETECTOR=delay:500ms`, `DETECTOR=hang` or `DETECTOR=error`.

    Raises:
        ValueError: If one is none of these.
    """
    faults: dict[str, Fault] = {}
    for text in texts:
        form = _FORM.match(text)
        if form is None:
            raise ValueError(f"{text!r} is no drill; write e.g. text=delay:500ms, text=hang or image=error")
        delay = {"error": None, "hang": float("inf")}.get(form["kind"], int(form["ms"] or 0) / 1000)
        faults[form["detector"]] = Fault(form["detector"], delay)
    return faults


def with_faults(ruleset: Ruleset, faults: Mapping[str, Fault]) -> Ruleset:
    """Return the ruleset with drills in place of the detectors that they name."""
    if not faults:
        return ruleset
    inspections = {
        name: _faulty(inspection, faults[name]) if name in faults else inspection
        for name, inspection in ruleset.inspections.items()
    }
    return replace(ruleset, inspections=inspections)


def _faulty(inspection: Inspection, fault: Fault) -> Inspection:
    # A slow cheap detector would hold up every message at once, which no real one may do; under a drill it is asked
    # like a model, so that the drill shows what its rules' fallbacks do.
    return replace(inspection, tier=Tier.MODEL, inspector=_FaultyInspector(inspection, fault))


class _FaultyInspector:
    def __init__(self, inspection: Inspection, fault: Fault) -> None:
        self._inspection = inspection
        self._fault = fault

    async def inspect(self, subject: Subject, deadline: float) -> Report:
        """Do what the drill says, then look."""
        if self._fault.delay is None:
            raise FaultError(f"drill: {self._fault.detector} fails on purpose")
        if self._fault.delay == float("inf"):
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(self._fault.delay)
        inspector = self._inspection.inspector
        if self._inspection.tier is Tier.MODEL:
            return await cast("ModelInspector", inspector).inspect(subject, deadline)
        return cast("CheapInspector", inspector).inspect(subject)
