import argparse
import json
import random

import pytest

from load.acceptance import BENCHES, Figures, read_baseline, table
from load.command import EXIT_FAILED, EXIT_NOT_RUN, EXIT_PASSED, carry_out, command, demo_accounts, finish, scenario_of, thresholds_of
from load.profiles import Burst, Concurrent, Poisson, Spread, offered_load, plan
from load.records import AgentRecord, CallerRecord
from load.report import Observed, Report, Thresholds, assemble
from load.routing_bench import AGENTS, CALL_S, RING_S, gap_bench
from load.runner import RunFailed
from load.scenarios import SCENARIOS
from tests.load.tiny_service import TinyService


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(list(arguments))


def test_scenario_stays_as_it_is_unless_arguments_change_it():
    scenario = scenario_of(parsed("--scenario", "burst"))
    assert scenario.arrivals == (Poisson(rate=2.0), Burst(calls=200, within_s=1.0, every_s=30.0))
    assert scenario.agents == 50


def test_rate_replaces_the_base_and_leaves_the_burst():
    scenario = scenario_of(
        parsed("--scenario", "burst", "--rate", "7", "--agents", "3", "--duration", "9", "--talk", "exponential:4", "--patience=0")
    )
    assert scenario.arrivals[0] == Poisson(rate=7.0)
    assert isinstance(scenario.arrivals[1], Burst)
    assert (scenario.agents, scenario.duration_s) == (3, 9.0)
    assert scenario.caller.talk == Spread(kind="exponential", mean_s=4.0)
    assert scenario.caller.patience.mean_s == 0


def test_concurrent_is_the_only_arrival():
    assert scenario_of(parsed("--concurrent", "300")).arrivals == (Concurrent(calls=300),)


def test_thresholds_are_those_named():
    assert thresholds_of(parsed("--max-failed", "2", "--max-rtp-lost", "-1", "--max-gap-p99", "100")) == Thresholds(
        failed=2, rtp_lost=None, gap_p99_ms=100.0
    )


@pytest.mark.parametrize("text", ["nowhere:", ":5060", "host:99999", "host:sip"])
def test_wrong_server_is_refused_by_the_parser(text, capsys):
    with pytest.raises(SystemExit):
        parsed("--server", text)
    assert "is no address" in capsys.readouterr().err


def report_with(**more):
    callers = [CallerRecord(key="1", invited_at=0.0, answered_at=0.1, ended_at=1.0, **more)]
    agents = [AgentRecord(key="1", agent="a", invited_at=0.2, answered_at=0.3, ended_at=1.0)]
    return assemble(Observed(scenario="x", seed=1, began_at=0.0, ended_at=1.0, callers=callers, agents=[] if more else agents))


def test_exit_status_says_whether_a_threshold_was_passed(tmp_path, capsys):
    assert finish(report_with(), tmp_path / "r.json", None) == EXIT_PASSED
    assert json.loads((tmp_path / "r.json").read_bytes())["answered"] == 1
    assert finish(report_with(status=503), None, None) == EXIT_FAILED
    assert "FAILED 1 calls failed (1 x 503), 0 allowed" in capsys.readouterr().out


def test_provisioning_without_a_password_cannot_be_run(monkeypatch, capsys):
    monkeypatch.delenv("FERNAMT_OPERATOR__PASSWORD", raising=False)
    assert command.run(parsed("--provision")) == EXIT_NOT_RUN
    assert "operator's password" in capsys.readouterr().err


@pytest.mark.interop
@pytest.mark.slow
async def test_command_runs_against_a_service_with_agents_from_a_file(tmp_path):
    agents = [{"agent": f"a{i}", "aor": f"sip:a{i}@127.0.0.1", "username": f"a{i}", "password": "unused"} for i in range(2)]
    (tmp_path / "agents.json").write_text(json.dumps(agents))
    async with TinyService() as service:
        arguments = parsed(
            "--server", "{}:{}".format(*service.address), "--api", "", "--agents-file", str(tmp_path / "agents.json"),
            "--rate", "20", "--duration", "0.5", "--talk", "0.1", "--ring", "0.01", "--drain", "5",
        )  # fmt: skip
        done = await carry_out(arguments)
    report = done.report
    assert report.calls > 0
    assert report.answered == report.calls
    assert report.problems == ()
    assert done.advice is None


def test_routing_bench_offers_120_percent():
    (arrivals,) = gap_bench(30.0).scenario.arrivals
    assert offered_load(arrivals.rate, CALL_S + RING_S, AGENTS) == pytest.approx(1.2)


def test_every_acceptance_run_forbids_failed_calls_and_lost_packets():
    for make in BENCHES.values():
        limits = make(60.0).limits
        assert limits.failed == 0
        assert limits.rtp_lost == 0


def test_table_has_a_line_a_run_and_a_dash_for_what_was_not_measured():
    lines = table({"one": Figures.of(report_with())}).splitlines()
    assert len(lines) == 3
    assert lines[2].startswith("| one | 1 | 0 | 100.0 / 100.0 | - / - | 0 | 0 / 0 | - | - / - |")
    assert all(line.count("|") == lines[0].count("|") for line in lines)


def test_baseline_can_be_read():
    assert all(isinstance(one, Figures) for one in read_baseline().values())


def test_report_of_a_run_can_be_read_back():
    assert isinstance(report_with(), Report)


def test_demo_plays_everybody_but_those_left_to_real_phones(tmp_path):
    credentials = {
        "tenant": "demo",
        "realm": "fernamt",
        "users": {"supervisor": "s3cret", "anna": "x", "clara": "y"},
        "devices": {"demo-anna": "1", "demo-clara": "2", "demo-phone": "3"},
    }
    (tmp_path / "demo.json").write_text(json.dumps(credentials))

    class Api:
        token = "t"

        def log_in(self, *given):
            assert given == ("supervisor", "s3cret", "demo")

    (clara,) = demo_accounts(Api(), tmp_path / "demo.json", frozenset({"anna"}))
    assert (clara.agent, clara.aor, clara.password) == ("clara", "sip:demo-clara@fernamt", "2")


def test_a_name_that_the_demonstration_does_not_have_cannot_be_left_and_the_answer_names_those_it_has(tmp_path):
    """`--leave Anna` would have played anna beside the person who sits at her phone."""
    credentials = {"tenant": "demo", "realm": "fernamt", "users": {"supervisor": "s", "anna": "x", "clara": "y"}}
    (tmp_path / "demo.json").write_text(json.dumps({**credentials, "devices": {"demo-anna": "1", "demo-clara": "2", "demo-phone": "3"}}))

    class Api:
        token = "t"

        def log_in(self, *_given):
            raise AssertionError("refused before anything is asked of the service")

    with pytest.raises(RunFailed, match=r"no agent Anna, phone; it has anna, clara"):
        demo_accounts(Api(), tmp_path / "demo.json", frozenset({"Anna", "phone", "clara"}))


@pytest.mark.parametrize("scenario", ["demo", "steady", "burst", "agent_churn"])
def test_the_first_caller_whom_anybody_sees_waits_to_be_answered(scenario):
    seed = parsed().seed
    first = next(plan(SCENARIOS[scenario](), random.Random(f"{seed}/0")))
    assert first.patience_s > 10


def test_demo_is_its_own_scenario_unless_one_is_named():
    assert scenario_of(parsed("--demo", "x.json")).name == "demo"
    assert scenario_of(parsed("--demo", "x.json", "--scenario", "burst")).name == "burst"
    assert scenario_of(parsed()).name == "steady"
