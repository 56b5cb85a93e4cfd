"""Personal data in the words: every text is marked or known to be nobody's, and sealing the marked ones changes nothing that is folded."""

from __future__ import annotations

import hashlib
import typing

import msgspec
import pytest

from acd.core import inputs as inp
from acd.core.events import CallOffered, Event
from acd.core.inputs import Input
from acd.core.personal import marks, with_texts
from acd.core.replay import decode, encode, fold
from tests.acd.core.shell import Phone, agent, call, house, open_house
from tests.acd.core.storm import Storm

NOBODYS = {
    # what the tenant has set up, in its own words
    "Agent": {"extension", "device", "skills", "languages", "outbound_caller_id"},
    "ChannelCapacity": {"channel", "not_during"},
    "FeatureCodes": {"ready", "not_ready", "log_on_or_off", "tag", "waiting", "hot_desk", "pick", "supervise"},
    "Menu": {"sounds", "options", "invalid_sounds", "languages", "labels"},
    "Number": {"number", "language", "country"},
    "Queue": {"name", "strategy", "greeting", "music", "exit_key"},
    "Reason": {"code", "name"},
    "Removed": {"key"},
    "Schedule": {"timezone", "holiday_region"},
    "SettingsPut": {"language", "conversation_keys"},
    "SkillRequirement": {"skill"},
    "TenantConfiguration": {"language", "conversation_keys"},
    "ToAnnouncement": {"sounds"},
    "ToOutside": {"number"},
    "Trunk": {"name"},
    "Zone": {"name"},
    # what the exchange itself says: causes, rules, names of lines, sounds, deadlines, sentences with figures
    "AnnouncementBegan": {"sounds", "cause"},
    "CallCleared": {"cause"},
    "ChannelAdjusted": {"line", "shape"},
    "ChannelCosts": {"shape"},
    "ChannelRefused": {"line", "reason", "shape"},
    "ChannelReleased": {"line"},
    "ChannelReserved": {"line", "shape"},
    "Cost": {"shape"},
    "CreditEnds": {"reason"},
    "CreditLimited": {"reason"},
    "DeadlinePassed": {"timer"},
    "Decision": {"rule", "term_names", "entry_terms", "requirements", "removed", "tie_break", "by"},
    "DeviceUnbound": {"why"},
    "LegCleared": {"cause"},
    "LineJudged": {"figures", "bad"},
    "OfferEnded": {"detail"},
    "PagesAsked": {"rule"},
    "Queued": {"cause"},
    "QueueLeft": {"detail"},
    "Reconciled": {"reason"},
    "ReferralFailed": {"cause"},
    "SoundsStarted": {"sounds"},
    "TechnicallyNotReady": {"figures", "measured_at", "bad"},
    "SoundsEnded": {"left_out"},
    "SoundsFinished": {"left_out"},
    # ids, and codes of the tenant's own lists
    "AgentNotReady": {"reason"},
    "Announce": {"sounds"},
    "CallTransferred": {"cause"},
    "ConsultationEnded": {"cause"},
    "CallForwarded": {"by"},
    "CallOffered": {"number", "country", "language"},
    "ContactOpened": {"channel", "language"},
    "DispositionSet": {"code"},
    "ForwardLoopFound": {"by"},
    "GoNotReady": {"reason"},
    "LegInitiated": {"forwarded_by"},
    "MenuLeft": {"language"},
    "OpenContact": {"channel", "language"},
    "SetDisposition": {"code"},
    # what machines say
    "LegMeasured": {"quality"},
    "LegProtected": {"suite", "signalling"},
    "ProtectionAgreed": {"suite", "signalling"},
    "QualityMeasured": {"quality"},
    "RecordingEnded": {"path", "error"},
    "RecordingKept": {"path", "error"},
    "TrunkChanged": {"detail"},
    "TrunkDown": {"detail"},
}


def words() -> list[type[msgspec.Struct]]:
    found: list[type[msgspec.Struct]] = []

    def walk(kind: object) -> None:
        for argument in typing.get_args(kind):
            walk(argument)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in found:
            found.append(kind)
            for hint in typing.get_type_hints(kind).values():
                walk(hint)

    walk(Input)
    walk(Event)
    return found


def holds_text(hint: object) -> bool:
    """Free text somewhere: no name of an own type, and no choice of given words."""
    return hint is str or any(holds_text(one) for one in typing.get_args(hint))


def test_every_text_of_every_word_is_marked_or_known_to_be_nobody_s() -> None:
    wrong = []
    for kind in words():
        texts = {name for name, hint in typing.get_type_hints(kind).items() if holds_text(hint) and name in kind.__struct_fields__}
        unmarked = texts - marks(kind).keys()
        known = NOBODYS.get(kind.__name__, set())
        how = "mark it (CustomerText, StaffText of acd/core/personal.py), or enter it in NOBODYS of tests/acd/core/test_personal.py"
        wrong += [f"{kind.__name__}.{name} is a text: {how}" for name in sorted(unmarked - known)]
        wrong += [f"NOBODYS here has {kind.__name__}.{name}, which is no text, or a marked one" for name in sorted(known - unmarked)]
    assert not wrong, "\n".join(wrong)


def sealed(whose: str, text: str) -> str:
    return f"sealed:{whose}:{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def test_a_call_and_a_message_hold_no_number_and_no_word_of_anybody_once_they_are_sealed() -> None:
    anna = msgspec.structs.replace(agent("anna"), name="Anna Beispiel")
    shell = open_house(house(agents=(anna,)))
    call(shell, name="c", calling="+4915112345678", calling_name="Erika Muster", dialog="sip:+4915112345678@example.test")
    text = "my card number is 1234"
    shell.send(
        inp.OpenContact(contact="mail:1", channel="mail", queue="support", customer="erika@example.test", subject="Hello", text=text)
    )
    octets = b"".join(encode(with_texts(entry, sealed)) for entry in shell.journal)
    for secret in (b"15112345678", b"Erika", b"erika@", b"Hello", b"card number", b"Anna Beispiel"):
        assert secret in b"".join(map(encode, shell.journal)), secret
        assert secret not in octets, secret


@pytest.mark.parametrize("seed", [4, 8])
def test_the_fold_of_a_sealed_journal_is_the_fold_of_the_journal_with_sealed_texts(seed: int) -> None:
    storm = Storm(seed)
    storm.keep_journal = True
    storm.open()
    for _ in range(1500):
        storm.draw()
    storm.close()
    read = [decode(encode(with_texts(entry, sealed))) for entry in storm.journal]
    state, expected = fold(read, storm.engine.tenant).state, storm.engine.state
    assert state.timers == expected.timers
    assert state.statistics == expected.statistics
    for name in ("queues", "lines", "offers", "entries", "recordings", "ended_legs"):
        assert getattr(state, name) == getattr(expected, name), name
    for agent_id, one in expected.agents.items():
        assert (state.agents[agent_id].state, state.agents[agent_id].works) == (one.state, one.works)
        assert len(state.agents[agent_id].bindings) == len(one.bindings)


def test_a_mark_says_whose_and_a_word_without_texts_stays_as_it_is() -> None:
    assert {name: mark.whose for name, mark in marks(CallOffered).items()} == {
        "calling": "customer",
        "calling_name": "customer",
        "called": "customer",
        "quote": "customer",
        "supervisor": "staff",
    }
    assert marks(CallOffered)["quote"].texts == ("number",)
    given = inp.LogOn(agent="anna", ready=True)
    assert with_texts(given, sealed) == given
    phone = Phone()
    assert with_texts(phone, sealed) is phone
