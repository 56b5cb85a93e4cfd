"""What protects a leg, as the core tells it on: once, when it changes, and of legs that are there."""

from __future__ import annotations

from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import Number, ToOutside, Trunk
from tests.acd.core.shell import Phone, Shell, call, house, open_house


def called() -> Shell:
    """A caller who waits for a number outside."""
    trunks = (Trunk(id="pbx", name="A"),)
    shell = open_house(
        house(trunks=trunks, numbers=(Number(number="620", target=ToOutside(number="+4930999")),)),
        pbx=Phone(alerts=False, answers_after_s=None),
    )
    call(shell, "620", "c")
    return shell


def told(shell: Shell) -> list[tuple[str, str, str | None, str | None]]:
    return [(one.leg, one.audio, one.suite, one.signalling) for one in shell.of(ev.LegProtected)]


def test_it_is_told_once_and_again_when_it_is_another() -> None:
    shell = called()
    agreed = inp.ProtectionAgreed(leg="c.1", audio="sdes", suite="AEAD_AES_128_GCM", signalling="tls")
    shell.send(agreed, agreed)
    shell.send(inp.LegAnswered(leg="c.1"))
    shell.send(inp.ProtectionAgreed(leg="c.1", audio="sdes", suite="AES_CM_128_HMAC_SHA1_80", signalling="tls"))
    assert told(shell) == [("c.1", "sdes", "AEAD_AES_128_GCM", "tls"), ("c.1", "sdes", "AES_CM_128_HMAC_SHA1_80", "tls")]
    leg = shell.engine.state.legs["c.1"]
    assert (leg.audio, leg.suite, leg.signalling) == ("sdes", "AES_CM_128_HMAC_SHA1_80", "tls")


def test_of_a_leg_without_any_and_of_one_that_is_gone_nothing_is_told() -> None:
    shell = called()
    shell.send(inp.ProtectionAgreed(leg="c.1"), inp.ProtectionAgreed(leg="nobody", audio="dtls"))
    assert told(shell) == []
