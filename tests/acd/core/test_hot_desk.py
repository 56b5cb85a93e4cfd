"""Hot desk: who has proved to be an agent at another's phone has it until the log-off; nobody else is rung there or pays for it."""

from __future__ import annotations

import msgspec
import pytest

from acd.core import effects as ef
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import Number, Site, ToAgent
from acd.core.configuration_changes import difference
from acd.core.steps.hot_desk import PATIENCE_S
from tests.acd.core.shell import Shell, agent, call, house, open_house, queue


def office(**more) -> Shell:
    """Anna (11) and Ben (12), who each have a phone; Ben is not logged on."""
    people = (agent("anna", extension="11"), agent("ben", extension="12", outbound_caller_id="+493012"))
    return open_house(house(agents=people, **more), ready=False)


def dial(shell: Shell, phone: str, code: str, name: str = "desk", *, has_pin: bool = True) -> None:
    shell.send(inp.CallArrived(call=name, leg=f"{name}-in", agent=phone, calling="11", called=code, has_pin=has_pin))


def judge(shell: Shell, outcome: str, who: str = "ben", name: str = "desk") -> None:
    shell.send(inp.PinJudged(leg=f"{name}-in", agent=who, outcome=outcome))


def sit(shell: Shell, phone: str, extension: str, who: str, name: str = "desk") -> tuple[str, ...]:
    """Somebody logs on at a phone; what is said. Afterwards the call is over."""
    dial(shell, phone, f"*25{extension}", name)
    judge(shell, "right", who, name)
    said = shell.done(ef.PlaySounds)[-1].sounds
    shell.run(20)
    assert name not in shell.engine.state.calls
    return said


def at(shell: Shell, who: str) -> str | None:
    return shell.engine.state.agents[who].at


def board(shell: Shell, who: str):
    (found,) = [one for one in shell.engine.live().agents if one.id == who]
    return found


def test_the_right_pin_logs_on_and_the_phone_is_ben_s():
    shell = office()
    assert sit(shell, "anna", "12", "ben") == ("agent.logged_on",)
    assert (at(shell, "ben"), board(shell, "ben").at, board(shell, "ben").state) == ("anna", "anna", "not_ready")
    assert (board(shell, "ben").registered, board(shell, "anna").registered) == (True, False)


def test_a_queue_s_call_for_ben_rings_at_anna_s_phone_and_at_no_other():
    shell = office()
    sit(shell, "anna", "12", "ben")
    shell.send(inp.GoReady(agent="ben"))
    call(shell, name="c")
    (rung,) = shell.done(ef.OriginateToAgent)
    assert (rung.agent, rung.at, rung.device) == ("ben", "anna", shell.engine._step.fold.index.agents["anna"].device)


def test_his_own_phone_counts_for_nothing_meanwhile_and_anna_s_does():
    shell = office()
    sit(shell, "anna", "12", "ben")
    for binding in list(shell.engine.state.agents["ben"].bindings):
        shell.send(inp.DeviceUnregistered(agent="ben", contact=binding))
    assert board(shell, "ben").registered
    for binding in list(shell.engine.state.agents["anna"].bindings):
        shell.send(inp.DeviceProbed(agent="anna", contact=binding, answers=False))
    assert (board(shell, "ben").registered, board(shell, "ben").unreachable) == (False, True)


def test_what_is_dialled_there_is_ben_s():
    shell = office()
    sit(shell, "anna", "12", "ben")
    shell.send(inp.CallArrived(call="out", leg="out-in", agent="anna", calling="11", calling_name="Anna", called="+4930999"))
    (begun,) = [one for one in shell.of(ev.CallOffered) if one.call == "out"]
    assert (begun.agent, begun.calling) == ("ben", "12")
    assert shell.done(ef.OriginateToOutside)[-1].on_account_of == "ben"
    assert "out" in shell.engine.state.agents["ben"].works


def test_a_call_for_help_goes_out_and_shows_the_number_of_the_place():
    shell = office()
    sit(shell, "anna", "12", "ben")
    shell.send(inp.CallArrived(call="help", leg="help-in", agent="anna", calling="11", called="112"))
    assert shell.done(ef.OriginateToOutside)[-1].caller_id is None  # Anna's, who has none of her own, and not Ben's
    shell.send(inp.LegReleased(leg="help-in"))
    shell.send(inp.LogOff(agent="ben"), inp.CallArrived(call="more", leg="more-in", agent="anna", calling="11", called="110"))
    assert shell.done(ef.OriginateToOutside)[-1].number == "110"


def test_a_call_for_anna_finds_nobody_while_ben_has_her_phone():
    shell = office(numbers=(Number(number="611", target=ToAgent(agent="anna")),))
    sit(shell, "anna", "12", "ben")
    call(shell, "611", name="c")
    assert [one.cause for one in shell.of(ev.CallCleared) if one.call == "c"] == ["unregistered"]
    shell.send(inp.LogOff(agent="ben"))
    call(shell, "611", name="d")
    assert [(one.agent, one.at) for one in shell.done(ef.OriginateToAgent)] == [("anna", None)]


@pytest.mark.parametrize("how", ["desk", "*22", "*25"])
def test_however_ben_logs_off_anna_has_her_phone_again(how):
    shell = office()
    sit(shell, "anna", "12", "ben")
    if how == "desk":
        shell.send(inp.LogOff(agent="ben"))
    else:
        dial(shell, "anna", how, "off", has_pin=False)
        shell.run(20)
    assert (at(shell, "ben"), board(shell, "ben").state, board(shell, "anna").registered) == (None, "logged_off", True)


def test_the_code_alone_at_a_phone_that_is_nobody_else_s_is_refused():
    shell = office()
    dial(shell, "anna", "*25", has_pin=False)
    assert shell.done(ef.PlaySounds)[-1].sounds == ("invalid_choice",)


def test_another_one_takes_the_phone_and_ben_has_his_own_again():
    people = (agent("anna", extension="11"), agent("ben", extension="12"), agent("cem", extension="13"))
    shell = open_house(house(agents=people), ready=False)
    sit(shell, "anna", "12", "ben")
    sit(shell, "anna", "13", "cem", "second")
    assert (at(shell, "ben"), at(shell, "cem"), board(shell, "ben").state, board(shell, "ben").registered) == (
        None,
        "anna",
        "not_ready",
        True,
    )
    assert [(one.agent, one.why) for one in shell.of(ev.HotDeskEnded)] == [("ben", "taken")]


def test_ben_moves_on_and_comes_home():
    people = (agent("anna", extension="11"), agent("ben", extension="12"), agent("cem", extension="13"))
    shell = open_house(house(agents=people), ready=False)
    sit(shell, "anna", "12", "ben")
    sit(shell, "cem", "12", "ben", "second")
    assert (at(shell, "ben"), board(shell, "anna").registered, board(shell, "cem").registered) == ("cem", True, False)
    sit(shell, "ben", "12", "ben", "home")
    assert (at(shell, "ben"), board(shell, "cem").registered) == (None, True)


def test_two_can_change_places():
    shell = office()
    sit(shell, "anna", "12", "ben")
    sit(shell, "ben", "11", "anna", "second")
    assert (at(shell, "anna"), at(shell, "ben")) == ("ben", "anna")
    shell.send(inp.LogOff(agent="ben"))
    assert (at(shell, "anna"), board(shell, "anna").registered, board(shell, "ben").registered) == ("ben", True, False)


@pytest.mark.parametrize(("outcome", "said"), [("wrong", "agent.pin_wrong"), ("wait", "agent.pin_wait"), ("failed", "error")])
def test_without_the_right_pin_the_phone_stays_whose_it_was(outcome, said):
    shell = office()
    dial(shell, "anna", "*2512")
    judge(shell, outcome)
    assert shell.done(ef.PlaySounds)[-1].sounds == (said,)
    shell.run(20)
    judge(shell, "right")  # too late
    assert (at(shell, "ben"), board(shell, "ben").state) == (None, "logged_off")
    assert [one.why for one in shell.of(ev.HotDeskRefused)] == [outcome]
    assert shell.engine.state.timers == {name: due for name, due in shell.engine.state.timers.items() if not name.startswith("pin ")}


def test_who_keys_nothing_is_told_and_let_go():
    shell = office()
    dial(shell, "anna", "*2512", has_pin=False)
    assert [one.sounds for one in shell.done(ef.PlaySounds)] == [("agent.pin",)]
    assert [(one.agent, one.at) for one in shell.done(ef.JudgePin)] == [("ben", "anna")]
    shell.run(PATIENCE_S + 10)
    assert [one.why for one in shell.of(ev.HotDeskRefused)] == ["no_pin"]
    assert "desk" not in shell.engine.state.calls


def test_who_hangs_up_before_the_verdict_leaves_nothing_behind():
    shell = office()
    dial(shell, "anna", "*2512")
    shell.send(inp.LegReleased(leg="desk-in"))
    judge(shell, "right")
    assert (at(shell, "ben"), shell.engine.state.agents["anna"].works) == (None, {})
    assert not [name for name in shell.engine.state.timers if name.startswith("pin ")]


def test_nobody_is_moved_out_of_a_call():
    shell = office(queues=(queue(),))
    shell.send(inp.LogOn(agent="ben", ready=True))
    call(shell, name="c")
    shell.run(4)
    dial(shell, "anna", "*2512")
    assert shell.done(ef.JudgePin) == []
    assert shell.done(ef.PlaySounds)[-1].sounds == ("invalid_choice",)


def test_no_caller_is_sent_to_the_phone_while_it_is_off_the_hook():
    shell = office()
    shell.send(inp.LogOn(agent="ben", ready=True))
    dial(shell, "anna", "*2512")
    judge(shell, "right")
    call(shell, name="c")
    assert shell.done(ef.OriginateToAgent) == []
    shell.run(10)
    assert [one.at for one in shell.done(ef.OriginateToAgent)] == ["anna"]


def test_when_anna_is_removed_ben_has_his_own_phone_again():
    shell = office()
    sit(shell, "anna", "12", "ben")
    before = shell.engine.state.configuration
    after = msgspec.structs.replace(before, agents=tuple(one for one in before.agents if one.id == "ben"))
    shell.send(inp.Reconfigured(changes=difference(before, after)))
    assert (at(shell, "ben"), [one.why for one in shell.of(ev.HotDeskEnded)], board(shell, "ben").registered) == (None, ["removed"], True)


def test_the_line_of_the_phone_s_site_is_what_a_call_takes():
    people = (agent("anna", extension="11", site="here"), agent("ben", extension="12", site="there"))
    sites = (Site(id="here", upload_kbits=1000), Site(id="there", upload_kbits=1000))
    shell = open_house(house(agents=people, sites=sites), ready=False)
    sit(shell, "anna", "12", "ben")
    shell.send(inp.GoReady(agent="ben"))
    call(shell, name="c")
    assert [one.line for one in shell.of(ev.ChannelReserved)][-1] == "site:here"
    fold = shell.engine._step.fold
    assert (fold.index.channel_of["ben"][0], "anna" in fold.index.channel_of) == ("site:here", False)


def test_a_restart_keeps_it():
    shell = office()
    sit(shell, "anna", "12", "ben")
    shell.send(inp.ServiceStarted())
    assert (at(shell, "ben"), board(shell, "ben").registered) == ("anna", True)


def test_whose_shift_ended_with_the_code_s_call_is_not_busy_for_ever():
    shell = office(queues=(queue(after_call_work_s=60.0),))
    sit(shell, "anna", "12", "ben")
    shell.send(inp.GoReady(agent="ben"))
    call(shell, name="c")
    shell.run(4)
    shell.send(inp.LogOff(agent="ben"), inp.LegReleased(leg="c-in"))  # asked for during the call; after-call work goes on
    dial(shell, "anna", "*2512", "again")
    assert (at(shell, "ben"), board(shell, "ben").state) == (None, "logged_off")
    judge(shell, "right", name="again")
    shell.run(20)
    assert (at(shell, "ben"), shell.engine.state.agents["ben"].works, shell.engine.state.agents["anna"].works) == ("anna", {}, {})
