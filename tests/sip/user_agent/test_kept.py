"""A user agent is killed; what it had written down lets the next one end every session properly (RFC 3261 §9.1, §12, §15, §17)."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.classified import CHALLENGE
from sip.config import UserAgentConfig
from sip.digest import Account, Authenticator, DigestCredentials, ha1
from sip.errors import LocalMisuse, ParseError
from sip.events import EndingFailed, IncomingInvite, SessionAccepted, SessionEnded, SessionFailed
from sip.flow import Flow
from sip.headers.name_addr import NameAddr
from sip.kept import CSEQ_GAP
from sip.message import Request
from sip.parser import parse_datagram
from sip.uri import Uri
from sip.user_agent import UserAgent
from tests.sip.messages.strategies import FUZZ, mutated, name_addrs, uris, vias

from .network import ANSWER, OPEN, SDP, Network, answering, pair, ringing
from .test_calls import assert_nothing_left

pytestmark = pytest.mark.usefixtures("only_what_is_new")

A, B = "192.0.2.1", "192.0.2.2"
REASON = 'Q.850;cause=41;text="Temporary failure"'
HEADERS = (("Retry-After", "10"), ("Reason", REASON))


def killed(node, config=OPEN):
    """The engine is gone with all it knew; another one has its address."""
    serial = itertools.count()
    node.agent = UserAgent(config, lambda: f"again{node.host.replace('.', '')}x{next(serial):06d}")
    node.events.clear()
    node.react = lambda _event: None


def restored(node, kept, **more):
    node.agent.restore("kept", kept, node.now, **more)


def hung_up(node, kept, **more):
    restored(node, kept, **more)
    node.agent.cancel_or_bye("kept", node.now, reason_header=REASON)


def last(network, start, by=None):
    return parse_datagram(network.sent(start, by)[-1][1])


def established():
    network, a, b = pair()
    answering(b)
    a.call(b)
    network.run(1)
    return network, a, b


# ---------------------------------------------------------------------- dialogs


def test_the_caller_ends_its_dialog_with_a_higher_cseq_and_the_reason():
    network, a, b = established()
    kept = a.agent.kept("call")
    killed(a)
    hung_up(a, kept)
    network.run(1)
    bye = last(network, "BYE", A)
    assert bye.headers.get("Reason") == REASON
    assert bye.cseq.number == 1 + CSEQ_GAP + 1
    assert b.one(SessionEnded).by == "remote"
    assert b.one(SessionEnded).reason_header == REASON
    assert a.one(SessionEnded).by == "local"
    assert a.of(EndingFailed) == []
    assert_nothing_left(network)


def test_the_callee_ends_its_dialog_and_the_next_cseq_is_above_that_of_its_own_reinvite():
    """§12.2.1.1: strictly monotonically increasing, whatever was sent after the dialog was written down."""
    network, a, b = established()
    kept = b.agent.kept(b.session)
    b.agent.reinvite(b.session, ANSWER, b.now)
    network.run(0.1)
    used = last(network, "INVITE", B).cseq.number
    killed(b)
    hung_up(b, kept)
    network.run(1)
    assert last(network, "BYE", B).cseq.number > used
    assert a.one(SessionEnded).reason_header == REASON
    assert_nothing_left(network)


def test_a_call_that_was_answered_after_it_was_written_down_is_ended_with_bye():
    network, a, b = pair()
    b.react = lambda event: isinstance(event, IncomingInvite) and kept.append(b.agent.kept(event.session))
    kept = []
    a.call(b)
    network.run(0.1)
    b.agent.accept(b.session, ANSWER, b.now)
    network.run(0.1)
    assert a.one(SessionAccepted)
    killed(b)
    hung_up(b, kept[0], answered=True)
    network.run(1)
    assert a.one(SessionEnded).by == "remote"
    assert [status for host, status in network.ladder()[-2:]] == ["BYE", "200"]
    assert_nothing_left(network)


def test_a_caller_that_never_saw_the_200_is_refused_once_its_bye_is_unknown():
    """The answer was decided on and never sent: the early dialog's BYE is answered 481, the INVITE is still owed an answer (§17.2.1)."""
    network, a, b = pair()
    b.react = lambda event: isinstance(event, IncomingInvite) and b.agent.ring(event.session, b.now)
    a.call(b)
    network.run(0.1)
    kept = b.agent.kept(b.session)
    killed(b)
    hung_up(b, kept, answered=True)
    network.run(1)
    assert [status for _, status in network.ladder()[-4:]] == ["BYE", "481", "503", "ACK"]
    assert a.one(SessionFailed).status == 503
    assert last(network, "SIP/2.0 503").headers.get("Reason") == REASON
    assert_nothing_left(network)


def test_bye_is_repeated_until_it_is_answered_and_its_failure_is_told_once():
    network, a, _ = established()
    kept = a.agent.kept("call")
    killed(a)
    network.drop = lambda data: data.startswith(b"BYE")
    hung_up(a, kept)
    network.run(40)
    # §17.1.2.2: timer E at 0.5, 1, 2, 4 ... up to timer F at 32 s.
    assert len(network.sent("BYE")) == 11
    assert a.one(EndingFailed) == EndingFailed("kept", "BYE was not answered, or could not be sent")
    assert a.agent.live_sessions == 0


def test_a_peer_that_has_forgotten_the_dialog_is_no_failure():
    network, a, b = established()
    kept = a.agent.kept("call")
    killed(a)
    killed(b)
    hung_up(a, kept)
    network.run(1)
    assert [status for _, status in network.ladder()[-2:]] == ["BYE", "481"]
    assert a.of(EndingFailed) == []
    assert_nothing_left(network)


def test_both_hang_up_at_once():
    network, a, b = established()
    kept = a.agent.kept("call")
    killed(a)
    hung_up(a, kept)
    b.agent.cancel_or_bye(b.session, b.now)
    network.run(1)
    assert sorted(status for _, status in network.ladder()[-4:]) == ["200", "200", "BYE", "BYE"]
    assert_nothing_left(network)


def challenging():
    def lookup(_request, username, realm, algorithm):
        return Account(f"{username}@{realm}", ha1(username, realm, "geheim", algorithm)) if username == "anna" else None

    return UserAgentConfig(classify=lambda _r, _f: CHALLENGE, authenticator=Authenticator("house", lookup, b"0123456789abcdef"))


def refusing_byes(node, status=401):
    """Answer each BYE without credentials with a challenge, as a proxy of the carrier does; returns those with."""
    taken = []
    receive = node.agent.receive

    def challenge(data, flow, now):
        if data.startswith(b"BYE"):
            bye = parse_datagram(data)
            if "Authorization" in bye.headers:
                taken.append(bye)
            else:
                fields = [("WWW-Authenticate", 'Digest realm="house", nonce="n", algorithm=MD5, qop="auth"')]
                node.agent.send(flow, bye.response(status, headers=fields if status == 401 else []).to_bytes())
                return
        receive(data, flow, now)

    node.agent.receive = challenge
    return taken


def test_a_challenge_is_answered_with_the_credentials_that_are_given_again():
    network, a, b = pair(b=challenging())
    answering(b)
    a.call(b, credentials=DigestCredentials("anna", "geheim"))
    network.run(1)
    kept = a.agent.kept("call")
    assert "geheim" not in kept
    assert "Digest" not in kept
    killed(a)
    taken = refusing_byes(b)
    hung_up(a, kept, credentials=DigestCredentials("anna", "geheim"))
    network.run(1)
    [bye] = taken
    assert bye.cseq.number > 1000
    assert bye.headers.get("Reason") == REASON
    assert b.one(SessionEnded).by == "remote"
    assert a.of(EndingFailed) == []
    assert_nothing_left(network)


def test_a_challenge_nobody_can_answer_is_a_failure():
    network, a, b = established()
    kept = a.agent.kept("call")
    killed(a)
    refusing_byes(b)
    hung_up(a, kept)
    network.run(1)
    assert a.one(EndingFailed).why == "BYE was answered 401"


@pytest.mark.parametrize("router", ["<sip:192.0.2.3;lr>", "<sip:192.0.2.3>"])
def test_the_route_set_is_kept(router):
    """§12.2.1.1: through a loose router the target stays in the Request-URI, through a strict one the route takes its place."""
    network, a, b = pair()
    proxy = network.node("192.0.2.3")
    b.react = lambda event: isinstance(event, IncomingInvite) and b.agent.accept(event.session, ANSWER, b.now)
    invite = Request.build(
        "INVITE",
        b.uri,
        [
            ("Via", f"SIP/2.0/UDP {A};branch=z9hG4bKa"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:anna@{A}>;tag=a"),
            ("To", f"<sip:ben@{B}>"),
            ("Call-ID", "routed"),
            ("CSeq", "7 INVITE"),
            ("Contact", f"<sip:anna@{A}>"),
            ("Record-Route", router),
            ("Record-Route", "<sip:192.0.2.4;lr>"),
        ],
        SDP,
        "application/sdp",
    )
    b.agent.receive(invite.to_bytes(), b.flow(a), b.now)
    network.drain()
    kept = b.agent.kept(b.session)
    killed(b)
    hung_up(b, kept)
    network.run(0.001)
    _at, source, target, data = network.wire[-1]
    bye = parse_datagram(data)
    assert (source, target) == (B, proxy.host)
    if ";lr" in router:
        assert (str(bye.uri), bye.headers.get_all("Route")) == (f"sip:anna@{A}", [router, "<sip:192.0.2.4;lr>"])
    else:
        assert (str(bye.uri), bye.headers.get_all("Route")) == ("sip:192.0.2.3", ["<sip:192.0.2.4;lr>", f"<sip:anna@{A}>"])


# ---------------------------------------------------------------------- phones that ring


def ringing_pair():
    network, a, b = pair()
    ringing(b)
    a.call(b)
    network.run(0.1)
    return network, a, b, a.agent.kept("call")


def test_a_ringing_phone_is_cancelled_and_its_487_acknowledged():
    network, a, b, kept = ringing_pair()
    invite = last(network, "INVITE")
    killed(a)
    hung_up(a, kept)
    network.run(1)
    cancel = last(network, "CANCEL")
    # §9.1: "The Request-URI, Call-ID, To, the numeric part of CSeq, and From header fields in the CANCEL request MUST be identical", and
    # the same Via.
    for name in ("Via", "Call-ID", "To", "From"):
        assert cancel.headers.get_all(name) == invite.headers.get_all(name)
    assert (cancel.uri, cancel.cseq.number) == (invite.uri, invite.cseq.number)
    assert cancel.headers.get("Reason") == REASON
    assert [status for _, status in network.ladder()[2:]] == ["CANCEL", "200", "487", "ACK"]
    ack = last(network, "ACK")
    assert ack.headers.get("Via") == invite.headers.get("Via")
    assert b.one(SessionEnded).by == "remote"
    assert a.of(EndingFailed) == []
    assert_nothing_left(network)


def test_a_200_that_crosses_the_cancel_is_acknowledged_and_the_call_ended():
    network, a, b, kept = ringing_pair()
    killed(a)
    b.agent.accept(b.session, ANSWER, b.now)
    hung_up(a, kept)
    network.run(1)
    assert sorted(status for _, status in network.ladder()[2:]) == ["200", "200", "200", "ACK", "BYE", "CANCEL"]
    assert last(network, "BYE").headers.get("Reason") == REASON
    assert b.one(SessionEnded).by == "remote"
    assert a.of(EndingFailed) == []
    assert_nothing_left(network)


def test_a_phone_that_was_taken_while_nobody_was_there_is_told_at_its_next_200():
    network, a, b, kept = ringing_pair()
    killed(a)
    b.agent.accept(b.session, ANSWER, b.now)
    network.run(3)
    hung_up(a, kept)
    network.run(5)
    assert b.one(SessionEnded).by == "remote"
    assert_nothing_left(network)


def test_a_phone_that_never_got_the_invite_is_no_failure():
    network, a, b = pair()
    network.drop = lambda data: data.startswith(b"INVITE")
    a.call(b)
    network.run(0.1)
    kept = a.agent.kept("call")
    killed(a)
    hung_up(a, kept)
    network.run(40)
    assert [status for _, status in network.ladder()] == ["INVITE", "CANCEL", "481"]
    assert a.one(SessionEnded).by == "local"
    assert a.of(EndingFailed) == []
    assert_nothing_left(network)


def test_a_phone_that_is_gone_is_a_failure():
    network, a, _b, kept = ringing_pair()
    killed(a)
    del network.nodes[B]
    hung_up(a, kept)
    network.run(40)
    assert a.one(EndingFailed).session == "kept"
    assert_nothing_left(network)


# ---------------------------------------------------------------------- callers that wait for an answer


def test_a_waiting_caller_is_refused_with_the_tag_that_rang_until_it_acknowledges():
    network, a, b = pair()
    ringing(b)
    a.call(b)
    network.run(0.1)
    kept = b.agent.kept(b.session)
    killed(b)
    restored(b, kept)
    network.drop = lambda data: data.startswith(b"SIP/2.0 503") and len(network.sent("SIP/2.0 503")) < 3
    b.agent.reject("kept", 503, b.now, headers=HEADERS)
    network.run(10)
    # §17.2.1: timer G repeats the response at T1, then doubled, until the ACK: 0, 0.5, 1.5 s.
    assert [round(at - network.sent("SIP/2.0 503")[0][0], 3) for at, _ in network.sent("SIP/2.0 503")] == [0, 0.5, 1.5]
    refused = last(network, "SIP/2.0 503")
    assert (refused.headers.get("Retry-After"), refused.headers.get("Reason")) == ("10", REASON)
    assert refused.to_tag == last(network, "SIP/2.0 180").to_tag
    assert len(network.sent("ACK")) == 1
    assert a.one(SessionFailed).status == 503
    assert b.of(EndingFailed) == []
    assert_nothing_left(network)


def test_a_caller_that_acknowledges_nothing_is_a_failure():
    network, a, b = pair()
    ringing(b)
    a.call(b)
    network.run(0.1)
    kept = b.agent.kept(b.session)
    killed(b)
    restored(b, kept)
    del network.nodes[A]
    b.agent.reject("kept", 503, b.now, headers=HEADERS)
    network.run(40)
    assert b.one(EndingFailed).why == "the refusal was not acknowledged"


def test_a_caller_may_still_cancel():
    network, a, b = pair()
    ringing(b)
    a.call(b)
    network.run(0.1)
    kept = b.agent.kept(b.session)
    killed(b)
    restored(b, kept)
    a.agent.cancel_or_bye("call", a.now)
    network.run(1)
    assert b.one(SessionEnded).by == "remote"
    assert a.one(SessionEnded).status == 487
    assert_nothing_left(network)


def test_a_caller_without_rport_is_answered_where_its_via_says():
    """§18.2.2: to the `received` address and the sent-by port, not to the port the INVITE came from."""
    network, _a, b = pair()
    invite = Request.build(
        "INVITE",
        b.uri,
        [
            ("Via", "SIP/2.0/UDP proxy.example:5070;branch=z9hG4bKp, SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKu"),
            ("Via", "SIP/2.0/TCP 10.0.0.2;branch=z9hG4bKv"),
            ("Max-Forwards", "70"),
            ("From", "<sip:anna@example.org>;tag=a"),
            ("To", '"Ben, B." <sip:ben@example.org>'),
            ("Call-ID", "x@y"),
            ("CSeq", "9 INVITE"),
            ("Contact", "<sip:anna@10.0.0.1>"),
        ],
        SDP,
        "application/sdp",
    )
    b.agent.receive(invite.to_bytes(), Flow("udp", (B, 5060), (A, 33333)), b.now)
    network.drain()
    before = b.agent.kept(b.session)
    killed(b)
    restored(b, before)
    assert b.agent.kept("kept") == before
    b.agent.reject("kept", 503, b.now)
    [(flow, data)] = b.agent.datagrams_to_send()
    assert flow == Flow("udp", (B, 5060), (A, 5070))
    assert parse_datagram(data).headers.get_all("Via") == [
        f"SIP/2.0/UDP proxy.example:5070;branch=z9hG4bKp;received={A}, SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKu",
        "SIP/2.0/TCP 10.0.0.2;branch=z9hG4bKv",
    ]


# ---------------------------------------------------------------------- connections


def test_over_tcp_the_peer_is_reached_where_it_listens_and_a_lost_connection_is_told():
    network = Network()
    a, b = network.node(A, transport="tcp"), network.node(B, transport="tcp")
    answering(b)
    connection = Flow("tcp", (B, 5060), (A, 40123))
    a.call(b)
    [(_, data)] = a.agent.datagrams_to_send()
    b.agent.receive(data, connection, b.now)
    b.react(b.agent.events()[0])
    early = b.agent.kept(next(iter(b.agent._sessions)))
    killed(b)
    hung_up(b, early)
    [(flow, data)] = b.agent.datagrams_to_send()
    assert data.startswith(b"BYE")
    assert flow == Flow("tcp", (B, 5060), (A, 5060))
    b.agent.transport_failed(flow, b.now)
    assert [(again, sent.split()[0]) for again, sent in b.agent.datagrams_to_send()] == [(flow, b"BYE")]  # over a connection of its own
    assert [event for event in b.agent.events() if isinstance(event, EndingFailed)] == []
    b.agent.transport_failed(flow, b.now)
    assert [event for event in b.agent.events() if isinstance(event, EndingFailed)]
    assert b.agent.live_sessions == 0


def test_over_tcp_a_refusal_goes_to_the_address_of_the_via():
    network = Network()
    a, b = network.node(A, transport="tcp"), network.node(B, transport="tcp")
    a.call(b)
    [(_, data)] = a.agent.datagrams_to_send()
    b.agent.receive(data, Flow("tcp", (B, 5060), (A, 40123)), b.now)
    kept = b.agent.kept(next(iter(b.agent._sessions)))
    killed(b)
    restored(b, kept)
    b.agent.reject("kept", 503, b.now)
    [(flow, _)] = b.agent.datagrams_to_send()
    assert flow == Flow("tcp", (B, 5060), (A, 5060))
    b.agent.transport_failed(flow, b.now)
    assert [event for event in b.agent.events() if isinstance(event, EndingFailed)]


# ---------------------------------------------------------------------- every field


def twice(kept, **more):
    """Written down, taken up by another engine, written down there."""
    serial = itertools.count()
    agent = UserAgent(OPEN, lambda: f"other{next(serial):06d}")
    agent.restore("s", kept, 0.0, **more)
    return agent.kept("s")


contacts = uris.map(lambda uri: uri.without_headers())
hops = st.lists(uris.map(lambda uri: f"<{uri.without_headers()}>"), max_size=3)


@FUZZ
@given(target=contacts, local=name_addrs, remote=name_addrs, route=st.lists(contacts, max_size=2))
def test_every_field_of_an_invite_of_ours_survives(target, local, remote, route):
    serial = itertools.count()
    agent = UserAgent(OPEN, lambda: f"token{next(serial):06d}")
    flow = Flow("udp", ("2001:db8::1", 5060), ("host.example", 5062))
    agent.invite(session="s", target=target, flow=flow, from_=local, to=remote, sdp=SDP, now=0.0, route=route)
    kept = agent.kept("s")
    assert twice(kept) == kept
    assert "\n" not in kept


@FUZZ
@given(target=contacts, remote=name_addrs, local=name_addrs, contact=contacts, path=st.lists(vias, min_size=1, max_size=3), routes=hops)
def test_every_field_of_an_invite_of_theirs_survives_and_of_its_dialog(target, remote, local, contact, path, routes):
    serial = itertools.count()
    agent = UserAgent(OPEN, lambda: f"token{next(serial):06d}")
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
    offered = [event.session for event in agent.events() if isinstance(event, IncomingInvite)]
    for session in offered:
        kept = agent.kept(session)
        assert twice(kept) == kept
        agent.accept(session, ANSWER, 0.0)
        dialog = agent.kept(session)
        gap = f',"c",{CSEQ_GAP},'
        assert twice(dialog) == dialog.replace(',"c",0,', gap)
        assert twice(kept, answered=True) == dialog.replace(',"c",0,', gap)


@FUZZ
@given(
    text=st.text(max_size=40)
    | mutated([b'["dialog",["udp","192.0.2.2",5060,"192.0.2.1",5060],"c",1,true,"<sip:a>","<sip:b>",null,"sip:c",false,[]]']).map(
        lambda octets: octets.decode("latin-1")
    )
)
def test_noise_is_refused_and_leaves_nothing(text):
    agent = UserAgent(OPEN, lambda: "token")
    try:
        agent.restore("s", text, 0.0)
    except ParseError:
        assert agent.live_sessions == 0
        assert agent.describe(0.0)["dialogs"] == 0


def test_a_session_id_is_used_once_and_an_unknown_session_is_not_written_down():
    _network, a, _b = established()
    kept = a.agent.kept("call")
    with pytest.raises(LocalMisuse):
        a.agent.restore("call", kept, a.now)
    assert a.agent.kept("nobody") is None


def test_what_is_written_down_is_small():
    """It is journalled with every leg (fact and event): with addresses of full length no text is above 350 octets."""
    network, a, b = pair()
    ringing(b)
    long = "203.0.113.250"
    a.agent.invite(
        session="s",
        target=Uri.parse(f"sip:anna.maria.musterfrau@{long}:45678"),
        flow=Flow("udp", (long, 5060), (long, 45678)),
        from_=NameAddr(Uri.parse(f"sip:+4989123456789@{long}"), "Anna Musterfrau"),
        to=NameAddr(Uri.parse(f"sip:anna.maria.musterfrau@{long}")),
        sdp=SDP,
        now=a.now,
        call_id="0123456789abcdef",
    )
    assert len(a.agent.kept("s")) <= 350
    a.call(b)
    network.run(0.1)
    b.agent.accept(b.session, ANSWER, b.now)
    network.run(0.1)
    assert len(a.agent.kept("call")) <= 350
    assert len(b.agent.kept(b.session)) <= 350
