"""Who may dial what, and for how much, as it is set: by the tenant, by the operator, and what new tenants begin with."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from typing import Any

import httpx
import pytest

from acd.core.ids import TenantId
from acd.errors import DialRefused
from acd.service import AgentDialRules
from tests.api.conftest import Service, add_tenant

ACME = TenantId("acme")
ALL = ["international", "mobile", "national", "premium", "satellite"]


def rules(service: Service, tenant: TenantId = ACME) -> Any:
    return service.voice.setups[tenant].dialling


class TestDialling:
    async def test_a_new_tenant_begins_with_national_and_mobile_numbers(self, acme: Service) -> None:
        told = await acme.got("dialling", "admin")
        assert (told["classes"], told["per_hour"], told["agent_per_hour"], told["agents"]) == (["mobile", "national"], None, None, {})
        assert rules(acme).classes == {"national", "mobile"}

    async def test_what_is_said_holds_at_once_and_is_in_the_audit(self, acme: Service) -> None:
        await acme.made("agents", {"id": "anna", "name": "Anna"})
        given = {
            "classes": ["national", "satellite"],
            "per_hour": "200.00",
            "agent_per_hour": "20",
            "agents": {"anna": {"classes": ["premium"], "per_hour": "0.50"}},
        }
        answer = await acme.call("PUT", "dialling", json=given)
        assert answer.status_code == 200
        assert answer.headers["ETag"] == '"2"'
        now = rules(acme)
        assert (now.classes, now.per_hour, now.agent_per_hour) == ({"national", "satellite"}, Decimal(200), Decimal(20))
        assert now.agents == {"anna": AgentDialRules(classes=frozenset({"premium"}), per_hour=Decimal("0.50"))}
        told = await acme.got("dialling")
        assert {name: told[name] for name in ("classes", "per_hour")} == {"classes": ["national", "satellite"], "per_hour": "200.00"}
        (entry,) = [one for one in (await acme.got("audit"))["items"] if one["kind"] == "dialling" and one["act"] == "changed"]
        assert entry["after"]["per_hour"] == "200.00"

    async def test_the_same_again_in_another_order_changes_nothing(self, acme: Service) -> None:
        first = await acme.call("PUT", "dialling", json={"classes": ["mobile", "national", "premium"]})
        second = await acme.call("PUT", "dialling", json={"classes": ["premium", "national", "mobile"]})
        assert first.json()["version"] == second.json()["version"] == 2

    async def test_an_outdated_version_is_refused(self, acme: Service) -> None:
        answer = await acme.call("PUT", "dialling", json={}, headers={"If-Match": '"7"'})
        assert answer.status_code == 412

    @pytest.mark.parametrize(
        ("given", "pointer"),
        [
            ({"classes": ["everything"]}, "#/classes/0"),
            ({"per_hour": "-1"}, "#/per_hour"),
            ({"per_hour": "1.005"}, "#/per_hour"),
            ({"per_hour": "NaN"}, "#/per_hour"),
            ({"agents": {"anna": {"per_day": "1"}}}, "#/agents/anna/per_day"),
        ],
    )
    async def test_what_is_none_is_refused_with_its_place(self, acme: Service, given: dict[str, Any], pointer: str) -> None:
        answer = await acme.call("PUT", "dialling", json=given)
        assert answer.status_code == 422
        assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]

    async def test_an_agent_who_is_not_there_is_refused_and_one_with_rules_stays(self, acme: Service) -> None:
        answer = await acme.call("PUT", "dialling", json={"agents": {"nobody": {}}})
        assert (answer.status_code, "unknown agent nobody" in answer.text) == (422, True)
        await acme.made("agents", {"id": "anna", "name": "Anna"})
        assert (await acme.call("PUT", "dialling", json={"agents": {"anna": {"per_hour": "1"}}})).status_code == 200
        assert (await acme.call("DELETE", "agents/anna")).status_code == 409

    @pytest.mark.parametrize(
        ("cause", "status", "kind"), [("budget", 409, "budget-used-up"), ("not_allowed", 403, "destination-not-allowed")]
    )
    async def test_a_desk_is_told_why_before_anything_rings(
        self, staffed: Service, monkeypatch: pytest.MonkeyPatch, cause: Any, status: int, kind: str
    ) -> None:
        async def refuse(*_: Any) -> None:
            raise DialRefused(cause, "The figures.")

        monkeypatch.setattr(staffed.voice, "command", refuse)
        answer = await staffed.call("POST", "agents/me/dial", "anna", json={"number": "+88161234567"})
        assert (answer.status_code, answer.json()["detail"]) == (status, "The figures.")
        assert answer.json()["type"].endswith(kind)


class TestOperator:
    async def set_budget(self, service: Service, per_hour: str | None) -> httpx.Response:
        return await service.call("PUT", "tenants/acme/assignments", "operator", json={"budget": {"per_hour": per_hour}})

    async def test_of_two_limits_the_lower_one_holds(self, acme: Service) -> None:
        told = await self.set_budget(acme, "50.00")
        assert (told.status_code, told.json()["budget_per_hour"]) == (200, "50.00")
        assert rules(acme).per_hour == Decimal(50)
        await acme.call("PUT", "dialling", json={"per_hour": "1000"})
        assert rules(acme).per_hour == Decimal(50)
        await acme.call("PUT", "dialling", json={"per_hour": "10"})
        assert rules(acme).per_hour == Decimal(10)
        await acme.call("PUT", "tenants/acme/assignments", "operator", json={"may_claim_numbers": True})
        assert (await self.set_budget(acme, None)).json()["budget_per_hour"] is None
        assert rules(acme).per_hour == Decimal(10)

    async def test_a_tenant_is_prepaid_from_the_first_payment_to_the_end(self, acme: Service) -> None:
        assert (await acme.call("GET", "tenants/acme/prepaid", "operator")).status_code == 404
        for amount, note in (("100.00", "transfer"), ("-30.00", "wrong account")):
            paid = await acme.call("POST", "tenants/acme/prepaid", "operator", json={"amount": amount, "note": note})
            assert paid.status_code == 201, paid.text
        told = await acme.got("tenants/acme/prepaid", "operator")
        assert (told["paid_in"], told["spent"], told["left"], told["currency"]) == ("70.00", "0", "70.00", "EUR")
        assert {(one["amount"], one["note"]) for one in told["payments"]} == {("100.00", "transfer"), ("-30.00", "wrong account")}
        assert rules(acme).paid_in == Decimal(70)
        assert rules(acme).since is not None
        assert {one["account"] for one in (await acme.got("dialling/spending"))["accounts"]} == {"balance"}
        assert ("created", "prepaid") in {(one["act"], one["kind"]) for one in (await acme.got("audit"))["items"]}
        assert (await acme.call("DELETE", "tenants/acme/prepaid", "operator")).status_code == 204
        assert rules(acme).paid_in is None
        assert (await acme.call("DELETE", "tenants/acme/prepaid", "operator")).status_code == 404

    async def test_no_tenant_pays_for_itself_or_for_another(self, acme: Service) -> None:
        await add_tenant(acme, "other")
        for who in ("admin", "other-admin"):
            for method in ("GET", "POST", "DELETE"):
                json = {"amount": "100.00"} if method == "POST" else None
                assert (await acme.call(method, "tenants/acme/prepaid", who, json=json)).status_code == 403

    async def test_a_payment_to_nobody_is_404(self, acme: Service) -> None:
        answer = await acme.call("POST", "tenants/nobody/prepaid", "operator", json={"amount": "100.00"})
        assert answer.status_code == 404

    async def test_own_tariffs_are_out_of_force_while_the_operator_limits_what_is_spent(self, acme: Service) -> None:
        """Else whoever says the prices says what a limit is worth: a tariff with satellite calls at 0.0001 a minute."""
        plan = tomllib.loads(TARIFF)
        assert (await acme.call("POST", "tariffs", json={"document": plan})).status_code == 201
        assert len(acme.voice.setups[ACME].plans) == 1
        await self.set_budget(acme, "50.00")
        assert acme.voice.setups[ACME].plans == ()
        refused = await acme.call("POST", "tariffs", json={"document": {**plan, "version": "2"}})
        assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (409, "prices-of-the-house")
        allowed = {"budget": {"per_hour": "50.00", "own_prices": True}}
        told = await acme.call("PUT", "tenants/acme/assignments", "operator", json=allowed)
        assert told.json()["own_prices"] is True
        assert len(acme.voice.setups[ACME].plans) == 1
        await acme.call("PUT", "tenants/acme/assignments", "operator", json={"budget": {"per_hour": None, "own_prices": False}})
        await acme.call("POST", "tenants/acme/prepaid", "operator", json={"amount": "10"})
        assert acme.voice.setups[ACME].plans == ()
        await acme.call("DELETE", "tenants/acme/prepaid", "operator")
        assert len(acme.voice.setups[ACME].plans) == 1

    @pytest.mark.parametrize(("amount", "status"), [("1e2", 201), ("0", 422), ("0.00", 422), ("0.001", 422)])
    async def test_amounts_are_money(self, acme: Service, amount: str, status: int) -> None:
        paid = await acme.call("POST", "tenants/acme/prepaid", "operator", json={"amount": amount})
        assert paid.status_code == status
        if status == 201:
            assert paid.json()["paid_in"] == "100.00"


TARIFF = """
id = "own"
version = "1"
currency = "EUR"
valid_from = "2026-01-01T00:00:00+01:00"
vat_rate = "0.19"
vat_included = false

[[rate]]
prefix = "881"
name = "Satellite"
class = "satellite"
per_minute = "0.0001"
"""


@pytest.mark.parametrize("number", ["112", "110"])
async def test_no_rule_leads_to_an_emergency_number(acme: Service, number: str) -> None:
    """Strangers would ring for help with the tenant's number, past every limit."""
    outside = {"to": "outside", "number": number}
    for path, body in (
        ("numbers", {"number": "700", "target": outside}),
        ("menus", {"id": "m", "sounds": ["menu"], "options": {"1": outside}}),
        ("queues", {"id": "q", "name": "Q", "overflow": [{"target": outside, "max_wait_s": 5}]}),
        ("agents", {"id": "a", "name": "A", "forwarding": {"always": number}}),
    ):
        answer = await acme.call("POST", path, json=body)
        assert (answer.status_code, "leads to an emergency number" in answer.text) == (422, True), (path, answer.text)
