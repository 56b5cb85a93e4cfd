"""What can go wrong with identities."""

from __future__ import annotations

from datetime import datetime

from api.errors import Conflict, Forbidden, NotFound, Place, TooMany, Unauthenticated, Unavailable, Unprocessable, spell_wait


class WrongPassword(Unauthenticated):
    """Tenant, user or password do not fit; which of them is nobody's business."""

    kind, title = "wrong-password", "The log-in failed"

    def __init__(self, *, is_user: bool = False) -> None:
        super().__init__("Tenant, user name or password is wrong.")
        self.is_user = is_user
        """There is somebody of that name; for the audit, which nobody reads who is only guessing."""


class TokenUnknown(Unauthenticated):
    """Nobody's token: one that was guessed, or that ended long ago."""

    def __init__(self, detail: str = "The token does not hold (any more).") -> None:
        super().__init__(detail)


class NotServed(Unavailable):
    """The tenant exists and could not be opened.

    So its name is told to whoever guesses it, for as long as it is in trouble. To say "wrong password" instead would send all its people
    to change passwords that are right, and page and clients to give up; a name alone opens nothing.
    """

    def __init__(self, tenant: str) -> None:
        super().__init__(f"The tenant {tenant} cannot be served at the moment; the platform's operator knows why.", retry_after_s=10)


class TooManyFailures(TooMany):
    """Somebody guesses passwords."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"Too many wrong passwords from here; try again in {spell_wait(retry_after_s)}.", retry_after_s)


class UserUnknown(NotFound):
    """No such user here."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no user {name}.")


class KeyUnknown(NotFound):
    """No such key here."""

    def __init__(self, key: str) -> None:
        super().__init__(f"There is no API key {key}.")


class UserExists(Conflict):
    """The name is taken."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is a user {name} already.")


class AgentTaken(Conflict):
    """One agent is one person."""

    def __init__(self, agent: str, name: str) -> None:
        super().__init__(f"Agent {agent} is user {name} already.")


class LastAdmin(Conflict):
    """Nobody could let anybody in again."""

    def __init__(self) -> None:
        super().__init__("This is the last active administrator of the tenant.")


class NoLogIn(Conflict):
    """An API key is no log-in: to end it is to revoke it, which takes an administrator."""

    def __init__(self) -> None:
        super().__init__(
            "This is an API key, not a log-in: it goes on until it expires or an administrator deletes it under /api/v1/api-keys."
        )


class WrongExpiry(Unprocessable):
    """No key can end then."""

    def __init__(self, detail: str, pointer: str = "#/expires_at") -> None:
        super().__init__(detail, [Place(detail=detail, pointer=pointer)])


class NoSuchAgent(Unprocessable):
    """A user is to be an agent whom nobody has made."""

    def __init__(self, agent: str) -> None:
        detail = f"There is no agent {agent}."
        super().__init__(detail, [Place(detail=detail, pointer="#/agent")])


class NotOfTheRole(Unprocessable):
    """A key was to have what its role has not."""

    def __init__(self, names: list[str], role: str) -> None:
        told = f"The role {role} has no permission {' and no permission '.join(names)}."
        super().__init__(told, [Place(detail=told, pointer="#/permissions")])


class BeyondTheKey(Forbidden):
    """Whoever has a restricted key would make somebody who may do more."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(f"This API key is restricted, and nobody made with it may do more: it has no permission {', '.join(names)}.")


class OutlivesTheKey(Forbidden):
    """Whoever has an API key that ends would make one that goes on."""

    def __init__(self, ends: datetime, *, never: bool) -> None:
        detail = f"This API key ends at {ends.isoformat()}, and no key that is made with it holds longer: give an expires_at until then."
        super().__init__(detail, [Place(detail=detail, pointer="#/never_expires" if never else "#/expires_at")])


class NotOfTheTenant(Forbidden):
    """Whoever has an API key that goes with a user would make one that stays."""

    def __init__(self, user: str) -> None:
        detail = f"This API key goes with the user {user}, and so does every key that is made with it: it makes none that is the tenant's."
        super().__init__(detail, [Place(detail=detail, pointer="#/for_tenant")])
