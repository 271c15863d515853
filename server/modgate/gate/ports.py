"""What the gate needs from outside, as narrow interfaces: time, identity, and what is remembered of senders."""

import random
import time
from collections.abc import Sequence
from typing import Protocol

from modgate.gate.decision import Decision, Delivery, Earned, StandingSanction
from modgate.message import Message
from modgate.rules.ruleset import Rule

__all__ = ["Clock", "Observer", "Sanctions", "StandingSanction", "SystemClock", "Violations", "new_decision_id"]

# Ids must be unique, not secret. Asking the kernel for each would give up the interpreter's lock for every message.
_RANDOM = random.Random()  # noqa: S311


class Clock(Protocol):
    """The two kinds of time; injected, so that deadlines and windows are tested without sleeping."""

    def monotonic(self) -> float:
        """Return seconds that only go forward, on the time line of deadlines."""
        ...

    def now(self) -> float:
        """Return wall-clock seconds since the epoch."""
        ...


class SystemClock:
    """The machine's clocks."""

    monotonic = staticmethod(time.monotonic)
    now = staticmethod(time.time)


class Sanctions(Protocol):
    """Sanctions in force; asked once a message, on the event loop: microseconds, no I/O."""

    def standing(self, message: Message, now: float) -> StandingSanction | None:
        """Return the sanction that keeps the sender from posting, if there is one."""
        ...

    def delivery(self, message: Message) -> Delivery | None:
        """Return who should not be disturbed by the message, or None if nobody asked for it."""
        ...


class Violations(Protocol):
    """Counts violations; awaited on the event loop, only for messages that hit a rule with penalties.

    A counter in process never suspends; a shared one has its own small share of the budget and then falls back.
    """

    async def record(self, message: Message, hits: Sequence[Rule], now: float) -> Earned:
        """Count hits of rules with penalties, in shadow too, and return what the sender has earned by this message."""
        ...


class Observer(Protocol):
    """Sees every decision and every failure, for metrics and logs; must not raise."""

    def decided(self, decision: Decision) -> None:
        """Take note of a decision."""
        ...

    def detector_failed(self, detector: str, error: Exception) -> None:
        """Take note of a detector that broke."""
        ...


def new_decision_id() -> str:
    """Return a 128-bit id as 32 hex digits that sorts by time (the layout of UUID version 7, without dashes)."""
    milliseconds = time.time_ns() // 1_000_000
    return f"{milliseconds:012x}{0x7 << 76 | _RANDOM.getrandbits(76):020x}"
