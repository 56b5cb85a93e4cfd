"""All of HTTPS that lives as long as the service: certificate, its authority, listener, what is told of them (shell)."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import socket
import time
from collections.abc import Callable, Mapping

from starlette.types import ASGIApp

from acd.certificates import DAY_S, LOOK_S
from api.config import Settings, networks_of
from api.edge.connections import Connections, Lease
from api.https.certificate import HttpsCertificate
from api.https.keeper import Keeper
from api.https.listener import TlsListener
from api.https.outside import OutsideTls
from api.https.told import CertificateTold

log = logging.getLogger(__name__)


class Https:
    """See the module."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        http = settings.http
        self._http = http
        self._proxies = networks_of(http.proxies)
        self._clock = clock
        self._challenges: dict[str, str] = {}
        self.certificate = HttpsCertificate(http, settings.data)
        self.keeper = Keeper(http, settings.data, self._challenges) if http.tls == "acme" else None
        self.listener: TlsListener | None = None
        self._port = http.port
        self._reload = asyncio.Event()

    def start(self) -> None:
        """Read the certificate, or make one. Blocks.

        Raises: CannotStart: it cannot be used.
        """
        self.certificate.start(self._clock())

    def outside(self, app: ASGIApp) -> ASGIApp:
        """The application, with what stands before it where there is HTTPS."""
        return OutsideTls(app, self.certificate, self._challenges, self._proxies, lambda: self._http.https_port or self._port, self._clock)

    def listen(
        self, listening: socket.socket, connections: Connections, protocol: Callable[[Lease], asyncio.Protocol], handshake_s: float
    ) -> TlsListener:
        """Take connections, until the listener is closed."""
        self._port = listening.getsockname()[1]
        self.listener = TlsListener(listening, connections, lambda: self.certificate.context, protocol, handshake_s)
        self.listener.start()
        return self.listener

    async def keep(self) -> None:
        """Look after the certificate, from when challenges can be answered, until cancelled."""
        while True:
            is_asked = self._reload.is_set()
            self._reload.clear()
            try:
                await self.look(is_asked=is_asked)
            except Exception:
                log.exception("! the certificate of HTTPS could not be looked at")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._reload.wait(), LOOK_S)

    def reload(self) -> None:
        """Read the certificate again, now; connections that are up stay up under the one they began with."""
        self._reload.set()

    async def look(self, *, is_asked: bool = False) -> None:
        """Once: files that have changed, dates, and whether one is to be asked for."""
        await asyncio.to_thread(self.certificate.look, self._clock(), is_asked=is_asked)
        if self.keeper is not None and await self.keeper.look(self._clock()):
            await asyncio.to_thread(self.certificate.look, self._clock())

    def told(self) -> CertificateTold:
        """For /readyz."""
        certificate = self.certificate
        trouble = self.keeper.trouble if self.keeper is not None else ""
        if not trouble and certificate.is_refused:
            trouble = "what the files hold now cannot be used; the log says why"
        return CertificateTold(
            kind=certificate.kind,
            names=certificate.judged.names,
            issuer=certificate.judged.issuer,
            expires_at=dt.datetime.fromtimestamp(certificate.expires_at, dt.UTC),
            trusted=certificate.is_trusted,
            trouble=trouble or None,
        )

    def figures(self) -> Mapping[str, float]:
        """For /metrics."""
        certificate = self.certificate
        found = {f"fernamt_https_{name.removeprefix('tls_')}": value for name, value in certificate.figures().items()}
        found |= {
            "fernamt_https_certificate_days_left": (certificate.expires_at - self._clock()) / DAY_S,
            "fernamt_https_certificate_trusted": float(certificate.is_trusted),
            "fernamt_https_certificate_self_made": float(certificate.is_own),
        }
        if self.listener is not None:
            found |= self.listener.figures()
        if self.keeper is not None:
            found |= self.keeper.figures()
        return found
