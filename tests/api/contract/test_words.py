"""From our words to the contract's: each has its row, and what left before there was a contract leaves still, to the digit."""

from __future__ import annotations

import types
import typing
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from acd import service
from acd.core import events as ev
from acd.core import live
from api.contract import board, cdr, charge, decision, events, pop, quote, sockets
from api.contract.catalogue import catalogue
from api.contract.kit import Public, told
from billing_cdr import cdr as inner_cdr
from billing_cdr import charge as inner_charge
from billing_cdr.quote import Quote
from media.control import Quality
from tests.api.contract.golden import forgotten, sample
from tests.schemas import check, of_openapi
from tests.strategies import TEXT, values_of

FEW = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
LEAVES = [(word, kind) for word, kind in events.FROM_JOURNAL.items() if kind is not None]
NEVER_OF_CALLS = {ev.ContactOpened, ev.ContactClosed}
OF_CALLS_TOO = {word for word, _ in LEAVES if typing.get_type_hints(word).get("contact") is ev.ContactId} - NEVER_OF_CALLS
OTHERS: list[tuple[Any, type[Public]]] = [
    (inner_cdr.Cdr, cdr.Cdr),
    (inner_charge.Charge, charge.Charge),
    (Quote, quote.Quote),
    (live.LiveState, board.LiveState),
    (service.Spending, sockets.Spending),
]


def values(word: Any) -> st.SearchStrategy[Any]:
    """Any value of a word; documents inside it are those that the exchange puts there."""
    documents = {"quote": values_of(Quote).map(msgspec.to_builtins), "quality": values_of(Quality).map(msgspec.structs.asdict)}
    hints = typing.get_type_hints(word)
    return st.builds(word, **{name: documents[name] if name in documents else values_of(hints[name]) for name in word.__struct_fields__})


def written(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def test_each_word_of_the_journal_has_a_row_and_each_kind_comes_from_one() -> None:
    wrong = forgotten(events.FROM_JOURNAL, events.KINDS.values())
    assert not wrong, "\n".join(wrong)
    kinds = [kind for _, kind in LEAVES]
    assert len(kinds) == len(events.KINDS)
    unsaid = [name for name, kind in events.KINDS.items() if not vars(kind).get("__doc__")]
    assert not unsaid, f"api/contract/events.py: {', '.join(unsaid)} without a docstring of its own, which the catalogue and OpenAPI show"
    assert set(catalogue()) == set(events.KINDS)
    assert all(row.description and row.schema["properties"]["type"]["enum"] == [name] for name, row in catalogue().items())


def test_each_field_of_a_word_leaves_or_is_said_to_stay() -> None:
    for word, kind in LEAVES:
        ours, stays = set(word.__struct_fields__), events.STAYS.get(word, frozenset())
        assert stays <= ours
        differing = sorted((ours - stays) ^ (set(kind.__struct_fields__) - ({"call"} - ours)))
        assert not differing, (
            f"api/contract/events.py: {', '.join(differing)} of {word.__name__} is in the word or in its public class alone: "
            "give the class the field, or name it in STAYS"
        )


def told_as_before(event: ev.Event) -> None:
    """But for this: what is as usual is always left out. Before, 0.0 was only where nobody had set it."""
    usual = {one.name: one.default for one in msgspec.structs.fields(type(event))}
    before = {name: value for name, value in written(ev.shown(event)).items() if name == "type" or value != usual[name]}
    if type(event) in OF_CALLS_TOO and (call := decision.call_of(event.contact)) is not None:  # type: ignore[union-attr]
        before["call"] = call
    now = written(events.event_of(event))
    assert now == before
    check(of_openapi(type(event).__name__), now)


@pytest.mark.parametrize("whole", [True, False])
def test_every_event_is_told_as_it_was_before_there_was_a_contract(whole: bool) -> None:
    for word, _ in LEAVES:
        told_as_before(sample(word, whole=whole))


@settings(FEW, max_examples=150)
@given(data=st.data())
def test_any_event_is_told_as_it_was_before_there_was_a_contract(data: st.DataObject) -> None:
    told_as_before(data.draw(values(data.draw(st.sampled_from([word for word, _ in LEAVES])))))


@pytest.mark.parametrize(("inner", "kind"), OTHERS, ids=lambda one: one.__name__)
@FEW
@given(data=st.data())
def test_a_document_is_told_as_it_was_before_there_was_a_contract(inner: Any, kind: type[Public], data: st.DataObject) -> None:
    value = data.draw(values_of(inner))
    assert written(told(kind, value)) == written(value)
    if kind.__name__ in {"Cdr", "Charge", "Quote", "Spending"}:
        check(of_openapi(kind.__name__), written(told(kind, value)))


@FEW
@given(made=values_of(ev.OfferMade), ended=st.lists(values_of(ev.OfferEnded), max_size=2))
def test_a_decision_is_told_as_it_was_before_there_was_a_contract(made: ev.OfferMade, ended: list[ev.OfferEnded]) -> None:
    record = {**msgspec.to_builtins(made), "at": 1.5, "outcomes": [{**msgspec.to_builtins(one), "at": 2.5} for one in ended]}
    call = decision.call_of(made.contact)
    before = written(record)
    for one in (before, *before["outcomes"]) if call is not None else ():
        one["call"] = call
    now = written(decision.decision_of(record))
    assert now == before
    check(of_openapi("DecisionRecord"), now)


@FEW
@given(text=TEXT, waited_s=st.floats(0, 10**6), known=st.booleans())
def test_a_screen_pop_is_told_as_it_was_before_there_was_a_contract(text: str, waited_s: float, known: bool) -> None:
    at = "2026-03-02T09:00:00Z"
    contact = {"id": text, "name": text, "company": None, "email": text, "numbers": [text]}
    ticket = {"number": 7, "subject": text, "state": "open", "created_at": at}
    more = {"contact": contact, "tickets": (ticket,), "appointment": {"id": text, "title": text, "starts_at": at, "ends_at": at}}
    of = service.ScreenPop(
        agent=ev.AgentId("anna"),
        call=ev.ContactId("acme-1"),
        queue=None,
        number=text,
        called=text,
        waited_s=waited_s,
        **(more if known else {}),
    )
    assert written(pop.pop_of(of)) == written(of)
    check(of_openapi("ScreenPop"), written(pop.pop_of(of)))


class Tomorrow(msgspec.Struct, frozen=True, kw_only=True, tag="Queued"):
    """The journal's `Queued` as it may be one day: a field has another name, one is new, one is gone."""

    contact: str
    entry: str
    queue: str
    place: int
    lane: str


def test_a_client_does_not_notice_when_the_journal_s_words_change() -> None:
    today = ev.Queued(contact=ev.ContactId("chat:1"), entry=ev.EntryId("chat:1/q1"), queue=ev.QueueId("support"), position=2)
    tomorrow = Tomorrow(contact="chat:1", entry="chat:1/q1", queue="support", place=2, lane="left")
    make = events.maker(Tomorrow, events.Queued, {"position": "place"})
    assert written(make(tomorrow)) == written(events.event_of(today))
    with pytest.raises(TypeError, match="nothing in Tomorrow says what position of Queued is"):
        events.maker(Tomorrow, events.Queued)


def test_what_does_not_leave_is_not_told() -> None:
    altered = ev.ConfigurationAltered(changes=())
    assert not events.leaves(altered)
    with pytest.raises(ValueError, match="ConfigurationAltered does not leave"):
        events.event_of(altered)


# ---------------------------------------------------------------------- lists of words


def words_of(hint: Any, seen: tuple[Any, ...] = ()) -> dict[str, set[Any]]:
    """Place -> the words that can stand there, of a type and all it holds."""
    if hint in seen:
        return {}
    if isinstance(hint, typing.NewType):
        return words_of(hint.__supertype__, seen)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return {"": set(arguments)}
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        hints = typing.get_type_hints(hint)
        fields = {name: words_of(hints[name], (*seen, hint)) for name in hint.__struct_fields__}
        return {f".{name}{at}": words for name, found in fields.items() for at, words in found.items()}
    if isinstance(hint, type) and hasattr(hint, "__members__"):
        return {"": {one.value for one in hint}}
    if origin is None and not isinstance(hint, types.UnionType):
        return {}
    found: dict[str, set[Any]] = {}
    for argument in arguments:
        for at, words in words_of(argument, seen).items():
            found.setdefault(at, set()).update(words)
    return found


def test_no_word_of_ours_is_missing_in_a_list_of_the_contract() -> None:
    for inner, kind in (*LEAVES, *OTHERS):
        public = words_of(kind)
        missing = {at: words - public[at] for at, words in words_of(inner).items() if at in public and words - public[at]}
        assert not missing, f"{inner.__name__} has words that {kind.__name__} has not (api/contract/words.py): {missing}"
