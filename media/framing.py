"""Control messages on a byte stream: a 32-bit big-endian length, then one MessagePack document (house protocol, `media/control.py`)."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from media.control import FromWorker, Request
from media.errors import ParseError

MAX_MESSAGE_OCTETS = 1 << 20
"""A `Play` of hundreds of sounds fits many times; more is a lost frame boundary, not a message."""
_PREFIX_OCTETS = 4

_Message = TypeVar("_Message")
_ENCODER = msgspec.msgpack.Encoder()


def encode(message: Request | FromWorker) -> bytes:
    """One message with its length in front."""
    body = _ENCODER.encode(message)
    return len(body).to_bytes(_PREFIX_OCTETS, "big") + body


class MessageReader(Generic[_Message]):
    """Octets in any cut to whole messages of one union type."""

    def __init__(self, decoder: msgspec.msgpack.Decoder[_Message]) -> None:
        self._decoder = decoder
        self._rest = b""

    def feed(self, octets: bytes) -> list[_Message]:
        """Take in what came; the messages that are whole now.

        Raises: ParseError: a length beyond the limit or a document of no known message.
        """
        if self._rest:
            octets = self._rest + octets
        messages: list[_Message] = []
        offset, size = 0, len(octets)
        while size - offset >= _PREFIX_OCTETS:
            start = offset + _PREFIX_OCTETS
            end = start + int.from_bytes(octets[offset:start], "big")
            if end - start > MAX_MESSAGE_OCTETS:
                raise ParseError(f"control message of {end - start} octets")
            if end > size:
                break
            try:
                messages.append(self._decoder.decode(octets[start:end]))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise ParseError(f"control message: {error}") from error
            offset = end
        self._rest = octets[offset:]
        return messages


def request_reader() -> MessageReader[Request]:
    """For the worker."""
    return MessageReader(msgspec.msgpack.Decoder(Request))


def report_reader() -> MessageReader[FromWorker]:
    """For the main process."""
    return MessageReader(msgspec.msgpack.Decoder(FromWorker))
