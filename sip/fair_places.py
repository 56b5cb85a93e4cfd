"""Places of a fixed number, taken for as long as a call lasts, and shared fairly in two levels (house).

Nobody who has a place is ever put out, so what is lent must be bounded beforehand. The rule:

1. A part of all places (`guaranteed`) is promised to the groups by their weights, whether they are there or not; of what a group is
   promised, a part half as large is promised to its lines likewise: they are of one house. Who is alone is promised all.
2. A group's *claim* is the larger of what it is promised and what its lines claim together; a line's claim is the larger of what it is
   promised and what it uses. What a group claims above its promise is *borrowed*.
3. Whatever changes no claim is granted.
4. A claim may grow while all claims together stay within the places there are, and while what the group has borrowed stays within
   `LENDING` times what is left to lend then. So one that borrows alone leaves a fifth of it, two leave a ninth, and each that comes
   makes room for itself: the others get nothing more until they have given back (dynamic thresholds: Choudhury and Hahne 1998).

It follows that the places in use never exceed the claims, nor these the places: who is below its promise always finds one, at once and
whatever the others do, and what was lent comes back with every borrowed place that ends. Only a change of the promises themselves (a tenant
more) has to wait for calls to end.
"""

from __future__ import annotations

from typing import NamedTuple

from sip.share import Share

LENDING = 4


class Holding(NamedTuple):
    """What one group has."""

    used: int
    guaranteed: int
    borrowed: int


class _Line:
    __slots__ = ("above", "used")

    def __init__(self) -> None:
        self.used = 0
        self.above = 0
        """Of those, above what the line is promised."""


class _Group:
    __slots__ = ("above", "borrowed", "lines", "used")

    def __init__(self) -> None:
        self.used = 0
        self.above = 0
        self.borrowed = 0
        self.lines: dict[str, _Line] = {}


class FairPlaces:
    """Who may take a place; see the module. A question and an answer cost a few look-ups, however many groups there are."""

    def __init__(self, places: int, guaranteed: float = 0.5) -> None:
        """Args:
        places: how many there are.
        guaranteed: the part of them that is promised, 0 to 1; the rest is lent.
        """
        self.places = places
        self._guaranteed = guaranteed
        self._groups: dict[str, _Group] = {}
        self.used = 0
        self._borrowed = 0

    def _promised(self, share: Share) -> tuple[int, int, int]:
        """To the group, to all its lines, to this line."""
        group = int(self.places * (1.0 if share.part >= 1.0 else self._guaranteed * share.part))
        if share.line_part >= 1.0:
            return group, group, group
        lines = group * self._guaranteed / 2
        return group, int(lines), int(lines * share.line_part)

    def _to_lend(self, share: Share) -> int:
        lent = 0 if share.part >= 1.0 else self.places - int(self.places * self._guaranteed)
        return lent - self._borrowed

    def take(self, share: Share, places: int = 1, *, freely: bool = False) -> bool:
        """Whether so many places can be had; if so, they are taken.

        Args:
            freely: as long as there is something to lend, whatever the group has borrowed already.
        """
        group = self._groups.get(share.group) or _Group()
        line = group.lines.get(share.line) or _Line()
        above, borrowed = self._after(share, group, line, places)
        if not self._fits(share, places, borrowed, borrowed - group.borrowed, freely=freely):
            return False
        self._groups[share.group] = group
        group.lines[share.line] = line
        self._enter(group, line, places, above, borrowed)
        return True

    def has_room(self, share: Share) -> bool:
        """Whether a place could be had."""
        group = self._groups.get(share.group) or _Group()
        line = group.lines.get(share.line) or _Line()
        borrowed = self._after(share, group, line, 1)[1]
        return self._fits(share, 1, borrowed, borrowed - group.borrowed, freely=False)

    def _fits(self, share: Share, places: int, borrowed: int, more: int, *, freely: bool) -> bool:
        """Args:
        borrowed: what the group would have borrowed then.
        more: than it has now.
        """
        if self.used + places > self.places:
            return False
        if more <= 0:
            return True
        left = self._to_lend(share) - more
        return left >= 0 and (freely or borrowed <= LENDING * left)

    def give_back(self, share: Share, places: int = 1) -> None:
        """Places that were taken for this share are free."""
        group = self._groups[share.group]
        line = group.lines[share.line]
        above, borrowed = self._after(share, group, line, -places)
        self._enter(group, line, -places, above, borrowed)
        if not line.used:
            del group.lines[share.line]
            if not group.lines:
                del self._groups[share.group]

    def _after(self, share: Share, group: _Group, line: _Line, places: int) -> tuple[int, int]:
        """What the line will have above its promise, and what the group will have borrowed."""
        of_group, of_lines, of_line = self._promised(share)
        above = max(0, line.used + places - of_line)
        return above, max(0, of_lines + group.above - line.above + above - of_group)

    def _enter(self, group: _Group, line: _Line, places: int, above: int, borrowed: int) -> None:
        group.above += above - line.above
        line.above = above
        line.used += places
        group.used += places
        self.used += places
        self._borrowed += borrowed - group.borrowed
        group.borrowed = borrowed

    def holding(self, share: Share) -> Holding:
        """What the share's group has."""
        group = self._groups.get(share.group)
        guaranteed = self._promised(share)[0]
        return Holding(group.used, guaranteed, group.borrowed) if group is not None else Holding(0, guaranteed, 0)
