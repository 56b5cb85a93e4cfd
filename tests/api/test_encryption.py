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
