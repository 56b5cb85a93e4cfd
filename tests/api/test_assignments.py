"""What one tenant has no other can take: numbers, sources, caller ids; the operator's word decides, and both sides can read it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import text

from acd.core.ids import TenantId
from acd.networks import EVERYTHING, LOOPBACK, Reach
from acd.service import Sighting
from api import assignments
from api.assignments import Watch, rules
from api.assignments.models import PrepaidEntry
from api.config import Tenants
from api.services import Services
from api.telephony_setup import setup_of
from tests.api.conftest import Service, add_tenant

ACME, OTHER = TenantId("acme"), TenantId("other")
NUMBER = "+4976188660"
OWN = "203.0.113.77"
CARRIER = {"id": "carrier", "name": "Carrier", "peer": "203.0.113.5", "probe_every_s": 0}


def number(of: str = NUMBER) -> dict[str, Any]:
    return {"number": of, "target": {"to": "hang_up"}}


def trunk(*sources: str, **more: Any) -> dict[str, Any]:
    return {**CARRIER, "sources": list(sources), **more}


@pytest.fixture
async def two(acme: Service) -> Service:
    """`acme`, which may take numbers, and `other`, which may not."""
    await add_tenant(acme, "other")
    answer = await acme.call("PUT", "tenants/other/assignments", "operator", json={"may_claim_numbers": False})
    assert answer.status_code == 200
    return acme


async def audited(service: Service, who: str, subject: str) -> list[tuple[str, str]]:
    """Acts on a subject in a tenant's audit, the oldest first."""
    items = (await service.got("audit?limit=200", who))["items"]
    return [(one["act"], one["kind"]) for one in reversed(items) if one["subject"] == subject]


def says(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["detail"]


class TestNumbers:
    async def test_one_number_is_one_tenants_and_the_other_is_not_told_whose(self, two: Service) -> None:
        await two.made("numbers", number())
        await two.call("PUT", "tenants/other/assignments", "operator", json={"may_claim_numbers": True})
        answer = await two.call("POST", "numbers", "other-admin", json=number())
        assert says(answer) == (409, f"The number {NUMBER} cannot be had; ask the platform's operator.")
        assert (await two.call("GET", f"numbers/{NUMBER}", "other-admin")).status_code == 404
        assert ("refused", "number") in await audited(two, "other-admin", NUMBER)
        assert ("refused", "number") in await audited(two, "admin", NUMBER)
        assert "other" not in str((await two.got("audit", "admin"))["items"]).replace("another tenant", "")

    async def test_a_tenant_that_may_not_claim_cannot_tell_a_free_number_from_a_taken_one(self, two: Service) -> None:
        await two.made("numbers", number())
        taken = await two.call("POST", "numbers", "other-admin", json=number())
        free = await two.call("POST", "numbers", "other-admin", json=number("+4976188661"))
        assert says(taken) == (403, f"The number {NUMBER} is not assigned to you; numbers are assigned by the platform's operator.")
        assert says(free) == (403, says(taken)[1].replace(NUMBER, "+4976188661"))

    async def test_a_number_of_the_own_numbering_plan_is_everybodys(self, two: Service) -> None:
        await two.made("numbers", number("600"))
        await two.made("numbers", number("600"), "other-admin")

    async def test_a_claimed_number_is_free_when_the_document_is_gone(self, two: Service) -> None:
        await two.made("numbers", number())
        assert two.voice.setups[ACME].assigned == {NUMBER}
        assert (await two.call("DELETE", f"numbers/{NUMBER}")).status_code == 204
        assert two.voice.setups[ACME].assigned == frozenset()
        await two.made("tenants/other/numbers", {"numbers": [NUMBER]}, "operator")

    async def test_a_change_that_fails_gives_the_number_back(self, two: Service) -> None:
        wrong = {"number": NUMBER, "target": {"to": "queue", "queue": "nowhere"}}
        assert (await two.call("POST", "numbers", json=wrong)).status_code == 422
        await two.made("tenants/other/numbers", {"numbers": [NUMBER]}, "operator")

    async def test_a_document_that_cannot_be_removed_keeps_its_number(self, two: Service) -> None:
        await two.made("numbers", number())
        await two.made("queues", {"id": "support", "name": "Support"})
        await two.made("menus", {"id": "main", "sounds": ["menu"], "options": {}, "fallback": {"to": "queue", "queue": "support"}})
        assert (await two.call("DELETE", "queues/support")).status_code == 409
        assert (await two.call("DELETE", f"numbers/{NUMBER}", headers={"If-Match": '"7"'})).status_code == 412
        assert two.voice.setups[ACME].assigned == {NUMBER}

    async def test_an_assigned_number_is_set_up_by_whoever_has_it_and_stays_its_own(self, two: Service) -> None:
        told = await two.made("tenants/other/numbers", {"numbers": [NUMBER, "0761 88661"]}, "operator")
        assert (told["tenant"], told["numbers"], told["may_claim_numbers"]) == ("other", 2, False)
        await two.made("numbers", number(), "other-admin")
        assert (await two.call("POST", "numbers", json=number())).status_code == 409
        assert (await two.call("DELETE", f"numbers/{NUMBER}", "other-admin")).status_code == 204
        assert two.voice.setups[OTHER].assigned == {NUMBER, "+4976188661"}
        listed = (await two.got("assignments/numbers", "other-admin"))["items"]
        assert [(one["number"], one["how"]) for one in listed] == [(NUMBER, "assigned"), ("+4976188661", "assigned")]

    async def test_all_numbers_of_a_list_or_none(self, two: Service) -> None:
        await two.made("numbers", number())
        answer = await two.call("POST", "tenants/other/numbers", "operator", json={"numbers": ["+4976188661", NUMBER]})
        assert says(answer) == (409, f"The number {NUMBER} is assigned to tenant acme: take it from there first.")
        assert two.voice.setups[OTHER].assigned == frozenset()

    async def test_a_withdrawn_number_can_go_to_another_and_the_first_cannot_take_it_back(self, two: Service) -> None:
        await two.made("numbers", number())
        assert (await two.call("DELETE", f"tenants/acme/numbers/{NUMBER}", "operator")).status_code == 204
        assert two.voice.setups[ACME].assigned == frozenset()
        await two.made("tenants/other/numbers", {"numbers": [NUMBER]}, "operator")
        changed = {**number(), "language": "en"}
        assert (await two.call("PUT", f"numbers/{NUMBER}", json=changed)).status_code == 409
        # Nothing else of the tenant's configuration is held up by it, and the document can be removed.
        await two.made("queues", {"id": "support", "name": "Support"})
        assert (await two.call("DELETE", f"numbers/{NUMBER}")).status_code == 204
        assert two.voice.setups[OTHER].assigned == {NUMBER}

    async def test_a_closed_tenant_has_nothing_any_more(self, two: Service) -> None:
        await two.made("numbers", number())
        await two.made("trunks", trunk("203.0.113.0/28"))
        assert (await two.call("DELETE", "tenants/acme", "operator")).status_code == 204
        await two.made("tenants/other/numbers", {"numbers": [NUMBER]}, "operator")
        await two.made("trunks", trunk("203.0.113.0/28"), "other-admin")


class TestSources:
    async def test_a_source_is_the_first_ones_and_a_narrower_one_is_no_way_in(self, two: Service) -> None:
        await two.made("trunks", trunk("203.0.113.0/28"))
        for network in ("203.0.113.0/28", "203.0.113.5", "203.0.113.0/24"):
            answer = await two.call("POST", "trunks", "other-admin", json=trunk(network))
            assert answer.status_code == 409
            assert "cannot be had without a grant of the platform's operator" in answer.json()["detail"]
            assert "acme" not in answer.text
        assert ("refused", "source") in await audited(two, "admin", "203.0.113.5/32")
        assert ("refused", "source") in await audited(two, "other-admin", "203.0.113.5/32")

    @pytest.mark.parametrize(
        ("network", "status"),
        [
            ("198.51.100.0/24", 201),
            ("198.51.0.0/23", 403),
            ("0.0.0.0/0", 403),
            ("2001:db8::/56", 201),
            ("2001:db8::/55", 403),
            ("::/0", 403),
        ],
    )
    async def test_a_wide_network_needs_a_grant(self, two: Service, network: str, status: int) -> None:
        assert (await two.call("POST", "trunks", json=trunk(network))).status_code == status
        if status == 403:
            await two.made("tenants/acme/sources", {"network": network, "note": "the only customer"}, "operator")
            await two.made("trunks", trunk(network))

    async def test_two_tenants_at_one_carrier_share_its_network_by_a_grant_and_both_can_read_it(self, two: Service) -> None:
        await two.made("trunks", trunk("203.0.113.0/28"))
        grant = await two.made("tenants/other/sources", {"network": "203.0.113.0/28", "note": "same carrier"}, "operator")
        await two.made("trunks", trunk("203.0.113.0/28"), "other-admin")
        assert [two.voice.setups[tenant].trunks[0].sources for tenant in (ACME, OTHER)] == [("203.0.113.0/28",)] * 2
        for who in ("admin", "other-admin"):
            assert ("granted", "source") in await audited(two, who, "203.0.113.0/28")
        told = await two.got("tenants/acme/assignments", "operator")
        assert [(one["network"], one["wide"], one["shared"]) for one in told["sources"]] == [("203.0.113.0/28", False, True)]
        assert "shared" not in (await two.got("assignments"))["sources"][0]
        # Without the grant the second claim does not hold; the first one's does.
        assert (await two.call("DELETE", f"tenants/other/sources/{grant['id']}", "operator")).status_code == 204
        assert [two.voice.setups[tenant].trunks[0].sources for tenant in (ACME, OTHER)] == [("203.0.113.0/28",), ()]
        assert (await two.call("PUT", "trunks/carrier", "other-admin", json=trunk("203.0.113.0/28", order=1))).status_code == 409

    async def test_what_is_granted_to_one_is_not_taken_by_another_first(self, two: Service) -> None:
        await two.made("tenants/other/sources", {"network": "203.0.113.0/24"}, "operator")
        assert (await two.call("POST", "trunks", json=trunk("203.0.113.0/28"))).status_code == 409

    async def test_a_line_that_registers_claims_no_source(self, two: Service) -> None:
        registration = {"registrar": "sip.carrier.example", "username": "acme", "password": "a long secret"}
        await two.made("trunks", trunk(registration=registration))
        await two.made("trunks", trunk(registration=registration), "other-admin")
        assert (await two.got("assignments"))["sources"] == []

    async def test_a_source_follows_its_trunk(self, two: Service) -> None:
        await two.made("trunks", trunk("203.0.113.0/28"))
        await two.call("PUT", "trunks/carrier", json=trunk("198.51.100.0/24"))
        await two.made("trunks", trunk("203.0.113.0/28"), "other-admin")
        assert (await two.call("DELETE", "trunks/carrier")).status_code == 204
        await two.call("PUT", "trunks/carrier", "other-admin", json=trunk("203.0.113.0/28", "198.51.100.0/24"))
        assert {one["network"] for one in (await two.got("assignments", "other-admin"))["sources"]} == {"203.0.113.0/28", "198.51.100.0/24"}

    async def test_an_address_of_others_phones_is_theirs_without_having_been_named(self, two: Service) -> None:
        two.voice.registered["198.51.100.7/32"] = frozenset({ACME})
        answer = await two.call("POST", "trunks", "other-admin", json=trunk("198.51.100.7"))
        assert answer.status_code == 409
        await two.made("trunks", trunk("198.51.100.7"))

    async def test_where_others_calls_go_is_no_source_without_a_grant(self, two: Service) -> None:
        """Whoever named it would cut them off: no call goes to where another tenant's calls come from."""
        two.voice.sent_to["198.51.100.7/32"] = frozenset({ACME})
        answer = await two.call("POST", "trunks", "other-admin", json=trunk("198.51.100.7"))
        assert says(answer) == (409, "The source 198.51.100.7/32 cannot be had without a grant of the platform's operator.")
        assert ("refused", "source") in await audited(two, "admin", "198.51.100.7/32")
        await two.made("trunks", trunk("198.51.100.7"))  # who calls it may have it
        await two.call("PUT", "trunks/carrier", json=trunk())
        await two.made("tenants/other/sources", {"network": "198.51.100.7"}, "operator")
        await two.made("trunks", trunk("198.51.100.7"), "other-admin")
        assert ("granted", "source") in await audited(two, "admin", "198.51.100.7/32")  # it is told that it shares

    @pytest.mark.parametrize("allowed", [EVERYTHING, EVERYTHING + LOOPBACK])
    @pytest.mark.parametrize(
        "network", ["127.0.0.1", "127.9.9.0/24", "169.254.169.254", "224.0.0.1", "::1", "fe80::1", "fd00:ec2::/64", "::ffff:127.0.0.1", OWN]
    )
    async def test_an_address_that_no_carrier_has_needs_a_grant(self, two: Service, network: str, allowed: tuple[str, ...]) -> None:
        """Also where the operator lets tenants call this machine: who calls from it is another question."""
        two.voice.reach, two.voice.own = Reach(allowed), {OWN}
        answer = await two.call("POST", "trunks", json=trunk(network))
        assert answer.status_code == 409
        assert "cannot be had without a grant of the platform's operator" in answer.json()["detail"]
        grant = await two.made("tenants/acme/sources", {"network": network}, "operator")
        await two.made("trunks", trunk(network))
        assert (await two.call("DELETE", f"tenants/acme/sources/{grant['id']}", "operator")).status_code == 204
        assert two.voice.setups[ACME].trunks[0].sources == ()

    @pytest.mark.parametrize("network", ["64:ff9b::203.0.113.5", "64:ff9b:1::/64", "2002:cb00:7105::/48", "2001:0:cb00:7105::/64"])
    async def test_ipv4_behind_a_translator_or_tunnel_is_no_source_of_its_own(self, two: Service, network: str) -> None:
        answer = await two.call("POST", "trunks", json=trunk(network))
        assert answer.status_code == 422
        assert "stands for IPv4 addresses that a translator or tunnel makes of it" in answer.text

    @pytest.mark.parametrize("network", ["::ffff:203.0.113.5", "::ffff:203.0.113.0/124"])
    async def test_ipv4_written_as_ipv6_is_the_same_source(self, two: Service, network: str) -> None:
        await two.made("trunks", trunk("203.0.113.0/28"))
        assert (await two.call("POST", "trunks", "other-admin", json=trunk(network))).status_code == 409
        assert (await two.call("POST", "trunks", "other-admin", json=trunk("::ffff:0:0/96"))).status_code == 403

    async def test_nobody_takes_the_internet_in_advance(self, two: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = two.shared.services.settings
        object.__setattr__(two.shared.services, "settings", settings.model_copy(update={"tenants": Tenants(claim_networks=2)}))
        monkeypatch.setattr("api.assignments.service.MOST_NUMBERS", 1)
        await two.made("trunks", trunk("198.51.100.1", "198.51.100.2"))
        answer = await two.call("PUT", "trunks/carrier", json=trunk("198.51.100.1", "198.51.100.2", "198.51.100.3"))
        assert says(answer) == (409, "By yourself you can take 2 networks; more are the platform's operator's to give.")
        # One for another is no more than before, and what a grant covers does not count.
        assert (await two.call("PUT", "trunks/carrier", json=trunk("198.51.100.1", "198.51.100.4"))).status_code == 200
        assert (await two.call("PUT", "trunks/carrier", json=trunk("198.51.100.1", "198.51.100.2"))).status_code == 200
        await two.made("tenants/acme/sources", {"network": "198.51.100.3"}, "operator")
        assert (await two.call("PUT", "trunks/carrier", json=trunk("198.51.100.1", "198.51.100.2", "198.51.100.3"))).status_code == 200
        await two.made("numbers", number())
        assert (await two.call("POST", "numbers", json=number("+4976188661"))).status_code == 409

    @pytest.mark.parametrize(
        ("sources", "taken"),
        [
            (("198.51.100.0/24", "192.0.2.0/24"), True),
            (("198.51.100.0/24", "192.0.2.0/24", "203.0.113.5"), False),
            (("2001:db8::/56", "198.51.100.0/24"), True),
            (("2001:db8::/56", "2001:db8:1::/56", "2001:db8:2::/64"), False),
            (("2001:db8::1", "2001:db8::2", "198.51.100.0/24"), True),
        ],
    )
    async def test_addresses_are_counted_and_not_only_networks(self, two: Service, sources: tuple[str, ...], taken: bool) -> None:
        answer = await two.call("POST", "trunks", json=trunk(*sources))
        assert answer.status_code == (201 if taken else 409)
        if not taken:
            assert says(answer)[1] == "By yourself you can take 512 addresses; more are the platform's operator's to give."
            assert (await two.got("assignments"))["sources"] == []

    async def test_where_anothers_calls_come_from_is_no_peer_and_both_can_read_that_it_was_asked(self, two: Service) -> None:
        """In its own words, which tell no more than those of a source; what the operator rules out has others."""
        two.voice.others[OTHER] = {"203.0.113.5": frozenset({ACME})}
        answer = await two.call("POST", "trunks", "other-admin", json=trunk())
        assert says(answer) == (409, "The address 203.0.113.5 cannot be had without a grant of the platform's operator.")
        assert answer.json()["errors"][0]["pointer"] == "#/peer"
        registration = {"registrar": "203.0.113.5", "username": "other", "password": "a long secret"}
        there = await two.call("POST", "trunks", "other-admin", json=trunk(peer="198.51.100.1", registration=registration))
        assert (there.status_code, there.json()["errors"][0]["pointer"]) == (409, "#/registration/registrar")
        assert await audited(two, "admin", "203.0.113.5") == [("refused", "peer")]  # once an hour
        assert await audited(two, "other-admin", "203.0.113.5") == [("refused", "peer")] * 2
        assert "acme" not in answer.text + there.text
        assert "other" not in str((await two.got("audit", "admin"))["items"]).replace("another tenant", "")
        two.voice.reach = Reach(EVERYTHING)
        ruled_out = await two.call("POST", "trunks", "other-admin", json=trunk(peer="127.0.0.1"))
        assert says(ruled_out) == (422, "The operator allows no calls to 127.0.0.1.")

    async def test_a_name_that_came_to_mean_anothers_source_is_in_the_audit_of_both(self, two: Service) -> None:
        two.voice.others[OTHER] = {"203.0.113.5": frozenset({ACME})}
        for _ in range(2):
            two.voice.seen = [Sighting(tenant=OTHER, address="203.0.113.5", what="refused")]
            await two.shared.part(Watch).write()
        for who in ("admin", "other-admin"):
            assert await audited(two, who, "203.0.113.5") == [("refused", "peer")]

    async def test_the_operator_sees_what_was_claimed_and_never_used(self, two: Service) -> None:
        await two.made("trunks", trunk("203.0.113.0/28", "198.51.100.0/24"))
        await two.made("tenants/other/sources", {"network": "203.0.113.0/24"}, "operator")
        await two.made("trunks", trunk("203.0.113.5"), "other-admin")
        two.voice.seen = [Sighting(tenant=ACME, address="203.0.113.5", what="called")]
        await two.shared.part(Watch).write()
        listed = (await two.got("sources", "operator"))["items"]
        assert [(one["tenant"], one["network"], one["addresses"], one["shared"], one["granted"]) for one in listed] == [
            ("acme", "198.51.100.0/24", 256, False, False),
            ("acme", "203.0.113.0/28", 16, True, False),
            ("other", "203.0.113.5/32", 1, True, True),
        ]
        assert [(one["used_at"] is not None, one["days"]) for one in listed] == [(False, 0), (True, 0), (False, 0)]
        first = await two.got("sources?unused=true&limit=1", "operator")
        assert [one["network"] for one in first["items"]] == ["198.51.100.0/24"]
        rest = await two.got(f"sources?unused=true&limit=1&after={quote(first['next'])}", "operator")
        assert ([one["network"] for one in rest["items"]], rest["next"]) == (["203.0.113.5/32"], None)
        assert (await two.got("assignments"))["sources"][1]["used_at"] is not None
        # Seen again within a day nothing is written; a claim that is withdrawn frees the network.
        two.voice.seen = [Sighting(tenant=ACME, address="203.0.113.5", what="called")]
        await two.shared.part(Watch).write()
        assert (await two.got("sources", "operator"))["items"] == listed
        unused = listed[0]["id"]
        assert (await two.call("DELETE", f"tenants/acme/sources/{unused}", "operator")).status_code == 204
        await two.made("tenants/other/sources", {"network": "198.51.100.0/24"}, "operator")

    async def test_who_answered_a_tenant_is_remembered_over_a_restart(self, two: Service) -> None:
        two.voice.seen = [Sighting(tenant=ACME, address="203.0.113.5", what="answered")] * 2
        await two.shared.part(Watch).write()
        await two.shared.part(Watch).write()
        two.voice.customers.clear()
        await Watch(two.shared.services).start()
        assert two.voice.customers == {(ACME, "203.0.113.5")}
        assert (await two.call("DELETE", "tenants/acme", "operator")).status_code == 204
        two.voice.customers.clear()
        await Watch(two.shared.services).start()
        assert two.voice.customers == set()

    @pytest.mark.parametrize("called", ["110", "112"])
    async def test_emergency_numbers_are_nobodys(self, two: Service, called: str) -> None:
        assert (await two.call("POST", "numbers", json=number(called))).status_code == 403


async def allow_internal(service: Service, tenant: str, *, allowed: bool = True) -> None:
    answer = await service.call("PUT", f"tenants/{tenant}/assignments", "operator", json={"may_have_internal_trunks": allowed})
    assert (answer.status_code, answer.json()["may_have_internal_trunks"]) == (200, allowed)


class TestInternalTrunks:
    """An internal trunk has no price, shows any number, and its calls to 110 and 112 pass every limit: no tenant says so by itself."""

    @pytest.fixture
    async def pbx(self, two: Service) -> Service:
        """`acme` has one that the operator allows."""
        await allow_internal(two, "acme")
        await two.made("trunks", trunk(internal=True))
        return two

    async def test_a_trunk_is_internal_where_the_operator_allows_it(self, two: Service) -> None:
        answer = await two.call("POST", "trunks", json=trunk(internal=True))
        assert says(answer) == (
            403,
            "Whether you may have internal trunks is the platform's operator to say: calls over them have no price.",
        )
        assert ("refused", "trunk") in await audited(two, "admin", "internal")
        await two.made("trunks", trunk())
        assert (await two.call("PUT", "trunks/carrier", json=trunk(internal=True))).status_code == 403
        await allow_internal(two, "acme")
        assert (await two.call("PUT", "trunks/carrier", json=trunk(internal=True))).status_code == 200
        assert [one.internal for one in two.voice.setups[ACME].configuration.trunks] == [True]
        assert (await two.call("POST", "trunks", "other-admin", json=trunk(internal=True))).status_code == 403

    async def test_what_the_operator_takes_back_is_a_trunk_like_others_at_once(self, pbx: Service) -> None:
        await allow_internal(pbx, "acme", allowed=False)
        assert [one.internal for one in pbx.voice.setups[ACME].configuration.trunks] == [False]
        await pbx.made("numbers", number())  # whatever else is changed meanwhile
        assert [one.internal for one in pbx.voice.setups[ACME].configuration.trunks] == [False]
        assert (await pbx.call("PUT", "trunks/carrier", json=trunk(internal=True, name="PBX"))).status_code == 403
        assert (await pbx.call("PUT", "trunks/carrier", json=trunk(name="PBX"))).status_code == 200

    async def test_what_is_left_out_of_the_rights_stays(self, pbx: Service) -> None:
        await pbx.call("PUT", "tenants/acme/assignments", "operator", json={"may_claim_numbers": False})
        told = await pbx.got("assignments")
        assert (told["may_claim_numbers"], told["may_have_internal_trunks"]) == (False, True)

    @pytest.mark.parametrize("had", [True, False])
    async def test_a_tenant_of_an_earlier_release_keeps_what_it_has(self, pbx: Service, had: bool) -> None:
        services: Services = pbx.shared.services
        if not had:
            await pbx.call("PUT", "trunks/carrier", json=trunk())
        await assignments.end(services, ACME, for_good=False)
        async with services.databases.unit(ACME) as unit:
            await assignments.admit(services, await setup_of(unit.session, ACME, services.settings.sip.realm), services.clock())
        assert assignments.held(services, ACME).may_have_internal_trunks is had


class TestCallerIds:
    @pytest.mark.parametrize("shown", ["110", "112", "11833", "+4911833", "0137 1234567", "0900 5 123456", "+44 909 8790001", "21"])
    async def test_numbers_that_nobody_calls_from_are_never_shown(self, two: Service, shown: str) -> None:
        answer = await two.call("POST", "trunks", json=trunk(caller_id=shown))
        assert answer.status_code == 422
        assert "§ 120 TKG" in answer.text

    async def test_a_caller_id_is_assigned_or_granted_whatever_its_country(self, two: Service) -> None:
        for shown in (NUMBER, "+442079460600"):
            answer = await two.call("POST", "trunks", json=trunk(caller_id=shown))
            assert (answer.status_code, "no number of yours" in answer.text) == (403, True)
        await two.made("tenants/acme/caller-ids", {"number": "+442079460600"}, "operator")
        await two.made("trunks", trunk(caller_id="+442079460600"))
        await two.made("numbers", number())
        await two.made("agents", {"id": "anna", "name": "Anna", "outbound_caller_id": NUMBER})
        setup = two.voice.setups[ACME]
        assert (setup.assigned, setup.caller_ids) == ({NUMBER}, {"+442079460600"})
        assert (await two.call("DELETE", "tenants/acme/caller-ids/+442079460600", "operator")).status_code == 204
        assert two.voice.setups[ACME].caller_ids == frozenset()

    async def test_one_that_was_refused_stands_in_the_audit_of_who_asked_and_of_whose_it_is(self, two: Service) -> None:
        await two.made("numbers", number())
        trunks = [await two.call("POST", "trunks", "other-admin", json=trunk(caller_id=shown)) for shown in ("110", NUMBER)]
        agent = await two.call("POST", "agents", "other-admin", json={"id": "eve", "name": "Eve", "outbound_caller_id": NUMBER})
        assert [one.status_code for one in (*trunks, agent)] == [422, 403, 403]
        assert await audited(two, "other-admin", "110") == [("refused", "caller_id")]
        assert await audited(two, "other-admin", NUMBER) == [("refused", "caller_id")] * 2
        assert await audited(two, "admin", NUMBER) == [("created", "number"), ("refused", "caller_id")]

    async def test_to_its_own_pbx_a_tenant_shows_internal_numbers(self, two: Service) -> None:
        await allow_internal(two, "acme")
        await two.made("trunks", trunk(internal=True, caller_id="21"))
        assert (await two.call("PUT", "trunks/carrier", json=trunk(internal=False, caller_id="21"))).status_code == 422

    async def test_the_operator_cannot_grant_an_emergency_number(self, two: Service) -> None:
        answer = await two.call("POST", "tenants/acme/caller-ids", "operator", json={"number": "+499005123456"})
        assert answer.status_code == 422


class TestDomains:
    async def test_each_tenant_has_a_domain_of_its_own(self, service: Service) -> None:
        async def domain(tenant: str, **more: Any) -> str:
            made = await service.made("tenants", {"id": tenant, "name": tenant, **more}, "operator")
            return str(made["telephony_domain"])

        assert await domain("a_b") == "a-b.fernamt"
        assert await domain("a-b") == "a-b-2.fernamt"
        assert await domain("ends-") == "ends.fernamt"
        assert await domain("own", telephony_domain="Phones.Example.com") == "phones.example.com"

    @pytest.mark.parametrize("domain", ["fernamt", "192.0.2.1", "no host", "-a.example", "a..example", "x" * 64 + ".example", ""])
    async def test_a_domain_that_is_none_is_refused(self, service: Service, domain: str) -> None:
        body = {"id": "acme", "name": "ACME", "telephony_domain": domain}
        assert (await service.call("POST", "tenants", "operator", json=body)).status_code == 422

    async def test_a_domain_that_is_taken_is_refused_and_the_name_is_not_burnt(self, service: Service) -> None:
        await service.made("tenants", {"id": "one", "name": "One", "telephony_domain": "phones.example"}, "operator")
        body = {"id": "two", "name": "Two", "telephony_domain": "PHONES.example"}
        answer = await service.call("POST", "tenants", "operator", json=body)
        assert says(answer) == (409, "The telephony domain phones.example is taken.")
        await service.made("tenants", {"id": "two", "name": "Two"}, "operator")


class TestInheritance:
    """A database of a release that knew no owners: what its tenants use stays theirs, as far as an older one does not have it."""

    async def _as_before(self, service: Service) -> None:
        services: Services = service.shared.services

        async with services.databases.unit(None) as unit:
            for table in ("tenant_rights", "number_owner", "source_claim", "source_grant", "caller_id_grant"):
                await unit.session.execute(text(f"DELETE FROM {table}"))

    async def test_the_older_tenant_keeps_what_both_use(self, two: Service) -> None:
        services: Services = two.shared.services
        await two.made("trunks", trunk("203.0.113.0/28"))
        await two.made("tenants/other/sources", {"network": "203.0.0.0/16"}, "operator")
        await two.made("trunks", trunk("203.0.0.0/16"), "other-admin")
        await two.made("numbers", number())
        await two.made("tenants/acme/caller-ids", {"number": "+442079460600"}, "operator")
        await two.call("PUT", "trunks/carrier", json=trunk("203.0.113.0/28", caller_id="+442079460600"))
        assert (await two.call("DELETE", f"tenants/acme/numbers/{NUMBER}", "operator")).status_code == 204
        await two.made("tenants/other/numbers", {"numbers": [NUMBER]}, "operator")
        await two.made("numbers", number(), "other-admin")
        await self._as_before(two)
        tenants = {}
        for tenant in (ACME, OTHER):
            setup = two.voice.setups[tenant]
            services.assigned.pop(tenant)

            async with services.databases.unit(tenant) as unit:
                rows = await setup_of(unit.session, tenant, services.settings.sip.realm)
            await assignments.admit(services, rows, two.clock())
            services.known_setups.pop(tenant, None)
            tenants[tenant] = assignments.with_assigned(rows, assignments.held(services, tenant))
            await two.voice.configure(tenants[tenant])
            assert tenants[tenant].trunks == setup.trunks  # whoever was heard is heard
        assert (tenants[ACME].assigned, tenants[OTHER].assigned) == ({NUMBER}, frozenset())
        assert tenants[ACME].caller_ids == {"+442079460600"}
        assert ("refused", "number") in await audited(two, "other-admin", NUMBER)
        assert ("refused", "number") in await audited(two, "admin", NUMBER)
        told = await two.got("tenants/other/assignments", "operator")
        assert told["may_claim_numbers"]
        assert [(one["network"], one["how"], one["wide"], one["shared"]) for one in told["sources"]] == [
            ("203.0.0.0/16", "inherited", True, True)
        ]
        # What was inherited can be withdrawn like everything else.
        assert (await two.call("DELETE", f"tenants/other/sources/{told['sources'][0]['id']}", "operator")).status_code == 204
        assert two.voice.setups[OTHER].trunks[0].sources == ()


class TestWhoMay:
    @pytest.mark.parametrize("who", ["admin", None])
    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("GET", "tenants/acme/assignments", None),
            ("PUT", "tenants/acme/assignments", {"may_claim_numbers": True}),
            ("GET", "tenants/acme/numbers", None),
            ("POST", "tenants/acme/numbers", {"numbers": [NUMBER]}),
            ("DELETE", f"tenants/acme/numbers/{NUMBER}", None),
            ("POST", "tenants/acme/sources", {"network": "0.0.0.0/0"}),
            ("DELETE", "tenants/acme/sources/00", None),
            ("POST", "tenants/acme/caller-ids", {"number": NUMBER}),
            ("DELETE", f"tenants/acme/caller-ids/{NUMBER}", None),
        ],
    )
    async def test_assigning_is_the_operators(self, two: Service, who: str | None, method: str, path: str, body: Any) -> None:
        answer = await two.call(method, path, who, **({} if body is None else {"json": body}))
        assert answer.status_code == (401 if who is None else 403)

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("PUT", "tenants/nowhere/assignments", {"may_claim_numbers": True}),
            ("GET", "tenants/nowhere/assignments", None),
            ("POST", "tenants/nowhere/numbers", {"numbers": [NUMBER]}),
            ("DELETE", f"tenants/acme/numbers/{NUMBER}", None),
            ("POST", "tenants/nowhere/sources", {"network": "192.0.2.0/24"}),
            ("DELETE", "tenants/acme/sources/00ff", None),
            ("POST", "tenants/nowhere/caller-ids", {"number": NUMBER}),
            ("DELETE", f"tenants/acme/caller-ids/{NUMBER}", None),
        ],
    )
    async def test_what_is_not_there_is_404(self, two: Service, method: str, path: str, body: Any) -> None:
        answer = await two.call(method, path, "operator", **({} if body is None else {"json": body}))
        assert answer.status_code == 404, answer.text


async def test_a_network_that_holds_an_address_of_this_machine_is_not_claimed(acme: Service) -> None:
    """Not its first address alone is asked: 203.0.113.0/28 holds 203.0.113.10 as 203.0.113.10/32 does."""
    acme.voice.own = {"203.0.113.10"}
    trunk = {"id": "mine", "name": "Mine", "peer": "192.0.2.9"}
    for source in ("203.0.113.10/32", "203.0.113.10/31", "203.0.113.0/28", "203.0.113.0/24"):
        answer = await acme.call("POST", "trunks", json=trunk | {"sources": [source]})
        assert answer.status_code == 409, (source, answer.text)
    assert (await acme.call("POST", "trunks", json=trunk | {"sources": ["203.0.113.16/28"]})).status_code == 201


def test_what_was_paid_in_is_added_up_in_one_place_in_any_order() -> None:
    """The limit and what the operator is told of it came from two sums."""
    first, second = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)
    payments = [PrepaidEntry(id=name, tenant="t", at=at, amount=amount, note="", closed_at=None) for name, at, amount in (
        ("b", second, "-0.15"), ("a", first, "100.10"),
    )]  # fmt: skip
    assert rules.prepaid(payments) == rules.Prepaid(Decimal("99.95"), first)
    assert rules.prepaid([]) is None
