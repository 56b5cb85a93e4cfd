"""What a phone of ours means by the address it dials or transfers to: a number, a colleague's phone, or nobody (RFC 3261 §10.3, §19.1.6).

A number is one whatever host stands behind it: phones write there what they register at. A name is that of a device of the phone's own
tenant, which is its agent, at a host of ours alone. Nothing tells a device of another tenant from one that there is not, and no domain of
another tenant from one of somebody else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from acd.core.ids import AgentId, TenantId
from acd.directory import Directory
from acd.numbers import is_private
from acd.switch.identities import number_in
from acd.wire_text import LONGEST_NUMBER, fit
from sip.uri import Uri

Unknown = Literal["nobody", "elsewhere"]
"""`nobody`: a name at a host of ours that is none of a device; `elsewhere`: a name at any other host."""

WHY_REFUSED: Final[dict[Unknown, tuple[int, str]]] = {
    "nobody": (404, "The address is nobody's here."),
    "elsewhere": (403, "Addresses at other domains are not called."),
}
"""Status and sentence (RFC 3261 §21.4.5, §21.4.4)."""
_NUMBER: Final = re.compile(r"\+?[0-9*#]+").fullmatch


class Dialled(NamedTuple):
    """What is meant."""

    number: str
    """As in `acd.core.inputs.CallArrived.called`; of a colleague the extension, else the name."""
    colleague: AgentId | None = None
    """The address of record of this agent's phone was dialled."""
    unknown: Unknown | None = None


class Dialling:
    """See the module.

    Args:
        realm: of all phones; the domains that tenants have where they chose none lie under it.
        is_own: whether an address is one of this machine's.
    """

    def __init__(self, directory: Directory, realm: str, is_own: Callable[[str], bool]) -> None:
        self._directory = directory
        self._realm = realm.lower()
        self._is_own = is_own

    def meant(self, tenant: TenantId, uri: Uri, *, at_home: str | None = None) -> Dialled:
        """What a phone of this tenant means.

        Args:
            at_home: the host in the phone's own address of record, as it writes it: it may know us by a name that we do not know.
        """
        number, user = number_in(uri), (uri.user or "").partition(";")[0]
        is_number = _NUMBER(number) is not None
        if not uri.is_sip or (is_number and not is_private(number)):
            return Dialled(number)
        host = (uri.host or "").lower()
        is_home = self._is_home(tenant, host) or (at_home is not None and host == at_home.lower() and self._may_be_home(tenant, host))
        device = self._directory.device_named(tenant, user) if is_home else None
        if device is not None and not (is_number and self._directory.has_extension(tenant, number)):
            person = self._directory.agent(tenant, device.agent)
            extension = person.extension if person is not None else None
            return Dialled(extension or fit(user, LONGEST_NUMBER), device.agent)
        if is_number:
            return Dialled(number)
        if self._directory.has_own_line(tenant):
            return Dialled(number)  # the tenant's own PBX has names of its own
        if is_home or not user:
            return Dialled(number, unknown="nobody")
        return Dialled(fit(f"{user}@{host}", LONGEST_NUMBER), unknown="elsewhere")

    def _is_home(self, tenant: TenantId, host: str) -> bool:
        own = self._directory.setups[tenant].domain.lower() if tenant in self._directory.setups else ""
        return bool(host) and (host in {own, self._realm} or host.endswith(f".{self._realm}") or self._is_own(host))

    def _may_be_home(self, tenant: TenantId, host: str) -> bool:
        return self._directory.tenant_of_domain(host) in {None, tenant}
