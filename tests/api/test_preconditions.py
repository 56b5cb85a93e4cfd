"""If-Match: a change holds only for the document that its author has seen."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from api.kit.preconditions import is_matched
from tests.api.conftest import Service

TAG = '"0123"'


def test_only_strong_tags_and_the_star_match() -> None:
    assert is_matched(TAG, TAG)
    assert is_matched(f'"x", {TAG}', TAG)
    assert is_matched(" * ", TAG)
    for wrong in ('"x"', f"W/{TAG}", "0123", ""):
        assert not is_matched(wrong, TAG)


async def _documents(service: Service) -> list[tuple[str, str, dict[str, Any]]]:
    """Path, method of a change, its body."""
    contact = (await service.made("contacts", {"name": "Erika"}))["id"]
    ticket = (await service.made("tickets", {"subject": "x"}))["number"]
    body = {"contact": contact, "title": "x", "starts_at": "2026-03-03T09:00:00Z", "ends_at": "2026-03-03T10:00:00Z"}
    appointment = (await service.made("appointments", body))["id"]
    await service.made("users", {"id": "carl", "name": "Carl", "role": "billing"})
    return [
        (f"tickets/{ticket}", "PATCH", {"subject": "y"}),
        (f"appointments/{appointment}", "PUT", {**body, "title": "y"}),
        (f"contacts/{contact}", "PUT", {"name": "Erika M."}),
        ("users/carl", "PATCH", {"name": "Carla"}),
    ]


class TestDocumentsWithoutACounter:
    async def test_one_that_was_changed_meanwhile_is_not_overwritten(self, acme: Service) -> None:
        for path, method, body in await _documents(acme):
            seen = (await acme.call("GET", path)).headers["ETag"]
            first = await acme.call(method, path, json=body, headers={"If-Match": seen})
            assert first.status_code == 200, first.text
            assert first.headers["ETag"] == (await acme.call("GET", path)).headers["ETag"] != seen
            late = await acme.call(method, path, json={**body, **dict.fromkeys(body.keys() & {"name", "title", "subject"}, "z")})
            assert late.status_code == 200, "without If-Match the last one wins"
            outdated = await acme.call(method, path, json=body, headers={"If-Match": seen})
            assert (outdated.status_code, outdated.json()["type"].rpartition("/")[2].rpartition(":")[2]) == (412, "outdated")
            assert "z" in (await acme.call("GET", path)).json().values()

    async def test_nor_removed(self, acme: Service) -> None:
        for path, _, _ in await _documents(acme):
            if path.startswith("tickets"):
                continue
            assert (await acme.call("DELETE", path, headers={"If-Match": TAG})).status_code == 412
            seen = (await acme.call("GET", path)).headers["ETag"]
            assert (await acme.call("DELETE", path, headers={"If-Match": seen})).status_code == 204

    async def test_of_two_who_have_seen_the_same_one_wins(self, acme: Service) -> None:
        ticket = (await acme.made("tickets", {"subject": "x"}))["number"]
        seen = (await acme.call("GET", f"tickets/{ticket}")).headers["ETag"]
        changes = (acme.call("PATCH", f"tickets/{ticket}", json={"text": str(n)}, headers={"If-Match": seen}) for n in range(8))
        answers = await asyncio.gather(*changes)
        assert sorted(one.status_code for one in answers) == [200] + [412] * 7

    async def test_what_was_made_has_the_tag_it_is_told_with(self, acme: Service) -> None:
        made = await acme.call("POST", "contacts", json={"name": "Erika", "numbers": ["+4989123456"]})
        assert (await acme.call("GET", f"contacts/{made.json()['id']}")).headers["ETag"] == made.headers["ETag"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("PUT", "agents/anna/device", {}), ("DELETE", "api-keys/nobody", None), ("PUT", "tenants/acme/assignments", {})],
)
async def test_what_counts_no_versions_is_not_changed_under_a_condition(
    staffed: Service, method: str, path: str, body: dict[str, Any] | None
) -> None:
    """To go on without the condition would be what the client asked not to be done."""
    answer = await staffed.call(method, path, json=body, headers={"If-Match": "*"})
    assert answer.status_code == 412
