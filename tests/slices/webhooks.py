"""Webhooks, for the tests that walk over all slices: one that is not active any more, and a delivery that was given up because of that."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from load.api_client import ApiClient, ApiError


def names(tenant: str) -> dict[str, str]:
    return {"webhooks": f"{tenant}-webhook", "deliveries": f"{tenant}-delivery"}


def set_up(api: ApiClient, keys: dict[str, str], word: str) -> set[str]:
    hook = {"url": f"https://hooks.invalid/{word}", "events": ["webhook.test"], "description": f"{word} hook"}
    made = api.post("/api/v1/webhooks", hook)
    delivery = api.post(f"/api/v1/webhooks/{made['id']}/test", {})["id"]
    api.put(f"/api/v1/webhooks/{made['id']}", hook | {"active": False})
    for job in api.get("/api/v1/jobs?name=webhooks.deliver")["items"]:  # it may be tried already, and wait for its next try
        with contextlib.suppress(ApiError):
            api.post(f"/api/v1/jobs/{job['id']}/retry", {})
    while api.get(f"/api/v1/webhooks/{made['id']}/deliveries")["items"][0]["state"] != "dead":
        time.sleep(0.02)
    keys |= {"webhooks": made["id"], "deliveries": delivery}
    return {made["id"], made["secret"], delivery}


def bodies(keys: dict[str, str]) -> dict[str, Any]:
    del keys
    return {"WebhookGiven": {"url": "https://hooks.invalid/taken", "events": ["*"], "description": "Taken"}}


def queries(keys: dict[str, str]) -> dict[str, str]:
    del keys
    return {"dead": "true"}
