"""A tenant's setup as it stands in one transaction, value by value: a change parses what it brings and takes the rest over (pure)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from acd.core.configuration import ChannelCapacity, FeatureCodes, Pages, TenantConfiguration
from acd.core.ids import AgentId, SiteId, TenantId
from acd.service import Device, DialRules, TenantSetup
from api.telephony_setup import rules

DEVICE = "device"
PHONE, PLACE = "phone", "place"
"""What an agent's document says of the phone, and a site's of the phones there, and the core need not know."""
BESIDE = {"agent": PHONE, "site": PLACE}


@dataclass(frozen=True, slots=True)
class Draft:
    """Documents and devices as values, each kind in order of name; a changed one is another `Draft` that shares what did not change."""

    tenant: TenantId
    realm: str
    names: Mapping[str, tuple[str, ...]]
    """Kind (and `device`) -> names in order."""
    values: Mapping[str, tuple[Any, ...]]
    """Kind -> what stands under each name."""
    plans: rules.Plans

    @staticmethod
    def of(tenant: TenantId, documents: rules.Documents, devices: Sequence[Device], realm: str, plans: rules.Plans) -> Draft:
        """Everything at once; the order of `documents` and `devices` does not matter."""
        usernames: dict[str, str] = {device.agent: device.username for device in devices}
        found: dict[str, dict[str, Any]] = {DEVICE: {device.agent: device for device in devices}, PHONE: {}, PLACE: {}}
        for kind, some in documents.items():
            found[kind] = {}
            for document in some:
                name = rules.name_of(kind, document)
                found[kind][name] = rules.value(kind, document, rules.address_of_record(tenant, name, usernames.get(name), realm))
                if (beside := BESIDE.get(kind)) is not None:
                    found[beside][name] = rules.value(beside, document, "")
        # Not as the database sorts them: its collation is its own, and a restart must not find another order than a change left.
        names = {kind: tuple(sorted(some)) for kind, some in found.items()}
        return Draft(tenant, realm, names, {kind: tuple(map(found[kind].__getitem__, names[kind])) for kind in found}, plans)

    def put(self, kind: str, name: str, document: Mapping[str, Any]) -> Draft:
        """With this document under the name, instead of the one that stood there."""
        device = self._get(DEVICE, name) if kind == "agent" else None
        username = device.username if device is not None else None
        changed = self._set(kind, name, rules.value(kind, document, rules.address_of_record(self.tenant, name, username, self.realm)))
        beside = BESIDE.get(kind)
        return changed if beside is None else changed._set(beside, name, rules.value(beside, document, ""))  # noqa: SLF001 - another of us

    def equip(self, device: Device) -> Draft:
        """With this device for its agent."""
        agent = msgspec.structs.replace(
            self._get("agent", device.agent), device=rules.address_of_record(self.tenant, device.agent, device.username, self.realm)
        )
        return self._set("agent", device.agent, agent)._set(DEVICE, device.agent, device)  # noqa: SLF001 - another of us

    def drop(self, kind: str, name: str) -> Draft:
        """Without what stands under the name, if anything does; an agent's device goes too."""
        left = self._drop(kind, name)
        left = left._drop(BESIDE[kind], name) if kind in BESIDE else left  # noqa: SLF001
        return left._drop(DEVICE, name) if kind == "agent" else left  # noqa: SLF001

    def with_plans(self, plans: rules.Plans) -> Draft:
        """With other tariffs."""
        return replace(self, plans=plans)

    def setup(self) -> TenantSetup:
        """As the voice service takes it."""
        values = self.values
        general: Mapping[str, Any] = next(iter(values["general"]), {})
        return TenantSetup(
            configuration=TenantConfiguration(
                tenant=self.tenant,
                agents=values["agent"],
                queues=values["queue"],
                menus=values["menu"],
                numbers=values["number"],
                schedules=values["schedule"],
                sites=values["site"],
                trunks=tuple(trunk for trunk, _ in values["trunk"]),
                reasons=values["reason"],
                language=general.get("language", rules.FIRST_LANGUAGE),
                recording_notice=general.get("recording_notice", True),
                supervision_notice=general.get("supervision_notice", True),
                supervision_tone=general.get("supervision_tone", True),
                conversation_keys=general.get("conversation_keys", "**"),
                feature_codes=msgspec.convert(general.get("feature_codes", {}), FeatureCodes),
                capacity=msgspec.convert(general.get("capacity", ()), tuple[ChannelCapacity, ...]),
                pages=msgspec.convert(general.get("pages", {}), Pages),
            ),
            devices=values[DEVICE],
            trunks=tuple(line for _, line in values["trunk"]),
            dialling=next(iter(values["dialling"]), DialRules()),
            plans=self.plans[0],
            trunk_plans=self.plans[1],
            own_sounds=dict(zip(self.names["sound"], values["sound"], strict=True)),
            srtp=general.get("srtp", "accepted"),
            phones_srtp={AgentId(name): one.srtp for name, one in self._said(PHONE) if one.srtp is not None},
            sites_srtp={SiteId(name): one.srtp for name, one in self._said(PLACE) if one.srtp is not None},
            signalling=general.get("signalling", "any"),
            encrypted_phones=frozenset(AgentId(name) for name, one in self._said(PHONE) if one.is_encrypted),
            encrypted_sites=frozenset(SiteId(name) for name, one in self._said(PLACE) if one.is_encrypted),
        )

    def _said(self, kind: str) -> Iterator[tuple[str, rules.Protection]]:
        return zip(self.names[kind], self.values[kind], strict=True)

    def _get(self, kind: str, name: str) -> Any:
        names = self.names[kind]
        at = bisect_left(names, name)
        return self.values[kind][at] if names[at : at + 1] == (name,) else None

    def _set(self, kind: str, name: str, value: Any) -> Draft:
        names, values = self.names[kind], self.values[kind]
        at = bisect_left(names, name)
        behind = at + (names[at : at + 1] == (name,))
        return self._with(kind, (*names[:at], name, *names[behind:]), (*values[:at], value, *values[behind:]))

    def _drop(self, kind: str, name: str) -> Draft:
        names, values = self.names[kind], self.values[kind]
        at = bisect_left(names, name)
        if names[at : at + 1] != (name,):
            return self
        return self._with(kind, (*names[:at], *names[at + 1 :]), (*values[:at], *values[at + 1 :]))

    def _with(self, kind: str, names: tuple[str, ...], values: tuple[Any, ...]) -> Draft:
        return replace(self, names={**self.names, kind: names}, values={**self.values, kind: values})
