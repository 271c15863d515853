"""Which rules judge a message of one place, and how to find the few that can be true.

Plans are made once per place and ruleset. With hundreds of rules, walking every tree for every message would
cost more than the detectors: a rule without `not` can only be true or unknown if one of its leaves is, so the
findings of a message lead to the rules worth evaluating.
"""

from collections import defaultdict
from collections.abc import Iterator

from modgate.detectors.base import Tier
from modgate.gate.facts import Facts
from modgate.message import Message
from modgate.rules.ruleset import Condition, Leaf, Not, Rule, Ruleset
from modgate.rules.select import Selection, Selector

__all__ = ["Plan", "Planner", "leaves_of"]

_CACHED_PLANS = 4096


def leaves_of(condition: Condition) -> Iterator[Leaf]:
    """Yield every leaf of a condition."""
    if isinstance(condition, Leaf):
        yield condition
    else:
        for child in (condition.child,) if isinstance(condition, Not) else condition.children:
            yield from leaves_of(child)


def _has_negation(condition: Condition) -> bool:
    if isinstance(condition, Leaf):
        return False
    return isinstance(condition, Not) or any(_has_negation(child) for child in condition.children)


class Plan:
    """The rules of one place, indexed by what can make them true.

    Attributes:
        rules: In the order of the ruleset.
        cheap: Names of the cheap detectors that these rules need, in order of cost.
        media: Names of the detectors that have nothing to look at in a message without media.
        detectors: Names of all detectors that these rules need.
        textual: Those of them that look at more than media.
        uniform: Whether what the rules say of a message that nothing looked at is the same for every message.
    """

    __slots__ = ("_always", "_by_detector", "_by_label", "cheap", "detectors", "media", "rules", "textual", "uniform")

    def __init__(self, selection: Selection, ruleset: Ruleset) -> None:
        self.rules = rules = selection.rules
        needed = [i for name, i in ruleset.inspections.items() if name in selection.detectors]
        self.cheap = tuple(i.detector for i in needed if i.tier is Tier.CHEAP)
        self.media = tuple(i.detector for i in needed if i.media_only)
        self.detectors = tuple(i.detector for i in needed)
        self.textual = tuple(name for name in self.detectors if name not in self.media)
        self.uniform = all(rule.admits is None and rule.block_fraction >= 1 for rule in rules)
        by_label: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        by_detector: defaultdict[str, list[int]] = defaultdict(list)
        self._always = tuple(i for i, rule in enumerate(rules) if _has_negation(rule.when))
        for index, rule in enumerate(rules):
            for detector in rule.detectors:
                by_detector[detector].append(index)
            for leaf in leaves_of(rule.when):
                for label in leaf.labels:
                    by_label[leaf.detector, label].append(index)
        self._by_label = {key: tuple(dict.fromkeys(value)) for key, value in by_label.items()}
        self._by_detector = {key: tuple(value) for key, value in by_detector.items()}

    def candidates(self, facts: Facts) -> list[Rule]:
        """Return, in order, the rules that are true or unknown by these facts, and perhaps a few that are false."""
        chosen = set(self._always)
        for detector, indices in self._by_detector.items():
            report = facts.reports.get(detector)
            if report is None or detector in facts.problems:
                chosen.update(indices)
            elif report:
                for label in report:
                    chosen.update(self._by_label.get((detector, label), ()))
        return [self.rules[index] for index in sorted(chosen)]


class Planner:
    """Makes and keeps the plans of one ruleset."""

    def __init__(self, ruleset: Ruleset) -> None:
        self._ruleset = ruleset
        self._selector = Selector(ruleset)
        self._plans: dict[int, tuple[Selection, Plan]] = {}

    def plan(self, message: Message) -> Plan:
        """Return the plan for the message's place."""
        selection = self._selector.select(message.app_id, message.conversation)
        # By identity: hashing a selection would hash every rule in it. Holding the selection keeps the identity.
        known = self._plans.get(id(selection))
        if known is None:
            if len(self._plans) >= _CACHED_PLANS:
                self._plans.clear()
            known = self._plans[id(selection)] = (selection, Plan(selection, self._ruleset))
        return known[1]
