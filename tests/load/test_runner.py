"""Whole runs against a tiny service: processes, SIP, RTP, records, report."""

import pytest

from load.api_client import ApiClient
from load.profiles import AgentProfile, Burst, CallerProfile, Concurrent, Poisson, Scenario, Spread
from load.records import AgentAccount
from load.report import Thresholds
from load.runner import Run, RunFailed, Runner
from tests.load.tiny_service import DeafService, TinyService

pytestmark = [pytest.mark.interop, pytest.mark.slow]


def accounts(count):
    return tuple(AgentAccount(agent=f"a{i}", aor=f"sip:a{i}@127.0.0.1", username=f"a{i}", password="unused") for i in range(count))


def scenario(**more):
    fields = {
        "name": "test",
        "duration_s": 0.5,
        "arrivals": (Burst(calls=8, within_s=0.2, every_s=60.0),),
        "caller": CallerProfile(patience=Spread(mean_s=0), talk=Spread(mean_s=0.2), hangs_up=0.5),
        "agent": AgentProfile(ring=Spread(mean_s=0.02)),
        "agents": 3,
    }
    return Scenario(**(fields | more))


async def run(service, the_scenario, thresholds=None, **more):
    fields = {
        "scenario": the_scenario,
        "server": service.address,
        "dial": ("601",),
        "agents": accounts(the_scenario.agents),
        "drain_s": 5.0,
    }
    return await Runner(Run(**(fields | more))).run(thresholds)


async def test_every_caller_is_answered_in_order_and_every_packet_arrives():
    async with TinyService() as service:
        report = await run(service, scenario(), with_rtp=True)
    assert report.problems == ()
    assert (report.calls, report.answered, report.failed) == (8, 8, 0)
    assert report.overtakings == 0
    assert report.agent_gap.count >= 4
    assert report.rtp.streams == 16
    assert report.rtp.marked_received > 8 * 2 * 5
    assert (report.rtp.marked_lost, report.rtp.crossed, report.rtp.silent_streams) == (0, 0, 0)
    assert report.rtp_latency_p99_ms is not None


async def test_two_processes_play_one_run_and_agents_stay_for_the_callers_of_the_other():
    async with TinyService() as service:
        report = await run(
            service,
            scenario(agents=2, caller=CallerProfile(patience=Spread(mean_s=0), talk=Spread(kind="uniform", mean_s=0.3))),
            processes=2,
        )
    assert (report.calls, report.answered, report.stuck) == (8, 8, 0)
    assert report.offers_answered == 8
    assert report.problems == ()


async def test_loss_inside_the_service_is_found_and_fails_the_run():
    async with TinyService(loses=10) as service:
        report = await run(service, scenario(caller=CallerProfile(patience=Spread(mean_s=0), talk=Spread(mean_s=0.5))), with_rtp=True)
    assert report.rtp.marked_lost > 0
    assert any("RTP packets lost" in problem for problem in report.problems)


async def test_service_that_serves_the_newest_first_is_caught_overtaking():
    async with TinyService(newest_first=True) as service:
        report = await run(service, scenario(agents=1), Thresholds(overtakings=0))
    assert report.overtakings > 0
    assert any("overtakings" in problem for problem in report.problems)


async def test_refused_call_is_counted_by_its_status():
    async with TinyService(refuses={2, 5}) as service:
        report = await run(service, scenario())
    assert report.failed_by_status == {"503": 2}
    assert report.answered == 6
    assert report.problems


async def test_impatient_callers_give_up_while_nobody_is_there():
    hasty = CallerProfile(patience=Spread(mean_s=0.1), talk=Spread(mean_s=0.1))
    async with TinyService() as service:
        report = await run(service, scenario(agents=0, caller=hasty))
    assert (report.answered, report.abandoned, report.failed) == (0, 8, 0)
    assert report.service_level == 0.0


async def test_closed_loop_keeps_its_calls_up():
    busy = scenario(arrivals=(Concurrent(calls=4, ramp_s=0.2),), agents=4)
    async with TinyService() as service:
        report = await run(service, busy)
    assert report.calls > 4  # who ends is followed by another, as often as the machine lets them
    assert report.peak_calls == 4


async def test_callers_left_waiting_at_the_end_are_neither_failed_nor_abandoned():
    async with TinyService() as service:
        report = await run(service, scenario(agents=0, arrivals=(Poisson(rate=20.0),)), drain_s=0.2)
    assert report.waiting == report.calls > 0
    assert report.failed == 0


async def test_device_that_cannot_register_stops_the_run_by_name():
    async with TinyService() as service:
        service.agent.config = type(service.agent.config)(classify=service.agent.config.classify)
        with pytest.raises(RunFailed, match=r"a0: 405"):
            await run(service, scenario())


async def test_service_that_forgets_a_caller_is_caught():
    forgotten = CallerProfile(patience=Spread(mean_s=0), talk=Spread(mean_s=0.1), hangs_up=0.0)
    async with DeafService() as service:
        report = await run(service, scenario(arrivals=(Burst(calls=2, within_s=0.1, every_s=60.0),), caller=forgotten), drain_s=4.5)
    assert report.stuck == 2
    assert "2 calls that did not end, 0 allowed" in report.problems


async def test_run_that_is_ended_early_hangs_up_and_reports():
    long = scenario(duration_s=600.0, arrivals=(Concurrent(calls=3, ramp_s=0.1),), caller=CallerProfile(talk=Spread(mean_s=300.0)))
    async with TinyService() as service:
        runner = Runner(
            Run(scenario=long, server=service.address, dial=("601",), agents=accounts(3)), on_second=lambda _latest, one: one.end_now()
        )
        report = await runner.run()
        assert service.calls == {}
    assert (report.calls, report.answered, report.stuck) == (3, 3, 0)


@pytest.mark.parametrize("is_ended", [False, True])
async def test_service_that_is_gone_is_worth_a_line_only_when_nobody_wanted_the_end(caplog, is_ended):
    """Ctrl-C in a terminal reaches the service and its synthetic callers at once."""
    nobody = ApiClient("http://127.0.0.1:1")
    runner = Runner(Run(scenario=scenario(), server=("127.0.0.1", 9), dial=("601",), agents=()), nobody)
    if is_ended:
        runner.end_now()
    with caplog.at_level("INFO", "load.runner"):
        assert await runner._metrics() is None
    assert ("no metrics" in caplog.text) is not is_ended
