"""Calls by random scripts, with one side's process killed between any two steps: the other ends with a whole session, or with none.

The notes are kept as the contract of `UserAgent.keep_living` says: anew after every event and command that concerns a session, and when
`changed` tells of it; never at the moment of the kill.
"""

import itertools

import pytest
from hypothesis import event as seen
from hypothesis import given, settings
from hypothesis import note as say
from hypothesis import strategies as st

from sip.config import UserAgentConfig
from sip.events import (
    IncomingInvite,
    ReferReceived,
    ReInviteAnswered,
    ReInviteReceived,
    SessionEnded,
    SessionFailed,
)
from sip.session import State
from sip.session_timer import SessionTimerPolicy
from sip.user_agent import UserAgent

from .network import ANSWER, OPEN, SDP, LossyLink, Network

CONFIG = UserAgentConfig(classify=OPEN.classify, session_timer=SessionTimerPolicy(interval_s=90))
KEY = ("application/dtmf-relay", b"Signal=5\r\nDuration=100\r\n")
HELD = b"a=sendonly\r\n"
STEPS = ["ring", "answer", "hold", "resume", "info", "ask", "refer", "notify", "notify_last", "wait", "wait_long"]


class Keeping(Network):
    """Keeps the notes of one node up to date after each drain."""

    def __init__(self, link):
        super().__init__(link)
        self.house = None
        self.dirty: set[str] = set()
        self.notes: dict[str, bytes] = {}

    def drain(self):
        super().drain()
        if self.house is not None and self.house.host in self.nodes:
            self.note()

    def note(self):
        for session in self.dirty:
            made = self.house.agent.keep_living(session)
            if made is None:
                self.notes.pop(session, None)
            else:
                self.notes[session] = made
        self.dirty.clear()


class Script:
    """Alice calls Bob; both applications agree to everything."""

    def __init__(self, is_caller, transport, loss, seed):
        self.network = network = Keeping(LossyLink(loss=loss, seed=seed))
        self.a, self.b = network.node("192.0.2.1", CONFIG, transport), network.node("192.0.2.2", CONFIG, transport)
        for node in (self.a, self.b):
            node.react = self.reacting(node)
        network.house = self.house = self.a if is_caller else self.b
        self.phone = self.b if is_caller else self.a
        self.generation = itertools.count()
        self.house.agent.changed = network.dirty.add
        self.a.call(self.b, "call")
        self.network.dirty.add("call")
        self.network.drain()

    def reacting(self, node):
        def react(event):
            session = getattr(event, "session", None)
            if node is self.network.house and session is not None:
                self.network.dirty.add(session)
            if isinstance(event, ReInviteReceived):
                node.agent.accept_reinvite(session, SDP if node is self.a else ANSWER, node.now)
            elif isinstance(event, ReferReceived):
                node.agent.answer_refer(session, 202, node.now)

        return react

    def session_of(self, node):
        if node is self.a:
            return "call"
        found = node.of(IncomingInvite)
        return found[0].session if found else None

    def command(self, node, what):
        session, agent, now = self.session_of(node), node.agent, self.network.now
        if session is None or session not in agent._sessions:
            return
        state = agent._sessions[session].state
        if what == "ring" and state is State.OFFERED:
            agent.ring(session, now)
        elif what == "answer" and state is State.OFFERED:
            agent.accept(session, ANSWER, now)
        elif what in {"hold", "resume"} and state is State.ESTABLISHED:
            sdp = SDP if node is self.a else ANSWER
            agent.reinvite(session, sdp + HELD if what == "hold" else sdp, now)
        elif what == "info" and state is State.ESTABLISHED:
            agent.info(session, *KEY, now)
        elif what == "ask" and state is State.ESTABLISHED:
            agent.ask_whether_there(session, now)
        elif what == "refer" and state is State.ESTABLISHED:
            agent.refer(session, "<sip:carol@192.0.2.3>", now)
        elif what in {"notify", "notify_last"}:
            agent.notify_referrer(session, 180 if what == "notify" else 200, now, final=what == "notify_last")
        elif what == "end":
            agent.cancel_or_bye(session, now)
        if node is self.house:
            self.network.dirty.add(session)
        self.network.drain()

    def kill(self, away_s):
        """The process dies, and another goes on from the notes after a while."""
        node, network = self.house, self.network
        del network.nodes[node.host]
        network.run(away_s)
        network.nodes[node.host] = node
        serial, generation = itertools.count(), next(self.generation)
        node.agent = UserAgent(CONFIG, lambda: f"g{generation}x{node.host.replace('.', '')}x{next(serial):06d}")
        node.agent.changed = network.dirty.add
        for session, note in list(network.notes.items()):
            node.agent.resume(session, note, network.now)
            network.dirty.add(session)
        network.drain()


steps = st.tuples(st.sampled_from(STEPS), st.booleans(), st.sampled_from([0.0, 0.005, 0.011, 0.021, 0.3, 1.0]))
kills = st.none() | st.sampled_from([0.0, 0.05, 0.7, 3.0])


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(
    is_caller=st.booleans(),
    transport=st.sampled_from(["udp", "tcp"]),
    script=st.lists(st.tuples(steps, kills), max_size=8),
    ends_here=st.booleans(),
    ends_early=st.booleans(),
    last_kill=kills,
    loss=st.sampled_from([0.0, 0.0, 0.1]),
    seed=st.integers(0, 1000),
)
def test_whatever_was_going_on_a_kill_ends_no_call_and_leaves_none(
    is_caller, transport, script, ends_here, ends_early, last_kill, loss, seed
):
    if transport == "tcp":
        loss = 0.0  # a stream loses nothing; what is sent to a dead process is lost all the same, and that alone
        script = [(step, None if away is None else 0.0) for step, away in script]
        last_kill = None if last_kill is None else 0.0
    say(f"{is_caller=} {transport=} {script=} {ends_here=} {ends_early=} {last_kill=} {loss=} {seed=}")
    run = Script(is_caller, transport, loss, seed)
    killed = 0
    for (what, is_house, pause), away in script:
        if what.startswith("wait"):
            run.network.run(1.0 if what == "wait" else 100.0)
        else:
            run.command(run.house if is_house else run.phone, what)
        run.network.run(pause)
        if away is not None:
            killed += 1
            run.kill(away)
    if run.session_of(run.b) is None:
        run.network.run(10)  # the INVITE is on its way, or was lost
    if not ends_early:
        run.command(run.b, "ring")
        run.command(run.b, "answer")
        run.network.run(15)
        both = [node.agent._sessions.get(run.session_of(node)) for node in (run.a, run.b)]
        assert [one.state if one is not None else None for one in both] == [State.ESTABLISHED] * 2
        ours, theirs = both
        assert (ours.dialog.local_tag, ours.dialog.remote_tag) == (theirs.dialog.remote_tag, theirs.dialog.local_tag)
        # What each takes for the other's description is what the other takes for its own.
        for node in (run.house, run.phone):
            run.command(node, "resume")
            run.network.run(15)
            assert node.of(ReInviteAnswered)[-1].status == 200
        assert (ours.local_sdp, ours.remote_sdp) == (theirs.remote_sdp, theirs.local_sdp) == (SDP, ANSWER)
    assert run.network.sent("SIP/2.0 481") == []  # never of a living call
    if not is_caller and ends_early and loss:
        last_kill = None  # not covered: a refusal that is lost on the way, and repeated by nobody
    run.command(run.house if ends_here else run.phone, "end")
    if last_kill is not None:
        run.kill(last_kill)
    run.network.run(200)
    seen(f"kills: {killed}")
    for node in (run.a, run.b):
        state = node.agent.describe(run.network.now)
        assert (state["sessions"], state["dialogs"]) == ([], 0)
        assert len(node.of(SessionEnded | SessionFailed)) == (0 if run.session_of(node) is None else 1)
