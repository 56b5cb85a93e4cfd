"""Dialog state: RFC 3261 §12, and where its requests go."""

import pytest

from sip.dialog import TRANSITIONS, Input, State, flow_to, is_behind_nat, uac_dialog, uas_dialog
from sip.flow import Flow
from sip.message import Request
from sip.uri import Uri

FLOW = Flow("udp", ("192.0.2.1", 5060), ("192.0.2.2", 5060))


def invite(*more, via="SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKx", uri="sip:bob@192.0.2.1", contact="<sip:alice@192.0.2.2>"):
    return Request.build(
        "INVITE",
        Uri.parse(uri),
        [
            ("Via", via),
            ("From", '"Alice" <sip:alice@a.example>;tag=a'),
            ("To", "<sip:bob@b.example>"),
            ("Call-ID", "c"),
            ("CSeq", "7 INVITE"),
            ("Contact", contact),
            *more,
        ],
    )


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("event", list(Input))
def test_every_pair_follows_the_table_or_changes_nothing(state, event):
    dialog = uas_dialog(invite(), "b", FLOW)
    dialog.state = state
    dialog.fire(event)
    edge = TRANSITIONS[state].get(event)
    assert dialog.state is (edge.state if edge else state)


def test_both_sides_of_a_dialog_agree_on_it():
    request = invite()
    uas = uas_dialog(request, "b", FLOW)
    uac = uac_dialog(request, request.response(200, to_tag="b", headers=[("Contact", "<sip:bob@192.0.2.1>")]), FLOW)
    assert uas.key == ("c", "b", "a")
    assert uac.key == ("c", "a", "b")
    assert (uas.remote_sequence_number, uac.local_sequence_number) == (7, 7)
    assert (uas.local, uas.remote) == (uac.remote, uac.local)
    assert (str(uas.remote_target), str(uac.remote_target)) == ("sip:alice@192.0.2.2", "sip:bob@192.0.2.1")


def test_the_uac_reverses_the_record_route_and_the_uas_does_not():
    routes = [("Record-Route", "<sip:p1.example;lr>, <sip:p2.example;lr>")]
    request = invite(*routes)
    uac = uac_dialog(request, request.response(200, to_tag="b", headers=[*routes, ("Contact", "<sip:bob@192.0.2.1>")]), FLOW)
    uas = uas_dialog(request, "b", FLOW)
    assert [route.uri.host for route in uac.route_set] == ["p2.example", "p1.example"]
    assert [route.uri.host for route in uas.route_set] == ["p1.example", "p2.example"]
    assert uac.send_flow.remote == ("p2.example", 5060)


def test_requests_number_themselves_and_an_ack_takes_its_invites_number():
    dialog = uas_dialog(invite(), "b", FLOW)
    numbers = [dialog.request("INFO", "SIP/2.0/UDP h;branch=z9hG4bK1").cseq.number for _ in range(2)]
    ack = dialog.request("ACK", "SIP/2.0/UDP h;branch=z9hG4bK2", sequence_number=7)
    assert (numbers, ack.cseq.number, dialog.local_sequence_number) == ([1, 2], 7, 2)


@pytest.mark.parametrize(
    ("uri", "base", "remote"),
    [
        ("sip:x@192.0.2.9", ("192.0.2.2", 5060), ("192.0.2.9", 5060)),
        ("sip:x@192.0.2.9:5099", ("192.0.2.2", 5060), ("192.0.2.9", 5099)),
        ("sip:x@named.example", ("192.0.2.2", 5060), ("named.example", 5060)),
        ("sip:x@[2001:db8::9]:5070", ("192.0.2.2", 5060), ("2001:db8::9", 5070)),
        ("sip:x@y.example;maddr=192.0.2.7", ("192.0.2.2", 5060), ("192.0.2.7", 5060)),
        ("sip:x@10.1.2.3:5062", ("8.8.4.4", 41000), ("8.8.4.4", 41000)),
        ("sip:x@10.1.2.3:5062", ("10.9.9.9", 41000), ("10.1.2.3", 5062)),
    ],
)
def test_where_a_uri_leads(uri, base, remote):
    assert flow_to(Uri.parse(uri), Flow("udp", FLOW.local, base)).remote == remote


def test_the_transport_parameter_chooses_tcp():
    assert flow_to(Uri.parse("sip:x@192.0.2.9;transport=TCP"), FLOW).transport == "tcp"


@pytest.mark.parametrize(
    ("via", "remote", "behind"),
    [
        ("SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKx", ("192.0.2.2", 5060), False),
        ("SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKx", ("192.0.2.2", 5060), False),
        ("SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKx", ("192.0.2.2", 7777), True),
        ("SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bKx", ("192.0.2.2", 5060), True),
        ("SIP/2.0/UDP [2001:db8:0::1]:5060;branch=z9hG4bKx", ("2001:db8::1", 5060), False),
        ("SIP/2.0/UDP host.example;branch=z9hG4bKx", ("192.0.2.2", 7777), False),
    ],
)
def test_nat_is_seen_by_the_difference_of_via_and_source(via, remote, behind):
    assert is_behind_nat(invite(via=via), Flow("udp", FLOW.local, remote)) is behind


def test_a_registered_phone_that_was_reached_by_its_flow_is_reached_by_it_again():
    flow = Flow("udp", ("10.0.0.1", 5060), ("10.0.0.254", 31000))
    request = invite(uri="sip:phone@10.7.7.7:5060")
    dialog = uac_dialog(request, request.response(200, to_tag="b", headers=[("Contact", "<sip:phone@10.7.7.7:5060>")]), flow)
    assert dialog.send_flow == flow


def test_requests_older_than_the_last_are_not_taken():
    dialog = uas_dialog(invite(), "b", FLOW)
    older = invite()
    older.headers.set("CSeq", "6 INVITE")
    assert dialog.takes(invite())
    assert not dialog.takes(older)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("sip:x@192.0.2.2", False),
        ("sip:x@192.0.2.2:7000", False),
        ("sip:x@192.0.2.9", True),
        ("sip:x@peer.example", True),
        ("sip:x@192.0.2.2;maddr=192.0.2.9", True),
    ],
)
def test_another_host_than_the_one_a_message_came_from_is_only_said(uri, said):
    assert flow_to(Uri.parse(uri), FLOW).said is said


def test_what_was_reached_by_hearsay_stays_so_at_another_port():
    told = Flow("udp", FLOW.local, FLOW.remote, said=True)
    assert flow_to(Uri.parse("sip:x@192.0.2.2:7000"), told).said


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "169.254.169.254", "0.0.0.0", "[::1]", "[fe80::1]", "224.0.0.1"])
def test_an_address_that_every_machine_gives_to_itself_is_reached_by_the_flow_it_was_said_on(host):
    assert flow_to(Uri.parse(f"sip:x@{host}"), FLOW) == FLOW
    assert flow_to(Uri.parse(f"sip:x@192.0.2.2;maddr={host}"), FLOW) == FLOW


def test_a_peer_on_the_loopback_interface_may_name_another_address_of_it():
    flow = flow_to(Uri.parse("sip:x@127.0.0.9"), Flow("udp", ("127.0.0.1", 5060), ("127.0.0.1", 5090)))
    assert (flow.remote, flow.said) == (("127.0.0.9", 5060), True)
