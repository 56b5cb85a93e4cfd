"""A service of its own on free ports of 127.0.0.1 in a temporary directory: `fernamt run` as a child, ended by its id (house)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from acd.networks import EVERYTHING, LOOPBACK
from load.api_client import ApiClient, ApiError

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 8.0
POLL_S = 0.05
RTP_PORTS = 200


class InstanceFailed(Exception):
    """It did not come up; the text holds the end of its log."""


class PrivateInstance:
    """A running service: where it is, and the operator's way in."""

    def __init__(self, environment: dict[str, str], directory: Path, sip_port: int, http_port: int, operator_password: str) -> None:
        self._environment = environment
        self.directory = directory
        self.sip = ("127.0.0.1", sip_port)
        self.url = f"http://127.0.0.1:{http_port}"
        self.operator_password = operator_password
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        ends_with_us = [sys.executable, "-m", "load.parent", str(os.getpid())]
        command = [*ends_with_us, sys.executable, "-m", "api", "run"]
        with (self.directory / "log").open("ab") as log:
            return subprocess.Popen(command, env=self._environment, stdout=log, stderr=subprocess.STDOUT)  # noqa: S603 - our own modules

    @property
    def pid(self) -> int:
        """The main process."""
        return self._process.pid

    def log_tail(self, lines: int = 15) -> str:
        """The end of what it wrote."""
        return "\n".join((self.directory / "log").read_text(errors="replace").splitlines()[-lines:])

    def operator(self) -> ApiClient:
        """A client logged in as the platform's operator."""
        api = ApiClient(self.url)
        api.log_in("operator", self.operator_password)
        return api

    async def until_ready(self) -> None:
        """Wait for /readyz.

        Raises: InstanceFailed: it ended, or took too long.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START_TIMEOUT_S
        with ApiClient(self.url, timeout_s=2.0) as api:
            while True:
                if self._process.poll() is not None:
                    raise InstanceFailed(f"the service ended with status {self._process.returncode}:\n{self.log_tail()}")
                with contextlib.suppress(ApiError):
                    await asyncio.to_thread(api.request, "GET", "/readyz")
                    return
                if loop.time() > deadline:
                    raise InstanceFailed(f"the service was not ready within {START_TIMEOUT_S:.0f} s:\n{self.log_tail()}")
                await asyncio.sleep(POLL_S)

    async def restart(self) -> None:
        """Stop in order, start again on the same ports and data, wait until it is ready.

        Raises: InstanceFailed: it did not end with status 0, or did not come up again.
        """
        if status := await self.stop():
            raise InstanceFailed(f"the service ended with status {status}:\n{self.log_tail()}")
        self._process = self._start()
        await self.until_ready()

    async def stop(self) -> int:
        """SIGTERM, and SIGKILL for one that does not hear it; the exit status."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.to_thread(self._process.wait, STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                await asyncio.to_thread(self._process.wait, STOP_TIMEOUT_S)
        return self._process.returncode


@contextlib.asynccontextmanager
async def private_instance(settings: dict[str, str] | None = None, rtp_ports: int = RTP_PORTS) -> AsyncIterator[PrivateInstance]:
    """Start, wait until it is ready, stop, remove its directory.

    Args:
        settings: more `FERNAMT_*` variables.
        rtp_ports: how many; four a bridged call.
    Raises: InstanceFailed
    """
    with tempfile.TemporaryDirectory(prefix="fernamt-check-") as folder:
        directory = Path(folder)
        empty = directory / "fernamt.toml"
        empty.touch()
        sip_port, http_port, first_rtp = free_port(), free_port(), free_block(rtp_ports)
        password = secrets.token_urlsafe(18)
        # Nothing of the surroundings may leak in: neither variables nor a fernamt.toml that happens to lie here.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FERNAMT_")}
        environment |= {
            "FERNAMT_CONFIG": str(empty),
            "FERNAMT_SIP__LISTEN": f"127.0.0.1:{sip_port}",
            "FERNAMT_HTTP__HOST": "127.0.0.1",
            "FERNAMT_HTTP__PORT": str(http_port),
            "FERNAMT_MEDIA__FIRST_PORT": str(first_rtp),
            "FERNAMT_MEDIA__LAST_PORT": str(first_rtp + rtp_ports - 2),
            "FERNAMT_MEDIA__WORKERS": "1",
            "FERNAMT_DATA": str(directory / "data"),
            "FERNAMT_OPERATOR__PASSWORD": password,
            "FERNAMT_LOG_LEVEL": "warning",
            "FERNAMT_REACH__ALLOW": ",".join(EVERYTHING + LOOPBACK),  # phones and carriers of a check are on this machine
            **(settings or {}),
        }
        instance = PrivateInstance(environment, directory, sip_port, http_port, password)
        try:
            await instance.until_ready()
            yield instance
        finally:
            await instance.stop()


def free_port() -> int:
    """A port that is free for TCP and UDP on 127.0.0.1 at this moment."""
    for _ in range(100):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port = int(tcp.getsockname()[1])
            with contextlib.suppress(OSError):
                udp.bind(("127.0.0.1", port))
                return port
    raise OSError("no port is free for TCP and UDP alike")


def free_block(count: int) -> int:
    """The first port of a block of free UDP ports below the range the kernel gives away by itself (32768 on), beginning even."""
    for _ in range(100):
        first = 10_000 + 2 * secrets.randbelow((32_000 - count - 10_000) // 2)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + min(count, 64)):
                probe = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                probe.bind(("127.0.0.1", port))
            return first
    raise OSError(f"no block of {count} free UDP ports")
