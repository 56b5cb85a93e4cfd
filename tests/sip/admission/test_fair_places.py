"""Places shared fairly: what is lent never takes what is promised, and comes back with every call that ends."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from sip.fair_places import FairPlaces, Holding
from sip.share import Share


def group(name: str, part: float = 0.25, line: str = "only", line_part: float = 1.0) -> Share:
    return Share(name, line, 1.0, part, line_part)


def fill(places: FairPlaces, share: Share) -> int:
    """Take until nothing more is to be had."""
    taken = 0
    while places.take(share):
        taken += 1
    return taken


def test_who_is_alone_has_all():
    places = FairPlaces(100)
    assert fill(places, group("a", part=1.0)) == 100


def test_who_borrows_alone_leaves_a_fifth_of_what_is_lent_and_all_that_is_promised():
    places = FairPlaces(800)
    assert fill(places, group("a")) == 100 + 320
    assert places.holding(group("a")) == Holding(used=420, guaranteed=100, borrowed=320)
    assert fill(places, group("b")) == 100 + 64  # four fifths of the 80 that are left
    assert places.holding(group("c")) == Holding(used=0, guaranteed=100, borrowed=0)
    assert all(places.take(group("c")) for _ in range(100))


def test_the_first_borrower_gets_nothing_more_until_it_has_given_back():
    places = FairPlaces(800)
    fill(places, group("a"))
    fill(places, group("b"))
    for _ in range(200):
        places.give_back(group("a"))
        assert not places.take(group("a")) or places.holding(group("a")).borrowed <= 4 * (400 - places._borrowed)
    assert places.holding(group("b")).borrowed + fill(places, group("b")) > 64  # what a gave back, b may have


def test_lines_of_a_group_leave_each_other_what_they_are_promised():
    places = FairPlaces(800)
    one, two = group("a", line="one", line_part=0.5), group("a", line="two", line_part=0.5)
    fill(places, one)
    assert all(places.take(two) for _ in range(12))
    assert places.holding(one).borrowed <= 320


def test_a_tenant_more_takes_its_part_as_calls_end():
    places = FairPlaces(100)
    old, new = group("old", part=1.0), group("new", part=0.5)
    assert fill(places, old) == 100
    old = old._replace(part=0.5)
    assert not places.take(new)
    for _ in range(10):
        places.give_back(old)
        assert not places.take(old)
        assert places.take(new)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(8, 200),
    st.floats(0.0, 1.0),
    st.lists(st.floats(0.2, 5.0), min_size=2, max_size=5),
    st.integers(1, 3),
    st.integers(0, 2**32),
)
def test_who_is_below_its_promise_always_finds_a_place(count, guaranteed, weights, lines, seed):
    """Any order of taking, also two or three at once, also freely, and giving back."""
    dice = random.Random(seed)
    places = FairPlaces(count, guaranteed)
    total = sum(weights)
    shares = [group(f"g{index}", weight / total, f"l{line}", 1 / lines) for index, weight in enumerate(weights) for line in range(lines)]
    used = dict.fromkeys(shares, 0)
    for _ in range(150):
        share = dice.choice(shares)
        if used[share] and dice.random() < 0.3:
            back = dice.randint(1, used[share])
            places.give_back(share, back)
            used[share] -= back
        else:
            wanted = dice.randint(1, 3)
            of_line = places._promised(share)[2]
            granted = places.take(share, wanted, freely=dice.random() < 0.2)
            assert granted or used[share] + wanted > of_line
            used[share] += wanted if granted else 0
        assert places.used == sum(used.values()) <= count
        for one in shares[::lines]:
            holding = places.holding(one)
            assert holding.used == sum(used[each] for each in shares if each.group == one.group)
            assert holding.borrowed >= max(0, holding.used - holding.guaranteed)
    for share, left in used.items():
        if left:
            places.give_back(share, left)
    assert (places.used, places._borrowed, places._groups) == (0, 0, {})
