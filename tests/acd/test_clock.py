"""The clock of the exchange: true seconds between two looks, the wall's where it was set."""

from acd.clock import FOLLOWED_S, Clock


class Times:
    """A wall and a monotonic clock that a test sets."""

    def __init__(self) -> None:
        self.wall, self.monotonic = 1_000_000.0, 50.0
        self.clock = Clock(lambda: self.wall, lambda: self.monotonic)

    def pass_(self, seconds: float, wall: float | None = None) -> None:
        self.monotonic += seconds
        self.wall += seconds if wall is None else wall


def test_a_wall_that_is_slewed_is_followed_by_the_seconds_not_by_jumps():
    times = Times()
    times.pass_(100.0, wall=100.0 + FOLLOWED_S / 2)
    assert times.clock() == 1_000_100.0
    assert times.clock.step() == 0.0


def test_a_wall_that_was_set_is_followed_and_says_by_how_much():
    times = Times()
    times.pass_(10.0, wall=3610.0)
    assert times.clock() == 1_000_010.0
    assert times.clock.step() == 3600.0
    assert times.clock() == times.wall
    times.pass_(1.0, wall=-400 * 86400.0)
    assert times.clock.step() == -400 * 86400.0 - 1.0
    assert times.clock() == times.wall
    assert times.clock.step() == 0.0


def test_a_deadline_in_epoch_seconds_is_found_on_the_loops_clock():
    times = Times()
    assert times.clock.monotonic(1_000_030.0) == 80.0
