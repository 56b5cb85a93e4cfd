"""Tariffs of a running tenant: a version that is known already is not read again when another one comes."""

import json
import threading

import msgspec
import pytest

from acd.core.ids import TrunkId
from billing_cdr import book as book_reading
from billing_cdr.tariff import parse_json
from tests.acd.voice import TENANT, running, setup


def plan(version: str) -> bytes:
    return json.dumps(
        {
            "id": "acme",
            "version": version,
            "currency": "EUR",
            "valid_from": "2026-01-01T00:00:00+01:00",
            "vat_rate": "0.19",
            "vat_included": False,
            "rate": [{"prefix": "49", "name": "Germany", "class": "geographic", "per_minute": "0.01"}],
        }
    ).encode()


@pytest.mark.slow
async def test_only_new_versions_are_read(tmp_path, monkeypatch):
    read = []

    def noted(document):
        assert threading.current_thread() is not threading.main_thread(), "ten thousand rates are a sixth of a second of every call"
        read.append(document)
        return parse_json(document)

    monkeypatch.setattr(book_reading, "parse_json", noted)
    first = msgspec.structs.replace(setup(), plans=(plan("1"), plan("2")), trunk_plans={TrunkId("carrier"): (plan("own"),)})
    async with running(tmp_path, first) as service:
        assert read == [plan("1"), plan("2"), plan("own")]
        read.clear()
        await service.voice.configure(msgspec.structs.replace(first, plans=(plan("2"), plan("3"), plan("1"))))
        assert read == [plan("3")]
        book = service.voice._plans[TENANT]
        assert [one.version for one in book.tenants[TENANT]] == ["2", "3", "1"]
        assert [one.version for one in book.trunks[(str(TENANT), "carrier")]] == ["own"]
        read.clear()
        await service.voice.configure(msgspec.structs.replace(first, plans=(), trunk_plans={}))
        await service.voice.configure(first)
        assert read == [plan("1"), plan("2"), plan("own")]
