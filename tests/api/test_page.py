"""The first page in a real browser: what it says, and that it fits a phone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.errors import Problem
from tests.api.conftest import PASSWORD, Service
from tests.api.serving import serving
from tests.browser import Page, page

pytestmark = [pytest.mark.slow, pytest.mark.interop]

PHONE = (390, 844)
"""CSS pixels of a phone held upright."""
WIDE = """[...document.querySelectorAll("body *")]
  .filter((one) => one.getClientRects().length && one.getBoundingClientRect().right > innerWidth + 0.5)
  .map((one) => one.tagName + "#" + one.id + "." + one.className + " " + one.textContent.slice(0, 30))"""
"""What reaches beyond the right edge."""


@pytest.fixture
async def board(staffed: Service, tmp_path: Path) -> AsyncIterator[Page]:
    """The supervisor's board, with a caller who waits and an agent who is rung."""
    for agent in ("anna", "ben"):
        await staffed.voice.register("acme", agent)
    await staffed.call("POST", "agents/me/log-on", "anna", json={"ready": True})
    await staffed.call("POST", "agents/me/log-on", "ben")
    await staffed.voice.arrive("acme", "601", "+442079460600")
    await staffed.voice.arrive("acme", "601", "+442079460601")
    async with serving(staffed.app) as served, page(f"{served.url}/", tmp_path / "profile") as opened:
        await opened.size(*PHONE, is_phone=True)
        session = json.dumps({"token": await staffed.log_in("supervisor", PASSWORD)})
        await opened.says(f"sessionStorage.setItem('session', {json.dumps(session)})")
        await opened.do("Page.reload")
        await opened.until("document.querySelectorAll('#calls tbody tr').length == 2")
        yield opened


HEADS = """[...document.querySelectorAll("#agents thead th")].map((one) => one.textContent)"""
SAID = """Object.fromEntries([...document.querySelectorAll("#queues tbody td")].map((one) =>
  [getComputedStyle(one, "::before").content.replaceAll('"', ""), one.textContent]))"""
"""What stands beside what on a phone."""


async def test_board_fits_a_phone_and_each_figure_stands_beside_its_name(board: Page) -> None:
    assert await board.says("innerWidth") == PHONE[0]
    assert await board.says(WIDE) == []
    said = await board.says(SAID)
    assert (said["Waiting"], said["Busy"], said["Logged on"]) == ("2", "1", "2")
    await board.size(320, 568, is_phone=True)  # the narrowest there is
    assert await board.says(WIDE) == []
    await board.size(1280, 800)
    assert await board.says(WIDE) == []
    assert await board.says("getComputedStyle(document.querySelector('#queues td')).display") == "table-cell"


async def test_who_rings_or_writes_up_is_busy_and_not_talking(board: Page) -> None:
    await board.says("document.getElementById('language').click()")
    assert await board.says("document.documentElement.lang") == "de"
    heads = await board.says("[...document.querySelectorAll('#queues thead th')].map((one) => one.textContent)")
    assert "Beschäftigt" in heads
    assert "Im Gespräch" not in heads


async def test_idle_time_of_the_day_is_shown_where_it_is_told(board: Page) -> None:
    """It stands beside the time in the present state, which a conversation does not set back."""
    assert await board.says(HEADS) == ["Name", "State", "Time in state", "Work", "Phone", "Answered", "Idle today"]
    await board.says("draw({...last, agents: last.agents.map((one) => ({...one, idle_today_s: 3723}))})")
    assert await board.says("document.querySelector('#agents tbody tr td:last-child').textContent") == "1:02:03"


async def test_budgets_are_shown_where_there_are_any_and_in_the_readers_own_writing(board: Page, staffed: Service) -> None:
    assert await board.says("document.getElementById('budgets-part').hidden")
    given = {"per_hour": "1200.50", "agents": {"anna": {"per_hour": "20"}}}
    assert (await staffed.call("PUT", "dialling", json=given)).status_code == 200
    await staffed.call("POST", "agents/anna/not-ready", "anna", json={"reason": "break"})  # a change that the board is told of
    await board.until("!document.getElementById('budgets-part').hidden")
    rows = "[...document.querySelectorAll('#budgets tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"
    names = {row[0]: row[1:] for row in await board.says(rows)}
    assert names["All calls, an hour"] == ["€0.00", "€0.00", "€1,200.50", "€1,200.50"]
    assert names["Anna Amsel" if "Anna Amsel" in names else "Anna"][2] == "€20.00"
    await board.says("document.getElementById('language').click()")
    german = {row[0]: row[1:] for row in await board.says(rows)}
    assert [cell.replace("\u00a0", " ") for cell in german["Alle Gespräche, je Stunde"]] == ["0,00 €", "0,00 €", "1.200,50 €", "1.200,50 €"]


async def test_reasons_are_told_by_their_names(board: Page, staffed: Service) -> None:
    states = "[...document.querySelectorAll('#agents tbody tr')].map((row) => row.cells[1].textContent).join()"
    await board.until(f"{states}.includes('not ready (just logged on)')")
    await staffed.call("POST", "agents/me/not-ready", "ben", json={"reason": "break"})
    name = {one["code"]: one["name"] for one in (await staffed.got("reasons"))["items"]}["break"]
    await board.until(f"{states}.includes('not ready ({name})')")


@pytest.fixture
async def door(staffed: Service, tmp_path: Path) -> AsyncIterator[Page]:
    """The log-in form."""
    async with serving(staffed.app) as served, page(f"{served.url}/", tmp_path / "profile") as opened:
        await opened.size(1280, 800)
        await opened.until("!document.getElementById('login').hidden")
        yield opened


async def enter(door: Page, tenant: str, username: str, password: str = PASSWORD) -> None:
    """Fill in the form and press its button."""
    given = json.dumps({"tenant": tenant, "username": username, "password": password})
    await door.says(f"for (const [name, value] of Object.entries({given})) document.getElementById('login').elements[name].value = value")
    await door.says("document.querySelector('#login button').click()")


SHOWN = """["login", "no-board", "board"].filter((id) => !document.getElementById(id).hidden).join()"""
ERROR = "document.getElementById('login-error').textContent"


@pytest.mark.parametrize(
    ("tenant", "username", "english", "german"),
    [("acme", "billing", "call records", "Rechnungen"), ("", "operator", "makes tenants", "Mandanten")],
)
async def test_role_without_board_is_told_what_it_may_and_is_not_logged_out(
    door: Page, tenant: str, username: str, english: str, german: str
) -> None:
    await enter(door, tenant, username)
    await door.until(f"{SHOWN} === 'no-board'")
    said = "document.getElementById('no-board').innerText"
    assert english in await door.says(said)
    assert await door.says("document.querySelector('#no-board a').pathname") == "/docs"
    await door.says("document.getElementById('language').click()")
    assert german in await door.says(said)
    await door.do("Page.reload")
    await door.until(f"document.readyState === 'complete' && {SHOWN} === 'no-board'")
    await door.says("document.getElementById('logout').click()")
    await door.until(f"{SHOWN} === 'login'")
    assert await door.says(ERROR) == ""


async def test_board_that_is_refused_for_a_role_says_so_and_asks_for_no_other_log_in(door: Page, staffed: Service) -> None:
    """A session of which the page does not know the role, as after a change of it: close code 4403."""
    session = json.dumps({"token": staffed.tokens["billing"]})
    await door.says(f"sessionStorage.setItem('session', {json.dumps(session)})")
    await door.do("Page.reload")
    await door.until(f"document.readyState === 'complete' && {SHOWN} === 'no-board'")
    assert "billing" in await door.says("document.getElementById('no-board-role').textContent")
    assert await door.says("sessionStorage.getItem('session')") is not None


async def test_password_does_not_stay_in_the_form(door: Page) -> None:
    password = "document.getElementById('login').elements.password.value"
    await enter(door, "acme", "supervisor")
    await door.until(f"{SHOWN} === 'board'")
    assert await door.says(password) == ""
    await door.says(f"{password} = 'filled in by the browser'; document.getElementById('logout').click()")
    await door.until(f"{SHOWN} === 'login'")
    assert await door.says(password) == ""


async def test_refused_log_in_is_told_in_the_language_of_the_page(door: Page) -> None:
    await enter(door, "acme", "supervisor", "wrong")
    await door.until(ERROR)
    assert await door.says(ERROR) == "Tenant, user name or password is wrong."
    await door.says("document.getElementById('language').click()")
    assert await door.says(ERROR) == "Mandant, Benutzer oder Passwort ist falsch."
    await enter(door, "ACME!", "supervisor")
    await door.until(f"{ERROR}.startsWith('So kann es nicht stimmen')")


async def test_ring_is_around_what_can_be_pressed_and_not_around_the_board(door: Page) -> None:
    await enter(door, "acme", "supervisor")
    await door.until(f"{SHOWN} === 'board'")
    focused = "[document.activeElement.id || document.activeElement.className, getComputedStyle(document.activeElement).outlineStyle]"
    assert await door.says(focused) == ["main", "none"]
    await door.do("Input.dispatchKeyEvent", type="keyDown", key="Tab", code="Tab", windowsVirtualKeyCode=9)
    assert await door.says(focused) == ["scroll", "solid"]


async def test_time_in_state_of_who_is_free_begins_with_the_end_of_the_last_work(board: Page) -> None:
    shown = "document.querySelector('#agents tbody tr').cells[2].textContent"
    of = "draw({...last, agents: [{...last.agents[0], work: [], category: %s, since: last.at - 900, category_since: %s}]})"
    await board.says(f"{STILL}; setClock(last.at)")
    await board.says(of % ("'free'", "last.at - 42"))
    assert await board.says(shown) == "0:42"
    await board.says(of % ("'unregistered'", "null"))
    assert await board.says(shown) == ""


CLOCKS = """({
  longest: document.querySelector("#queues tbody tr.waiting").cells[2].textContent,
  call: document.querySelector("#calls tbody tr").cells[6].textContent,
  state: document.querySelector("#agents tbody tr").cells[2].textContent,
  idle: [...document.querySelectorAll("#agents tbody tr")].map((row) => row.lastElementChild.textContent),
  connection: document.getElementById("connection").textContent})"""
DRAWN = """draw({...last,
  queues: last.queues.map((one) => ({...one, longest_wait_s: one.waiting_count ? 10 : 0})),
  calls: last.calls.map((one) => ({...one, began_at: last.at - 20})),
  agents: last.agents.slice(0, 2).map((one, at) => ({...one, work: [], category_since: last.at - 30, idle_today_s: 40,
    state: at ? "not_ready" : "ready"}))})"""
STILL = "socket.onmessage = null; performance.now = ((at) => () => at)(performance.now()); heardAt = performance.now(); ahead = null"
LATER = "performance.now = ((then, add) => () => then() + add)(performance.now.bind(performance), %d)"


async def test_clocks_go_on_between_messages_and_stand_when_the_connection_is_lost(board: Page) -> None:
    """Only what grows grows: who is not ready gets no idle time. The page's clock is held still, and set on by hand."""
    await board.says(
        "socket.onmessage = null; performance.now = ((at) => () => at)(performance.now()); setClock(last.at); heardAt = performance.now()"
    )
    await board.says(DRAWN)
    assert await board.says(CLOCKS) | {"connection": ""} == {
        "longest": "0:10", "call": "0:20", "state": "0:30", "idle": ["0:40", "0:40"], "connection": "",
    }  # fmt: skip
    await board.says(LATER % 24_000)
    await board.until("document.querySelector('#calls tbody tr').cells[6].textContent === '0:44'")
    went_on = {"longest": "0:34", "call": "0:44", "state": "0:54", "idle": ["1:04", "0:40"]}
    assert await board.says(CLOCKS) | went_on == await board.says(CLOCKS)
    live = "document.querySelectorAll('#board [aria-live], #board [role=status], #board [role=timer]').length"
    assert await board.says(live) == 0
    assert await board.says("document.getElementById('connection').getAttribute('aria-live')") == "off"

    await board.says("request = () => new Promise(() => 0); listen = () => 0; socket.onclose({code: 1006})")
    await board.says(LATER % 7_000)
    await board.says("tick()")
    stopped = await board.says(CLOCKS)
    assert stopped | went_on == stopped
    assert stopped["connection"].startswith("connection lost, the clocks stand at")


async def test_at_midnight_the_figures_of_the_day_begin_anew_without_a_message(board: Page) -> None:
    """Left open overnight: at 00:01 who is idle has been so for a minute of this day, and nobody else at all; what waits waits on."""
    answered = "[...document.querySelectorAll('#agents tbody tr')].map((row) => row.cells[5].textContent)"
    of_the_day = "[...document.querySelector('#queues tbody tr').cells].slice(6).map((cell) => cell.textContent)"
    await board.says(
        "socket.onmessage = null; performance.now = ((at) => () => at)(performance.now()); setClock(last.at); heardAt = performance.now()"
    )
    await board.says(DRAWN)
    await board.says(
        """draw({...last, day_ends_at: last.at + 10, agents: last.agents.map((one) => ({...one, answered_today: 7})),
          queues: last.queues.map((one) => ({...one, offered_today: 21, answered_today: 6, abandoned_today: 5, overflowed_today: 4,
            exited_today: 3, closed_today: 2, withdrawn_today: 1, service_level: 0.5}))})"""
    )
    assert await board.says(of_the_day) == ["21", "6", "5", "4", "3", "2", "1", "50 %"]
    await board.says(f"{LATER % 9_000}; tick()")
    clocks = await board.says(CLOCKS)
    assert (clocks["idle"], clocks["longest"], await board.says(answered)) == (["0:49", "0:40"], "0:19", ["7", "7"])
    await board.says(f"heardAt = performance.now(); {LATER % 40_000}; tick(); heardAt = performance.now(); {LATER % 21_000}; tick()")
    clocks = await board.says(CLOCKS)
    assert (clocks["idle"], clocks["longest"], clocks["call"]) == (["1:00", "0:00"], "1:20", "1:30")
    assert await board.says(answered) == ["0", "0"]
    assert await board.says(of_the_day) == ["0"] * 7 + ["\u2013"]


async def test_everybody_who_came_is_accounted_for_in_both_languages(board: Page) -> None:
    heads = "[...document.querySelectorAll('#queues thead th')].slice(6).map((one) => one.textContent)"
    english = ["Offered", "Answered", "Abandoned", "Overflowed", "Left by key", "Outside hours", "Withdrawn", "Service level today"]
    assert await board.says(heads) == english
    await board.size(1280, 800)
    assert await board.says(WIDE) == []
    await board.says("document.getElementById('language').click()")
    assert await board.says(WIDE) == []
    german = [
        "Gesamt",
        "Angenommen",
        "Verloren",
        "Überlauf",
        "Per Taste verlassen",
        "Geschlossen",
        "Vom Haus entnommen",
        "Service-Level heute",
    ]
    assert await board.says(heads) == german


async def test_who_talks_and_has_asked_for_a_break_is_busy_and_the_page_says_what_follows(board: Page) -> None:
    states = "[...document.querySelectorAll('#agents tbody tr')].map((row) => row.cells[1].textContent)[0]"
    anna = '{...last.agents[0], state: "not_ready", reason: "logging_off", category: "%s"}'
    await board.says(f"draw({{...last, agents: [{anna % 'busy'}]}})")
    assert await board.says(states) == "busy (then logging off)"
    await board.says(f"draw({{...last, agents: [{anna % 'not_ready'}]}})")
    assert await board.says(states) == "not ready (logging off)"


async def test_next_state_sets_no_clock_back_and_a_silent_socket_is_a_lost_one(board: Page) -> None:
    call = "document.querySelector('#calls tbody tr').cells[6].textContent"
    await board.says(STILL)
    await board.says(f"{DRAWN}; setClock(last.at)")
    await board.says(LATER % 5_000)
    await board.says("last = {...last, at: last.at + 4.5}; setClock(last.at); draw(last)")  # it was half a second under way
    assert await board.says(call) == "0:25"
    await board.says("request = () => new Promise(() => 0); listen = () => 0")
    await board.says(LATER % 46_000)
    await board.until("document.getElementById('connection').dataset.status === 'lost'")
    assert await board.says("socket") is None


async def test_who_talks_with_a_number_outside_is_shown_with_it(board: Page) -> None:
    parties = """[["caller", "+442079460600"], ["forward", "+4930111222"]].map(([role, number]) =>
      ({leg: role, role, state: "connected", agent: null, number, trunk: "berlin", since: last.at}))"""
    await board.says(f"draw({{...last, calls: [{{...last.calls[0], parties: {parties}}}]}})")
    assert await board.says("document.querySelector('#calls tbody tr').cells[5].textContent") == "+4930111222"


async def test_messages_and_callbacks_are_shown_where_they_wait_with_whom_they_are_and_without_a_queue(
    board: Page, staffed: Service
) -> None:
    assert await board.says("document.getElementById('contacts-part').hidden")
    for agent in ("anna", "ben"):
        await staffed.made(f"agents/{agent}/ready", {}, "supervisor")  # ben is rung, too: nobody is free
    await staffed.made("queues", {"id": "old", "name": "Old"})
    for queue, channel in (("support", "mail"), ("support", "message"), ("old", "message")):
        body = {"queue": queue, "channel": channel, "customer": f"{channel}@example.com", "subject": f"of {queue}"}
        await staffed.made("messages", body, "supervisor")
    await staffed.call("DELETE", "queues/old")
    await board.until("document.querySelector('#contacts tr.waiting') !== null")
    rows = "[...document.querySelectorAll('#contacts tbody tr')].map((row) => [...row.cells].slice(0, 6).map((cell) => cell.textContent))"
    assert await board.says(rows) == [
        ["Mail", "mail@example.com", "of support", "waiting", "Support", ""],
        ["Message", "message@example.com", "of support", "waiting", "Support", ""],
        ["Message", "message@example.com", "of old", "in no queue", "", ""],
    ]
    waiting = "document.querySelector('#queues tbody tr').cells[1].textContent"
    assert await board.says(waiting) == "4 (Mail\u00a01, Message\u00a01)"
    for size in (PHONE, (1280, 800)):
        await board.size(*size)
        assert await board.says(WIDE) == []
    assert "[object" not in await board.says("document.getElementById('board').innerText")
    await board.says("document.getElementById('language').click()")
    assert await board.says(waiting) == "4 (E-Mail\u00a01, Nachricht\u00a01)"
    work = "draw({...last, agents: [{...last.agents[0], work: [{...last.agents[0].work[0], channel: '%s', state: '%s'}]}]})"
    shown = "document.querySelector('#agents tbody tr').cells[3].textContent"
    for channel, state, says in (
        ("voice", "connected", "im Gespräch"),
        ("mail", "connected", "E-Mail in Arbeit"),
        ("pigeon", "reserved", "pigeon angeboten"),
    ):
        await board.says(work % (channel, state))
        assert await board.says(shown) == f"{says}, Support"


async def test_both_languages_have_words_for_the_same_things(door: Page) -> None:
    keys = """(words) => Object.entries(words).flatMap(
      ([key, value]) => typeof value === "object" ? Object.keys(value).map((one) => key + "." + one) : [key])"""
    german, english = await door.says(f"[WORDS.de, WORDS.en].map({keys})")
    assert sorted(german) == sorted(english)
    spoken = {key.removeprefix("problems.") for key in english if key.startswith("problems.")} - {"unreachable"}  # that is no answer
    assert spoken <= {one.kind for one in (Problem, *of_all(Problem))}
    assert not await door.says("[...document.querySelectorAll('[data-word]')].filter((one) => !WORDS.en[one.dataset.word]).length")


def of_all(kind: type[Problem]) -> list[type[Problem]]:
    return [one for below in kind.__subclasses__() for one in (below, *of_all(below))]
