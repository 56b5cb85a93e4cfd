"""SIGTERM and Ctrl-C at every point of a start, and to all processes of a service at once: an end in order, and nobody left."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.api.test_commands import written

pytestmark = [pytest.mark.journey, pytest.mark.slow]
POINTS = {
    "while the databases are opened": "fernamt: opening the databases",
    "while media workers start": "fernamt: starting the media workers",
    "once a media worker serves": "= worker=0 pid=",
    "while the demonstration is made": "fernamt: making the demonstration",
    "once a tenant is open": "tenant demo was created",
}
PROMPT_S = 15
"""Less than one timeout of anything that is waited for in vain, far more than an end takes."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Started:
    """`fernamt run --demo` as a terminal has it: a process group of its own, stdout and stderr in one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said = ""
        self._process: asyncio.subprocess.Process

    async def start(self, *arguments: str) -> Started:
        path, _ = written(self.folder)
        path.write_text('log_level = "info"\n' + path.read_text())
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "api", "run", "--demo", "--config", str(path), *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            process_group=0,
        )
        return self

    async def says(self, word: str) -> None:
        assert self._process.stdout is not None
        async with asyncio.timeout(60):
            while word not in self.said:
                line = await self._process.stdout.readline()
                assert line, self.said
                self.said += line.decode()

    async def ends(self, *numbers: signal.Signals, group: bool = True) -> int | None:
        """Signal, wait for the end; its exit status."""
        for number in numbers:
            (os.killpg if group else os.kill)(self._process.pid, number)
        async with asyncio.timeout(PROMPT_S):
            rest, _ = await self._process.communicate()
        self.said += rest.decode()
        assert "Traceback" not in self.said
        assert not re.search(r" (WARNING|ERROR|CRITICAL) +(?!api\.keyring)", self.said), self.said
        assert await _left(self.folder) == []
        return self._process.returncode


async def _left(folder: Path) -> list[str]:
    """Command lines of processes that work with the folder. Those of the demonstration's callers, who end by themselves, have a moment."""
    async with asyncio.timeout(PROMPT_S):
        while found := [line for line in _command_lines() if str(folder) in line and "load" in line]:
            await asyncio.sleep(0.02)
    return found or [line for line in _command_lines() if str(folder) in line]


def _command_lines() -> list[str]:
    lines = []
    for entry in Path("/proc").iterdir():
        try:
            lines.append((entry / "cmdline").read_text().replace("\0", " ") if entry.name.isdigit() else "")
        except (FileNotFoundError, ProcessLookupError):
            continue
    return lines


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("word", POINTS.values(), ids=POINTS)
async def test_start_is_ended_by_a_signal_at_any_point(tmp_path: Path, word: str, number: signal.Signals) -> None:
    service = await Started(tmp_path).start("--still")
    await service.says(word)
    status = await service.ends(number)
    if "fernamt is ready" in service.said:  # it came too late to be one to the start
        assert status == 0
    else:
        assert "stopped before it was ready" in service.said.splitlines()
        assert status == (130 if number is signal.SIGINT else 0)


async def test_impatient_second_signal_changes_nothing(tmp_path: Path) -> None:
    service = await Started(tmp_path).start("--still")
    await service.says(POINTS["once a media worker serves"])
    assert await service.ends(signal.SIGINT, signal.SIGINT, signal.SIGTERM) in {130, 0}


async def test_start_that_was_ended_can_be_made_again_and_nothing_of_it_is_half(tmp_path: Path) -> None:
    said = ""
    for word in ("fernamt: opening", "= worker=0 pid=", "fernamt: making", "tenant demo was created"):
        service = await Started(tmp_path).start("--still")
        await service.says(word)
        await service.ends(signal.SIGINT)
        said += service.said
    service = await Started(tmp_path).start("--still")
    await service.says("users and phones are kept")
    assert await service.ends(signal.SIGTERM) == 0
    assert re.search(r"\n    demo-phone +\w+\n", service.said)
    assert (said + service.said).count("operator (shown this once): operator ") == 1


@pytest.mark.parametrize("number", SIGNALS)
async def test_signal_to_all_processes_of_a_service_in_the_middle_of_calls_is_an_end_in_order(
    tmp_path: Path, number: signal.Signals
) -> None:
    """A terminal's Ctrl-C, and systemd's default KillMode=control-group."""
    service = await Started(tmp_path).start()
    await service.says("event=answer")
    workers = [int(pid) for pid in re.findall(r"= worker=\d+ pid=(\d+)", service.said)]
    if number is signal.SIGTERM:
        for pid in workers:
            os.kill(pid, number)
    assert await service.ends(number) == 0
    assert len(re.findall(r"= worker=\d+ pid=", service.said)) == len(workers)
