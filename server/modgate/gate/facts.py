"""What is known about one message so far, and three-valued evaluation of conditions over it."""

from modgate.detectors.base import Finding, Problem, Report
from modgate.gate.decision import Outcome, Trace
from modgate.rules.ruleset import AllOf, AnyOf, Condition, Leaf, Not

__all__ = ["Facts", "evaluate", "trace", "true_leaves", "unknown_detectors"]

_PROBLEM_OUTCOMES = {
    Problem.TIMEOUT: Outcome.TIMED_OUT,
    Problem.OVERLOAD: Outcome.SHED,
    Problem.ERROR: Outcome.ERRORED,
}


class Facts:
    """Reports and problems by detector; a detector that has neither has not answered yet."""

    __slots__ = ("elapsed", "problems", "reports")

    def __init__(self) -> None:
        self.reports: dict[str, Report] = {}
        self.problems: dict[str, Problem] = {}
        self.elapsed: dict[str, float] = {}

    def found(self, leaf: Leaf) -> list[Finding]:
        """Return the findings that make a leaf true; empty if there are none (yet)."""
        report = self.reports.get(leaf.detector)
        if not report:
            return []
        return [finding for label in leaf.labels for finding in report.get(label, ()) if finding.score >= leaf.at_least]

    def holds(self, leaf: Leaf) -> bool | None:
        """Return whether a leaf is true, or None if its detector could not tell or has not answered."""
        report = self.reports.get(leaf.detector)
        if report:
            for label in leaf.labels:
                for finding in report.get(label, ()):
                    if finding.score >= leaf.at_least:
                        return True
        # A report beside a problem is a partial one: what it found stands, what it did not find is unknown.
        if report is None or leaf.detector in self.problems:
            return None
        return False


def evaluate(condition: Condition, facts: Facts) -> bool | None:
    """Return whether a condition holds, or None if what is known does not decide it (Kleene's logic)."""
    if isinstance(condition, Leaf):
        return facts.holds(condition)
    if isinstance(condition, Not):
        value = evaluate(condition.child, facts)
        return None if value is None else not value
    decisive = isinstance(condition, AnyOf)
    unknown = False
    for child in condition.children:
        value = evaluate(child, facts)
        if value is decisive:
            return decisive
        unknown = unknown or value is None
    return None if unknown else not decisive


def true_leaves(condition: Condition, facts: Facts) -> list[Leaf]:
    """Return the leaves that hold and speak for the condition: those under a `not` never do."""
    if isinstance(condition, Leaf):
        return [condition] if facts.holds(condition) else []
    if isinstance(condition, Not):
        return []
    leaves: list[Leaf] = []
    for child in condition.children:
        # A branch that failed as a whole says nothing, even if one of its leaves held.
        if evaluate(child, facts):
            leaves.extend(true_leaves(child, facts))
    return leaves


def unknown_detectors(condition: Condition, facts: Facts) -> set[str]:
    """Return the detectors whose answers could still decide a condition that is unknown."""
    if isinstance(condition, Leaf):
        return {condition.detector} if facts.holds(condition) is None else set()
    children = (condition.child,) if isinstance(condition, Not) else condition.children
    return set().union(*(unknown_detectors(c, facts) for c in children if evaluate(c, facts) is None))


def trace(condition: Condition, facts: Facts) -> Trace:
    """Return what became of every node of a condition; what nobody needed to ask is skipped."""
    if isinstance(condition, Leaf):
        return _trace_leaf(condition, facts)
    if isinstance(condition, Not):
        child = trace(condition.child, facts)
        return Trace("not", _outcome(evaluate(condition, facts), (child,)), children=(child,))
    children = tuple(trace(child, facts) for child in condition.children)
    text = "all" if isinstance(condition, AllOf) else "any"
    return Trace(text, _outcome(evaluate(condition, facts), children), children=children)


def _trace_leaf(leaf: Leaf, facts: Facts) -> Trace:
    value = facts.holds(leaf)
    if value is None:
        problem = facts.problems.get(leaf.detector)
        outcome = _PROBLEM_OUTCOMES[problem] if problem else Outcome.SKIPPED
    else:
        outcome = Outcome.TRUE if value else Outcome.FALSE
    report = facts.reports.get(leaf.detector) or {}
    scores = [finding.score for label in leaf.labels for finding in report.get(label, ())]
    return Trace(leaf.text, outcome, max(scores, default=None), leaf.at_least, facts.elapsed.get(leaf.detector))


def _outcome(value: bool | None, children: tuple[Trace, ...]) -> Outcome:  # noqa: FBT001 - a truth value, not a switch
    if value is not None:
        return Outcome.TRUE if value else Outcome.FALSE
    seen = {child.outcome for child in children}
    return next((o for o in (Outcome.ERRORED, Outcome.SHED, Outcome.TIMED_OUT) if o in seen), Outcome.SKIPPED)
