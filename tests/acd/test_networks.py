"""Which addresses a tenant may send us to: the rule alone."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acd.networks import EVERYTHING, LOOPBACK, Reach, network

PLAIN = Reach(EVERYTHING)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.9.10",
        "0.0.0.0",
        "0.1.2.3",
        "169.254.169.254",
        "192.0.0.192",
        "100.100.100.200",
        "168.63.129.16",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "::",
        "::1",
        "::7f00:1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "fd00:ec2::254",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "64:ff9b::7f00:1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::a00:1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "peer.example",
        "",
    ],
)
def test_nobodys_phone_is_denied_by_default(address):
    assert not PLAIN.allows(address)


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "172.16.5.5",
        "192.168.178.20",
        "100.64.0.1",
        "203.0.113.7",
        "8.8.8.8",
        "fd12::1",
        "2a00:1450::1",
        "2002:808:808::1",
        "::ffff:10.0.0.1",
        "64:ff9b::8.8.8.8",
    ],
)
def test_unicast_is_allowed_private_ranges_included(address):
    assert PLAIN.allows(address)


def test_a_wide_network_does_not_include_a_special_one_but_the_special_one_listed_does():
    assert not Reach(["0.0.0.0/0", "126.0.0.0/7"]).allows("127.0.0.1")
    opened = Reach(EVERYTHING + LOOPBACK)
    assert opened.allows("127.0.0.77")
    assert opened.allows("::1")
    assert opened.allows("::ffff:127.0.0.1")
    assert not opened.allows("169.254.169.254")
    assert not opened.allows("::2")
    one = Reach([*EVERYTHING, "169.254.7.7"])
    assert (one.allows("169.254.7.7"), one.allows("169.254.7.8")) == (True, False)


def test_an_operator_narrows_what_is_allowed_and_takes_a_part_of_it_back():
    reach = Reach(["203.0.113.0/24", "10.0.0.0/8"], ["10.9.0.0/16"])
    asked = ["203.0.113.9", "10.1.2.3", "10.9.0.1", "192.168.0.1", "2a00::1"]
    assert [reach.allows(one) for one in asked] == [True, True, False, False, False]
    assert Reach(["10.0.0.0/8", "10.9.1.0/24"], ["10.9.0.0/16"]).allows("10.9.1.1")


def test_our_own_addresses_are_denied_at_the_moment_they_are_ours_unless_each_is_listed():
    own = set()
    reach = Reach([*EVERYTHING, "10.0.0.0/24", "10.0.0.6"], (), own.__contains__)
    assert reach.allows("10.0.0.5")
    own.update(ipaddress.ip_address(one) for one in ("10.0.0.5", "10.0.0.6", "2a00::5"))
    assert [reach.allows(one) for one in ("10.0.0.5", "10.0.0.6", "2a00::5", "::ffff:10.0.0.5")] == [False, True, False, False]


def test_a_zone_hides_no_address_and_stands_in_no_setting():
    own = {ipaddress.ip_address("2a00::5")}
    reach = Reach(EVERYTHING, (), own.__contains__)
    for host in ("2a00::5%eth0", "fe80::1%1", "::1%lo", "::ffff:127.0.0.1%lo"):
        assert not reach.allows(host)
    assert reach.allows("2a00::6%eth0")
    assert not any(reach.allows_name(host) for host in ("2a00::6%eth0", "[2a00::6%25eth0]", "sip.example.net%eth0"))
    assert reach.allows_name("2a00::6")


def test_loopback_that_is_listed_is_allowed_though_it_is_ours():
    assert Reach([*EVERYTHING, *LOOPBACK], (), lambda _address: True).allows("127.0.0.1")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "a.localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.1", "[::1]", "0"]
)
def test_a_setting_that_is_an_address_in_any_notation_is_refused_at_once(host):
    assert not PLAIN.allows_name(host)
    assert Reach([*EVERYTHING, *LOOPBACK, "0.0.0.0/8"]).allows_name(host)


@pytest.mark.parametrize("host", ["sip.example.net", "10.0.0.1", "1.2.3", "099.1", "256.1.1.1.1", "4294967296", "a.1"])
def test_a_name_is_left_to_the_moment_it_is_used(host):
    assert PLAIN.allows_name(host)


@given(st.ip_addresses())
def test_every_address_is_judged_as_its_mapped_form(address):
    if isinstance(address, ipaddress.IPv4Address):
        assert PLAIN.allows(f"::ffff:{address}") == PLAIN.allows(str(address))
    assert not Reach([]).allows(str(address))


def test_a_network_that_is_none_is_named():
    with pytest.raises(ValueError, match=r"'10\.0\.0\.0/33' is no IP network"):
        network("10.0.0.0/33")


@pytest.mark.parametrize(
    ("address", "deny", "may"),
    [
        ("192.168.1.5", (), True),
        ("2001:db8::5", (), True),
        ("192.168.1.6", (), False),  # a neighbour's: the general rule decides
        ("127.0.0.1", (), False),
        ("169.254.7.7", (), False),
        ("192.168.1.5", ("192.168.0.0/16",), False),
        ("phone.example", (), False),
    ],
)
def test_phone_on_this_machine_may_name_an_address_of_the_machine_but_none_that_only_it_reaches(address, deny, may):
    ours = {ipaddress.ip_address(one) for one in ("192.168.1.5", "2001:db8::5", "127.0.0.1", "169.254.7.7")}
    reach = Reach(EVERYTHING, deny, ours.__contains__)
    assert reach.allows_from_here(address) is may
    assert may is False or not reach.allows(address)
