"""A certificate in force, and the files it comes from: read again when they change, told of when it ends (shell; house)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Final, Generic, TypeVar

from acd.certificates.own import Own
from acd.certificates.pem import Files, Judged, Unusable, day, judge, state_of
from acd.errors import CannotStart

log = logging.getLogger(__name__)

LOOK_S: Final = 30.0
WARN_DAYS: Final = 14
"""A certificate that ends is told of for so long."""
DAY_S: Final = 86_400.0

T = TypeVar("T")
"""What handshakes are made with."""


class Watched(Generic[T]):
    """See the module. Read by `begin`, looked after by `look`; who listens says what is made of the files (`_made_of`)."""

    def __init__(self, label: str, given: Sequence[Files], own: Own, lacking: str) -> None:
        """Args:
        label: what it is for, as the log calls it.
        given: files that may hold it, the best first; those that are awaited are passed over until they are there.
        own: what there is in place of them.
        lacking: why that may be so, for the log.
        """
        self._label = label
        self._given = given
        self._own = own
        self._lacking = lacking
        self.reloads = 0
        self.is_refused = False
        """What the files hold now cannot be used; what was read before is in force."""
        self._files: Files | None = None
        self._made_at = float("-inf")
        self._seen: object = None
        self._warned_at = float("-inf")
        self._again_at = float("inf")
        """When what the files hold can be used, which it cannot yet."""

    def _made_of(self, files: Files, judged: Judged) -> T:
        """Raises: OSError, Unusable: it cannot be used."""
        raise NotImplementedError

    def _take(self, made: T) -> None:
        """Handshakes that begin from now on are made with it."""
        raise NotImplementedError

    def begin(self, now: float) -> T:
        """Read it, or make our own; one line of the log says which.

        Args:
            now: Unix seconds.
        Raises: CannotStart: it cannot be used.
        """
        try:
            files = self._chosen(now)
            try:
                made = self._begun(files)
            except (OSError, Unusable) as error:
                if not files.is_awaited:
                    raise
                log.error("! %s: %s", self._label, error)  # noqa: TRY400 - another one will come
                files = self._own.file(now)
                made = self._begun(files)
        except (OSError, Unusable) as error:
            raise CannotStart(str(error)) from error
        self._files, self._made_at = files, now
        if self.is_own:
            log.warning("= %s with a certificate of its own, %s: %s", self._label, files.certificate, self._lacking)
        else:
            log.info("= %s as %s, until %s", self._label, self.judged.names, day(self.expires_at))
        self._regard_dates(now)
        return made

    def _begun(self, files: Files) -> T:
        self._seen = state_of(files)
        self.judged = judge(files)
        return self._made_of(files, self.judged)

    @property
    def files(self) -> Files:
        """Where the one in force comes from."""
        assert self._files is not None
        return self._files

    @property
    def is_own(self) -> bool:
        """Nobody has given us one."""
        return self._files is None or self._files not in self._given

    @property
    def expires_at(self) -> float:
        """Unix seconds."""
        return self.judged.expires_at

    def look(self, now: float, *, is_asked: bool = False) -> None:
        """Read it again if its files have changed; what cannot be used leaves the one before in force. Blocks for the disk's time.

        Args:
            is_asked: somebody wants it read in any case.
        """
        try:
            files = self._chosen(now)
        except (OSError, Unusable) as error:
            self._refuse(error)
            return
        state = state_of(files)
        if is_asked or state != self._seen or now >= self._again_at:
            self._seen, self._again_at = state, float("inf")
            self._reload(files, now)
        elif now - self._made_at >= DAY_S and not self.is_refused:
            self._take_anew(files, now)
        self._regard_dates(now)

    def _take_anew(self, files: Files, now: float) -> None:
        """The keys of session tickets are drawn with what handshakes are made with, and whoever has them reads what was resumed with them
        (RFC 9325 §3.4): they live for a day.
        """
        self._made_at = now
        try:
            made = self._made_of(files, judge(files))
        except (OSError, Unusable) as error:
            self._refuse(error)
        else:
            self._take(made)

    def _chosen(self, now: float) -> Files:
        """Raises: OSError, Unusable: our own cannot be had."""
        for files in self._given:
            if not files.is_awaited or files == self._files or files.certificate.exists():
                return files
        return self._own.file(now)

    def _reload(self, files: Files, now: float) -> None:
        try:
            judged = judge(files)
            made = self._made_of(files, judged)
            if self.holds(now):
                if judged.expires_at <= now:
                    raise Unusable(f"the new certificate has expired on {day(judged.expires_at)}")
                if judged.begins_at > now:
                    self._again_at = judged.begins_at
                    raise Unusable(f"the new certificate holds only from {day(judged.begins_at)} on, and is taken then")
        except (OSError, Unusable) as error:
            self._refuse(error)
            return
        self._files, self.judged, self._made_at = files, judged, now
        self._take(made)
        self.is_refused = False
        self.reloads += 1
        self._warned_at = float("-inf")
        log.info("= %s as %s from now on, until %s", self._label, judged.names, day(judged.expires_at))

    def _refuse(self, error: Exception) -> None:
        self.is_refused = True
        log.error("! %s goes on with the certificate it has, until %s: %s", self._label, day(self.expires_at), error)

    def holds(self, now: float) -> bool:
        """Whether those who look at the dates are content with the one in force."""
        return self.judged.begins_at <= now < self.expires_at

    def _regard_dates(self, now: float) -> None:
        """Once a day while there is something to say."""
        left_s, path = self.expires_at - now, self.files.certificate
        if (left_s >= WARN_DAYS * DAY_S and self.judged.begins_at <= now) or now - self._warned_at < DAY_S:
            return
        self._warned_at = now
        if self.judged.begins_at > now:
            log.error("! the certificate of %s, %s, holds only from %s on", self._label, path, day(self.judged.begins_at))
        elif left_s <= 0:
            log.error("! the certificate of %s, %s, has expired on %s", self._label, path, day(self.expires_at))
        else:
            log.warning("! the certificate of %s, %s, expires in %d days", self._label, path, left_s // DAY_S)

    def figures(self) -> Mapping[str, float]:
        """By name."""
        return {
            "tls_certificate_expires_timestamp_seconds": self.expires_at,
            "tls_certificate_refused": float(self.is_refused),
            "tls_certificate_reloads_total": self.reloads,
        }
