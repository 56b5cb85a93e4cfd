"""Pebble, an authority that speaks ACME, by the makers of Let's Encrypt's; and its name service, where every name leads to 127.0.0.1."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.certificates import Authority
from tests.ports import HOST, free_port

BINARIES = ("pebble", "pebble-challtestsrv")


def needs_pebble() -> None:
    """Skip by name what cannot run here; in CI nothing is."""
    missing = [name for name in BINARIES if shutil.which(name) is None]
    if missing and os.environ.get("CI") != "true":
        pytest.skip(f"{' and '.join(missing)} not found (apt-get install pebble)")
    assert not missing, f"{missing} not found"


@dataclass(frozen=True, slots=True)
class Pebble:
    directory: str
    management: str
    authority: Authority
    """Of the server's own certificate; what it issues leads to another root."""

    async def root(self, folder: Path) -> Path:
        """The root of what it issues, in PEM."""
        async with httpx.AsyncClient(verify=ssl.create_default_context(cafile=self.authority.file)) as client:
            path = folder / "root.pem"
            path.write_text((await client.get(f"{self.management}/roots/0")).text)
        return path


@contextlib.asynccontextmanager
async def pebble(folder: Path, http_port: int, **environment: str) -> AsyncIterator[Pebble]:
    """Run one.

    Args:
        http_port: where it looks for the answers to challenges, in place of port 80.
        environment: what it is told else (`PEBBLE_…`).
    """
    folder.mkdir()  # noqa: ASYNC240 - a moment, in a test
    authority, dns, listening, management = Authority(folder, "of_pebble"), free_port(), free_port(), free_port()
    authority.issue(HOST, key_file="key.pem")
    settings = {
        "listenAddress": f"{HOST}:{listening}",
        "managementListenAddress": f"{HOST}:{management}",
        "certificate": str(folder / "server.pem"),
        "privateKey": str(folder / "key.pem"),
        "httpPort": http_port,
        "tlsPort": free_port(),
        "ocspResponderURL": "",
        "externalAccountBindingRequired": False,
    }
    (folder / "pebble.json").write_text(json.dumps({"pebble": settings}))
    usual = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_AUTHZREUSE": "0"}
    names = ["-dns01", f"{HOST}:{dns}", "-http01", "", "-https01", "", "-tlsalpn01", "", "-management", f"{HOST}:{free_port()}"]
    with (folder / "log").open("wb") as log:
        commands = (
            ("pebble-challtestsrv", *names, "-defaultIPv6", ""),
            ("pebble", "-config", str(folder / "pebble.json"), "-dnsserver", f"{HOST}:{dns}"),
        )
        running = [
            await asyncio.create_subprocess_exec(*one, stdout=log, stderr=log, env={**os.environ, **usual, **environment})
            for one in commands
        ]
        try:
            for port in (listening, management):
                await _answers(port, folder / "log")
            yield Pebble(f"https://{HOST}:{listening}/dir", f"https://{HOST}:{management}", authority)
        finally:
            for process in running:
                if process.returncode is None:
                    process.terminate()
                await process.wait()


async def _answers(port: int, log: Path) -> None:
    try:
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection(HOST, port)
                    writer.close()
                    return
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"pebble did not start:\n{log.read_text()[-2000:]}") from None  # noqa: ASYNC240
