"""The log: its two forms, what no line ever holds, and which loggers speak."""

import contextlib
import json
import logging
import sys

import pytest

from acd.logs import ROOMS, Logging, set_up, without_secrets
from acd.service import Device, TrunkRegistration
from media.log_lines import LineFormatter
from tests.acd.voice import device

SECRET = "s3cr3t-0815"


def record(message, *args, **more):
    made = logging.LogRecord("acd.calls", logging.INFO, "", 0, message, args, None)
    made.__dict__.update(more)
    return made


@contextlib.contextmanager
def untouched_logging():
    """A log nobody has set up; the loggers are as they were afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ROOMS}
    root.handlers[:] = []
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, one in levels.items():
            logging.getLogger(name).setLevel(one)


@pytest.mark.parametrize(
    "text",
    [
        f"GET /api/v1/events?x=1&token={SECRET}&y=2",
        f"postgresql+asyncpg://fernamt:{SECRET}@db.example/fernamt",
        f"amqp://u:a{SECRET}b@h",
        f"User(name='anna', password='{SECRET}')",
        f'{{"password": "{SECRET}", "name": "anna"}}',
        f"{{'device_password': '{SECRET}'}}",
        f"password_hash='{SECRET}'",
        f"Device(ha1_md5='{SECRET}', ha1_sha256=\"{SECRET}\")",
        f"Authorization: Bearer {SECRET}",
        f"bearer {SECRET}",
        f'Authorization: Digest response="{SECRET}"',
        f'password="it\\"s {SECRET}"',
    ],
)
def test_secret_in_a_line_is_not_written(text):
    told = without_secrets(text)
    assert SECRET not in told
    assert "***" in told


@pytest.mark.parametrize(
    "text",
    [
        "database postgresql://db.example:5432/fernamt is away",
        "> call=0-1 tenant=demo event=begin from=*010 to=600 sip_call_id=a@b",
        "http://localhost:8080/ and sip:600@127.0.0.1:5060;transport=tcp",
        "2026-11-28 09:00:00,123 tokens are told to nobody: 'x'",
    ],
)
def test_line_without_a_secret_is_written_as_it_is(text):
    assert without_secrets(text) == text


def test_text_has_what_belongs_to_a_line_indented_below_it():
    """Nothing a stranger sends can look like a line of ours."""
    line = LineFormatter().format(record("< %s", "OPTIONS\r\n2026-11-28 09:00:00,000 INFO acd.calls forged\x1b[2J"))
    first, second = line.split("\n")
    assert first.endswith("acd.calls < OPTIONS")
    assert second == "    2026-11-28 09:00:00,000 INFO acd.calls forged\\x1b[2J"


def test_json_is_one_object_a_line_with_the_fields_of_the_line():
    line = LineFormatter("json", without_secrets).format(
        record("x call=1", call="1", tenant="demo", talk_s=1.5, note=f"password='{SECRET}'")
    )
    assert "\n" not in line
    told = json.loads(line)
    assert told["at"].endswith("Z")
    assert {name: told[name] for name in ("level", "logger", "message", "call", "tenant", "talk_s", "note")} == {
        "level": "INFO",
        "logger": "acd.calls",
        "message": "x call=1",
        "call": "1",
        "tenant": "demo",
        "talk_s": 1.5,
        "note": "password='***'",
    }


@pytest.mark.parametrize("form", ["text", "json"])
def test_traceback_is_told_without_the_secret_in_its_error(form):
    try:
        raise ValueError(f"cannot connect to postgresql://u:{SECRET}@h/d")
    except ValueError:
        made = record("! failed")
        made.exc_info = sys.exc_info()
    line = LineFormatter(form, without_secrets).format(made)
    assert "ValueError: cannot connect to postgresql://u:***@h/d" in line
    assert SECRET not in line


def test_at_debug_our_rooms_speak_and_libraries_do_not():
    libraries = ("aiosqlite", "sqlalchemy.engine", "alembic.runtime.migration", "asyncio", "uvicorn.error", "asyncpg", "httpx")
    with untouched_logging():
        set_up(Logging(level="DEBUG"))
        assert logging.getLogger("sip.trace").isEnabledFor(logging.DEBUG)
        assert logging.getLogger("acd.calls").isEnabledFor(logging.DEBUG)
        assert not any(logging.getLogger(library).isEnabledFor(logging.INFO) for library in libraries)


def test_at_error_nobody_warns():
    with untouched_logging():
        set_up(Logging(level="error"))
        assert not logging.getLogger("acd").isEnabledFor(logging.WARNING)
        assert not logging.getLogger("asyncio").isEnabledFor(logging.WARNING)


def test_log_that_somebody_else_has_set_up_stays():
    with untouched_logging():
        other = logging.NullHandler()
        logging.getLogger().addHandler(other)
        set_up(Logging(level="DEBUG"))
        assert logging.getLogger().handlers == [other]


def test_printed_structs_of_the_house_show_neither_password_nor_digest():
    line = TrunkRegistration(registrar="carrier.example", username="u", password=SECRET)
    phone: Device = device("anna")
    assert SECRET not in repr(line)
    assert phone.ha1_md5 not in repr(phone)
    assert phone.ha1_sha256 not in repr(phone)
    assert phone.username in repr(phone)
