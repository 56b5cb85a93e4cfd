"""Mails, for the tests that walk over all slices: one that nobody takes."""

from __future__ import annotations

from typing import Any

from load.api_client import ApiClient


def names(tenant: str) -> dict[str, str]:
    return {"mails": f"{tenant}-mail"}


def set_up(api: ApiClient, keys: dict[str, str], word: str) -> set[str]:
    keys["mails"] = api.post("/api/v1/mails/test", {"to": f"{word}@example.org"})["id"]
    return {keys["mails"]}


def bodies(keys: dict[str, str]) -> dict[str, Any]:
    return {"TestMailGiven": {"to": f"{keys['users']}@example.org"}}


def queries(keys: dict[str, str]) -> dict[str, str]:
    del keys
    return {"dead": "true"}
