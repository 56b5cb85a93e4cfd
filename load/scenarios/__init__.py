"""Scenario files: each module holds one `scenario()` with defaults that say what the scenario is about.

- `steady.py`: Poisson callers at a constant rate, everybody behaves
- `burst.py`: quiet, then everybody at once
- `agent_churn.py`: agents come, go, miss and decline
- `abandon_storm.py`: few agents, impatient callers
- `demo.py`: an ordinary day, for the demonstration
"""

from load.scenarios import abandon_storm, agent_churn, burst, demo, steady

SCENARIOS = {
    "steady": steady.scenario,
    "burst": burst.scenario,
    "agent_churn": agent_churn.scenario,
    "abandon_storm": abandon_storm.scenario,
    "demo": demo.scenario,
}
"""Name -> maker, as `--scenario` takes it."""

__all__ = ["SCENARIOS"]
