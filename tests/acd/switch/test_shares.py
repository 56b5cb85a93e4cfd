"""Which share a call takes from: by tenant, trunk and phone; what is an emergency of ours and what is not."""

import pytest

from acd.clock import Clock
from acd.config import VoiceSettings
from acd.core import configuration as conf
from acd.core.ids import AgentId, TenantId, TrunkId
from acd.directory import Directory
from acd.guard import Guard, GuardPolicy
from acd.numbers import is_emergency, normalise
from acd.service import Device, TenantSetup, TrunkLine
from acd.switch.callers import arrival
from acd.switch.phones import Phones
from acd.switch.shares import Shares
from sip.classified import Classified
from sip.flow import Flow
from sip.message import Request
from sip.uri import Uri

CARRIER, PBX, STRANGER = "203.0.113.5", "203.0.113.9", "198.51.100.1"


@pytest.fixture
def directory() -> Directory:
    known = Directory()
    for name in ("acme", "bolt", "core"):
        known.put(TenantSetup(configuration=conf.TenantConfiguration(tenant=TenantId(name))))
    known.put(
        TenantSetup(
            configuration=conf.TenantConfiguration(
                tenant=TenantId("acme"),
                trunks=(conf.Trunk(id=TrunkId("carrier"), name="Carrier"), conf.Trunk(id=TrunkId("pbx"), name="PBX", internal=True)),
            ),
            devices=(Device(agent=AgentId("anna"), username="anna", ha1_md5="", ha1_sha256=""),),
            trunks=(
                TrunkLine(id=TrunkId("carrier"), peer="", sources=(CARRIER,)),
                TrunkLine(id=TrunkId("pbx"), peer="", sources=(PBX,)),
            ),
        )
    )
    return known


def asked(directory: Directory, number: str, source: str = STRANGER, who: str | None = None, method: str = "INVITE"):
    phones = Phones(VoiceSettings(tenant_weights={"acme": 2.0}), directory, Clock(), lambda *_: None, Guard(GuardPolicy()))
    fields = [("From", "<sip:x@there>;tag=1"), ("To", f"<sip:{number}@here>")]
    request = Request.build(method, Uri("sip", number, "192.0.2.1"), fields)
    flow = Flow("udp", ("192.0.2.1", 5060), (source, 5060))
    classified = Classified("trunk", arrival(directory, request, flow)) if method == "INVITE" else None
    return phones._share(request, flow, who, classified)


def test_a_part_is_the_weight_over_those_of_all_tenants(directory):
    shares = Shares(directory, {"acme": 2.0, "gone": 50.0})
    acme, bolt = shares.of_phones(TenantId("acme")), shares.of_phones(TenantId("bolt"))
    assert (acme.weight, acme.part, bolt.weight, bolt.part) == (2.0, 0.5, 1.0, 0.25)
    directory.drop(TenantId("core"))
    assert shares.of_phones(TenantId("bolt")).part == pytest.approx(1 / 3)


def test_trunks_and_the_phones_together_have_equal_parts_of_their_tenant(directory):
    shares = Shares(directory, {})
    trunk, phones = shares.of_trunk(TenantId("acme"), TrunkId("pbx")), shares.of_phones(TenantId("acme"))
    assert trunk.line_part == phones.line_part == pytest.approx(1 / 3)
    assert len({trunk.line, phones.line, shares.of_phone(TenantId("acme"), "anna").line}) == 3


def test_a_request_takes_from_who_has_proved_it_else_from_its_trunk_else_from_nobody(directory):
    assert asked(directory, "601", CARRIER)[:3] == ("acme", "trunk carrier", 2.0)
    assert asked(directory, "601", CARRIER, "anna@acme")[:2] == ("acme", "phone anna")
    assert asked(directory, "601") is None
    assert asked(directory, "601", STRANGER, "nobody@fernamt") is None


@pytest.mark.parametrize("number", ["110", "112", "+49112"])
def test_an_emergency_is_urgent_from_our_own_people_and_never_from_a_carrier(directory, number):
    assert asked(directory, number, STRANGER, "anna@acme").urgent
    assert asked(directory, number, PBX).urgent
    assert not asked(directory, number, CARRIER).urgent
    assert not asked(directory, number, PBX, method="OPTIONS").urgent


@pytest.mark.parametrize("number", ["110", "112", "+49110", "+49112"])
def test_emergency_numbers_stay_emergency_numbers_when_made_one(number):
    assert is_emergency(number)
    assert is_emergency(normalise(number))


@pytest.mark.parametrize("number", ["", "1120", "115", "116117", "+4911", "+43112", "0049112x", "611"])
def test_others_are_none(number):
    assert not is_emergency(number)
