"""Which trunk a request comes over, and which number it means (pure; RFC 3261 §10.2.1, RFC 7315 §4.2)."""

from __future__ import annotations

from typing import NamedTuple

from acd.core.ids import TenantId
from acd.directory import Directory, Nobodys
from acd.numbers import is_emergency
from acd.service import TrunkLine
from acd.switch.identities import called_party, number_in
from sip.flow import Flow
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

    A registrar puts our Contact into the Request-URI (RFC 3261 §16.5), so the number that was called stands in P-Called-Party-ID or To. So
    it does with carriers that have the account's name there, or nothing of use; a number of ours in the Request-URI comes first. Of a trunk
    that has to prove who it is (`tls_identity`) a request counts only if it comes over a connection whose certificate has proved that.

    Returns: None: no trunk of ours; NOBODYS: of several tenants' source, for a number that is none of theirs.
    """
    user = request.uri.user or ""
    registered = directory.trunk_registered_as(user)
    if registered is not None and registered[1].tls_identity in {None, *flow.proven}:
        return Arrival(*registered, _known(directory, *registered, called_party(request, registered[1].numbers_in)), by_contact=True)

    def called(line: TrunkLine) -> str:
        # A carrier that calls us by the name of the account has the number where it stands with a Contact too.
        form = line.numbers_in
        return called_party(request, form) if _is_account(line, user) else number_in(request.uri, form)

    found = directory.trunk_from(flow.remote[0], called, flow.proven)
    if found is None:
        return None
    if isinstance(found, Nobodys) or not directory.has_number(found[0], called(found[1])):
        meant = directory.trunk_from(flow.remote[0], lambda line: called_party(request, line.numbers_in), flow.proven)
        if meant is not None and not isinstance(meant, Nobodys):
            number = called_party(request, meant[1].numbers_in)
            if directory.has_number(meant[0], number):
                return Arrival(*meant, number, by_contact=False)
    if isinstance(found, Nobodys):
        return found
    return Arrival(*found, _known(directory, *found, called(found[1])), by_contact=False)


def _known(directory: Directory, tenant: TenantId, line: TrunkLine, number: str) -> str:
    """The number, or the trunk's own where it is none of the tenant's: an account with one number may be called by any name."""
    if line.default_number is None or directory.has_number(tenant, number) or is_emergency(number):
        return number
    return line.default_number


def _is_account(line: TrunkLine, user: str) -> bool:
    """Whether this is our name at the trunk's carrier. Of that trunk only: a tenant's account names mean nothing for others' calls."""
    registration = line.registration
    return registration is not None and bool(user) and user in {registration.username, registration.auth_username}
