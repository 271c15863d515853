"""Messages that wait for models, in all and for one app."""

from hypothesis import given
from hypothesis import strategies as st

from modgate.rpc.permits import Permits


def test_beyond_the_total_nothing_is_permitted() -> None:
    """The third of two is refused, and permitted again once one has gone."""
    permits = Permits(total=2, per_app=2)
    assert [permits.take(app) for app in "abc"] == [True, True, False]
    assert not permits.free("d")
    permits.give_back("a")
    permits.give_back("c")
    assert permits.free("d")


def test_one_app_cannot_starve_another() -> None:
    """An app that is at its own limit leaves room for others."""
    permits = Permits(total=10, per_app=1)
    assert [permits.take("loud"), permits.take("loud"), permits.take("quiet")] == [True, False, True]
    assert (permits.free("loud"), permits.free("other")) == (False, True)


@given(st.lists(st.sampled_from("abc"), max_size=50))
def test_everything_given_back_leaves_nothing_behind(apps: list[str]) -> None:
    """After as many returns as takes the counts are zero, and no app is remembered."""
    permits = Permits(total=5, per_app=3)
    for app in apps:
        free = permits.free(app)
        assert permits.take(app) == free
    assert permits.in_flight == len(apps)
    for app in apps:
        permits.give_back(app)
    assert permits.in_flight == 0
    assert not permits._apps
