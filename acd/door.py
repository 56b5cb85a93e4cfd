"""Where an input enters the exchange: it is made what the journal will read of it, before anything is decided on it (house).

The core decides first and the journal writes afterwards, so what cannot be written, or is not read back equal, must not get in. An input
goes through MessagePack once: a tuple becomes the list it is read as, a whole number the float it is meant as. What MessagePack has no
form for is made what it has one for: half a surrogate pair U+FFFD (RFC 3629 §3), a number beyond 64 bits the nearest within.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from acd.core.inputs import Input

Given = TypeVar("Given", bound=Input)

LEAST, MOST = -(2**63), 2**64 - 1
"""The integers of MessagePack."""

_ENCODER = msgspec.msgpack.Encoder()
_INPUTS = msgspec.msgpack.Decoder(Input)


def plain(value: object) -> Any:
    """A value in built-in types, as a reader of the journal finds it.

    Raises: TypeError: it holds something that has no form in MessagePack.
    """
    return msgspec.msgpack.decode(_ENCODER.encode(value))


def admit(given: Given) -> Given:
    """The input as it will be read.

    Raises: msgspec.ValidationError: a field holds what is not declared for it, so that the entry could never be read; the text names it.
    """
    try:
        read: Given = _INPUTS.decode(_ENCODER.encode(given))  # the tag brings back the class that was written
    except (UnicodeEncodeError, OverflowError):
        read = msgspec.convert(_writable(msgspec.to_builtins(given)), type(given))
    return read


def _writable(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        case int():
            return min(max(value, LEAST), MOST)
        case dict():
            return {_writable(key): _writable(one) for key, one in value.items()}
        case list() | tuple():
            return [_writable(one) for one in value]
        case _:
            return value
