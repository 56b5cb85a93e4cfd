"""The configuration: each kind, the whole checked at every change, devices, versions, the audit trail."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any, ClassVar

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from acd.core.configuration import Opening, ToQueue
from acd.core.ids import TenantId
from acd.networks import EVERYTHING, LOOPBACK, Reach
from tests.api.conftest import ACME, PASSWORD, Service, add_tenant
from tests.garbage import none_of_ours_left

EXAMPLES: dict[str, dict[str, Any]] = {
    "queues": {"id": "sales", "name": "Sales"},
    "menus": {"id": "main", "sounds": ["menu"], "options": {"1": {"to": "hang_up"}}},
    "numbers": {"number": "600", "target": {"to": "hang_up"}},
    "schedules": {"id": "office", "openings": [{"weekday": 0, "opens": "09:00", "closes": "17:00"}]},
    "sites": {"id": "main", "upload_kbits": 1000},
    "trunks": {"id": "carrier", "name": "Carrier", "peer": "sip.example.net"},
    "reasons": {"code": "lunch", "name": "Lunch"},
    "agents": {"id": "anna", "name": "Anna"},
}


CHANGES = {"name": "New", "timeout_s": 9.0, "language": "en", "timezone": "UTC", "upload_kbits": 7}
"""Of each kind the first member that is there."""


def key_of(body: dict[str, Any]) -> str:
    return str(body.get("id") or body.get("number") or body.get("code"))


@pytest.mark.parametrize("kind", EXAMPLES)
class TestEveryKind:
    async def test_lives_from_creation_to_deletion(self, acme: Service, kind: str) -> None:
        body = EXAMPLES[kind]
        path = f"{kind}/{key_of(body)}"
        created = await acme.call("POST", kind, json=body)
        assert created.status_code == 201, created.text
        assert created.headers["etag"] == '"1"'
        assert created.headers["location"] == f"/api/v1/{path}"
        assert key_of(body) in [key_of(item) for item in (await acme.got(kind))["items"]]
        assert (await acme.got(path))["version"] == 1
        assert (await acme.call("DELETE", path)).status_code == 204
        assert (await acme.call("GET", path)).status_code == 404

    async def test_twice_is_a_conflict(self, acme: Service, kind: str) -> None:
        await acme.made(kind, EXAMPLES[kind])
        assert (await acme.call("POST", kind, json=EXAMPLES[kind])).status_code == 409

    async def test_change_counts_the_version_and_an_old_one_is_refused(self, acme: Service, kind: str) -> None:
        body = EXAMPLES[kind]
        path = f"{kind}/{key_of(body)}"
        await acme.made(kind, body)
        there = await acme.got(path)
        field, value = next((field, value) for field, value in CHANGES.items() if field in there)
        changed = await acme.call("PUT", path, json={**body, field: value}, headers={"If-Match": '"1"'})
        assert changed.status_code == 200, changed.text
        assert (changed.json()["version"], changed.headers["etag"], changed.json()[field]) == (2, '"2"', value)
        stale = await acme.call("PUT", path, json=body, headers={"If-Match": '"1"'})
        assert stale.status_code == 412
        assert (await acme.call("DELETE", path, headers={"If-Match": '"1"'})).status_code == 412

    async def test_same_again_changes_nothing(self, acme: Service, kind: str) -> None:
        body = EXAMPLES[kind]
        await acme.made(kind, body)
        assert (await acme.call("PUT", f"{kind}/{key_of(body)}", json=body)).json()["version"] == 1

    async def test_what_is_not_there_is_404(self, acme: Service, kind: str) -> None:
        body = EXAMPLES[kind]
        assert (await acme.call("PUT", f"{kind}/{key_of(body)}", json=body)).status_code == 404
        assert (await acme.call("DELETE", f"{kind}/{key_of(body)}")).status_code == 404

    async def test_misspelt_member_is_an_error_with_its_place(self, acme: Service, kind: str) -> None:
        answer = await acme.call("POST", kind, json={**EXAMPLES[kind], "nmae": "x"})
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == ["#/nmae"]


class TestEffect:
    async def test_change_holds_at_the_next_event(self, staffed: Service) -> None:
        await staffed.made("numbers", {"number": "+49 89 123 45-67", "target": {"to": "queue", "queue": "support"}, "country": "DE"})
        call = await staffed.voice.arrive(ACME, "+49891234567", "+4930111111")
        assert [one["id"] for one in (await staffed.got("live"))["calls"]] == [call]

    async def test_documents_become_the_cores_values(self, staffed: Service) -> None:
        await staffed.made("schedules", EXAMPLES["schedules"] | {"holiday_region": "DE-BY"})
        schedule = staffed.voice.setups[ACME].configuration.schedules[0]
        assert schedule.openings == (Opening(weekday=0, opens=540, closes=1020),)
        number = staffed.voice.setups[ACME].configuration.numbers[0]
        assert number.target == ToQueue(queue=staffed.voice.setups[ACME].configuration.queues[0].id)

    async def test_changes_reach_the_exchange_in_the_order_of_their_commits(self, staffed: Service) -> None:
        bodies = [{"id": f"s{number}", "upload_kbits": 1000} for number in range(8)]
        await asyncio.gather(*(staffed.made("sites", body) for body in bodies))
        assert {site.id for site in staffed.voice.setups[ACME].configuration.sites} == {body["id"] for body in bodies}


class TestContradictions:
    @pytest.mark.parametrize(
        ("kind", "body", "sentence"),
        [
            ("numbers", {"number": "600", "target": {"to": "queue", "queue": "nowhere"}}, "number 600 leads to the unknown queue nowhere"),
            ("agents", {"id": "carl", "name": "Carl", "site": "moon"}, "agent carl sits at the unknown site moon"),
            ("queues", {"id": "x", "name": "X", "schedule": "never"}, "queue x keeps the unknown schedule never"),
            ("queues", {"id": "x", "name": "X", "members": ["carl"]}, "queue x has the unknown member carl"),
            ("agents", {"id": "carl", "name": "Carl", "extension": "601"}, "extension 601 of agent carl is also a number"),
            ("agents", {"id": "carl", "name": "Carl", "extension": "31", "trunk": "pbx"}, "agent carl is behind the unknown trunk pbx"),
        ],
    )
    async def test_reference_that_leads_nowhere_is_422_and_changes_nothing(
        self, staffed: Service, kind: str, body: dict[str, Any], sentence: str
    ) -> None:
        before = staffed.voice.setups[ACME]
        answer = await staffed.call("POST", kind, json=body)
        assert answer.status_code == 422
        assert [error["detail"] for error in answer.json()["errors"]] == [sentence]
        assert staffed.voice.setups[ACME] is before
        assert (await staffed.call("GET", f"{kind}/{key_of(body)}")).status_code == 404

    async def test_what_is_in_use_cannot_be_deleted(self, staffed: Service) -> None:
        answer = await staffed.call("DELETE", "queues/support")
        assert answer.status_code == 409
        assert answer.json()["errors"][0]["detail"] == "number 601 leads to the unknown queue support"

    async def test_two_trunks_cannot_take_the_same_source(self, acme: Service) -> None:
        await acme.made("trunks", {"id": "one", "name": "One", "peer": "192.0.2.1", "sources": ["192.0.2.0/24"]})
        answer = await acme.call("POST", "trunks", json={"id": "two", "name": "Two", "peer": "192.0.2.9", "sources": ["192.0.2.9"]})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["detail"] == "trunks one and two both take calls from 192.0.2.9/32"

    @pytest.mark.parametrize(
        ("kind", "change", "pointer"),
        [
            ("schedules", {"timezone": "Mars/Olympus"}, "#/timezone"),
            ("schedules", {"holiday_region": "DE-XX"}, "#/holiday_region"),
            ("schedules", {"openings": [{"weekday": 0, "opens": "17:00", "closes": "09:00"}]}, "#/openings/0"),
            ("trunks", {"sources": ["everywhere"]}, "#/sources/0"),
            ("numbers", {"number": "12345678901234567890"}, "#/number"),
            ("agents", {"skills": {"support": 11}}, "#/skills/support"),
            ("agents", {"channel_kbits": 64}, "#/channel_kbits"),
            ("sites", {"degrade": ["opus", "opus"]}, "#/degrade"),
            ("sites", {"degrade": ["refuse", "opus"]}, "#/degrade"),
            ("sites", {"degrade": ["smaller"]}, "#/degrade/0"),
            ("sites", {"upload_kbits": 1000, "degrade_from_kbits": 1001}, "#"),
            ("trunks", {"degrade_from_kbits": 100}, "#"),
            ("agents", {"trunk": "pbx"}, "#"),
            ("agents", {"reached_at": "0171 1234567"}, "#"),
            ("trunks", {"answer_within_s": 0}, "#/answer_within_s"),
            ("trunks", {"peer": "sip.example.net:65536"}, "#/peer"),
            ("trunks", {"peer": "[1::2::3]:5060"}, "#/peer"),
            ("queues", {"exit_key": "1"}, "#"),
            ("menus", {"options": {"12": {"to": "hang_up"}}}, "#/options/12/[key]"),
            ("menus", {"sounds": ["../../etc/passwd"]}, "#/sounds/0"),
            ("menus", {"sounds": ["menu", "greeting.of.nobody"]}, "#/sounds/1"),
            ("menus", {"sounds": ["fr/menu"]}, "#/sounds/0"),
            ("menus", {"invalid_sounds": ["../invalid_choice"]}, "#/invalid_sounds/0"),
            ("menus", {"fallback": {"to": "announcement", "sounds": ["close"]}}, "#/fallback/sounds/0"),
            ("numbers", {"language": "fr"}, "#/language"),
        ],
    )
    async def test_wrong_value_is_422_with_its_place(self, acme: Service, kind: str, change: dict[str, Any], pointer: str) -> None:
        answer = await acme.call("POST", kind, json={**EXAMPLES[kind], **change})
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


class TestSounds:
    async def test_sounds_of_the_library_are_taken_with_and_without_a_language(self, acme: Service) -> None:
        sounds = ["greeting", "de/menu", "music/default", "tone/beep"]
        created = await acme.made("menus", {**EXAMPLES["menus"], "sounds": sounds})
        assert created["sounds"] == sounds

    async def test_a_menu_without_sounds_says_its_options_and_one_with_sounds_what_they_say(self, acme: Service) -> None:
        options = {"1": {"to": "hang_up"}}
        assert (await acme.made("menus", {"id": "a", "options": options}))["says_options"] is True
        assert (await acme.made("menus", {"id": "b", "sounds": [], "options": options, "says_options": False}))["says_options"] is False
        assert (await acme.made("menus", {"id": "c", "sounds": ["menu"], "options": options}))["says_options"] is False
        both = await acme.made("menus", {"id": "d", "sounds": ["greeting"], "options": options, "says_options": True})
        assert both["says_options"] is True

    async def test_labels_are_of_keys_that_are_there_and_name_sounds_that_are(self, acme: Service) -> None:
        menu = {"id": "a", "options": {"1": {"to": "hang_up"}}, "labels": {"1": ["department.sales", "nowhere"]}}
        answer = await acme.call("POST", "menus", json=menu)
        assert [error["pointer"] for error in answer.json()["errors"]] == ["#/labels/1/1"]
        answer = await acme.call("POST", "menus", json={**menu, "labels": {"2": ["department.sales"]}})
        assert "labels: 2 is no key of the menu" in answer.text

    async def test_a_sound_that_is_not_there_is_named_with_its_language(self, acme: Service) -> None:
        answer = await acme.call("POST", "menus", json={**EXAMPLES["menus"], "sounds": ["welcome"]})
        assert answer.json()["errors"][0]["detail"].endswith("there is no sound de/welcome and no sound en/welcome")


class TestIds:
    async def test_id_left_out_is_made_from_the_name(self, acme: Service) -> None:
        created = await acme.made("queues", {"name": "Müller & Söhne"})
        assert created["id"] == "mueller-soehne"

    async def test_id_in_the_body_must_be_that_of_the_path(self, acme: Service) -> None:
        await acme.made("sites", EXAMPLES["sites"])
        answer = await acme.call("PUT", "sites/main", json={"id": "other", "upload_kbits": 1})
        assert answer.status_code == 422


class TestDevices:
    async def test_password_is_told_once_and_kept_as_digests_only(self, acme: Service) -> None:
        created = await acme.made("agents", {"id": "anna", "name": "Anna"})
        told = created["device"]
        (device,) = acme.voice.setups[ACME].devices
        secret = f"acme-anna:fernamt:{told['password']}".encode()
        assert device.ha1_md5 == hashlib.md5(secret).hexdigest()
        assert device.ha1_sha256 == hashlib.sha256(secret).hexdigest()
        assert (await acme.got("agents/anna/device"))["password"] is None
        kept = (acme.settings.data / "tenants" / "acme" / "tenant.sqlite").read_bytes()
        assert told["password"].encode() not in kept

    async def test_new_password_holds_at_once(self, acme: Service) -> None:
        await acme.made("agents", {"id": "anna", "name": "Anna"})
        before = acme.voice.setups[ACME].devices
        answer = await acme.call("PUT", "agents/anna/device", json={"password": PASSWORD})
        assert answer.json()["password"] == PASSWORD
        assert acme.voice.setups[ACME].devices != before

    async def test_user_name_is_unique_in_its_tenant_and_says_nothing_of_others(self, acme: Service) -> None:
        await add_tenant(acme, "other")
        body = {"id": "anna", "name": "Anna", "device_username": "phone1", "device_password": PASSWORD}
        first = (await acme.made("agents", body))["device"]
        namesake = (await acme.made("agents", body, "other-admin"))["device"]
        # Both are told the same of themselves; the bare name is the first one's, which the second cannot see.
        assert {name: (first[name], namesake[name]) for name in ("username", "login", "realm", "domain")} == {
            "username": ("phone1", "phone1"),
            "login": ("phone1@acme.fernamt", "phone1@other.fernamt"),
            "realm": ("fernamt", "fernamt"),
            "domain": ("acme.fernamt", "other.fernamt"),
        }
        devices = {tenant: setup.devices[0] for tenant, setup in acme.voice.setups.items()}
        assert {tenant: device.bare for tenant, device in devices.items()} == {"acme": True, "other": False}
        for tenant, device in devices.items():
            assert device.ha1_md5 == hashlib.md5(f"phone1:fernamt:{PASSWORD}".encode()).hexdigest()
            assert device.long_md5 == hashlib.md5(f"phone1@{tenant}.fernamt:fernamt:{PASSWORD}".encode()).hexdigest()
            assert device.long_sha256 == hashlib.sha256(f"phone1@{tenant}.fernamt:fernamt:{PASSWORD}".encode()).hexdigest()
        answer = await acme.call("POST", "agents", json={"id": "otto", "name": "Otto", "device_username": "phone1"})
        assert (answer.status_code, answer.json()["detail"]) == (409, "Another agent's device has the user name phone1.")
        assert (await acme.call("GET", "agents/otto")).status_code == 404

    async def test_default_name_says_whose_it_is_and_fits_its_column(self, acme: Service) -> None:
        for agent, name in (("a" * 58, "acme-" + "a" * 58), ("a" * 59, "a" * 59), ("a" * 63, "a" * 63)):
            assert (await acme.made("agents", {"id": agent, "name": "A"}))["device"]["username"] == name

    async def test_bare_name_is_free_again_when_its_device_is_gone(self, acme: Service) -> None:
        await add_tenant(acme, "other")
        body = {"id": "anna", "name": "Anna", "device_username": "phone1"}
        await acme.made("agents", body)
        await acme.made("agents", body, "other-admin")
        assert (await acme.call("DELETE", "agents/anna")).status_code == 204
        other = TenantId("other")
        assert not acme.voice.setups[other].devices[0].bare  # what is typed into the phone goes on as it is
        await acme.call("PUT", "agents/anna/device", "other-admin", json={"username": "phone2"})
        await acme.call("PUT", "agents/anna/device", "other-admin", json={"username": "phone1"})
        assert acme.voice.setups[other].devices[0].bare

    async def test_a_name_that_begins_with_a_tenants_is_bare_for_that_tenant_alone(self, acme: Service) -> None:
        """Another one would have it for ever, and the tenant's own phone would have to say the domain."""
        for name in ("other", "other-two"):
            await add_tenant(acme, name)
        squatted = {"acme": "other-zoe", "other": "other-two-zoe"}
        for tenant, who in (("acme", "admin"), ("other", "other-admin")):
            await acme.made("agents", {"id": "eve", "name": "Eve", "device_username": squatted[tenant]}, who)
        for who in ("other-admin", "other-two-admin"):
            await acme.made("agents", {"id": "zoe", "name": "Zoe"}, who)
        bare = {(str(tenant), one.username): one.bare for tenant, setup in acme.voice.setups.items() for one in setup.devices}
        assert bare == {
            ("acme", "other-zoe"): False,
            ("other", "other-two-zoe"): False,
            ("other", "other-zoe"): True,
            ("other-two", "other-two-zoe"): True,
        }

    async def test_any_other_bare_name_takes_the_operators_leave_and_what_is_there_stays(self, acme: Service) -> None:
        await acme.made("agents", {"id": "anna", "name": "Anna", "device_username": "phone1"})
        told = await acme.call("PUT", "tenants/acme/assignments", "operator", json={"may_have_bare_names": False})
        assert told.json()["may_have_bare_names"] is False
        await acme.made("agents", {"id": "ben", "name": "Ben", "device_username": "phone2"})
        await acme.made("agents", {"id": "carl", "name": "Carl"})
        await acme.call("PUT", "agents/anna/device", json={})  # a new password
        bare = {one.username: one.bare for one in acme.voice.setups[ACME].devices}
        assert bare == {"phone1": True, "phone2": False, "acme-carl": True}
        assert (await acme.got("agents/ben/device"))["login"] == "phone2@acme.fernamt"

    async def test_change_that_fails_gives_the_name_back(self, acme: Service) -> None:
        body = {"id": "anna", "name": "Anna", "site": "moon", "device_username": "phone1"}
        assert (await acme.call("POST", "agents", json=body)).status_code == 422
        await acme.made("agents", {"id": "ben", "name": "Ben", "device_username": "phone1"})

    async def test_address_of_record_follows_the_user_name(self, acme: Service) -> None:
        await acme.made("agents", {"id": "anna", "name": "Anna", "device_username": "phone1"})
        assert acme.voice.setups[ACME].configuration.agents[0].device == "phone1@fernamt"
        await acme.call("PUT", "agents/anna/device", json={"username": "phone2"})
        assert acme.voice.setups[ACME].configuration.agents[0].device == "phone2@fernamt"
        await acme.made("agents", {"id": "ben", "name": "Ben", "device_username": "phone1"})


class TestNumbersOfTrunks:
    async def test_format_trust_and_the_number_of_an_account_reach_the_voice_service(self, acme: Service) -> None:
        await acme.made("numbers", {"number": "089 123456", "target": {"to": "hang_up"}})
        made = {"id": "own", "name": "Own", "peer": "192.0.2.5"}
        told = await acme.made("trunks", made)
        assert (told["numbers_in"], told["numbers_out"], told["trusted"], told["default_number"]) == ("auto", "auto", False, None)
        wanted = {"numbers_in": "e164", "numbers_out": "national", "trusted": True, "default_number": "089 / 12 34 56"}
        assert (await acme.call("PUT", "trunks/own", json=made | wanted)).status_code == 200
        (line,) = acme.voice.setups[ACME].trunks
        assert (line.numbers_in, line.numbers_out, line.trusted, line.default_number) == ("e164", "national", True, "+4989123456")
        gone = await acme.call("DELETE", "numbers/+4989123456")
        assert gone.status_code == 409
        assert "trunk own leads to the unknown number +4989123456" in gone.text

    @pytest.mark.parametrize(
        ("written", "kept"),
        [("+49 (0)881 12345", "+4988112345"), ("0881 12345", "+4988112345"), ("tel:+49-881-12345", "+4988112345")],
    )
    async def test_target_of_a_forwarding_is_kept_and_told_as_the_number_that_was_meant(
        self, acme: Service, written: str, kept: str
    ) -> None:
        agent = {"id": "anna", "name": "Anna", "forwarding": {"always": written}}
        assert (await acme.made("agents", agent))["forwarding"]["always"] == kept

    @pytest.mark.parametrize("written", ["+49 0881 12345", "0049 0881 12345", "+49491711234567", "88112345", "0881 12345,,12#"])
    async def test_target_of_a_forwarding_that_cannot_be_read_for_certain_is_refused(self, acme: Service, written: str) -> None:
        answer = await acme.call("POST", "agents", json={"id": "anna", "name": "Anna", "forwarding": {"always": written}})
        assert answer.status_code == 422
        assert "always" in answer.text

    @pytest.mark.parametrize("written", ["0112", "+49112", "tel:110", "urn:service:sos"])
    async def test_no_rule_leads_to_an_emergency_number_in_any_spelling(self, acme: Service, written: str) -> None:
        answer = await acme.call("POST", "agents", json={"id": "anna", "name": "Anna", "forwarding": {"always": written}})
        assert answer.status_code in {409, 422}
        assert "emergency" in answer.text


class TestCodecsOfTrunks:
    async def test_wide_band_in_its_place_of_the_order_reaches_the_voice_service(self, acme: Service) -> None:
        made = {"id": "own", "name": "Own", "peer": "192.0.2.5"}
        assert (await acme.made("trunks", made))["codecs"] == ["PCMA", "PCMU"]
        assert (await acme.call("PUT", "trunks/own", json=made | {"codecs": ["G722", "PCMA"]})).status_code == 200
        (line,) = acme.voice.setups[ACME].trunks
        assert line.codecs == ("G722", "PCMA")

    @pytest.mark.parametrize(
        ("codecs", "why"), [([], "at least one"), (["PCMA", "PCMA"], "each once"), (["G729"], "there are PCMA, PCMU, G722")]
    )
    async def test_a_list_that_cannot_be_offered_is_refused_with_what_there_is(self, acme: Service, codecs: list[str], why: str) -> None:
        refused = await acme.call("POST", "trunks", json={"id": "own", "name": "Own", "peer": "192.0.2.5", "codecs": codecs})
        assert refused.status_code == 422
        assert why in refused.text


class TestPhonesBehindTrunks:
    async def test_extension_and_number_reach_the_voice_service_and_the_trunk_cannot_go_before_them(self, acme: Service) -> None:
        await acme.call("PUT", "tenants/acme/assignments", "operator", json={"may_have_internal_trunks": True})
        pbx = {"id": "pbx", "name": "PBX", "peer": "192.0.2.5", "internal": True, "outbound": False, "answer_within_s": 2.0}
        await acme.made("trunks", pbx)
        await acme.made("agents", {"id": "anna", "name": "Anna", "extension": "21", "trunk": "pbx"})
        await acme.made("agents", {"id": "ben", "name": "Ben", "trunk": "pbx", "reached_at": "0171 1234567"})
        setup = acme.voice.setups[ACME]
        assert [one.number_behind_trunk for one in setup.configuration.agents] == ["21", "+491711234567"]
        assert setup.configuration.trunks[0].internal
        assert setup.trunks[0].answer_within_s == 2.0
        gone = await acme.call("DELETE", "trunks/pbx")
        assert gone.status_code == 409
        assert "agent anna is behind the unknown trunk pbx" in gone.text


class TestWhereCallsMayGo:
    """Addresses that are written as addresses; names are judged at each use, in the voice service."""

    REGISTRATION: ClassVar = {"registrar": "sip.example.net", "username": "u", "password": "geheim-geheim"}

    @pytest.fixture
    def acme(self, acme: Service) -> Service:
        acme.voice.reach = Reach(EVERYTHING)
        return acme

    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "127.1", "169.254.169.254:80", "[::1]:5060", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"]
    )
    async def test_an_address_that_the_operator_rules_out_is_refused_with_its_place(self, acme: Service, host: str) -> None:
        shown = host.strip("[]") if host.endswith("]") else host.rpartition(":")[0].strip("[]") or host
        peer = await acme.call("POST", "trunks", json={**EXAMPLES["trunks"], "peer": host})
        registrar = await acme.call("POST", "trunks", json={**EXAMPLES["trunks"], "registration": {**self.REGISTRATION, "registrar": host}})
        by_proxy = {**self.REGISTRATION, "outbound_proxy": host}
        proxy = await acme.call("POST", "trunks", json={**EXAMPLES["trunks"], "registration": by_proxy})
        assert [answer.status_code for answer in (peer, registrar, proxy)] == [422, 422, 422]
        assert proxy.json()["errors"][0]["pointer"] == "#/registration/outbound_proxy"
        assert peer.json()["errors"] == [{"detail": f"The operator allows no calls to {shown}.", "pointer": "#/peer"}]
        refused = (await acme.got(f"audit?act=refused&kind=address&subject={shown}"))["items"]
        assert {one["who"] for one in refused} == {"admin"}, "whoever asks for address after address is seen"
        assert registrar.json()["errors"][0]["pointer"] == "#/registration/registrar"
        assert (await acme.call("GET", "trunks/carrier")).status_code == 404

    @pytest.mark.parametrize("host", ["10.0.0.7", "192.168.0.2:5080", "[fd00::7]:5060", "sip.example.net", "203.0.113.5"])
    async def test_private_ranges_and_names_are_taken(self, acme: Service, host: str) -> None:
        await acme.made("trunks", {**EXAMPLES["trunks"], "peer": host})

    async def test_a_change_to_such_an_address_is_refused_and_nothing_changes(self, acme: Service) -> None:
        await acme.made("trunks", EXAMPLES["trunks"])
        answer = await acme.call("PUT", "trunks/carrier", json={**EXAMPLES["trunks"], "peer": "127.0.0.1"})
        assert answer.status_code == 422
        assert (await acme.got("trunks/carrier"))["peer"] == "sip.example.net"

    async def test_a_trunk_that_was_there_before_the_rule_can_be_renamed(self, acme: Service) -> None:
        acme.voice.reach = Reach(EVERYTHING + LOOPBACK)
        body = {**EXAMPLES["trunks"], "peer": "127.0.0.1:5090"}
        await acme.made("trunks", body)
        acme.voice.reach = Reach(EVERYTHING)
        assert (await acme.call("PUT", "trunks/carrier", json={**body, "name": "Renamed"})).status_code == 200
        assert (await acme.call("PUT", "trunks/carrier", json={**body, "peer": "127.0.0.2"})).status_code == 422


class TestWhatCarriersAndSitesWant:
    """Fields that reach the voice service as they were written, and are left out where nobody wrote them."""

    async def test_of_a_registration(self, acme: Service) -> None:
        account = {"registrar": "sip.example.net", "username": "u", "password": "geheim-geheim"}
        wanted = {"outbound_proxy": "proxy.example.net:5080", "from_user": "account-77", "from_domain": "ims.example.net"}
        await acme.made("trunks", {**EXAMPLES["trunks"], "registration": {**account, **wanted}})
        line = acme.voice.setups[ACME].trunks[0]
        assert line.registration is not None
        assert {name: getattr(line.registration, name) for name in wanted} == wanted
        plain = await acme.made("trunks", {**EXAMPLES["trunks"], "id": "plain", "sources": [], "registration": account})
        assert {name: plain["registration"][name] for name in wanted} == dict.fromkeys(wanted)
        for wrong in ({"from_domain": "ims.example.net:5060"}, {"outbound_proxy": "proxy.example.net:0"}, {"from_user": ""}):
            body = {**EXAMPLES["trunks"], "id": "wrong", "registration": {**account, **wrong}}
            assert (await acme.call("POST", "trunks", json=body)).status_code == 422

    async def test_of_full_lines(self, acme: Service) -> None:
        plan = {"degrade": ["other_leg", "longer_ptime", "refuse"], "degrade_from_kbits": 500, "upload_kbits": 1000}
        for kind, body in (("sites", {"id": "main"}), ("trunks", EXAMPLES["trunks"])):
            made = await acme.made(kind, {**body, **plan})
            assert {name: made[name] for name in plan} == plan
        configured = acme.voice.setups[ACME].configuration
        for one in (configured.sites[0], configured.trunks[-1]):
            assert (one.degrade, one.degrade_from_kbits) == (("other_leg", "longer_ptime", "refuse"), 500)

    async def test_of_a_site_and_a_queue(self, acme: Service) -> None:
        site = await acme.made("sites", {"id": "main", "upload_kbits": 1000})
        assert [site[name] for name in ("probe_phones_every_s", "probe_misses", "force_rport")] == [None] * 3
        await acme.made("sites", {"id": "home", "upload_kbits": 1000, "probe_phones_every_s": 0, "probe_misses": 3, "force_rport": True})
        home = next(one for one in acme.voice.setups[ACME].configuration.sites if one.id == "home")
        assert (home.probe_phones_every_s, home.probe_misses, home.force_rport) == (0, 3, True)
        assert (site["degrade"], site["degrade_from_kbits"], home.degrade) == (["refuse"], None, ("refuse",))
        queue = await acme.made("queues", {"name": "Support", "miss_limits": {"declined": 3}})
        assert queue["miss_limits"] == {"no_answer": 1, "unreachable": 1, "failed": 1, "busy": 0, "declined": 3, "forwarded": 0}
        assert acme.voice.setups[ACME].configuration.queues[0].miss_limits.declined == 3


class TestTrunkPassword:
    BODY: ClassVar = {
        "id": "own",
        "name": "Own carrier",
        "peer": "sip.example.net",
        "registration": {"registrar": "sip.example.net", "username": "u", "password": "geheim-geheim"},
    }

    async def test_it_is_written_and_never_read(self, acme: Service) -> None:
        assert "geheim" not in str(await acme.made("trunks", self.BODY))
        assert "geheim" not in str(await acme.got("trunks")) + str(await acme.got("trunks/own")) + str(await acme.got("audit"))
        line = acme.voice.setups[ACME].trunks[0]
        assert line.registration is not None
        assert line.registration.password == "geheim-geheim"

    async def test_change_without_it_keeps_the_old_one(self, acme: Service) -> None:
        await acme.made("trunks", self.BODY)
        read = await acme.got("trunks/own")
        body = {key: value for key, value in read.items() if key not in {"version", "changed_at"}} | {"name": "Renamed"}
        assert (await acme.call("PUT", "trunks/own", json=body)).status_code == 200
        line = acme.voice.setups[ACME].trunks[0]
        assert line.registration is not None
        assert line.registration.password == "geheim-geheim"

    async def test_registration_without_any_password_is_refused(self, acme: Service) -> None:
        body = {**self.BODY, "registration": {"registrar": "sip.example.net", "username": "u"}}
        answer = await acme.call("POST", "trunks", json=body)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "#/registration/password"


class TestUnknownMembers:
    @pytest.mark.parametrize(
        ("kind", "change", "pointer", "near"),
        [
            ("agents", {"skils": {"support": 3}}, "#/skils", "skills"),
            ("numbers", {"langage": "en"}, "#/langage", "language"),
            ("numbers", {"target": {"to": "queue", "queue": "support", "pririty": 3}}, "#/target/queue/pririty", "priority"),
            (
                "schedules",
                {"openings": [{"weekday": 0, "opens": "09:00", "closes": "17:00", "wekday": 1}]},
                "#/openings/0/wekday",
                "weekday",
            ),
        ],
    )
    async def test_are_told_with_their_place_and_the_nearest_that_is_known(
        self, acme: Service, kind: str, change: dict[str, Any], pointer: str, near: str
    ) -> None:
        answer = await acme.call("POST", kind, json={**EXAMPLES[kind], **change})
        assert answer.status_code == 422
        (place,) = answer.json()["errors"]
        assert place["pointer"] == pointer
        assert place["detail"].startswith("there is no such member; ")
        assert f"`{near}`" in place["detail"] or "known are" in place["detail"]

    async def test_do_not_hide_what_else_is_wrong(self, acme: Service) -> None:
        answer = await acme.call("POST", "agents", json={**EXAMPLES["agents"], "skils": {}, "zzz": 1, "channel_kbits": 64})
        told = {place["pointer"]: place["detail"] for place in answer.json()["errors"]}
        assert told["#/skils"] == "there is no such member; did you mean `skills`?"
        assert told["#/zzz"].startswith("there is no such member; known are after_call_work_s, ")
        assert "greater than or equal to 100" in told["#/channel_kbits"]


class TestLanguage:
    """One that was left out is the tenant's."""

    async def test_of_agents_and_numbers_is_the_tenants(self, acme: Service) -> None:
        await acme.call("PUT", "setup", json={"language": "en"})
        agent = {"id": "zoe", "name": "Zoe"}
        number = {"number": "777", "target": {"to": "hang_up"}}
        assert (await acme.made("agents", agent))["languages"] == ["en"]
        assert (await acme.made("numbers", number))["language"] == "en"
        await acme.call("PUT", "setup", json={"language": "de"})
        assert (await acme.got("agents/zoe"))["languages"] == ["en"]  # as it was set up
        assert (await acme.call("PUT", "agents/zoe", json=agent)).json()["languages"] == ["de"]
        assert (await acme.call("PUT", "numbers/777", json=number)).json()["language"] == "de"
        known = {one.id: one.languages for one in acme.voice.setups[ACME].configuration.agents}
        assert known["zoe"] == ("de",)

    async def test_of_the_tenant_stays_as_it_is(self, acme: Service) -> None:
        await acme.call("PUT", "setup", json={"language": "en"})
        changed = await acme.call("PUT", "setup", json={"recording_notice": False})
        assert changed.json()["language"] == "en"


class TestGeneral:
    async def test_first_change_and_the_next(self, acme: Service) -> None:
        assert (await acme.got("setup"))["language"] == "de"
        changed = await acme.call("PUT", "setup", json={"language": "en"})
        assert changed.status_code == 200
        assert acme.voice.setups[ACME].configuration.language == "en"


class TestAudit:
    async def test_who_changed_what_from_what_to_what_newest_first(self, acme: Service) -> None:
        await acme.made("sites", {"id": "main", "upload_kbits": 1000})
        acme.clock.turn(seconds=1)
        await acme.call("PUT", "sites/main", json={"id": "main", "upload_kbits": 999})
        acme.clock.turn(seconds=1)
        await acme.call("DELETE", "sites/main")
        trail = (await acme.got("audit?kind=site&subject=main"))["items"]
        assert [(one["act"], one["who"], one["version"]) for one in trail] == [
            ("deleted", "admin", 2),
            ("changed", "admin", 2),
            ("created", "admin", 1),
        ]
        assert (trail[1]["before"]["upload_kbits"], trail[1]["after"]["upload_kbits"]) == (1000, 999)

    async def test_goes_in_pages(self, acme: Service) -> None:
        for number in range(3):
            acme.clock.turn(seconds=1)
            await acme.made("sites", {"id": f"s{number}", "upload_kbits": 1})
        first = await acme.got("audit?kind=site&limit=2")
        rest = await acme.got(f"audit?kind=site&limit=2&after={first['next']}")
        assert [one["subject"] for one in first["items"] + rest["items"]] == ["s2", "s1", "s0"]
        assert rest["next"] is None


class TestWhatIsKnownOfTheRows:
    """The service keeps the parsed setup from change to change (ADR 0007); `tests.api.conftest` compares it with them after every test."""

    def known(self, acme: Service) -> Any:
        return acme.shared.services.known_setups.get(ACME)

    async def test_a_change_reads_no_more_rows_than_it_changes(self, acme: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        await acme.made("agents", {"id": "anna", "name": "Anna"})

        async def never(*_: Any) -> None:
            raise AssertionError("all rows were read")

        monkeypatch.setattr("api.telephony_setup.repository.everything", never)
        await acme.made("agents", {"id": "ben", "name": "Ben", "extension": "21"})
        assert (await acme.call("PUT", "agents/ben", json={"id": "ben", "name": "Benno"})).status_code == 200
        assert (await acme.call("DELETE", "agents/anna")).status_code == 204
        assert [one.name for one in acme.voice.setups[ACME].configuration.agents] == ["Benno"]

    async def test_a_refused_change_leaves_it_as_it_was(self, acme: Service) -> None:
        await acme.made("queues", {"id": "sales", "name": "Sales"})
        await acme.made("numbers", {"number": "600", "target": {"to": "queue", "queue": "sales"}})
        before = self.known(acme)
        assert before is not None
        assert (await acme.call("DELETE", "queues/sales")).status_code == 409
        assert (await acme.call("POST", "agents", json={"id": "anna", "name": "Anna", "site": "moon"})).status_code == 422
        assert self.known(acme) is before
        await acme.made("agents", {"id": "anna", "name": "Anna"})

    async def test_after_a_commit_of_unknown_outcome_the_rows_are_read_again(self, acme: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        await acme.made("queues", {"id": "sales", "name": "Sales"})
        commit = AsyncSession.commit

        async def commit_and_lose_the_answer(session: AsyncSession) -> None:
            await commit(session)
            raise ConnectionResetError("the database server went away")

        monkeypatch.setattr(AsyncSession, "commit", commit_and_lose_the_answer)
        assert (await acme.call("POST", "queues", json={"id": "support", "name": "Support"})).status_code == 503
        monkeypatch.undo()
        assert self.known(acme) is None
        # The row is there: what refers to it is right, and the voice service hears of both.
        await acme.made("numbers", {"number": "600", "target": {"to": "queue", "queue": "support"}})
        assert [one.id for one in acme.voice.setups[ACME].configuration.queues] == ["sales", "support"]

    async def test_two_changes_at_once_both_count(self, acme: Service) -> None:
        """Each looked at the row before it held the lock: the second must not write over what the first made of it."""
        body = {"id": "carrier", "name": "Carrier", "peer": "sip.example.net"}
        await acme.made("trunks", body)
        answers = await asyncio.gather(
            *(acme.call("PUT", "trunks/carrier", json={**body, "name": name}) for name in ("One", "Two")),
            *(acme.call("POST", "agents", json={"id": f"agent-{n}", "name": "New"}) for n in range(4)),
        )
        assert sorted(answer.json()["version"] for answer in answers[:2]) == [2, 3]
        assert len(acme.voice.setups[ACME].configuration.agents) == 4

    async def test_names_stand_in_one_order_whatever_the_database_sorts_by(self, acme: Service) -> None:
        for name in ("b_1", "b-1", "b1", "a.1", "b.1"):
            await acme.made("agents", {"id": name, "name": name})
        # By code point, as Python sorts: - (2d) . (2e) 1 (31) _ (5f).
        assert [one.id for one in acme.voice.setups[ACME].configuration.agents] == ["a.1", "b-1", "b.1", "b1", "b_1"]


class TestMemory:
    async def test_changes_made_and_refused_leave_nothing_to_the_collector(self, acme: Service) -> None:
        """gc.collect() finds nothing of ours: in the service it comes so seldom that circles would stay for ever."""

        async def change(number: int) -> None:
            await acme.made("agents", {"id": f"agent-{number}", "name": "New", "device_username": f"phone-{number}"})
            await acme.call("PUT", f"agents/agent-{number}", json={"id": f"agent-{number}", "name": "Renamed"})
            await acme.call("PUT", f"agents/agent-{number}/device", json={"username": f"other-{number}"})
            await acme.call("POST", "agents", json={"id": f"agent-{number}", "name": "Twice"})
            await acme.call("POST", "agents", json={"id": "lost", "name": "Lost", "site": "moon", "device_username": "lost"})
            await acme.call("PUT", "agents/nobody", json={"id": "nobody", "name": "Nobody"})
            await acme.call("PUT", "agents/nobody", json={"id": "nobody"})
            await acme.call("DELETE", f"agents/agent-{number}")
            await acme.got("agents")
            await acme.got("live")
            await acme.got("cdrs")

        await change(0)  # caches fill
        with none_of_ours_left():
            for number in range(1, 4):
                await change(number)
