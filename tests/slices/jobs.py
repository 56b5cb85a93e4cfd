"""Jobs, for the tests that walk over all slices: one that comes again and again."""

from __future__ import annotations

from load.api_client import ApiClient


def names(tenant: str) -> dict[str, str]:
    return {"jobs": f"{tenant}-job"}


def set_up(api: ApiClient, keys: dict[str, str], word: str) -> set[str]:
    del word
    (job,) = api.get("/api/v1/jobs?name=outbox.forget")["items"]
    keys["jobs"] = job["id"]
    return {job["id"]}
