"""Every state x input pair of every machine of the engine: what is in the table happens, what is not is dropped and counted."""

import pytest

from sip import dialog, registration
from sip.flow import Flow
from sip.message import Request
from sip.session import machine as session
from sip.session import reinvite
from sip.timers import RFC3261, Timer, TimerTable
from sip.transaction import invite_client, invite_server, non_invite_client, non_invite_server
from sip.transaction.layer import TransactionLayer
from sip.uri import Uri

UDP = Flow("udp", ("192.0.2.1", 5060), ("192.0.2.2", 5060))
MACHINES = {
    "invite_client": invite_client,
    "non_invite_client": non_invite_client,
    "invite_server": invite_server,
    "non_invite_server": non_invite_server,
}


def request(method):
    return Request.build(
        method,
        Uri.parse("sip:bob@192.0.2.2"),
        [
            ("Via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKtable"),
            ("Max-Forwards", "70"),
            ("From", "<sip:alice@192.0.2.1>;tag=a"),
            ("To", "<sip:bob@192.0.2.2>"),
            ("Call-ID", "table"),
            ("CSeq", f"1 {method}"),
        ],
    )


class User:
    """Keeps what the transaction says."""

    def __init__(self):
        self.said = []

    def on_response(self, _transaction, response, _now):
        self.said.append(response.status)

    def on_timeout(self, _transaction, _now):
        self.said.append("timeout")

    def on_transport_error(self, _transaction, _now):
        self.said.append("transport error")

    on_server_timeout = on_timeout
    on_server_transport_error = on_transport_error


class Bench:
    """One transaction of a kind, in any state."""

    def __init__(self, kind):
        self.sent = []
        self.user = User()
        self.layer = TransactionLayer(TimerTable(), RFC3261, lambda flow, octets: self.sent.append((flow, octets)))
        method = "INVITE" if kind.startswith("invite") else "OPTIONS"
        self.request = request(method)
        if kind.endswith("client"):
            self.transaction = self.layer.request(self.request, UDP, self.user, 0.0)
        elif kind == "invite_server":
            self.transaction = self.layer.serve_invite(self.request, UDP, self.user, 0.0)
        else:
            self.transaction = self.layer.serve(self.request, UDP)
        self.sent.clear()

    def argument(self, event):
        status = {"1xx": 180, "2xx": 200, "300_699": 486, "200_699": 200}
        for suffix, code in status.items():
            if event.value.endswith(suffix):
                return self.request.response(code, to_tag="b")
        return None


def pairs():
    for name, machine in MACHINES.items():
        for state in machine.State:
            for event in machine.Input:
                yield pytest.param(name, state, event, id=f"{name}-{state.value}-{event.value}")


@pytest.mark.parametrize(("name", "state", "event"), list(pairs()))
def test_every_pair_follows_its_table_or_is_dropped_and_counted(name, state, event):
    bench = Bench(name)
    transaction = bench.transaction
    transaction.state = state
    for kept in ("last", "ack"):  # what a transaction repeats once it has answered
        if hasattr(transaction, kept):
            setattr(transaction, kept, b"octets")
    edge = MACHINES[name].TRANSITIONS[state].get(event)
    before = len(bench.layer)
    transaction.fire(event, 1.0, bench.argument(event))
    if edge is None:
        assert transaction.state is state
        assert bench.sent == bench.user.said == []
        assert sum(bench.layer.counters.values()) == 1
        return
    assert transaction.state is edge.state
    assert not bench.layer.counters
    verbs = {action.value.partition("_")[0] for action in edge.actions}
    assert bool(bench.sent) == bool(
        verbs & {"resend"} or {action.value for action in edge.actions} & {"send_ack", "send_response", "send_trying"}
    )
    assert bool(bench.user.said) == bool(
        {action.value for action in edge.actions} & {"pass_up", "report_timeout", "report_transport_error"}
    )
    assert len(bench.layer) == before - (edge.state.value == "terminated")
    if edge.state.value == "terminated":
        assert transaction.timers == {}


@pytest.mark.parametrize("machine", [*MACHINES.values(), session, reinvite, registration, dialog], ids=lambda machine: machine.__name__)
def test_every_state_has_a_row_and_every_row_leads_to_a_state(machine):
    assert set(machine.TRANSITIONS) == set(machine.State)
    reached = {edge.state for row in machine.TRANSITIONS.values() for edge in row.values()}
    beginnings = {"calling", "trying", "proceeding", "offered", "idle", "registering", "early"}
    assert {state for state in machine.State if state.value not in beginnings} <= reached


@pytest.mark.parametrize("machine", [*MACHINES.values(), session, reinvite, registration], ids=lambda machine: machine.__name__)
def test_every_input_and_every_action_is_used_by_some_edge(machine):
    used_inputs = {event for row in machine.TRANSITIONS.values() for event in row}
    used_actions = {action for row in machine.TRANSITIONS.values() for edge in row.values() for action in edge.actions}
    assert used_inputs == set(machine.Input)
    assert used_actions == set(machine.Do)


# --- sentences of the RFC


def test_uac_retransmits_non_invite_at_t1_doubling_up_to_t2_and_gives_up_after_64_t1():
    """RFC 3261 §17.1.2.2: 500 ms, 1 s, 2 s, 4 s, 4 s, ..."""
    bench = Bench("non_invite_client")
    times = []
    while (due := bench.layer.timers.next_timeout()) is not None:
        before = len(bench.sent)
        bench.layer.timers.fire_due(due)
        times += [due] * (len(bench.sent) - before)
    assert times == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert bench.user.said == ["timeout"]
    assert len(bench.layer) == 0


def test_non_invite_client_in_proceeding_retransmits_every_t2():
    bench = Bench("non_invite_client")
    bench.transaction.receive(bench.request.response(100), 0.1)
    times = []
    while (due := bench.layer.timers.next_timeout()) is not None and due < 15:
        bench.layer.timers.fire_due(due)
        times.append(due)
    assert times == [0.5, 4.5, 8.5, 12.5]


def test_invite_refusal_is_repeated_at_t1_doubling_up_to_t2_until_timer_h():
    """RFC 3261 §17.2.1, timers G and H."""
    bench = Bench("invite_server")
    bench.transaction.respond(bench.request.response(486, to_tag="b"), 0.0)
    bench.sent.clear()
    times = []
    while (due := bench.layer.timers.next_timeout()) is not None:
        before = len(bench.sent)
        bench.layer.timers.fire_due(due)
        times += [due] * (len(bench.sent) - before)
    assert times == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert bench.user.said == ["timeout"]


def test_ack_to_a_refusal_repeats_route_and_via_of_the_invite():
    """RFC 3261 §17.1.1.3."""
    invite = request("INVITE")
    invite.headers.add("Route", "<sip:proxy.example;lr>")
    ack = invite_client.ack_to_refusal(invite, invite.response(486, to_tag="z"))
    assert ack.top_via == invite.top_via
    assert len(ack.vias) == 1
    assert [str(route) for route in ack.routes] == ["<sip:proxy.example;lr>"]
    assert (ack.cseq.number, ack.cseq.method, ack.to_tag) == (1, "ACK", "z")


@pytest.mark.parametrize("kind", ["invite_client", "non_invite_client"])
def test_reliable_transports_are_never_retransmitted_on(kind):
    sent = []
    layer = TransactionLayer(TimerTable(), RFC3261, lambda _flow, octets: sent.append(octets))
    user = User()
    layer.request(request("INVITE" if kind == "invite_client" else "OPTIONS"), Flow("tcp", *_addresses()), user, 0.0)
    while (due := layer.timers.next_timeout()) is not None:
        layer.timers.fire_due(due)
    assert len(sent) == 1
    assert user.said == ["timeout"]


def _addresses():
    return ("192.0.2.1", 5060), ("192.0.2.2", 5060)


def test_ack_and_cancel_find_their_invite_and_another_sent_by_does_not():
    """RFC 3261 §17.2.3."""
    bench = Bench("invite_server")
    assert bench.layer.match(request("ACK")) is bench.transaction
    assert bench.layer.invite_to_cancel(request("CANCEL")) is bench.transaction
    assert bench.layer.match(request("CANCEL")) is None
    other = request("ACK")
    other.headers.set("Via", "SIP/2.0/UDP 192.0.2.99:5060;branch=z9hG4bKtable")
    assert bench.layer.match(other) is None


def test_rfc_2543_clients_without_a_branch_are_matched_by_their_headers():
    layer = TransactionLayer(TimerTable(), RFC3261, lambda _flow, _octets: None)
    old = request("INVITE")
    old.headers.set("Via", "SIP/2.0/UDP 192.0.2.1:5060")
    transaction = layer.serve_invite(old, UDP, None, 0.0)
    ack = request("ACK")
    ack.headers.set("Via", "SIP/2.0/UDP 192.0.2.1:5060")
    ack.headers.set("To", "<sip:bob@192.0.2.2>;tag=ours")
    assert layer.match(ack) is transaction
    ack.headers.set("Call-ID", "another")
    assert layer.match(ack) is None


class Owner:
    def __init__(self):
        self.timers = {}
        self.fired = []

    def on_timer(self, timer, now):
        self.fired.append((timer, now))


def test_the_timer_table_sweeps_dead_entries_and_keeps_the_live_ones():
    table, keeper = TimerTable(), Owner()
    table.start(keeper, "A", 5.0)
    for _ in range(3 * TimerTable.SWEEP_FLOOR):
        owner = Owner()
        table.start(owner, "B", 1.0)
        table.stop(owner, "B")
    assert len(table) == 1
    assert len(table._heap) <= 2 * TimerTable.SWEEP_FLOOR + 2
    assert table.next_timeout() == 5.0
    assert table.fire_due(4.9) == 0
    assert table.fire_due(5.0) == 1
    assert keeper.fired == [("A", 5.0)]
    assert len(table) == 0


def test_timers_that_only_end_something_end_together_and_never_too_early():
    table, owners = TimerTable(grid_s=0.25), [Owner() for _ in range(10)]
    for number, owner in enumerate(owners):
        table.start(owner, Timer.J, 32.0 + 0.01 + number / 100)
        table.start(owner, Timer.A, 0.5 + number / 100)
    deadlines = []
    while (due := table.next_timeout()) is not None:
        deadlines.append(due)
        table.fire_due(due)
    assert deadlines == [*(0.5 + number / 100 for number in range(10)), 32.25]
    assert all(owner.fired[1] == (Timer.J, 32.25) for owner in owners)
