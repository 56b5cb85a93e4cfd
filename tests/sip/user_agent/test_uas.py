"""How the user agent server core judges single requests: RFC 3261 §8.2, §12.2.2, §18.2, RFC 3581."""

import pytest

from sip.classified import TRUNK
from sip.config import UserAgentConfig
from sip.events import IncomingInvite, MessageDropped, ReInviteReceived, SessionAccepted
from sip.flow import Flow
from sip.message import Request
from sip.parser import parse_datagram
from sip.uri import Uri
from sip.user_agent import UserAgent

from .network import ANSWER, SDP, pair

FLOW = Flow("udp", ("192.0.2.2", 5060), ("192.0.2.1", 5060))
TCP = Flow("tcp", ("192.0.2.2", 5060), ("192.0.2.1", 40000))


@pytest.fixture
def agent():
    serial = iter(range(10**6))
    return UserAgent(UserAgentConfig(classify=lambda _r, _f: TRUNK), lambda: f"token{next(serial):06d}")


def request(
    method="INVITE",
    branch="one",
    uri="sip:bob@192.0.2.2",
    cseq=1,
    to="<sip:bob@192.0.2.2>",
    call_id="call",
    body=SDP,
    kind="application/sdp",
    **more,
):
    via = more.pop("via", f"SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{branch}")
    fields = [
        ("Via", via),
        ("Max-Forwards", more.pop("max_forwards", "70")),
        ("From", more.pop("from_", "<sip:alice@192.0.2.1>;tag=alice")),
        ("To", to),
        ("Call-ID", call_id),
        ("CSeq", f"{cseq} {method}"),
        *((name.replace("_", "-"), value) for name, value in more.items()),
    ]
    if method == "INVITE":
        fields.append(("Contact", "<sip:alice@192.0.2.1>"))
    has_body = method == "INVITE" and body
    return Request.build(method, Uri.parse(uri), fields, body if has_body else b"", kind if has_body else None)


def answers(agent, message, flow=FLOW):
    agent.receive(message.to_bytes(), flow, 0.0)
    return [parse_datagram(data) for _, data in agent.datagrams_to_send()]


def answer(agent, message, flow=FLOW):
    [one] = answers(agent, message, flow)
    return one


def session(agent):
    [event] = [event for event in agent.events() if isinstance(event, IncomingInvite)]
    return event.session


def accepted(agent):
    """A confirmed dialog; returns its session and our tag."""
    agent.receive(request().to_bytes(), FLOW, 0.0)
    made = session(agent)
    agent.accept(made, ANSWER, 0.0)
    [(_, data)] = agent.datagrams_to_send()
    tag = parse_datagram(data).to_tag
    agent.receive(request("ACK", "ack", to=f"<sip:bob@192.0.2.2>;tag={tag}").to_bytes(), FLOW, 0.0)
    agent.events()
    return made, f"<sip:bob@192.0.2.2>;tag={tag}"


@pytest.mark.parametrize(
    ("message", "status", "header"),
    [
        (request("MESSAGE"), 405, "Allow"),
        (request("SUBSCRIBE"), 405, "Allow"),
        (request("REGISTER"), 405, "Allow"),
        (request("PEEL"), 501, "Allow"),
        (request(uri="urn:isbn:0451450523"), 416, None),
        (request("OPTIONS", uri="nobody:knows"), 416, None),
        (request(Require="100rel"), 420, "Unsupported"),
        (request("OPTIONS", Require="a, b"), 420, "Unsupported"),
        (request(kind="application/unknown"), 415, "Accept"),
        (request(Content_Encoding="gzip"), 415, "Accept-Encoding"),
        (request(Accept="text/plain"), 406, None),
        (request(max_forwards="0"), 483, None),
        (request("BYE"), 481, None),
        (request("INFO"), 481, None),
        (request("CANCEL"), 481, None),
        (request("BYE", to="<sip:bob@192.0.2.2>;tag=gone"), 481, None),
        (request("INVITE", to="<sip:bob@192.0.2.2>;tag=gone"), 481, None),
        (request("OPTIONS", to="<sip:bob@192.0.2.2>;tag=gone"), 481, None),
    ],
    ids=lambda value: value.method if isinstance(value, Request) else str(value),
)
def test_a_request_we_cannot_serve_is_answered_with_its_reason(agent, message, status, header):
    got = answer(agent, message)
    assert got.status == status
    assert got.to_tag
    assert header is None or header in got.headers
    assert agent.live_sessions == 0


@pytest.mark.parametrize("uri", ["tel:+4930123", "tel:112;phone-context=+49", "urn:service:sos", "URN:service:sos.police"])
def test_a_telephone_number_and_a_call_for_help_can_be_called(agent, uri):
    """RFC 3966, RFC 5031."""
    assert answers(agent, request(uri=uri, to=f"<{uri}>")) == []
    assert session(agent)


def test_an_optional_body_of_unknown_type_is_ignored(agent):
    """RFC 3261 §8.2.3: unless handling=optional."""
    assert answers(agent, request(kind="application/unknown", Content_Disposition="session;handling=optional")) == []
    assert session(agent)


def test_an_ack_is_never_answered(agent):
    assert answers(agent, request("ACK", to="<sip:bob@192.0.2.2>;tag=gone")) == []
    broken = request("ACK").to_bytes().replace(b"CSeq: 1 ACK", b"CSeq: x ACK")
    agent.receive(broken, FLOW, 0.0)
    assert agent.datagrams_to_send() == []


def test_a_response_that_cannot_be_read_is_dropped(agent):
    agent.receive(b"SIP/2.0 200 OK\r\nVia: nonsense\r\n\r\n", FLOW, 0.0)
    assert agent.datagrams_to_send() == []
    assert isinstance(agent.events()[0], MessageDropped)


def test_a_malformed_2xx_is_discarded_and_the_call_goes_on_waiting_for_a_good_one():
    network, a, b = pair()
    a.call(b)
    network.drain()
    invite = parse_datagram(network.wire[0][3])
    good = invite.response(
        200, to_tag="b", headers=[("Contact", "<sip:b@192.0.2.2>")], body=ANSWER, content_type="application/sdp"
    ).to_bytes()
    for bad in (b"Contact: *\r\nContact: <sip:x@y>", b"Contact: <sip:", b"Contact: <sip:b@h>\r\nRecord-Route: x"):
        a.agent.receive(good.replace(b"Contact: <sip:b@192.0.2.2>", bad), a.flow(b), a.now)
    network.drain()
    assert a.of(SessionAccepted) == []
    a.agent.receive(good, a.flow(b), a.now)
    network.drain()
    assert a.one(SessionAccepted).sdp == ANSWER


@pytest.mark.parametrize("bad", ["Contact: <sip:", "Supported: a b", "Content-Type: x", "Session-Expires: 1800\r\nSupported: ,"])
def test_a_malformed_reinvite_is_refused_and_a_good_one_is_served_afterwards(agent, bad):
    made, to = accepted(agent)
    again = request("INVITE", "re1", to=to, cseq=2).to_bytes().replace(b"Max-Forwards: 70", b"Max-Forwards: 70\r\n" + bad.encode())
    if bad.startswith("Content-Type"):
        again = again.replace(b"Content-Type: application/sdp\r\n", b"")
    if bad.startswith("Contact"):
        again = again.replace(b"Contact: <sip:alice@192.0.2.1>\r\n", b"")
    agent.receive(again, FLOW, 0.0)
    assert [data[:11] for _, data in agent.datagrams_to_send()] == [b"SIP/2.0 400"]
    agent.receive(request("INVITE", "re2", to=to, cseq=3).to_bytes(), FLOW, 0.0)
    [event] = agent.events()
    agent.accept_reinvite(made, ANSWER, 0.0)
    assert isinstance(event, ReInviteReceived)
    assert [data[:11] for _, data in agent.datagrams_to_send()] == [b"SIP/2.0 200"]


@pytest.mark.parametrize("broken", [b"Max-Forwards: x", b"Max-Forwards: 70\r\nContact: <sip:a", b"Max-Forwards: 70\r\nRequire: a b"])
def test_malformed_headers_are_answered_400_also_when_found_late(agent, broken):
    agent.receive(request().to_bytes().replace(b"Max-Forwards: 70", broken), FLOW, 0.0)
    statuses = [data[:11] for _, data in agent.datagrams_to_send()]
    assert statuses == [b"SIP/2.0 400"]


def test_a_malformed_record_route_does_not_leave_a_session_behind(agent):
    agent.receive(request(Record_Route="nonsense").to_bytes(), FLOW, 0.0)
    assert [data[:11] for _, data in agent.datagrams_to_send()] == [b"SIP/2.0 400"]
    agent.handle_timeout(100.0)
    left = agent.describe(100.0)
    assert (left["sessions"], left["dialogs"], left["transactions"]["server"]) == ([], 0, [])


def test_a_merged_request_is_answered_482(agent):
    """RFC 3261 §8.2.2.2: the same request by two paths."""
    assert answers(agent, request(branch="one")) == []
    assert answer(agent, request(branch="two")).status == 482
    assert agent.live_sessions == 1


def test_a_retransmitted_invite_gets_the_last_provisional_response_again(agent):
    answers(agent, request())
    agent.ring(session(agent), 0.0)
    [(_, ringing)] = agent.datagrams_to_send()
    agent.receive(request().to_bytes(), FLOW, 0.1)
    assert agent.datagrams_to_send() == [(FLOW, ringing)]


def test_a_retransmitted_request_gets_the_very_same_final_response(agent):
    agent.receive(request("OPTIONS").to_bytes(), FLOW, 0.0)
    first = agent.datagrams_to_send()
    agent.receive(request("OPTIONS").to_bytes(), FLOW, 5.0)
    assert agent.datagrams_to_send() == first


def test_stateless_answers_carry_the_same_tag_each_time(agent):
    """RFC 3261 §8.2.7."""
    broken = request().to_bytes().replace(b"Max-Forwards: 70", b"Max-Forwards: x")
    tags = set()
    for _ in range(2):
        agent.receive(broken, FLOW, 0.0)
        [(_, data)] = agent.datagrams_to_send()
        tags.add(data.split(b"tag=")[2].split(b"\r\n")[0])
    assert len(tags) == 1


# --- where responses go: §18.2.2, RFC 3581


@pytest.mark.parametrize(
    ("via", "remote", "stamped", "goes_to"),
    [
        ("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx", ("192.0.2.1", 5060), None, ("192.0.2.1", 5060)),
        ("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx", ("192.0.2.1", 9999), None, ("192.0.2.1", 5060)),
        ("SIP/2.0/UDP 10.0.0.7:5062;branch=z9hG4bKx", ("192.0.2.1", 9999), ("192.0.2.1", None), ("192.0.2.1", 5062)),
        ("SIP/2.0/UDP 10.0.0.7:5062;rport;branch=z9hG4bKx", ("192.0.2.1", 9999), ("192.0.2.1", 9999), ("192.0.2.1", 9999)),
        ("SIP/2.0/UDP phone.example;branch=z9hG4bKx", ("192.0.2.1", 9999), ("192.0.2.1", None), ("192.0.2.1", 5060)),
    ],
)
def test_responses_go_where_via_received_and_rport_say(agent, via, remote, stamped, goes_to):
    agent.receive(request("OPTIONS", via=via).to_bytes(), Flow("udp", ("192.0.2.2", 5060), remote), 0.0)
    [(flow, data)] = agent.datagrams_to_send()
    top = parse_datagram(data).top_via
    assert flow.remote == goes_to
    if stamped is not None:
        assert (top.received, top.rport) == stamped


def test_only_the_top_via_of_a_joined_header_is_stamped(agent):
    via = "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKtop, SIP/2.0/TCP first.example;branch=z9hG4bKbottom"
    got = answer(agent, request("OPTIONS", via=via))
    assert [(one.host, one.received) for one in got.vias] == [("192.0.2.9", "192.0.2.1"), ("first.example", None)]


def test_a_comma_in_a_quoted_parameter_of_the_top_via_begins_no_other_via(agent):
    """RFC 3261 §25.1: via-parm = sent-protocol LWS sent-by *( SEMI via-params ), and a generic-param may be a quoted-string."""
    plain = request("OPTIONS", via='SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKtop;note="a,b"').to_bytes()
    head, _, rest = plain.partition(b"\r\n")
    top, _, rest = rest.partition(b"\r\n")
    below = b"Via: SIP/2.0/TCP first.example;branch=z9hG4bKbottom"
    agent.receive(b"\r\n".join([head, top, below, rest]), FLOW, 0.0)
    [(_, data)] = agent.datagrams_to_send()
    assert [(one.host, one.received) for one in parse_datagram(data).vias] == [("192.0.2.9", "192.0.2.1"), ("first.example", None)]


def test_on_tcp_the_response_takes_the_connection_it_came_by(agent):
    agent.receive(request("OPTIONS", via="SIP/2.0/TCP 10.0.0.7:5062;branch=z9hG4bKx").to_bytes(), TCP, 0.0)
    [(flow, _)] = agent.datagrams_to_send()
    assert flow == TCP


# --- within a dialog


def test_requests_out_of_order_in_a_dialog_are_answered_500(agent):
    _, to = accepted(agent)
    assert answer(agent, request("INFO", "i1", to=to, cseq=9)).status == 200
    assert answer(agent, request("INFO", "i2", to=to, cseq=8)).status == 500


@pytest.mark.parametrize(("method", "status"), [("UPDATE", 405), ("REFER", 400), ("PEEL", 501), ("OPTIONS", 200), ("BYE", 200)])
def test_methods_within_a_dialog(agent, method, status):
    _, to = accepted(agent)
    assert answer(agent, request(method, "m", to=to, cseq=2)).status == status


def test_requests_of_the_dialog_carry_its_route_set_and_the_2xx_its_record_route(agent):
    """RFC 3261 §12.1.1: the UAS takes the Record-Route in order."""
    agent.receive(request(Record_Route="<sip:near@192.0.2.8;lr>, <sip:far@192.0.2.9;lr>").to_bytes(), FLOW, 0.0)
    made = session(agent)
    agent.accept(made, ANSWER, 0.0)
    ok = parse_datagram(agent.datagrams_to_send()[0][1])
    assert [route.uri.host for route in ok.record_routes] == ["192.0.2.8", "192.0.2.9"]
    agent.receive(request("ACK", "ack", to=str(ok.to)).to_bytes(), FLOW, 0.0)
    agent.cancel_or_bye(made, 0.0)
    [(flow, data)] = agent.datagrams_to_send()
    bye = parse_datagram(data)
    assert flow.remote == ("192.0.2.8", 5060)
    assert str(bye.uri) == "sip:alice@192.0.2.1"
    assert [route.uri.host for route in bye.routes] == ["192.0.2.8", "192.0.2.9"]


def test_a_strict_router_gets_its_own_uri_as_request_uri(agent):
    """RFC 3261 §12.2.1.1."""
    agent.receive(request(Record_Route="<sip:strict@192.0.2.8>, <sip:far@192.0.2.9;lr>").to_bytes(), FLOW, 0.0)
    made = session(agent)
    agent.accept(made, ANSWER, 0.0)
    ok = parse_datagram(agent.datagrams_to_send()[0][1])
    agent.receive(request("ACK", "ack", to=str(ok.to)).to_bytes(), FLOW, 0.0)
    agent.cancel_or_bye(made, 0.0)
    [(_, data)] = agent.datagrams_to_send()
    bye = parse_datagram(data)
    assert str(bye.uri) == "sip:strict@192.0.2.8"
    assert [str(route.uri) for route in bye.routes] == ["sip:far@192.0.2.9;lr", "sip:alice@192.0.2.1"]


def test_a_caller_behind_nat_is_reached_by_the_flow_he_came_from(agent):
    nat = Flow("udp", ("192.0.2.2", 5060), ("198.51.100.7", 31234))
    agent.receive(request(via="SIP/2.0/UDP 10.0.0.5:5060;rport;branch=z9hG4bKn").to_bytes(), nat, 0.0)
    made = session(agent)
    agent.accept(made, ANSWER, 0.0)
    ok = parse_datagram(agent.datagrams_to_send()[0][1])
    agent.receive(request("ACK", "ack", to=str(ok.to)).to_bytes(), nat, 0.0)
    agent.cancel_or_bye(made, 0.0)
    [(flow, _)] = agent.datagrams_to_send()
    assert flow == nat


def test_an_rfc_2543_caller_without_a_tag_is_served(agent):
    agent.receive(request(from_="<sip:alice@192.0.2.1>").to_bytes(), FLOW, 0.0)
    made = session(agent)
    agent.accept(made, ANSWER, 0.0)
    ok = parse_datagram(agent.datagrams_to_send()[0][1])
    agent.receive(request("ACK", "ack", to=str(ok.to), from_="<sip:alice@192.0.2.1>").to_bytes(), FLOW, 0.0)
    assert agent.describe(0.0)["sessions"][0]["state"] == "established"
    assert answer(agent, request("BYE", "bye", to=str(ok.to), from_="<sip:alice@192.0.2.1>", cseq=2)).status == 200


def test_an_old_client_that_acks_a_2xx_with_the_branch_of_the_invite_is_understood(agent):
    agent.receive(request().to_bytes(), FLOW, 0.0)
    made = session(agent)
    agent.accept(made, ANSWER, 0.0)
    ok = parse_datagram(agent.datagrams_to_send()[0][1])
    agent.receive(request("ACK", "one", to=str(ok.to)).to_bytes(), FLOW, 0.0)
    assert agent.describe(0.0)["sessions"][0]["state"] == "established"


def test_keep_alives_are_counted_and_not_answered(agent):
    for ping in (b"\r\n\r\n", b"\r\n", b"\x00" * 4, b""):
        agent.receive(ping, FLOW, 0.0)
    assert agent.datagrams_to_send() == []
    assert agent.events() == []
    assert agent.counters["keep_alive"] == 4


def test_a_malformed_require_inside_a_dialog_is_answered_once_and_leaves_no_transaction(agent):
    _, to = accepted(agent)
    info = request("INFO", "i1", to=to, cseq=2, Require="a b")
    assert answer(agent, info).status == 400
    agent.receive(info.to_bytes(), FLOW, 0.1)
    assert len(agent.datagrams_to_send()) == 1
    agent.handle_timeout(100.0)
    assert agent.describe(100.0)["transactions"]["server"] == []
