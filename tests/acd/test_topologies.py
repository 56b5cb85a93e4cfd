"""Every topology of a transfer: whoever is the target, however it is handed over, whatever comes of it, the record closes, nobody is lost.

Who ends up with whom is said here by a table of its own, from what the three people want, not from the steps of the core.
"""

from __future__ import annotations

import contextlib
import itertools

import pytest

from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import Menu, Target, ToAgent, ToHangUp, ToMenu, ToOutside, ToQueue, Trunk
from acd.core.errors import IllegalTransition, UnknownName
from tests.acd.core.shell import Phone, Shell, agent, call, house, open_house, queue
from tests.acd.test_ledger import Books

OUTSIDE = "+49301234567"
TARGETS: dict[str, Target] = {
    "agent": ToAgent(agent="ben"),
    "queue": ToQueue(queue="sales"),
    "menu": ToMenu(menu="main"),
    "outside": ToOutside(number=OUTSIDE),
}
KINDS = ("blind", "attended", "semi", "conference")
OUTCOMES: dict[str, Phone] = {
    "answers": Phone(answers_after_s=3.0),
    "busy": Phone(fails="busy", fails_after_s=2.0),
    "refused": Phone(fails="rejected", fails_after_s=2.0),
    "unanswered": Phone(answers_after_s=None),
    "unreachable": Phone(fails="unreachable", fails_after_s=2.0),
}
INTERRUPTED = ("nobody", "caller", "transferor", "target", "cancel")
"""Who hangs up while it is under way; `cancel`: the transferor wants its caller back."""
AT_S = (1.0, 6.0)
"""Before the target answers, and after it."""
PATIENCE_S = 100.0
X, A = "c-in", "c.1"


def talking(target_phone: Phone) -> Books:
    """A caller talks to anna; ben is the agent, the queue's only member, the menu's only key; he is outside, too."""
    configuration = house(
        agents=(agent("anna", after_call_work_s=0.0), agent("ben", skills={}, after_call_work_s=0.0)),
        queues=(
            queue(greeting=(), announce_position=False, record=True),
            queue("sales", requirements=(), members=("ben",), greeting=(), announce_position=False, record=True),
        ),
        menus=(Menu(id="main", sounds=("menu",), options={"1": ToAgent(agent="ben")}, fallback=ToHangUp(), timeout_s=300.0),),
        trunks=(Trunk(id="pbx", name="PBX"),),
        recording_notice=False,
    )
    shell = open_house(configuration, anna=Phone(answers_after_s=1.0), ben=target_phone)
    shell.phones[OUTSIDE] = target_phone
    call(shell, name="c", calling="+4989123456")
    shell.run(2)
    return Books(shell)


def hands_over(shell: Shell, kind: str, target: Target) -> None:
    """What the transferor does, as far as it comes."""
    if kind == "blind":
        shell.send(inp.Transfer(agent="anna", call="c", target=target))
        return
    shell.send(inp.Consult(agent="anna", call="c", target=target))
    if kind == "semi":
        shell.run(0.5)
        tries(shell, inp.CompleteTransfer(agent="anna", call="c"))


def confirms(shell: Shell, kind: str) -> None:
    """The last step of who waits for the target."""
    if kind == "attended":
        tries(shell, inp.CompleteTransfer(agent="anna", call="c"))
    elif kind == "conference":
        tries(shell, inp.Conference(agent="anna", call="c"))


def tries(shell: Shell, command: inp.Command) -> None:
    """A desk's button may have lost its meaning meanwhile."""
    with contextlib.suppress(IllegalTransition, UnknownName):
        shell.send(command)


def interrupts(shell: Shell, who: str) -> None:
    state = shell.engine.state
    living = state.calls.get("c")
    if living is None or who == "nobody":
        return
    if who == "cancel":
        if living.consultation is not None:
            shell.send(inp.Reconnect(agent="anna", call="c"))
        return
    target = [one for one in living.legs if one not in {X, A}]
    leg = {"caller": X, "transferor": A, "target": target[0] if target else None}[who]
    if leg is not None and leg in shell.legs:
        ringing = shell.legs[leg] == "ringing"
        shell.send(inp.LegFailed(leg=leg, cause="rejected", status=603) if ringing else inp.LegReleased(leg=leg))


def nobody_is_lost(shell: Shell) -> None:
    """Whoever is on the line hears somebody, or something, or waits for a phone that rings or for who holds."""
    state = shell.engine.state
    for one in state.calls.values():
        roles = [(leg.role, leg.agent) for name in one.legs if (leg := state.legs[name])]
        assert len([role for role in roles if role[1] is not None]) == len({who for _, who in roles if who is not None})
        assert len([role for role, _ in roles if role == "caller"]) <= 1
        assert len([role for role, _ in roles if role in {"destination", "forward"}]) <= 1
        rings = any(shell.legs[name] == "ringing" for name in one.legs)
        for name in one.legs:
            if shell.legs[name] == "up":
                assert shell.heard_by(name) or name in shell.plays or rings or one.consultation is not None, (name, one)
        if one.referral is not None:
            assert rings, "who waits for what comes of a transfer waits for a phone"


def walk(target: str, kind: str, outcome: str, who: str, at_s: float) -> Books:
    """One topology from its beginning to the moment when nothing more happens by itself."""
    books = talking(OUTCOMES[outcome])
    shell = books.shell
    hands_over(shell, kind, TARGETS[target])
    nobody_is_lost(shell)
    if target == "menu":
        shell.run(0.2)
        for leg in (A, X):  # whoever hears it
            if leg in shell.legs:
                shell.send(inp.DigitPressed(leg=leg, digit="1"))
    shell.run(at_s)
    interrupts(shell, who)
    nobody_is_lost(shell)
    shell.run(max(0.0, 6.5 - at_s))
    confirms(shell, kind)
    nobody_is_lost(shell)
    for _ in range(20):
        shell.run(PATIENCE_S / 20)
        nobody_is_lost(shell)
    return books


TOPOLOGIES = list(itertools.product(TARGETS, KINDS, OUTCOMES, INTERRUPTED, AT_S))


PARTS = [TOPOLOGIES[part::4] for part in range(4)]
"""Of about equal length, so that two workers share them."""


@pytest.mark.parametrize("part", PARTS, ids=range(4))
def test_every_topology_closes_its_record_and_loses_nobody(part):
    for topology in part:
        books = walk(*topology)
        shell = books.shell
        for one in list(shell.engine.state.calls):
            shell.send(inp.ClearCall(call=one, by="boss"))
        cdr = books.only()
        assert cdr.problems == (), topology
        assert not any((shell.legs, shell.plays, shell.recordings, shell.engine.state.calls)), topology
        transferred = len(cdr.transferred_by)
        assert transferred <= 1, topology
        assert transferred == len({one.call for one in shell.of(ev.CallTransferred)} | handed_over(shell)), topology


def handed_over(shell: Shell) -> set[str]:
    return {one.call for one in shell.of(ev.ConsultationEnded) if one.then == "handed_over"}


PARTNERS = {
    # kind, outcome, who hangs up, when: who talks to whom in the end, for a target that rings
    ("blind", "answers", "nobody", 1.0): "caller target",
    ("blind", "answers", "caller", 1.0): "",
    ("blind", "answers", "target", 6.0): "",
    ("attended", "answers", "nobody", 1.0): "caller target",
    ("attended", "answers", "cancel", 1.0): "caller transferor",
    ("attended", "answers", "cancel", 6.0): "caller transferor",
    ("attended", "answers", "caller", 1.0): "",
    ("attended", "answers", "caller", 6.0): "transferor target",
    ("attended", "answers", "transferor", 1.0): "caller target",
    ("attended", "answers", "transferor", 6.0): "caller target",
    ("attended", "answers", "target", 1.0): "caller transferor",
    ("attended", "answers", "target", 6.0): "caller transferor",
    ("semi", "answers", "nobody", 1.0): "caller target",
    ("semi", "answers", "transferor", 1.0): "caller target",
    ("semi", "answers", "caller", 1.0): "",
    ("semi", "answers", "target", 1.0): "caller transferor",
    ("conference", "answers", "nobody", 1.0): "caller transferor target",
    ("conference", "answers", "cancel", 1.0): "caller transferor",
    ("conference", "answers", "transferor", 6.0): "caller target",
    **{("attended", outcome, "nobody", 1.0): "caller transferor" for outcome in OUTCOMES if outcome != "answers"},
    **{("semi", outcome, "nobody", 1.0): "caller transferor" for outcome in OUTCOMES if outcome != "answers"},
    **{("conference", outcome, "nobody", 1.0): "caller transferor" for outcome in OUTCOMES if outcome != "answers"},
    **{("blind", outcome, "nobody", 1.0): "" for outcome in OUTCOMES if outcome != "answers"},
}


@pytest.mark.parametrize("target", ["agent", "outside"])
def test_who_talks_to_whom_in_the_end_is_what_they_wanted(target):
    for (kind, outcome, who, at_s), expected in PARTNERS.items():
        shell = walk(target, kind, outcome, who, at_s).shell
        names = {X: "caller", A: "transferor"}
        found = {names.get(one, "target") for pair in shell.hears.get("c", ()) for one in pair if one in shell.legs}
        assert found == set(expected.split()), (kind, outcome, who, at_s)
        assert len(shell.legs) == len(found), (kind, outcome, who, at_s)
