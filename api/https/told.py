"""What is told of the certificate of HTTPS."""

from __future__ import annotations

import datetime as dt

from pydantic import BaseModel


class CertificateTold(BaseModel):
    """The certificate of HTTPS."""

    kind: str
    """`files`, `acme`; `self-made`: nobody has vouched for it, and browsers warn of it."""
    names: str
    """Whose it is."""
    issuer: str
    expires_at: dt.datetime
    trusted: bool
    """Clients with the authorities of this system believe it."""
    trouble: str | None = None
    """Why there is no newer one."""
