"""Slugs, numbers, columns, units of work: what every slice stands on."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import text
from sqlalchemy.exc import StatementError

from api.crm.models import Contact
from api.kit.ids import SLUG, drawn_password, slug
from api.kit.numbers import E164, Callable_, DialledNow, e164
from billing_cdr.numbers import read
from tests.api.conftest import ACME, Service
from tests.spellings import SPELLINGS

WEB = Path(__file__).parents[2] / "api" / "web"


class TestSlug:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [("Müller & Söhne", "mueller-soehne"), ("  Support (1st) ", "support-1st"), ("Café Été", "cafe-ete"), ("漢字", ""), ("ß", "ss")],
    )
    def test_german_and_other_letters(self, text: str, expected: str) -> None:
        assert slug(text) == expected

    @given(st.text(max_size=200))
    def test_any_text_gives_an_id_or_nothing(self, text: str) -> None:
        found = slug(text)
        assert found == "" or re.fullmatch(SLUG, found)

    def test_passwords_have_no_letters_that_are_taken_for_others(self) -> None:
        assert not set(drawn_password(500)) & set("l1o0IO")


class TestNumbers:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("089 / 123 45-67", "+49891234567"),
            ("0049 89 1234567", "+49891234567"),
            ("+43 1 2052010", "+4312052010"),
            ("(0171) 1234567", "+491711234567"),
            ("12", None),
            ("600", None),
            ("110", None),
            ("+4989123456712345678", None),
        ],
    )
    def test_e164(self, text: str, expected: str | None) -> None:
        assert e164(text) == expected

    @pytest.mark.parametrize(("written", "number"), SPELLINGS)
    def test_what_is_typed_is_kept_as_the_corpus_says_or_refused(self, written: str, number: str) -> None:
        for kind, kept in ((Callable_, number), (DialledNow, number), (E164, number if number.startswith("+") else "")):
            try:
                found = TypeAdapter(kind).validate_python(written)
            except ValidationError:
                found = ""
            if found != kept:
                more = read(written)
                assert (kind, found) == (Callable_, ""), written
                assert more.extension or more.post_dial, written

    @pytest.mark.parametrize("written", ["+12125551234 ext. 9", "+4930555101,,45#"])
    def test_a_rule_that_would_lose_digits_is_refused(self, written: str) -> None:
        with pytest.raises(ValidationError, match="digits to be dialled in the call"):
            TypeAdapter(Callable_).validate_python(written)

    def test_what_is_stored_is_told_as_it_is(self) -> None:
        assert TypeAdapter(Callable_).validate_python("+49491711234567", context={"stored": True}) == "+49491711234567"

    def test_short_numbers_stay_as_they_are_where_they_may_stand(self) -> None:
        assert TypeAdapter(Callable_).validate_python("600") == "600"
        with pytest.raises(ValidationError):
            TypeAdapter(E164).validate_python("600*")

    @given(st.text(alphabet="0123456789+()/ .*#-", min_size=2, max_size=32))
    def test_whatever_is_typed_is_a_number_or_an_error(self, text: str) -> None:
        try:
            found = TypeAdapter(E164).validate_python(text)
        except ValidationError:
            return
        assert re.fullmatch(r"\+[1-9][0-9]{3,14}", found)


class TestUnits:
    async def test_naive_time_never_reaches_a_database(self, acme: Service) -> None:
        naive = datetime(2026, 3, 2, tzinfo=UTC).replace(tzinfo=None)
        with pytest.raises(StatementError, match="has no zone"):
            async with acme.databases.unit(ACME) as unit:
                unit.session.add(Contact(id="x", name="x", company=None, email=None, note="", created_at=naive, changed_at=naive))

    async def test_then_runs_after_the_commit_and_otherwise_after_a_rollback(self, acme: Service) -> None:
        seen: list[str] = []

        async def note(word: str) -> None:
            async with acme.databases.tenant(ACME).connect() as connection:
                count = await connection.scalar(text("SELECT count(*) FROM contact"))
            seen.append(f"{word} {count}")

        now = acme.clock()
        async with acme.databases.unit(ACME) as unit:
            unit.session.add(Contact(id="x", name="x", company=None, email=None, note="", created_at=now, changed_at=now))
            unit.then(lambda: note("then"))
            unit.otherwise(lambda: note("otherwise"))
        with pytest.raises(RuntimeError):
            await _fail(acme, note)
        assert seen == ["then 1", "otherwise 1"]


async def _fail(service: Service, note: Callable[[str], Awaitable[None]]) -> None:
    now = service.clock()
    async with service.databases.unit(ACME) as unit:
        unit.session.add(Contact(id="y", name="y", company=None, email=None, note="", created_at=now, changed_at=now))
        await unit.session.flush()
        unit.then(lambda: note("then"))
        unit.otherwise(lambda: note("otherwise"))
        raise RuntimeError


class TestWords:
    def test_page_says_everything_in_both_languages(self) -> None:
        words = (WEB / "words.js").read_text(encoding="utf-8")
        german, english = words.split("  en: {")
        keys = [set(re.findall(r"\b(\w+): [\"{]", part)) for part in (german.split("  de: {")[1], english)]
        assert keys[0] == keys[1]
        page = (WEB / "index.html").read_text(encoding="utf-8")
        script = "".join((WEB / part).read_text(encoding="utf-8") for part in ("board.js", "desk.js"))
        used = set(re.findall(r'data-word="(\w+)"', page)) | set(re.findall(r'\bword\("(\w+)"\)', script))
        used |= set(re.findall(r'^\s+\["(\w+)", \(', script, re.MULTILINE))
        assert used <= keys[0]
        assert len(used) > 30
