"""The ledger closes over every topology, and a contradiction is named instead of billed (U13)."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing_cdr.assemble import LEG, Assembler, LegState, fold
from billing_cdr.causes import OUTCOMES
from billing_cdr.cdr import Cdr
from billing_cdr.errors import LedgerError
from billing_cdr.facts import (
    ConversationBegan,
    ConversationEnded,
    Disposition,
    Fact,
    LegAnswered,
    LegBegan,
    LegEnded,
    LegPriced,
    Protected,
    QualityMeasured,
    RecordingMade,
    SegmentBegan,
    SegmentEnded,
)
from billing_cdr.house_plan import house_plan
from billing_cdr.instant import between_ms
from billing_cdr.quote import Quote
from billing_cdr.rating import PlanBook, quote, rate
from tests.billing_cdr.stories import WEDNESDAY, Story, answered_call, forwarded_call, outbound_call


def attended_transfer() -> Story:
    """Anna talks, puts the caller on hold, consults Bert, hands over."""
    return (
        Story("attended")
        .leg(0, "in", "caller", "queue", with_="support", number="+4915112345678", trunk="carrier")
        .answers(0, "in")
        .leg(1_000, "a1", "agent", "offer", party="anna", by="support")
        .answers(4_000, "a1", "talk", with_="in")
        .moves(4_000, "in", "talk", with_="a1")
        .moves(64_000, "in", "hold", with_="anna", by="agent:anna")
        .moves(64_000, "a1", "hold", with_="caller", by="agent:anna")
        .leg(64_000, "a2", "agent", "ring", party="bert", by="agent:anna")
        .answers(70_000, "a2", "consult", with_="a1")
        .moves(70_000, "a1", "consult", with_="a2")
        .moves(90_000, "a2", "talk", with_="in", by="anna")
        .moves(90_000, "in", "talk", with_="a2", by="anna")
        .ends(90_000, "a1", "transferred")
        .ends(150_000, "in")
        .ends(150_000, "a2")
        .over(150_000)
    )


def blind_transfer_outside() -> Story:
    """Anna sends the caller on to a mobile number; who forwards pays."""
    return (
        Story("blind")
        .leg(0, "in", "caller", "queue", with_="support", number="+4915112345678", trunk="carrier")
        .answers(0, "in")
        .leg(0, "a1", "agent", "offer", party="anna")
        .answers(3_000, "a1", "talk", with_="in")
        .moves(3_000, "in", "talk", with_="a1")
        .ends(33_000, "a1", "transferred")
        .moves(33_000, "in", "forward", by="anna")
        .leg(33_000, "out", "forward", "forward", by="anna", number="+4917112345678", trunk="carrier", payer="partner")
        .answers(40_000, "out", "talk", with_="in")
        .moves(40_000, "in", "talk", with_="out")
        .ends(100_000, "out")
        .ends(100_000, "in", by="local")
        .over(100_000)
    )


def ring_all() -> Story:
    """Three phones ring, one answers, another failed before."""
    story = Story("ring-all").leg(0, "in", "caller", "queue", with_="sales", number="+4915112345678", trunk="carrier").answers(0, "in")
    for number, agent in enumerate(("anna", "bert", "cleo"), start=1):
        story.leg(1_000, f"a{number}", "agent", "offer", party=agent, by="sales")
    return (
        story.ends(1_500, "a3", "failed", 503)
        .answers(6_000, "a2", "talk", with_="in")
        .moves(6_000, "in", "talk", with_="a2")
        .ends(6_000, "a1", "answered_elsewhere", 487, by="local")
        .ends(20_000, "in")
        .ends(20_000, "a2")
        .over(20_000)
    )


def abandoned_in_queue() -> Story:
    """The caller gives up while a phone rings."""
    return (
        Story("abandoned")
        .leg(0, "in", "caller", "queue", with_="support", number="+4915112345678", trunk="carrier")
        .answers(0, "in")
        .leg(10_000, "a1", "agent", "offer", party="anna")
        .ends(12_345, "in")
        .ends(12_345, "a1", "cancelled", 487, by="local")
        .over(12_345, "abandoned")
    )


def failed_outbound(status: int, cause: str = "normal") -> Story:
    """The number dialled does not answer."""
    return (
        Story("failed", direction="outbound", calling="200", called="+493012345678")
        .leg(0, "a1", "agent", "offer", party="anna")
        .answers(1_000, "a1", "ring")
        .leg(1_000, "out", "destination", "ring", number="+493012345678", trunk="carrier")
        .ends(9_000, "out", "failed", status)
        .ends(9_000, "a1", by="local")
        .over(9_000, cause)
    )


def re_offered() -> Story:
    """Anna does not answer, the caller waits on, Bert does (RONA)."""
    return (
        Story("rona")
        .leg(0, "in", "caller", "queue", with_="support", number="+4915112345678", trunk="carrier")
        .answers(0, "in")
        .leg(0, "a1", "agent", "offer", party="anna")
        .ends(15_000, "a1", "no_answer", 480, by="timeout")
        .leg(15_000, "a2", "agent", "offer", party="bert")
        .answers(18_000, "a2", "talk", with_="in")
        .moves(18_000, "in", "talk", with_="a2")
        .ends(48_000, "a2")
        .ends(48_000, "in")
        .over(48_000)
    )


STORIES = {
    "answered": answered_call,
    "forwarded": forwarded_call,
    "outbound": outbound_call,
    "attended": attended_transfer,
    "blind": blind_transfer_outside,
    "ring_all": ring_all,
    "abandoned": abandoned_in_queue,
    "busy": lambda: failed_outbound(486, "busy"),
    "rona": re_offered,
}


def assert_it_closes(cdr: Cdr) -> None:
    """Everything U13 asks of a record."""
    for leg in cdr.legs:
        mine = [segment for segment in cdr.segments if segment.leg == leg.leg]
        assert mine[0].began_at == leg.began_at
        assert mine[-1].ended_at == leg.ended_at
        assert all(before.ended_at == after.began_at for before, after in pairwise(mine))
        assert sum(segment.duration_ms for segment in mine) == between_ms(leg.began_at, leg.ended_at)
        assert cdr.began_at <= leg.began_at <= leg.ended_at <= cdr.ended_at
        assert 0 <= leg.billable_ms <= between_ms(leg.began_at, leg.ended_at)
    assert cdr.duration_ms == between_ms(cdr.began_at, cdr.ended_at)
    assert {segment.leg for segment in cdr.segments} == {leg.leg for leg in cdr.legs}


@pytest.mark.parametrize("name", STORIES)
def test_the_ledger_closes(name):
    assert_it_closes(STORIES[name]().cdr())


@pytest.mark.parametrize(
    ("name", "outcome", "queue", "agent", "ring_ms", "queue_ms", "talk_ms", "hold_ms"),
    [
        ("answered", "answered", "support", "anna", 3_000, 6_000, 61_000, 0),
        ("forwarded", "answered", None, None, 4_500, 0, 61_000, 0),
        ("outbound", "answered", None, "anna", 8_000, 0, 61_000, 0),
        ("attended", "answered", "support", "anna", 3_000, 4_000, 120_000, 26_000),
        ("blind", "answered", "support", "anna", 10_000, 3_000, 90_000, 0),
        ("ring_all", "answered", "sales", "bert", 5_000, 6_000, 14_000, 0),
        ("abandoned", "abandoned", "support", None, 2_345, 12_345, 0, 0),
        ("busy", "busy", None, "anna", 9_000, 0, 0, 0),
        ("rona", "answered", "support", "bert", 18_000, 18_000, 30_000, 0),
    ],
)
def test_durations_are_those_of_the_story(name, outcome, queue, agent, ring_ms, queue_ms, talk_ms, hold_ms):
    cdr = STORIES[name]().cdr()
    assert (cdr.outcome, cdr.queue, cdr.agent) == (outcome, queue, agent)
    assert (cdr.ring_ms, cdr.queue_ms, cdr.talk_ms, cdr.hold_ms) == (ring_ms, queue_ms, talk_ms, hold_ms)
    assert (cdr.answered_at is None) == (talk_ms == 0)
    assert cdr.talk_ms + cdr.hold_ms + cdr.ring_ms + cdr.wait_ms + cdr.treatment_ms + cdr.setup_ms == cdr.duration_ms


def test_an_agent_who_handed_over_is_not_booked_for_what_came_after():
    """FreePBX#124: an hour of others' talk must not stand in the agent's account."""
    cdr = attended_transfer().cdr()
    talked = {leg.party: sum(s.duration_ms for s in cdr.segments if s.leg == leg.leg and s.kind == "talk") for leg in cdr.legs}
    assert talked["anna"] == 60_000
    assert talked["bert"] == 60_000


@pytest.mark.parametrize(("cause", "outcome"), sorted(OUTCOMES.items()))
def test_outcome_follows_the_cause(cause, outcome):
    assert failed_outbound(500, cause).cdr().outcome == outcome


def test_money_of_a_blind_transfer_lies_with_who_forwards():
    """R12: inbound 0.00, forward > 0, billed to the forwarding tenant."""
    charge = rate(blind_transfer_outside().cdr(), PlanBook(house=(house_plan(),)))
    inbound, agent, forward = charge.lines
    assert (inbound.kind, inbound.gross) == ("inbound", 0)
    assert (agent.kind, agent.gross) == ("own_phone", 0)
    assert (forward.kind, forward.payer) == ("call", "partner")
    assert forward.gross > 0


def test_what_protected_a_leg_last_stands_in_the_record_and_of_others_that_nothing_did():
    story = forwarded_call()
    agreed = [
        Protected(conversation="c2", at=story.facts[4].at, leg="in", audio="sdes", suite="AES_CM_128_HMAC_SHA1_80", signalling="tls"),
        Protected(conversation="c2", at=story.facts[4].at, leg="in", audio="sdes", suite="AEAD_AES_128_GCM", signalling="tls"),
    ]
    incoming, out = fold([*story.facts[:5], *agreed, *story.facts[5:]]).legs
    assert (incoming.audio, incoming.suite, incoming.signalling) == ("sdes", "AEAD_AES_128_GCM", "tls")
    assert (out.audio, out.suite, out.signalling) == ("none", None, None)


def test_recordings_quality_disposition_and_the_promised_price_stand_in_the_record():
    promised = quote("+4917112345678", house_plan(), WEDNESDAY)
    assert isinstance(promised, Quote)
    story = forwarded_call()
    facts = story.facts
    extra = [
        LegPriced(conversation="c2", at=story.start + timedelta(milliseconds=500), leg="out", quote=promised),
        QualityMeasured(conversation="c2", at=story.start, leg="in", mos=4.4, loss=0.001, jitter_ms=1.5, packets_received=3050),
        RecordingMade(conversation="c2", at=story.start, legs=("in", "out"), path="c2.wav", duration_ms=61_000),
        Disposition(conversation="c2", at=story.start + timedelta(milliseconds=66_000), code="sold"),
    ]
    cdr = fold([*facts[:5], extra[0], *facts[5:-1], *extra[1:], facts[-1]])
    assert cdr.disposition == "sold"
    assert cdr.recordings[0].legs == ("in", "out")
    incoming, out = cdr.legs
    assert incoming.quality is not None
    assert incoming.quality.packets_received == 3050
    assert out.quote == promised
    assert rate(cdr, PlanBook(house=(house_plan(),))).lines[1].promised == house_plan().fingerprint()


def test_every_pair_of_leg_state_and_fact_is_in_the_table_or_refused():
    facts = (LegPriced, LegAnswered, LegEnded, QualityMeasured)
    assert set(LEG) == set(LegState)
    for state, edges in LEG.items():
        for kind in facts:
            story = Story().leg(0, "x", "destination", "ring", number="+493012345678", trunk="carrier")
            if state is not LegState.RINGING:
                story.answers(1, "x", "talk")
            if state is LegState.GONE:
                story.ends(2, "x")
            assembler = Assembler()
            for fact in story.facts:
                assembler.apply(fact)
            promised = quote("+493012345678", house_plan(), WEDNESDAY)
            fields = {
                LegPriced: {"quote": promised},
                LegAnswered: {},
                LegEnded: {"cause": "normal"},
                QualityMeasured: {"mos": 4.0, "loss": 0.0, "jitter_ms": 0.0},
            }[kind]
            fact = kind(conversation="c1", at=story.start + timedelta(seconds=1), leg="x", **fields)
            if kind in edges:
                assert assembler.apply(fact) is None
            else:
                with pytest.raises(LedgerError, match="leg x is"):
                    assembler.apply(fact)


@pytest.mark.parametrize("name", STORIES)
def test_every_fact_told_twice_is_refused_and_the_record_stays_the_same(name):
    story = STORIES[name]()
    expected = story.cdr()
    assembler, cdr = Assembler(), None
    for fact in story.facts:
        done = assembler.apply(fact)
        cdr = done or cdr
        with pytest.raises(LedgerError):
            assembler.apply(fact)
    assert cdr == expected


@given(st.sampled_from(sorted(STORIES)), st.randoms())
@settings(max_examples=200, deadline=None)
def test_shuffled_or_lost_facts_never_give_another_record(name, rng):
    """Two neighbours exchanged, or one fact lost: the same record (they commuted), or an error, never other sums."""
    facts = list(STORIES[name]().facts)
    expected = fold(facts)
    place = rng.randrange(len(facts) - 1)
    if rng.random() < 0.5:
        facts[place], facts[place + 1] = facts[place + 1], facts[place]
    else:
        del facts[place]
    try:
        cdr = fold(facts)
    except LedgerError:
        return
    assert_it_closes(cdr)
    if len(facts) == len(STORIES[name]().facts):
        assert sorted(leg.leg for leg in cdr.legs) == sorted(leg.leg for leg in expected.legs)
        assert (cdr.talk_ms, cdr.queue_ms, cdr.hold_ms) == (expected.talk_ms, expected.queue_ms, expected.hold_ms)
    else:  # what may be lost unseen is an answer nobody talked on, and it is then not charged
        assert rate(cdr, PlanBook(house=(house_plan(),))).gross.amount <= rate(expected, PlanBook(house=(house_plan(),))).gross.amount


def facts_without(story: Story, kind: type, **fields: object) -> list:
    return [
        fact for fact in story.facts if not (isinstance(fact, kind) and all(getattr(fact, key) == value for key, value in fields.items()))
    ]


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        (facts_without(answered_call(), LegEnded, leg="a1"), "leg a1 never ended"),
        (facts_without(answered_call(), SegmentEnded, segment="s4"), "segment s4 never ended"),
        (facts_without(answered_call(), LegAnswered, leg="a1"), "leg a1 talks in segment s4 and has not answered"),
        (facts_without(abandoned_in_queue(), SegmentBegan, segment="s2"), "never began"),
        (facts_without(answered_call(), LegBegan, leg="in"), "leg in never began"),
        (facts_without(answered_call(), ConversationBegan), "never began"),
        (facts_without(answered_call(), ConversationEnded), "before the conversation does"),
        ([answered_call().facts[0], answered_call().facts[-1]], "has no leg"),
    ],
)
def test_a_missing_fact_is_named(facts, problem):
    with pytest.raises(LedgerError, match=problem):
        fold(facts)


def test_a_gap_between_segments_is_named():
    story = Story().leg(0, "in", "caller", "queue", number="+4915112345678")
    story.tells(1_000, SegmentEnded, segment="s1")
    story._now.clear()
    story.moves(1_500, "in", "queue").ends(2_000, "in").over(2_000, "abandoned")
    with pytest.raises(LedgerError, match="leg in is nowhere for 500 ms before segment s2") as caught:
        story.cdr()
    assert caught.value.draft is not None
    assert caught.value.draft.duration_ms == 2_000


def test_a_leg_that_outlives_its_last_segment_is_named():
    story = Story().leg(0, "in", "caller", "queue", number="+4915112345678")
    story.tells(1_000, SegmentEnded, segment="s1")
    story._now.clear()
    story.ends(1_250, "in").over(1_250, "abandoned")
    with pytest.raises(LedgerError, match="ends 250 ms after its last segment"):
        story.cdr()


def test_a_leg_without_segments_is_named():
    story = Story().tells(0, LegBegan, leg="in", role="caller", party="x").ends(5, "in").over(5)
    with pytest.raises(LedgerError, match="leg in has no segment"):
        story.cdr()


def test_an_overlap_is_refused_when_it_happens():
    story = Story().leg(0, "in", "caller", "queue")
    story.tells(10, SegmentBegan, segment="s9", leg="in", kind="talk")
    with pytest.raises(LedgerError, match="still in segment s1"):
        story.cdr()


def test_a_fact_from_the_past_is_refused():
    story = Story().leg(1_000, "in", "caller", "queue").tells(999, LegAnswered, leg="in")
    with pytest.raises(LedgerError, match="lies before"):
        story.cdr()


def test_an_instant_without_time_zone_is_refused():
    with pytest.raises(LedgerError, match="time zone"):
        Story(at=datetime(2026, 6, 10, 10)).cdr()  # noqa: DTZ001


def test_a_recording_of_nobody_is_refused():
    story = Story().leg(0, "in", "caller", "queue").tells(1, RecordingMade, legs=("x",), path="p", duration_ms=1)
    with pytest.raises(LedgerError, match="leg x never began"):
        story.cdr()


def test_a_recording_longer_than_its_legs_is_named():
    story = Story().leg(0, "in", "caller", "queue").ends(1_000, "in")
    story.tells(1_000, RecordingMade, legs=("in",), path="p", duration_ms=60_000).over(1_000, "abandoned")
    with pytest.raises(LedgerError, match="recording p lasts 60000 ms"):
        story.cdr()


def test_a_recording_may_outlast_legs_that_a_crash_has_cut():
    """The media worker records on until it is told to end; the legs have ended at the last sign of life. The call keeps its price."""
    story = Story().leg(0, "in", "caller", "queue").ends(1_000, "in", cause="restart", by="crash")
    story.tells(1_000, RecordingMade, legs=("in",), path="p", duration_ms=60_000).over(1_000, "restart")
    cdr = story.cdr()
    assert (cdr.outcome, [one.duration_ms for one in cdr.recordings], cdr.problems) == ("cut", [60_000], ())


def test_parts_of_milliseconds_never_break_the_sums():
    """Every instant is cut to its millisecond before anything is measured."""
    start = WEDNESDAY + timedelta(microseconds=999)
    story = Story(at=start).leg(0, "in", "caller", "queue", with_="q")
    story.start = start + timedelta(microseconds=1)  # now at a full millisecond
    cdr = story.moves(0, "in", "announcement").ends(7, "in").over(7, "abandoned").cdr()
    assert [segment.duration_ms for segment in cdr.segments] == [1, 7]
    assert cdr.duration_ms == 8


def test_the_state_survives_a_restart_at_every_fact():
    for name, make in STORIES.items():
        story = make()
        assembler, cdr = Assembler(), None
        for fact in story.facts:
            cdr = assembler.apply(fact)
            assembler = Assembler.restore(assembler.snapshot())
        assert cdr == make().cdr(), name
        assert assembler.open_conversations == ()


@pytest.mark.parametrize("name", STORIES)
def test_facts_travel_as_json_and_as_messagepack(name):
    """The journal may hold them in either form."""
    facts = STORIES[name]().facts
    assert [msgspec.json.decode(msgspec.json.encode(fact), type=Fact) for fact in facts] == facts
    assert [msgspec.msgpack.decode(msgspec.msgpack.encode(fact), type=Fact) for fact in facts] == facts


def test_conversations_do_not_mix():
    stories = [make() for make in STORIES.values()]
    expected = {story.conversation: story.cdr() for story in stories}
    assembler = Assembler()
    facts = sorted((fact.at, number, place, fact) for number, story in enumerate(stories) for place, fact in enumerate(story.facts))
    found = [assembler.apply(fact) for *_, fact in facts]
    assert {cdr.id: cdr for cdr in found if cdr is not None} == expected


@pytest.mark.parametrize("name", STORIES)
def test_a_conversation_cut_anywhere_still_gives_a_record_that_closes(name):
    """A kill at any moment: what was open ends as `restart`, and the number of records equals the number of calls."""
    facts = STORIES[name]().facts
    for stop in range(1, len(facts)):
        for later_ms in (0, 3_000):
            assembler = Assembler()
            for fact in facts[:stop]:
                assembler.apply(fact)
            at = facts[stop - 1].at + timedelta(milliseconds=later_ms)
            cdr = assembler.cut(facts[0].conversation, at)
            assert_it_closes(cdr)
            assert (cdr.outcome, cdr.ended_at) == ("cut", at)
            assert assembler.open_conversations == ()


def test_a_crash_between_the_end_of_a_leg_and_of_its_segment_closes_as_well():
    """The exchange may report the leg before the segment; both stand in one commit, and a crash may split it."""
    story = Story().leg(0, "in", "caller", "queue", with_="q").tells(5_000, LegEnded, leg="in", cause="normal")
    story.tells(5_000, LegBegan, leg="out", role="forward", party="x", number="+493012345678", trunk="carrier")
    story.tells(5_000, SegmentBegan, segment="s2", leg="out", kind="talk")
    assembler = Assembler()
    for fact in story.facts:
        assembler.apply(fact)
    cdr = assembler.cut("c1", story.start + timedelta(milliseconds=9_000))
    assert_it_closes(cdr)
    assert [(s.leg, s.kind, s.duration_ms) for s in cdr.segments] == [("in", "queue", 5_000), ("out", "talk", 4_000)]
    assert rate(cdr, PlanBook(house=(house_plan(),))).gross.amount == 0


def test_a_cut_in_the_past_is_refused():
    assembler = Assembler()
    for fact in answered_call().facts[:5]:
        assembler.apply(fact)
    with pytest.raises(LedgerError, match="lies before"):
        assembler.cut("c1", WEDNESDAY)


def test_a_gap_a_crash_has_left_is_shown_as_one():
    """The offer had ended and the talk not yet begun when the machine died."""
    story = answered_call()
    stop = next(place for place, fact in enumerate(story.facts) if isinstance(fact, SegmentEnded) and fact.segment == "s3") + 1
    assembler = Assembler()
    for fact in story.facts[:stop]:
        assembler.apply(fact)
    cdr = assembler.cut("c1", story.start + timedelta(seconds=10))
    assert [(s.kind, s.duration_ms, s.outcome) for s in cdr.segments if s.leg == "a1"] == [("offer", 3_000, ""), ("cut", 2_000, "restart")]


def test_nobody_cuts_what_is_not_open():
    with pytest.raises(LedgerError, match="not open"):
        Assembler().cut("x", WEDNESDAY)


def test_a_late_fact_is_told_from_a_lost_beginning():
    assembler = Assembler()
    for fact in answered_call().facts:
        assembler.apply(fact)
    assert "c1" not in assembler
    with pytest.raises(LedgerError, match="is over"):
        assembler.apply(Disposition(conversation="c1", at=WEDNESDAY, code="late"))
    with pytest.raises(LedgerError, match="never began"):
        assembler.apply(Disposition(conversation="c9", at=WEDNESDAY, code="lost"))
