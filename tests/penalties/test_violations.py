"""Windows, bounds and the memory of outcomes."""

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from modgate.penalties import LocalViolations, SanctionBook, Window, is_permanent
from modgate.rules.ruleset import Mode, PenaltyClause, PenaltyType


def test_memory_is_bounded_by_the_number_of_violations(make: Any) -> None:
    """However many users violate, no more violations are kept than the capacity; the oldest windows give way."""
    counter = LocalViolations(capacity=100, remember=10)
    rule = make.rule(PenaltyClause(50, timedelta(hours=1), PenaltyType.MUTE, duration=timedelta(hours=1)))
    for user in range(500):
        counter.count(make.message(f"m{user}", sender=f"u{user}"), [rule], 1000.0 + user)
    assert len(counter) <= 100


@given(
    st.lists(st.floats(0, 300), min_size=1, max_size=60).map(sorted),
    st.integers(2, 7),
    st.integers(1, 120),
)
def test_the_window_agrees_with_counting_by_hand(times: list[float], after: int, within: int) -> None:
    """A penalty falls exactly when `after` violations since the last penalty lie less than `within` apart."""
    clause = PenaltyClause(after, timedelta(seconds=within), PenaltyType.KICK)
    window = Window()
    since: list[float] = []
    for now in times:
        since.append(now)
        expected = sum(1 for at in since if at > now - within) >= after
        assert window.add(clause, now) is expected
        if expected:
            since.clear()


@given(st.floats(0.01, 1000), st.integers(2, 10))
def test_nothing_permanent_from_one_violation(weight: float, after: int) -> None:
    """Whatever a violation weighs, the first one earns nothing that lasts for ever."""
    for kind in PenaltyType:
        clause = PenaltyClause(after, timedelta(hours=1), kind, weight=weight)
        if is_permanent(clause):
            assert not Window().add(clause, 5.0)


def test_a_rule_that_goes_live_starts_counting_afresh(make: Any) -> None:
    """Violations seen in shadow punish nobody after the rule went live."""
    clause = PenaltyClause(2, timedelta(hours=1), PenaltyType.KICK)
    counter = LocalViolations()
    counter.count(make.message("m1"), [make.rule(clause, mode=Mode.SHADOW)], 1.0)
    assert not counter.count(make.message("m2"), [make.rule(clause)], 2.0).penalties
    assert counter.count(make.message("m3"), [make.rule(clause)], 3.0).penalties


def test_messages_without_an_id_are_each_counted(make: Any) -> None:
    """Without an id there is nothing to recognise a repetition by."""
    clause = PenaltyClause(2, timedelta(hours=1), PenaltyType.KICK)
    counter = LocalViolations()
    assert not counter.count(make.message(""), [make.rule(clause)], 1.0).penalties
    assert counter.count(make.message(""), [make.rule(clause)], 2.0).penalties


def test_two_clauses_of_a_rule_count_apart(make: Any) -> None:
    """A mute that was earned does not empty the window of the ban behind it."""
    mute = PenaltyClause(2, timedelta(hours=1), PenaltyType.MUTE, duration=timedelta(seconds=1))
    ban = PenaltyClause(4, timedelta(hours=1), PenaltyType.BAN)
    counter = LocalViolations(SanctionBook())
    earned = [
        [p.type for p in counter.count(make.message(f"m{i}"), [make.rule(mute, ban)], float(i)).penalties]
        for i in range(4)
    ]
    assert earned == [[], [PenaltyType.MUTE], [], [PenaltyType.MUTE, PenaltyType.BAN]]


def test_erasing_a_user_forgets_windows_and_outcomes(make: Any) -> None:
    """After erasure the user starts from nothing, and others do not."""
    clause = PenaltyClause(2, timedelta(hours=1), PenaltyType.KICK)
    counter = LocalViolations()
    for user in ("ann", "bob"):
        counter.count(make.message("m1", sender=user), [make.rule(clause)], 1.0)
    assert counter.erase_user("app", "ann") == 1
    assert not counter.count(make.message("m2", sender="ann"), [make.rule(clause)], 2.0).penalties
    assert counter.count(make.message("m2", sender="bob"), [make.rule(clause)], 2.0).penalties
