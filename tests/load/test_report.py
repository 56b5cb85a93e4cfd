import json
import math
import random

import msgspec
import pytest

from load.plot import draw
from load.records import AgentRecord, CallerRecord, RtpFigures, Snapshot
from load.report import (
    CpuSample,
    Distribution,
    Observed,
    Report,
    Thresholds,
    add_rtp,
    agent_gaps,
    assemble,
    join,
    latency_percentile,
    overtakings,
    peak_calls,
    percentile,
    summary,
)


def caller(key, invited, answered=None, ended=None, **more):
    return CallerRecord(key=key, invited_at=invited, answered_at=answered, ended_at=ended, **more)


def offer(key, agent, invited, answered=None, ended=None, **more):
    return AgentRecord(key=key, agent=agent, invited_at=invited, answered_at=answered, ended_at=ended, **more)


# Four callers, two agents. Set-up 10, 20, 30 ms and one refused.
#   a: called at 0.0, at 200 after 10 ms, offered to A at 0.05, answered 0.15, ended 3.0
#   b: called at 1.0, 20 ms, offered to B at 1.05, missed; then to A at 3.01 (A free at 3.0), answered 3.21, ended 5.0
#   c: called at 2.0, 30 ms, gave up at 2.5
#   d: called at 2.2, refused with 503
CALLERS = [
    caller("d", 2.2, ended=2.21, status=503),
    caller("a", 0.0, 0.010, 3.0),
    caller("b", 1.0, 1.020, 5.0),
    caller("c", 2.0, 2.030, 2.5, gave_up=True, ended_by="here"),
]
AGENTS = [
    offer("a", "A", 0.05, 0.15, 3.0, ended_by="here"),
    offer("b", "B", 1.05, None, 1.95, status=487),
    offer("b", "A", 3.01, 3.21, 5.0),
]


def observed(**more):
    fields = {"scenario": "hand", "seed": 1, "began_at": 0.0, "ended_at": 6.0, "callers": CALLERS, "agents": AGENTS} | more
    return Observed(**fields)


def test_figures_of_four_calls_are_those_computed_by_hand():
    report = assemble(observed(), Thresholds(failed=1))
    assert (report.calls, report.answered, report.abandoned, report.failed, report.released, report.waiting) == (4, 2, 1, 1, 0, 0)
    assert report.failed_by_status == {"503": 1}
    assert report.setup == Distribution(count=3, p50_ms=20.0, p95_ms=30.0, p99_ms=30.0, max_ms=30.0)
    assert report.connect == Distribution(count=2, p50_ms=150.0, p95_ms=2210.0, p99_ms=2210.0, max_ms=2210.0)
    assert report.average_speed_of_answer_s == pytest.approx((0.15 + 2.21) / 2)
    assert report.service_level == pytest.approx(2 / 3, abs=1e-4)
    assert report.peak_calls == 3
    assert report.offers == 3
    assert report.offers_answered == 2
    assert report.offer_when_free == Distribution(count=2, p50_ms=50.0, p95_ms=50.0, p99_ms=50.0, max_ms=50.0)
    assert report.problems == ()


def test_service_level_counts_only_answers_within_its_limit():
    assert assemble(observed(service_level_s=1.0)).service_level == pytest.approx(1 / 3, abs=1e-4)


def test_gap_is_from_the_end_of_a_call_to_the_next_invite_while_the_next_caller_already_waited():
    assert agent_gaps(join(CALLERS, AGENTS), AGENTS) == [pytest.approx(0.01)]


def test_gap_is_without_after_call_work_and_not_measured_when_agents_go_away():
    assert assemble(observed(after_call_work_s=0.004)).agent_gap.p50_ms == pytest.approx(6.0)
    assert assemble(observed(agents_stay=False)).agent_gap == Distribution()


def test_gap_is_not_counted_when_the_next_caller_came_later():
    callers = [caller("a", 0.0, 0.01, 1.0), caller("b", 5.0, 5.01, 6.0)]
    agents = [offer("a", "A", 0.1, 0.2, 1.0), offer("b", "A", 5.02, 5.1, 6.0)]
    assert agent_gaps(join(callers, agents), agents) == []


def test_later_caller_offered_while_an_earlier_one_waits_is_an_overtaking():
    callers = [caller("a", 0.0, 0.01), caller("b", 1.0, 1.01), caller("c", 2.0, 2.01)]
    agents = [offer("c", "A", 3.0), offer("a", "B", 4.0), offer("b", "A", 5.0)]
    assert overtakings(join(callers, agents)) == 1
    in_order = [offer("a", "A", 3.0), offer("b", "B", 4.0), offer("c", "A", 5.0)]
    assert overtakings(join(callers, in_order)) == 0


def test_caller_who_gave_up_or_was_refused_is_overtaken_by_nobody():
    callers = [caller("a", 0.0, 0.01, 1.5, gave_up=True), caller("r", 0.5, None, 0.6, status=503), caller("b", 1.0, 1.01)]
    assert overtakings(join(callers, [offer("b", "A", 2.0)])) == 0
    assert overtakings(join(callers, [offer("b", "A", 1.2)])) == 1


def test_caller_never_offered_at_all_is_overtaken_by_all_who_came_later():
    callers = [caller("a", 0.0, 0.01), caller("b", 1.0, 1.01), caller("c", 2.0, 2.01)]
    assert overtakings(join(callers, [offer("b", "A", 3.0), offer("c", "A", 4.0)])) == 2


def test_offers_in_the_same_moment_have_no_order():
    callers = [caller("a", 0.0, 0.01), caller("b", 1.0, 1.01)]
    assert overtakings(join(callers, [offer("b", "A", 3.0), offer("a", "B", 3.001)])) == 0


def test_overtakings_agree_with_the_definition_on_random_lines():
    rng = random.Random(17)
    for _ in range(50):
        callers = [caller(str(i), rng.uniform(0, 10), 11.0) for i in range(30)]
        agents = [offer(str(i), "A", rng.uniform(11, 40)) for i in range(30) if rng.random() < 0.8]
        line = join(callers, agents)
        by_definition = sum(
            any(
                early.caller.invited_at < late.caller.invited_at - 0.005 and early.wait_ended_at > late.offered_at + 0.005 for early in line
            )
            for late in line
            if late.offered_at is not None
        )
        assert overtakings(line) == by_definition


def test_outcomes_that_are_neither_answered_nor_abandoned_stay_out_of_the_service_level():
    callers = [caller("r", 0.0, 0.01, 1.0), caller("w", 0.0, 0.01, 2.0, cut_by_run=True), caller("t", 0.0, None, 32.0, status=408)]
    report = assemble(observed(callers=callers, agents=[]))
    assert (report.released, report.waiting, report.failed) == (1, 1, 1)
    assert report.service_level is None
    assert report.average_speed_of_answer_s is None


def test_percentile_is_the_nearest_rank():
    assert percentile([15, 20, 35, 40, 50], 0.3) == 20
    assert percentile([15, 20, 35, 40, 50], 1.0) == 50
    assert percentile([15, 20, 35, 40, 50], 0.0) == 15
    assert percentile([], 0.5) is None


def test_latency_percentile_is_the_upper_edge_of_its_bin():
    assert latency_percentile((0, 98, 0, 2), 0.5) == 2
    assert latency_percentile((0, 98, 0, 2), 0.99) == 4
    assert latency_percentile((), 0.5) is None


def test_rtp_figures_add_up_over_processes_with_histograms_of_unequal_width():
    whole = add_rtp([RtpFigures(sent=3, received=2, lost=1, latency_ms=(1, 1)), RtpFigures(sent=4, own_drops=2, latency_ms=(0, 1, 5))])
    assert whole == RtpFigures(sent=7, received=2, lost=1, own_drops=2, latency_ms=(1, 2, 5))


def test_peak_counts_calls_that_never_ended():
    assert peak_calls([caller("a", 0, 1, 2), caller("b", 0, 1.5), caller("c", 0, 3, 4), caller("d", 0)]) == 2


def test_cpu_per_call_is_the_difference_of_the_samples_over_the_calls():
    cpu = [
        CpuSample(at=0.0, main_s=1.0, media_s=0.5),
        CpuSample(at=3.0, main_s=1.01, media_s=0.6),
        CpuSample(at=6.0, main_s=1.02, media_s=0.7),
    ]
    report = assemble(observed(cpu=cpu))
    assert report.server.main_cpu_ms_per_call == pytest.approx(5.0)
    assert report.server.media_cpu_ms_per_call == pytest.approx(50.0)
    assert report.server.main_cpu_share == pytest.approx(0.003, abs=1e-3)


def test_counters_of_the_service_are_differences_and_absent_ones_stay_unknown():
    before, after = {"fernamt_media_late_ticks_total": 3.0, "same": 1.0}, {"fernamt_media_late_ticks_total": 5.0, "same": 1.0}
    report = assemble(observed(counters_before=before, counters_after=after))
    assert report.server.late_ticks == 2.0
    assert report.server.packets_dropped is None
    assert report.server.counters == {"fernamt_media_late_ticks_total": 2.0}


def test_packets_the_service_admits_to_have_dropped_fail_the_run():
    counters = {
        "counters_before": {"fernamt_media_packets_dropped_total": 1.0},
        "counters_after": {"fernamt_media_packets_dropped_total": 4.0},
    }
    assert assemble(observed(**counters), Thresholds(failed=1)).problems == ("the service says that it dropped 3 packets",)


def test_cpu_comes_from_metrics_when_no_process_can_be_seen():
    report = assemble(
        observed(counters_before={"fernamt_main_cpu_seconds_total": 1.0}, counters_after={"fernamt_main_cpu_seconds_total": 1.2})
    )
    assert report.server.main_cpu_ms_per_call == pytest.approx(50.0)


def test_seconds_of_the_plot_hold_what_happened_in_them():
    snapshots = [
        Snapshot(
            at=at,
            process=process,
            calls_begun=0,
            calls_up=up,
            calls_connected=1,
            failed=0,
            agents_busy=0,
            agents_registered=2,
            cpu_s=at / 2,
        )
        for process in (0, 1)
        for at, up in ((0.9, 1), (1.9, 2), (2.9, 3))
    ]
    moments = assemble(observed(snapshots=snapshots)).moments
    assert [moment.calls_up for moment in moments[:3]] == [2, 4, 6]
    assert [moment.begun for moment in moments[:3]] == [1, 1, 2]
    assert moments[0].setup_p50_ms == pytest.approx(10.0)
    assert moments[1].generator_cpu == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Thresholds(), "1 calls failed (1 x 503), 0 allowed"),
        (Thresholds(failed=1, setup_p99_ms=25.0), "30 ms set-up p99, 25 allowed"),
        (Thresholds(failed=1, gap_p99_ms=5.0), "10 ms agent gap p99, 5 allowed"),
        (Thresholds(failed=1, main_cpu_ms_per_call=5.0), "nothing was measured"),
    ],
)
def test_each_threshold_passed_is_named(limits, words):
    problems = assemble(observed(), limits).problems
    assert len(problems) == 1
    assert words in problems[0]


def test_lost_packets_fail_a_run_but_not_those_the_generator_dropped_itself():
    assert "1 RTP packets lost" in assemble(observed(rtp=[RtpFigures(marked_lost=3, own_drops=2)]), Thresholds(failed=1)).problems[0]
    assert assemble(observed(rtp=[RtpFigures(marked_lost=2, own_drops=2)]), Thresholds(failed=1)).problems == ()


def test_run_without_calls_is_no_success():
    assert assemble(observed(callers=[], agents=[])).problems == ("no call was made",)


def test_report_survives_json_and_its_summary_names_every_figure():
    report = assemble(observed(rtp=[RtpFigures(sent=10, received=9, lost=1, marked_lost=1, latency_ms=(0, 9))]))
    assert msgspec.json.decode(report.to_json(), type=Report) == report
    text = "\n".join(summary(report))
    for words in ("2, abandoned 1, failed 1 (1 x 503)", "p50 20.0", "overtakings", "lost 1"):
        assert words in text


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_plot_is_written_as_its_suffix_says(tmp_path, suffix):
    report = assemble(observed(cpu=[CpuSample(at=float(at), main_s=at / 10, media_s=0.0) for at in range(7)]))
    target = tmp_path / f"plot.{suffix}"
    draw(report, target)
    head = target.read_bytes()[:200]
    assert head.startswith(b"\x89PNG") if suffix == "png" else b"<?xml" in head


def test_report_of_an_empty_run_has_no_nan():
    report = assemble(observed(callers=[], agents=[], ended_at=0.0))
    assert not any(isinstance(value, float) and math.isnan(value) for value in json.loads(report.to_json()).values())


def test_caller_the_service_never_answered_is_failed_and_not_waiting():
    """A service that hangs must not pass because the run ended."""
    callers = [
        caller("ignored", 0.0, None, 20.0, cut_by_run=True),
        caller("too late to tell", 19.0, None, 20.0, cut_by_run=True),
        caller("in the queue", 0.0, 0.1, 20.0, cut_by_run=True),
    ]
    report = assemble(observed(callers=callers, agents=[]))
    assert (report.failed, report.waiting) == (1, 2)
    assert report.failed_by_status == {"408": 1}


def test_call_that_does_not_end_fails_the_run():
    callers = [caller("a", 0.0, 0.1, 9.0, stuck=True)]
    agents = [offer("a", "A", 0.2, 0.3, 9.0, cut_by_run=True)]
    report = assemble(observed(callers=callers, agents=agents))
    assert report.stuck == 1
    assert report.problems == ("1 calls that did not end, 0 allowed",)


def test_agent_left_in_a_call_whose_caller_is_gone_is_stuck_but_not_one_cut_with_its_caller():
    callers = [caller("a", 0.0, 0.1, 2.0), caller("b", 0.0, 0.1, 9.0)]
    agents = [offer("a", "A", 0.2, 0.3, 9.0, cut_by_run=True), offer("b", "B", 0.2, 0.3, 9.0, cut_by_run=True)]
    assert assemble(observed(callers=callers, agents=agents)).stuck == 1
