"""What agents and supervisors do at the page, in a real browser: consult, conference, listen, whisper; and what each is told of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.conftest import ACME, Service
from tests.api.serving import serving
from tests.api.test_conversations import house, talks
from tests.browser import Page, page

pytestmark = [pytest.mark.slow, pytest.mark.interop]
__all__ = ["house"]

OWN = """[...document.querySelectorAll("#own button")].map((one) => one.textContent)"""


@pytest.fixture
async def desk(house: Service, tmp_path: Path) -> AsyncIterator[Page]:
    """Anna talks with a caller who was told that somebody may listen."""
    await talks(house, told=True)
    async with serving(house.app) as served, page(f"{served.url}/", tmp_path / "profile") as opened:
        await opened.size(1280, 800)
        yield opened


async def enters(desk: Page, house: Service, who: str, role: str) -> None:
    session = json.dumps({"token": house.tokens[who], "role": role, "agent": who})
    await desk.says(f"sessionStorage.setItem('session', {json.dumps(session)})")
    await desk.do("Page.reload")
    await desk.until("document.readyState === 'complete' && document.querySelectorAll('#calls tbody tr').length === 1 && last !== null")


async def press(desk: Page, part: str, act: str) -> None:
    await desk.says(f"document.querySelector('#{part} [data-act={act}]').click()")


async def has(desk: Page, *buttons: str) -> None:
    await desk.until(f"JSON.stringify({OWN}) === JSON.stringify({json.dumps(buttons)})")


async def test_agent_consults_and_makes_a_conference_and_a_supervisor_hears_it(desk: Page, house: Service, tmp_path: Path) -> None:
    await enters(desk, house, "anna", "agent")
    await has(desk, "Hold", "Consult", "Hang up")
    assert await desk.says("document.getElementById('supervision-part').hidden")
    await desk.says("document.querySelector('#own input').value = 'Cleo'")
    await press(desk, "own", "consult")
    await has(desk, "Back to caller", "Complete", "Hang up")
    await house.voice.answer_agent(ACME, "cleo")
    await has(desk, "Back to caller", "Complete", "Alternate", "Conference", "Hang up")
    await desk.says("document.getElementById('language').click()")
    await has(desk, "Zurück zum Anrufer", "Übergeben", "Makeln", "Konferenz", "Auflegen")
    await press(desk, "own", "conference")
    await has(desk, "Halten", "Rückfrage", "Auflegen")
    await desk.says("document.querySelector('#own input').value = 'nobody'")
    await press(desk, "own", "consult")
    await desk.until("document.getElementById('desk-error').textContent === 'Das ist weder ein Name noch eine Nummer.'")
    await desk.says("document.getElementById('language').click()")
    await supervisor_listens_and_whispers(desk, house, tmp_path)


async def supervisor_listens_and_whispers(desk: Page, house: Service, tmp_path: Path) -> None:
    """Of three in conversation, anna is heard; cleo, who is one of them, is told nothing."""
    await enters(desk, house, "sophie", "supervisor")
    acts = "[...document.querySelectorAll('#supervision button')].map((one) => one.textContent + (one.ariaPressed === 'true' ? '!' : ''))"
    assert await desk.says(acts) == ["Listen", "Whisper", "Barge in"] * 2  # anna's conversation, and cleo's
    await press(desk, "supervision", "listen")
    await desk.until("document.querySelector('#supervision [data-act=stop]') !== null")
    await house.voice.answer_agent(ACME, "sophie")
    await desk.until("document.getElementById('own').innerText.includes('You listen to Anna')")
    await press(desk, "supervision", "whisper")
    await desk.until("document.getElementById('own').innerText.includes('You whisper to Anna')")
    assert await desk.says(acts) == ["Listen", "Whisper!", "Barge in", "Stop"]
    assert "Sophie" not in await desk.says("document.querySelector('#calls tbody tr').cells[5].textContent")
    await desk.picture(tmp_path / "supervisor.png")
    for size in ((390, 844), (320, 568)):
        await desk.size(*size, is_phone=True)
        assert await desk.says("document.documentElement.scrollWidth <= innerWidth")
    await desk.size(1280, 800)
    await enters(desk, house, "anna", "agent")
    await desk.until("document.getElementById('own').innerText.includes('Sophie whispers')")
    await desk.picture(tmp_path / "agent.png")
    await enters(desk, house, "cleo", "agent")
    assert "Sophie whispers" not in await desk.says("document.body.innerText")
    await enters(desk, house, "sophie", "supervisor")
    await press(desk, "supervision", "stop")
    await desk.until("document.getElementById('own-part').hidden")
    assert await desk.says(acts) == ["Listen", "Whisper", "Barge in"] * 2
