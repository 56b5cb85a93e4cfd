"""Encrypted files: whole or not there, read in any range, noticed when they are not what was written; nobody reads one without its row."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.config import Settings
from api.kit.blobs import BlobMissing, BlobRow, Blobs, Damaged, TooLarge
from api.kit.blobs.container import CHUNK, HEAD_OCTETS, TAG, Cipher, Cutting, chunks_of, file_size, head, offset_of, span
from api.kit.blobs.files import ORPHAN_S, SWEEP_EVERY_S
from tests.api.conftest import ACME
from tests.api.work import Work, working

SIZES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 40 * CHUNK + 7)


async def pieces(octets: bytes, size: int = 10_000) -> AsyncIterator[bytes]:
    for begin in range(0, len(octets), size):
        yield octets[begin : begin + size]


class Kept:
    """Blobs of the tenant acme."""

    def __init__(self, work: Work, folder: Path) -> None:
        self.work = work
        self.folder = folder / "tenants" / "acme" / "blobs"
        self.blobs = Blobs(Settings(data=folder), work.databases, work.jobs)
        work.jobs.begin(ACME)

    async def write(self, octets: bytes) -> BlobRow:
        written = await self.blobs.write(ACME, pieces(octets), "text/plain")
        async with self.work.databases.unit(ACME) as unit:
            return await self.blobs.keep(unit, written)

    async def read(self, blob: str, first: int = 0, last: int | None = None) -> bytes:
        async with self.work.databases.unit(ACME) as unit:
            opened = await self.blobs.open(unit.session, ACME, blob)
        return b"".join([piece async for piece in opened.read(first, last)])

    def path(self, blob: str) -> Path:
        return self.folder / blob[:2] / blob

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*/*"))


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    async with working("sqlite", tmp_path, names=("job", "blob")) as work:
        yield Kept(work, tmp_path)


class TestContainer:
    @given(sizes=st.lists(st.integers(0, 3 * CHUNK), max_size=6))
    def test_chunks_are_the_same_however_the_octets_come(self, sizes: list[int]) -> None:
        cutting, whole = Cutting(), os.urandom(sum(sizes))
        chunks, begin = [], 0
        for size in sizes:
            chunks += list(cutting.feed(whole[begin : begin + size]))
            begin += size
        chunks.append(cutting.rest())
        assert [number for number, _ in chunks] == list(range(chunks_of(len(whole))))
        assert b"".join(octets for _, octets in chunks) == whole
        assert all(len(octets) == CHUNK for _, octets in chunks[:-1])

    @given(size=st.integers(1, 10 * CHUNK), data=st.data())
    def test_a_range_names_its_chunks(self, size: int, data: st.DataObject) -> None:
        first = data.draw(st.integers(0, size - 1))
        last = data.draw(st.integers(first, size - 1))
        found = span(size, first, last)
        assert found.first * CHUNK + found.skip == first
        assert found.last * CHUNK <= last < (found.last + 1) * CHUNK
        assert found.octets == last - first + 1

    def test_a_chunk_opens_in_its_place_alone(self) -> None:
        key, prefix = os.urandom(32), os.urandom(7)
        cipher = Cipher(key, "acme", "b", prefix)
        sealed = cipher.seal(3, b"x" * CHUNK, last=False)
        assert cipher.open(3, sealed, last=False) == b"x" * CHUNK
        others = [Cipher(os.urandom(32), "acme", "b", prefix), Cipher(key, "other", "b", prefix), Cipher(key, "acme", "c", prefix)]
        others.append(Cipher(key, "acme", "b", os.urandom(7)))
        for other in others:
            with pytest.raises(Damaged):
                other.open(3, sealed, last=False)
        for number, last in ((2, False), (4, False), (3, True)):
            with pytest.raises(Damaged):
                cipher.open(number, sealed, last=last)

    def test_a_file_of_somebody_else_is_named(self) -> None:
        for beginning in (b"", b"RIFF" + bytes(12), head(bytes(7))[:-1] + b"\x01"):
            with pytest.raises(Damaged, match="no file of ours"):
                Cipher.of_file(bytes(32), "acme", "b", beginning)


class TestFiles:
    @pytest.mark.parametrize("size", SIZES)
    async def test_what_was_written_is_read_whole_and_in_ranges(self, kept: Kept, size: int) -> None:
        octets = os.urandom(size)
        row = await kept.write(octets)
        assert (row.size, row.sha256) == (size, hashlib.sha256(octets).hexdigest())
        assert await kept.read(row.id) == octets
        for first, last in ((0, 0), (size // 2, size), (CHUNK - 1, CHUNK), (size - 1, size + 10), (size + 5, None)):
            assert await kept.read(row.id, max(0, first), last) == octets[max(0, first) : size if last is None else last + 1]
        (file,) = kept.files
        assert file.stat().st_size == file_size(size)
        assert file.stat().st_mode & 0o077 == 0
        assert size < 8 or octets[:8] not in file.read_bytes()
        assert row.key.startswith("sealed:1:")

    async def test_a_large_one_takes_little_memory(self, kept: Kept) -> None:
        async def many() -> AsyncIterator[bytes]:
            for _ in range(320):
                yield bytes(100_000)

        tracemalloc.start()
        try:
            written = await kept.blobs.write(ACME, many(), "application/octet-stream")
            async with kept.work.databases.unit(ACME) as unit:
                row = await kept.blobs.keep(unit, written)
            async with kept.work.databases.unit(ACME) as unit:
                opened = await kept.blobs.open(unit.session, ACME, row.id)
            total = 0
            async for piece in opened.read():
                total += len(piece)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert total == row.size == 32_000_000
        assert peak < 10_000_000

    async def test_what_is_not_as_it_was_written_is_noticed(self, kept: Kept) -> None:
        octets = os.urandom(3 * CHUNK + 5)
        row, other = await kept.write(octets), await kept.write(octets)
        path = kept.path(row.id)
        whole = path.read_bytes()
        wide = CHUNK + TAG
        chunks = [whole[offset_of(number) : offset_of(number) + wide] for number in range(4)]
        for changed in (
            whole[:100] + bytes([whole[100] ^ 1]) + whole[101:],
            whole[:HEAD_OCTETS] + chunks[1] + chunks[0] + chunks[2] + chunks[3],
            whole[:HEAD_OCTETS] + chunks[0] + chunks[0] + chunks[2] + chunks[3],
            kept.path(other.id).read_bytes(),
            b"\x00" * len(whole),
            whole[:-1],
            whole + b"\x00",
            whole[: offset_of(3)],
            b"",
        ):
            path.write_bytes(changed)
            with pytest.raises(Damaged) as told:
                await kept.read(row.id)
            assert row.id in str(told.value)
        path.unlink()
        with pytest.raises(Damaged, match="the file is missing"):
            await kept.read(row.id)
        assert await kept.read(other.id) == octets

    async def test_nothing_is_left_of_one_that_fails(self, kept: Kept) -> None:
        async def broken() -> AsyncIterator[bytes]:
            yield b"x" * 100_000
            raise ConnectionResetError

        async def written(content: AsyncIterator[bytes], *, fails: bool) -> None:
            one = await kept.blobs.write(ACME, content, "text/plain")
            async with kept.work.databases.unit(ACME) as unit:
                await kept.blobs.keep(unit, one)
                if fails:
                    raise RuntimeError

        with pytest.raises(ConnectionResetError):
            await written(broken(), fails=False)
        with pytest.raises(RuntimeError):
            await written(pieces(b"x"), fails=True)
        assert kept.files == []

    async def test_to_delete_one_takes_its_key_and_then_its_file(self, kept: Kept) -> None:
        row = await kept.write(b"secret")
        before = kept.path(row.id).read_bytes()

        async def deleted(*, fails: bool) -> None:
            async with kept.work.databases.unit(ACME) as unit:
                await kept.blobs.delete(unit, ACME, row.id)
                if fails:
                    raise RuntimeError

        with pytest.raises(RuntimeError):
            await deleted(fails=True)
        assert await kept.read(row.id) == b"secret"
        await deleted(fails=False)
        assert kept.files == []
        kept.path(row.id).write_bytes(before)  # from a backup, say
        with pytest.raises(BlobMissing):
            await kept.read(row.id)

    async def test_a_tenant_has_only_so_much_room(self, tmp_path: Path, kept: Kept) -> None:
        del tmp_path
        kept.work.databases.quotas.set(ACME, {"blobs_mib": 1})
        await kept.write(bytes(600_000))
        with pytest.raises(TooLarge) as told:
            await kept.write(bytes(600_000))
        assert told.value.detail.startswith("Files of this tenant may take 1 MiB.")
        assert len(kept.files) == 1
        # two at once, each of which had room when it began
        first, second = [await kept.blobs.write(ACME, pieces(bytes(300_000)), "text/plain") for _ in range(2)]
        async with kept.work.databases.unit(ACME) as unit:
            await kept.blobs.keep(unit, first)
        with pytest.raises(TooLarge):
            async with kept.work.databases.unit(ACME) as unit:
                await kept.blobs.keep(unit, second)
        assert len(kept.files) == 2

    async def test_files_without_a_row_go_and_rows_without_a_file_are_told(self, kept: Kept) -> None:
        row, lost = await kept.write(b"kept"), await kept.write(b"lost")
        kept.path(lost.id).unlink()
        for name, age in (("f" * 32, ORPHAN_S), ("e" * 32 + ".new", ORPHAN_S), ("d" * 32, 0)):
            path = kept.path(name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"x")
            then = path.stat().st_mtime - age - 1
            os.utime(path, (then, then))
        await kept.work.turn(seconds=SWEEP_EVERY_S)
        assert [path.name for path in kept.files] == sorted([row.id, "d" * 32], key=lambda name: (name[:2], name))
        assert kept.blobs.figures() == {'fernamt_blobs_missing{tenant="acme"}': 1}
