"""The simulator agrees with the counters that it stands for."""

from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.penalties.conftest import make_message, make_rule

from modgate.penalties import LocalViolations
from modgate.penalties.simulate import Violation, simulate
from modgate.rules.ruleset import PenaltyClause, PenaltyType, SanctionScope

CLAUSE = PenaltyClause(3, timedelta(seconds=60), PenaltyType.KICK)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 500), st.sampled_from("abc"), st.sampled_from(["c1", "c2"])), max_size=60),
    st.sampled_from(SanctionScope),
)
def test_it_punishes_whom_the_counters_would(hits: list[tuple[float, str, str]], scope: SanctionScope) -> None:
    """For any history, users and numbers of penalties are those of the real counters."""
    clause = PenaltyClause(3, timedelta(seconds=60), PenaltyType.KICK, scope)
    counter = LocalViolations()
    expected: dict[str, int] = {}
    recorded = []
    for n, (at, user, place) in enumerate(sorted(hits)):
        recorded.append(Violation(at, "insults", "app", user, place, f"m{n}"))
        message = make_message(f"m{n}", sender=user, conversation=place)
        earned = counter.count(message, [make_rule(clause)], at).penalties
        if earned:
            expected[user] = expected.get(user, 0) + len(earned)
    (outcome,) = simulate(reversed(recorded), [("insults", clause)])
    assert {user: n for (_, user), n in outcome.punished.items()} == expected
    assert outcome.violators == len({user for _, user, _ in hits})


def test_the_histogram_tells_what_users_came_to(make: Any) -> None:
    """It counts users by their fullest window, so that `after` can be chosen."""
    del make
    times = {"ann": [0, 1, 2, 3], "bob": [0, 100, 200], "eve": [5]}
    recorded = [Violation(at, "r", "app", user, "c1", "") for user, ats in times.items() for at in ats]
    (outcome,) = simulate(recorded, [("r", CLAUSE)])
    assert dict(outcome.most) == {4: 1, 1: 2}
    assert len(outcome.punished) == 1


def test_a_message_counts_once() -> None:
    """A decision that was recorded twice for the same message is one violation."""
    recorded = [Violation(at, "r", "app", "ann", "c1", "m1") for at in (0.0, 1.0, 2.0)]
    (outcome,) = simulate(recorded, [("r", CLAUSE)])
    assert (outcome.violations, outcome.penalties) == (1, 0)
