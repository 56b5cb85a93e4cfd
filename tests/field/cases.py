"""Inputs of the field that lie beside the repository on some machines; each kind has one of its own in the tests as well."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "cases" / "telephony"


def message(name: str) -> str | None:
    """A SIP message without its first line, which says what is expected; None: it is not there."""
    path = FOLDER / f"{name}.sip"
    return path.read_text("utf-8").partition("\n")[2] if path.is_file() else None


def story(name: str) -> Any:
    """The steps of a small story; None: it is not there."""
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else None
