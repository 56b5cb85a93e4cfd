"""Certificates by ACME: against pebble, and when they are asked for."""

from __future__ import annotations

import asyncio
import logging
import ssl
import stat
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acd.certificates import DAY_S
from api.config import Http, Settings
from api.https import Https
from api.https.keeper import ACCOUNT, TRIES
from api.https.renewal import FIRST_AGAIN_S, MOST_AGAIN_S, Tries, renewed_at
from tests.api.pebble import Pebble, needs_pebble, pebble
from tests.api.serving import Served, serving
from tests.api.test_https import anything, asked, hello
from tests.certificates import Authority
from tests.ports import free_port

NAME = "acd.fernamt.test"
OTHER = "phone.fernamt.test"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library looks once a second whether the authority is done; here twenty times."""
    monkeypatch.setattr("acme.client.time", SimpleNamespace(sleep=lambda seconds: time.sleep(seconds / 20)))


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def by_acme(folder: Path, authority: Pebble, clock: Clock, *domains: str, **more: Any) -> Https:
    http = {"acme_directory": authority.directory, "acme_ca": authority.authority.file, "acme_email": "telefon@example.org", **more}
    made = Https(Settings(data=folder, http=Http(tls="acme", acme_domains=domains or (NAME,), **http)), clock)
    made.start()
    return made


async def shown(served: Served) -> bytes:
    """The certificate in a handshake."""
    wire = await served.connect(tls=anything(), name=NAME)
    found = wire.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    await wire.close()
    assert isinstance(found, bytes)
    return found


async def test_a_certificate_is_had_used_kept_and_renewed(tmp_path, monkeypatch, caplog):
    """RFC 8555: account, order, challenge, certificate."""
    needs_pebble()
    caplog.set_level(logging.INFO, "api.https")
    port, clock = free_port(), Clock()
    async with pebble(tmp_path / "pebble", port) as authority:
        monkeypatch.setenv("SSL_CERT_FILE", str(await authority.root(tmp_path)))
        ours = by_acme(tmp_path, authority, clock)
        assert ours.told().kind == "self-made"
        async with serving(hello, https=ours, plain_port=port) as served:
            before = await shown(served)
            await ours.look()
            assert ours.told().kind == "acme", caplog.text
            assert ours.told().trusted
            assert ours.told().trouble is None
            first = await shown(served)
            assert first != before
            # A client that trusts the authority, and looks at the name, is content, and told to stay.
            reply = await asked(served, host=NAME, tls=ssl.create_default_context(cafile=tmp_path / "root.pem"), name=NAME)
            assert reply.headers["strict-transport-security"] == "max-age=31536000"
            gone = await asked(served, host=NAME, target="/.well-known/acme-challenge/abc", port=port)
            assert gone.status == 404
            # Nobody is asked again before it is time.
            await ours.look()
            assert ours.figures()["fernamt_acme_certificates_total"] == 1
            assert await shown(served) == first
            clock.ahead = renewed_at(ours.certificate.judged.begins_at, ours.certificate.expires_at) - time.time() + 60
            await ours.look()
            assert ours.figures()["fernamt_acme_certificates_total"] == 2
            second = await shown(served)
            assert second != first
        for path in (tmp_path / "acme").iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert stat.S_IMODE((tmp_path / "acme").stat().st_mode) == 0o700
        assert {one.name for one in (tmp_path / "acme").iterdir()} == {"certificate.pem", ACCOUNT, TRIES}
        # After a restart it is there, and nobody is asked.
        clock.ahead = 0.0
        again = by_acme(tmp_path, authority, clock)
        await again.look()
        async with serving(hello, https=again, plain_port=port) as served:
            assert await shown(served) == second
            assert again.figures()["fernamt_acme_certificates_total"] == 0
    assert "PRIVATE KEY" not in caplog.text


async def test_an_authority_that_refuses_or_is_away_changes_nothing_and_is_not_asked_at_once_again(tmp_path, caplog):
    needs_pebble()
    port, clock = free_port(), Clock()
    async with pebble(tmp_path / "pebble", port) as authority:
        ours = by_acme(tmp_path, authority, clock, redirect_port=port + 1)  # where it does not look
        async with serving(hello, https=ours) as served:
            before = await shown(served)
            await ours.look()
            assert ours.told().trouble is not None
            assert NAME in ours.told().trouble
            assert await shown(served) == before
            assert ours.figures()["fernamt_acme_failing"] == 1
            assert ours.figures()["fernamt_acme_failures_total"] == 1
            await ours.look()
            assert ours.figures()["fernamt_acme_failures_total"] == 1
        # Nor by one that starts again.
        later = by_acme(tmp_path, authority, clock)
        await later.look()
        assert later.figures()["fernamt_acme_failures_total"] == 0
        clock.ahead = FIRST_AGAIN_S + 5
        async with serving(hello, https=later, plain_port=port):
            await later.look()
        assert later.told().kind == "acme", caplog.text
    # It has gone, when a renewal is due: what was there is served.
    clock.ahead = renewed_at(later.certificate.judged.begins_at, later.certificate.expires_at) - time.time() + 60
    async with serving(hello, https=later, plain_port=port) as served:
        before = await shown(served)
        await later.look()
        assert later.told().trouble is not None
        assert "cannot be reached" in later.told().trouble
        assert await shown(served) == before
    assert "Traceback" not in caplog.text


async def test_a_file_that_is_half_or_for_fewer_names_is_replaced_and_the_account_stays(tmp_path):
    needs_pebble()
    port, clock, folder = free_port(), Clock(), tmp_path / "acme"
    folder.mkdir()
    (folder / "certificate.pem").write_text("-----BEGIN CERTIFICATE-----\nhalf")
    (folder / TRIES).write_text("{")
    async with pebble(tmp_path / "pebble", port) as authority:
        ours = by_acme(tmp_path, authority, clock)
        assert ours.told().kind == "self-made"
        async with serving(hello, https=ours, plain_port=port):
            await ours.look()
        assert ours.told().kind == "acme"
        account = (folder / ACCOUNT).read_bytes()
        more = by_acme(tmp_path, authority, clock, NAME, OTHER)
        assert more.told().names == NAME
        async with serving(hello, https=more, plain_port=port):
            await more.look()
        assert more.told().names == f"{NAME}, {OTHER}"
        assert (folder / ACCOUNT).read_bytes() == account


def test_another_question_is_not_kept_waiting_by_the_failures_of_the_first():
    tries = Tries().failed("a", 1_000.0).failed("a", 2_000.0)
    assert tries.again_at("a") == 2_000.0 + 2 * FIRST_AGAIN_S
    assert tries.again_at("b") == 0.0
    assert tries.failed("b", 3_000.0).failures == 1
    assert msgspec.json.decode(msgspec.json.encode(tries), type=Tries) == tries


@given(st.integers(1, 10_000), st.floats(0, 1e10))
def test_the_pause_grows_and_has_an_end(failures, at):
    tries, next_ = Tries("a", failures, at), Tries("a", failures + 1, at)
    assert at + FIRST_AGAIN_S <= tries.again_at("a") <= next_.again_at("a") <= at + MOST_AGAIN_S


def test_it_is_renewed_at_two_thirds_or_when_the_authority_says():
    assert renewed_at(0, 90 * DAY_S) == pytest.approx(60 * DAY_S)
    assert renewed_at(0, 90 * DAY_S, 20 * DAY_S) == 20 * DAY_S
    assert renewed_at(0, 90 * DAY_S, 95 * DAY_S) == pytest.approx(81 * DAY_S)


async def test_a_folder_that_cannot_be_written_does_not_have_the_authority_asked_again_and_again(tmp_path, caplog):
    (tmp_path / "acme").write_text("in the way")
    ours = Https(Settings(data=tmp_path, http=Http(tls="acme", acme_domains=(NAME,), acme_directory="https://127.0.0.1:9/dir")))
    ours.start()
    for _ in range(2):
        await ours.look()
        assert ours.figures()["fernamt_acme_failures_total"] == 1
    assert ours.told().trouble is not None
    assert "known until a restart only" in caplog.text
    assert "Traceback" not in caplog.text


async def test_a_fault_of_the_library_does_not_have_the_authority_asked_again_and_again(tmp_path, monkeypatch):
    def break_down(*_: object) -> None:
        raise AttributeError("ours")

    monkeypatch.setattr("api.https.authority.obtain", break_down)
    ours = Https(Settings(data=tmp_path, http=Http(tls="acme", acme_domains=(NAME,), acme_directory="https://127.0.0.1:9/dir")))
    ours.start()
    for _ in range(2):
        await ours.look()
        assert ours.figures()["fernamt_acme_failures_total"] == 1
    assert ours.told().trouble == "AttributeError: ours"


async def test_what_the_authority_suggests_is_heeded_and_not_asked_for_at_each_look(tmp_path, monkeypatch):
    """RFC 9773 §4.2."""
    folder = tmp_path / "acme"
    folder.mkdir()
    Authority(tmp_path).issue(NAME, days=80).rename(folder / "certificate.pem")
    clock, questions = Clock(), list[float]()

    def suggests(*_: object) -> tuple[float, float]:
        questions.append(clock())
        return clock() + 20 * DAY_S, clock() + DAY_S

    monkeypatch.setattr("api.https.authority.suggested", suggests)
    ours = Https(Settings(data=tmp_path, http=Http(tls="acme", acme_domains=(NAME,), acme_directory="https://127.0.0.1:9/dir")), clock)
    ours.start()
    assert ours.keeper is not None
    for _ in range(2):
        await ours.look()
    assert len(questions) == 1
    assert ours.keeper.next_at == pytest.approx(clock() + 20 * DAY_S, abs=60)
    clock.ahead = DAY_S + 60
    await ours.look()
    assert len(questions) == 2
    assert ours.keeper.next_at == pytest.approx(clock() + 19 * DAY_S, abs=120)
    clock.ahead = 20 * DAY_S + 120
    await ours.look()
    assert ours.figures()["fernamt_acme_failures_total"] == 1


async def test_a_stop_does_not_wait_for_the_authority(tmp_path):
    """One that takes the connection and says nothing."""
    held: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    directory = f"https://127.0.0.1:{silent.sockets[0].getsockname()[1]}/dir"
    ours = Https(Settings(data=tmp_path, http=Http(tls="acme", acme_domains=(NAME,), acme_directory=directory)))
    ours.start()
    async with silent:
        keeping = asyncio.create_task(ours.keep())
        while not held:
            await asyncio.sleep(0.01)
        keeping.cancel()
        async with asyncio.timeout(5):
            await asyncio.gather(keeping, return_exceptions=True)
        for writer in held:
            writer.close()
            await writer.wait_closed()
