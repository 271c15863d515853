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


class Ticking:
    """A clock that is told the time."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_limit_falls_with_refusals_and_rises_with_use() -> None:
    """One step down for all refusals of one moment, never below the floor, and back up while there is use for it."""
    clock = Ticking()
    permits = Permits(total=100, per_app=100, monotonic=clock)
    for _ in range(50):
        permits.take("a")
    for _ in range(2):
        permits.give_back("a", refused=True)
    assert permits.limit == 45
    for _ in range(40):
        clock.now += 1
        permits.take("a")
        permits.give_back("a", refused=True)
    assert 16 <= permits.limit <= 45
    low = permits.limit
    for _ in range(48):
        permits.give_back("a")
    assert low < permits.limit < 100


def test_a_flood_leaves_room_for_who_sends_little() -> None:
    """Alone an app takes the whole limit; beside another that was seen lately it takes half, until a second later."""
    clock = Ticking()
    permits = Permits(total=40, per_app=40, monotonic=clock)

    def flood() -> int:
        taken = 0
        while permits.free("flood"):
            permits.take("flood")
            taken += 1
        return taken

    assert flood() == 40
    for _ in range(40):
        permits.give_back("flood")
    assert permits.free("quiet")
    assert flood() == 20
    assert permits.take("quiet")
    permits.give_back("quiet")
    clock.now += 3
    assert flood() == 20


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
