"""How long somebody will wait who stays: a fluid of the queue with abandonment, over teams that queues share (house; quantiles are U8).

Everybody who serves is busy, and a team of `staff` people ends conversations at the rate staff / AHT; whoever becomes free takes the best
contact it is able to take (`acd.core.routing.pick`). Contacts leave at the rate theta = abandonments / time waited, the maximum likelihood
of exponential patience (Palm 1957; Garnett, Mandelbaum and Reiman 2002, M/M/s+M). With one team and j contacts ahead this is
ln(1 + theta j / (s mu)) / theta + 1 / (s mu), which the exact sum over 1 / (s mu + i theta) comes to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

DEFAULT_HANDLE_S = 180.0
"""Until a queue has handled anything today: a usual call of three minutes."""


class Waiter(NamedTuple):
    """Somebody who waits."""

    teams: tuple[int, ...]
    """The teams that are able to serve it."""
    leaves_per_s: float
    """At which rate those like it give up."""


class Team(NamedTuple):
    """People who are able to do the same."""

    staff: int
    """Those who serve: busy or free."""
    free: int
    handle_s: float


class _Contact(msgspec.Struct, kw_only=True):
    teams: tuple[int, ...]
    theta: float
    since: float = 0.0
    left: float = 1.0
    """Probability that it is still there, at `since`; what of it is served shrinks it too."""
    rate: float = 0.0
    """Of those who end a conversation and turn to it."""
    first_at: float | None = None
    """When somebody first turned to it."""
    wait_s: float | None = None

    def now(self, t: float) -> float:
        """What is left of it."""
        lasted = t - self.since
        if self.theta <= 0.0:
            return self.left - self.rate * lasted
        return (self.left + self.rate / self.theta) * math.exp(-self.theta * lasted) - self.rate / self.theta

    def served_in(self) -> float:
        """After how long nothing is left, if the rate stays as it is."""
        if self.theta <= 0.0:
            return self.left / self.rate
        return math.log1p(self.theta * self.left / self.rate) / self.theta


def expected_waits_s(line: Sequence[Waiter], teams: Sequence[Team]) -> list[float | None]:
    """Expected wait from now of each who waits, if it stays.

    Args:
        line: the best first, as they are served.
    Returns: seconds, in the order of `line`; None: nobody serves it, so nothing is promised.
    """
    free = [team.free for team in teams]
    contacts: list[_Contact] = []
    waiting: list[_Contact] = []
    for waiter in line:
        able = tuple([team for team in waiter.teams if teams[team].staff > 0])
        contact = _Contact(teams=able, theta=waiter.leaves_per_s)
        contacts.append(contact)
        idle = next((team for team in able if free[team] > 0), None)
        if idle is not None:
            free[idle] -= 1
            contact.wait_s = 0.0
        elif able:
            waiting.append(contact)
    _pour(waiting, teams)
    return [contact.wait_s for contact in contacts]


def _pour(waiting: list[_Contact], teams: Sequence[Team]) -> None:
    """Serve the line: each team turns to the first that it is able to serve, until nobody is left."""
    at = 0.0
    next_of = [0] * len(teams)
    """Team -> place in the line of whom it turns to."""
    serves: list[_Contact | None] = [None] * len(teams)
    served: list[_Contact] = []
    while True:
        for number in range(len(teams)):
            if serves[number] is None:
                _turn(number, at, waiting, teams, next_of, serves, served)
        if not served:
            return
        for contact in served:
            if contact.wait_s is None and contact.first_at == at:
                # Its own wait is that of one who stays: the whole of it has to be served, however many like it would have left by then.
                contact.wait_s = at + 1.0 / contact.rate
        at = min([_over_at(contact) for contact in served])
        over = [contact for contact in served if _over_at(contact) <= at + 1e-9]
        for contact in over:
            contact.left = 0.0
            served.remove(contact)
        for number, turned_to in enumerate(serves):
            if turned_to is not None and turned_to.left <= 0.0:
                serves[number] = None


def _over_at(contact: _Contact) -> float:
    return contact.since + contact.served_in()


def _turn(
    number: int,
    at: float,
    waiting: list[_Contact],
    teams: Sequence[Team],
    next_of: list[int],
    serves: list[_Contact | None],
    served: list[_Contact],
) -> None:
    """A team looks for the next it is able to serve, and joins whoever serves it."""
    place = next_of[number]
    while place < len(waiting) and (number not in waiting[place].teams or waiting[place].left <= 0.0):
        place += 1
    next_of[number] = place
    if place == len(waiting):
        return
    contact = waiting[place]
    contact.left = max(contact.now(at), 1e-9)
    contact.since = at
    contact.rate += teams[number].staff / teams[number].handle_s
    serves[number] = contact
    if contact not in served:
        contact.first_at = at
        served.append(contact)
