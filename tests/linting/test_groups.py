"""Tests that share a world are run by one worker."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import group_of

HOUSE = Path(__file__).parents[2]
SIX_OF_A_WORLD = """
import os
import pytest

@pytest.mark.xdist_group("a world")
@pytest.mark.parametrize("one", range(6))
def test_in_the_world(one, record_property):
    record_property("worker", os.environ["PYTEST_XDIST_WORKER"])
"""


def test_every_test_of_a_group_is_told_to_the_workers_by_the_groups_name(request: pytest.FixtureRequest) -> None:
    """What `--dist loadgroup` goes by is behind the last `@` and the last `]` of the id; else each worker makes the world anew, unsaid."""
    if not getattr(request.config.option, "loadgroup", False):
        return  # nobody distributes: the next test does
    for item in request.session.items:
        group = group_of(item)
        if group is not None:
            assert item.nodeid.rpartition("@")[2] == group
            assert item.nodeid.rfind("@") > item.nodeid.rfind("]")


def test_one_worker_runs_all_of_a_group(tmp_path: Path) -> None:
    """As the installed pytest and xdist have it."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_world.py").write_text(SIX_OF_A_WORLD)
    told = tmp_path / "told.xml"
    how = ("-n3", "--dist", "loadgroup", "-p", "tests.conftest", "-c", str(tmp_path / "pytest.ini"), f"--junitxml={told}")
    run = subprocess.run([sys.executable, "-m", "pytest", *how, str(tmp_path)], cwd=HOUSE, capture_output=True, text=True, check=False)
    assert "6 passed" in run.stdout, run.stdout
    workers = [part.partition('"')[0] for part in told.read_text().split('name="worker" value="')[1:]]
    assert len(workers) == 6
    assert len(set(workers)) == 1
