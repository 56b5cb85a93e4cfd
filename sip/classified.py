"""Who sends an INVITE, as the application says before anything is done with it: what it found goes with the INVITE (house)."""

from typing import Literal, NamedTuple


class Classified(NamedTuple):
    """The answer of `classify`; asked once an INVITE, before there is any state."""

    sender: Literal["trunk", "challenge", "reject"]
    """A trunk known by its address or by our Contact, a user who must prove himself, or nobody we talk to (403)."""
    found: object = None
    """What the application knows it by, for itself: `share` is given it, and `IncomingInvite` brings it back. Opaque to the engine."""


TRUNK = Classified("trunk")
CHALLENGE = Classified("challenge")
REJECT = Classified("reject")
