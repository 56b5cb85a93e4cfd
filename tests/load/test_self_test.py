import asyncio
import json

import pytest

from load.api_client import ApiError
from load.self_test import SelfTest, Step, StepFailed, Steps, check, command, differences, expect, print_step


async def noop():
    return "fine"


async def fails():
    expect([], "one is not two")


async def test_step_that_fails_is_named_with_its_reason_and_what_needs_it_is_skipped():
    told = []
    steps = Steps(told.append)
    await steps.run("first", noop)
    await steps.run("second", fails, needs=("first",))
    await steps.run("third", noop, needs=("second",))
    await steps.run("fourth", noop, needs=("third",))
    await steps.run("fifth", noop)
    assert [(step.name, step.ok) for step in told] == [
        ("first", True),
        ("second", False),
        ("third", False),
        ("fourth", False),
        ("fifth", True),
    ]
    assert told[1].detail == "one is not two"
    assert told[2].detail == "skipped: needs second"
    assert not steps.ok
    assert steps.done == told


async def test_fault_of_the_test_itself_is_a_failure_with_its_type():
    async def broken():
        raise KeyError("talk_ms")

    steps = Steps(lambda _step: None)
    await steps.run("broken", broken)
    assert steps.done[0].detail == "KeyError: 'talk_ms'"
    assert not steps.ok


async def test_silence_is_a_failure():
    async def waits():
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()

    steps = Steps(lambda _step: None)
    await steps.run("waits", waits)
    assert not steps.ok
    assert "within the time" in steps.done[0].detail


def test_nothing_done_is_not_all_well():
    assert not Steps(lambda _step: None).ok


def test_expect_says_what_is_instead():
    with pytest.raises(StepFailed, match="dark"):
        expect(truth=[], otherwise="dark")


def test_line_shows_name_and_detail(capsys):
    print_step(Step(name="cdr", ok=False, ms=12, detail="no record"))
    assert capsys.readouterr().out.split() == ["FAILED", "cdr", "12", "ms", "no", "record"]


def test_what_a_restart_changed_is_named_with_both_values():
    before = {"agent anna": {"state": "ready"}, "record c1": {"outcome": "answered"}, "trunk carrier": {"up": True}}
    assert differences(before, dict(before)) == []
    after = {"agent anna": {"state": "logged_off"}, "trunk carrier": {"up": True}, "call c2": {"state": "queued"}}
    assert differences(before, after) == [
        "agent anna was {'state': 'ready'} and is {'state': 'logged_off'}",
        "record c1 was {'outcome': 'answered'} and is None",
        "call c2 was None and is {'state': 'queued'}",
    ]


class _Forgetful:
    """An instance whose data are gone after its restart."""

    url = "http://127.0.0.1:1"

    def __init__(self):
        self.told = [{"record c1": {"outcome": "answered"}}, {}]
        self.restarts = 0

    async def restart(self):
        self.restarts += 1


async def test_a_service_that_forgets_over_a_restart_fails_by_what_it_forgot(monkeypatch):
    instance = _Forgetful()
    test = SelfTest(instance, Steps(lambda _step: None))
    monkeypatch.setattr(test, "_told", lambda: instance.told[instance.restarts])
    monkeypatch.setattr(test.admin, "log_in", lambda *_who: None)
    await test.steps.run("same after a restart", test.check_restart)
    (step,) = test.steps.done
    assert not step.ok
    assert step.detail == "record c1 was {'outcome': 'answered'} and is None"


async def test_a_tenant_that_does_not_open_again_is_said_to_be_shut(monkeypatch):
    def refuses(*_who):
        raise ApiError("POST", "/api/v1/login", 401, "Tenant, user name or password is wrong.")

    instance = _Forgetful()
    test = SelfTest(instance, Steps(lambda _step: None))
    monkeypatch.setattr(test, "_told", lambda: instance.told[0])
    monkeypatch.setattr(test.admin, "log_in", refuses)
    await test.steps.run("same after a restart", test.check_restart)
    assert test.steps.done[0].detail.startswith("tenant check did not open again: POST /api/v1/login: 401")


@pytest.mark.interop
@pytest.mark.slow
async def test_instance_that_cannot_start_fails_by_name(monkeypatch):
    monkeypatch.setattr("load.private_instance.sys.executable", "/bin/false")
    result = await check(lambda _step: None)
    assert not result.ok
    assert [step.name for step in result.steps] == ["service starts"]
    assert "ended with status 1" in result.steps[0].detail


@pytest.mark.interop
@pytest.mark.slow
async def test_service_of_this_checkout_passes_its_self_test():
    result = await check(lambda _step: None, limit_s=100.0)
    assert [(step.name, step.detail) for step in result.steps if not step.ok] == []
    assert len(result.steps) == 20


@pytest.mark.interop
@pytest.mark.slow
def test_json_result_is_one_object_and_the_exit_status_follows_it(monkeypatch, capsys):
    monkeypatch.setattr("load.private_instance.sys.executable", "/bin/false")
    status = command.run(type("Arguments", (), {"json": True, "verbose": False})())
    told = json.loads(capsys.readouterr().out)
    assert status == 1
    assert told["ok"] is False
    assert told["steps"][0]["name"] == "service starts"
