"""What a menu says of itself: "for support, press 1", of each key that it has, put together from sounds (R6; pure).

Who is behind a key is said by the label that the tenant gave it; else by its target: a queue that is called like one of the usual
departments by that, an agent by the extension, and whatever has no word by the number of the option. A key that is pressed by those who
speak a language is said in it. `media/prompts.py` lists the sounds, a test that each of these has its recording.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from acd.core.configuration import Agent, Menu, Queue, Target, ToAgent, ToAnnouncement, ToHangUp, ToMenu, ToOutside, ToQueue
from acd.core.ids import AgentId, QueueId

FOR: Final = "menu.for"
PRESS: Final = "menu.press"
OPTION: Final = "menu.option"
EXTENSION: Final = "menu.extension"
PAUSE: Final = "tone/pause"
"""In front of each option but what begins the menu: a breath, so that a key is not heard as that of the option behind it."""
KEYS: Final = "1234567890*#"
"""In the order in which they are said: as they lie on a phone."""
KEY_SOUNDS: Final[Mapping[str, str]] = {**{key: f"number.{key}" for key in "0123456789"}, "*": "menu.star", "#": "menu.hash"}
TARGETS: Final[Mapping[type[Target], str]] = {
    ToMenu: "menu.more",
    ToAgent: "menu.person",
    ToOutside: "menu.outside",
    ToAnnouncement: "menu.announcement",
    ToHangUp: "menu.hang_up",
}
"""What is said of a target that has no name of its own to say."""
DEPARTMENTS: Final[Mapping[str, frozenset[str]]] = {
    "department.support": frozenset({"support", "helpdesk", "hotline", "kundenservice", "kundendienst", "service"}),
    "department.sales": frozenset({"sales", "vertrieb", "verkauf"}),
    "department.accounting": frozenset({"accounting", "accounts", "buchhaltung", "billing", "rechnung", "rechnungen", "invoices"}),
    "department.reception": frozenset({"reception", "empfang", "zentrale", "switchboard", "operator", "vermittlung"}),
    "department.technical": frozenset({"technical", "technik", "engineering", "werkstatt"}),
    "department.orders": frozenset({"orders", "bestellung", "bestellungen", "auftrag", "auftraege", "aufträge"}),
    "department.appointments": frozenset({"appointments", "termine", "terminvergabe"}),
    "department.returns": frozenset({"returns", "retouren", "reklamation", "reklamationen", "complaints"}),
    "department.personnel": frozenset({"hr", "personnel", "personal", "personalabteilung", "bewerbung", "bewerbungen"}),
    "department.emergency": frozenset({"emergency", "notdienst", "notfall", "stoerung", "störung", "stoerungsdienst"}),
}
"""The departments that are packaged, and what queues are called that are one: by their id or name, without regard to capitals."""
_WORDS: Final = re.compile(r"\w+")


def sounds_of(menu: Menu, queues: Mapping[QueueId, Queue], agents: Mapping[AgentId, Agent]) -> tuple[str, ...]:
    """Everything that the menu says before it waits for a key."""
    if not menu.says_options:
        return menu.sounds
    options = tuple(_options(menu, queues, agents))
    return (*menu.sounds, *options) if menu.sounds else options[1:]


def _options(menu: Menu, queues: Mapping[QueueId, Queue], agents: Mapping[AgentId, Agent]) -> Iterator[str]:
    for key in KEYS:
        target = menu.options.get(key)
        if target is None:
            continue
        said = menu.labels.get(key) or _named(target, queues, agents)
        whole = (FOR, *said, PRESS, KEY_SOUNDS[key]) if said else (OPTION, KEY_SOUNDS[key], PRESS, KEY_SOUNDS[key])
        language = menu.languages.get(key)
        yield PAUSE
        for sound in whole:
            yield sound if language is None or "/" in sound else f"{language}/{sound}"


def _named(target: Target, queues: Mapping[QueueId, Queue], agents: Mapping[AgentId, Agent]) -> tuple[str, ...]:
    match target:
        case ToQueue(queue=queue):
            department = _department(queues.get(queue))
            return () if department is None else (department,)
        case ToAgent(agent=agent):
            extension = agents[agent].extension if agent in agents else None
            return (TARGETS[ToAgent],) if extension is None else (EXTENSION, *(f"number.{digit}" for digit in extension))
        case _:
            return (TARGETS[type(target)],)


def _department(queue: Queue | None) -> str | None:
    """The only usual department that the queue's id or name is a word of; one that names two is neither."""
    if queue is None:
        return None
    for text in (queue.id, queue.name):
        words = set(_WORDS.findall(text.casefold().replace("_", " ")))
        found = [department for department, names in DEPARTMENTS.items() if words & names]
        if len(found) == 1:
            return found[0]
    return None
