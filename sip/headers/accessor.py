"""How a message gives its header fields as values: a row of `sip.message` names the field and its parser (RFC 3261 §7.3.1, §20).

| kind       | what it gives                                     | what a value is that cannot be read             |
|------------|---------------------------------------------------|-------------------------------------------------|
| `One`      | the first field's value; None where it is missing | ParseError                                      |
| `Every`    | the elements of all fields, top first             | ParseError                                      |
| `OneIfAny` | as `One`                                          | None: nothing hangs on it but a wish of the peer |
| `Readable` | as `Every`                                        | left out, with the other elements of its field  |

A value is read when first asked for and kept until the header fields change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from sip.errors import ParseError
from sip.headers.fields import Headers

T = TypeVar("T")


class One(Generic[T]):
    """A header that stands there once."""

    def __init__(self, name: str, parse: Callable[[str], T]) -> None:
        self.name = name
        self._parse = parse

    def __get__(self, message: Any, owner: type | None = None) -> T | None:
        headers: Headers = message.headers
        value = headers.index().first.get(self.name)
        if value is None:
            return None
        values_read = headers.values_read
        if self.name not in values_read:
            values_read[self.name] = self.read(value)
        found: T | None = values_read[self.name]
        return found

    def read(self, value: str) -> T | None:
        """Raises: ParseError: what the parser raises."""
        return self._parse(value)


class OneIfAny(One[T]):
    """One that might as well not be there."""

    def read(self, value: str) -> T | None:
        """None: it cannot be read."""
        try:
            return self._parse(value)
        except ParseError:
            return None


class Every(Generic[T]):
    """A header that lists, in one field or in many."""

    def __init__(self, name: str, parse: Callable[[str], Iterable[T]]) -> None:
        self.name = name
        self._parse = parse

    def __get__(self, message: Any, owner: type | None = None) -> tuple[T, ...]:
        headers: Headers = message.headers
        first, repeated = headers.index()
        value = first.get(self.name)
        if value is None:
            return ()
        values_read = headers.values_read
        if self.name not in values_read:
            values = repeated.get(self.name) or [value]
            values_read[self.name] = tuple([element for one in values for element in self.read(one)])
        found: tuple[T, ...] = values_read[self.name]
        return found

    def read(self, value: str) -> Iterable[T]:
        """Raises: ParseError: what the parser raises."""
        return self._parse(value)


class Readable(Every[T]):
    """What of it can be read."""

    def read(self, value: str) -> Iterable[T]:
        """Nothing: the field cannot be read."""
        try:
            return self._parse(value)
        except ParseError:
            return ()
