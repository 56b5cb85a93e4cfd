"""Whom a take-over asks to leave, and whose sockets are in the way of an address."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from acd import data_lock
from acd.data_lock import DataLock, Doing, Holder
from acd.errors import CannotStart, DirectoryInUse
from api.commands import taking_over
from api.commands.address_holders import in_the_way, sockets_of
from api.config import Settings
from tests.ports import HOST


@contextlib.contextmanager
def no_signal() -> Iterator[None]:
    """SIGTERM to this process, which holds the lock, is a fault."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: heard.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == []


class TestWhoHoldsTheLock:
    def test_says_what_it_does(self, tmp_path: Path) -> None:
        assert data_lock.holder(tmp_path) is None
        with DataLock(tmp_path, Doing.START) as lock:
            found = data_lock.holder(tmp_path)
            assert found is not None
            assert (found.pid, found.host, found.doing) == (os.getpid(), socket.gethostname(), Doing.START)
            lock.tell(Doing.SERVICE)
            assert data_lock.holder(tmp_path) == Holder(found.pid, found.host, found.since, Doing.SERVICE)
        assert data_lock.holder(tmp_path) is None

    def test_of_an_older_release_is_a_service(self, tmp_path: Path) -> None:
        with DataLock(tmp_path) as lock:
            lock.path.write_text('{"pid": 17, "host": "there", "since": "2026-01-01 00:00:00 UTC"}')
            assert data_lock.holder(tmp_path) == Holder(17, "there", "2026-01-01 00:00:00 UTC", Doing.SERVICE)

    def test_does_not_say_who_it_is(self, tmp_path: Path) -> None:
        with DataLock(tmp_path) as lock:
            lock.path.write_text("[]")
            with pytest.raises(DirectoryInUse, match="does not say by whom"):
                data_lock.holder(tmp_path)


class TestAsking:
    @pytest.mark.parametrize(
        ("doing", "sentence"), [(Doing.START, "another start is under way"), (Doing.COMMAND, "a command works on the data directory")]
    )
    async def test_only_a_service_is_asked(self, tmp_path: Path, doing: Doing, sentence: str) -> None:
        with DataLock(tmp_path, doing), no_signal(), pytest.raises(CannotStart, match=f"{sentence}.*; process {os.getpid()}, .*left alone"):
            await taking_over.predecessor(Settings(data=tmp_path), (), lambda: None)

    async def test_nobody_on_another_machine_is_asked(self, tmp_path: Path) -> None:
        with DataLock(tmp_path, Doing.SERVICE) as lock, no_signal():
            lock.path.write_text(lock.path.read_text().replace(socket.gethostname(), "elsewhere"))
            with pytest.raises(CannotStart, match="in use on elsewhere: end it there"):
                await taking_over.predecessor(Settings(data=tmp_path), (), lambda: None)

    async def test_who_has_gone_by_itself_is_followed_and_who_came_first_is_left_alone(self, tmp_path: Path) -> None:
        with DataLock(tmp_path, Doing.SERVICE):
            found = data_lock.holder(tmp_path)
        assert found is not None
        with no_signal():
            with await taking_over.take_over(tmp_path, found):
                pass
            with DataLock(tmp_path, Doing.SERVICE), pytest.raises(CannotStart, match="another start has taken over from process 1: "):
                await taking_over.take_over(tmp_path, replace(found, pid=1))
            assert await taking_over.predecessor(Settings(data=tmp_path), (), lambda: None) is None

    async def test_who_does_not_leave_in_time_is_told_of(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(taking_over, "LEAVES_WITHIN_S", 0.0)
        with DataLock(tmp_path, Doing.SERVICE):
            found = data_lock.holder(tmp_path)
            assert found is not None
            with pytest.raises(CannotStart, match="was asked to leave, and has not within 0 s"):
                await taking_over._when_it_has_left(tmp_path, found)

    async def test_another_one_that_was_faster_is_told_of(self, tmp_path: Path) -> None:
        with DataLock(tmp_path, Doing.START):
            left = Holder(1, socket.gethostname(), "", Doing.SERVICE)
            with pytest.raises(CannotStart, match=f"another start has taken over from process 1: process {os.getpid()}"):
                await asyncio.wait_for(taking_over._when_it_has_left(tmp_path, left), 10)


UDP, TCP = socket.SOCK_DGRAM, socket.SOCK_STREAM


@contextlib.contextmanager
def bound(kind: socket.SocketKind, host: str) -> Iterator[tuple[int, int]]:
    """A server's socket: its port and inode."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as one:
        one.bind((host, 0))
        if kind is TCP:
            one.listen()
        yield one.getsockname()[1], os.fstat(one.fileno()).st_ino


class TestHolders:
    @pytest.mark.parametrize("kind", [UDP, TCP])
    @pytest.mark.parametrize(
        ("there", "wanted"),
        [(HOST, HOST), ("0.0.0.0", HOST), (HOST, "0.0.0.0"), ("::1", "::1"), ("::", "::1"), ("::", HOST), (HOST, "localhost")],
    )
    def test_a_socket_in_the_way_is_found_and_is_ours(self, kind: socket.SocketKind, there: str, wanted: str) -> None:
        with bound(kind, there) as (port, inode):
            assert in_the_way(kind, wanted, port) == {inode}
            assert inode in (sockets_of(os.getpid()) or ())

    def test_others_are_not_in_the_way(self) -> None:
        with bound(UDP, HOST) as (port, _):
            assert in_the_way(TCP, HOST, port) == set()
            assert in_the_way(UDP, "127.0.0.2", port) == set()
            assert in_the_way(UDP, "::1", port) == set()

    def test_what_cannot_be_seen_is_not_known(self, tmp_path: Path) -> None:
        assert in_the_way(UDP, HOST, 5060, tmp_path) == set()
        assert sockets_of(1, tmp_path) is None

    def test_a_connection_keeps_nobody_from_listening(self) -> None:
        with socket.create_server((HOST, 0)) as server, socket.create_connection(server.getsockname()), server.accept()[0] as accepted:
            assert in_the_way(TCP, HOST, accepted.getsockname()[1]) == {os.fstat(server.fileno()).st_ino}
