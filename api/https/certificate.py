"""The certificate of HTTPS: the operator's, that of an authority, or one of our own; and whether browsers trust it (shell)."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Final

from acd.certificates import Files, Judged, Own, Unusable, Watched, judge, listening_context
from acd.errors import CannotStart
from api.commands.addresses import own_address
from api.config import Http, is_address
from api.https.trust import is_trusted
from api.kit.peers import is_loopback

OWN: Final = "https.pem"
"""Our own, in the data directory: key and certificate."""
OWN_DAYS: Final = 820
"""Apple's systems take none that holds for more than 825, whoever has made it."""
OWN_ANEW_DAYS: Final = 30
ACME_FOLDER: Final = "acme"
ACME_FILE: Final = "certificate.pem"
"""In that folder: what the authority has given, and the key."""
TRUST_AGAIN_S: Final = 3600.0
"""Authorities of the system come and go with its updates."""
LABEL: Final = "HTTPS"

_LACKING: Final = {
    "self-made": 'browsers warn of it; `http.tls = "files"` or "acme" gives them one that they trust',
    "acme": "the authority of `http.acme_directory` has given none yet",
}


def acme_file(data: Path) -> Path:
    """Where a certificate that was had by ACME is kept."""
    return data / ACME_FOLDER / ACME_FILE


def given(http: Http, data: Path) -> list[Files]:
    """The files that hold the certificate, or will."""
    if http.certificate is not None:
        return [Files(certificate=http.certificate, key=http.key, settings="http.")]
    if http.tls == "acme":
        return [Files(certificate=acme_file(data), settings="http.acme: ", is_awaited=True)]
    return []


def check_files(http: Http, data: Path) -> None:
    """See that the operator's files can be used.

    Raises: CannotStart: they cannot.
    """
    for files in given(http, data):
        if not files.is_awaited:
            try:
                judge(files)
            except Unusable as error:
                raise CannotStart(str(error)) from error


class HttpsCertificate(Watched[ssl.SSLContext]):
    """See the module."""

    def __init__(self, http: Http, data: Path) -> None:
        own = Own(data / OWN, lambda: _own_names(http), OWN_DAYS, OWN_ANEW_DAYS, "http.")
        super().__init__(LABEL, given(http, data), own, _LACKING.get(http.tls, ""))
        self._http = http
        self.is_trusted = False
        """A client of this system believes its chain."""
        self._trust_at = float("-inf")

    def start(self, now: float) -> None:
        """Read it, or make our own. Blocks.

        Args:
            now: Unix seconds.
        Raises: CannotStart: it cannot be used.
        """
        self.context = self.begin(now)
        self._regard_trust(now)

    def look(self, now: float, *, is_asked: bool = False) -> None:
        """As it says there; and look again whether it is trusted."""
        before = self.reloads
        super().look(now, is_asked=is_asked)
        if self.reloads != before or now - self._trust_at >= TRUST_AGAIN_S:
            self._regard_trust(now)

    @property
    def kind(self) -> str:
        """`files`, `acme`, `self-made`."""
        return "self-made" if self.is_own else self._http.tls

    def is_trusted_for(self, host: str, now: float) -> bool:
        """Whether browsers that ask for a name are content, so that they can be told never to ask without TLS.

        Never of an address or `localhost` (RFC 6797 §8.1.1; http://localhost is a secure context by itself).
        """
        name = host.lower().removesuffix(".")
        if not self.is_trusted or not self.holds(now) or is_address(name) or is_loopback(name) or name.endswith(".localhost"):
            return False
        _, _, parent = name.partition(".")
        return name in self.judged.dns_names or (bool(parent) and f"*.{parent}" in self.judged.dns_names)

    def _made_of(self, files: Files, judged: Judged) -> ssl.SSLContext:  # noqa: ARG002 - of SIP's it decides to whom it is shown
        try:
            context = listening_context(files.certificate, files.key)
        except ssl.SSLError as error:
            raise Unusable(f"{files.settings}certificate: {files.certificate} cannot be used: {error.reason or error}") from error
        context.set_alpn_protocols(["http/1.1"])
        return context

    def _take(self, made: ssl.SSLContext) -> None:
        self.context = made

    def _regard_trust(self, now: float) -> None:
        """By one of its names: what leads to the authority is the same for all."""
        self._trust_at = now
        name = next(iter(self.judged.dns_names), "")
        self.is_trusted = bool(name) and is_trusted(self.context, name.replace("*", "www", 1))


def _own_names(http: Http) -> list[str]:
    """What browsers may know us by."""
    around = [one for family in (socket.AF_INET, socket.AF_INET6) if (one := own_address(family)) is not None]
    hosts = [] if http.host in {"0.0.0.0", "::"} else [http.host]
    return list(dict.fromkeys([*http.acme_domains, *hosts, socket.gethostname(), *around, "localhost", "127.0.0.1", "::1"]))
