"""Which trunk a request comes over, and which number it means (pure; RFC 3261 §10.2.1, RFC 7315 §4.2)."""

from __future__ import annotations

from typing import NamedTuple

from acd.core.ids import TenantId
from acd.directory import Directory, Nobodys
from acd.numbers import normalise
from acd.service import TrunkLine
from sip.errors import ParseError
from sip.flow import Flow
from sip.headers.name_addr import parse_name_addr
from sip.message import Request


class Arrival(NamedTuple):
    """A request from a trunk."""

    tenant: TenantId
    line: TrunkLine
    called: str
    """E.164, or as dialled when it is short."""
    by_contact: bool
    """It came to the Contact that we registered and nobody can guess."""


def arrival(directory: Directory, request: Request, flow: Flow) -> Arrival | Nobodys | None:
    """The trunk by the Contact we registered, else by where the request comes from, whatever its From.

    A registrar puts our Contact into the Request-URI (RFC 3261 §16.5), so the number that was called stands in P-Called-Party-ID or To.

    Returns: None: no trunk of ours; NOBODYS: of several tenants' source, for a number that is none of theirs.
    """
    user = request.uri.user or ""
    registered = directory.trunk_registered_as(user)
    if registered is not None:
        return Arrival(*registered, _meant(request), by_contact=True)

    def called(line: TrunkLine) -> str:
        # A carrier that calls us by the name of the account has the number where it stands with a Contact too.
        return _meant(request) if _is_account(line, user) else normalise(user)

    found = directory.trunk_from(flow.remote[0], called)
    if found is None or isinstance(found, Nobodys):
        return found
    return Arrival(*found, called(found[1]), by_contact=False)


def _is_account(line: TrunkLine, user: str) -> bool:
    """Whether this is our name at the trunk's carrier. Of that trunk only: a tenant's account names mean nothing for others' calls."""
    registration = line.registration
    return registration is not None and bool(user) and user in {registration.username, registration.auth_username}


def _meant(request: Request) -> str:
    told = request.headers.get("P-Called-Party-ID")
    try:
        uri = parse_name_addr(told).uri if told is not None else request.to.uri
    except ParseError:
        uri = request.to.uri
    return normalise(uri.user or "")
