"""Guessing at every door of a real service over real sockets; its security log as fail2ban reads it."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from acd.guard import GuardPolicy
from load import guessing
from load.api_client import ApiClient, ApiError
from load.private_instance import private_instance

FILTER = Path(__file__).parents[2] / "docs" / "fail2ban" / "filter.d" / "fernamt.conf"
FORGED = "x\nfernamt.security failed source=198.51.100.1 protocol=sip"


@pytest.mark.journey
@pytest.mark.xdist_group("guessing")
async def test_the_allowance_holds_at_every_door_and_the_owner_notices_nothing(tmp_path):
    log = tmp_path / "security.log"
    async with private_instance(guessing.settings(log, bans=False)) as instance:
        found = await guessing.run(instance, log, 2.0, 4, 50.0, GuardPolicy())
        with ApiClient(instance.url) as api, pytest.raises(ApiError, match="422"):  # such a name does not come near the log
            await asyncio.to_thread(api.log_in, FORGED, "guess guess", guessing.TENANT)
        normal = (instance.directory / "log").read_text()
    assert found.problems == []
    assert 0 < found.judged["sip"] <= found.allowed
    assert found.throttled["sip"] > 0
    addresses = fail2ban(log)
    assert addresses == fail2ban_of(tmp_path, normal)
    assert addresses.total() == sum(found.judged.values()) + sum(found.throttled.values())
    assert set(addresses) == {f"127.0.1.{number}" for number in range(1, 5)}


@pytest.mark.storm
@pytest.mark.journey
@pytest.mark.xdist_group("guessing")
async def test_who_goes_on_is_banned_at_all_doors_and_the_owner_is_not(tmp_path):
    log = tmp_path / "security.log"
    settings = guessing.settings(log, bans=True) | {"FERNAMT_SECURITY__BAN_ATTEMPTS": "12"}
    async with private_instance(settings) as instance:
        found = await guessing.run(instance, log, 1.0, 3, 50.0, GuardPolicy())
        with instance.operator() as operator:
            bans = operator.get("/api/v1/security/bans")["items"]
    assert [ban["source"] for ban in bans] == [f"127.0.1.{number}" for number in range(1, 4)]
    assert found.banned == 3
    assert [problem for problem in found.problems if problem.startswith("owner")] == []
    assert found.found == 0


def fail2ban(log: Path) -> Counter[str]:
    """Address -> lines that the filter takes for attempts."""
    if shutil.which("fail2ban-regex") is None:
        pytest.skip("fail2ban-regex is not installed (apt-get install fail2ban)")
    told = subprocess.run(["fail2ban-regex", "-o", "ip", log, FILTER], capture_output=True, text=True, check=True).stdout
    return Counter(told.split())


def fail2ban_of(tmp_path: Path, text: str) -> Counter[str]:
    path = tmp_path / "normal.log"
    path.write_text(text)
    return fail2ban(path)


def test_figures_tell_what_does_not_agree():
    tally = guessing.Tally()
    tally.answers["udp", "wrong"] = 5
    tally.answers["web", "right"] = 1
    tally.owner["not registered"] = 1
    metrics = {'fernamt_security_attempts_total{outcome="failed",protocol="sip"}': 400.0}
    log = '2026-01-01 00:00:00,000 fernamt.security failed source=192.0.2.1 protocol=sip user="x"\n'
    told = guessing.figures(tally, metrics, log, 10.0, GuardPolicy()).problems
    assert told == [
        "sip: 400 guesses were judged, 31 are allowed",
        "sip: 400 attempts failed, 1 in the log",
        "the right password was found out 1 times",
        "owner: 1 times not registered",
        "nothing was tried",
    ]
