"""Passwords by Argon2id (RFC 9106, parameters of the OWASP cheat sheet), computed beside the loop: a login must not delay a call."""

from __future__ import annotations

from collections.abc import Iterable

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from api.config import Login
from api.identity.hashing import OURSELVES, Asker, Hashing
from api.identity.strength import require_strong

_UNKNOWN = "nobody has this password"


class Passwords:
    """Accepts, hashes and verifies, by the settings."""

    def __init__(self, login: Login) -> None:
        self._hasher = PasswordHasher(time_cost=login.argon2_passes, memory_cost=login.argon2_memory_kib, parallelism=1)
        self._decoy = self._hasher.hash(_UNKNOWN)
        self._score = login.password_score
        self.hashing = Hashing(login.hashes_at_once)

    async def accept(self, password: str | None, own: Iterable[str | None], pointer: str) -> None:
        """Let a new password be, if it is not too easy to guess.

        Args:
            own: names around the person.
            pointer: where it stands in the request.
        Raises: WeakPassword
        """
        await require_strong(password, own, self._score, pointer)

    async def hash(self, password: str, asker: Asker = OURSELVES) -> str:
        """The hash to keep.

        Raises: TooManyHashes
        """
        return await self.hashing.run(lambda: self._hasher.hash(password), asker)

    async def matches(self, kept: str | None, password: str, asker: Asker = OURSELVES) -> bool:
        """Whether it is the password. An unknown user (None) costs the same time as a wrong password.

        Raises: TooManyHashes
        """
        return await self.hashing.run(lambda: self._matches(kept, password), asker)

    def _matches(self, kept: str | None, password: str) -> bool:
        try:
            return self._hasher.verify(kept or self._decoy, password) and kept is not None
        except (VerificationError, InvalidHashError):
            return False
