"""The bench of configuration changes: what it says and when it says no."""

from __future__ import annotations

import pytest

from load import configuration_bench
from load.command import EXIT_FAILED, EXIT_PASSED
from load.configuration_bench import Cost, core_cost, main


def test_the_octets_of_a_change_are_those_of_one_agent(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "core", "--agents", "10", "60"]) == EXIT_PASSED
    assert [line.split(",")[0] for line in capsys.readouterr().out.splitlines()] == ["core: 10 agents", "core: 60 agents"]
    assert 200 < core_cost(10).octets < 400


def test_octets_that_grow_with_the_agents_are_said_and_fail(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(configuration_bench, "core_cost", lambda agents: Cost(agents=agents, octets=100.0 * agents, ms=1.0))
    assert main(["--only", "core", "--agents", "10", "20"]) == EXIT_FAILED
    assert "! a change among 20 agents takes 2.00 times the octets of one among 10" in capsys.readouterr().out
