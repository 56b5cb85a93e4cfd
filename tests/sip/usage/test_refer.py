"""REFER in virtual time: the subscription of RFC 3515, its end in every way it can end, and the table of its machine."""

import pytest

from sip.errors import ParseError
from sip.events import IncomingInvite, ReferAnswered, ReferProgress, ReferReceived, SessionEnded
from sip.timers import Timer
from sip.usage import refer
from sip.usage.refer import EXPIRES_S, LAST_NOTIFY_S, Input, State, status_of
from tests.sip.user_agent.network import ANSWER, Network

EXCHANGE, PHONE = "192.0.2.1", "192.0.2.2"


def talking(**link):
    """The exchange has called the phone, which has answered; the exchange accepts no REFER by itself."""
    network = Network(**link)
    exchange, phone = network.node(EXCHANGE), network.node(PHONE)
    phone.react = lambda event: phone.agent.accept(event.session, ANSWER, phone.now) if isinstance(event, IncomingInvite) else None
    exchange.call(phone)
    network.run(2)
    return network, exchange, phone


def ask(phone, to="<sip:12@192.0.2.1>", **more):
    phone.agent.refer(phone.session, to, phone.now, **more)


def accepted(network, exchange, phone, **more):
    ask(phone, **more)
    network.run(1)
    exchange.agent.answer_refer("call", 202, exchange.now)
    network.run(1)


def told(phone):
    return [(one.status, one.subscription_state) for one in phone.of(ReferProgress)]


def requests(network, method, by):
    return [data for _, sender, _, data in network.wire if sender == by and data.startswith(f"{method} ".encode())]


def test_202_and_notify_100_follow_at_once_then_what_becomes_of_it():
    network, exchange, phone = talking()
    accepted(network, exchange, phone, headers=(("Referred-By", "<sip:anna@demo>"),))
    asked = exchange.one(ReferReceived)
    assert (str(asked.target), asked.referred_by) == ("sip:12@192.0.2.1", "<sip:anna@demo>")
    assert phone.one(ReferAnswered).status == 202
    exchange.agent.notify_referrer("call", 180, exchange.now)
    exchange.agent.notify_referrer("call", 180, exchange.now)
    exchange.agent.notify_referrer("call", 486, exchange.now, final=True)
    exchange.agent.notify_referrer("call", 200, exchange.now, final=True)
    network.run(1)
    active = f"active;expires={EXPIRES_S}"
    assert told(phone) == [(100, active), (180, active), (486, "terminated;reason=noresource")]
    first = requests(network, "NOTIFY", EXCHANGE)[0]
    assert b"Event: refer\r\n" in first
    assert b"Content-Type: message/sipfrag;version=2.0\r\n" in first
    assert first.endswith(b"\r\n\r\nSIP/2.0 100 Trying\r\n")


def test_the_notifies_of_a_second_refer_carry_its_number():
    """RFC 3515 §2.4.6: "MUST"."""
    network, exchange, phone = talking()
    accepted(network, exchange, phone)
    exchange.agent.notify_referrer("call", 486, exchange.now, final=True)
    network.run(1)
    accepted(network, exchange, phone)
    assert b"Event: refer;id=2\r\n" in requests(network, "NOTIFY", EXCHANGE)[-1]


def test_one_at_a_time():
    network, exchange, phone = talking()
    ask(phone)
    network.run(0.1)
    ask(phone)
    network.run(0.1)
    assert [one.status for one in phone.of(ReferAnswered)] == [491]
    exchange.agent.answer_refer("call", 202, exchange.now)
    ask(phone)
    network.run(0.1)
    assert [one.status for one in phone.of(ReferAnswered)] == [491, 202, 491]
    assert len(exchange.of(ReferReceived)) == 1


def test_who_wants_to_know_nothing_gets_200_and_no_notify():
    network, exchange, phone = talking()
    accepted(network, exchange, phone, headers=(("Refer-Sub", "false"), ("Require", "norefersub")))
    exchange.agent.notify_referrer("call", 200, exchange.now, final=True)
    network.run(1)
    assert phone.one(ReferAnswered).status == 200
    assert told(phone) == []
    assert b"Refer-Sub: false\r\n" in next(
        data for _, _, _, data in network.wire if b"Refer-Sub: false\r\n" in data and b"SIP/2.0 200" in data
    )


def test_a_refusal_leaves_the_call_as_it_was():
    network, exchange, phone = talking()
    ask(phone)
    network.run(0.1)
    exchange.agent.answer_refer("call", 403, exchange.now, reason="You may not.")
    network.run(60)
    assert phone.one(ReferAnswered).status == 403
    assert exchange.endings == phone.endings == []


@pytest.mark.parametrize("by", ["phone", "exchange"])
def test_the_subscription_ends_with_the_call_and_says_how_far_it_had_come(by):
    network, exchange, phone = talking()
    accepted(network, exchange, phone)
    exchange.agent.notify_referrer("call", 180, exchange.now)
    network.run(1)
    if by == "phone":
        phone.agent.cancel_or_bye(phone.session, phone.now)
    else:
        exchange.agent.cancel_or_bye("call", exchange.now)
    network.run(60)
    last = requests(network, "NOTIFY", EXCHANGE)[-1]
    assert b"Subscription-State: terminated;reason=noresource\r\n" in last
    assert last.endswith(b"SIP/2.0 180 Ringing\r\n")
    assert len(exchange.of(SessionEnded)) == 1
    assert exchange.agent.usages.of(refer.ReferUsage).referrals == {}


def leaves(network, exchange, phone, status=200):
    """The transfer has worked: the exchange tells it and hangs up in the same breath."""
    accepted(network, exchange, phone)
    exchange.agent.notify_referrer("call", status, exchange.now, final=True)
    exchange.agent.cancel_or_bye("call", exchange.now, reason_header="Q.850;cause=16")


def test_our_bye_waits_until_the_last_notify_is_answered():
    network, exchange, phone = talking()
    leaves(network, exchange, phone)
    sent_at = exchange.now
    network.run(10)
    ((answered_at, _),) = [one for one in network.sent("SIP/2.0 200", PHONE) if b" NOTIFY\r\n" in one[1] and one[0] >= sent_at]
    ((bye_at, bye),) = network.sent("BYE", EXCHANGE)
    assert sent_at < answered_at < bye_at < sent_at + 1
    assert b"Reason: Q.850;cause=16\r\n" in bye
    assert told(phone)[-1] == (200, "terminated;reason=noresource")
    assert (exchange.one(SessionEnded).by, phone.one(SessionEnded).by) == ("local", "remote")


def test_a_last_notify_that_nobody_answers_holds_the_bye_back_no_longer_than_two_seconds():
    network, exchange, phone = talking()
    network.drop = lambda data: data.startswith(b"NOTIFY ") and b"terminated" in data
    leaves(network, exchange, phone)
    asked_at = exchange.now
    network.run(60)
    assert [at - asked_at for at, _ in network.sent("BYE", EXCHANGE)] == [pytest.approx(LAST_NOTIFY_S)]
    assert exchange.one(SessionEnded).by == "local"


def test_a_last_notify_that_is_refused_lets_the_bye_go():
    network, exchange, phone = talking()
    accepted(network, exchange, phone)
    phone.agent.usages.of(refer.ReferUsage).referring.clear()
    exchange.agent.notify_referrer("call", 200, exchange.now, final=True)
    exchange.agent.cancel_or_bye("call", exchange.now)
    network.run(1)
    assert len(network.sent("BYE", EXCHANGE)) == 1


def test_the_phones_own_bye_ends_the_waiting():
    network, exchange, phone = talking()
    network.drop = lambda data: data.startswith(b"NOTIFY ") and b"terminated" in data
    leaves(network, exchange, phone)
    phone.agent.cancel_or_bye(phone.session, phone.now)
    network.run(60)
    assert network.sent("BYE", EXCHANGE) == []
    assert len(network.sent("BYE", PHONE)) == 1
    assert (len(exchange.endings), exchange.agent.usages.of(refer.ReferUsage).referrals) == (1, {})


def test_asked_twice_to_end_it_sends_one_bye_and_a_refer_meanwhile_is_too_late():
    network, exchange, phone = talking()
    network.drop = lambda data: data.startswith(b"NOTIFY ") and b"terminated" in data
    leaves(network, exchange, phone)
    exchange.agent.cancel_or_bye("call", exchange.now)
    ask(phone)
    network.run(60)
    assert len(network.sent("BYE", EXCHANGE)) == 1
    assert [one.status for one in phone.of(ReferAnswered)] == [202, 481]


def test_whoever_got_its_party_back_may_ask_again_before_it_has_answered():
    network, exchange, phone = talking()
    network.drop = lambda data: data.startswith(b"NOTIFY ") and b"terminated" in data
    accepted(network, exchange, phone)
    exchange.agent.notify_referrer("call", 486, exchange.now, final=True)
    ask(phone)
    network.run(1)
    assert len(exchange.of(ReferReceived)) == 2


def test_sockets_that_are_closed_wait_for_no_answer():
    network, exchange, phone = talking()
    leaves(network, exchange, phone)
    exchange.agent.wait_no_longer(exchange.now)
    network.drain()
    assert [at for at, _ in network.sent("BYE", EXCHANGE)] == [exchange.now]


def test_a_call_that_ends_before_the_answer_owes_481():
    network, _exchange, phone = talking()
    ask(phone)
    network.run(0.1)
    phone.agent.cancel_or_bye(phone.session, phone.now)
    network.run(0.1)
    assert phone.one(ReferAnswered).status == 481


def test_the_subscription_runs_out_and_the_call_goes_on():
    network, exchange, phone = talking()
    accepted(network, exchange, phone)
    network.run(EXPIRES_S)
    assert told(phone)[-1] == (100, "terminated;reason=timeout")
    assert exchange.endings == phone.endings == []


def test_a_phone_that_answers_no_notify_is_told_no_more_and_keeps_its_call():
    network, exchange, phone = talking()
    network.drop = lambda data: data.startswith(b"NOTIFY ")
    accepted(network, exchange, phone)
    network.run(40)
    network.drop = lambda _data: False
    exchange.agent.notify_referrer("call", 180, exchange.now)
    network.run(1)
    assert told(phone) == []
    assert exchange.endings == phone.endings == []


def test_a_refer_outside_of_a_dialog_is_refused_with_403():
    network, _exchange, _phone = talking()
    stranger = network.node("192.0.2.9")
    flow = stranger.flow(network.nodes[EXCHANGE])
    octets = (
        "REFER sip:12@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKr\r\nFrom: <sip:x@192.0.2.9>;tag=x\r\n"
        "To: <sip:12@192.0.2.1>\r\nCall-ID: r\r\nCSeq: 1 REFER\r\nMax-Forwards: 70\r\nContact: <sip:x@192.0.2.9>\r\n"
        "Refer-To: <sip:+4990012345@192.0.2.1>\r\nContent-Length: 0\r\n\r\n"
    )
    stranger.agent.send(flow, octets.encode())
    network.run(1)
    assert [data[:11] for _, sender, to, data in network.wire if (sender, to) == (EXCHANGE, "192.0.2.9")] == [b"SIP/2.0 403"]


def test_a_notify_for_what_nobody_asked_gets_481():
    network, exchange, phone = talking()
    accepted(network, exchange, phone)
    phone.agent.usages.of(refer.ReferUsage).referring.clear()
    exchange.agent.notify_referrer("call", 180, exchange.now)
    network.run(1)
    assert told(phone) == [(100, f"active;expires={EXPIRES_S}")]


@pytest.mark.parametrize(("loss", "seed"), [(0.3, seed) for seed in range(5)])
def test_lost_messages_are_sent_again_and_the_last_word_arrives(loss, seed):
    network, exchange, phone = talking()
    network.link.loss, network.link.seed = loss, seed
    exchange.react = lambda event: exchange.agent.answer_refer("call", 202, exchange.now) if isinstance(event, ReferReceived) else None
    ask(phone)
    network.run(32)
    exchange.agent.notify_referrer("call", 200, exchange.now, final=True)
    network.run(32)
    assert phone.one(ReferAnswered).status == 202
    assert told(phone)[-1] == (200, "terminated;reason=noresource")


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Input)
def test_every_pair_of_the_table_does_as_it_says_and_every_other_is_counted(state, event):
    network, exchange, phone = talking()
    ask(phone)
    network.run(0.1)
    referral = exchange.agent.usages.of(refer.ReferUsage).referrals["call"]
    referral.state = state
    argument = (403, "no") if event is Input.REJECT else 180
    edge = refer.TRANSITIONS[state].get(event)
    referral.fire(event, exchange.now, argument)
    if edge is None:
        assert referral.state is state
        assert exchange.agent.counters[f"refer.{state.value}.{event.value}"] == 1
    else:
        assert referral.state is edge.state
        assert (Timer.SUBSCRIPTION in referral.timers) == (refer.Do.START_TIMER in edge.actions)
        assert (Timer.LAST_NOTIFY in referral.timers) == (refer.Do.START_LAST_TIMER in edge.actions)
        network.drain()
        assert [one.by for one in exchange.of(SessionEnded)] == (["local"] if refer.Do.HANG_UP in edge.actions else [])


@pytest.mark.parametrize("octets", [b"", b"SIP/2.0", b"HTTP/1.1 200 OK", b"SIP/2.0 2000 OK", b"SIP/2.0 abc OK"])
def test_a_sipfrag_without_a_status_is_malformed(octets):
    with pytest.raises(ParseError):
        status_of(octets)
    assert status_of(b"SIP/2.0 200 OK\r\n") == status_of(b"SIP/2.0 200") == 200
