"""The compiled, immutable form of all rules: what the gate evaluates.

Nothing here parses or loads. `modgate.rules.compile` builds a `Ruleset` from a validated document;
a message is judged by exactly one of them, so a reload never tears a decision.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum, StrEnum

from modgate.detectors.base import CheapInspector, ModelInspector, Tier
from modgate.message import ConversationType, Message

__all__ = [
    "AllOf",
    "AnyOf",
    "Condition",
    "Effect",
    "FallbackPolicy",
    "Inspection",
    "Leaf",
    "Mode",
    "Not",
    "Notice",
    "PenaltyClause",
    "PenaltyType",
    "Rule",
    "Ruleset",
    "SanctionScope",
    "Scope",
    "Verdict",
]


class Mode(StrEnum):
    """How far a rule's life has come."""

    DRAFT = "draft"
    """Kept, not run."""
    SHADOW = "shadow"
    """Run and recorded, without effect."""
    LIVE = "live"


class Verdict(IntEnum):
    """What happens to the message; a greater value is stricter."""

    ALLOW = 1
    MASK = 2
    BLOCK = 3


class FallbackPolicy(IntEnum):
    """What stands in for conditions that did not finish; a greater value is stricter."""

    SEND = 1
    BLOCK = 2


@dataclass(frozen=True, slots=True)
class Leaf:
    """One question: did `detector` find any of `labels` with a score of at least `at_least`?

    Attributes:
        index: Place of this leaf among all distinct leaves of the ruleset; equal leaves share one.
        detector: Name of the detector that answers.
        labels: Any of them will do.
        at_least: Score from which the leaf is true, 0..1.
        text: How the rule says it, for explanations: `words profanity`.
    """

    index: int
    detector: str
    labels: tuple[str, ...]
    at_least: float
    text: str


@dataclass(frozen=True, slots=True)
class AllOf:
    """True if every child is true; children stand in order of cost."""

    children: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True if one child is true; children stand in order of cost."""

    children: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    """True if the child is false."""

    child: "Condition"


Condition = Leaf | AllOf | AnyOf | Not


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a rule holds. Empty means everywhere."""

    apps: frozenset[str] = frozenset()
    conversation_types: frozenset[ConversationType] = frozenset()
    conversation_ids: frozenset[str] = frozenset()

    @property
    def specificity(self) -> int:
        """Rank among the rules of one group: a conversation beats a type beats an app beats everywhere."""
        return (4 if self.conversation_ids else 0) + (2 if self.conversation_types else 0) + (1 if self.apps else 0)

    def covers(self, app_id: str, conversation_type: ConversationType | None, conversation_id: str) -> bool:
        """Whether messages of this place are in scope."""
        return (
            (not self.apps or app_id in self.apps)
            and (not self.conversation_types or conversation_type in self.conversation_types)
            and (not self.conversation_ids or conversation_id in self.conversation_ids)
        )


@dataclass(frozen=True, slots=True)
class Notice:
    """What the sender learns of a masked or blocked message."""

    notify: bool = False
    code: int = 508
    reason: str = "MESSAGE_EXTERNAL_LOGIC_BLOCKED"
    sees_masked_text: bool = False


@dataclass(frozen=True, slots=True)
class Effect:
    """What a true rule does.

    Attributes:
        verdict: Verdict it asks for.
        flag: Whether a moderator should look.
        replacement: Text that replaces the whole message (verdict MASK), or None to mask the matched spans.
        mask_char: One character that covers each matched one.
        mask_length: Fixed length of each mask, or None for as many as were matched.
        notice: What the sender is told.
    """

    verdict: Verdict
    flag: bool = False
    replacement: str | None = None
    mask_char: str = "*"
    mask_length: int | None = None
    notice: Notice = Notice()


class PenaltyType(StrEnum):
    """What a sender with too many violations earns."""

    MUTE = "mute"
    KICK = "kick"
    BLOCK_LIST = "block_list"
    FORCE_OFFLINE = "force_offline"
    BAN = "ban"
    DELETE = "delete"
    BLOCK_USER = "block_user"


class SanctionScope(StrEnum):
    """How far a sanction reaches."""

    CONVERSATION = "conversation"
    APP = "app"


@dataclass(frozen=True, slots=True)
class PenaltyClause:
    """N violations of a rule within a window earn a penalty.

    Attributes:
        after: Points in the window that earn it.
        weight: Points of one violation.
        cooldown: Least time between two penalties of this clause.
        decay: Half-life of a violation's points; None if they count in full until they leave the window.
    """

    after: int
    within: timedelta
    impose: PenaltyType
    scope: SanctionScope = SanctionScope.CONVERSATION
    duration: timedelta | None = None
    weight: float = 1.0
    cooldown: timedelta = timedelta(0)
    reason: str = ""
    decay: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A compiled rule.

    Attributes:
        id: Stable name, unique in the ruleset.
        name: For people.
        revision: Counts up with every change of this rule.
        mode: Draft rules never get here; shadow rules are evaluated without effect.
        group: Among rules of one group, the most specific scope that covers a message replaces the others.
        scope: Where.
        admits: Who: true if the rule's filters let it judge this message at this wall-clock time (seconds).
        filters: The filters as written, for explanations; None if there are none.
        when: What.
        effect: Then.
        on_timeout: If the rule's outcome stayed unknown for lack of time or capacity.
        on_error: If it stayed unknown because something broke.
        penalties: What repeated violations earn.
        detectors: Names of the detectors that its leaves need.
        block_fraction: Share of the messages that a BLOCK fallback really blocks; the others are sent.
    """

    id: str
    name: str
    revision: int
    mode: Mode
    group: str
    scope: Scope
    admits: Callable[[Message, float], bool] | None
    filters: Mapping[str, object] | None
    when: Condition
    effect: Effect
    on_timeout: FallbackPolicy
    on_error: FallbackPolicy
    penalties: tuple[PenaltyClause, ...] = ()
    detectors: frozenset[str] = frozenset()
    block_fraction: float = 1.0


@dataclass(frozen=True, slots=True)
class Inspection:
    """One detector, configured for this ruleset.

    Attributes:
        detector: Its name.
        tier: Where it runs.
        cost_us: Typical microseconds for a short message.
        inspector: Answers the ruleset's questions.
        media_only: Whether there is nothing to look at in a message without media.
    """

    detector: str
    tier: Tier
    cost_us: float
    inspector: CheapInspector | ModelInspector
    media_only: bool = False


@dataclass(frozen=True, slots=True)
class Ruleset:
    """All rules and lists, compiled.

    Attributes:
        revision: Changes whenever any rule, list or setting in it changes.
        rules: Shadow and live rules, in the order of the document.
        inspections: Configured detectors by name, in order of cost.
        leaves: All distinct leaves by index.
        total_ms: Budget of one message in milliseconds.
        custom_paths: Paths of the custom payload whose strings are judged; None for all strings.
        warnings: What lint would say that does not stop it from running.
    """

    revision: str
    rules: tuple[Rule, ...]
    inspections: Mapping[str, Inspection]
    leaves: tuple[Leaf, ...]
    total_ms: int = 200
    custom_paths: tuple[str, ...] | None = None
    warnings: tuple[str, ...] = field(default=())
