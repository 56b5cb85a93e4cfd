"""The certificate of SIP over TLS (shell; RFC 5922 §4): the operator's, else that of HTTPS, else one of our own."""

from __future__ import annotations

import socket
import ssl
from typing import Final

from acd.certificates.own import Own
from acd.certificates.pem import Files, Judged, Unusable, judge, octets
from acd.certificates.watched import Watched
from acd.config import TlsFiles, VoiceSettings
from acd.errors import CannotStart
from acd.switch.addresses import ELSEWHERE, LocalAddresses
from sip.io.tls import asking_context, dialling_context, listening_context
from sip.io.transport import Contexts

OWN: Final = "sip-tls.pem"
"""Our own, in the data directory: key and certificate."""
_OURS: Final = "sip.tls_"
OWN_DAYS: Final = 3650
"""A phone that was told to trust it is not to be told again; nothing is lost by an old one that nobody vouches for."""


class SipCertificate(Watched[Contexts]):
    """See the module. Read by `start`, looked after by `look`."""

    def __init__(self, settings: VoiceSettings) -> None:
        own = Own(settings.data / OWN, lambda: _own_names(settings), OWN_DAYS)
        super().__init__("SIP over TLS", _given(settings), own, "no `sip.tls_certificate` is set")
        self._ca = settings.tls.ca

    def start(self, now: float) -> Contexts:
        """Read it, or make our own; one line of the log says which.

        Args:
            now: Unix seconds.
        Returns: what handshakes are made with, now and after every change.
        Raises: CannotStart: it cannot be used.
        """
        self.contexts = self.begin(now)
        return self.contexts

    def _made_of(self, files: Files, judged: Judged) -> Contexts:
        is_ours = files.settings == _OURS and files in self._given
        is_shown = is_ours or (files in self._given and judged.is_for_clients)
        return _contexts(Files(certificate=files.certificate, key=files.key, ca=self._ca, settings=files.settings), is_shown=is_shown)

    def _take(self, made: Contexts) -> None:
        self.contexts.listening, self.contexts.dialling, self.contexts.asking = made.listening, made.dialling, made.asking


def _given(settings: VoiceSettings) -> list[Files]:
    given = []
    if settings.tls.certificate is not None:
        given.append(_files(settings.tls))
    elif settings.tls_of_https.certificate is not None:
        shared = settings.tls_of_https
        assert shared.certificate is not None
        given.append(Files(certificate=shared.certificate, key=shared.key, ca=settings.tls.ca, settings="http.", is_awaited=True))
    return given


def _files(files: TlsFiles) -> Files:
    assert files.certificate is not None
    return Files(certificate=files.certificate, key=files.key, ca=files.ca)


def check(settings: VoiceSettings) -> None:
    """See that the operator's files can be used, where they are needed.

    Raises: CannotStart: they cannot.
    """
    if settings.tls.certificate is not None and any(one.transport == "tls" for one in settings.listen):
        try:
            read(settings.tls, is_shown=True)
        except (OSError, Unusable) as error:
            raise CannotStart(str(error)) from error


def read(files: TlsFiles, *, is_shown: bool) -> tuple[Contexts, Judged]:
    """Read certificate, key and authorities.

    Args:
        is_shown: our certificate is shown to servers that ask who we are: some want it to be of an authority they know, or none.
    Raises: Unusable: with setting, file and reason.
    """
    found = _files(files)
    judged = judge(found)
    return _contexts(found, is_shown=is_shown), judged


def _contexts(files: Files, *, is_shown: bool) -> Contexts:
    if files.ca is not None:
        octets(Files(certificate=files.certificate), "ca", files.ca)  # a setting of SIP, whosever the certificate is
    listening = listening_context(files.certificate, files.key)
    try:
        dialling = dialling_context(files.ca, files.certificate if is_shown else None, files.key if is_shown else None)
        asking = asking_context(files.certificate, files.key, files.ca)
    except ssl.SSLError as error:
        raise Unusable(f"sip.tls_ca: {files.ca} holds no certificates in PEM: {error.reason or error}") from error
    return Contexts(listening, dialling, asking)


def _own_names(settings: VoiceSettings) -> list[str]:
    """What phones may know us by."""
    hosts = [one.host for one in settings.listen if one.transport == "tls" and one.host not in {"0.0.0.0", "::"}]
    around = settings.advertised_address or LocalAddresses(None).reaching(ELSEWHERE)
    return list(dict.fromkeys([around, *hosts, socket.gethostname()]))
