"""Where a URI leads: transport and port (RFC 3261 §18.2.1, §19.1.2; RFC 3263 §4.1; RFC 5630 §3.1.3, §3.1.4)."""

import pytest

from sip.dialog import flow_to, uas_dialog
from sip.flow import Flow, default_port
from sip.message import Request
from sip.uri import Uri

UDP = Flow("udp", ("192.0.2.9", 5060), ("192.0.2.1", 40_000))
TCP = Flow("tcp", ("192.0.2.9", 5060), ("192.0.2.1", 40_000))
TLS = Flow("tls", ("192.0.2.9", 5061), ("192.0.2.1", 40_000))


@pytest.mark.parametrize(
    ("uri", "base", "transport", "port"),
    [
        ("sip:a@192.0.2.1", UDP, "udp", 5060),
        ("sip:a@192.0.2.1;transport=tcp", UDP, "tcp", 5060),
        ("sip:a@192.0.2.1;transport=tls", UDP, "tls", 5061),
        ("sip:a@192.0.2.1:5070;transport=TLS", TCP, "tls", 5070),
        ("sips:a@192.0.2.1", UDP, "tls", 5061),
        ("sips:a@192.0.2.1;transport=tcp", TCP, "tls", 5061),
        ("sips:a@192.0.2.1:5071;transport=udp", UDP, "tls", 5071),
        ("sips:a@192.0.2.1", TLS, "tls", 5061),
        # Who is spoken to under protection is not spoken to without it for want of a parameter, but where it says so.
        ("sip:a@192.0.2.1", TLS, "tls", 5061),
        ("sip:a@192.0.2.1:5060", TLS, "tls", 5060),
        ("sip:a@192.0.2.1;transport=udp", TLS, "udp", 5060),
        ("sip:a@192.0.2.1;transport=tcp", TLS, "tcp", 5060),
        ("sip:a@192.0.2.1", TCP, "udp", 5060),
        ("sip:a@192.0.2.1;transport=sctp", UDP, "udp", 5060),
    ],
)
def test_a_uri_leads_to_a_transport_and_a_port(uri, base, transport, port):
    found = flow_to(Uri.parse(uri), base)
    assert (found.transport, found.remote) == (transport, ("192.0.2.1", port))


def dialog(flow, contact, *routes):
    fields = [
        ("Via", "SIP/2.0/TLS 192.0.2.1;branch=z9hG4bKx"),
        ("From", "<sip:a@x>;tag=f"),
        ("To", "<sip:b@y>"),
        ("Call-ID", "c"),
        ("CSeq", "1 INVITE"),
        ("Contact", f"<{contact}>"),
        *(("Record-Route", f"<{route}>") for route in routes),
    ]
    return uas_dialog(Request.build("INVITE", Uri.parse("sip:b@y"), fields), "t", flow)


def test_a_proxy_on_tls_is_spoken_to_over_its_own_connection_while_that_lives():
    made = dialog(TLS, "sip:a@198.51.100.7", "sip:192.0.2.1:5061;transport=tls;lr")
    assert made.send_flow == TLS
    assert made.lose_connection(TLS)
    assert made.send_flow.remote == ("192.0.2.1", 5061)
    elsewhere = dialog(TLS, "sip:a@198.51.100.7", "sip:198.51.100.8;transport=tls;lr")
    assert elsewhere.send_flow.remote == ("198.51.100.8", 5061)
    # Over TCP the route is dialled, as ever.
    assert dialog(TCP, "sip:a@198.51.100.7", "sip:192.0.2.1;transport=tcp;lr").send_flow.remote == ("192.0.2.1", 5060)


def test_a_request_with_a_sips_target_never_goes_over_a_connection_without_tls():
    made = dialog(TCP, "sips:a@192.0.2.1")
    assert made.is_sips
    assert (made.send_flow.transport, made.send_flow.remote) == ("tls", ("192.0.2.1", 5061))
    assert dialog(TLS, "sips:a@192.0.2.1").send_flow == TLS
    assert not dialog(TLS, "sip:a@192.0.2.1;transport=tls").is_sips
    assert dialog(TLS, "sip:a@192.0.2.1", "sips:192.0.2.1;lr").is_sips


@pytest.mark.parametrize(("transport", "port"), [("udp", 5060), ("tcp", 5060), ("tls", 5061)])
def test_default_ports(transport, port):
    assert default_port(transport) == port
