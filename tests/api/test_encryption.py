"""What is set about encryption of audio: kept, told, and known to the exchange, for the tenant, a trunk and a phone."""

from __future__ import annotations

from typing import Any

import pytest

from acd.core.ids import AgentId
from acd.directory import Directory
from sip.sdp.crypto import SrtpUse
from tests.api.conftest import ACME, Service

USES = [use.value for use in SrtpUse]
TRUNK: dict[str, Any] = {"id": "carrier", "name": "Carrier", "peer": "127.0.0.1:9", "probe_every_s": 0}


def uses(house: Service, agent: str = "anna") -> tuple[str, str, str]:
    """Of an agent's phone, of one that says nothing, and of the trunk, as calls ask for it."""
    directory = Directory()
    directory.setups[ACME] = setup = house.voice.setups[ACME]
    of_trunk = [directory.srtp_of(ACME, line) for line in setup.trunks if line.id == "carrier"]
    return directory.srtp_of_phone(ACME, AgentId(agent)), directory.srtp_of_phone(ACME, None), *(of_trunk or [""])


async def equip(house: Service, **given: Any) -> None:
    version = (await house.call("GET", "trunks/carrier")).headers["etag"]
    answer = await house.call("PUT", "trunks/carrier", json=_without_id(TRUNK | given), headers={"If-Match": version})
    assert answer.status_code == 200, answer.text


async def of_phone(house: Service, use: str | None) -> int:
    told = await house.call("GET", "agents/anna")
    kept = {name: told.json()[name] for name in ("name", "skills", "extension")} | ({} if use is None else {"srtp": use})
    return (await house.call("PUT", "agents/anna", json=kept, headers={"If-Match": told.headers["etag"]})).status_code


def _without_id(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "id"}


@pytest.fixture
async def carried(staffed: Service) -> Service:
    assert (await staffed.call("POST", "trunks", json=TRUNK)).status_code == 201
    return staffed


async def test_nothing_set_means_that_keys_are_taken_and_none_offered(carried: Service) -> None:
    assert uses(carried) == ("accepted", "accepted", "accepted")
    assert (await carried.got("setup"))["srtp"] == "accepted"
    assert (await carried.got("trunks/carrier"))["srtp"] is None
    assert (await carried.got("agents/anna"))["srtp"] is None


async def test_what_the_tenant_says_holds_for_all_that_say_nothing(carried: Service) -> None:
    for use in USES:
        assert (await carried.call("PUT", "setup", json={"srtp": use})).status_code == 200
        assert uses(carried) == (use, use, use)


async def test_a_trunk_and_a_phone_say_otherwise_and_take_it_back(carried: Service) -> None:
    assert (await carried.call("PUT", "setup", json={"srtp": "off"})).status_code == 200
    await equip(carried, srtp="required")
    assert await of_phone(carried, "wished") == 200
    assert uses(carried) == ("wished", "off", "required")
    assert (await carried.got("agents/anna"))["srtp"] == "wished"
    await equip(carried)
    assert await of_phone(carried, None) == 200
    assert uses(carried) == ("off", "off", "off")


async def test_a_phone_that_is_gone_says_nothing_any_more(carried: Service) -> None:
    await carried.made("agents", {"id": "dora", "name": "Dora", "extension": "43", "srtp": "required"})
    assert carried.voice.setups[ACME].phones_srtp == {"dora": "required"}
    assert (await carried.call("DELETE", "agents/dora")).status_code == 204
    assert carried.voice.setups[ACME].phones_srtp == {}


async def test_another_word_is_refused(carried: Service) -> None:
    for wrong in ("on", "", 1, True):
        assert (await carried.call("PUT", "setup", json={"srtp": wrong})).status_code == 422
        assert (await carried.call("PUT", "trunks/carrier", json=_without_id(TRUNK) | {"srtp": wrong})).status_code == 422
        assert (await carried.call("POST", "agents", json={"id": "x", "name": "X", "srtp": wrong})).status_code == 422


# ---------------------------------------------------------------------- what is set about encryption of signalling


def sealed(house: Service, agent: str = "anna") -> tuple[bool, bool]:
    """Whether the agent's phone and the trunk may be spoken to under encryption alone."""
    directory = Directory()
    directory.put(house.voice.setups[ACME])
    [line] = [line for line in house.voice.setups[ACME].trunks if line.id == "carrier"]
    return directory.phone_is_encrypted(ACME, AgentId(agent)), directory.line_is_encrypted(ACME, line)


async def of_site(house: Service, **given: Any) -> None:
    """Anna's site, with these members."""
    found = await house.call("GET", "sites/here")
    if found.status_code == 404:
        await house.made("sites", {"id": "here", "upload_kbits": 1000} | given)
        told = await house.call("GET", "agents/anna")
        kept = {name: told.json()[name] for name in ("name", "skills", "extension")} | {"site": "here"}
        assert (await house.call("PUT", "agents/anna", json=kept, headers={"If-Match": told.headers["etag"]})).status_code == 200
        return
    answer = await house.call(
        "PUT", "sites/here", json={"id": "here", "upload_kbits": 1000} | given, headers={"If-Match": found.headers["etag"]}
    )
    assert answer.status_code == 200, answer.text


async def test_a_site_says_what_its_phones_do_with_keys_and_a_phone_otherwise(carried: Service) -> None:
    assert (await carried.call("PUT", "setup", json={"srtp": "off"})).status_code == 200
    await of_site(carried, srtp="required")
    assert uses(carried)[:2] == ("off", "off")  # a directory that knows no agents knows no sites of theirs
    directory = Directory()
    directory.put(carried.voice.setups[ACME])
    assert directory.srtp_of_phone(ACME, AgentId("anna")) == "required"
    assert (await carried.got("sites/here"))["srtp"] == "required"
    await of_site(carried)
    directory.put(carried.voice.setups[ACME])
    assert directory.srtp_of_phone(ACME, AgentId("anna")) == "off"


async def test_signalling_is_encrypted_where_phone_site_or_tenant_says_so(carried: Service) -> None:
    assert sealed(carried) == (False, False)
    await of_site(carried, signalling="encrypted")
    assert sealed(carried) == (True, False)
    assert carried.voice.setups[ACME].encrypted_sites == {"here"}
    await of_site(carried)
    await carried.made("agents", {"id": "dora", "name": "Dora", "extension": "43", "signalling": "encrypted"})
    assert (sealed(carried, "dora"), sealed(carried)) == ((True, False), (False, False))
    await equip(carried, transport="tls", signalling="encrypted")
    assert sealed(carried) == (False, True)
    await equip(carried, transport="tls")
    assert (await carried.call("PUT", "setup", json={"signalling": "encrypted"})).status_code == 200
    assert sealed(carried) == (True, True)
    assert (await carried.got("setup"))["signalling"] == "encrypted"


async def test_a_trunk_in_plain_cannot_be_one_that_must_be_encrypted(carried: Service) -> None:
    for given in ({"signalling": "encrypted"}, {"tls_identity": "sbc.example.net"}, {"signalling": "encrypted", "transport": "tcp"}):
        version = (await carried.call("GET", "trunks/carrier")).headers["etag"]
        answer = await carried.call("PUT", "trunks/carrier", json=_without_id(TRUNK | given), headers={"If-Match": version})
        assert answer.status_code == 422
        assert "trunk carrier" in answer.text
        assert "it must be tls" in answer.text
    refused = await carried.call("PUT", "setup", json={"signalling": "encrypted"})
    assert refused.status_code == 422
    assert "trunk carrier: the tenant's signalling is encrypted (general), and transport is udp; it must be tls" in refused.text


async def test_an_identity_is_a_domain_or_a_fingerprint_in_one_form(carried: Service) -> None:
    digits = "AB" * 32
    colons = ":".join(["ab"] * 32)
    for given, kept in (
        ("SBC.Example.net.", "sbc.example.net"),
        (f"sha256:{digits}", f"sha256:{digits.lower()}"),
        (f"SHA256:{colons}", f"sha256:{digits.lower()}"),
    ):
        await equip(carried, transport="tls", tls_identity=given)
        assert (await carried.got("trunks/carrier"))["tls_identity"] == kept
        assert [line.tls_identity for line in carried.voice.setups[ACME].trunks if line.id == "carrier"] == [kept]
    for wrong in ("*.example.net", "sip:sbc.example.net", "sha256:ab", "sha1:" + "ab" * 20, "a b", "", "example..net"):
        body = _without_id(TRUNK) | {"transport": "tls", "tls_identity": wrong}
        version = (await carried.call("GET", "trunks/carrier")).headers["etag"]
        assert (await carried.call("PUT", "trunks/carrier", json=body, headers={"If-Match": version})).status_code == 422, wrong
