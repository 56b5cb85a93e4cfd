"""A connection that is lost ends the transactions on it and no others; what is over leaves nothing behind."""

from sip.flow import Flow
from sip.message import Request
from sip.timers import RFC3261, TimerTable
from sip.transaction.layer import TransactionLayer
from sip.uri import Uri


class User:
    def __init__(self):
        self.failed = []

    def on_transport_error(self, transaction, _now):
        self.failed.append(transaction.request.call_id)

    def on_response(self, transaction, response, now): ...

    def on_timeout(self, transaction, now): ...


def options(call_id):
    return Request.build(
        "OPTIONS",
        Uri.parse("sip:bob@192.0.2.2"),
        [
            ("Via", f"SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK{call_id}"),
            ("Max-Forwards", "70"),
            ("From", "<sip:alice@192.0.2.1>;tag=a"),
            ("To", "<sip:bob@192.0.2.2>"),
            ("Call-ID", call_id),
            ("CSeq", "1 OPTIONS"),
        ],
    )


def flow(transport, port):
    return Flow(transport, ("192.0.2.1", 5060), ("192.0.2.2", port))


def test_lost_connection_concerns_its_own_transactions_only():
    layer, user = TransactionLayer(TimerTable(), RFC3261, lambda _flow, _octets: None), User()
    for transport, port, call_id in (("tcp", 1, "a"), ("tcp", 1, "b"), ("tcp", 2, "c"), ("udp", 1, "d"), ("udp", 1, "e")):
        layer.request(options(call_id), flow(transport, port), user, 0.0)
    layer.transport_failed(flow("tcp", 1), 1.0)
    assert user.failed == ["a", "b"]
    layer.transport_failed(flow("udp", 1), 1.0)
    assert user.failed == ["a", "b", "d", "e"]
    layer.transport_failed(flow("tcp", 3), 1.0)
    assert len(layer) == 1
    assert list(layer._on_connection) == [flow("tcp", 2).way]


def test_transactions_that_end_by_their_timers_are_forgotten():
    timers = TimerTable()
    layer, user = TransactionLayer(timers, RFC3261, lambda _flow, _octets: None), User()
    layer.request(options("a"), flow("tcp", 1), user, 0.0)
    layer.serve(options("b"), flow("tcp", 1))
    assert len(layer._on_connection[flow("tcp", 1).way]) == 2
    timers.fire_due(1000.0)
    layer.transport_failed(flow("tcp", 1), 1000.0)
    assert len(layer) == 0
    assert layer._on_connection == {}
    assert user.failed == []
