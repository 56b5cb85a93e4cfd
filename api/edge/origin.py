"""Where the page comes from that opens a WebSocket (RFC 6454, RFC 6455 §10.2): browsers let any page do so anywhere, and says whose it is.

Pure. Clients that are no browsers send no Origin, and could send any: it protects people with a browser, and proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

PORTS = {"http": 80, "https": 443}


def origin(text: str) -> str:
    """An origin as it is compared: `https://desk.example:443`, in small letters and with its port.

    Raises: ValueError: it is none.
    """
    parts = urlsplit(text.strip().lower())
    if parts.scheme not in PORTS or not parts.hostname or parts.path or parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"{text!r} is no origin: it must be https://host or https://host:port")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port or PORTS[parts.scheme]}"


def may_open(given: str | None, host: str, allowed: Iterable[str]) -> bool:
    """Whether a page may open a WebSocket here.

    Args:
        given: the Origin of the handshake; None: no browser sends it.
        host: the Host that it was sent to: a page of the same origin is ours.
        allowed: other origins, as `origin` writes them.
    """
    if given is None:
        return True
    try:
        asks = origin(given)
        # The scheme is the page's own: TLS may have ended at a proxy that says nothing of it.
        return asks == origin(f"{asks.partition(':')[0]}://{host}") or asks in set(allowed)
    except ValueError:  # "null" of a sandboxed frame or a file, a malformed Host
        return False
