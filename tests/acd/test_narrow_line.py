"""A megabit as it is: all whom admission lets onto a line of 1,000 kbit/s are heard well at both ends; one more is too many (U10)."""

import json
import os
import shutil
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.storm, pytest.mark.interop]

LINE_KBITS = 1000


def measured(tmp_path, upload, calls, version, srtp, queue_ms=500):
    """What both ends measured of calls over a real line of 1,000 kbit/s of which admission believes that it has `upload`.

    Args:
        queue_ms: what waits longer is lost; long enough that a moment in which this machine does something else loses nothing.
    """
    missing = [name for name in ("unshare", "ip", "tc") if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root and {', '.join(missing) or 'unshare, ip, tc'}")
    words = ("unshare", "-n", sys.executable, "-m", "tests.acd.narrow_line", tmp_path, LINE_KBITS, queue_ms, upload, calls, version, srtp)
    done = subprocess.run([str(word) for word in words], capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("version", "srtp", "upload", "fits", "cost"),
    [
        ("4", "plain", 1000, 10, 100),
        ("4", "plain", 999, 9, 100),
        ("4", "srtp", 1000, 9, 107),
        ("6", "srtp", 1000, 8, 116),
    ],
)
def test_all_who_are_let_onto_a_megabit_keep_mos_4_and_the_next_is_refused(tmp_path, version, srtp, upload, fits, cost):
    found = measured(tmp_path, upload, fits + 1, version, srtp)
    assert found["refused"] == 503
    assert found["reasons"] == [f"trunk callers: {fits * cost} of {upload} kbit/s reserved, {cost} needed"]
    assert found["lost"] == [0] * fits  # at the callers
    assert all(packets > 300 for packets in found["heard"])
    assert [one["packets_lost"] for one in found["measured"]] == [0] * fits  # at the service
    assert min(one["mos"] for one in found["measured"]) >= 4.0
    assert all(not one["remote_loss_fraction"] for one in found["measured"])


def test_one_call_more_than_admission_allows_would_harm_them_all(tmp_path):
    """The line is as narrow as it is said to be: eleven where ten fit lose packets."""
    found = measured(tmp_path, 2000, 11, "4", "plain", queue_ms=100)
    assert found["refused"] is None
    assert len(found["measured"]) == 11
    assert sum(found["lost"]) + sum(one["packets_lost"] for one in found["measured"]) > 0
