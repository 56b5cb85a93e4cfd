"""What can go wrong with the configuration."""

from __future__ import annotations

from collections.abc import Sequence

from api.errors import Conflict, NotFound, Outdated, Place, Unprocessable


class Unknown(NotFound):
    """No such thing of this kind."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(f"There is no {kind} {key}.")


class Exists(Conflict):
    """The id is taken."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(f"There is a {kind} {key} already.")


class DeviceNameTaken(Conflict):
    """A device user name is unique in its tenant; what other tenants call theirs is nobody's business."""

    def __init__(self, username: str) -> None:
        super().__init__(f"Another agent's device has the user name {username}.")


class StillInUse(Conflict):
    """Something else refers to what should be deleted."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems), [Place(detail=problem) for problem in problems])


class Contradiction(Unprocessable):
    """The configuration as a whole would not hold; each problem names its place."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems), [Place(detail=problem) for problem in problems])


class NoSuchSound(Unprocessable):
    """Sounds are named that neither the house nor the tenant has; each has its place."""

    def __init__(self, places: Sequence[Place]) -> None:
        super().__init__("; ".join(f"{place.pointer}: {place.detail}" for place in places[:5]), places)


class NotReachable(Unprocessable):
    """An address that the operator rules out, whatever is or is not there."""

    def __init__(self, place: str, host: str) -> None:
        super().__init__(
            f"The operator allows no calls to {host}.", [Place(detail=f"The operator allows no calls to {host}.", pointer=place)]
        )


class VersionPassed(Outdated):
    """Somebody else changed it first."""

    def __init__(self, kind: str, key: str, version: int) -> None:
        super().__init__(f"The {kind} {key} is at version {version} by now; fetch it again.")
