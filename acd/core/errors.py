"""What a desk can be told when its command does not fit: house tree.

- `CoreError`: root
  - `IllegalTransition`: the command does not fit the state (HTTP 409); nothing changed
  - `UnknownName`: no such agent, call, queue ... (HTTP 404); nothing changed
  - `BrokenHistory`: an event does not fit the state it is applied to: a journal that was not written by this engine, or a defect
"""

from __future__ import annotations


class CoreError(Exception):
    """Root of the core's errors."""


class IllegalTransition(CoreError):
    """A desk command that does not fit the state."""

    status_hint = 409

    def __init__(self, machine: str, state: str, command: str, why: str | None = None) -> None:
        self.machine = machine
        self.state = state
        self.command = command
        self.why = why
        super().__init__(f"{machine} is {state}: {command} does not fit" + (f"; {why}" if why else ""))


class UnknownName(CoreError):
    """A command for something that is not there."""

    status_hint = 404

    def __init__(self, kind: str, name: str) -> None:
        self.kind = kind
        self.name = name
        super().__init__(f"there is no {kind} {name}")


class BrokenHistory(CoreError):
    """The text names the machine, its state and the event."""
