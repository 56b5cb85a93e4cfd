"""Calls over a link that loses, doubles and reorders: whatever happens, nothing is left over (RFC 3261 §17; RFC 6026)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip.events import IncomingInvite, ReInviteReceived, SessionAccepted, SessionEnded, SessionFailed

from .network import ANSWER, SDP, LossyLink, answering, pair

# The longest life of anything: an INVITE given up (64*T1), its CANCEL or BYE given up (64*T1), then timer D, J or M (64*T1), and T4.
SETTLED_S = 4 * 32 + 10
STEPS = [
    "a hangs up",
    "b hangs up",
    "b accepts",
    "b rejects",
    "b rings",
    "a reinvites",
    "b reinvites",
    "a accepts reinvite",
    "b accepts reinvite",
    "wait",
]


def is_empty(node):
    state = node.agent.describe(node.now)
    return (state["sessions"], state["dialogs"], state["timers"]) == ([], 0, 0) and len(node.agent.layer) == 0


def ends_once(node):
    """Every session ends with exactly one SessionEnded or SessionFailed, and nothing is said about it afterwards."""
    over = set()
    for event in node.events:
        session = getattr(event, "session", None)
        if session is None:
            continue
        assert session not in over, event
        if isinstance(event, SessionEnded | SessionFailed):
            over.add(session)
    begun = {event.session for event in node.of(IncomingInvite)}
    assert begun <= over


@pytest.mark.parametrize("seed", range(10))
def test_a_call_succeeds_over_a_link_that_loses_every_fifth_message(seed):
    network, a, b = pair(LossyLink(loss=0.2, duplication=0.1, latency=(0.005, 0.3), seed=seed))
    answering(b)
    a.call(b)
    network.run(40)
    assert len(a.of(SessionAccepted)) + len(a.of(SessionFailed)) == 1
    a.agent.cancel_or_bye("call", a.now)
    network.run(SETTLED_S)
    assert is_empty(a)
    assert is_empty(b)
    ends_once(a)
    ends_once(b)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    loss=st.floats(0, 0.9),
    duplication=st.floats(0, 0.5),
    slowest=st.floats(0.001, 2.0),
    steps=st.lists(
        st.tuples(
            st.sampled_from(STEPS),
            st.floats(0, 5),
        ),
        max_size=8,
    ),
    transport=st.sampled_from(["udp", "tcp"]),
)
def test_random_loss_and_random_commands_never_leave_a_session_alive_in_either_engine(seed, loss, duplication, slowest, steps, transport):
    lossy = LossyLink(loss, duplication, (0.001, slowest), seed) if transport == "udp" else LossyLink(latency=(slowest, slowest))
    network, a, b = pair(lossy)
    a.transport = b.transport = transport
    a.call(b)
    network.run(0.001)
    for step, wait in steps:
        theirs = b.session if b.of(IncomingInvite) else "none yet"
        match step:
            case "a hangs up":
                a.agent.cancel_or_bye("call", a.now)
            case "b hangs up":
                b.agent.cancel_or_bye(theirs, b.now)
            case "b accepts":
                b.agent.accept(theirs, ANSWER, b.now)
            case "b rejects":
                b.agent.reject(theirs, 486, b.now)
            case "b rings":
                b.agent.ring(theirs, b.now)
            case "a reinvites":
                a.agent.reinvite("call", SDP, a.now)
            case "b reinvites":
                b.agent.reinvite(theirs, SDP, b.now)
            case "a accepts reinvite":
                a.agent.accept_reinvite("call", SDP, a.now)
            case "b accepts reinvite":
                b.agent.accept_reinvite(theirs, SDP, b.now)
        network.run(wait)
    a.agent.cancel_or_bye("call", a.now)
    network.run(SETTLED_S)
    # An INVITE may have reached B although A has given up: B's own application ends what is left, as a ring timeout would.
    for event in b.of(IncomingInvite):
        b.agent.cancel_or_bye(event.session, b.now)
    for event in [*a.of(ReInviteReceived), *b.of(ReInviteReceived)]:
        for node in (a, b):
            node.agent.cancel_or_bye(event.session, node.now)
    network.run(SETTLED_S)
    assert is_empty(a)
    assert is_empty(b)
    ends_once(a)
    ends_once(b)
