"""One sender, too much: messages and near-duplicates within a window, links, mentions, capitals.

The counters belong to the detector, not to an inspector, so a reload of the rules forgets nothing. They are counted
here at once; a fleet tells its gates of each other's messages afterwards (`FloodDetector.share`).
"""

import re
import unicodedata
import zlib
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from modgate.detectors.base import Finding, Report, Subject, Tier
from modgate.message import Message

__all__ = ["FloodDetector", "FloodInspector", "FloodQuestion", "FloodShare", "Measure", "Seen"]

_LINK = re.compile(r"\b(?:https?|hxxps?)://\S+|\bwww\.\w\S+", re.IGNORECASE)
_MENTION = re.compile(r"(?<![\w@])@\w[\w.-]*|<@[!&]?\d+>")
_SHINGLE = 4
"""Letters of one piece of the fingerprint: small enough that a changed word leaves most pieces alone."""
_PIECES = 64
_ALIKE = 0.75
"""Share of common pieces from which two messages count as near-duplicates."""


class Measure(StrEnum):
    """What is counted, or the share of it."""

    MESSAGES = "messages"
    DUPLICATES = "duplicates"
    LINKS = "links"
    MENTIONS = "mentions"
    CAPITALS = "capitals"
    MENTION_RATIO = "mention_ratio"
    LINK_RATIO = "link_ratio"


@dataclass(frozen=True, slots=True)
class FloodQuestion:
    """Whether a measure reaches a threshold.

    Attributes:
        label: Label of the finding.
        measure: What is measured.
        threshold: Count or share from which it is a flood.
        window_s: Seconds of the sliding window, for messages and duplicates.
        per_conversation: Count in this conversation only, rather than in the whole app.
        min_letters: Letters that a message must have for its capitals to be measured.
    """

    label: str
    measure: Measure
    threshold: float
    window_s: float = 0.0
    per_conversation: bool = True
    min_letters: int = 12


_Print = frozenset[int]


@dataclass(slots=True)
class Seen:
    """A sender's message that is still in some window.

    Attributes:
        id: Of the message; empty if it has none.
        at: Wall-clock seconds of this gate.
        print: Its fingerprint; empty if no rule compares messages.
    """

    id: str
    at: float
    print: _Print


class FloodShare(Protocol):
    """Tells other gates of a sender's message; must not block or raise."""

    def posted(self, key: tuple[str, ...], seen: Seen, horizon: float) -> None:
        """Take note of a message that was counted under a key, and matters for `horizon` seconds."""
        ...


def fingerprint(text: str) -> _Print:
    """Return the least hashes of the text's letter groups: nearly equal texts share nearly all of them.

    The same in every process, so that gates can compare what each of them saw.
    """
    folded = "".join(c for c in unicodedata.normalize("NFKC", text[:2000]).casefold() if c.isalnum())
    if not folded:
        return frozenset({zlib.crc32(text.encode(errors="surrogatepass"))}) if text else frozenset()
    letters = folded.encode("utf-32-le", "surrogatepass")
    pieces = {zlib.crc32(letters[i : i + 4 * _SHINGLE]) for i in range(0, max(4, len(letters) - 4 * _SHINGLE + 4), 4)}
    return frozenset(sorted(pieces)[:_PIECES])


def _alike(one: _Print, other: _Print) -> bool:
    if one == other:
        return True
    together = len(one | other)
    return together > 0 and len(one & other) / together >= _ALIKE


class _Memory:
    """What senders posted lately; forgets whole senders, the longest silent first, when it is full."""

    def __init__(self, senders: int, messages: int) -> None:
        self._senders = senders
        self._messages = messages
        self.share: FloodShare | None = None
        self._seen: OrderedDict[tuple[str, ...], deque[Seen]] = OrderedDict()

    def note(self, key: tuple[str, ...], seen: Seen, horizon: float) -> deque[Seen]:
        """Add a message unless it is there already (a repeated call), and return the sender's recent ones."""
        recent = self._seen.get(key)
        if recent is None:
            recent = self._seen[key] = deque(maxlen=self._messages)
            if len(self._seen) > self._senders:
                self._seen.popitem(last=False)
        self._seen.move_to_end(key)
        while recent and recent[0].at <= seen.at - horizon:
            recent.popleft()
        if not seen.id or all(old.id != seen.id for old in recent):
            recent.append(seen)
            if self.share is not None:
                self.share.posted(key, seen, horizon)
        return recent

    def merge(self, key: tuple[str, ...], others: Iterable[Seen]) -> None:
        """Add messages that other gates saw, if this one saw the sender, too."""
        recent = self._seen.get(key)
        if recent is None:
            return
        known = {old.id for old in recent if old.id}
        recent.extend(seen for seen in others if seen.id not in known)

    def forget(self, app_id: str, sender_id: str) -> None:
        """Forget a sender."""
        for key in [key for key in self._seen if key[:2] == (app_id, sender_id)]:
            del self._seen[key]


class FloodInspector:
    """Measures one message and, where rules ask for it, its sender's last ones."""

    def __init__(self, questions: Sequence[FloodQuestion], memory: _Memory) -> None:
        self._instant = tuple(q for q in questions if not q.window_s)
        self._windowed = tuple(q for q in questions if q.window_s)
        self._horizon = {
            per: max((q.window_s for q in self._windowed if q.per_conversation is per), default=0.0)
            for per in (True, False)
        }
        self._compares = any(q.measure is Measure.DUPLICATES for q in self._windowed)
        self._memory = memory

    def apart(self) -> "FloodInspector":
        """Return an inspector that asks the same and remembers on its own: for trials, which must leave no trace."""
        return FloodInspector((*self._instant, *self._windowed), _Memory(senders=1, messages=1))

    def inspect(self, subject: Subject) -> Report:
        """Return a finding for each question whose threshold is reached."""
        report: dict[str, tuple[Finding, ...]] = {}
        text = subject.message.text
        for question in self._instant:
            value = _measure(question, text)
            if value >= question.threshold:
                report[question.label] = (Finding(question.label, evidence=f"{question.measure} {value:g}"),)
        if self._windowed and subject.message.sender.id:
            self._count(subject, report)
        return report

    def _count(self, subject: Subject, report: dict[str, tuple[Finding, ...]]) -> None:
        message = subject.message
        seen = Seen(message.id, subject.now, fingerprint(message.text) if self._compares else frozenset())
        for per_conversation, horizon in self._horizon.items():
            if not horizon:
                continue
            recent = self._memory.note(_key(message, per_conversation=per_conversation), seen, horizon)
            for question in self._windowed:
                if question.per_conversation is not per_conversation:
                    continue
                since = subject.now - question.window_s
                if question.measure is Measure.MESSAGES:
                    count = sum(1 for old in recent if old.at > since)
                else:
                    count = sum(1 for old in recent if old.at > since and _alike(old.print, seen.print))
                if count >= question.threshold:
                    report[question.label] = (Finding(question.label, evidence=f"{question.measure} {count}"),)


def _key(message: Message, *, per_conversation: bool) -> tuple[str, ...]:
    place = (message.conversation.id,) if per_conversation else ()
    return (message.app_id, message.sender.id, *place)


def _measure(question: FloodQuestion, text: str) -> float:
    match question.measure:
        case Measure.LINKS:
            return sum(1 for _ in _LINK.finditer(text))
        case Measure.MENTIONS:
            return sum(1 for _ in _MENTION.finditer(text))
        case Measure.CAPITALS:
            letters = sum(map(str.isalpha, text))
            return sum(map(str.isupper, text)) / letters if letters >= question.min_letters else 0.0
        case Measure.LINK_RATIO | Measure.MENTION_RATIO:
            words = len(text.split())
            pattern = _LINK if question.measure is Measure.LINK_RATIO else _MENTION
            return sum(1 for _ in pattern.finditer(text)) / words if words else 0.0
        case _:
            raise AssertionError("messages and duplicates are counted over a window")


class FloodDetector:
    """Floods of messages, duplicates, links, mentions and capitals.

    Args:
        senders: Sender-and-conversation pairs to remember at most.
        messages: Messages to remember of each at most; no threshold above it can be reached.
    """

    name = "flood"
    tier = Tier.CHEAP
    cost_us = 30.0

    def __init__(self, senders: int = 50_000, messages: int = 1000) -> None:
        self._memory = _Memory(senders, messages)

    def share(self, share: FloodShare) -> None:
        """Tell other gates of what is counted from now on; what they tell comes in by `merge`."""
        self._memory.share = share

    def merge(self, key: tuple[str, ...], others: Iterable[Seen]) -> None:
        """Count messages that other gates saw, under a key that was given to `FloodShare.posted`."""
        self._memory.merge(key, others)

    def forget(self, app_id: str, sender_id: str) -> None:
        """Forget everything about a sender."""
        self._memory.forget(app_id, sender_id)

    def configure(self, questions: Sequence[FloodQuestion]) -> FloodInspector:
        """Return an inspector that shares this detector's memory."""
        return FloodInspector(questions, self._memory)
