"""What a menu says of its keys, put together from what is packaged and what the tenant has recorded."""

from __future__ import annotations

import pytest

from acd.core import spoken_menu
from acd.core.configuration import Agent, Menu, Queue, Target, ToAgent, ToAnnouncement, ToHangUp, ToMenu, ToOutside, ToQueue
from acd.core.ids import AgentId, MenuId, QueueId
from acd.core.spoken_menu import DEPARTMENTS, KEY_SOUNDS, KEYS, TARGETS, sounds_of
from acd.sounds import LANGUAGES, is_packaged

QUEUES = {
    QueueId(one): Queue(id=QueueId(one), name=name)
    for one, name in {
        "support": "Support",
        "q2": "Vertrieb Süd",
        "billing_de": "Team 3",
        "q4": "Störung",
        "q5": "Sales and Support",
        "sales-support": "Buchhaltung",
        "q7": "Fanshop",
        "rechnung": "Rechnungen",
    }.items()
}
AGENTS = {
    AgentId("anna"): Agent(id=AgentId("anna"), name="Anna", device="anna@x", extension="21"),
    AgentId("ben"): Agent(id=AgentId("ben"), name="Ben", device="ben@x"),
}


def said(options: dict[str, Target], **fields: object) -> str:
    menu = Menu(**{"id": MenuId("m"), "sounds": (), "options": options, "says_options": True} | fields)  # type: ignore[arg-type]
    return " ".join(sounds_of(menu, QUEUES, AGENTS))


@pytest.mark.parametrize(
    ("target", "label"),
    [
        (ToQueue(queue=QueueId("support")), "department.support"),
        (ToQueue(queue=QueueId("q2")), "department.sales"),
        (ToQueue(queue=QueueId("billing_de")), "department.accounting"),
        (ToQueue(queue=QueueId("q4")), "department.emergency"),
        (ToQueue(queue=QueueId("sales-support")), "department.accounting"),  # the id names two, the name one
        (ToQueue(queue=QueueId("rechnung")), "department.accounting"),
        (ToAgent(agent=AgentId("anna")), "menu.extension number.2 number.1"),
        (ToAgent(agent=AgentId("ben")), "menu.person"),
        (ToAgent(agent=AgentId("gone")), "menu.person"),
        (ToMenu(menu=MenuId("other")), "menu.more"),
        (ToOutside(number="+491711234567"), "menu.outside"),
        (ToAnnouncement(sounds=("closed",)), "menu.announcement"),
        (ToHangUp(), "menu.hang_up"),
    ],
)
def test_a_target_says_what_it_is(target: Target, label: str) -> None:
    assert said({"3": target}) == f"menu.for {label} menu.press number.3"


@pytest.mark.parametrize("queue", ["q5", "q7", "gone"])
def test_a_queue_without_a_word_of_its_own_is_said_by_its_number(queue: str) -> None:
    assert said({"3": ToQueue(queue=QueueId(queue))}) == "menu.option number.3 menu.press number.3"


def test_a_label_of_the_tenants_stands_before_everything() -> None:
    options: dict[str, Target] = {"1": ToQueue(queue=QueueId("support")), "2": ToQueue(queue=QueueId("q7"))}
    labels = {"1": ("our.heroes",), "2": ("de/fans", "and", "friends")}
    assert said(options, labels=labels) == (
        "menu.for our.heroes menu.press number.1 tone/pause menu.for de/fans and friends menu.press number.2"
    )


def test_keys_are_said_as_they_lie_on_a_phone() -> None:
    told = said(dict.fromkeys(reversed(KEYS), ToHangUp()))
    assert told.split()[3::5] == [KEY_SOUNDS[key] for key in "1234567890*#"]


def test_the_key_of_a_language_is_said_in_it() -> None:
    support = ToQueue(queue=QueueId("support"))
    assert said({"1": support, "2": support}, languages={"2": "en"}) == (
        "menu.for department.support menu.press number.1 tone/pause en/menu.for en/department.support en/menu.press en/number.2"
    )


def test_own_sounds_come_first_and_may_be_all() -> None:
    options: dict[str, Target] = {"1": ToHangUp()}
    assert said(options, sounds=("welcome",)) == "welcome tone/pause menu.for menu.hang_up menu.press number.1"
    assert said(options, sounds=("welcome",), says_options=False) == "welcome"
    assert said({}, sounds=("welcome",)) == "welcome"
    assert said({}) == ""


def test_everything_a_menu_can_say_is_packaged_in_every_language() -> None:
    own = {spoken_menu.FOR, spoken_menu.PRESS, spoken_menu.OPTION, spoken_menu.EXTENSION}
    for name in own | set(DEPARTMENTS) | set(TARGETS.values()) | set(KEY_SOUNDS.values()):
        for language in LANGUAGES:
            assert is_packaged(f"{language}/{name}"), name
    assert is_packaged(spoken_menu.PAUSE)


def test_no_word_means_two_departments() -> None:
    words = [word for names in DEPARTMENTS.values() for word in names]
    assert len(words) == len(set(words))
    assert words == [word.casefold() for word in words]
