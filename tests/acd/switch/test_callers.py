"""Which trunk a request comes over, of several tenants at one carrier, and which number it means."""

import pytest

from acd.core import configuration as conf
from acd.core.ids import TenantId, TrunkId
from acd.directory import NOBODYS, Directory
from acd.service import TenantSetup, TrunkLine, TrunkRegistration
from acd.switch.callers import arrival
from sip.flow import Flow
from sip.message import Request
from sip.uri import Uri

CARRIER, ELSEWHERE = "203.0.113.5", "198.51.100.9"


def tenant(name: str, number: str, **fields) -> TenantSetup:
    """A tenant with one number, registered as `<name>-account` at the carrier both use."""
    registration = TrunkRegistration(registrar="sip.carrier.example", username=f"{name}-account", password="secret")
    return TenantSetup(
        configuration=conf.TenantConfiguration(
            tenant=TenantId(name),
            numbers=(conf.Number(number=number, target=conf.ToHangUp()),),
            trunks=(conf.Trunk(id=TrunkId("own"), name="Own"),),
        ),
        assigned=frozenset({number}),
        trunks=(TrunkLine(**{"id": TrunkId("own"), "peer": "sip.carrier.example", "registration": registration} | fields),),
    )


@pytest.fixture
def directory() -> Directory:
    known = Directory()
    for setup in (tenant("acme", "+4989111"), tenant("bolt", "+4989222")):
        known.put(setup)
        name = setup.configuration.tenant
        known.learn_contact(f"line-{name}", name, TrunkId("own"))
        known.learn_addresses(name, TrunkId("own"), [CARRIER])
    return known


def invite(user: str, to: str = "+4989000", *headers: tuple[str, str]) -> Request:
    fields = [("From", "<sip:+49301@carrier.example>;tag=1"), ("To", f"<sip:{to}@carrier.example>"), *headers]
    return Request.build("INVITE", Uri("sip", user, "192.0.2.1"), fields)


def came(directory, request, source=CARRIER):
    found = arrival(directory, request, Flow("udp", ("192.0.2.1", 5060), (source, 5060)))
    return found if found in (None, NOBODYS) else (found.tenant, found.line.id, found.called, found.by_contact)


def test_the_contact_tells_the_line_wherever_the_call_comes_from(directory):
    assert came(directory, invite("line-bolt", "+4989222"), ELSEWHERE) == ("bolt", "own", "+4989222", True)


def test_the_number_stands_in_p_called_party_id_before_to(directory):
    request = invite("line-bolt", "bolt-account", ("P-Called-Party-ID", "<sip:+4989222@carrier.example>"))
    assert came(directory, request) == ("bolt", "own", "+4989222", True)
    unreadable = invite("line-bolt", "+4989222", ("P-Called-Party-ID", "<<"))
    assert came(directory, unreadable) == ("bolt", "own", "+4989222", True)


@pytest.mark.parametrize(("number", "owner"), [("+4989111", "acme"), ("+4989222", "bolt"), ("089222", "bolt")])
def test_two_tenants_at_one_carrier_are_told_apart_by_the_number(directory, number, owner):
    found = came(directory, invite(number))
    assert found is not None
    assert found[0] == owner


def test_a_carrier_that_calls_the_account_by_name_means_the_number_in_to(directory):
    assert came(directory, invite("acme-account", "+4989111")) == ("acme", "own", "+4989111", False)
    assert came(directory, invite("bolt-account", "+4989222")) == ("bolt", "own", "+4989222", False)


@pytest.mark.parametrize("user", ["+4989111", "acme-account", "line-guessed", ""])
def test_a_stranger_is_no_trunk_whatever_it_calls(directory, user):
    assert came(directory, invite(user), ELSEWHERE) is None


def test_a_number_that_is_none_of_theirs_is_nobodys_where_two_tenants_have_the_carrier(directory):
    assert came(directory, invite("+4989333")) is NOBODYS
    assert came(directory, invite("601")) is NOBODYS


def test_an_account_name_that_another_tenant_chose_means_nothing_for_a_call(directory):
    """Whoever names its account like a number of others must not have their calls read from To."""
    registration = TrunkRegistration(registrar="192.0.2.77", username="+4989111", password="secret")
    directory.put(tenant("evil", "+4989666", registration=registration))
    directory.learn_addresses(TenantId("evil"), TrunkId("own"), [CARRIER])
    assert came(directory, invite("+4989111", to="+4989666")) == ("acme", "own", "+4989111", False)


def test_networks_that_are_given_take_the_place_of_the_names_addresses(directory):
    directory.put(tenant("acme", "+4989111", sources=("198.51.100.0/24",)))
    directory.drop(TenantId("bolt"))
    assert came(directory, invite("+4989111"), ELSEWHERE) == ("acme", "own", "+4989111", False)
    assert came(directory, invite("+4989111"), CARRIER) is None
    assert came(directory, invite("line-acme", "+4989111"), CARRIER) == ("acme", "own", "+4989111", True)


def test_a_line_that_is_gone_is_forgotten(directory):
    directory.forget_line(TenantId("bolt"), TrunkId("own"))
    directory.drop(TenantId("acme"))
    assert came(directory, invite("line-bolt", "+4989222")) is None
    assert came(directory, invite("+4989222")) is None


def test_an_ipv4_carrier_seen_through_an_ipv6_socket_is_the_same(directory):
    assert came(directory, invite("+4989222"), f"::ffff:{CARRIER}") == ("bolt", "own", "+4989222", False)
