"""Where a receiver's packets go: to the other end of a bridge, or into a mix (house)."""

from __future__ import annotations

from typing import Protocol


class Outlet(Protocol):
    """Told of everything that is seldom; plain packets take the short way of `media.legs.receiver.Receiver.receive_rtp`."""

    def begin_stream(self) -> None:
        """Another source (SSRC) begins."""
        ...

    def break_off(self) -> None:
        """The source numbers its packets anew."""
        ...

    def leave_out(self, sequence_number: int) -> None:
        """A packet came that is nothing to pass on, and no loss."""
        ...

    def hush(self, octets: int, second: int, now: float) -> None:
        """The packet in the worker's buffer is comfort noise that was agreed on (RFC 3389): nothing is said until audio comes again."""
        ...

    def speak_up(self) -> None:
        """No noise any more, whether or not something is said: nothing is taken from there for a while."""
        ...

    def begin_key(self, digit: str, now: float) -> None:
        """A key went down, by an event (RFC 4733)."""
        ...

    def pass_on(self, octets: int, second: int, *, is_event: bool, now: float) -> None:
        """The packet in the worker's buffer; its audio is in the leg's own codec by now.

        Args:
            second: the second octet of its header.
        """
        ...
