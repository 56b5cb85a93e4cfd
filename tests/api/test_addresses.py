"""Addresses that can be clicked and typed into a phone, from what is listened on."""

from __future__ import annotations

import pytest

from api.commands import addresses
from api.commands.addresses import how_to_call, only_here, pages, phone_servers


@pytest.fixture(autouse=True)
def at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine is 192.0.2.7 and has no IPv6."""
    monkeypatch.setattr(addresses, "own_address", lambda family: "192.0.2.7" if family == addresses.socket.AF_INET else None)


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("0.0.0.0", "http://localhost:8080/, from elsewhere http://192.0.2.7:8080/"),
        ("::", "http://localhost:8080/, from elsewhere http://192.0.2.7:8080/"),
        ("127.0.0.1", "http://127.0.0.1:8080/"),
        ("::1", "http://[::1]:8080/"),
        ("192.0.2.9", "http://192.0.2.9:8080/"),
    ],
)
def test_a_wildcard_is_nothing_to_click_on(host: str, told: str) -> None:
    assert pages(host, 8080) == told


def test_a_machine_without_a_way_out_is_localhost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "own_address", lambda _family: None)
    assert pages("0.0.0.0", 80) == "http://localhost:80/"
    assert phone_servers([("udp", "0.0.0.0", 5060)]) == "127.0.0.1:5060 (UDP)"
    assert phone_servers([("udp", "127.0.0.1", 5060), ("tls", "127.0.0.1", 5061)]) == "127.0.0.1:5060 (UDP), 127.0.0.1:5061 (TLS)"


def test_phone_is_told_host_port_and_transport() -> None:
    listening = [("udp", "0.0.0.0", 5060), ("tcp", "0.0.0.0", 5060), ("udp", "127.0.0.1", 5070)]
    assert phone_servers(listening) == "192.0.2.7:5060 (UDP or TCP), 127.0.0.1:5070 (UDP)"


def test_whether_others_can_call() -> None:
    assert only_here([("udp", "127.0.0.1", 5060), ("tcp", "::1", 5060)])
    assert not only_here([("udp", "127.0.0.1", 5060), ("udp", "0.0.0.0", 5060)])


@pytest.mark.parametrize(
    ("host", "port", "dialled", "registers"),
    [
        ("127.0.0.1", 5060, "sip:601@127.0.0.1 ", "a phone on this machine need not register for that"),
        ("127.0.0.1", 5070, "sip:601@127.0.0.1:5070 ", "a phone on this machine need not register for that"),
        ("::1", 5070, "sip:601@[::1]:5070 ", "a phone on this machine need not register for that"),
        ("0.0.0.0", 5060, "sip:601@127.0.0.1 ", "a phone on this machine need not register for that; phones elsewhere in the network must"),
        ("192.0.2.9", 5060, "601 ", "phones must register"),
    ],
)
def test_hint_names_the_port_that_is_listened_on_and_who_has_to_register(host: str, port: int, dialled: str, registers: str) -> None:
    numbers, told = how_to_call([("udp", host, port), ("tcp", host, port)])
    assert numbers.startswith(f"dial {dialled}for support, the quickest")
    assert "600" in numbers
    assert "press 1" in numbers
    assert told == registers
