"""Whether rules ask for labels only from their default thresholds up, which is what a first stage is certain of."""

from collections.abc import Iterable, Mapping

from modgate.rules.ruleset import AllOf, Condition, Leaf, Not, Rule

__all__ = ["asked_below_default"]


def asked_below_default(rules: Iterable[Rule], detector: str, defaults: Mapping[str, float | None]) -> set[str]:
    """Return the labels that some rule asks for at less than the default threshold, so that it can matter.

    Below the default, a leaf is harmless beside another that has to hold too: `all` of a label at its default and of
    a second at any threshold is false as soon as the first is.

    Args:
        rules: Compiled rules.
        detector: Whose labels.
        defaults: Default thresholds by label; a label without one is always below.
    """
    return set[str]().union(*(_below(rule.when, detector, defaults, guarded=False) for rule in rules))


def _below(condition: Condition, detector: str, defaults: Mapping[str, float | None], *, guarded: bool) -> set[str]:
    if isinstance(condition, Leaf):
        plain = condition.detector != detector or _at_default(condition, detector, defaults)
        return set() if plain or guarded else set(condition.labels)
    if isinstance(condition, Not):
        return _below(condition.child, detector, defaults, guarded=guarded)
    guarded = guarded or (
        isinstance(condition, AllOf) and any(_at_default(child, detector, defaults) for child in condition.children)
    )
    return set[str]().union(*(_below(child, detector, defaults, guarded=guarded) for child in condition.children))


def _at_default(condition: Condition, detector: str, defaults: Mapping[str, float | None]) -> bool:
    if not isinstance(condition, Leaf) or condition.detector != detector:
        return False
    thresholds = [defaults.get(label) for label in condition.labels]
    return all(threshold is not None and condition.at_least >= threshold for threshold in thresholds)
