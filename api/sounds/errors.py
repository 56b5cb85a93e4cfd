"""What can go wrong with own sounds."""

from __future__ import annotations

from api.errors import NotFound, Unprocessable
from api.quotas import LimitReached


class NotPlayable(Unprocessable):
    """What was sent cannot be made into a sound."""

    kind, title = "not-playable", "The sound cannot be played"

    def __init__(self, why: str) -> None:
        super().__init__(f"The file is not taken: {why}.")


class AudioGone(NotFound):
    """The row is there and the file is not: a backup was brought back without its folder."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The audio of {name} is not there any more; send it again, or delete the sound.")


class NoRoom(LimitReached):
    """The tenant's sounds take as much as they may."""

    def __init__(self, limit_mib: int) -> None:
        super().__init__("sounds_mib", limit_mib, 0)
        self.detail = f"This tenant's own sounds may take {limit_mib} MiB. Delete some, or ask the platform's operator for more."
