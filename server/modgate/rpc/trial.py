"""Trials: a message judged by rules, with nothing counted and nothing recorded."""

import time
from dataclasses import replace

from modgate.detectors.flood import FloodInspector
from modgate.gate import Decision, Gate
from modgate.message import Message
from modgate.rules import Ruleset

__all__ = ["TRIAL_SECONDS", "judge_apart"]

TRIAL_SECONDS = 5.0
"""Budget of a trial: long enough that it shows what the rules say, not how busy the server is."""


def _forgetful(ruleset: Ruleset) -> Ruleset:
    """Return the ruleset with a flood detector that knows of no other message and will not remember this one."""
    inspections = {
        name: replace(inspection, inspector=inspection.inspector.apart())
        if isinstance(inspection.inspector, FloodInspector)
        else inspection
        for name, inspection in ruleset.inspections.items()
    }
    return replace(ruleset, inspections=inspections)


async def judge_apart(ruleset: Ruleset, message: Message, seconds: float = TRIAL_SECONDS) -> Decision:
    """Return what would be decided about a message, with every leaf's outcome.

    No violation is counted, no sanction looked up, no flood remembered, and neither metrics nor history see it.

    Args:
        ruleset: The rules.
        message: The message.
        seconds: Budget.
    """
    arrived = time.monotonic()
    return await Gate(_forgetful(ruleset)).judge(message, arrived=arrived, deadline=arrived + seconds, explain=True)
