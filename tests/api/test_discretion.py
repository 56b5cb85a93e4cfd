"""What is printed of settings, requests and database errors shows no secret: they end in logs and tracebacks."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError

from api.config import Settings, SettingsError
from api.db import make_engine
from api.demo import Demo
from api.errors import _constraint
from api.identity.schemas import LoginGiven, UserGiven
from api.telephony_setup import schemas
from load.records import AgentAccount

SECRET = "s3cr3t-0815-s3cr3t"


def test_settings_are_printed_without_passwords_and_database_addresses() -> None:
    environ = {
        "FERNAMT_OPERATOR__PASSWORD": SECRET,
        "FERNAMT_DATABASE__CONTROL": f"postgresql+asyncpg://fernamt:{SECRET}@db/fernamt",
        "FERNAMT_DATABASE__TENANT_URL": f"postgresql+asyncpg://fernamt:{SECRET}@db/fernamt_{{tenant}}",
    }
    settings = Settings.load(None, environ)
    assert SECRET in str(settings.database.control)
    assert SECRET not in repr(settings) + str(settings) + repr(settings.database)


@pytest.mark.parametrize(
    "environ",
    [
        {"FERNAMT_DATABASE__CONTROL": f"oracle://fernamt:{SECRET}@db/fernamt"},
        {"FERNAMT_DATABASE__TENANT_URL": f"postgresql+asyncpg://fernamt:{SECRET}@db/fernamt"},
        {"FERNAMT_OPERATOR": f"{{'password': '{SECRET}'}}"},
    ],
)
def test_wrong_setting_is_named_without_the_secret_in_it(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as wrong:
        Settings.load(None, environ)
    assert wrong.value.problems
    assert SECRET not in str(wrong.value)


@pytest.mark.parametrize(
    "given",
    [
        LoginGiven(tenant="demo", username="anna", password=SECRET),
        UserGiven.model_validate({"id": "anna", "name": "Anna", "role": "agent", "password": SECRET}),
        schemas.TrunkRegistration(registrar="carrier.example", username="u", password=SECRET),
        AgentAccount(agent="anna", aor="sip:a@b", username="anna", password=SECRET, token=SECRET),
        Demo("demo", {"anna": SECRET}, {"demo-anna": SECRET}, "fernamt"),
    ],
)
def test_object_with_a_password_is_printed_without_it(given: object) -> None:
    assert SECRET not in repr(given) + str(given)


def test_request_that_does_not_fit_is_told_without_what_was_in_it() -> None:
    with pytest.raises(ValidationError) as wrong:
        LoginGiven.model_validate({"tenant": "demo", "username": "anna", "password": [SECRET], "pin": SECRET})
    assert SECRET not in str(wrong.value)


async def test_error_of_a_database_shows_no_value_of_the_statement(tmp_path: Path) -> None:
    engine = make_engine(make_url(f"sqlite+aiosqlite:///{tmp_path / 'x.sqlite'}"), 1)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE one (hash VARCHAR(99) PRIMARY KEY)"))
            await connection.execute(text("INSERT INTO one VALUES (:hash)"), {"hash": SECRET})
        with pytest.raises(IntegrityError) as refused:
            async with engine.begin() as connection:
                await connection.execute(text("INSERT INTO one VALUES (:hash)"), {"hash": SECRET})
    finally:
        await engine.dispose()
    assert "UNIQUE constraint failed: one.hash" in str(refused.value)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (f'duplicate key value violates unique constraint "one_pkey"\nDETAIL:  Key (hash)=({SECRET}) already exists.', "one_pkey"),
        (f"(1062, \"Duplicate entry '{SECRET}' for key 'PRIMARY'\")", "for key 'PRIMARY'"),
        ("UNIQUE constraint failed: one.hash", "one.hash"),
    ],
)
def test_constraint_is_named_without_the_value_that_broke_it(said: str, told: str) -> None:
    named = _constraint(IntegrityError("INSERT", {}, sqlite3.IntegrityError(said)))
    assert told in named
    assert SECRET not in named
