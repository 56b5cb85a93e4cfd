"""The header fields of a message in their order, with case-insensitive names (RFC 3261 §7.3.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from sip.errors import LocalMisuse, ParseError
from sip.headers.names import KNOWN_NAMES, REGISTERED_NAMES, header_name
from sip.uri import Uri

Value = str | int | Uri | msgspec.Struct
"""What may be given as a header's value: text, or a header value of this package, whose str() is the text on the wire."""

T = TypeVar("T")


class Index(NamedTuple):
    """The values by registered name; names that are not registered are in it too, but as they were spelt."""

    first: dict[str, str]
    """The topmost value of each."""
    repeated: dict[str, list[str]]
    """All values, top first, of those names alone that occur more than once."""


_NONE_REPEATED: Final[dict[str, list[str]]] = {}


def _name(name: str) -> str:
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

    __slots__ = ("_index", "fields", "values_read")

    fields: list[tuple[str, str]]
    """Registered spelling and value, in order. For readers on the hot path; only the methods here write it."""

    values_read: dict[str, Any]
    """Typed values under the names that `typed` was given; emptied by every change. Only `sip.message` and its accessors look into it."""

    def __init__(self, fields: Iterable[tuple[str, Value]] = ()) -> None:
        known = KNOWN_NAMES.get
        self.fields = [(known(name) or _name(name), value if type(value) is str else str(value)) for name, value in fields]
        self._index: Index | None = None
        self.values_read = {}

    @classmethod
    def from_wire(cls, fields: list[tuple[str, str]]) -> Headers:
        """What the parser has read already: names spelt as `header_name` spells them."""
        headers = cls.__new__(cls)
        headers.fields = fields
        headers._index = None  # noqa: SLF001  # an alternative constructor
        headers.values_read = {}
        return headers

    def index(self) -> Index:
        """The values by name, made when first asked for: of most messages that we send nobody asks."""
        index = self._index
        if index is None:
            index = self._index = self._indexed()
        return index

    def _indexed(self) -> Index:
        first = dict(self.fields)
        if len(first) == len(self.fields):
            return Index(first, _NONE_REPEATED)
        first = {}
        repeated: dict[str, list[str]] = {}
        for name, value in self.fields:
            if name not in first:
                first[name] = value
            elif name in repeated:
                repeated[name].append(value)
            else:
                repeated[name] = [first[name], value]
        return Index(first, repeated)

    def get(self, name: str) -> str | None:
        """The first field's value, as text."""
        value = self.index().first.get(name)
        if value is not None or name in REGISTERED_NAMES:
            return value
        return next(iter(self.get_all(name)), None)

    def get_all(self, name: str) -> list[str]:
        """Every field's value, top first; commas inside a field are not looked at."""
        spelling = name if name in REGISTERED_NAMES else _name(name)
        if spelling not in REGISTERED_NAMES:
            key = spelling.lower()
            return [value for found, value in self.fields if found.lower() == key]
        index = self.index()
        if spelling in index.repeated:
            return list(index.repeated[spelling])
        value = index.first.get(spelling)
        return [] if value is None else [value]

    def __contains__(self, name: str) -> bool:
        return name in self.index().first or bool(self.get_all(name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self.fields == other.fields

    __hash__ = None  # type: ignore[assignment]  # a builder is no key

    def __repr__(self) -> str:
        return f"Headers({self.fields!r})"

    def _changed(self) -> None:
        self._index = None
        self.values_read.clear()

    def add(self, name: str, value: Value) -> None:
        """Append a field at the end."""
        self.fields.append((_name(name), str(value)))
        self._changed()

    def _places(self, spelling: str) -> list[int]:
        key = spelling.lower()
        return [at for at, (found, _) in enumerate(self.fields) if found.lower() == key]

    def set(self, name: str, value: Value) -> None:
        """Make this the only field of that name, where the first one stood, or at the end."""
        spelling = _name(name)
        places = self._places(spelling)
        for at in reversed(places[1:]):
            del self.fields[at]
        if places:
            self.fields[places[0]] = (spelling, str(value))
        else:
            self.fields.append((spelling, str(value)))
        self._changed()

    def replace_first(self, name: str, value: Value) -> None:
        """Change the topmost field only."""
        spelling = _name(name)
        places = self._places(spelling)
        if not places:
            raise LocalMisuse(f"no {spelling} to replace")
        self.fields[places[0]] = (spelling, str(value))
        self._changed()

    def stamp_top_via(self, text: str, **read: object) -> None:
        """Change the topmost Via, as every request received is (`received` and `rport`): what was read of other fields still holds.

        Args:
            read: typed values of the new text, where they are known.
        """
        fields = self.fields
        at = 0
        while fields[at][0] != "Via":
            at += 1
        fields[at] = ("Via", text)
        index = self._index
        if index is not None:
            index.first["Via"] = text
            if "Via" in index.repeated:
                index.repeated["Via"][0] = text
        if not read:
            self.values_read.pop("vias", None)
            self.values_read.pop("top_via", None)
        self.values_read |= read

    def remove(self, name: str) -> None:
        """Drop every field of that name; nothing happens when there is none."""
        places = self._places(_name(name))
        if places:
            for at in reversed(places):
                del self.fields[at]
            self._changed()

    def forget_read(self) -> None:
        """Drop the typed values and the index; they are made again when somebody asks."""
        self._changed()

    def put_read(self, **values: object) -> None:
        """Keep typed values that are known to be what the text says, so that nobody has to read it again."""
        self.values_read |= values

    def copy(self) -> Headers:
        """A builder of its own with the same fields."""
        return Headers.from_wire(list(self.fields))

    def typed(self, what: str, read: Callable[[Headers], T]) -> T:
        """The result of `read(self)`, kept under the name `what` until the next change."""
        values_read = self.values_read
        if what not in values_read:
            values_read[what] = read(self)
        value: T = values_read[what]
        return value
