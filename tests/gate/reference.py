"""A second opinion: the gate's answer worked out in the plainest way, for comparison with the fast one.

Written against docs and design, not against `modgate.gate`: no plans, no candidates, no early exits. Truth is a number:
1 true, 0 false, 1/2 unknown; `all` is the least, `any` the greatest, `not` one minus.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from modgate.detectors.base import TEXT, Finding, Problem, Report, Span
from modgate.message import Message
from modgate.rules.ruleset import AllOf, Condition, FallbackPolicy, Leaf, Mode, Not, Rule, Ruleset, Verdict

__all__ = ["Known", "Opinion", "opinion", "rules_in_place", "truth"]

UNKNOWN = 0.5
_REASON_RANK = {Problem.TIMEOUT: 1, Problem.OVERLOAD: 2, Problem.ERROR: 3}


@dataclass(frozen=True, slots=True)
class Known:
    """What the detectors said: reports, and what kept them from saying it all."""

    reports: Mapping[str, Report]
    problems: Mapping[str, Problem]


@dataclass(frozen=True, slots=True)
class Opinion:
    """The parts of a decision that rules determine."""

    verdict: Verdict
    flagged: bool
    covered: frozenset[int] | None
    fallback: tuple[str, str] | None
    unfinished: frozenset[str]
    true_rules: frozenset[str]


def truth(condition: Condition, known: Known) -> float:
    """Return 1, 0 or 1/2."""
    if isinstance(condition, Leaf):
        if any(True for _ in _findings(condition, known)):
            return 1
        said_it_all = condition.detector in known.reports and condition.detector not in known.problems
        return 0 if said_it_all else UNKNOWN
    if isinstance(condition, Not):
        return 1 - truth(condition.child, known)
    values = [truth(child, known) for child in condition.children]
    return min(values) if isinstance(condition, AllOf) else max(values)


def rules_in_place(ruleset: Ruleset, message: Message, now: float) -> list[Rule]:
    """Return the rules that cover a message's place and admit its sender, after precedence within groups."""
    place = (message.app_id, message.conversation.type, message.conversation.id)
    covering = [rule for rule in ruleset.rules if rule.scope.covers(*place)]
    chosen = []
    for rule in covering:
        rivals = [
            other
            for other in covering
            if rule.group and other.group == rule.group and (rule.mode is Mode.SHADOW or other.mode is Mode.LIVE)
        ]
        if all(other.scope.specificity <= rule.scope.specificity for other in rivals):
            chosen.append(rule)
    return [rule for rule in chosen if rule.admits is None or rule.admits(message, now)]


def opinion(ruleset: Ruleset, message: Message, known: Known, now: float = 0.0) -> Opinion:
    """Return what a message deserves by what is known of it."""
    rules = rules_in_place(ruleset, message, now)
    live = [rule for rule in rules if rule.mode is Mode.LIVE]
    true = [rule for rule in live if truth(rule.when, known) == 1]
    unknown = [rule for rule in live if truth(rule.when, known) == UNKNOWN]
    verdict = max((_asked(rule, known) for rule in true), default=Verdict.ALLOW)
    flagged = any(rule.effect.flag for rule in true)
    fallback = None
    unfinished: set[str] = set()
    if verdict is not Verdict.BLOCK:
        mattering = [rule for rule in unknown if _could_matter(rule, verdict, flagged=flagged)]
        missing = {rule.id: _missing(rule.when, known) for rule in mattering}
        problems = [known.problems.get(name, Problem.TIMEOUT) for names in missing.values() for name in names]
        unfinished = set().union(*missing.values()) if missing else set()
        policies = [
            rule.on_error if known.problems.get(name) is Problem.ERROR else rule.on_timeout
            for rule in mattering
            for name in missing[rule.id]
        ]
        if mattering:
            applied = max(policies)
            worst = max(problems, key=_REASON_RANK.__getitem__)
            fallback = (worst.name, applied.name)
            if applied is FallbackPolicy.BLOCK:
                verdict = Verdict.BLOCK
    return Opinion(
        verdict=verdict,
        flagged=flagged,
        covered=_covered(true, message.text, known) if verdict is Verdict.MASK else None,
        fallback=fallback,
        unfinished=frozenset(unfinished),
        true_rules=frozenset(rule.id for rule in rules if truth(rule.when, known) == 1),
    )


def _findings(leaf: Leaf, known: Known) -> list[Finding]:
    report = known.reports.get(leaf.detector, {})
    return [f for label in leaf.labels for f in report.get(label, ()) if f.score >= leaf.at_least]


def _evidence(condition: Condition, known: Known) -> list[Finding]:
    """Return the findings under branches that hold, `not` left out."""
    if truth(condition, known) != 1 or isinstance(condition, Not):
        return []
    if isinstance(condition, Leaf):
        return _findings(condition, known)
    return [finding for child in condition.children for finding in _evidence(child, known)]


def _asked(rule: Rule, known: Known) -> Verdict:
    # Pictures and payloads cannot be masked: what must not be seen is then not sent.
    if rule.effect.verdict is Verdict.MASK and any(f.part != TEXT for f in _evidence(rule.when, known)):
        return Verdict.BLOCK
    return rule.effect.verdict


def _could_matter(rule: Rule, verdict: Verdict, *, flagged: bool) -> bool:
    stricter = rule.effect.verdict > verdict or rule.effect.verdict is verdict is Verdict.MASK
    return stricter or (rule.effect.flag and not flagged)


def _missing(condition: Condition, known: Known) -> set[str]:
    """Return the detectors that could still decide a condition."""
    if truth(condition, known) != UNKNOWN:
        return set()
    if isinstance(condition, Leaf):
        return {condition.detector}
    children = (condition.child,) if isinstance(condition, Not) else condition.children
    return set().union(*(_missing(child, known) for child in children))


def _covered(true: list[Rule], text: str, known: Known) -> frozenset[int] | None:
    """Return the code points that masks must cover; None if a rule replaces the text whole."""
    masking = [rule for rule in true if rule.effect.verdict is Verdict.MASK]
    if any(rule.effect.replacement is not None for rule in masking):
        return None
    covered: set[int] = set()
    for rule in masking:
        spans: list[Span] = [span for finding in _evidence(rule.when, known) for span in finding.spans]
        for start, end in spans or [Span(0, len(text))]:
            covered.update(range(start, end))
    return frozenset(covered)
