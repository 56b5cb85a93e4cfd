"""A user agent is killed; what was noted of its sessions lets the next one go on with them, and the far end hears nothing of it."""

import itertools
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.classified import CHALLENGE
from sip.config import UserAgentConfig
from sip.digest import Account, Authenticator, DigestCredentials, ha1
from sip.errors import LocalMisuse, ParseError
from sip.events import (
    IncomingInvite,
    InfoAnswered,
    InfoReceived,
    ReferAnswered,
    ReferProgress,
    ReferReceived,
    ReInviteAnswered,
    ReInviteConfirmed,
    ReInviteReceived,
    SessionAccepted,
    SessionConfirmed,
    SessionEnded,
    SessionFailed,
    SessionProgress,
    TalkAnswered,
    TalkRequested,
)
from sip.flow import Flow
from sip.headers.name_addr import NameAddr
from sip.kept import CSEQ_GAP
from sip.living import SPREAD_S, Note, share_of
from sip.message import Request
from sip.overload import OverloadPolicy
from sip.parser import parse_datagram
from sip.session_timer import SessionTimerPolicy
from sip.share import Share
from sip.uri import Uri
from sip.user_agent import UserAgent
from tests.sip.messages.strategies import FUZZ, mutated, name_addrs, uris, vias

from .network import ANSWER, OPEN, SDP, Network, answering, pair, ringing
from .test_calls import assert_nothing_left

pytestmark = pytest.mark.usefixtures("only_what_is_new")

A, B, C = "192.0.2.1", "192.0.2.2", "192.0.2.3"
HELD = SDP.replace(b"a=", b"").replace(b"t=0 0\r\n", b"t=0 0\r\na=sendonly\r\n").replace(b"o=- 1 1", b"o=- 1 2")
KEY = ("application/dtmf-relay", b"Signal=5\r\nDuration=100\r\n")
TIMED = UserAgentConfig(classify=OPEN.classify, session_timer=SessionTimerPolicy(interval_s=1800))
GENERATION = itertools.count()


def noted(node):
    return {session: node.agent.keep_living(session) for session in list(node.agent._sessions)}


def restart(node, notes=None, config=OPEN, **more):
    """The process is another; what it knows is what was noted."""
    notes = noted(node) if notes is None else notes
    serial, generation = itertools.count(), next(GENERATION)
    node.agent = UserAgent(config, lambda: f"g{generation}x{node.host.replace('.', '')}x{next(serial):06d}")
    for session, note in notes.items():
        node.agent.resume(session, note, node.now, **more)
    return notes


def last(network, start, by=None):
    return parse_datagram(network.sent(start, by)[-1][1])


def statuses(network, since=0):
    return [data.split()[1].decode() for _, _, _, data in network.wire[since:] if data.startswith(b"SIP/2.0")]


def agreeable(node, answer=ANSWER):
    """Agrees to every change and transfer."""
    before = node.react

    def react(event):
        before(event)
        if isinstance(event, ReInviteReceived):
            node.agent.accept_reinvite(event.session, answer, node.now)
        elif isinstance(event, ReferReceived):
            node.agent.answer_refer(event.session, 202, node.now)

    node.react = react
    return node


class Call:
    """Alice calls Bob; `house` is the one that dies, `phone` the other."""

    def __init__(self, who, transport="udp", config=OPEN, *, ring_first=True, answered=True, **more):
        self.network = network = Network()
        self.config = config
        a, b = network.node(A, config, transport), network.node(B, config, transport)
        if answered:
            answering(b, ring_first)
        else:
            ringing(b)
        agreeable(a, SDP)
        agreeable(b)
        a.call(b, "call", **more)
        network.run(1)
        self.house, self.phone = (a, b) if who == "caller" else (b, a)
        self.ours = "call" if who == "caller" else b.session
        self.theirs = b.session if who == "caller" else "call"
        self.a, self.b = a, b

    def restart(self, **more):
        restart(self.house, config=self.config, **more)
        self.mark = len(self.network.wire)
        self.house.events.clear()
        self.phone.events.clear()

    def run(self, seconds=1.0):
        self.network.run(seconds)

    @property
    def since(self):
        return statuses(self.network, self.mark)


WHO = pytest.mark.parametrize("who", ["caller", "callee"])
TRANSPORT = pytest.mark.parametrize("transport", ["udp", "tcp"])


@pytest.fixture
def call(who, transport):
    made = Call(who, transport)
    made.restart()
    made.run(0.1)
    assert made.network.wire[made.mark :] == []  # nobody hears of it
    return made


def done(call):
    """No error was heard, and the call can be ended without leaving anything."""
    assert [status for status in call.since if status > "299"] == []
    call.house.agent.cancel_or_bye(call.ours, call.house.now)
    call.run()
    assert call.house.one(SessionEnded).by == "local"
    assert call.phone.one(SessionEnded).by == "remote"
    assert last(call.network, "SIP/2.0 200").cseq.method == "BYE"
    assert_nothing_left(call.network)


# ---------------------------------------------------------------------- an established session


@WHO
@TRANSPORT
class TestEstablished:
    def test_it_is_ended_with_bye_from_here(self, call):
        done(call)
        assert last(call.network, "BYE").cseq.number > CSEQ_GAP

    def test_it_is_ended_with_bye_from_there(self, call):
        call.phone.agent.cancel_or_bye(call.theirs, call.phone.now, reason_header="Q.850;cause=16")
        call.run()
        assert call.house.one(SessionEnded).reason_header == "Q.850;cause=16"
        assert call.since == ["200"]
        assert_nothing_left(call.network)

    def test_we_hold_it_and_take_it_back(self, call):
        for offer in (HELD, SDP):
            call.house.agent.reinvite(call.ours, offer, call.house.now)
            call.run()
        assert [event.status for event in call.house.of(ReInviteAnswered)] == [200, 200]
        assert len(call.phone.of(ReInviteConfirmed)) == 2
        done(call)

    def test_they_hold_it_and_take_it_back(self, call):
        for offer in (HELD, SDP):
            call.phone.agent.reinvite(call.theirs, offer, call.phone.now)
            call.run()
        assert [event.sdp for event in call.house.of(ReInviteReceived)] == [HELD, SDP]
        assert [event.status for event in call.phone.of(ReInviteAnswered)] == [200, 200]
        done(call)

    def test_keys_go_both_ways(self, call):
        call.house.agent.info(call.ours, *KEY, call.house.now)
        call.phone.agent.info(call.theirs, *KEY, call.phone.now)
        call.run()
        assert call.house.one(InfoAnswered).status == call.phone.one(InfoAnswered).status == 200
        assert call.house.one(InfoReceived).pressed == call.phone.one(InfoReceived).pressed
        done(call)

    def test_it_is_transferred_by_the_far_end(self, call):
        call.phone.agent.refer(call.theirs, "<sip:carol@192.0.2.3>", call.phone.now)
        call.run()
        call.house.agent.notify_referrer(call.ours, 200, call.house.now, final=True)
        call.run()
        assert call.phone.one(ReferAnswered).status == 202
        assert [event.status for event in call.phone.of(ReferProgress)] == [100, 200]
        done(call)

    def test_we_transfer_it(self, call):
        call.house.agent.refer(call.ours, "<sip:carol@192.0.2.3>", call.house.now)
        call.run()
        assert call.house.one(ReferAnswered).status == 202
        assert [event.status for event in call.house.of(ReferProgress)] == [100]
        done(call)

    def test_whether_the_far_end_is_there_can_be_asked(self, call):
        call.house.agent.ask_whether_there(call.ours, call.house.now)
        call.run()
        assert len(call.network.sent("INVITE")) == 2
        assert call.house.events == []  # it answered what it had answered before
        call.network.drop = lambda data: data.startswith(b"INVITE")
        call.house.agent.ask_whether_there(call.ours, call.house.now)
        call.run(40)
        assert call.house.one(SessionEnded).by == "timeout"

    def test_it_survives_again_and_again(self, call):
        for _ in range(5):
            call.house.agent.info(call.ours, *KEY, call.house.now)
            call.run()
            restart(call.house)
        assert [event.status for event in call.house.of(InfoAnswered)] == [200] * 5
        done(call)


@WHO
@TRANSPORT
def test_a_transfer_under_way_is_told_on(who, transport):
    call = Call(who, transport)
    call.phone.agent.refer(call.theirs, "<sip:carol@192.0.2.3>", call.phone.now)
    call.run()
    call.restart()
    call.house.agent.notify_referrer(call.ours, 180, call.house.now)
    call.house.agent.notify_referrer(call.ours, 180, call.house.now)
    call.house.agent.notify_referrer(call.ours, 200, call.house.now, final=True)
    call.run()
    assert [event.status for event in call.phone.of(ReferProgress)] == [180, 200]
    done(call)


def test_a_second_transfer_after_a_restart_is_told_from_the_first():
    """RFC 3515 §2.4.6: all but the first carry the CSeq of their REFER."""
    call = Call("callee")
    call.phone.agent.refer(call.theirs, "<sip:carol@192.0.2.3>", call.phone.now)
    call.run()
    call.house.agent.notify_referrer(call.ours, 486, call.house.now, final=True)
    call.run()
    call.restart()
    call.phone.agent.refer(call.theirs, "<sip:carol@192.0.2.3>", call.phone.now)
    call.run()
    assert last(call.network, "NOTIFY").headers.get("Event") == f"refer;id={last(call.network, 'REFER').cseq.number}"
    done(call)


def test_a_bye_that_waited_behind_the_last_notify_is_sent():
    call = Call("callee")
    call.phone.agent.refer(call.theirs, "<sip:carol@192.0.2.3>", call.phone.now)
    call.run()
    call.network.drop = lambda data: data.startswith(b"NOTIFY")
    call.house.agent.cancel_or_bye(call.ours, call.house.now)
    call.run(0.1)
    call.restart()
    call.run()
    assert call.house.one(SessionEnded).by == "local"
    assert call.phone.one(SessionEnded).by == "remote"


def test_the_route_set_and_the_target_of_a_reinvite_are_gone_by():
    network, a, b = pair()
    proxy = network.node(C)
    fields = [
        ("Via", f"SIP/2.0/UDP {A};branch=z9hG4bKa"),
        ("Max-Forwards", "70"),
        ("From", f"<sip:anna@{A}>;tag=a"),
        ("To", f"<sip:ben@{B}>"),
        ("Call-ID", "routed"),
        ("CSeq", "7 INVITE"),
        ("Contact", f"<sip:anna@{A}>"),
        ("Record-Route", f"<sip:{C};lr>"),
    ]
    answering(b)
    b.agent.receive(Request.build("INVITE", b.uri, fields, SDP, "application/sdp").to_bytes(), b.flow(a), b.now)
    network.drain()
    to = str(last(network, "SIP/2.0 200").to)
    within = [("To", to) if name == "To" else (name, value) for name, value in fields if name != "Record-Route"]
    moved = [("Contact", f"<sip:anna@{A}:5099>") if name == "Contact" else (name, value) for name, value in within]

    def say(method, number, headers):
        headers = [
            ("CSeq", f"{number} {method}") if name == "CSeq" else ("Via", f"{value}{number}{method}") if name == "Via" else (name, value)
            for name, value in headers
        ]
        b.agent.receive(Request.build(method, b.uri, headers, b"", None).to_bytes(), b.flow(proxy), b.now)
        network.drain()

    say("ACK", 7, within)
    agreeable(b)
    say("INVITE", 8, moved)
    say("ACK", 8, within)
    restart(b)
    b.agent.cancel_or_bye(b.session, b.now)
    network.drain()
    _at, _source, target, data = network.wire[-1]
    bye = parse_datagram(data)
    assert (target, str(bye.uri), bye.headers.get_all("Route")) == (C, f"sip:anna@{A}:5099", [f"<sip:{C};lr>"])


# ---------------------------------------------------------------------- changes under way


@WHO
def test_a_2xx_to_a_reinvite_of_the_last_run_is_acknowledged_and_the_change_taken_back(who):
    """§13.3.1.4: unacknowledged it would be repeated for 32 s, and then the far end would send BYE."""
    call = Call(who)
    call.house.agent.reinvite(call.ours, HELD, call.house.now)
    call.network.drain()
    call.restart()
    call.run(60)
    assert len(call.network.sent("SIP/2.0 200")) >= 3
    offers = [event.sdp for event in call.phone.of(ReInviteReceived)]
    assert offers == [HELD, SDP if who == "caller" else ANSWER]  # what is in force here stands again
    assert len(call.phone.of(ReInviteConfirmed)) == 2
    assert call.phone.of(SessionEnded) == []
    assert call.house.agent.counters["answers_to_earlier_run"] == 1
    done(call)


@WHO
def test_an_answer_whose_acknowledgement_was_lost_is_acknowledged(who):
    call = Call(who)
    call.network.drop = lambda data: data.startswith(b"ACK")
    call.house.agent.reinvite(call.ours, HELD, call.house.now)
    call.run(0.1)
    call.network.drop = lambda _data: False
    call.restart()
    call.run(60)
    assert call.phone.agent.is_alive(call.theirs)
    assert [event.sdp for event in call.phone.of(ReInviteReceived)] == [HELD]  # agreed on: offered again as it is
    done(call)


@WHO
def test_a_refusal_of_a_reinvite_of_the_last_run_is_acknowledged(who):
    call = Call(who)
    call.phone.react = lambda event: (
        call.phone.agent.reject_reinvite(event.session, 488, call.phone.now) if isinstance(event, ReInviteReceived) else None
    )
    call.house.agent.reinvite(call.ours, HELD, call.house.now)
    call.network.drain()
    call.restart()
    call.run(60)
    assert len(call.network.sent("SIP/2.0 488")) == 1
    assert last(call.network, "ACK").top_via.branch == last(call.network, "INVITE").top_via.branch
    assert call.house.events == []
    call.mark = len(call.network.wire)
    done(call)


CHANGES = [
    (transport, waited_s, is_answered, is_noted)
    for transport, waited_s, is_answered, is_noted in itertools.product(["udp", "tcp"], [0.1, 0.5], [False, True], [False, True])
    if is_noted or (transport == "udp" and (waited_s < 0.2 or is_answered))  # else it comes no more
]


@WHO
@pytest.mark.parametrize(("transport", "waited_s", "is_answered", "is_noted"), CHANGES)
def test_a_reinvite_of_theirs_is_answered(who, transport, is_answered, waited_s, is_noted):
    """§12.2.2 refuses a lower CSeq than the last, not the same. After 0.2 s it has heard 100 and sends it no more."""
    call = Call(who, transport)
    notes = noted(call.house)
    if not is_answered:
        call.house.react = lambda _event: None
    call.network.drop = lambda data: data.startswith(b"SIP/2.0 200")
    call.phone.agent.reinvite(call.theirs, HELD, call.phone.now)
    call.run(waited_s)
    assert len(call.house.of(ReInviteReceived)) == 1
    call.network.drop = lambda _data: False
    call.restart(notes=noted(call.house) if is_noted else notes)
    agreeable(call.house, SDP if who == "caller" else ANSWER)
    call.run(5)
    assert call.phone.one(ReInviteAnswered).status == 200
    assert len(call.house.of(ReInviteReceived)) == (0 if is_noted and is_answered else 1)
    assert len(call.house.of(ReInviteConfirmed)) == 1
    done(call)


@WHO
def test_a_reinvite_of_theirs_that_waits_may_be_taken_back(who):
    call = Call(who)
    call.house.react = lambda _event: None
    call.phone.agent.reinvite(call.theirs, HELD, call.phone.now)
    call.run(0.5)
    call.restart()
    call.phone.agent.cancel_or_bye(call.theirs, call.phone.now)
    call.run()
    assert call.house.one(SessionEnded).by == "remote"
    assert_nothing_left(call.network)


# ---------------------------------------------------------------------- an INVITE of ours


def ringing_call(transport="udp", config=OPEN, **more):
    return Call("caller", transport, config, answered=False, **more)


@TRANSPORT
def test_a_phone_that_rings_is_answered_after_a_restart(transport):
    call = ringing_call(transport)
    call.restart()
    call.phone.agent.accept(call.theirs, ANSWER, call.phone.now)
    call.run()
    assert call.house.one(SessionAccepted).sdp == ANSWER
    assert call.phone.one(SessionConfirmed)
    done(call)


@TRANSPORT
def test_a_phone_that_was_taken_while_nobody_was_there_is_answered_at_its_next_200(transport):
    call = ringing_call(transport)
    notes = noted(call.house)
    del call.network.nodes[A]
    call.phone.agent.accept(call.theirs, ANSWER, call.phone.now)
    call.run(3)
    call.network.nodes[A] = call.house
    call.restart(notes=notes)
    call.run(5)
    assert call.house.one(SessionAccepted)
    assert call.phone.one(SessionConfirmed)
    done(call)


@TRANSPORT
def test_a_refusal_is_acknowledged_and_told(transport):
    call = ringing_call(transport)
    call.restart()
    call.phone.agent.reject(call.theirs, 486, call.phone.now)
    call.run()
    assert call.house.one(SessionFailed).status == 486
    assert [start for _, start in call.network.ladder()[-2:]] == ["486", "ACK"]
    assert_nothing_left(call.network)


@TRANSPORT
def test_a_phone_that_rings_is_cancelled(transport):
    call = ringing_call(transport)
    call.restart()
    call.house.agent.cancel_or_bye(call.ours, call.house.now, reason_header="SIP;cause=200")
    call.run()
    assert [start for _, start in call.network.ladder()[2:]] == ["CANCEL", "200", "487", "ACK"]
    assert call.phone.one(SessionEnded).reason_header == "SIP;cause=200"
    assert_nothing_left(call.network)


@pytest.mark.parametrize("is_heard", [False, True])
def test_an_invite_of_which_nothing_was_heard_is_sent_again(is_heard):
    """For the far end it is a retransmission, if it had it: the same branch."""
    network, a, b = pair()
    answering(b)
    network.drop = lambda data: data.startswith(b"SIP/2.0" if is_heard else b"INVITE")
    a.call(b)
    network.run(0.1)
    network.drop = lambda _data: False
    restart(a)
    network.run(3)
    assert a.one(SessionAccepted)
    assert len(b.of(IncomingInvite)) == 1
    branches = {parse_datagram(data).top_via.branch for _, data in network.sent("INVITE")}
    assert len(branches) == 1


def test_patience_begins_anew():
    network, a, b = pair()
    network.drop = lambda data: data.startswith(b"INVITE")
    a.call(b, patience_s=4.0)
    network.run(3)
    restart(a)
    network.run(3.9)
    assert a.endings == []
    network.run(0.2)
    assert a.one(SessionFailed).status == 408


def test_a_call_that_waits_for_a_busy_exchange_goes_on_waiting():
    """§14.1."""
    network, a, b = pair()
    first = []

    def react(event):
        if isinstance(event, IncomingInvite):
            if first:
                b.agent.accept(event.session, ANSWER, b.now)
            else:
                first.append(event)
                b.agent.reject(event.session, 491, b.now)

    b.react = react
    a.call(b)
    network.run(0.1)
    restart(a)
    network.run(5)
    assert a.one(SessionAccepted)
    assert last(network, "INVITE").cseq.number == 2


@pytest.mark.parametrize("is_heard", [False, True])
def test_a_cancel_under_way_is_sent_again(is_heard):
    call = ringing_call()
    call.network.drop = lambda data: data.startswith(b"SIP/2.0 2" if is_heard else b"CANCEL")
    call.house.agent.cancel_or_bye(call.ours, call.house.now)
    call.network.drain()
    call.restart()
    call.network.drop = lambda _data: False
    call.run(3)
    assert call.house.one(SessionEnded).status == 487
    assert call.phone.one(SessionEnded).by == "remote"
    assert_nothing_left(call.network)


def test_a_call_given_up_that_is_heard_of_late_is_taken_back():
    network, a, b = pair()
    ringing(b)
    network.drop = lambda data: data.startswith(b"INVITE")
    a.call(b, patience_s=1.0)
    held = network.sent("INVITE")[0][1] if network.wire else None
    network.run(2)
    held = network.sent("INVITE")[0][1]
    restart(a)
    b.agent.receive(held, b.flow(a), b.now)
    network.run(3)
    assert b.one(SessionEnded).by == "remote"
    assert a.of(SessionEnded) == []
    assert_nothing_left(network)


def test_a_phone_that_rings_is_asked_to_take_the_call():
    call = ringing_call()
    call.restart()
    call.house.agent.talk(call.ours, call.house.now)
    call.run()
    assert call.phone.one(TalkRequested)
    assert call.house.one(TalkAnswered).status == 200
    assert last(call.network, "NOTIFY").cseq.number > CSEQ_GAP
    call.phone.agent.accept(call.theirs, ANSWER, call.phone.now)
    call.run()
    assert call.house.one(SessionAccepted)
    done(call)


def test_an_answer_that_came_before_the_2xx_is_remembered():
    call = ringing_call()
    call.phone.agent.ring(call.theirs, call.phone.now, status=183, sdp=ANSWER)
    call.run()
    call.restart()
    network, ok = call.network, []

    def bare(data):
        if data.startswith(b"SIP/2.0 200"):
            ok.append(parse_datagram(data))
            return True
        return False

    network.drop = bare
    call.phone.agent.accept(call.theirs, ANSWER, call.phone.now)
    network.drain()
    headers = ok[0].headers.copy()
    headers.remove("Content-Type")
    headers.set("Content-Length", "0")
    bare_ok = type(ok[0])(200, "OK", headers, b"")
    call.house.agent.receive(bare_ok.to_bytes(), call.house.flow(call.phone), call.house.now)
    network.drop = lambda _data: False
    network.drain()
    assert call.house.one(SessionAccepted).sdp == ANSWER


def test_an_offer_in_the_2xx_may_be_answered_after_a_restart():
    network, a, b = pair()
    answering(b)
    a.call(b, sdp=None)
    network.run(0.1)
    assert a.one(SessionAccepted).sdp == ANSWER
    restart(a)
    network.run(1)
    a.agent.acknowledge("call", SDP, a.now)
    network.run(1)
    assert b.one(SessionConfirmed).sdp == SDP
    network.drop = lambda data: data.startswith(b"ACK")
    restart(a)
    assert a.agent._sessions["call"].ack[1].endswith(SDP)


@pytest.mark.parametrize("is_new", [False, True])
def test_a_repeated_2xx_is_acknowledged_and_that_of_another_branch_let_go(is_new):
    call = Call("caller")
    ok = [data for _, data in call.network.sent("SIP/2.0 200")][-1]
    call.restart()
    if is_new:
        tag = parse_datagram(ok).to_tag
        ok = ok.replace(f";tag={tag}".encode(), b";tag=another")
    call.house.agent.receive(ok, call.house.flow(call.phone), call.house.now)
    call.network.drain()
    starts = [data.split()[0] for _, _, _, data in call.network.wire[call.mark :]]
    assert starts == ([b"ACK", b"BYE"] if is_new else [b"ACK"])
    assert last(call.network, "ACK").cseq.number == 1
    call.run()
    call.house.events.clear()
    call.house.agent.cancel_or_bye(call.ours, call.house.now)
    call.run(40)
    assert call.phone.one(SessionEnded).by == "remote"


def challenging():
    def lookup(_request, username, realm, algorithm):
        return Account(f"{username}@{realm}", ha1(username, realm, "geheim", algorithm)) if username == "anna" else None

    return UserAgentConfig(classify=lambda _r, _f: CHALLENGE, authenticator=Authenticator("house", lookup, b"0123456789abcdef"))


def test_no_secret_is_noted_and_a_challenge_is_answered_with_what_is_given_again():
    network, a, b = pair(b=challenging())
    network.drop = lambda data: data.startswith(b"SIP/2.0") and b"200" not in data[:12] and b"401" not in data[:12]
    a.call(b, credentials=DigestCredentials("anna", "geheim"))
    network.run(0.3)
    for node in (a, b):
        [note] = noted(node).values()
        assert b"geheim" not in note
        assert b"Digest" not in note
        assert b"response=" not in note
    # As if its INVITE with the answer to the challenge had never arrived: it goes out without, and is challenged again.
    b.agent = UserAgent(challenging(), lambda: f"fresh{next(GENERATION)}")
    answering(b)
    restart(a, credentials=DigestCredentials("anna", "geheim"))
    network.drop = lambda _data: False
    network.run(2)
    assert a.one(SessionAccepted)


# ---------------------------------------------------------------------- an INVITE of theirs


def offered_call(transport="udp", config=OPEN):
    return Call("callee", transport, config, answered=False)


@TRANSPORT
def test_a_caller_that_waits_is_rung_accepted_and_confirmed(transport):
    call = offered_call(transport)
    tag = last(call.network, "SIP/2.0 180").to_tag
    call.restart()
    call.house.agent.ring(call.ours, call.house.now, status=183, sdp=ANSWER)
    call.run()
    call.house.agent.accept(call.ours, ANSWER, call.house.now)
    call.run()
    assert call.phone.one(SessionProgress).status == 183
    assert call.phone.one(SessionAccepted).sdp == ANSWER
    assert call.house.one(SessionConfirmed)
    assert last(call.network, "SIP/2.0 200").to_tag == tag
    done(call)


@TRANSPORT
def test_a_caller_that_waits_is_refused(transport):
    call = offered_call(transport)
    call.restart()
    call.house.agent.reject(call.ours, 486, call.house.now)
    call.run()
    assert call.phone.one(SessionFailed).status == 486
    assert_nothing_left(call.network)


@TRANSPORT
def test_a_caller_that_waits_may_cancel(transport):
    call = offered_call(transport)
    call.restart()
    call.phone.agent.cancel_or_bye(call.theirs, call.phone.now)
    call.run()
    assert call.house.one(SessionEnded).by == "remote"
    assert call.phone.one(SessionEnded).status == 487
    assert_nothing_left(call.network)


def test_a_repeated_invite_gets_the_last_provisional_response():
    call = offered_call()
    call.restart()
    call.house.agent.receive(call.network.sent("INVITE")[0][1], call.house.flow(call.phone), call.house.now)
    call.run(0.1)
    assert call.since == ["180"]
    assert call.house.events == []


def test_a_caller_that_has_heard_nothing_hears_100():
    """§17.2.1."""
    network, a, b = pair()
    a.call(b)
    network.run(0.05)
    restart(b)
    network.run(0.3)
    assert [start for _, start in network.ladder()] == ["INVITE", "100"]
    b.agent.accept(b.session, ANSWER, b.now)
    network.run(1)
    assert a.one(SessionAccepted)


@TRANSPORT
@pytest.mark.parametrize("is_lost", ["200", "ACK"])
def test_a_2xx_whose_ack_has_not_come_is_repeated_until_it_comes(transport, is_lost):
    network, a, b = Network(), None, None
    a, b = network.node(A, transport=transport), network.node(B, transport=transport)
    answering(b)
    network.drop = lambda data: data.startswith(b"SIP/2.0 200" if is_lost == "200" else b"ACK")
    a.call(b)
    network.run(0.1)
    restart(b)
    network.run(1)
    assert b.of(SessionConfirmed) == []
    network.drop = lambda _data: False
    network.run(5)
    assert b.one(SessionConfirmed)
    count = len(network.sent("SIP/2.0 200"))
    network.run(40)
    assert len(network.sent("SIP/2.0 200")) == count
    b.agent.cancel_or_bye(b.session, b.now)
    network.run(1)
    assert a.one(SessionEnded).by == "remote"
    assert_nothing_left(network)


def test_a_2xx_that_nobody_acknowledges_ends_with_bye():
    network, a, b = pair()
    answering(b)
    network.drop = lambda data: data.startswith(b"ACK")
    a.call(b)
    network.run(0.1)
    restart(b)
    network.run(40)
    assert b.one(SessionEnded).by == "timeout"


def test_a_hang_up_that_waits_for_the_ack_is_done_when_it_comes():
    """§15."""
    network, a, b = pair()
    answering(b)
    network.drop = lambda data: data.startswith(b"ACK")
    a.call(b)
    network.run(0.1)
    b.agent.cancel_or_bye(b.session, b.now)
    network.drain()
    restart(b)
    network.drop = lambda _data: False
    network.run(5)
    assert a.one(SessionEnded).by == "remote"
    assert b.one(SessionEnded).by == "local"
    assert_nothing_left(network)


@WHO
@pytest.mark.parametrize("is_heard", [False, True])
def test_a_bye_under_way_is_sent_again(who, is_heard):
    call = Call(who)
    call.network.drop = lambda data: data.startswith(b"SIP/2.0 200" if is_heard else b"BYE")
    call.house.agent.cancel_or_bye(call.ours, call.house.now, reason_header="Q.850;cause=16")
    call.run(0.1)
    call.network.drop = lambda _data: False
    call.restart()
    call.run(2)
    assert call.house.agent.live_sessions == call.phone.agent.live_sessions == 0
    assert last(call.network, "BYE").headers.get("Reason") == "Q.850;cause=16"
    assert_nothing_left(call.network)


# ---------------------------------------------------------------------- session timers


@WHO
def test_a_session_that_we_refresh_is_refreshed_when_it_was_to_be(who):
    call = refreshed_by_house(who)
    before = len(call.network.sent("INVITE"))
    call.run(300)
    call.restart()
    call.run(598)
    assert len(call.network.sent("INVITE")) == before
    call.run(4)
    assert len(call.network.sent("INVITE")) == before + 1
    call.run(3600)
    assert call.phone.agent.is_alive(call.theirs)
    assert call.house.agent.is_alive(call.ours)


def refreshed_by_house(who):
    """A session that the house refreshes, whoever called."""
    call = Call(who, config=TIMED)
    ours = call.house.agent._sessions[call.ours]
    theirs = call.phone.agent._sessions[call.theirs]
    for one in (ours, theirs):  # §7.4: the roles as the 2xx says
        one.renew(type(one.agreement)(1800, we_refresh=one is ours), call.network.now)
    return call


@WHO
def test_a_refresh_that_fell_due_while_nobody_was_there_is_made_up_for_within_the_spread(who):
    call = refreshed_by_house(who)
    notes = noted(call.house)
    del call.network.nodes[call.house.host]
    call.run(1000)
    call.network.nodes[call.house.host] = call.house
    call.restart(notes=notes)
    before = len(call.network.sent("INVITE"))
    call.run(SPREAD_S + 1)
    assert len(call.network.sent("INVITE")) == before + 1
    call.run(3600)
    assert call.phone.agent.is_alive(call.theirs)


def test_a_thousand_sessions_do_not_refresh_at_once():
    places = [int(10 * share_of(f"session{number}")) for number in range(1000)]
    assert set(places) == set(range(10))
    assert max(places.count(place) for place in range(10)) < 150


@WHO
def test_a_far_end_that_refreshes_has_a_whole_interval_and_no_more(who):
    call = refreshed_by_house(who)
    call.house, call.phone, call.ours, call.theirs = call.phone, call.house, call.theirs, call.ours
    call.run(800)
    call.restart()
    call.run(3000)
    assert call.house.agent.is_alive(call.ours)  # refreshed meanwhile
    del call.network.nodes[call.phone.host]
    call.run(1800)
    assert call.house.one(SessionEnded).by == "timeout"


def test_an_agreement_lapses_where_the_new_process_has_no_session_timers():
    call = Call("caller", config=TIMED)
    restart(call.house, config=msgspec.structs.replace(TIMED, session_timer=None))
    assert not call.house.agent._sessions["call"].timers


# ---------------------------------------------------------------------- places that all have in common


def shared(live=8):
    return UserAgentConfig(
        classify=OPEN.classify,
        overload=OverloadPolicy(live_sessions=live),
        share=lambda *_: Share("tenant", "line", part=1.0),
    )


def test_a_resumed_session_has_its_place_and_gives_it_back():
    call = Call("callee", config=shared())
    places = call.house.agent.overload._places
    assert places.used == 1
    for _ in range(3):
        call.restart()
        assert call.house.agent.overload._places.used == 1
    call.phone.agent.cancel_or_bye(call.theirs, call.phone.now)
    call.run()
    assert call.house.agent.overload._places.used == 0
    assert call.house.agent._of_account == {}


# ---------------------------------------------------------------------- every field


def twice(note, generations=2):
    """Noted, resumed by another engine, noted there."""
    for _ in range(generations):
        serial = itertools.count()
        agent = UserAgent(OPEN, lambda serial=serial: f"other{next(serial):06d}")
        agent.resume("s", note, 0.0)
        note = agent.keep_living("s")
    return note


contacts = uris.map(lambda uri: uri.without_headers())
hops = st.lists(uris.map(lambda uri: f"<{uri.without_headers()}>"), max_size=3)
addresses = st.sampled_from([("203.0.113.9", 5060), ("2001:db8::1", 5070), ("host.example", 5062)])


@FUZZ
@given(target=contacts, local=name_addrs, remote=name_addrs, route=st.lists(contacts, max_size=2), to=addresses, said=st.booleans())
def test_every_field_of_an_invite_of_ours_survives(target, local, remote, route, to, said):
    serial = itertools.count()
    agent = UserAgent(OPEN, lambda: f"token{next(serial):06d}")
    flow = Flow("udp", ("192.0.2.9", 5060), to, said, "tenant")
    agent.invite(
        session="s", target=target, flow=flow, from_=local, to=remote, sdp=SDP, now=0.0, route=route, account="anna@house", patience_s=7.0
    )
    [(_, invite)] = agent.datagrams_to_send()
    note = agent.keep_living("s")
    assert twice(note) == note
    other = UserAgent(OPEN, lambda: "x")
    other.resume("s", note, 0.0)
    assert other.datagrams_to_send() == [(flow, invite)]


@FUZZ
@given(
    target=contacts,
    remote=name_addrs,
    local=name_addrs,
    contact=contacts,
    path=st.lists(vias, min_size=1, max_size=3),
    routes=hops,
    share=st.sampled_from([Share(), Share("tenant", "line", 2.0, 0.25, 0.5), Share("ü", urgent=True)]),
)
def test_every_field_of_an_invite_of_theirs_survives_and_of_its_dialog(target, remote, local, contact, path, routes, share):
    serial = itertools.count()
    agent = UserAgent(UserAgentConfig(classify=OPEN.classify, share=lambda *_: share), lambda: f"token{next(serial):06d}")
    fields = [
        *(("Via", str(via)) for via in path),
        *(("Record-Route", route) for route in routes),
        ("From", str(remote)),
        ("To", str(local.without_params())),
        ("Call-ID", "c"),
        ("CSeq", "77 INVITE"),
        ("Contact", str(NameAddr(contact))),
    ]
    message = Request.build("INVITE", target, fields, SDP, "application/sdp")
    try:
        message = parse_datagram(message.to_bytes())
    except ParseError:
        return
    agent.receive_message(message, Flow("udp", ("192.0.2.2", 5060), ("192.0.2.1", 40000)), 0.0)
    for session in [event.session for event in agent.events() if isinstance(event, IncomingInvite)]:
        agent.ring(session, 0.0)
        first = twice(agent.keep_living(session), 1)  # CSeq has jumped
        assert without_cseq(first) == without_cseq(agent.keep_living(session)) == without_cseq(twice(first))
        agent.accept(session, ANSWER, 0.0)
        assert without_cseq(twice(agent.keep_living(session))) == without_cseq(agent.keep_living(session))


def without_cseq(note):
    found = msgspec.msgpack.decode(note, type=Note)
    dialog = None if found.dialog is None else msgspec.structs.replace(found.dialog, cseq=0)
    return msgspec.structs.replace(found, dialog=dialog)


NOTES = []


def some_notes():
    if not NOTES:
        for call in (ringing_call(), offered_call(), Call("caller", config=TIMED), Call("callee")):
            NOTES.extend(noted(call.house).values())
    return NOTES


@FUZZ
@given(data=st.data())
def test_noise_is_refused_and_leaves_nothing(data):
    note = data.draw(st.binary(max_size=60) | mutated(some_notes()))
    serial = itertools.count()
    agent = UserAgent(TIMED, lambda: f"token{next(serial):06d}")
    try:
        agent.resume("s", note, 0.0)
    except ParseError:
        assert agent.live_sessions == 0
        state = agent.describe(0.0)
        assert (state["dialogs"], state["timers"], state["transactions"]["client"], state["transactions"]["server"]) == (0, 0, [], [])
        assert agent._of_account == {}
        assert agent.overload._places.used == 0


def test_a_session_id_is_used_once_and_an_unknown_session_is_not_noted():
    call = Call("caller")
    note = call.a.agent.keep_living("call")
    with pytest.raises(LocalMisuse):
        call.a.agent.resume("call", note, call.a.now)
    assert call.a.agent.keep_living("nobody") is None
    with pytest.raises(ParseError):
        call.a.agent.resume("other", call.a.agent.kept("call").encode(), call.a.now)


def test_how_a_session_stands_can_be_asked():
    call = Call("caller")
    before = call.house.agent.standing("call")
    call.restart()
    assert call.house.agent.standing("call") == before
    assert (before.state, before.is_caller, before.local_sdp, before.remote_sdp) == ("established", True, SDP, ANSWER)
    assert call.house.agent.standing("nobody") is None


def test_what_is_noted_is_small():
    for call in (ringing_call(), offered_call(), Call("caller"), Call("callee")):
        assert len(call.house.agent.keep_living(call.ours)) < 2048


# ---------------------------------------------------------------------- what changes without an event


def changed(node):
    told = []
    node.agent.changed = told.append
    return told


def test_of_100_trying_and_of_an_invite_that_is_sent_again_it_is_told():
    network, a, b = pair(b=challenging())
    told = changed(a)
    a.call(b, credentials=DigestCredentials("anna", "geheim"))
    network.run(0.05)
    assert told == ["call"]  # the INVITE with the answer to the challenge: another branch, another CSeq
    network.run(0.5)
    assert told == ["call", "call"]  # 100
    assert a.of(SessionProgress) == []


@WHO
def test_of_a_refresh_that_changed_nothing_it_is_told(who):
    call = refreshed_by_house(who)
    told, heard = changed(call.house), len(call.house.events)
    call.run(910)
    assert told == [call.ours]
    assert call.house.events[heard:] == []


def test_of_a_phone_that_has_moved_it_is_told():
    call = Call("caller", "tcp")
    told = changed(call.house)
    before = call.house.flow(call.phone)
    call.house.agent._sessions["call"].move(before, Flow("tcp", before.local, (B, 40000)), call.house.now)
    assert told == ["call"]


@WHO
def test_a_request_that_is_older_than_the_last_one_is_refused(who):
    """§12.2.2: 500, after a restart too."""
    call = Call(who)
    call.phone.agent.info(call.theirs, *KEY, call.phone.now)
    call.run()
    call.restart()
    call.phone.agent._sessions[call.theirs].dialog.local_sequence_number -= 2
    call.phone.agent.info(call.theirs, *KEY, call.phone.now)
    call.run()
    assert call.since == ["500"]


def test_a_note_of_the_first_form_is_read():
    """What was written stays readable: a process takes over from an older one. What is added to `Note` has a default."""
    note = (Path(__file__).parents[2] / "vectors" / "notes" / "sip-1.msgpack").read_bytes()
    agent = UserAgent(TIMED, lambda: "token")
    agent.resume("s", note, 1300.0)
    session = agent._sessions["s"]
    assert (session.state, session.account, session.is_caller) == ("established", "anna@house", True)
    assert (session.local_sdp, session.remote_sdp) == (SDP, ANSWER)
    assert session.agreement.interval_s == 1800
    assert session.dialog.remote_target == Uri.parse("sip:fernamt@192.0.2.2:5060")
