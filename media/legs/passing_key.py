"""A key that one leg presses and another hears of: one press for its far end, whatever is arranged anew meanwhile (RFC 4733 §2.5.1.2).

All packets of an event carry the timestamp of its beginning. What passes them on may change while the key is down: a bridge, its place in
the far end's clock, a prompt above it, a mix. The key is known by the press, not by what carries it:

| the far end of the listener                       | the rest of the event                                                     |
|----------------------------------------------------|---------------------------------------------------------------------------|
| saw it begin                                       | goes on with the timestamp that it began with, through a prompt too       |
| saw it begin, and nothing carries it on            | is made up: its end, after `LEFT_S`                                       |
| got it in another form: a tone, an event of ours   | is not passed on                                                          |
| saw it begin, then another key of ours             | is not passed on: the next key has ended it                               |
| knows nothing of it                                | passes as an event that begins now                                        |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from media.dtmf import END_REPEATS, parse_event
from media.rtp.packet import HEADER_OCTETS

if TYPE_CHECKING:
    from media.dtmf import EventReceiver

LEFT_S: Final = 0.06
"""Three packets of an event: what is arranged in several steps is arranged by then, and no far end has given the key up (house)."""
_EVENT_OCTETS: Final = 4
_END: Final = 0x80


@dataclass(slots=True)
class PassingKey:
    """The newest key of another leg that a listener was told of."""

    events: EventReceiver
    """Who knows its press."""
    press: int
    """Which one of them; -1: an event that is no key, a hook flash say."""
    began: int
    """Its timestamp where it comes from."""
    timestamp: int | None
    """The one that the far end saw; None: nothing more of it is passed on."""
    carried_at: float = 0.0
    payload: bytes = b""
    """Of its newest packet that was passed on."""

    def is_press(self, events: EventReceiver, press: int, began: int) -> bool:
        """Whether a packet of that press is one of this key."""
        return events is self.events and press == self.press and (press >= 0 or began == self.began)

    def timestamp_of(self, began: int) -> int | None:
        """The far end's, of a packet whose segment (§2.5.1.3) began then."""
        return None if self.timestamp is None else (self.timestamp + began - self.began) & 0xFFFFFFFF

    def carry(self, buffer: bytearray, timestamp: int, began: int, now: float) -> None:
        """The packet in the buffer goes out with this timestamp."""
        self.timestamp, self.began, self.carried_at = timestamp, began, now
        self.payload = bytes(buffer[HEADER_OCTETS : HEADER_OCTETS + _EVENT_OCTETS])

    def give_up(self) -> None:
        """Nothing more of it is passed on."""
        self.timestamp = None

    @property
    def is_open(self) -> bool:
        """The far end saw it begin and not end."""
        return self.timestamp is not None and len(self.payload) == _EVENT_OCTETS and not parse_event(self.payload).is_end

    def ends(self) -> tuple[bytes, ...]:
        """The packets that end it where it has come to (§2.5.1.4)."""
        code, second, *duration = self.payload
        return (bytes((code, second | _END, *duration)),) * END_REPEATS
