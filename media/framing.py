"""Control messages on a byte stream: a 32-bit big-endian length, then one MessagePack document (house protocol, `media/control.py`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from media.control import VERSION, FromWorker, Greeting, Request
from media.errors import OtherVersion, ParseError

MAX_MESSAGE_OCTETS = 1 << 22
"""A `Play` of hundreds of sounds fits many times, and the greeting of a worker with a leg on every port there is (32 000 of 100 octets);
more is a lost frame boundary, not a message."""
_PREFIX_OCTETS = 4

_Message = TypeVar("_Message")
_ENCODER = msgspec.msgpack.Encoder()
_REQUESTS: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_REPORTS: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _AnyGreeting(msgspec.Struct, tag=Greeting.__name__):
    """As much of a `Greeting` as all versions have."""

    version: int


_GREETINGS = msgspec.msgpack.Decoder(_AnyGreeting)


def encode(message: Request | FromWorker) -> bytes:
    """One message with its length in front."""
    body = _ENCODER.encode(message)
    return len(body).to_bytes(_PREFIX_OCTETS, "big") + body


class MessageReader(Generic[_Message]):
    """Octets in any cut to whole messages of one union type."""

    def __init__(self, decode: Callable[[bytes], _Message]) -> None:
        self._decode = decode
        self._rest = b""

    def feed(self, octets: bytes) -> list[_Message]:
        """Take in what came; the messages that are whole now.

        Raises: ParseError: a length beyond the limit or a document of no known message; OtherVersion: a greeting that ends all reading.
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
            messages.append(self._decode(octets[start:end]))
            offset = end
        self._rest = octets[offset:]
        return messages


def _request(body: bytes) -> Request:
    try:
        return _REQUESTS.decode(body)
    except _UNREADABLE as error:
        raise ParseError(f"control message: {error}") from error


def _report(body: bytes) -> FromWorker:
    try:
        message = _REPORTS.decode(body)
    except _UNREADABLE as error:
        version = _greeted_version(body)
        if version not in (None, VERSION):
            raise OtherVersion(version, VERSION) from error
        raise ParseError(f"control message: {error}") from error
    if isinstance(message, Greeting) and message.version != VERSION:
        raise OtherVersion(message.version, VERSION)
    return message


def _greeted_version(body: bytes) -> int | None:
    """The version of a greeting whose other fields are not ours; None: it is none."""
    try:
        return _GREETINGS.decode(body).version
    except _UNREADABLE:
        return None


def request_reader() -> MessageReader[Request]:
    """For the worker."""
    return MessageReader(_request)


def report_reader() -> MessageReader[FromWorker]:
    """For the main process."""
    return MessageReader(_report)
