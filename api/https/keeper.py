"""Has a certificate asked for in time, and not more often than may be (shell; RFC 8555): what it decides is in `renewal`.

`acme/` in the data directory holds the key of the account, the certificate with its key, and what came of the last tries.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from acd.certificates import Files, Judged, Unusable, day, judge, write_secret
from api.config import Http
from api.https.certificate import acme_file
from api.https.renewal import Tries, renewed_at

if TYPE_CHECKING:
    from api.https.authority import Asking

log = logging.getLogger(__name__)

ACCOUNT: Final = "account.pem"
TRIES: Final = "tries.json"
_SUGGESTION_AGAIN_S: Final = 6 * 3600.0
"""RFC 9773 §4.3.3: after a failure."""

T = TypeVar("T")


class Keeper:
    """See the module."""

    def __init__(self, http: Http, data: Path, answers: MutableMapping[str, str]) -> None:
        """Args:
        answers: of challenges: token -> what it is answered with.
        """
        self._http = http
        self._file = acme_file(data)
        self._folder = self._file.parent
        self._answers = answers
        self._asked = hashlib.sha256("\0".join((http.acme_directory, *http.acme_domains)).encode()).hexdigest()
        self._tries: Tries | None = None
        self._suggested_at: float | None = None
        self._suggestion_again_at = float("-inf")
        self.renewals = 0
        self.failures = 0
        self.trouble = ""
        """Why the last try came to nothing; empty: it did not."""
        self.next_at = 0.0
        """When a certificate is asked for next, Unix seconds."""

    async def look(self, now: float) -> bool:
        """Ask for a certificate, if it is time.

        Args:
            now: Unix seconds.
        Returns: whether there is another one.
        """
        judged = await asyncio.to_thread(self._judged)
        if self._tries is None:
            self._tries = await asyncio.to_thread(self._read_tries)
        if judged is not None and now >= self._suggestion_again_at:
            await self._ask_when(now)
        due_at = 0.0 if judged is None else renewed_at(judged.begins_at, judged.expires_at, self._suggested_at)
        self.next_at = max(due_at, self._tries.again_at(self._asked))
        if now < self.next_at:
            return False
        return await self._renew(self._tries, now)

    def _judged(self) -> Judged | None:
        """Of the file; None: there is none, or none for all our names."""
        try:
            judged = judge(Files(certificate=self._file)) if self._file.exists() else None
        except Unusable as error:
            log.error("! ACME: another certificate is asked for: %s", error)  # noqa: TRY400 - the text is what there is to say
            return None
        return judged if judged is not None and set(self._http.acme_domains) <= set(judged.dns_names) else None

    async def _ask_when(self, now: float) -> None:
        from api.https.authority import Refused, suggested  # noqa: PLC0415 - half a second, and 10 MiB, of those who need it

        self._suggestion_again_at = now + _SUGGESTION_AGAIN_S  # whatever comes of it
        certificate = await asyncio.to_thread(self._file.read_bytes)
        try:
            found, again_at = await _aside(lambda: suggested(self._asking(), certificate))
        except Refused as error:
            log.info("= ACME: the authority does not say when to renew: %s", error)
            return
        # What was drawn from the window once stands, unless the window has moved before it (RFC 9773 §4.2).
        self._suggested_at = found if self._suggested_at is None or found is None else min(found, self._suggested_at)
        self._suggestion_again_at = max(again_at, now + 60.0)

    async def _renew(self, tries: Tries, now: float) -> bool:
        from api.https.authority import Refused, obtain  # noqa: PLC0415 - as above

        log.info("> ACME: a certificate for %s is asked for at %s", ", ".join(self._http.acme_domains), self._http.acme_directory)
        try:
            account = await asyncio.to_thread(self._account)
            made = await _aside(lambda: obtain(self._asking(), account, self._answers))
            judged = await asyncio.to_thread(self._kept, made, now)
        except (Refused, Unusable, OSError) as error:
            await self._failed(tries, now, str(error))
            return False
        except Exception as error:  # nobody is asked again at once, whatever it was
            log.exception("! ACME")
            await self._failed(tries, now, f"{type(error).__name__}: {error}")
            return False
        self._tries, self.trouble = Tries(), ""
        self._suggested_at, self._suggestion_again_at = None, float("-inf")
        self.renewals += 1
        self.next_at = renewed_at(judged.begins_at, judged.expires_at)
        await asyncio.to_thread(self._write_tries)
        log.info("< ACME: a certificate for %s, until %s; it is renewed about %s", judged.names, day(judged.expires_at), day(self.next_at))
        return True

    async def _failed(self, tries: Tries, now: float, why: str) -> None:
        self._tries, self.trouble = tries.failed(self._asked, now), why
        self.failures += 1
        self.next_at = self._tries.again_at(self._asked)
        log.error("! ACME: no certificate, and it is asked for again in %d minutes: %s", round((self.next_at - now) / 60), why)
        try:
            await asyncio.to_thread(self._write_tries)
        except OSError as error:
            log.error("! ACME: that it failed is known until a restart only: %s", error)  # noqa: TRY400 - the text says where

    def _kept(self, made: bytes, now: float) -> Judged:
        """Look at what has come before it takes the place of what was there.

        Raises: Unusable
        """
        draft = self._file.with_name("draft.pem")
        write_secret(draft, made)
        try:
            judged = judge(Files(certificate=draft, settings="http.acme: "))
            if not set(self._http.acme_domains) <= set(judged.dns_names):
                raise Unusable(f"what the authority gave is for {judged.names}")
            if judged.expires_at <= now:
                raise Unusable(f"what the authority gave has expired on {day(judged.expires_at)}")
        except Unusable:
            draft.unlink()
            raise
        draft.replace(self._file)
        return judged

    def _asking(self) -> Asking:
        from api.https.authority import Asking  # noqa: PLC0415 - as above

        return Asking(self._http.acme_directory, self._http.acme_domains, self._http.acme_email, self._http.acme_ca)

    def _account(self) -> bytes:
        """The key of our account, drawn where there is none."""
        from api.https.authority import new_key  # noqa: PLC0415 - as above

        path = self._folder / ACCOUNT
        self._folder.mkdir(mode=0o700, exist_ok=True)
        if not path.exists():
            write_secret(path, new_key())
        return path.read_bytes()

    def _read_tries(self) -> Tries:
        try:
            return msgspec.json.decode((self._folder / TRIES).read_bytes(), type=Tries)
        except FileNotFoundError:
            return Tries()
        except (msgspec.DecodeError, OSError) as error:
            log.warning("! ACME: %s cannot be read and is forgotten: %s", self._folder / TRIES, error)
            return Tries()

    def _write_tries(self) -> None:
        assert self._tries is not None
        self._folder.mkdir(mode=0o700, exist_ok=True)
        write_secret(self._folder / TRIES, msgspec.json.encode(self._tries))

    def figures(self) -> Mapping[str, float]:
        """By name."""
        return {
            "fernamt_acme_certificates_total": self.renewals,
            "fernamt_acme_failures_total": self.failures,
            "fernamt_acme_failing": float(bool(self.trouble)),
            "fernamt_acme_next_timestamp_seconds": self.next_at,
        }


async def _aside(work: Callable[[], T]) -> T:
    """In a thread that nobody waits for at the end: the authority may take minutes, and a stop must not."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except BaseException as error:
            failure = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, result, failure)

    threading.Thread(target=run, name="acme", daemon=True).start()
    return await done
