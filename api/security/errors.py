"""What can go wrong with bans."""

from __future__ import annotations

from api.errors import NotFound


class NotBanned(NotFound):
    """Nothing to undo."""

    def __init__(self, source: str) -> None:
        super().__init__(f"{source} is not banned.")
