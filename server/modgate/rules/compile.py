"""From a valid document to the ruleset that the gate evaluates."""

import gc
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeAlias

from modgate.detectors.base import Detector, Tier
from modgate.rules.ask import Ask, Asked, Unanswerable
from modgate.rules.conditions import Condition as ConditionModel
from modgate.rules.filters import compile_filters
from modgate.rules.load import Document
from modgate.rules.problems import Problem, RulesError
from modgate.rules.reuse import Inspectors
from modgate.rules.ruleset import (
    AllOf,
    AnyOf,
    Condition,
    Effect,
    FallbackPolicy,
    Inspection,
    Leaf,
    Mode,
    Not,
    Notice,
    PenaltyClause,
    Rule,
    Ruleset,
    Scope,
    Verdict,
)
from modgate.rules.schema import Action, Defaults, PenaltyModel, RuleModel, Then
from modgate.rules.yaml_source import Loc

__all__ = ["AnyDetector", "compile_ruleset", "digest", "penalty_clause"]

AnyDetector: TypeAlias = Detector[Any]

_VERDICTS = {
    Action.ALLOW: Verdict.ALLOW,
    Action.MASK: Verdict.MASK,
    Action.REPLACE: Verdict.MASK,
    Action.BLOCK: Verdict.BLOCK,
}
_FALLBACKS = {"send": FallbackPolicy.SEND, "block": FallbackPolicy.BLOCK}
_REPLACEMENT = "***"
_UNKNOWN_COST = 1e9

Cost = tuple[int, float]


def _plain(value: object) -> object:
    if isinstance(value, frozenset | set):
        return sorted(map(str, value))
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value)


def digest(document: Document) -> str:
    """Return twelve hexadecimal digits that change whenever a rule, a list or a setting changes."""
    canonical = json.dumps(
        document.model.model_dump(by_alias=True, exclude_defaults=True), sort_keys=True, default=_plain
    )
    hashed = hashlib.sha256(canonical.encode())
    for name, entries in sorted(document.entries.items()):
        hashed.update(f"\0{name}\0".encode())
        hashed.update("\n".join(entries).encode("utf-8", "surrogatepass"))
    return hashed.hexdigest()[:12]


@dataclass(slots=True)
class _Plan:
    """What the leaves of all rules ask of the detectors, gathered while conditions are compiled."""

    ask: Ask
    detectors: Mapping[str, AnyDetector]
    leaves: dict[tuple[str, tuple[str, ...], float], Leaf] = field(default_factory=dict)
    questions: dict[str, dict[object, Loc]] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)

    def leaf(self, asked: Asked, rule_id: str, loc: Loc) -> Leaf:
        for question in asked.questions:
            self.questions.setdefault(asked.detector, {}).setdefault(question, loc)
        self.owners.setdefault(asked.detector, rule_id)
        key = (asked.detector, asked.labels, asked.at_least)
        known = self.leaves.get(key)
        if known is None:
            known = Leaf(len(self.leaves), asked.detector, asked.labels, asked.at_least, asked.text)
            self.leaves[key] = known
        return known

    def cost(self, condition: Condition) -> Cost:
        """Return the tier and the microseconds that a condition needs, for ordering."""
        if isinstance(condition, Leaf):
            detector = self.detectors.get(condition.detector)
            return (int(detector.tier), detector.cost_us) if detector else (int(Tier.MODEL), _UNKNOWN_COST)
        if isinstance(condition, Not):
            return self.cost(condition.child)
        costs = [self.cost(child) for child in condition.children]
        return max(tier for tier, _ in costs), sum(us for _, us in costs)

    def by_cost(self, children: Iterable[Condition]) -> tuple[Condition, ...]:
        return tuple(sorted(children, key=self.cost))

    def condition(
        self, model: ConditionModel, rule_id: str, loc: Loc, problems: list[tuple[Loc, Unanswerable]]
    ) -> Condition:
        """Compile a condition tree; what cannot be asked is noted and stands as a leaf that nobody evaluates."""
        if model.all_of is not None:
            children = (self.condition(c, rule_id, (*loc, "all", i), problems) for i, c in enumerate(model.all_of))
            return AllOf(self.by_cost(list(children)))
        if model.any_of is not None:
            children = (self.condition(c, rule_id, (*loc, "any", i), problems) for i, c in enumerate(model.any_of))
            return AnyOf(self.by_cost(list(children)))
        if model.not_ is not None:
            return Not(self.condition(model.not_, rule_id, (*loc, "not"), problems))
        try:
            key, asked = self.ask.about(model)
        except Unanswerable as error:
            problems.append(((*loc, *error.loc), error))
            return Leaf(-1, "", (), 0.0, "")
        return self.leaf(asked, rule_id, (*loc, key))


def _effect(then: Then, defaults: Defaults) -> Effect:
    notice = then.notice or defaults.notice
    mask = then.mask or defaults.mask
    notify = then.notify_sender if then.notify_sender is not None else then.action is Action.BLOCK
    return Effect(
        verdict=_VERDICTS[then.action],
        flag=then.flag,
        replacement=(then.replace_with if then.replace_with is not None else _REPLACEMENT)
        if then.action is Action.REPLACE
        else None,
        mask_char=mask.char,
        mask_length=mask.length,
        notice=Notice(notify, notice.code, notice.text, then.sender_sees_mask),
    )


def penalty_clause(model: PenaltyModel) -> PenaltyClause:
    """Return the compiled form of a penalty."""
    return PenaltyClause(
        after=model.after,
        within=model.within,
        impose=model.impose,
        scope=model.scope,
        duration=model.for_,
        weight=model.weight,
        cooldown=model.cooldown,
        reason=model.reason,
        decay=model.decay,
    )


def _needed(condition: Condition) -> frozenset[str]:
    if isinstance(condition, Leaf):
        return frozenset({condition.detector})
    if isinstance(condition, Not):
        return _needed(condition.child)
    return frozenset[str]().union(*map(_needed, condition.children))


def _rule(model: RuleModel, defaults: Defaults, when: Condition) -> Rule:
    return Rule(
        id=model.id,
        name=model.name or model.id,
        revision=model.revision,
        mode=model.mode,
        group=model.group,
        scope=Scope(model.scope.apps, model.scope.conversation_types, model.scope.conversation_ids),
        admits=compile_filters(model.filters),
        filters=model.filters.model_dump(mode="json", exclude_defaults=True) if model.filters else None,
        when=when,
        effect=_effect(model.then, defaults),
        on_timeout=_FALLBACKS[model.on_timeout or defaults.on_timeout],
        on_error=_FALLBACKS[model.on_error or defaults.on_error],
        penalties=tuple(map(penalty_clause, model.penalties)),
        detectors=_needed(when),
        block_fraction=defaults.block_fraction if model.block_fraction is None else model.block_fraction,
    )


def _inspections(document: Document, plan: _Plan, reuse: Inspectors, problems: list[Problem]) -> dict[str, Inspection]:
    inspections = {}
    for name in sorted(plan.questions, key=lambda n: (plan.detectors[n].tier, plan.detectors[n].cost_us)):
        detector = plan.detectors[name]
        try:
            inspector = reuse.configure(detector, list(plan.questions[name]))
        except ValueError as error:
            loc = next(iter(plan.questions[name].values()))
            problems.append(document.problem("rules", plan.owners[name], loc, str(error)))
            continue
        media_only = bool(getattr(detector, "media_only", False))
        inspections[name] = Inspection(name, detector.tier, detector.cost_us, inspector, media_only)
    return inspections


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the collector of cyclic garbage away from what is built inside.

    A hundred thousand words are a million objects without a cycle among them. Each full collection would walk through
    all of them while every message in flight waits: half a second, measured (docs/decisions/rules-reload.md).
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if enabled:
            gc.enable()


def compile_ruleset(
    document: Document, detectors: Mapping[str, AnyDetector], *, reuse: Inspectors | None = None
) -> Ruleset:
    """Return the ruleset of `document`, with every detector configured for it. May take seconds.

    Args:
        document: A valid document with its lists.
        detectors: What this server can ask, by name.
        reuse: Inspectors of earlier rulesets of the same detectors; what is asked again is not built again.

    Raises:
        RulesError: If rules name lists, labels or kinds that there are not, or a detector refuses a question.
    """
    model = document.model
    plan = _Plan(Ask(document, detectors), detectors)
    problems: list[Problem] = []
    warnings: list[str] = []
    rules: list[Rule] = []
    for rule in model.rules:
        if rule.mode is Mode.DRAFT:
            # A draft is checked like the others, but costs nothing: its questions reach no detector.
            scratch: list[tuple[Loc, Unanswerable]] = []
            _Plan(plan.ask, detectors).condition(rule.when, rule.id, ("when",), scratch)
            problems.extend(document.problem("rules", rule.id, loc, e.cause, e.example) for loc, e in scratch)
            continue
        found: list[tuple[Loc, Unanswerable]] = []
        if rule.optional:
            _Plan(plan.ask, detectors).condition(rule.when, rule.id, ("when",), found)
            missing = [error for _, error in found if error.missing]
            if missing and len(missing) == len(found):
                warnings.append(f"rule {rule.id} is left out: {missing[0].cause}")
                continue
            found.clear()
        when = plan.condition(rule.when, rule.id, ("when",), found)
        problems.extend(document.problem("rules", rule.id, loc, e.cause, e.example) for loc, e in found)
        if not found:
            rules.append(_rule(rule, model.defaults, when))
    with _uncollected():
        inspections = _inspections(document, plan, reuse or Inspectors(), problems) if not problems else {}
    if problems:
        raise RulesError(problems)
    return Ruleset(
        revision=digest(document),
        rules=tuple(rules),
        inspections=inspections,
        leaves=tuple(plan.leaves.values()),
        total_ms=model.budget.total_ms,
        custom_paths=model.custom.paths,
        warnings=tuple(warnings),
    )
