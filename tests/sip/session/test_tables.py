"""Every state x input pair of the session and the re-INVITE machine, fired at a real session in a real engine."""

import pytest

from sip.dialog import uac_dialog, uas_dialog
from sip.digest import ClientDigest, DigestCredentials
from sip.events import SessionEnded, SessionFailed
from sip.flow import Flow
from sip.message import Request
from sip.session import Input, Session, State, machine, reinvite
from sip.uri import Uri
from sip.user_agent import UserAgent
from tests.sip.user_agent.network import ANSWER, OPEN, SDP

FLOW = Flow("udp", ("192.0.2.1", 5060), ("192.0.2.2", 5060))
CALLER_STATES = {State.CALLING, State.PROCEEDING, State.CANCEL_PENDING, State.CANCELLING}
CALLEE_STATES = {State.OFFERED, State.ANSWERED, State.HANG_UP_PENDING}
CALLER_INPUTS = {Input.REPEATED_2XX, Input.FORKED_2XX, Input.CHALLENGE, Input.TOO_BRIEF}


def request(method, number=1, branch="b"):
    return Request.build(
        method,
        Uri.parse("sip:bob@192.0.2.2"),
        [
            ("Via", f"SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{branch}{method}"),
            ("From", "<sip:alice@192.0.2.1>;tag=a"),
            ("To", "<sip:bob@192.0.2.2>"),
            ("Call-ID", "walk"),
            ("CSeq", f"{number} {method}"),
            ("Contact", "<sip:alice@192.0.2.1>"),
            ("Max-Forwards", "70"),
        ],
        SDP,
        "application/sdp",
    )


class Bench:
    """A session put into a state, with everything that state stands on."""

    def __init__(self, state, *, is_caller):
        serial = iter(range(10**6))
        self.agent = UserAgent(OPEN, lambda: f"token{next(serial):06d}")
        invite = request("INVITE")
        self.session = Session(self.agent, "walk", invite, FLOW, is_caller=is_caller)
        self.agent._sessions["walk"] = self.session
        if is_caller:
            self.session.digest = ClientDigest(DigestCredentials("u", "p"))
            self.session.call(0.0)
            if state not in CALLER_STATES:
                self.session.dialog = uac_dialog(invite, self.ok("b"), FLOW)
                self.session.ack = (FLOW, b"ACK")
        else:
            uas = self.agent.layer.serve_invite(invite, FLOW, self.session, 0.0)
            self.session.be_offered(uas, "b")
            self.session.dialog = uas_dialog(invite, "b", FLOW)
            if state is not State.OFFERED:
                self.session.send_2xx(0.0, (ANSWER, ()))
        self.session.state = state
        self.agent.datagrams_to_send()

    def ok(self, tag, status=200):
        return self.session.invite.response(
            status, to_tag=tag, headers=[("Contact", "<sip:bob@192.0.2.2>")], body=ANSWER, content_type="application/sdp"
        )

    def argument(self, event):
        match event.value:
            case "response_1xx":
                return self.ok("b", 180)
            case "response_2xx" | "repeated_2xx":
                return self.ok("b")
            case "forked_2xx":
                return self.ok("other")
            case "response_300_699" | "response_491":
                return self.ok("b", 491)
            case "too_brief":
                return self.session.invite.response(422, to_tag="b", headers=[("Min-SE", "3600")])
            case "challenge":
                response = self.session.invite.response(401, headers=[("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth"')])
                self.session.digest.learn(response)
                return response
            case "ring":
                return 180, None, ()
            case "accept":
                return ANSWER, ()
            case "reject":
                return 486, None, ()
            case "ack":
                return request("ACK")
            case "cancel" | "bye":
                return self.agent.layer.serve(request(event.value.upper(), 2), FLOW)
        return None


def pairs():
    for state in State:
        for event in Input:
            is_caller = state in CALLER_STATES or (state not in CALLEE_STATES and (event in CALLER_INPUTS or event is Input.RESPONSE_2XX))
            yield pytest.param(state, event, is_caller, id=f"{state.value}-{event.value}")


@pytest.mark.parametrize(("state", "event", "is_caller"), list(pairs()))
def test_every_pair_of_the_session_follows_its_table_or_is_dropped_and_counted(state, event, is_caller):
    bench = Bench(state, is_caller=is_caller)
    argument = bench.argument(event) if event not in CALLER_INPUTS or is_caller else None
    edge = machine.TRANSITIONS[state].get(event)
    bench.session.fire(event, 1.0, argument)
    said, sent = bench.agent.events(), bench.agent.datagrams_to_send()
    if edge is None:
        assert bench.session.state is state
        assert (said, sent) == ([], [])
        assert bench.agent.counters == {f"session.{state.value}.{event.value}": 1}
        return
    actions = {action.value for action in edge.actions}
    assert bench.session.state is edge.state
    endings = [one for one in said if isinstance(one, SessionEnded | SessionFailed)]
    assert len(endings) == len([name for name in actions if name.startswith(("report_ended", "report_refused", "report_un"))])
    assert bool(sent) == bool([name for name in actions if name.startswith(("send", "resend", "answer", "retry", "hang_up_fork"))])
    assert bench.agent.is_alive("walk") == ("release" not in actions)
    if "release" in actions:
        assert bench.session.timers == {}
        assert bench.agent.describe(1.0)["dialogs"] == 0


@pytest.mark.parametrize("state", list(reinvite.State))
@pytest.mark.parametrize("event", list(reinvite.Input))
def test_every_pair_of_the_reinvite_follows_its_table_or_is_dropped_and_counted(state, event):
    bench = Bench(State.ESTABLISHED, is_caller=True)
    changes = bench.session.modification
    uas = bench.agent.layer.serve_invite(request("INVITE", 7, "re"), FLOW, bench.session, 0.0)
    changes.state, changes.uas, changes.ack, changes.ok = state, uas, (FLOW, b"ACK"), bench.ok("b")
    changes.sequence_number = 1
    arguments = {
        "send": SDP, "accept": ANSWER, "reject": (488, ()), "invite": uas, "ack": request("ACK"), "response_2xx": bench.ok("b"),
        "response_422": bench.ok("b", 422), "response_491": bench.ok("b", 491), "response_300_699": bench.ok("b", 488),
    }  # fmt: skip
    edge = reinvite.TRANSITIONS[state].get(event)
    changes.fire(event, 1.0, arguments.get(event.value))
    said, sent = bench.agent.events(), bench.agent.datagrams_to_send()
    if edge is None:
        assert changes.state is state
        assert (said, sent) == ([], [])
        assert bench.agent.counters == {f"reinvite.{state.value}.{event.value}": 1}
        return
    actions = {action.value for action in edge.actions}
    # Giving the session up closes this machine as well.
    assert changes.state is (reinvite.State.CLOSED if "give_up_session" in actions else edge.state)
    reports = [name for name in actions if name.startswith("report")] + ["session ended"] * ("give_up_session" in actions)
    assert len(said) == len(reports)
    assert bool(sent) == bool([name for name in actions if name.startswith(("send", "resend", "give_up"))])
