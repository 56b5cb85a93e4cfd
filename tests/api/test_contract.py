"""The API against its own OpenAPI document: whatever is sent by whomever, nothing breaks and every answer is declared (schemathesis).

In the suite each operation gets a handful of requests by the role it is for and two by others. `make storm` sets FERNAMT_TEST_CONTRACT=all:
every boundary of every schema, and every role on every operation.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import uvicorn
from fastapi import FastAPI
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from api.app import create_app
from api.config import Settings
from api.edge.protocol import Patience, ServerConfig
from api.kit.permissions import Role
from api.shared import shared_in
from api.slices import SLICES
from tests.api.conftest import CHEAP, Clock, Prepared, _settings, started
from tests.api.voice import EngineVoice
from tests.schemas import closed

IS_WHOLE = os.environ.get("FERNAMT_TEST_CONTRACT") == "all"
ROLES = ("operator", "admin", "supervisor", "billing", "anna")
OTHERS = 2
EXAMPLES = 40 if IS_WHOLE else 5 + OTHERS
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
    allow_header_conformance,
]
NOT_FOR_FUZZING = {"logOut", "changePassword", "closeTenant", "createTenant"}
"""They would end the tokens we test with, or take a migration each; each has tests of its own."""


class Running:
    """The application behind a real socket, in a thread with a loop of its own."""

    def __init__(self, application: FastAPI, prepared: Prepared, data: Path) -> None:
        shutil.copytree(prepared.data, data)
        self._application, self._data = application, data
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._server: uvicorn.Server | None = None

    async def _serve(self) -> None:
        async with started(_settings(self._data), Clock(), self._application):
            config = ServerConfig(self._application, shared_in(self._application).connections, Patience())
            self._server = uvicorn.Server(config)
            self._ready.set()
            await self._server.serve([self._listening])

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(20)

    def stop(self) -> None:
        assert self._server is not None
        self._server.should_exit = True
        self._thread.join(20)
        self._listening.close()


@pytest.fixture(scope="module")
def running(with_staff: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    application = create_app(_settings(Path("unused")), EngineVoice(lambda: 0.0).client)
    server = Running(application, with_staff, tmp_path_factory.mktemp("contract") / "data")
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _document() -> dict[str, Any]:
    """As the application writes it, read back from JSON, as a client would; and closed: a client lets further fields of an answer pass,
    we have to name them.
    """
    found: dict[str, Any] = json.loads(json.dumps(create_app(Settings(login=CHEAP), EngineVoice(lambda: 0.0).client).openapi()))
    found["components"]["schemas"] = closed(found["components"]["schemas"])
    return found


def _owner(operation: dict[str, Any]) -> str:
    needed = SLICES.permissions.get(operation.get("x-permission", ""))
    return "operator" if needed is not None and Role.ADMIN not in needed.roles else "admin"


schemathesis.serializer.alias("audio/wav", "application/octet-stream")
schema = schemathesis.openapi.from_dict(_document()).exclude(operation_id=sorted(NOT_FOR_FUZZING))
schema.config.phases.coverage.enabled = IS_WHOLE


OWNERS = {operation["operationId"]: _owner(operation) for some in _document()["paths"].values() for operation in some.values()}
"""Operation -> whose it is."""


class Turns:
    """Who makes the next request to an operation."""

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()

    def next(self, operation: str, owner: str) -> str:
        """In the suite two who differ from one operation to the next, then the owner; in the long form all in turn."""
        turn = self._asked[operation]
        self._asked[operation] += 1
        if IS_WHOLE:
            return ROLES[turn % len(ROLES)]
        others = [role for role in ROLES if role != owner]
        return others[(len(operation) + turn) % len(others)] if turn < OTHERS else owner


@pytest.fixture(scope="module")
def turns() -> Turns:
    return Turns()


@pytest.mark.slow
@pytest.mark.timeout(300 if not IS_WHOLE else 3600)
@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
def test_whatever_is_sent_the_answer_is_a_declared_one(case: Any, running: Running, with_staff: Prepared, turns: Turns) -> None:
    owner = OWNERS.get(case.operation.definition.raw["operationId"], "admin")
    who = turns.next(case.operation.label, owner)
    case.call_and_validate(base_url=running.url, checks=CHECKS, headers={"Authorization": f"Bearer {with_staff.tokens[who]}"})
