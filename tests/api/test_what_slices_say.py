"""A slice is one line in `api/slices.py` beside its folder: what it forgets there is told in a sentence that says what, and where."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute, APIWebSocketRoute

from api import slices
from api.kit.jobs import Inside, Outside
from api.kit.outbox import EventType
from api.kit.slices import Slice, gathered
from api.slices import NAMES, SLICES
from tests import slices as of_slices
from tests.api.conftest import Service

API = Path(slices.__file__).parent
NO_SLICES = {"commands", "contract", "edge", "https", "kit", "migrations", "web"}
"""Folders of the API that are something else."""
WRITING = {"POST", "PUT", "PATCH", "DELETE"}


def where(name: str) -> str:
    return f"api/{name}/slice.py"


def forgotten(name: str, of: Slice) -> Iterator[str]:
    """What a slice does not say, or says of something that it does not have."""
    http = [route for router in of.routers for route in router.routes if isinstance(route, APIRoute)]
    sockets = {route.path for router in of.routers for route in router.routes if isinstance(route, APIWebSocketRoute)}
    reading = {str(route.operation_id) for route in http if "GET" in route.methods}
    writing = {str(route.operation_id) for route in http if WRITING & route.methods}
    told = {
        "personal or impersonal, whether its answer tells of people": (reading, [of.personal or {}, of.impersonal]),
        "answered or unanswered, whether its answer tells of people": (writing, [of.answered or {}, of.unanswered]),
        "sockets, as what its opening stands in the audit": (sockets, [of.sockets or {}]),
    }
    for what, (there, sets) in told.items():
        said = [one for some in sets for one in some]
        yield from (f"{where(name)}: {one} is in none of {what}" for one in sorted(there - set(said)))
        yield from (f"{where(name)}: {one} is said in {what}, and no route of the slice is it" for one in sorted(set(said) - there))
        yield from (f"{where(name)}: {one} is twice in {what}" for one in sorted({one for one in said if said.count(one) > 1}))
    unrecorded = of.unrecorded or {}
    yield from (
        f"{where(name)}: {one} is in `unrecorded`, and no route of the slice that writes is it"
        for one in sorted(unrecorded.keys() - writing)
    )
    yield from (
        f"{where(name)}: why {one} is in `unrecorded` is no sentence" for one in sorted(unrecorded) if not unrecorded[one].endswith(".")
    )
    yield from (f"{where(name)}: {route.path} has no operation_id" for route in http if not route.operation_id)
    yield from (f"{where(name)}: {route.path} is not tagged {of.tag}" for route in http if route.tags != [of.tag])
    yield from (f"{where(name)}: {one} is public, and no route of the slice is it" for one in sorted(of.public - reading - writing))
    if (API / name / "models.py").exists() and not of.models:
        yield f"{where(name)}: models.py has tables that `models` does not name"
    yield from _forgotten_beside_requests(name, of)
    if not of.says.endswith("."):
        yield f"{where(name)}: `says` is no sentence"


def _forgotten_beside_requests(name: str, of: Slice) -> Iterator[str]:
    """Events that receivers could not ask for, and jobs that nobody would do."""
    kinds: list[Any] = []
    if (API / name / "events.py").exists():
        kinds = [one for one in vars(import_module(f"api.{name}.events")).values() if isinstance(one, EventType)]
    yield from (f"{where(name)}: {one.name} is a kind of events that `events` does not name" for one in kinds if one not in of.events)
    yield from (f"{where(name)}: {one.name} is in `events`, and not in api/{name}/events.py" for one in of.events if one not in kinds)
    if not of.jobs:
        for file in sorted((API / name).glob("*.py")):
            if _defines_jobs(file):
                yield f"{where(name)}: {file.name} has jobs that `jobs` does not name"


def _defines_jobs(file: Path) -> bool:
    called = [node.func for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    return any(isinstance(one, ast.Name) and one.id in {Inside.__name__, Outside.__name__} for one in called)


@pytest.mark.parametrize(("name", "of"), list(zip(NAMES, SLICES.slices, strict=True)), ids=NAMES)
def test_a_slice_says_everything_that_it_has(name: str, of: Slice) -> None:
    found = list(forgotten(name, of))
    assert not found, "\n".join(found)


def test_every_folder_is_a_slice_with_its_line() -> None:
    folders = {one.name for one in API.iterdir() if one.is_dir() and not one.name.startswith("__")} - NO_SLICES
    without = sorted(folders - set(NAMES))
    assert not without, f"api/slices.py has no line for {without}, or tests/api/test_what_slices_say.py knows of another folder"
    for name in NAMES:
        assert (API / name / "slice.py").exists(), f"{where(name)} is missing"
    found = list(untaught(NAMES, {Path(str(one.__file__)).stem for one in of_slices.all_of_them()}))
    assert not found, "\n".join(found)


def untaught(names: Iterable[str], files: AbstractSet[str]) -> Iterator[str]:
    """Slices that the walks over all slices (tests/slices) know nothing of."""
    for name in sorted(set(names) - files - of_slices.IN_THE_WALKS):
        yield f"tests/slices/{name}.py is missing: the walks need its objects and bodies (tests/slices/__init__.py says how)"
    yield from (f"tests/slices/{name}.py is of no slice in api/slices.py" for name in sorted(files - set(names)))
    yield from (
        f"tests/slices/__init__.py: {name} is in IN_THE_WALKS, and no slice without a file"
        for name in sorted(of_slices.IN_THE_WALKS - (set(names) - files))
    )


def test_a_slice_that_the_walks_know_nothing_of_is_named() -> None:
    files = {name for name in NAMES if name not in of_slices.IN_THE_WALKS}
    assert list(untaught(NAMES, files)) == []
    (found,) = untaught([*NAMES, "dragons"], files)
    assert found.startswith("tests/slices/dragons.py is missing")
    assert list(untaught(NAMES, {*files, "cats"})) == ["tests/slices/cats.py is of no slice in api/slices.py"]


CRM = SLICES.slices[NAMES.index("crm")]
TELEPHONY = SLICES.slices[NAMES.index("telephony")]
WEBHOOKS = SLICES.slices[NAMES.index("webhooks")]


@pytest.mark.parametrize(
    ("name", "spoilt", "sentence"),
    [
        ("crm", lambda: replace(CRM, personal=None), "api/crm/slice.py: getContact is in none of personal or impersonal"),
        ("crm", lambda: replace(CRM, unanswered=frozenset()), "api/crm/slice.py: deleteContact is in none of answered or unanswered"),
        (
            "crm",
            lambda: replace(CRM, unrecorded={"listContacts": "Why not."}),
            "api/crm/slice.py: listContacts is in `unrecorded`, and no route of the slice that writes is it",
        ),
        (
            "crm",
            lambda: replace(CRM, unrecorded={"createContact": ""}),
            "api/crm/slice.py: why createContact is in `unrecorded` is no sentence",
        ),
        ("crm", lambda: replace(CRM, models=()), "api/crm/slice.py: models.py has tables that `models` does not name"),
        ("crm", lambda: replace(CRM, tag="people"), "api/crm/slice.py: /api/v1/contacts is not tagged people"),
        ("crm", lambda: replace(CRM, public=frozenset({"logIn"})), "api/crm/slice.py: logIn is public, and no route of the slice is it"),
        ("crm", lambda: replace(CRM, impersonal=frozenset({"getContact"})), "api/crm/slice.py: getContact is twice in personal"),
        ("crm", lambda: replace(CRM, events=()), "api/crm/slice.py: contact.created is a kind of events that `events` does not name"),
        ("tickets", lambda: replace(CRM), "api/tickets/slice.py: contact.created is in `events`, and not in api/tickets/events.py"),
        ("webhooks", lambda: replace(WEBHOOKS, jobs=()), "api/webhooks/slice.py: deliver.py has jobs that `jobs` does not name"),
        ("telephony", lambda: replace(TELEPHONY, sockets=None), "api/telephony/slice.py: /api/v1/board is in none of sockets"),
    ],
)
def test_what_is_forgotten_is_named(name: str, spoilt: Callable[[], Slice], sentence: str) -> None:
    assert any(one.startswith(sentence) for one in forgotten(name, spoilt())), list(forgotten(name, spoilt()))


def test_two_slices_do_not_say_of_one_thing() -> None:
    with pytest.raises(ValueError, match="two slices say of listContacts what is personal"):
        gathered([CRM, CRM])
    with pytest.raises(ValueError, match=r"two kinds of events are called contact\.created"):
        gathered([CRM, replace(TELEPHONY, events=CRM.events)])


def test_what_an_event_tells_of_is_shown_by_a_permission_there_is() -> None:
    with pytest.raises(ValueError, match=r"contact\.created is shown by contacts:read, which no slice has"):
        gathered([replace(CRM, permissions=())])


async def test_what_slices_have_to_be_done_is_done_and_told(acme: Service) -> None:
    """Each job is defined, under a name of its own that says whose it is."""
    jobs = [one.name for of in SLICES.slices for make in of.jobs for one in make(acme.shared)]
    assert {"webhooks.deliver", "mail.send"} <= set(jobs) <= acme.shared.services.jobs.definitions.keys()
    assert acme.shared.services.outbox.kinds is SLICES.events


def test_nothing_but_the_container_has_a_state_in_the_application() -> None:
    """`shared(request)` is typed; `app.state.anything` is what nobody finds again."""
    found = []
    for room in ("api", "tests", "load"):
        for file in (API.parent / room).rglob("*.py"):
            if file == API / "shared.py" or "vectors" in file.parts:
                continue
            found += [f"{file}:{node.lineno}" for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if _is_state_of_app(node)]
    assert not found, "\n".join(found)


def _is_state_of_app(node: Any) -> bool:
    if not (isinstance(node, ast.Attribute) and node.attr == "state"):
        return False
    value = node.value
    if isinstance(value, ast.Subscript):
        return isinstance(value.slice, ast.Constant) and value.slice.value == "app"
    if isinstance(value, ast.Name):
        return value.id in {"app", "application"}
    return isinstance(value, ast.Attribute) and value.attr == "app"
