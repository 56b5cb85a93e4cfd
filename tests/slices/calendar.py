"""Appointments, for the tests that walk over all slices."""

from __future__ import annotations

from typing import Any

from load.api_client import ApiClient
from tests.api.conftest import Service


def names(tenant: str) -> dict[str, str]:
    return {"appointments": f"{tenant}-appointment"}


def set_up(api: ApiClient, keys: dict[str, str], word: str) -> set[str]:
    drawn = set()
    for count in (1, 2):
        meeting = {
            "contact": keys["contacts"],
            "title": f"{word} meeting {count}",
            "starts_at": f"2030-01-0{count}T09:00:00Z",
            "ends_at": f"2030-01-0{count}T10:00:00Z",
        }
        keys["appointments"] = api.post("/api/v1/appointments", meeting)["id"]
        drawn.add(keys["appointments"])
    return drawn


def bodies(keys: dict[str, str]) -> dict[str, Any]:
    times = {"starts_at": "2030-01-01T09:00:00Z", "ends_at": "2030-01-01T10:00:00Z"}
    return {"AppointmentGiven": {"contact": keys["contacts"], "title": "Taken", **times}}


async def things(service: Service, made: dict[str, str]) -> dict[str, str]:
    times = {"starts_at": "2026-03-03T09:00:00Z", "ends_at": "2026-03-03T10:00:00Z"}
    return {"appointment": (await service.made("appointments", {"contact": made["contact"], "title": "Callback", **times}))["id"]}
