"""Why nobody was answered: the sentence for each way in which that happens."""

import asyncio
import socket

import pytest

import load.knock
from load.diagnosis import Circumstances, is_to_be_asked, why_nobody_answered
from load.knock import knock, takes_call
from load.records import AgentRecord, CallerRecord
from load.report import Observed, assemble
from tests.load.tiny_service import TinyService


def report(*callers, agents=()):
    return assemble(Observed(scenario="x", seed=1, began_at=0.0, ended_at=9.0, callers=callers, agents=agents))


def refused(status):
    return CallerRecord(key="1", invited_at=0.0, ended_at=0.1, status=status)


TAKEN = CallerRecord(key="1", invited_at=0.0, answered_at=0.1, ended_at=5.0, gave_up=True)
IGNORED = CallerRecord(key="2", invited_at=0.0, ended_at=1.0, cut_by_run=True)
RANG = AgentRecord(key="1", agent="a", invited_at=0.2, ended_at=3.0)


def why(a_report, **more):
    seen = {"server": ("10.0.0.5", 5060), "local_address": "10.0.0.9", "dial": ("601",), "agents": 0}
    return why_nobody_answered(a_report, Circumstances(**(seen | more)))


def test_a_run_with_an_answer_or_without_a_call_needs_no_advice():
    answered = AgentRecord(key="1", agent="a", invited_at=0.2, answered_at=0.3)
    assert why(report(TAKEN, agents=[answered])) is None
    assert why(report()) is None


@pytest.mark.parametrize(
    ("status", "more", "beginning", "advice"),
    [
        (404, {}, "the service has no number 601 for calls from 10.0.0.9 (404)", "--provision"),
        (404, {"is_provisioned": True}, "the service has no number 601", "--dial"),
        (401, {}, "the service takes no calls from 10.0.0.9 (401)", "--provision"),
        (403, {}, "the service takes no calls from 10.0.0.9 (403)", "--local-address"),
        (488, {}, "the service has no codec in common", "--codec PCMA"),
        (503, {"knock": "answers"}, "the service refused the calls (503)", "/readyz"),
        (503, {"knock": "refused"}, "nobody listens at 10.0.0.5:5060 (connection refused)", "--server"),
        (408, {"knock": "silent"}, "nothing at 10.0.0.5:5060 answers SIP", "firewall"),
        (408, {"knock": "answers"}, "the service at 10.0.0.5:5060 answers OPTIONS, but none of the calls within 4 s", "log"),
        (486, {}, "the service refused the calls (486)", "log"),
    ],
)
def test_a_refusal_is_told_with_its_status_and_what_to_do(status, more, beginning, advice):
    told = why(report(refused(status)), **more)
    assert told.startswith(beginning)
    assert advice in told


def test_calls_that_got_no_answer_before_the_run_ended_were_not_taken():
    ended_early = report(IGNORED)
    assert is_to_be_asked(ended_early)
    assert why(ended_early, knock="refused").startswith("nobody listens at 10.0.0.5:5060")


def test_calls_that_were_taken_lack_agents_an_offer_or_somebody_who_takes_it():
    alone = why(report(TAKEN))
    assert "this run plays no agents who could see one answered" in alone
    assert "nobody" not in alone  # others may have: the demonstration's agents, real phones
    assert "offered none to the 3 agents of this run" in why(report(TAKEN), agents=3)
    assert why(report(TAKEN, agents=[RANG]), agents=3).startswith("1 offers rang at agents of this run")
    assert not is_to_be_asked(report(TAKEN))


@pytest.mark.interop
async def test_a_knock_tells_a_service_from_a_closed_port_and_from_somebody_who_speaks_no_sip(monkeypatch):
    monkeypatch.setattr(load.knock, "PATIENCE_S", 0.2)
    async with TinyService() as service:
        assert await knock(service.address, "127.0.0.1") == "answers"
        there = service.address
    assert await knock(there, "127.0.0.1") == "refused"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        assert await knock(deaf.getsockname(), "127.0.0.1") == "silent"


@pytest.mark.interop
async def test_whether_somebody_takes_a_call_is_found_out_and_the_call_is_over_then():
    async with TinyService() as service:
        assert await takes_call(service.address, "127.0.0.77", "601")
        async with asyncio.timeout(5):
            while service.calls:  # its BYE is on the way
                await asyncio.sleep(0.01)
    async with TinyService(refuses={1}) as service:
        assert not await takes_call(service.address, "127.0.0.77", "601")
