"""Session refreshes as carriers really answer them, over real sockets (RFC 4028 §7.4, §10). The timers run out by hand."""

import pytest

from sip.timers import Timer
from tests.field.desk_phone import until
from tests.field.test_field_connections import called_over_tcp

pytestmark = pytest.mark.slow

WE_REFRESH = (("Session-Expires", "90;refresher=uas"), ("Min-SE", "90"))


class Clockwork:
    """The timers of the carrier's session at the service."""

    def __init__(self, service, carrier) -> None:
        self.agent, self.service = service.voice.sip.user_agent, service
        self.session = next(one for one in self.agent._sessions.values() if one.invite.call_id == carrier._call_id)

    def runs_out(self, timer: Timer) -> None:
        assert timer in self.session.timers
        self.session.stop(timer)
        self.session.on_timer(timer, self.service.voice.sip.now)
        self.service.voice._endpoint.flush()

    def left(self, timer: Timer) -> float:
        return self.agent.timers.running(self.session, self.service.voice.sip.now)[timer.value]


def refreshes(carrier):
    return [one for one in (*carrier.on_own, *carrier.at_contact) if one.method == "INVITE"]


async def test_a_carrier_that_is_busy_once_is_asked_again_and_the_talk_goes_on(tmp_path):
    async with called_over_tcp(tmp_path, *WE_REFRESH) as (service, carrier, hers):
        clock = Clockwork(service, carrier)
        carrier.said = [(503, (("Retry-After", "2"),)), (500, ())]
        clock.runs_out(Timer.SESSION_REFRESH)
        await until(lambda: Timer.SESSION_REFRESH in clock.session.timers)
        assert clock.left(Timer.SESSION_REFRESH) <= 2.0
        clock.runs_out(Timer.SESSION_EXPIRES)  # the interval is over, and asked at once: 500
        await until(lambda: clock.session.refusals == 0 or len(refreshes(carrier)) > 1)
        await until(lambda: clock.session.refusals == 0)
        assert hers.ended_at is None
        hers.hang_up()
        await carrier.hears("BYE")
        (entry,) = await service.cdrs()
        assert (entry.cdr.cause, entry.cdr.ended_by) == ("hang_up", "agent:anna")


async def test_an_interval_too_brief_for_the_carrier_is_raised_at_once(tmp_path):
    async with called_over_tcp(tmp_path, *WE_REFRESH) as (service, carrier, hers):
        clock = Clockwork(service, carrier)
        carrier.said = [(422, (("Min-SE", "200"),))]
        clock.runs_out(Timer.SESSION_REFRESH)
        await until(lambda: len(refreshes(carrier)) == 2)
        again = refreshes(carrier)[-1]
        assert (again.headers.get("Session-Expires"), again.headers.get("Min-SE")) == ("200;refresher=uac", "200")
        await until(lambda: Timer.SESSION_REFRESH in clock.session.timers)
        assert 90 < clock.left(Timer.SESSION_REFRESH) <= 100
        hers.hang_up()
        await carrier.hears("BYE")


async def test_a_carrier_that_does_not_refresh_is_told_why_it_ends_and_so_is_the_agent_and_the_record(tmp_path):
    async with called_over_tcp(tmp_path, ("Session-Expires", "90;refresher=uac"), ("Min-SE", "90")) as (service, carrier, hers):
        told = []
        receive = hers.phone.bank.user_agent.receive_message
        hers.phone.bank.user_agent.receive_message = lambda message, flow, now: (told.append(message), receive(message, flow, now))
        heard = hers.phone.bank.user_agent.receive
        hers.phone.bank.user_agent.receive = lambda data, flow, now: (told.append(data), heard(data, flow, now))
        Clockwork(service, carrier).runs_out(Timer.SESSION_EXPIRES)
        bye = await carrier.hears("BYE")
        assert await hers.ended() == "remote"
        reason = 'SIP;cause=480;text="Temporarily Unavailable", Q.850;cause=102;text="Recovery on timer expiry"'
        assert bye.headers.get("Reason") == reason
        assert any(reason.encode() in data for data in told if isinstance(data, bytes) and data.startswith(b"BYE"))
        (entry,) = await service.cdrs()
        assert (entry.cdr.outcome, entry.cdr.cause, entry.cdr.ended_by) == ("answered", "timeout", "exchange")
        assert [(leg.role, leg.cause, leg.ended_by, leg.q850) for leg in entry.cdr.legs] == [
            ("caller", "timeout", "timeout", 102),
            ("agent", "timeout", "local", 102),
        ]
