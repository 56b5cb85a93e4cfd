"""Which address of ours a peer is told, and how hosts with ports are read."""

import ipaddress
import socket

import pytest

from acd.own_addresses import OWN_S, OwnAddresses
from acd.switch.addresses import ELSEWHERE, LocalAddresses, host_port


def way_to(host):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))
        except OSError:
            return "127.0.0.1"
        return probe.getsockname()[0]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("sip.example.net", ("sip.example.net", None)),
        ("192.0.2.1:5070", ("192.0.2.1", 5070)),
        ("[2001:db8::1]", ("2001:db8::1", None)),
        ("[2001:db8::1]:5070", ("2001:db8::1", 5070)),
        ("2001:db8::1", ("2001:db8::1", None)),
    ],
)
def test_host_and_port_are_read_as_operators_write_them(text, read):
    assert host_port(text) == read


@pytest.mark.parametrize("text", ["host:0", "host:65536", "host:sip"])
def test_a_port_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="the port"):
        host_port(text)


def test_a_carrier_given_by_name_is_told_the_address_the_world_reaches_us_at():
    assert LocalAddresses(None).reaching("sip.example.net") == way_to(ELSEWHERE)


def test_this_machine_by_name_or_number_is_told_the_loopback_address():
    assert [LocalAddresses(None).reaching(host) for host in ("localhost", "127.0.0.1")] == ["127.0.0.1", "127.0.0.1"]


def test_an_advertised_address_goes_before_all():
    assert LocalAddresses("203.0.113.7").reaching("127.0.0.1") == "203.0.113.7"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_an_address_of_this_machine_is_its_own_whichever_way_the_kernel_is_asked(address):
    asked = ipaddress.ip_address(address)
    assert asked in OwnAddresses(None)
    assert OwnAddresses._ask_by_connecting(asked)


def test_a_network_that_is_local_as_a_whole_is_our_own_as_a_whole():
    """Only 127.0.0.1 stands on the interface; all of 127.0.0.0/8 comes to us, as would 10.0.0.0/24 with `ip route add local`."""
    asked = ipaddress.ip_address("127.0.0.77")
    assert asked in OwnAddresses(None)
    assert not OwnAddresses._ask_by_connecting(asked)


def test_where_routes_cannot_be_asked_the_address_we_would_send_from_tells(monkeypatch):
    def forbidden(_address):
        raise PermissionError("AF_NETLINK")

    monkeypatch.setattr(OwnAddresses, "_ask_routes", forbidden)
    own = OwnAddresses(None)
    assert ipaddress.ip_address("127.0.0.1") in own
    assert ipaddress.ip_address("198.51.100.7") not in own


def test_the_advertised_address_is_our_own_and_a_name_is_none():
    elsewhere = ipaddress.ip_address("198.51.100.7")
    assert elsewhere in OwnAddresses("198.51.100.7")
    assert elsewhere not in OwnAddresses("pbx.example")


def test_an_address_that_becomes_ours_is_known_to_be_within_seconds(monkeypatch):
    now, ours = [0.0], set()
    monkeypatch.setattr(OwnAddresses, "_ask_kernel", lambda _self, address: address in ours)
    own, address = OwnAddresses(None, lambda: now[0]), ipaddress.ip_address("10.0.0.5")
    assert address not in own
    ours.add(address)
    now[0] = OWN_S + 0.1
    assert address in own
