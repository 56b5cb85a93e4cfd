"""Commands that an agent keys in a conversation, told apart from all other keys: a prefix, one digit, for some a number up to `#` (pure).

What the commands are is `acd.core.steps.keys`; here is only known which of them takes a number.
"""

from __future__ import annotations

from acd.core.steps.keys import CONSULT
from acd.numbers import normalise

WITHIN_S = 5.0
"""Between two keys of one command; as most systems wait for the next digit."""
LONGEST_NUMBER = 24
"""E.164 allows 15 digits; prefixes of carriers come before them."""


class Keyed:
    """The keys of one party."""

    def __init__(self) -> None:
        self._keys = ""
        self._at = 0.0

    def pressed(self, key: str, prefix: str, now: float) -> str | None:
        """Take one key in.

        Args:
            prefix: what begins a command; empty: there are none.
            now: monotonic seconds.
        Returns: the command behind the prefix, when it is complete.
        """
        if not prefix:
            return None
        keys = (self._keys if now - self._at <= WITHIN_S else "") + key
        self._at = now
        while keys and not _may_become(keys, prefix):
            keys = keys[1:]  # the prefix may begin with its own end: "***1" is "*" and then "**1"
        command = keys.removeprefix(prefix)
        is_complete = keys.startswith(prefix) and command != "" and (not command.startswith(CONSULT) or command.endswith("#"))
        self._keys = "" if is_complete else keys
        return command if is_complete else None


def with_number(command: str) -> str:
    """The command with its number as the house writes it, as it does with every number that is dialled (`acd.numbers`)."""
    if not command.startswith(CONSULT):
        return command
    return f"{CONSULT}{normalise(command.removeprefix(CONSULT).removesuffix('#'))}#"


def _may_become(keys: str, prefix: str) -> bool:
    if len(keys) <= len(prefix):
        return prefix.startswith(keys)
    command = keys.removeprefix(prefix)
    if command == keys or not command[0].isdigit():
        return False
    if not command.startswith(CONSULT):
        return len(command) == 1
    number = command[1:].removesuffix("#")
    return (number == "" or number.isdigit()) and len(number) <= LONGEST_NUMBER
