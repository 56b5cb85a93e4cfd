"""A TypeScript client made from the API's own document compiles under `strict`, and works against a running service."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import ACME, PASSWORD, Service
from tests.api.records import talk
from tests.api.serving import serving
from tests.typescript.compiler import HERE, node

CONTRACT = Path(__file__).resolve().parents[3] / "docs/api/contract.md"


async def run(*arguments: str | Path) -> tuple[int, str]:
    """Node, and nothing of the environment that could lead elsewhere."""
    process = await asyncio.create_subprocess_exec(
        node(), *map(str, arguments), cwd=HERE, env={"PATH": ""}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


@pytest.mark.slow
async def test_client_made_from_the_document_compiles_under_strict_and_what_it_may_not_do_does_not(
    service: Service, tmp_path: Path
) -> None:
    """`misuse.ts` holds what must not compile: where one of the five is untyped it would, and the compiler says so.
    What the docs show compiles too, however a project finds its modules.
    """
    document: dict[str, Any] = (await service.client.get("/openapi.json")).json()
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    (tmp_path / "package.json").write_text('{"type": "module"}')
    snippet = tmp_path / "snippet.ts"
    found = re.search(r"```ts\n(.*?)```", CONTRACT.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    snippet.write_text(f"declare const token: string, cdr: string;\n{found[1]}")
    assert await run("check.mjs", tmp_path / "openapi.json", tmp_path, snippet) == (0, "")


@pytest.mark.slow
async def test_client_logs_in_and_reads_records_prices_decisions_and_the_stream(staffed: Service) -> None:
    await talk(staffed, "acme-1", "+491711234567", 61)
    await talk(staffed, "acme-2", "+493012345678", 3601)
    await staffed.voice.register(ACME, "anna")
    await staffed.made("agents/anna/log-on", {"ready": True}, "supervisor")
    async with serving(staffed.app) as served:
        status, said = await run("client.ts", served.url, "acme", "admin", PASSWORD)
    assert status == 0, said
    told = json.loads(said.splitlines()[-1])
    assert {one["cdr"] for one in told["told"]} == {"acme-1", "acme-2"}
    for one in told["told"]:
        charge = (await staffed.got(f"cdrs/{one['cdr']}/charge"))["charge"]
        assert (one["addsUp"], one["legs"], one["talks"], one["gross"]) == (True, 2, 2, charge["totals"][0]["gross"])
        assert len(one["trace"]) == sum(len(line["steps"]) for line in charge["lines"]) > 0
    assert told["perMinute"] == (await staffed.got("quote?number=%2B491711234567"))["quote"]["per_minute"]
    assert told["first"] == f"{len((await staffed.got('live'))['agents'])} agents"
    assert [reason.partition(" | ")[0] for reason in told["why"]] == ["anna"]
