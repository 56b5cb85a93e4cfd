"""From records to figures, pure: percentiles, service level, speed of answer, agent gap, overtakings (house formulas, each said once).

A caller is *answered* when an agent's phone sent 200 to an offer that shows its number, *abandoned* when it gave up before,
*failed* when the service refused it or never answered, *released* when the service took it and ended it before any agent, and
*waiting* when the run ended first. Only answered and abandoned callers count in the service level.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from load.records import AgentRecord, CallerRecord, RtpFigures, Snapshot


class _Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the figures: frozen, by keyword."""


def percentile(values: Sequence[float], share: float) -> float | None:
    """Nearest rank: the smallest value that at least `share` of the values do not exceed; None without values."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


IGNORED_S = 4.0
"""RFC 3261 timer B would wait 32 s, longer than most runs have left; a queue answers in milliseconds."""
ORPHAN_S = 1.5
UNANSWERED = 408
"""Status under which an ignored caller is counted (RFC 3261 §8.1.3.1: "treated as if a 408")."""


class Distribution(_Value, frozen=True, kw_only=True):
    """What a latency looks like, in milliseconds; None where nothing was measured."""

    count: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Distribution:
        """Of durations in seconds."""
        values = sorted(value * 1000 for value in seconds)

        def at(share: float) -> float | None:
            found = percentile(values, share)
            return None if found is None else round(found, 3)

        return cls(count=len(values), p50_ms=at(0.5), p95_ms=at(0.95), p99_ms=at(0.99), max_ms=at(1.0))


class Joined(_Value, frozen=True, kw_only=True):
    """A caller with what agents saw of it."""

    caller: CallerRecord
    offered_at: float | None
    """First INVITE at an agent."""
    agent_answered_at: float | None

    @property
    def outcome(self) -> str:
        """As the module's docstring defines it."""
        if self.agent_answered_at is not None:
            return "answered"
        if self.caller.status is not None:
            return "failed"
        if self.caller.gave_up:
            return "abandoned"
        if self.caller.cut_by_run or self.caller.ended_at is None:
            return "failed" if self.was_ignored else "waiting"
        return "released"

    @property
    def was_ignored(self) -> bool:
        """The run cut it, and until then the service had given no final answer in `IGNORED_S`."""
        caller = self.caller
        return caller.answered_at is None and (caller.ended_at is None or caller.ended_at - caller.invited_at >= IGNORED_S)

    @property
    def wait_ended_at(self) -> float:
        """When it stopped waiting to be offered: offered, gone, or never."""
        ends = [at for at in (self.offered_at, self.caller.ended_at) if at is not None]
        return min(ends, default=math.inf)


def join(callers: Iterable[CallerRecord], agents: Iterable[AgentRecord]) -> list[Joined]:
    """Put both sides together by key, in the order the callers came."""
    offers: dict[str, list[AgentRecord]] = {}
    for record in agents:
        offers.setdefault(record.key, []).append(record)
    joined = []
    for caller in sorted(callers, key=lambda one: one.invited_at):
        mine = offers.get(caller.key, [])
        joined.append(
            Joined(
                caller=caller,
                offered_at=min((one.invited_at for one in mine), default=None),
                agent_answered_at=min((one.answered_at for one in mine if one.answered_at is not None), default=None),
            )
        )
    return joined


def agent_gaps(joined: Sequence[Joined], agents: Iterable[AgentRecord]) -> list[float]:
    """Seconds from the end of an agent's call to the next INVITE at that agent, while callers waited.

    A gap counts only when the caller it ended with had begun to wait before the agent became free: then nothing but the
    service stood between the two. Offers that were not answered do not end a gap's beginning.
    """
    waiting_since = {one.caller.key: one.caller.answered_at or one.caller.invited_at for one in joined}
    by_agent: dict[str, list[AgentRecord]] = {}
    for record in agents:
        by_agent.setdefault(record.agent, []).append(record)
    gaps = []
    for records in by_agent.values():
        records.sort(key=lambda one: one.invited_at)
        for before, after in pairwise(records):
            if before.answered_at is None or before.ended_at is None or before.cut_by_run:
                continue
            if waiting_since.get(after.key, math.inf) < before.ended_at <= after.invited_at:
                gaps.append(after.invited_at - before.ended_at)
    return gaps


def overtakings(joined: Sequence[Joined], tolerance_s: float = 0.005) -> int:
    """How many callers were offered to an agent while somebody of equal priority who had come before still waited.

    Two callers, or two offers, less than `tolerance_s` apart have no order: datagrams and schedulers are not that exact.
    """
    line = sorted(joined, key=lambda one: one.caller.invited_at)
    longest_wait = -math.inf
    settled = 0
    count = 0
    for one in line:
        while line[settled].caller.invited_at < one.caller.invited_at - tolerance_s:
            if line[settled].caller.answered_at is not None:
                longest_wait = max(longest_wait, line[settled].wait_ended_at)
            settled += 1
        if one.offered_at is not None and longest_wait > one.offered_at + tolerance_s:
            count += 1
    return count


def latency_percentile(histogram: Sequence[int], share: float) -> int | None:
    """Upper edge in ms of the bin that holds the nearest rank; None without packets."""
    total = sum(histogram)
    if not total:
        return None
    rank, seen = max(1, math.ceil(share * total)), 0
    for index, count in enumerate(histogram):
        seen += count
        if seen >= rank:
            return index + 1
    return len(histogram)


def add_rtp(parts: Iterable[RtpFigures]) -> RtpFigures:
    """The sum over processes."""
    whole = RtpFigures()
    for part in parts:
        width = max(len(whole.latency_ms), len(part.latency_ms))
        both = [tuple(one.latency_ms) + (0,) * (width - len(one.latency_ms)) for one in (whole, part)]
        sums = {name: getattr(whole, name) + getattr(part, name) for name in RtpFigures.__struct_fields__ if name != "latency_ms"}
        whole = RtpFigures(**sums, latency_ms=tuple(a + b for a, b in zip(*both, strict=True)))
    return whole


class Moment(_Value, frozen=True, kw_only=True):
    """One second of the run, for the plot."""

    at_s: float
    calls_up: int
    calls_connected: int
    begun: int
    """Calls that began in this second."""
    setup_p50_ms: float | None
    setup_p99_ms: float | None
    server_main_cpu: float | None
    """Share of one core, 1.0 = a whole core."""
    server_media_cpu: float | None
    generator_cpu: float | None


class CpuSample(_Value, frozen=True, kw_only=True):
    """CPU seconds used so far by the service's processes."""

    at: float
    main_s: float
    media_s: float | None = None
    """All media workers together; None: not to be seen from here."""


class ServerFigures(_Value, frozen=True, kw_only=True):
    """What the service says of itself, as differences over the run; None: not known, which is not the same as 0."""

    main_cpu_ms_per_call: float | None = None
    media_cpu_ms_per_call: float | None = None
    main_cpu_share: float | None = None
    packets_dropped: float | None = None
    late_ticks: float | None = None
    counters: dict[str, float] = {}
    """Every counter of /metrics that moved."""


class Report(_Value, frozen=True, kw_only=True):
    """The result of a run; `load/README.md` says how to read it."""

    scenario: str
    seed: int
    duration_s: float
    calls: int
    answered: int
    abandoned: int
    failed: int
    released: int
    waiting: int
    failed_by_status: dict[str, int]
    stuck: int
    """Calls that did not end when they were over, and legs at agents whose caller had long gone."""
    peak_calls: int
    setup: Distribution
    """INVITE to 200."""
    connect: Distribution
    """INVITE to the agent's answer: waiting and ringing included."""
    offer_when_free: Distribution
    """INVITE to the INVITE at an agent, for callers who never had to wait: the service's own part of the way."""
    average_speed_of_answer_s: float | None
    """Mean of INVITE to the agent's answer over answered callers."""
    service_level: float | None
    """Share of answered and abandoned callers whom an agent answered within `service_level_s`."""
    service_level_s: float
    agent_gap: Distribution
    overtakings: int
    offers: int
    offers_answered: int
    rtp: RtpFigures
    rtp_latency_p50_ms: int | None
    rtp_latency_p99_ms: int | None
    server: ServerFigures
    generator_cpu_s: float
    moments: tuple[Moment, ...] = ()
    problems: tuple[str, ...] = ()
    """Why the run does not count as passed; empty: it does."""

    def to_json(self) -> bytes:
        """Indented, keys in order of definition."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


class Thresholds(_Value, frozen=True, kw_only=True):
    """When a run has failed."""

    failed: int = 0
    released: int | None = None
    """Callers the service took and let go; None: any number (overflow and closing time do that)."""
    rtp_lost: int | None = 0
    """End to end, the generator's own drops set off; None: any number."""
    setup_p99_ms: float | None = None
    gap_p50_ms: float | None = None
    gap_p99_ms: float | None = None
    overtakings: int | None = None
    main_cpu_ms_per_call: float | None = None


class Observed(_Value, frozen=True, kw_only=True):
    """Everything a run collected."""

    scenario: str
    seed: int
    began_at: float
    ended_at: float
    callers: Sequence[CallerRecord]
    agents: Sequence[AgentRecord]
    snapshots: Sequence[Snapshot] = ()
    rtp: Sequence[RtpFigures] = ()
    cpu: Sequence[CpuSample] = ()
    counters_before: dict[str, float] | None = None
    counters_after: dict[str, float] | None = None
    generator_cpu_s: float = 0.0
    dropped_messages: int = 0
    service_level_s: float = 20.0
    after_call_work_s: float = 0.0
    agents_stay: bool = True
    """False: agents went away between calls, and a gap would measure their break."""


def assemble(seen: Observed, thresholds: Thresholds | None = None) -> Report:
    """All figures of a run."""
    joined = join(seen.callers, seen.agents)
    outcomes = Counter(one.outcome for one in joined)
    answered = [one for one in joined if one.outcome == "answered"]
    waits = [one.agent_answered_at - one.caller.invited_at for one in answered if one.agent_answered_at is not None]
    counted = outcomes["answered"] + outcomes["abandoned"]
    gaps = agent_gaps(joined, seen.agents) if seen.agents_stay else []
    rtp = add_rtp(seen.rtp)
    report = Report(
        scenario=seen.scenario,
        seed=seen.seed,
        duration_s=round(seen.ended_at - seen.began_at, 3),
        calls=len(joined),
        answered=outcomes["answered"],
        abandoned=outcomes["abandoned"],
        failed=outcomes["failed"],
        released=outcomes["released"],
        waiting=outcomes["waiting"],
        failed_by_status={
            str(code): n
            for code, n in sorted(Counter(one.caller.status or UNANSWERED for one in joined if one.outcome == "failed").items(), key=str)
        },
        stuck=stuck_calls(joined, seen.agents),
        peak_calls=peak_calls(seen.callers),
        setup=Distribution.of(one.caller.answered_at - one.caller.invited_at for one in joined if one.caller.answered_at is not None),
        connect=Distribution.of(waits),
        offer_when_free=Distribution.of(unhindered(joined, seen.agents, seen.after_call_work_s)),
        average_speed_of_answer_s=round(sum(waits) / len(waits), 3) if waits else None,
        service_level=round(sum(wait <= seen.service_level_s for wait in waits) / counted, 4) if counted else None,
        service_level_s=seen.service_level_s,
        agent_gap=Distribution.of(gap - seen.after_call_work_s for gap in gaps),
        overtakings=overtakings(joined),
        offers=len(seen.agents),
        offers_answered=sum(one.answered_at is not None for one in seen.agents),
        rtp=rtp,
        rtp_latency_p50_ms=latency_percentile(rtp.latency_ms, 0.5),
        rtp_latency_p99_ms=latency_percentile(rtp.latency_ms, 0.99),
        server=server_figures(seen, len(joined)),
        generator_cpu_s=round(seen.generator_cpu_s, 3),
        moments=tuple(moments(seen)),
    )
    return msgspec.structs.replace(report, problems=tuple(problems(report, thresholds or Thresholds())))


def stuck_calls(joined: Sequence[Joined], agents: Iterable[AgentRecord]) -> int:
    """Callers that say so, and answered legs at agents that the run had to cut although their caller was gone for seconds."""
    gone_at = {one.caller.key: one.caller.ended_at for one in joined if one.caller.ended_at is not None and not one.caller.stuck}
    cut = [one for one in agents if one.cut_by_run and one.answered_at is not None and one.ended_at is not None]
    orphans = sum((one.ended_at or 0.0) - gone_at.get(one.key, math.inf) > ORPHAN_S for one in cut)
    return orphans + sum(one.caller.stuck for one in joined)


def peak_calls(callers: Iterable[CallerRecord]) -> int:
    """Most calls up at one time, from 200 to the end."""
    edges: list[tuple[float, int]] = []
    for one in callers:
        if one.answered_at is not None:
            edges += [(one.answered_at, 1), (one.ended_at if one.ended_at is not None else math.inf, -1)]
    up = peak = 0
    for _, step in sorted(edges):
        up += step
        peak = max(peak, up)
    return peak


def unhindered(joined: Sequence[Joined], agents: Iterable[AgentRecord], after_call_work_s: float) -> list[float]:
    """INVITE to the INVITE at an agent, of callers at whose arrival nobody waited and that agent was free."""
    busy: dict[str, list[tuple[float, float]]] = defaultdict(list)
    offered_to: dict[str, AgentRecord] = {}
    for record in sorted(agents, key=lambda one: one.invited_at):
        busy[record.agent].append((record.invited_at, (record.ended_at if record.ended_at is not None else math.inf) + after_call_work_s))
        offered_to.setdefault(record.key, record)
    found = []
    someone_waits_until = -math.inf
    for one in joined:
        arrived = one.caller.invited_at
        offer = offered_to.get(one.caller.key)
        if offer is not None and arrived > someone_waits_until and not any(begin < arrived <= end for begin, end in busy[offer.agent]):
            found.append(offer.invited_at - arrived)
        if one.caller.answered_at is not None:
            someone_waits_until = max(someone_waits_until, one.wait_ended_at)
    return found


def server_figures(seen: Observed, calls: int) -> ServerFigures:
    """Differences of the service's own counters and CPU times over the run."""
    moved: dict[str, float] = {}
    if seen.counters_before is not None and seen.counters_after is not None:
        before = seen.counters_before
        moved = {
            name: round(value - before.get(name, 0.0), 6)
            for name, value in sorted(seen.counters_after.items())
            if value != before.get(name, 0.0)
        }

    def counter(word: str) -> float | None:
        if seen.counters_after is None or not any(word in name for name in seen.counters_after):
            return None
        return sum(value for name, value in moved.items() if word in name)

    main = media = None
    if len(seen.cpu) >= 2:
        main = seen.cpu[-1].main_s - seen.cpu[0].main_s
        if seen.cpu[0].media_s is not None and seen.cpu[-1].media_s is not None:
            media = seen.cpu[-1].media_s - seen.cpu[0].media_s
    else:
        main = counter("main_cpu_seconds")
    length = seen.cpu[-1].at - seen.cpu[0].at if len(seen.cpu) >= 2 else seen.ended_at - seen.began_at
    return ServerFigures(
        main_cpu_ms_per_call=round(main / calls * 1000, 3) if main is not None and calls else None,
        media_cpu_ms_per_call=round(media / calls * 1000, 3) if media is not None and calls else None,
        main_cpu_share=round(main / length, 3) if main is not None and length > 0 else None,
        packets_dropped=counter("packets_dropped"),
        late_ticks=counter("late_ticks"),
        counters=moved,
    )


def moments(seen: Observed) -> list[Moment]:
    """The run second by second."""
    seconds = max(0, math.ceil(seen.ended_at - seen.began_at))
    setups: list[list[float]] = [[] for _ in range(seconds)]
    begun = [0] * seconds
    for one in seen.callers:
        second = int(one.invited_at - seen.began_at)
        if 0 <= second < seconds:
            begun[second] += 1
            if one.answered_at is not None:
                setups[second].append((one.answered_at - one.invited_at) * 1000)
    latest = _snapshots_by_second(seen, seconds)
    main = _shares([(sample.at, sample.main_s) for sample in seen.cpu], seen.began_at, seconds)
    media = _shares([(sample.at, sample.media_s) for sample in seen.cpu if sample.media_s is not None], seen.began_at, seconds)
    by_process: dict[int, list[tuple[float, float]]] = {}
    for snapshot in seen.snapshots:
        by_process.setdefault(snapshot.process, []).append((snapshot.at, snapshot.cpu_s))
    generator = [_shares(track, seen.began_at, seconds) for track in by_process.values()]
    found = []
    for second in range(seconds):
        own = [track[second] for track in generator]
        known = [value for value in own if value is not None]
        found.append(
            Moment(
                at_s=second + 1.0,
                calls_up=sum(one.calls_up for one in latest[second].values()),
                calls_connected=sum(one.calls_connected for one in latest[second].values()),
                begun=begun[second],
                setup_p50_ms=percentile(setups[second], 0.5),
                setup_p99_ms=percentile(setups[second], 0.99),
                server_main_cpu=main[second],
                server_media_cpu=media[second],
                generator_cpu=round(sum(known), 4) if known else None,
            )
        )
    return found


def _snapshots_by_second(seen: Observed, seconds: int) -> list[dict[int, Snapshot]]:
    """The last snapshot of each process in each second; one that came a moment too late leaves that of the second before standing."""
    latest: list[dict[int, Snapshot]] = [{} for _ in range(seconds)]
    for snapshot in seen.snapshots:
        second = int(snapshot.at - seen.began_at)
        if 0 <= second < seconds:
            latest[second][snapshot.process] = snapshot
    filled = [dict(one) for one in latest]
    for second in range(1, seconds):
        filled[second] = {**latest[second - 1], **latest[second]}
    return filled


def _shares(track: Sequence[tuple[float, float]], began_at: float, seconds: int) -> list[float | None]:
    """CPU seconds per second, from samples of a running total: the slope between the samples around each second."""
    shares: list[float | None] = [None] * seconds
    for (from_at, from_s), (to_at, to_s) in pairwise(track):
        second = int((from_at + to_at) / 2 - began_at)
        if to_at > from_at and 0 <= second < seconds:
            shares[second] = round((to_s - from_s) / (to_at - from_at), 4)
    return shares


def problems(report: Report, limits: Thresholds) -> list[str]:
    """Each threshold that was passed, one sentence; also when the run measured nothing."""
    found = []
    if not report.calls:
        found.append("no call was made")
    elif not report.answered:
        found.append("no call was answered by an agent of this run")
    if report.server.packets_dropped:
        found.append(f"the service says that it dropped {report.server.packets_dropped:g} packets")
    if report.failed > limits.failed:
        found.append(f"{report.failed} calls failed ({by_status(report)}), {limits.failed} allowed")
    rtp_lost = max(0, report.rtp.marked_lost - report.rtp.own_drops)
    checks: tuple[tuple[str, float | None, float | None], ...] = (
        ("calls that did not end", report.stuck, 0),
        ("calls released before an agent", report.released, limits.released),
        ("RTP packets lost from end to end", rtp_lost, limits.rtp_lost),
        ("RTP packets that reached the wrong party", report.rtp.crossed, 0),
        ("answered calls with one-way audio", report.rtp.silent_streams, 0),
        ("ms set-up p99", report.setup.p99_ms, limits.setup_p99_ms),
        ("ms agent gap p50", report.agent_gap.p50_ms, limits.gap_p50_ms),
        ("ms agent gap p99", report.agent_gap.p99_ms, limits.gap_p99_ms),
        ("overtakings", report.overtakings, limits.overtakings),
        ("ms of main process CPU per call", report.server.main_cpu_ms_per_call, limits.main_cpu_ms_per_call),
    )
    for name, value, limit in checks:
        if limit is None:
            continue
        if value is None:
            found.append(f"{name}: nothing was measured, {limit:g} allowed")
        elif value > limit:
            found.append(f"{value:g} {name}, {limit:g} allowed")
    return found


def by_status(report: Report) -> str:
    """`2 x 486, 1 x 503`."""
    return ", ".join(f"{n} x {code}" for code, n in report.failed_by_status.items())


def _known(value: float | None, unit: str = "") -> str:
    return "unknown" if value is None else f"{value:g}{unit}"


def _cells(one: Distribution) -> str:
    named = (("p50", one.p50_ms), ("p95", one.p95_ms), ("p99", one.p99_ms), ("max", one.max_ms))
    cells = "  ".join(f"{label} {value:.1f}" for label, value in named if value is not None)
    return f"{cells} ms  (n {one.count})" if cells else "-"


def summary(report: Report) -> list[str]:
    """The report in a dozen lines, as the command prints it."""
    level = "unknown" if report.service_level is None else f"{report.service_level:.1%}"
    server, rtp = report.server, report.rtp
    outcomes = f"{report.answered}, abandoned {report.abandoned}, failed {report.failed}"
    outcomes += f" ({by_status(report)})" if report.failed_by_status else ""
    cpu = f"main {_known(server.main_cpu_ms_per_call, ' ms')}, media {_known(server.media_cpu_ms_per_call, ' ms')}"
    rows = [
        ("calls", f"{report.calls} in {report.duration_s:.1f} s, at most {report.peak_calls} at a time"),
        ("answered", f"{outcomes}, released {report.released}, still waiting {report.waiting}, stuck {report.stuck}"),
        ("INVITE to 200", _cells(report.setup)),
        ("INVITE to agent", _cells(report.connect)),
        ("INVITE to offer, agent free", _cells(report.offer_when_free)),
        ("speed of answer", f"{_known(report.average_speed_of_answer_s, ' s')}; within {report.service_level_s:g} s: {level}"),
        ("agent BYE to next INVITE", _cells(report.agent_gap)),
        ("overtakings", str(report.overtakings)),
        ("server CPU per call", f"{cpu}; main at {_known(server.main_cpu_share)} of a core"),
    ]
    if rtp.sent:
        through = f"received {rtp.marked_received}, lost {rtp.marked_lost}, wrong party {rtp.crossed}, one-way {rtp.silent_streams}"
        latency = f"p50 {_known(report.rtp_latency_p50_ms, ' ms')}, p99 {_known(report.rtp_latency_p99_ms, ' ms')}"
        rows += [
            ("RTP", f"sent {rtp.sent}, received {rtp.received}, lost {rtp.lost}, late {rtp.late}, duplicate {rtp.duplicate}"),
            ("RTP from end to end", f"{through}; {latency}"),
            ("generator", f"own drops {rtp.own_drops}, send errors {rtp.own_send_errors}, late ticks {rtp.late_ticks}"),
            ("service says", f"packets dropped {_known(server.packets_dropped)}, late ticks {_known(server.late_ticks)}"),
        ]
    return [f"{name:<28}{text}" for name, text in rows]
