"""What is written is read back equal: one check for every value that a journal, a snapshot or a stream holds."""

from __future__ import annotations

from typing import Any

import msgspec


def same_when_read(value: Any, kind: Any = None) -> Any:
    """The value as its reader gets it, from MessagePack and from JSON; fails where it is another.

    msgspec checks types only when it reads. Beside the two readings, which would let a tuple in an `Any` pass as the list it becomes, the
    plain values themselves are held against the declared types; and since 1 == 1.0 == True in Python, what was read must be written as the
    same octets.
    """
    kind = type(value) if kind is None else kind
    octets = msgspec.msgpack.encode(value)
    read = msgspec.msgpack.decode(octets, type=kind)
    assert read == value
    assert msgspec.msgpack.encode(read) == octets
    assert msgspec.convert(msgspec.to_builtins(value), kind, strict=True) == value
    assert msgspec.json.decode(msgspec.json.encode(value), type=kind) == value
    return read
