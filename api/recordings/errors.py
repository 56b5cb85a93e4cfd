"""What can go wrong with recordings."""

from __future__ import annotations

from datetime import datetime

from api.errors import Conflict, Forbidden, Gone, NotFound, Place, Unavailable, Unprocessable


class RecordingUnknown(NotFound):
    """No such recording, or none that this person may know of."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no recording {name}.")


class NotForAgents(Forbidden):
    """The tenant's setting says no."""

    def __init__(self) -> None:
        super().__init__(
            "Agents hear no recordings here; the administrator may allow them their own (`agents_hear_recordings` of the set-up)."
        )


class NotYet(Conflict):
    """The file is there, and no record names it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is still being recorded, or its call is not over: it is listed when the call's record is written.")


class Deleted(Gone):
    """Somebody deleted it, or its time was over."""

    def __init__(self, name: str, at: datetime, by: str | None) -> None:
        super().__init__(f"{name} was deleted on {at.isoformat(timespec='seconds')} by {by}.")


class FileGone(Gone):
    """The list has it, the folder has not."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The file of {name} is not there any more, though nobody deleted it here.")


class NotErased(Unavailable):
    """The disk did not let it go."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is deleted and nobody hears it any more, but its file could not be removed yet; that is tried again.", 3600
        )


class WrongCursor(Unprocessable):
    """`after` is none of ours."""

    def __init__(self, after: str) -> None:
        detail = f"{after!r} is no cursor of this list"
        super().__init__(detail, [Place(detail=detail, parameter="query.after")])
