"""What the fairness bench makes of its rounds."""

import asyncio
import os

from load.fairness import Round, assess, waited_for_a_core
from load.flood import Flood
from load.report import Distribution
from sip.parser import parse_datagram


def made(p99_ms: float, *, disturbed: bool, failed: int = 0, refused: bool = True, waited: float | None = None) -> Round:
    others = {"503": 5} if disturbed and refused else {}
    return Round(
        disturbed=disturbed,
        calls=100,
        failed=failed,
        failed_by_status={},
        setup=Distribution(count=100, p50_ms=1.0, p99_ms=p99_ms),
        connect=Distribution(),
        main_cpu_share=None,
        main_waited_share=waited,
        flood_statuses=others,
        waiting_statuses=others,
    )


def rounds(calm: list[float], disturbed: list[float], **fields) -> list[Round]:
    return [made(p99, disturbed=False) for p99 in calm] + [made(p99, disturbed=True, **fields) for p99 in disturbed]


def test_within_the_undisturbed_spread_is_passed():
    found = assess(rounds([5.0, 9.0, 6.0], [8.0, 12.0, 7.0]))
    assert (found.p99_undisturbed_ms, found.p99_disturbed_ms, found.ratio) == ((5.0, 6.0, 9.0), (7.0, 8.0, 12.0), 1.333)
    assert found.problems == ()


def test_beyond_it_is_not():
    assert assess(rounds([5.0, 9.0, 6.0], [10.0, 12.0, 7.0])).problems == (
        "p99 of set-up is 10 ms with the others, at most 9 ms without them",
    )


def test_a_call_that_failed_and_others_who_did_not_disturb_are_told():
    assert assess(rounds([5.0], [5.0], failed=1)).problems == ("1 calls of the third tenant failed",)
    assert assess(rounds([5.0], [5.0], refused=False)).problems == ("the others were never refused anything: they did not disturb",)
    assert "nothing was measured" in assess([]).problems
    (busy,) = assess(rounds([5.0], [5.0], waited=0.9)).problems
    assert "waited for a core 90% of a round" in busy


def test_the_kernel_counts_how_long_a_process_waits_for_a_core():
    assert waited_for_a_core(os.getpid()) is not None
    assert waited_for_a_core(None) is None


class _Server(asyncio.DatagramProtocol):
    """Answers the first call 200, the others 404, each twice."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data, addr) -> None:
        request = parse_datagram(data)
        self.heard.append(request.method)
        if request.method == "INVITE":
            answer = request.response(200 if self.heard.count("INVITE") == 1 else 404, to_tag="t").to_bytes()
            self.transport.sendto(answer, addr)
            self.transport.sendto(answer, addr)
        elif request.method == "BYE":
            self.transport.close()


async def test_a_flood_acknowledges_counts_once_and_hangs_up_what_was_answered():
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(_Server, local_addr=("127.0.0.1", 0))
    flood = await Flood.open(transport.get_extra_info("sockname"), "601", "127.0.0.1")
    await flood.calls(3)
    async with asyncio.timeout(5):
        while server.heard.count("ACK") < 6:
            await asyncio.sleep(0)
    assert (flood.statuses, flood.up, flood.sent) == ({200: 1, 404: 2}, 1, 3)
    flood.close()
    async with asyncio.timeout(5):
        while "BYE" not in server.heard:
            await asyncio.sleep(0)
    assert flood.up == 0
