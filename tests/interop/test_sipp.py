"""sipp, with its own scenario and its recorded RTP, calls 601 and talks."""

import asyncio
import os
import shutil

import pytest

from tests.journeys.service import service
from tests.ports import HOST, free_port

pytestmark = [pytest.mark.interop, pytest.mark.slow]


def sipp() -> str:
    found = shutil.which("sipp")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("sipp is not installed, and in CI nothing is skipped")
        pytest.skip("sipp is not installed")
    return found


async def its_own(name: str) -> str:
    """One of the scenarios that are built in."""
    process = await asyncio.create_subprocess_exec(sipp(), "-sd", name, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    return said.decode()


async def run_sipp(house, *arguments: str, number: str = "601", calls: int = 5, here: str = HOST) -> str:
    process = await asyncio.create_subprocess_exec(
        sipp(), *arguments, "-s", number, "-m", str(calls), "-i", here, "-p", str(free_port()),
        "-nostdin", "-timeout", "40s", "-timeout_error", f"{here}:{house.sip[1]}",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=house.folder,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode(errors="replace")[-3000:]
    return said.decode(errors="replace")


@pytest.mark.parametrize("transport", ["u1", "t1"])
async def test_sipp_calls_the_queue_over_udp_and_tcp(tmp_path, transport):
    async with service(tmp_path) as house:
        devices = await house.provision(("anna",))
        async with house.phone(devices["anna"], "anna") as anna:
            anna.auto_answer_s = 0.05
            await anna.register()
            await house.ready("anna")
            await run_sipp(house, "-sn", "uac", "-d", "400", "-r", "10", "-t", transport)
            found = await house.cdrs(5)
    assert [one["cdr"]["queue"] for one in found] == ["support"] * 5
    assert "answered" in {one["cdr"]["outcome"] for one in found}


async def test_sipp_with_recorded_rtp_reaches_the_agent(tmp_path):
    """`uac_pcap`: recorded A-law, three of its eight seconds, and one telephone-event."""
    scenario = await its_own("uac_pcap")
    assert scenario.count('<pause milliseconds="8000"/>') == 1
    (tmp_path / "uac_pcap.xml").write_text(scenario.replace('milliseconds="8000"', 'milliseconds="3000"'))
    (tmp_path / "pcap").symlink_to("/usr/share/sip-tester")  # the scenario names its recordings relative to the working directory
    async with service(tmp_path) as house:
        devices = await house.provision(("anna",))
        async with house.phone(devices["anna"], "anna") as anna:
            anna.auto_answer_s = 0.05
            await anna.register()
            await house.ready("anna")
            await run_sipp(house, "-sf", "uac_pcap.xml", calls=1)
            (told,) = await house.cdrs(1)
    assert told["cdr"]["outcome"] == "answered"
    caller = next(leg for leg in told["cdr"]["legs"] if leg["role"] == "caller")
    assert caller["quality"]["packets_received"] > 100


async def test_sipp_calls_over_ipv6(tmp_path):
    """RFC 5118: addresses in brackets in SIP, without in SDP; RTP ports bound on the address the caller reaches."""
    port = free_port()
    async with service(tmp_path, FERNAMT_SIP__LISTEN=f"{HOST}:{port},[::1]:{port}") as house:
        house.sip = (HOST, port)
        devices = await house.provision(("anna",), sources=["127.0.0.0/8", "::1/128"])
        async with house.phone(devices["anna"], "anna") as anna:
            anna.auto_answer_s = 0.05
            await anna.register()
            await house.ready("anna")
            await run_sipp(house, "-sn", "uac", "-d", "400", "-r", "10", calls=3, here="[::1]")
            found = await house.cdrs(3)
    assert [one["cdr"]["queue"] for one in found] == ["support"] * 3
    assert {one["cdr"]["outcome"] for one in found} <= {"answered", "abandoned"}
    assert "answered" in {one["cdr"]["outcome"] for one in found}
