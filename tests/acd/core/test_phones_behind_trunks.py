"""Agents whose phone stands behind a trunk: an extension of a foreign PBX, or a number outside (R1)."""

from __future__ import annotations

import pytest

from acd.core import effects as ef
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import Forwarding, Number, TenantConfiguration, ToAgent, Trunk
from acd.core.errors import IllegalTransition
from tests.acd.core.shell import Phone, Shell, agent, call, house, open_house, queue

IN = Trunk(id="pbx", name="Callers", outbound=False)
PBX = Trunk(id="foreign", name="Foreign PBX", internal=True)


def pbx_house(*, upload_kbits: int | None = None, **more) -> TenantConfiguration:
    """Anna at extension 21 and Ben at a number outside, both behind the PBX; callers come from elsewhere."""
    trunk = Trunk(id="foreign", name="Foreign PBX", internal=True, upload_kbits=upload_kbits)
    agents = (agent("anna", extension="21", trunk="foreign"), agent("ben", trunk="foreign", reached_at="+491711234567"))
    return house(**{"agents": agents, "trunks": (IN, trunk)} | more)


def opened(configuration: TenantConfiguration, **phones: Phone) -> Shell:
    shell = open_house(configuration, ready=False, **phones)
    for one in configuration.agents:
        for binding in list(shell.engine.state.agents[one.id].bindings):
            shell.send(inp.DeviceUnregistered(agent=one.id, contact=binding))
    return shell


def category(shell: Shell, name: str) -> str:
    return next(one.category for one in shell.engine.live().agents if one.id == name)


def test_the_queue_rings_the_extension_behind_the_trunk_though_nothing_is_registered() -> None:
    shell = opened(pbx_house())
    shell.send(inp.LogOn(agent="anna", ready=True))
    name = call(shell)
    (ringing,) = shell.done(ef.OriginateToAgent)
    assert (ringing.trunk, ringing.number, ringing.agent) == ("foreign", "21", "anna")
    leg = next(one for one in shell.of(ev.LegInitiated) if one.role == "agent")
    assert (leg.trunk, leg.number, leg.site, leg.internal) == ("foreign", "21", None, True)
    shell.run(3)
    assert shell.bridges == {frozenset((f"{name}-in", ringing.leg))}


def test_a_number_to_be_reached_at_goes_before_the_extension() -> None:
    shell = opened(pbx_house())
    shell.send(inp.LogOn(agent="ben", ready=True))
    call(shell)
    assert [one.number for one in shell.done(ef.OriginateToAgent)] == ["+491711234567"]


def test_the_phone_is_there_exactly_while_the_trunk_is_up() -> None:
    shell = opened(pbx_house())
    shell.send(inp.LogOn(agent="anna", ready=True))
    assert category(shell, "anna") == "free"
    shell.send(inp.TrunkChanged(trunk="foreign", up=False, detail="no answer to OPTIONS"))
    assert category(shell, "anna") == "unregistered"
    call(shell)
    assert shell.done(ef.OriginateToAgent) == []
    shell.send(inp.TrunkChanged(trunk="foreign", up=True))
    assert [one.agent for one in shell.done(ef.OriginateToAgent)] == ["anna"]


def test_a_device_of_the_same_person_does_not_stand_in_for_the_trunk() -> None:
    shell = opened(pbx_house())
    shell.send(inp.LogOn(agent="anna", ready=True), inp.TrunkChanged(trunk="foreign", up=False))
    shell.send(inp.DeviceRegistered(agent="anna", contact="sip:anna@127.0.0.1", expires_at=shell.now + 60))
    assert category(shell, "anna") == "unregistered"


def test_the_channel_counts_against_the_trunk_and_a_full_trunk_is_not_rung() -> None:
    shell = opened(pbx_house(upload_kbits=100))
    shell.send(inp.LogOn(agent="anna", ready=True), inp.LogOn(agent="ben", ready=True))
    call(shell)
    call(shell)
    assert len(shell.done(ef.OriginateToAgent)) == 1
    assert shell.engine.state.lines["trunk:foreign"].reserved_kbits == 100
    shell.run(3)
    shell.send(inp.LegReleased(leg=shell.done(ef.OriginateToAgent)[0].leg))
    assert len(shell.done(ef.OriginateToAgent)) == 2  # the room that became free is given away in the same step


def test_two_rung_together_do_not_overbook_the_trunk() -> None:
    shell = opened(pbx_house(upload_kbits=150, queues=(queue(strategy="ring_all"),)))
    shell.send(inp.LogOn(agent="anna", ready=True), inp.LogOn(agent="ben", ready=True))
    call(shell)
    (made,) = shell.of(ev.OfferMade)
    assert len(made.decision.chosen) == 1
    assert len(made.decision.removed["no_bandwidth"]) == 1


def test_a_call_to_the_person_goes_over_the_trunk_and_forwards_when_it_is_down() -> None:
    outside = Trunk(id="carrier", name="Carrier", order=5)
    agents = (agent("anna", extension="21", trunk="foreign", forwarding=Forwarding(unregistered="+4930999")),)
    foreign = Trunk(id="foreign", name="Foreign PBX", internal=True, outbound=False)
    shell = opened(
        house(agents=agents, trunks=(IN, foreign, outside), numbers=(Number(number="621", target=ToAgent(agent="anna")),)),
    )
    name = call(shell, "621")
    assert [one.number for one in shell.done(ef.OriginateToAgent)] == ["21"]
    shell.run(3)
    shell.send(inp.LegReleased(leg=f"{name}-in"))
    shell.send(inp.TrunkChanged(trunk="foreign", up=False))
    call(shell, "621")
    assert [one.trunk for one in shell.done(ef.OriginateToOutside)] == ["carrier"]


def test_click_to_dial_rings_the_extension_first_and_the_destination_may_use_the_same_trunk() -> None:
    shell = opened(pbx_house())
    shell.send(inp.LogOn(agent="anna", ready=True))
    shell.send(inp.Dial(agent="anna", call="d", number="+4930999"))
    shell.run(3)
    assert [one.trunk for one in shell.done(ef.OriginateToOutside)] == ["foreign"]
    assert all(one.internal for one in shell.of(ev.LegInitiated))
    shell.run(3)
    assert shell.bridges
    shell.send(inp.HangUp(agent="anna", call="d"))
    shell.send(inp.TrunkChanged(trunk="foreign", up=False))
    with pytest.raises(IllegalTransition, match="trunk foreign is down"):
        shell.send(inp.Dial(agent="anna", call="d2", number="+4930999"))


def test_configurations_that_lead_nowhere_are_named() -> None:
    people = (
        agent("anna", trunk="foreign"),
        agent("ben", extension="22", trunk="nowhere"),
        agent("cleo", reached_at="+491711234567"),
    )
    assert TenantConfiguration(tenant="demo", agents=people, trunks=(PBX,)).problems() == [
        "agent anna is behind trunk foreign without an extension or a number to be reached at",
        "agent ben is behind the unknown trunk nowhere",
        "agent cleo is to be reached at +491711234567 without a trunk",
    ]
