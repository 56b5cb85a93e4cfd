"""Why nobody was answered, in one sentence with what to do about it: from the responses the run got (pure)."""

from __future__ import annotations

from typing import Literal

import msgspec

from load.report import IGNORED_S, UNANSWERED, Report

Knock = Literal["answers", "refused", "silent"]
"""What a SIP OPTIONS at the service's address came to: a response, an ICMP error, nothing."""


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """What the run was, beside its figures."""

    server: tuple[str, int]
    local_address: str
    dial: tuple[str, ...]
    agents: int
    """Agents it played."""
    is_provisioned: bool = False
    knock: Knock | None = None
    """None: not tried."""


def why_nobody_answered(report: Report, seen: Circumstances) -> str | None:
    """The sentence; None: an agent of the run answered, or nobody called."""
    if report.answered or not report.calls:
        return None
    if report.setup.count:
        return _taken(report, seen)
    return _refused(status_of(report), seen)


def status_of(report: Report) -> int:
    """What most of the calls were refused with; 408 where nothing came."""
    return int(max(report.failed_by_status, key=lambda code: report.failed_by_status[code], default=UNANSWERED))


def is_to_be_asked(report: Report) -> bool:
    """Whether a knock tells more: such a status is ours for silence and an ICMP error, or the service's own."""
    return not report.answered and not report.setup.count and status_of(report) in {UNANSWERED, 503}


def _refused(status: int, seen: Circumstances) -> str:
    server = "{}:{}".format(*seen.server)
    numbers, source = " or ".join(seen.dial), seen.local_address
    match status:
        case 404:
            made = "" if seen.is_provisioned else ", or let --provision make one of its own"
            return f"the service has no number {numbers} for calls from {source} (404): give one that it has with --dial{made}"
        case 401 | 403 | 407:
            made = "--local-address gives another one" + ("" if seen.is_provisioned else ", --provision sets up a trunk of its own")
            return f"the service takes no calls from {source} ({status}): no trunk of a tenant has this address among its sources; {made}"
        case 503 if seen.knock in {None, "answers"}:
            return (
                "the service refused the calls (503): more than it admits, no media ports left, or a tenant that is not open; see /readyz"
            )
        case 488:
            return "the service has no codec in common with the callers (488): try --codec PCMA"
        case _ if seen.knock == "refused":
            return f"nobody listens at {server} (connection refused): start the service, or give its SIP address with --server"
        case _ if seen.knock == "silent":
            return f"nothing at {server} answers SIP: give the service's SIP address with --server, and look whether a firewall is between"
        case _ if status == UNANSWERED and seen.knock == "answers":
            return f"the service at {server} answers OPTIONS, but none of the calls within {IGNORED_S:.0f} s: its log says why"
        case _:
            return f"the service refused the calls ({status}): its log says why"


def _taken(report: Report, seen: Circumstances) -> str:
    numbers = " or ".join(seen.dial)
    if not seen.agents:
        return (
            f"the service took the calls to {numbers}, and this run plays no agents who could see one answered. Whether others took them, "
            "real phones or the demonstration's agents, no caller can tell from menu and music: the board and the service's log say. "
            "--provision makes agents of the run's own, --demo data/demo-credentials.json plays those of the demonstration (started with "
            "`fernamt run --demo --still`), --agents-file names others"
        )
    if not report.offers:
        return (
            f"the service took the calls to {numbers}, but offered none to the {seen.agents} agents of this run: the number leads "
            "elsewhere, or they are not ready or lack its skill"
        )
    return f"{report.offers} offers rang at agents of this run, none was taken before the callers gave up: lower --ring, raise --patience"
