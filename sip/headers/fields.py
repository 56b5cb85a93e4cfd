"""The header fields of a message in their order, with case-insensitive names (RFC 3261 §7.3.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar, cast

import msgspec

from sip.errors import LocalMisuse, ParseError
from sip.headers.names import KNOWN_NAMES, header_name
from sip.uri import Uri

Value = str | int | Uri | msgspec.Struct
"""What may be given as a header's value: text, or a header value of this package, whose str() is the text on the wire."""

T = TypeVar("T")


def _name(name: str) -> tuple[str, str]:
    known = KNOWN_NAMES.get(name)
    if known is not None:
        return known
    try:
        return header_name(name)
    except ParseError as error:
        raise LocalMisuse(str(error)) from error


class Headers:
    """Header fields in their order: a multimap with case-insensitive names.

    Compact forms are expanded when they come in; unknown names keep their spelling. A Headers is a builder until the message it belongs
    to is sent or delivered; from then on nobody changes it. Typed values are read once and kept until a change.
    """

    __slots__ = ("_fields", "by_key", "values_read")

    by_key: dict[str, list[str]]
    """Lower-case long name -> values, top first. For readers on the hot path; only the methods here write it."""

    values_read: dict[str, Any]
    """Typed values under the names that `typed` was given; emptied by every change. Only `sip.message` looks into it."""

    def __init__(self, fields: Iterable[tuple[str, Value]] = ()) -> None:
        self._fields: list[tuple[str, str]] = []
        self.by_key = {}
        self.values_read = {}
        kept, index, known = self._fields, self.by_key, KNOWN_NAMES
        for name, value in fields:  # one pass, without `add`: every message we send is made here
            key, spelling = known.get(name) or _name(name)
            text = value if type(value) is str else str(value)
            kept.append((spelling, text))
            values = index.get(key)
            if values is None:
                index[key] = [text]
            else:
                values.append(text)

    @classmethod
    def from_wire(cls, fields: list[tuple[str, str]], index: dict[str, list[str]]) -> Headers:
        """What the parser has already sorted: registered spellings in order, and key -> values."""
        headers = cls.__new__(cls)
        headers._fields = fields  # an alternative constructor
        headers.values_read = {}
        headers.by_key = index
        return headers

    def get(self, name: str) -> str | None:
        """The first field's value, as text."""
        values = self.by_key.get(name) or self.by_key.get(_name(name)[0])
        return values[0] if values else None

    def get_all(self, name: str) -> list[str]:
        """Every field's value, top first; commas inside a field are not looked at."""
        return list(self.by_key.get(_name(name)[0], ()))

    def count(self, name: str) -> int:
        """How many fields of that name there are."""
        return len(self.by_key.get(_name(name)[0], ()))

    def __contains__(self, name: str) -> bool:
        return _name(name)[0] in self.by_key

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._fields == other._fields

    __hash__ = None  # type: ignore[assignment]  # a builder is no key

    def __repr__(self) -> str:
        return f"Headers({self._fields!r})"

    def add(self, name: str, value: Value) -> None:
        """Append a field at the end."""
        key, spelling = _name(name)
        text = str(value)
        self._fields.append((spelling, text))
        self.by_key.setdefault(key, []).append(text)
        self.values_read.clear()

    def prepend(self, name: str, value: Value) -> None:
        """Put a field above all others (Via, Record-Route)."""
        key, spelling = _name(name)
        text = str(value)
        self._fields.insert(0, (spelling, text))
        self.by_key.setdefault(key, []).insert(0, text)
        self.values_read.clear()

    def set(self, name: str, value: Value) -> None:
        """Make this the only field of that name, where the first one stood, or at the end."""
        key, spelling = _name(name)
        if key not in self.by_key:
            self.add(name, value)
            return
        text = str(value)
        at = next(i for i, (found, _) in enumerate(self._fields) if _name(found)[0] == key)
        rest = [pair for pair in self._fields[at + 1 :] if _name(pair[0])[0] != key]
        self._fields[at:] = [(spelling, text), *rest]
        self.by_key[key] = [text]
        self.values_read.clear()

    def replace_first(self, name: str, value: Value) -> None:
        """Change the topmost field only (the top Via gets received and rport)."""
        key, spelling = _name(name)
        if key not in self.by_key:
            raise LocalMisuse(f"no {spelling} to replace")
        text = str(value)
        at = next(i for i, (found, _) in enumerate(self._fields) if _name(found)[0] == key)
        self._fields[at] = (spelling, text)
        self.by_key[key][0] = text
        if key == "via":  # every request is stamped so: what was read of its other fields still holds
            self.values_read.pop("vias", None)
            self.values_read.pop("top_via", None)
        else:
            self.values_read.clear()

    def remove(self, name: str) -> None:
        """Drop every field of that name; nothing happens when there is none."""
        key, _ = _name(name)
        if self.by_key.pop(key, None) is not None:
            self._fields = [pair for pair in self._fields if _name(pair[0])[0] != key]
            self.values_read.clear()

    def forget_read(self) -> None:
        """Drop the typed values; they are read again when somebody asks."""
        self.values_read.clear()

    def put_read(self, **values: object) -> None:
        """Keep typed values that are known to be what the text says, so that nobody has to read it again."""
        self.values_read |= values

    def copy(self) -> Headers:
        """A builder of its own with the same fields."""
        return Headers.from_wire(list(self._fields), {key: list(values) for key, values in self.by_key.items()})

    def typed(self, what: str, read: Callable[[Headers], T]) -> T:
        """The result of `read(self)`, kept under the name `what` until the next change."""
        if what in self.values_read:
            return cast("T", self.values_read[what])
        value = read(self)
        self.values_read[what] = value
        return value
