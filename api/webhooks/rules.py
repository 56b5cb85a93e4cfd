"""Signatures, retries and addresses of webhooks. Pure; Standard Webhooks (https://www.standardwebhooks.com), RFC 2104, RFC 9110 §10.2.3."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from api.config import host_name
from api.kit.jobs.rules import Retry
from api.kit.outbox.catalogue import Event

PREFIX = "whsec_"
SECRET_OCTETS = 32
"""Standard Webhooks asks for 24 to 64."""

RETRIES = Retry((5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400))
"""Seconds, as Standard Webhooks proposes: 5 s, 5 min, 30 min, 2, 5, 10, 14, 20 and 24 h; ten tries within three days and four hours."""
ANSWERED_WITHIN_S = 15.0
"""Standard Webhooks: 15 to 30 s."""
LONGEST_WAIT = timedelta(days=1)
"""A Retry-After beyond is not believed."""
OLD_SECRET = timedelta(hours=24)
"""So long after a change of the secret it is signed with the old one too."""
DISABLED_AFTER = timedelta(days=5)
"""An endpoint that has taken nothing for so long, and was tried, is disabled: longer than the retries of one delivery take."""
EXCERPT = 200
"""Letters of an answer that are kept, for whoever looks for the fault."""
EVERYTHING = "*"


def body_of(event: Event) -> str:
    """What is sent, the same at each try: type, timestamp, data."""
    told = {"type": event.kind, "timestamp": event.at.isoformat().replace("+00:00", "Z"), "data": event.data}
    return json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def secret_of(octets: bytes) -> str:
    """As it is shown: `whsec_` and base64."""
    return PREFIX + base64.b64encode(octets).decode()


def key_of(secret: str) -> bytes:
    """The key that a secret stands for.

    Raises: ValueError
    """
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("this is no secret of a webhook") from error


def signature(secrets: Iterable[str], event: str, timestamp: int, body: str) -> str:
    """`webhook-signature`: one `v1,` for each secret, of `id.timestamp.body`.

    >>> signature(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    signed = f"{event}.{timestamp}.{body}".encode()
    return " ".join(f"v1,{base64.b64encode(hmac.new(key_of(one), signed, hashlib.sha256).digest()).decode()}" for one in secrets)


def wants(events: Sequence[str], kind: str) -> bool:
    """Whether an endpoint that names these wants this one."""
    return EVERYTHING in events or kind in events


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """What a server asks us to wait, in seconds or until a date; None: nothing that can be read."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_WAIT.total_seconds())
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:
        return None
    return min(max(0.0, (until - now).total_seconds()), LONGEST_WAIT.total_seconds())


def checked_url(url: str, *, plain: bool) -> str:
    """An address that can be sent to, as far as that can be said without asking anybody.

    Args:
        plain: `http` is allowed.
    Raises: ValueError: a sentence.
    """
    if not url.isascii() or any(letter <= " " or letter == "\x7f" for letter in url):
        raise ValueError("write the address in ASCII, without blanks: names as xn--…, other letters as %…")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("this is no address; write one like `https://example.org/hooks`") from None
    if parts.scheme != "https" and not (plain and parts.scheme == "http"):
        raise ValueError(f"the address begins with https://{' or http://' if plain else ''}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("user and password do not belong into the address; the signature says who we are")
    if parts.fragment or "#" in url:
        raise ValueError("leave out what begins with #: it is not sent")
    if not parts.hostname or port == 0:
        raise ValueError("this is no address; write one like `https://example.org/hooks`")
    host_name(parts.hostname)
    return url


def shown_url(url: str) -> str:
    """An address without its query: what stands there is often a token."""
    return f"{url.partition('?')[0]}?***" if "?" in url else url


def is_to_be_disabled(failing_since: datetime | None, now: datetime) -> bool:
    """Whether an endpoint has failed for too long."""
    return failing_since is not None and now - failing_since >= DISABLED_AFTER
