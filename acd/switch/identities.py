"""Who a request says it is from and whom it means, of every header that says so (pure; RFC 3261 §19.1.6, 3325 §9.1, 3323, 3966, 4694).

One way for Request-URI, From, To, P-Asserted-Identity, P-Called-Party-ID and Remote-Party-ID (draft-ietf-sip-privacy-04, which carriers
still speak): sip: or tel:, with parameters in the user part, in the notation of the peer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from acd.numbers import WITHHELD, calling_number, normalise
from acd.wire_text import LONGEST_NAME, fit_or_none
from billing_cdr.errors import NumberError
from billing_cdr.numbers import Format, number_of
from sip.headers.name_addr import NameAddr
from sip.message import Request
from sip.uri import Uri

_HIDES: Final = frozenset({"id", "user", "header"})
"""Values of Privacy that hide the caller (RFC 3323 §4.2, RFC 3325 §9.3); `history` is of who was called, `none` of nobody."""
_HIDING: Final = ("full", "uri")
"""Values of Remote-Party-ID's privacy that hide the number, alone or as `full-network`; `name` hides the name."""
ANONYMOUS: Final = "anonymous"
ANONYMOUS_HOST: Final = "anonymous.invalid"
"""RFC 3323 §4.1.1.3: what a caller writes that wants to be nobody."""


class Caller(NamedTuple):
    """Who calls, as it may be told."""

    number: str | None
    name: str | None
    withheld: str | None = None
    """The number of somebody who asked for it to be shown to nobody (§ 15 TDDDG); then `number` and `name` are None."""


def written(uri: Uri) -> str:
    """What stands for the number in a URI: the user part with its parameters, or the whole of a tel: or urn:."""
    return (uri.user or "") if uri.opaque is None else str(uri)


def number_in(uri: Uri, form: Format = "auto") -> str:
    """The number that a URI means, in the form of the house; what is no number as it stands there."""
    return normalise(written(uri), form)


def called_party(request: Request, form: Format = "auto") -> str:
    """The number that was called where the Request-URI does not say it: P-Called-Party-ID (RFC 7315 §4.2), else To."""
    told = request.called_party
    return number_in(request.to.uri if told is None else told.uri, form)


def who_calls(request: Request, form: Format = "auto", *, is_trusted: bool = True) -> Caller:
    """Who calls: by the network's word, else by its own.

    Args:
        is_trusted: a trunk, whose P-Asserted-Identity and Remote-Party-ID count (RFC 3325 §5); of a phone only From does.
    """
    asserted = [*request.asserted_identities, *_remote_parties(request)] if is_trusted else []
    identities = [*asserted, request.from_]
    numbers = ((identity, _number(identity.uri, form)) for identity in identities)
    best, number = next(((identity, number) for identity, number in numbers if number is not None), (identities[0], None))
    if number is None:
        number = calling_number(written(best.uri), form)
    if _is_withheld(request, asserted):
        return Caller(None, None, number if number is None or number.lower() not in WITHHELD else None)
    names = (identity.display_name for identity in (*asserted, best) if not _hides_name(identity))
    return Caller(number, fit_or_none(next((name for name in names if name), None), LONGEST_NAME))


def is_anonymous(request: Request) -> bool:
    """Whether a caller asks to be shown to nobody (RFC 3323 §4.1.1.3 and §4.2, RFC 3325 §9.3)."""
    uri = request.from_.uri
    return not _HIDES.isdisjoint(request.privacy) or (uri.user or "").lower() == ANONYMOUS or uri.host == ANONYMOUS_HOST


def _is_withheld(request: Request, asserted: list[NameAddr]) -> bool:
    return is_anonymous(request) or any(_privacy(identity).startswith(_HIDING) for identity in asserted)


def _privacy(identity: NameAddr) -> str:
    return (identity.param("privacy") or "").strip('"').lower()


def _hides_name(identity: NameAddr) -> bool:
    return _privacy(identity).startswith("name")


def _number(uri: Uri, form: Format) -> str | None:
    """None: no telephone number, such as the account in front of the carrier's domain."""
    try:
        return number_of(written(uri), form)
    except NumberError:
        return None


def _remote_parties(request: Request) -> Iterator[NameAddr]:
    for identity in request.remote_parties:
        if (identity.param("party") or "calling").lower() == "calling":
            yield identity
