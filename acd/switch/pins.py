"""PINs keyed or dialled at a phone: they go to who judges them, and stand in no fact, journal or log (pure)."""

from __future__ import annotations

import re
from typing import Final

from acd.core.configuration import TenantConfiguration
from acd.core.ids import AgentId, TenantId
from acd.core.steps.hot_desk import UNKNOWN
from acd.service import PinVerdict

LONGEST = 8
"""Digits of a PIN: as many as cards have (ISO 9564-1), up to what is keyed without looking."""
_DIALLED: Final = re.compile(r"([0-9]*)(?:\*([0-9]*)#?)?")


async def nobodys_pin(_tenant: TenantId, _agent: AgentId, _at: AgentId, _pin: str) -> PinVerdict:
    """Where nobody keeps PINs, none is right."""
    return "wrong"


def parted(configuration: TenantConfiguration, called: str) -> tuple[str, str | None]:
    """What was dialled, without what may be a PIN.

    Returns: the number as it may be written, and the PIN behind it; None: the code for hot desks was not dialled with more than an
        extension, and the number is as it was. Empty: there is no PIN, and what stood there is hidden (`UNKNOWN`).
    """
    code = configuration.feature_codes.hot_desk
    if not code or not called.startswith(code) or any(called == one.number for one in configuration.numbers):
        return called, None
    rest = called.removeprefix(code)
    extensions = {one.extension for one in configuration.agents}
    if rest == "" or rest in extensions or _is_another(configuration, called, code):
        return called, None
    found = _DIALLED.fullmatch(rest)
    if found is None or found[1] not in extensions:
        return code + UNKNOWN, ""
    return code + found[1], found[2] or ""


def _is_another(configuration: TenantConfiguration, called: str, code: str) -> bool:
    """A longer code begins with these keys too, and was meant."""
    return any(len(other) > len(code) and called.startswith(other) for other in configuration.feature_codes.dialled().values())


class PinEntry:
    """What is keyed on one leg."""

    __slots__ = ("_is_over", "_keys", "of")

    def __init__(self, dialled: str = "") -> None:
        """Args:
        dialled: the PIN came behind the code.
        """
        self._keys = dialled
        self._is_over = bool(dialled)
        self.of: tuple[AgentId, AgentId] | None = None
        """Whose PIN it is to be, and whose phone it is keyed on; None: nobody has asked for it yet."""

    def wanted_of(self, agent: AgentId, at: AgentId) -> str | None:
        """It is asked for. Returns: the PIN, if it is there already."""
        self.of = agent, at
        return self._taken() if self._is_over else None

    def pressed(self, key: str) -> str | None:
        """A key: `#` ends the PIN, `*` begins it anew; so many digits as there can be end it too. Returns: the PIN, once it is there."""
        if self._is_over or self.of is None:
            return None
        if key == "*":
            self._keys = ""
        elif key.isdigit():
            self._keys += key
        self._is_over = (key == "#" and bool(self._keys)) or len(self._keys) == LONGEST
        return self._taken() if self._is_over else None

    def _taken(self) -> str:
        pin, self._keys = self._keys, ""
        return pin

    def __repr__(self) -> str:
        """Without the keys."""
        return f"PinEntry(of={self.of!r})"
