"""Which address of ours a peer is told, and how hosts with ports are read."""

import socket

import pytest

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
