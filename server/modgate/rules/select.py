"""Which rules cover a place: scopes and group precedence, worked out once per place and remembered."""

from collections import OrderedDict
from dataclasses import dataclass

from modgate.message import Conversation, ConversationType
from modgate.rules.ruleset import Mode, Rule, Ruleset

__all__ = ["Selection", "Selector", "most_specific"]

_Key = tuple[str, ConversationType | None, str]


@dataclass(frozen=True, slots=True)
class Selection:
    """The rules of one ruleset that cover one place, before filters.

    Attributes:
        rules: Live and shadow rules in the order of the document.
        detectors: What their leaves need.
    """

    rules: tuple[Rule, ...]
    detectors: frozenset[str]


def most_specific(rules: tuple[Rule, ...]) -> set[str]:
    """Return the ids of the rules that remain when the most specific of each group replace the others.

    Rules without a group always remain; rules of equal rank remain together.
    """
    best: dict[str, int] = {}
    for rule in rules:
        if rule.group:
            best[rule.group] = max(best.get(rule.group, 0), rule.scope.specificity)
    return {rule.id for rule in rules if not rule.group or rule.scope.specificity == best[rule.group]}


class Selector:
    """Selects from one ruleset. Holds at most `capacity` answers; places that no rule names share theirs."""

    def __init__(self, ruleset: Ruleset, capacity: int = 4096) -> None:
        self._rules = ruleset.rules
        self._apps = frozenset[str]().union(*(rule.scope.apps for rule in ruleset.rules))
        self._conversations = frozenset[str]().union(*(rule.scope.conversation_ids for rule in ruleset.rules))
        self._typed = any(rule.scope.conversation_types for rule in ruleset.rules)
        self._capacity = capacity
        self._known: OrderedDict[_Key, Selection] = OrderedDict()

    def select(self, app_id: str, conversation: Conversation) -> Selection:
        """Return the rules that cover messages of `app_id` in `conversation`."""
        # Names that no scope mentions cannot make a difference: they share one entry.
        key = (
            app_id if app_id in self._apps else "",
            conversation.type if self._typed else None,
            conversation.id if conversation.id in self._conversations else "",
        )
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            return known
        selection = self._work_out(*key)
        self._known[key] = selection
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)
        return selection

    def _work_out(self, app_id: str, kind: ConversationType | None, conversation_id: str) -> Selection:
        covering = tuple(rule for rule in self._rules if rule.scope.covers(app_id, kind, conversation_id))
        # A shadow rule must change nothing, so it replaces no live rule; itself it runs where it would if it were live.
        live = most_specific(tuple(rule for rule in covering if rule.mode is Mode.LIVE))
        everyone = most_specific(covering)
        rules = tuple(rule for rule in covering if rule.id in (live if rule.mode is Mode.LIVE else everyone))
        return Selection(rules, frozenset[str]().union(*(rule.detectors for rule in rules)))
