"""Messages as octets: MessagePack of the typed structs (house).

A request is a tagged struct of one union. A reply is an octet that says which it is, 0 for what was asked and 1 for a refusal, and the
body; what that is decoded as stands at the class of its request, `Live(Request[LiveAt])`. An event is an octet that says of which kind,
and the body.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import msgspec

from acd.bus.protocol import Request
from acd.refusals import Refusal, raised, refusal_of

_ENCODER = msgspec.msgpack.Encoder()
_REFUSALS = msgspec.msgpack.Decoder(Refusal)
REPLY, REFUSED = b"\0", b"\1"


class Codec:
    """What can be said on a bus.

    Args:
        requests: a union of subclasses of `Request`.
        events: what is published; each kind has its place in this list as its name on the wire.
    """

    def __init__(self, requests: Any, events: Sequence[type[msgspec.Struct]]) -> None:
        self._requests = msgspec.msgpack.Decoder(requests)
        self._replies = {one: msgspec.msgpack.Decoder(reply_of(one)) for one in get_args(requests) or (requests,)}
        self._kinds = {kind: bytes((at,)) for at, kind in enumerate(events)}
        self._events = [msgspec.msgpack.Decoder(kind) for kind in events]

    def request(self, message: Request[Any]) -> bytes:
        """A request as octets."""
        return _ENCODER.encode(message)

    def read_request(self, octets: bytes) -> Any:
        """The request. Raises: msgspec.DecodeError, msgspec.ValidationError."""
        return self._requests.decode(octets)

    def reply(self, value: object) -> bytes:
        """A reply as octets. Raises: TypeError: it holds something that cannot travel."""
        return REPLY + _ENCODER.encode(value)

    def refused(self, error: Exception) -> bytes:
        """Why there is none, as octets. Raises: the error itself, where it is no refusal but a defect."""
        refusal = refusal_of(error)
        if refusal is None:
            raise error
        return REFUSED + _ENCODER.encode(refusal)

    def read_reply(self, request: Request[Any], octets: bytes) -> Any:
        """What came back. Raises: the refusal, as the exception that it is."""
        if octets[:1] == REFUSED:
            raise raised(_REFUSALS.decode(octets[1:]))
        return self._replies[type(request)].decode(octets[1:])

    def event(self, event: msgspec.Struct) -> bytes:
        """An event as octets."""
        return self._kinds[type(event)] + _ENCODER.encode(event)

    def read_event(self, octets: bytes) -> Any:
        """The event."""
        return self._events[octets[0]].decode(octets[1:])


def reply_of(request: type[Request[Any]]) -> Any:
    """The type that stands at the class of a request."""
    (base,) = request.__orig_bases__  # type: ignore[attr-defined]
    (found,) = get_args(base)
    return found
