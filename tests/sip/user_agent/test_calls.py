"""Whole calls between two engines in virtual time: set-up, tear-down, CANCEL and its races, retransmission, forks, glare."""

import gc

import pytest

from sip.classified import REJECT, TRUNK
from sip.config import UserAgentConfig
from sip.digest import DigestCredentials
from sip.errors import LocalMisuse
from sip.events import (
    AnsweredLate,
    IncomingInvite,
    InfoAnswered,
    InfoReceived,
    OptionsAnswered,
    ReInviteAnswered,
    ReInviteCancelled,
    ReInviteConfirmed,
    ReInviteReceived,
    SessionAccepted,
    SessionConfirmed,
    SessionEnded,
    SessionFailed,
    SessionProgress,
    TalkRequested,
)
from sip.flow import Flow
from sip.message import Request, Response
from sip.overload import OverloadPolicy
from sip.parser import parse_datagram
from sip.uri import Uri

from .network import ANSWER, SDP, LossyLink, answering, pair, ringing

pytestmark = pytest.mark.usefixtures("only_what_is_new")

A, B = "192.0.2.1", "192.0.2.2"


def assert_nothing_left(network):
    """After the longest timer, neither engine holds anything, and nothing waits for the cyclic collector either."""
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        network.run(80)
        for node in network.nodes.values():
            node.events.clear()
        gc.collect()
        assert not [one for one in gc.garbage if type(one).__module__.startswith("sip.")]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    for node in network.nodes.values():
        state = node.agent.describe(network.now)
        assert state["sessions"] == []
        assert state["dialogs"] == 0
        assert state["timers"] == 0
        assert state["transactions"]["client"] == state["transactions"]["server"] == []


def established(link=None):
    network, a, b = pair(link)
    answering(b)
    a.call(b)
    network.run(1)
    assert a.one(SessionAccepted).sdp == ANSWER
    return network, a, b


def test_session_establishment_through_bye_is_the_ladder_of_rfc_3665_3_1():
    network, a, b = established()
    b.agent.cancel_or_bye(b.session, b.now)
    network.run(1)
    assert network.ladder() == [(A, "INVITE"), (B, "180"), (B, "200"), (A, "ACK"), (B, "BYE"), (A, "200")]
    assert a.one(SessionProgress).status == 180
    assert a.one(SessionEnded).by == "remote"
    assert b.one(SessionEnded).by == "local"
    assert b.one(SessionConfirmed).sdp is None
    assert_nothing_left(network)


def test_100_trying_is_sent_after_200_ms_of_silence_and_stops_the_invite_retransmissions():
    network, a, b = pair(LossyLink(latency=(0.001, 0.001)))
    a.call(b)
    network.run(10)
    assert [status for _, status in network.ladder()] == ["INVITE", "100"]
    trying = network.sent("SIP/2.0 100")
    assert trying[0][0] == pytest.approx(1000.201)
    a.agent.cancel_or_bye("call", a.now)
    assert_nothing_left(network)


def test_uac_retransmits_invite_at_t1_2t1_4t1_until_timer_b_and_fails_with_408():
    network, a, _ = pair(LossyLink(loss=1.0))
    a.call(network.nodes[B])
    network.run(40)
    assert [at - 1000 for at, _ in network.sent("INVITE")] == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    failed = a.one(SessionFailed)
    assert (failed.status, failed.response) == (408, None)
    assert a.times[a.events.index(failed)] == 1032
    assert_nothing_left(network)


def test_2xx_is_retransmitted_by_the_session_until_64_t1_and_then_the_session_is_ended_by_bye():
    """RFC 3261 §13.3.1.4."""
    network, a, b = pair(LossyLink(latency=(0, 0)))
    answering(b, ring_first=False)
    network.drop = lambda data: data.startswith(b"ACK")
    a.call(b)
    network.run(40)
    times = [at - 1000 for at, _ in network.sent("SIP/2.0 200", by=B)]
    assert times == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert len(network.sent("ACK")) == len(times)
    assert b.one(SessionEnded).by == "timeout"
    assert b.times[b.events.index(b.one(SessionEnded))] == 1032
    assert len(network.sent("BYE", by=B)) == 1
    assert a.one(SessionEnded).by == "remote"
    assert_nothing_left(network)


def test_2xx_must_not_be_acked_by_the_transaction_but_once_by_the_session():
    network, _, _ = established()
    acks = network.sent("ACK")
    assert len(acks) == 1
    ack, invite = parse_datagram(acks[0][1]), parse_datagram(network.sent("INVITE")[0][1])
    assert ack.top_via.branch != invite.top_via.branch
    assert ack.cseq.number == invite.cseq.number


def test_a_refusal_is_acked_with_the_branch_of_the_invite():
    network, a, b = pair()
    b.react = lambda event: (
        b.agent.reject(event.session, 486, b.now, headers=[("Retry-After", "7")]) if isinstance(event, IncomingInvite) else None
    )
    a.call(b)
    network.run(1)
    failed = a.one(SessionFailed)
    assert (failed.status, failed.response.headers.get("Retry-After")) == (486, "7")
    ack, invite = parse_datagram(network.sent("ACK")[0][1]), parse_datagram(network.sent("INVITE")[0][1])
    assert ack.top_via == invite.top_via
    assert ack.to_tag == failed.response.to_tag
    assert b.one(SessionEnded).status == 486
    assert_nothing_left(network)


def test_redirection_is_reported_with_its_contacts():
    network, a, b = pair()
    b.react = lambda event: (
        b.agent.reject(event.session, 302, b.now, headers=[("Contact", "<sip:other@192.0.2.9>")])
        if isinstance(event, IncomingInvite)
        else None
    )
    a.call(b)
    network.run(1)
    assert [str(uri) for uri in a.one(SessionFailed).contacts] == ["sip:other@192.0.2.9"]


# --- CANCEL, §9


def test_cancel_of_a_ringing_call_ends_with_487_on_both_sides():
    network, a, b = pair()
    ringing(b)
    a.call(b)
    network.run(1)
    a.agent.cancel_or_bye("call", a.now, reason_header='SIP;cause=200;text="Call completed elsewhere"')
    network.run(1)
    assert network.ladder() == [(A, "INVITE"), (B, "180"), (A, "CANCEL"), (B, "200"), (B, "487"), (A, "ACK")]
    ended = b.one(SessionEnded)
    assert (ended.by, ended.status, ended.reason_header) == ("remote", 487, 'SIP;cause=200;text="Call completed elsewhere"')
    assert (a.one(SessionEnded).by, a.one(SessionEnded).status) == ("local", 487)
    to_tags = {parse_datagram(data).to_tag for _, data in network.sent("SIP/2.0", by=B)}
    assert len(to_tags) == 1  # §9.2: the 200 to CANCEL and the 487 SHOULD carry the same To tag
    assert_nothing_left(network)


def test_cancel_waits_for_a_provisional_response():
    """RFC 3261 §9.1: "If no provisional response has been received, the CANCEL request MUST NOT be sent"."""
    network, a, b = pair()
    a.call(b)
    a.agent.cancel_or_bye("call", a.now)
    network.run(0.1)
    assert network.sent("CANCEL") == []
    network.run(1)
    assert [status for _, status in network.ladder()] == ["INVITE", "100", "CANCEL", "200", "487", "ACK"]
    assert_nothing_left(network)


def test_cancel_that_crosses_the_2xx_is_followed_by_ack_and_bye():
    network, a, b = pair(LossyLink(latency=(0.1, 0.1)))
    ringing(b)
    a.call(b)
    network.run(1)
    b.agent.accept(b.session, ANSWER, b.now)
    a.agent.cancel_or_bye("call", a.now)
    network.run(2)
    assert network.ladder()[2:] == [(A, "CANCEL"), (B, "200"), (B, "200"), (A, "ACK"), (A, "BYE"), (B, "200")]
    assert a.of(SessionAccepted) == []
    assert a.one(AnsweredLate)
    assert a.one(SessionEnded).by == "local"
    assert b.one(SessionEnded).by == "remote"
    assert_nothing_left(network)


def test_hang_up_before_any_response_when_the_callee_answers_at_once_is_ack_and_bye():
    network, a, b = pair()
    answering(b, ring_first=False)
    a.call(b)
    a.agent.cancel_or_bye("call", a.now)
    network.run(1)
    assert network.ladder() == [(A, "INVITE"), (B, "200"), (A, "ACK"), (A, "BYE"), (B, "200")]
    assert_nothing_left(network)


def test_no_final_response_64_t1_after_cancel_destroys_the_transaction():
    network, a, b = pair()
    ringing(b)
    a.call(b)
    network.run(1)
    network.drop = lambda _data: True
    a.agent.cancel_or_bye("call", a.now)
    network.run(31)
    assert a.endings == []
    network.run(2)
    assert a.one(SessionEnded).by == "local"
    network.drop = lambda _data: False
    b.agent.reject(b.session, 486, b.now)
    assert_nothing_left(network)


def test_cancel_without_a_transaction_is_answered_481():
    network, a, b = pair()
    ringing(b)
    a.call(b)
    network.run(1)
    cancel = Request.build(
        "CANCEL", b.uri, [(n, v) for n, v in parse_datagram(network.sent("INVITE")[0][1]).headers if n in {"From", "To", "Call-ID"}]
    )
    cancel.headers.add("CSeq", "1 CANCEL")
    cancel.headers.add("Via", f"SIP/2.0/UDP {A}:5060;branch=z9hG4bKother")
    b.agent.receive(cancel.to_bytes(), b.flow(a), b.now)
    assert b.agent.datagrams_to_send()[0][1].startswith(b"SIP/2.0 481")


# --- BYE, §15


def test_callee_hanging_up_before_the_ack_waits_for_it():
    """RFC 3261 §15: "the callee's UA MUST NOT send a BYE on a confirmed dialog until it has received an ACK for its 2xx"."""
    network, a, b = pair()
    b.react = lambda event: (
        (b.agent.accept(event.session, ANSWER, b.now), b.agent.cancel_or_bye(event.session, b.now))
        if isinstance(event, IncomingInvite)
        else None
    )
    a.call(b)
    network.run(1)
    assert network.ladder() == [(A, "INVITE"), (B, "200"), (A, "ACK"), (B, "BYE"), (A, "200")]
    assert len(b.endings) == 1
    assert_nothing_left(network)


def test_both_hanging_up_at_once_is_two_byes_and_two_200():
    network, a, b = established()
    a.agent.cancel_or_bye("call", a.now)
    b.agent.cancel_or_bye(b.session, b.now)
    network.run(1)
    assert sorted(network.ladder()[4:]) == sorted([(A, "BYE"), (B, "BYE"), (A, "200"), (B, "200")])
    assert a.one(SessionEnded).by == b.one(SessionEnded).by == "local"
    assert_nothing_left(network)


def test_a_bye_to_a_dialog_that_is_gone_is_answered_481():
    network, a, b = established()
    a.agent.cancel_or_bye("call", a.now)
    network.run(0.5)
    bye = parse_datagram(network.sent("BYE")[0][1])
    bye.headers.set("Via", f"SIP/2.0/UDP {A}:5060;branch=z9hG4bKagain")
    b.agent.receive(bye.to_bytes(), b.flow(a), b.now)
    assert b.agent.datagrams_to_send()[0][1].startswith(b"SIP/2.0 481")


def test_a_caller_may_end_an_early_dialog_with_bye():
    """RFC 3261 §15: the INVITE is still answered, with 487."""
    network, a, b = pair()
    ringing(b)
    a.call(b)
    network.run(1)
    invite, ringing_response = parse_datagram(network.sent("INVITE")[0][1]), parse_datagram(network.sent("SIP/2.0 180")[0][1])
    bye = Request.build(
        "BYE",
        b.uri,
        [
            ("Via", f"SIP/2.0/UDP {A}:5060;branch=z9hG4bKbye"),
            ("From", str(invite.from_)),
            ("To", str(ringing_response.to)),
            ("Call-ID", invite.call_id),
            ("CSeq", "2 BYE"),
            ("Max-Forwards", "70"),
        ],
    )
    b.agent.receive(bye.to_bytes(), b.flow(a), b.now)
    statuses = [data[:11] for _, data in b.agent.datagrams_to_send()]
    assert sorted(statuses) == [b"SIP/2.0 200", b"SIP/2.0 487"]
    assert [event.by for event in b.agent.events()] == ["remote"]


# --- forks, §13.2.2.4


def fork_answer(invite, status, tag, host, sdp=ANSWER):
    return invite.response(
        status, to_tag=tag, headers=[("Contact", f"<sip:{tag}@{host}>")], body=sdp, content_type="application/sdp"
    ).to_bytes()


def test_later_2xx_of_a_fork_are_acked_and_hung_up():
    network, a, b = pair()
    a.call(b)
    network.drain()
    invite = parse_datagram(network.wire[0][3])
    flow = Flow("udp", (A, 5060), (B, 5060))
    for tag, host in (("left", "192.0.2.10"), ("right", "192.0.2.11")):
        a.agent.receive(fork_answer(invite, 180, tag, host), flow, a.now)
    network.drain()
    assert [event.fork for event in a.of(SessionProgress)] == ["left", "right"]
    assert a.agent.describe(a.now)["sessions"][0]["early_dialogs"] == 2
    network.wire.clear()
    a.agent.receive(fork_answer(invite, 200, "left", "192.0.2.10"), flow, a.now)
    a.agent.receive(fork_answer(invite, 200, "right", "192.0.2.11"), flow, a.now)
    a.agent.receive(fork_answer(invite, 200, "right", "192.0.2.11"), flow, a.now)
    a.agent.receive(fork_answer(invite, 200, "left", "192.0.2.10"), flow, a.now)
    network.drain()
    assert [(to, data.split(b" ", 2)[:2]) for _, _, to, data in network.wire] == [
        ("192.0.2.10", [b"ACK", b"sip:left@192.0.2.10"]),
        ("192.0.2.11", [b"ACK", b"sip:right@192.0.2.11"]),
        ("192.0.2.11", [b"BYE", b"sip:right@192.0.2.11"]),
        ("192.0.2.11", [b"ACK", b"sip:right@192.0.2.11"]),
        ("192.0.2.10", [b"ACK", b"sip:left@192.0.2.10"]),
    ]
    assert len(a.of(SessionAccepted)) == 1


# --- re-INVITE, §14

HOLD = SDP + b"a=sendonly\r\n"


def test_reinvite_changes_the_session_from_either_side():
    network, a, b = established()
    a.agent.reinvite("call", HOLD, a.now)
    network.run(0.2)
    assert b.one(ReInviteReceived).sdp == HOLD
    b.agent.accept_reinvite(b.session, ANSWER, b.now)
    network.run(0.2)
    assert a.one(ReInviteAnswered) == ReInviteAnswered("call", ANSWER, 200)
    assert b.one(ReInviteConfirmed).sdp is None
    b.agent.reinvite(b.session, HOLD, b.now)
    network.run(0.2)
    a.agent.accept_reinvite("call", SDP, a.now)
    network.run(0.2)
    assert b.one(ReInviteAnswered).sdp == SDP
    a.agent.cancel_or_bye("call", a.now)
    assert_nothing_left(network)


def test_a_refused_reinvite_leaves_the_session_as_it_was():
    network, a, b = established()
    a.agent.reinvite("call", HOLD, a.now)
    network.run(0.2)
    b.agent.reject_reinvite(b.session, 488, b.now)
    network.run(1)
    assert a.one(ReInviteAnswered).status == 488
    assert a.endings == b.endings == []
    a.agent.cancel_or_bye("call", a.now)
    assert_nothing_left(network)


def test_reinvite_glare_is_answered_491_and_the_owner_of_the_call_id_waits_longer():
    """RFC 3261 §14.1: 2.1 to 4 s for the owner of the Call-ID, 0 to 2 s for the other."""
    network, a, b = established(LossyLink(latency=(0.05, 0.05)))
    for node in (a, b):
        node.react = lambda event, node=node: (
            node.agent.accept_reinvite(event.session, ANSWER, node.now) if isinstance(event, ReInviteReceived) else None
        )
    network.wire.clear()
    start = network.now
    a.agent.reinvite("call", HOLD, a.now)
    b.agent.reinvite(b.session, HOLD, b.now)
    network.run(8)
    assert len(network.sent("SIP/2.0 491")) == 2
    _, _, retried = network.sent("INVITE")
    assert retried in network.sent("INVITE", by=B)
    assert retried[0] - start <= 2.2
    assert b.one(ReInviteAnswered).status == 200
    assert a.one(ReInviteAnswered).status == 491  # overtaken: the application may offer anew


def test_the_owner_of_the_call_id_retries_after_2_1_to_4_s_when_the_other_does_not():
    network, a, b = established()
    b.react = lambda event: b.agent.reject_reinvite(event.session, 491, b.now) if isinstance(event, ReInviteReceived) else None
    start = network.now
    network.wire.clear()
    a.agent.reinvite("call", HOLD, a.now)
    network.run(1)
    b.react = lambda event: b.agent.accept_reinvite(event.session, ANSWER, b.now) if isinstance(event, ReInviteReceived) else None
    network.run(5)
    retry = network.sent("INVITE")[1][0] - start
    assert 2.1 <= retry <= 4.1
    assert a.one(ReInviteAnswered).status == 200
    a.agent.cancel_or_bye("call", a.now)
    assert_nothing_left(network)


def test_a_caller_with_little_patience_gives_up_sooner_where_nothing_is_heard():
    network, a, _ = pair(LossyLink(loss=1.0))
    a.call(network.nodes[B], patience_s=4.0)
    network.run(40)
    assert [at - 1000 for at, _ in network.sent("INVITE")] == [0, 0.5, 1.5, 3.5]
    failed = a.one(SessionFailed)
    assert (failed.status, failed.response) == (408, None)
    assert a.times[a.events.index(failed)] == 1004
    assert_nothing_left(network)


def test_patience_ends_with_the_first_sign_of_life():
    network, a, b = pair(LossyLink(latency=(0.001, 0.001)))
    a.call(b, patience_s=1.0)
    network.run(30)
    assert not [event for event in a.events if isinstance(event, SessionFailed)]
    b.agent.accept(b.session, SDP, b.now)
    network.run(1)
    assert a.one(SessionAccepted)


@pytest.mark.parametrize("late", ["rings", "answers"])
def test_what_comes_after_patience_ran_out_is_taken_back_and_rings_for_nobody(late):
    network, a, b = pair(LossyLink(latency=(3.0, 3.0)))  # the answer needs 6 s, patience is 4 s
    (ringing if late == "rings" else answering)(b)
    a.call(b, patience_s=4.0)
    network.run(40)
    assert [type(event) for event in a.events] == [SessionFailed, *[AnsweredLate] * (late == "answers")]  # whoever bills has to know
    assert b.one(SessionEnded).by == "remote"
    assert network.sent("CANCEL")
    assert_nothing_left(network)


def test_patience_does_not_outlive_a_hang_up():
    network, a, _ = pair(LossyLink(loss=1.0))
    a.call(network.nodes[B], patience_s=4.0)
    a.agent.cancel_or_bye("call", a.now)
    network.run(40)
    assert [type(event) for event in a.events] == [SessionEnded]
    assert_nothing_left(network)


def test_a_probe_with_little_patience_is_answered_none_sooner():
    network, a, _ = pair(LossyLink(loss=1.0))
    a.agent.options("probe", Uri.parse(f"sip:{B}"), a.flow(network.nodes[B]), a.now, patience_s=2.0)
    network.run(40)
    answered = a.one(OptionsAnswered)
    assert answered.status is None
    assert a.times[a.events.index(answered)] == 1002
    assert_nothing_left(network)


def test_a_second_reinvite_before_the_first_is_answered_is_refused_here():
    network, a, _ = established()
    a.agent.reinvite("call", HOLD, a.now)
    a.agent.reinvite("call", SDP, a.now)
    network.run(0.2)
    assert a.one(ReInviteAnswered).status == 491


def test_reinvite_without_any_answer_ends_the_session():
    """RFC 3261 §12.2.1.2: no response at all is as a 408: "the UAC SHOULD terminate the dialog"."""
    network, a, b = established()
    network.drop = lambda _data: True
    a.agent.reinvite("call", HOLD, a.now)
    network.run(40)
    assert a.one(ReInviteAnswered).status == 408
    assert a.one(SessionEnded).by == "timeout"
    network.drop = lambda _data: False
    b.agent.cancel_or_bye(b.session, b.now)
    assert_nothing_left(network)


def test_a_peer_that_has_lost_the_dialog_ends_the_session_at_the_next_reinvite():
    network, a, b = established()
    b.agent._dialogs.clear()
    a.agent.reinvite("call", HOLD, a.now)
    network.run(1)
    assert a.one(ReInviteAnswered).status == 481
    assert a.one(SessionEnded).by == "timeout"


def test_a_reinvite_can_be_taken_back_by_cancel():
    network, a, b = established()
    a.agent.reinvite("call", HOLD, a.now)
    network.run(0.1)
    invite = parse_datagram(network.sent("INVITE")[-1][1])
    cancel = Request.build(
        "CANCEL",
        invite.uri,
        [*((n, v) for n, v in invite.headers if n in {"Via", "From", "To", "Call-ID"}), ("CSeq", f"{invite.cseq.number} CANCEL")],
    )
    b.agent.receive(cancel.to_bytes(), b.flow(a), b.now)
    network.run(0.3)
    assert b.one(ReInviteCancelled).session == b.session
    assert a.one(ReInviteAnswered).status == 487
    assert a.endings == b.endings == []


def test_bye_while_a_reinvite_waits_for_its_answer_settles_both():
    network, a, b = established()
    a.agent.reinvite("call", HOLD, a.now)
    network.run(0.1)
    b.agent.cancel_or_bye(b.session, b.now)
    network.run(1)
    assert len(network.sent("SIP/2.0 487")) == 1
    assert a.one(SessionEnded).by == "remote"
    assert_nothing_left(network)


def test_the_remote_target_follows_the_contact_of_a_reinvite():
    network, a, b = established()
    invite = parse_datagram(network.sent("INVITE")[0][1])
    ok = parse_datagram(network.sent("SIP/2.0 200")[0][1])
    moved = Request.build(
        "INVITE",
        b.uri,
        [
            ("Via", f"SIP/2.0/UDP {A}:5060;branch=z9hG4bKmoved"),
            ("From", str(invite.from_)),
            ("To", str(ok.to)),
            ("Call-ID", invite.call_id),
            ("CSeq", "2 INVITE"),
            ("Max-Forwards", "70"),
            ("Contact", "<sip:elsewhere@192.0.2.77:5070>"),
        ],
        SDP,
        "application/sdp",
    )
    b.agent.receive(moved.to_bytes(), b.flow(a), b.now)
    b.agent.accept_reinvite(b.session, ANSWER, b.now)
    ack = moved.headers.copy()
    ack.set("CSeq", "2 ACK")
    b.agent.receive(Request.build("ACK", b.uri, ack).to_bytes(), b.flow(a), b.now)
    network.wire.clear()
    b.agent.datagrams_to_send()
    b.agent.cancel_or_bye(b.session, b.now)
    [(flow, data)] = b.agent.datagrams_to_send()
    assert flow.remote == ("192.0.2.77", 5070)
    assert data.startswith(b"BYE sip:elsewhere@192.0.2.77:5070 SIP/2.0")
    del a


# --- offers in the other direction


def test_an_invite_without_an_offer_is_answered_in_the_ack():
    network, a, b = pair()
    answering(b)
    a.call(b, sdp=None)
    network.run(0.3)
    assert b.one(IncomingInvite).offer is None
    assert a.one(SessionAccepted).sdp == ANSWER
    assert network.sent("ACK") == []
    a.agent.acknowledge("call", SDP, a.now)
    network.run(0.3)
    assert b.one(SessionConfirmed).sdp == SDP
    a.agent.cancel_or_bye("call", a.now)
    assert_nothing_left(network)


# --- INFO, OPTIONS


def test_info_with_dtmf_relay_is_delivered_and_answered():
    network, a, b = established()
    a.agent.info("call", "application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n", a.now)
    network.run(0.3)
    assert b.one(InfoReceived).body == b"Signal=5\r\nDuration=160\r\n"
    assert a.one(InfoAnswered).status == 200
    a.agent.info("call", "application/x-other", b"?", a.now)
    network.run(0.3)
    assert [event.status for event in a.of(InfoAnswered)] == [200, 415]


def test_options_tells_that_a_peer_is_alive_and_silence_that_it_is_not():
    network, a, b = pair()
    a.agent.options("up", b.uri, a.flow(b), a.now)
    network.run(1)
    assert a.one(OptionsAnswered) == OptionsAnswered("up", 200)
    network.drop = lambda _data: True
    a.agent.options("down", b.uri, a.flow(b), a.now)
    network.run(40)
    assert a.of(OptionsAnswered)[-1] == OptionsAnswered("down", None)
    assert_nothing_left(network)


# --- admission


def test_overload_is_answered_503_with_retry_after_before_any_session_exists():
    config = UserAgentConfig(classify=lambda _r, _f: TRUNK, overload=OverloadPolicy(invites_per_s=1, burst=2, retry_after_s=9))
    network, a, b = pair(b=config)
    answering(b)
    for name in ("one", "two", "three"):
        a.call(b, session=name)
    network.run(0.3)
    failed = a.one(SessionFailed)
    assert (failed.status, failed.response.headers.get("Retry-After")) == (503, "9")
    assert len(a.of(SessionAccepted)) == 2
    for name in ("one", "two"):
        a.agent.cancel_or_bye(name, a.now)
    network.run(0.3)
    assert len(b.of(SessionEnded)) == 2  # what is inside is always served
    network.run(2)
    a.call(b, session="four")
    network.run(0.3)
    assert len(a.of(SessionAccepted)) == 3


def test_a_flood_of_strangers_takes_nothing_from_the_allowance_and_leaves_no_state():
    kinds = iter([REJECT] * 50 + [TRUNK])
    config = UserAgentConfig(classify=lambda _r, _f: next(kinds), overload=OverloadPolicy(invites_per_s=1, burst=1))
    network, a, b = pair(b=config)
    answering(b)
    for number in range(50):
        a.call(b, session=f"stranger {number}")
    network.run(0.1)
    assert {event.status for event in a.of(SessionFailed)} == {403}
    assert len(b.agent.layer) == 0
    a.call(b, session="friend")
    network.run(0.1)
    assert a.one(SessionAccepted).session == "friend"


def test_a_forged_reinvite_is_answered_once_and_never_repeated():
    network, a, b = established()
    forged = parse_datagram(network.sent("INVITE")[0][1])
    forged.headers.set("To", "<sip:x@y>;tag=forged")
    forged.headers.set("Via", f"SIP/2.0/UDP {A};branch=z9hG4bKforged")
    b.agent.receive(forged.to_bytes(), b.flow(a), b.now)
    network.wire.clear()
    network.run(40)
    assert [status for _, status in network.ladder()] == ["481"]


def test_a_ceiling_of_live_sessions_is_kept():
    network, a, b = pair(b=UserAgentConfig(classify=lambda _r, _f: TRUNK, overload=OverloadPolicy(live_sessions=1)))
    answering(b)
    a.call(b, session="one")
    network.run(0.3)
    a.call(b, session="two")
    network.run(0.3)
    assert a.one(SessionFailed).status == 503
    a.agent.cancel_or_bye("one", a.now)
    network.run(0.3)
    a.call(b, session="three")
    network.run(0.3)
    assert len(a.of(SessionAccepted)) == 2


def test_a_source_that_is_rejected_gets_403():
    network, a, b = pair(b=UserAgentConfig(classify=lambda _r, _f: REJECT))
    a.call(b)
    network.run(0.3)
    assert a.one(SessionFailed).status == 403


def test_transport_failure_of_an_invite_is_a_503_at_once():
    network, a, b = pair()
    a.call(b)
    a.agent.transport_failed(a.flow(b), a.now)
    network.drain()
    assert a.one(SessionFailed).status == 503


# --- commands


def test_a_command_for_a_session_that_has_ended_is_counted_and_ignored():
    network, a, b = established()
    a.agent.cancel_or_bye("call", a.now)
    network.run(1)
    before = len(network.wire)
    b.agent.accept(b.session, ANSWER, b.now)
    b.agent.cancel_or_bye(b.session, b.now)
    network.run(0.1)
    assert len(network.wire) == before
    assert b.agent.counters["stale_command"] == 2


def test_impossible_statuses_are_refused_as_misuse():
    _, _, b = established()
    for wrong in (lambda: b.agent.ring(b.session, b.now, status=200), lambda: b.agent.reject(b.session, 200, b.now)):
        with pytest.raises(LocalMisuse):
            wrong()


def test_a_second_call_under_the_same_id_is_refused_as_misuse():
    _, a, b = established()
    with pytest.raises(LocalMisuse):
        a.call(b)


def test_describe_shows_every_timer_with_its_seconds_left():
    network, a, b = pair()
    ringing(b)
    a.call(b)
    network.drain()
    [transaction] = a.agent.describe(a.now)["transactions"]["client"]
    assert transaction["timers"] == {"A": 0.5, "B": 32.0}
    [session] = a.agent.describe(a.now)["sessions"]
    assert (session["role"], session["state"]) == ("uac", "calling")


def test_credentials_are_not_shown_in_a_log():
    assert "geheim" not in repr(DigestCredentials("anna", "geheim"))
    assert "geheim" not in str(DigestCredentials("anna", "geheim"))


def test_a_response_nobody_waits_for_is_dropped():
    _, a, b = pair()
    stray = Response.build(
        200,
        None,
        [
            ("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx"),
            ("From", "<sip:a@b>;tag=1"),
            ("To", "<sip:a@b>;tag=2"),
            ("Call-ID", "x"),
            ("CSeq", "1 BYE"),
        ],
    )
    a.agent.receive(stray.to_bytes(), a.flow(b), a.now)
    assert a.agent.datagrams_to_send() == []
    assert a.agent.counters["stray_response"] == 1


def test_the_target_uri_of_a_call_keeps_its_parameters():
    network, a, b = pair()
    target = Uri.parse("sip:+4930123@192.0.2.2:5060;user=phone;line=7")
    a.agent.invite(session="x", target=target, flow=a.flow(b), from_=_name(a), to=_name(b), sdp=SDP, now=a.now, max_forwards=12)
    network.drain()
    sent = parse_datagram(network.wire[0][3])
    assert str(sent.uri) == str(target)
    assert sent.max_forwards == 12


def _name(node):
    from sip.headers.name_addr import NameAddr  # only here

    return NameAddr(node.uri)


# --- NOTIFY, Event: talk


def test_a_ringing_phone_is_asked_to_take_the_call_and_the_sequence_numbers_go_on_from_there():
    network, a, b = pair()
    ringing(b)
    a.call(b)
    network.run(0.5)
    a.agent.talk("call", a.now)
    network.run(0.5)
    assert b.one(TalkRequested).session == b.session
    b.agent.accept(b.session, ANSWER, b.now)
    network.run(0.5)
    a.agent.cancel_or_bye("call", a.now)
    network.run(0.5)
    sent = [parse_datagram(data).cseq for _, source, _, data in network.wire if source == A and not data.startswith(b"SIP/2.0")]
    assert [(one.number, one.method) for one in sent] == [(1, "INVITE"), (2, "NOTIFY"), (1, "ACK"), (3, "BYE")]
    assert_nothing_left(network)


def test_every_change_of_a_long_call_may_be_challenged_anew():
    """RFC 3261 §22.2: a carrier whose nonces are short-lived asks at each request; only one attempt must not go on for ever."""
    network, a, b = established()
    a.agent.cancel_or_bye("call", a.now)
    network.run(1)
    answering(b)
    a.call(b, session="long", credentials=DigestCredentials("anna", "geheim"))
    network.run(1)
    changes = []
    b.react = lambda event: changes.append(event) if isinstance(event, ReInviteReceived) else None
    for count in range(1, 6):
        network.drop = lambda data: data.startswith(b"INVITE") and f'nonce="n{count}"'.encode() not in data  # noqa: B023 - used in this round
        a.agent.reinvite("long", HOLD, a.now)
        network.drain()
        asked = parse_datagram(network.sent("INVITE", by=A)[-1][1])
        nonce = f'Digest realm="x", nonce="n{count}", stale=true, qop="auth"'
        a.agent.receive(asked.response(407, to_tag=asked.to_tag, headers=[("Proxy-Authenticate", nonce)]).to_bytes(), a.flow(b), a.now)
        network.run(0.1)
        assert len(changes) == count
        b.agent.accept_reinvite(b.session, ANSWER, b.now)
        network.run(1)
    assert [event.status for event in a.of(ReInviteAnswered)] == [200] * 5


def test_a_challenge_to_a_request_in_an_early_dialog_does_no_harm():
    network, a, b = pair()
    ringing(b)
    a.call(b, credentials=DigestCredentials("anna", "geheim"))
    network.run(0.5)
    a.agent.talk("call", a.now)
    network.drain()
    notify = parse_datagram(network.sent("NOTIFY")[0][1])
    challenge = notify.response(407, headers=[("Proxy-Authenticate", 'Digest realm="x", nonce="n", qop="auth"')])
    a.agent.receive(challenge.to_bytes(), a.flow(b), a.now)
    network.run(0.5)
    a.agent.cancel_or_bye("call", a.now)
    assert_nothing_left(network)


# --- is it there?


def test_a_peer_that_answers_the_question_is_there_and_nothing_is_said_of_it():
    network, a, _ = established()
    a.agent.ask_whether_there("call", a.now)
    network.run(40)
    assert a.of(ReInviteAnswered) == []
    assert a.of(SessionEnded) == []


def test_a_peer_that_does_not_answer_is_gone_after_64_t1():
    network, a, _ = established()
    network.drop = lambda _data: True
    a.agent.ask_whether_there("call", a.now)
    network.run(31.9)
    assert a.of(SessionEnded) == []
    network.run(0.2)
    assert a.one(SessionEnded).by == "timeout"


def test_nothing_is_asked_while_a_change_is_under_way():
    network, a, b = established()
    a.agent.reinvite("call", HOLD, a.now)
    a.agent.ask_whether_there("call", a.now)
    network.run(0.1)
    assert len(b.of(ReInviteReceived)) == 1


@pytest.mark.parametrize(
    ("content_type", "body"), [("application/dtmf-relay", b"Signal=16"), ("application/dtmf", b"!"), ("application/dtmf", b"12345")]
)
def test_info_that_holds_no_key_is_refused(content_type, body):
    network, a, b = established()
    a.agent.info("call", content_type, body, a.now)
    network.run(0.3)
    assert a.one(InfoAnswered).status == 400
    assert b.of(InfoReceived) == []
    assert b.agent.counters["info_unreadable"] == 1
