"""Which rules judge a message of one place, and how to find the few that can be true.

Plans are made once per place and ruleset. With hundreds of rules, walking every tree for every message would
cost more than the detectors: a rule without `not` can only be true or unknown if one of its leaves is, so the
findings of a message lead to the rules worth evaluating.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator

from modgate.detectors.base import Tier
from modgate.gate.facts import Facts
from modgate.message import ConversationType, Message
from modgate.rules.ruleset import Condition, Leaf, Mode, Not, Rule, Ruleset

__all__ = ["Plan", "Planner", "leaves_of"]

_CACHED_PLACES = 4096


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
    """

    __slots__ = ("_always", "_by_detector", "_by_label", "cheap", "rules")

    def __init__(self, rules: tuple[Rule, ...], ruleset: Ruleset) -> None:
        self.rules = rules
        needed = set().union(*(rule.detectors for rule in rules)) if rules else set()
        self.cheap = tuple(n for n, i in ruleset.inspections.items() if n in needed and i.tier is Tier.CHEAP)
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
        self._rules = tuple(rule for rule in ruleset.rules if rule.mode is not Mode.DRAFT)
        # Without a rule for single conversations, all conversations of a type share one plan.
        self._per_conversation = any(rule.scope.conversation_ids for rule in self._rules)
        self._per_app = any(rule.scope.apps for rule in self._rules)
        self._plans: OrderedDict[tuple[str, ConversationType | None, str], Plan] = OrderedDict()

    def plan(self, message: Message) -> Plan:
        """Return the plan for the message's place."""
        place = message.conversation
        key = (
            message.app_id if self._per_app else "",
            place.type,
            place.id if self._per_conversation else "",
        )
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = Plan(self._covering(*key), self._ruleset)
            if len(self._plans) > _CACHED_PLACES:
                self._plans.popitem(last=False)
        elif self._per_conversation:
            self._plans.move_to_end(key)
        return plan

    def _covering(self, app_id: str, kind: ConversationType | None, conversation_id: str) -> tuple[Rule, ...]:
        covering = [rule for rule in self._rules if rule.scope.covers(app_id, kind, conversation_id)]
        most = _most_specific(covering)
        return tuple(r for r in covering if not r.group or r.scope.specificity == most[r.group, r.mode])


def _most_specific(rules: Iterable[Rule]) -> dict[tuple[str, Mode], int]:
    # Live and shadow rules compete among themselves: putting a rule in shadow must not switch a live one off.
    most: dict[tuple[str, Mode], int] = {}
    for rule in rules:
        key = (rule.group, rule.mode)
        most[key] = max(most.get(key, 0), rule.scope.specificity)
    return most
