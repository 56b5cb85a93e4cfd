"""The data directory is nobody else's: what is open to others is shut, and what cannot be shut is said."""

import contextlib
import os
import socket
import stat
from pathlib import Path

import pytest

from acd import data_modes
from acd.data_modes import OURS, mend


def mode_of(path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def data(tmp_path):
    """A data directory as an earlier release left it under umask 022."""
    data = tmp_path / "data"
    for file in ("control.sqlite", "control.sqlite-wal", "tenants/a/journal-1.log", "tenants/a/recordings/one.wav", "tenants/a/snapshot"):
        (data / file).parent.mkdir(parents=True, exist_ok=True)
        (data / file).write_bytes(b"x")
        (data / file).chmod(0o644)
    for folder in (data, *(path for path in data.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
    return data


def test_files_are_0600_and_folders_0700_afterwards(data):
    (data / "tenants/a/snapshot").chmod(0o666)
    found = mend(data)
    assert (found.looked, found.mended, found.not_mended) == (9, 9, [])
    for path in (data, *data.rglob("*")):
        assert mode_of(path) == (0o700 if path.is_dir() else 0o600), path
    assert mend(data).mended == 0


def test_what_is_shut_already_stays_as_it_is(data):
    mend(data)
    (data / "control.sqlite").chmod(0o400)
    assert mend(data).mended == 0
    assert mode_of(data / "control.sqlite") == 0o400


def test_a_socket_is_shut_too(data):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(data / "worker-0.sock"))
        (data / "worker-0.sock").chmod(0o777)
        mend(data)
        assert mode_of(data / "worker-0.sock") == 0o600


def test_symlinks_are_not_followed(data, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    (outside / "file").write_bytes(b"x")
    (outside / "file").chmod(0o644)
    (data / "folder").symlink_to(outside)
    (data / "file").symlink_to(outside / "file")
    (data / "nowhere").symlink_to(tmp_path / "nowhere")
    mend(data)
    assert (mode_of(outside), mode_of(outside / "file")) == (0o755, 0o644)


def test_a_data_directory_behind_a_symlink_is_shut(data, tmp_path):
    (tmp_path / "link").symlink_to(data)
    assert mend(tmp_path / "link").mended == 9


def test_recordings_are_shut_by_their_folder_at_once_and_looked_at_later(data):
    found = mend(data, thorough=False)
    recordings = data / "tenants/a/recordings"
    assert found.later == [recordings]
    assert (mode_of(recordings), mode_of(recordings / "one.wav")) == (0o700, 0o644)
    assert mend(recordings).mended == 1
    assert mode_of(recordings / "one.wav") == 0o600


def test_a_look_ends_when_it_is_told(data):
    assert mend(data, is_over=lambda: True).looked == 1


def test_what_vanishes_meanwhile_is_no_trouble(data, monkeypatch):
    seen = data_modes._chmod

    def vanishing(folder, name, mode):
        if name == "snapshot":
            (data / "tenants/a/snapshot").unlink()
        return seen(folder, name, mode)

    monkeypatch.setattr(data_modes, "_chmod", vanishing)
    assert mend(data).not_mended == []


def test_a_file_system_without_modes_is_said_once_and_is_no_failure(data, monkeypatch):
    """FAT and some network shares show one mode for all, whatever one asks for."""
    monkeypatch.setattr(data_modes, "_chmod", lambda *_: "keeps its mode whatever is done")
    monkeypatch.setattr(data_modes, "keeps_modes", lambda *_: False)
    found = mend(data)
    assert (found.mended, found.not_mended, found.without_modes) == (0, [], [data])


def test_this_file_system_keeps_modes_and_the_trial_leaves_nothing(data):
    descriptor = os.open(data, os.O_RDONLY)
    try:
        before = sorted(data.iterdir())
        assert data_modes.keeps_modes(descriptor, ".")
        assert sorted(data.iterdir()) == before
    finally:
        os.close(descriptor)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of others")
NOBODY = 65534


@contextlib.contextmanager
def as_nobody(data, monkeypatch):
    """Work in the folder above as a user without rights; it is reached from where we stand, since the folders above are root's."""
    monkeypatch.chdir(data.parent)
    data.parent.chmod(0o711)
    os.seteuid(NOBODY)
    try:
        yield Path(data.name)
    finally:
        os.seteuid(0)


@needs_root
def test_what_belongs_to_somebody_else_is_named_with_the_way_out(data, monkeypatch):
    """A backup that root copied back, mode 0644 or 0600: the one could be read by others, the other not by us."""
    for path in (data, *data.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    os.chown(data / "control.sqlite", 0, 0)
    (data / "control.sqlite-wal").chmod(0o600)
    os.chown(data / "control.sqlite-wal", 0, 0)
    with as_nobody(data, monkeypatch) as here:
        said = mend(here).sentence(here)
    assert "data/control.sqlite belongs to root" in said
    assert "data/control.sqlite-wal belongs to root" in said
    assert "`chown -R nobody data`" in said
    assert mode_of(data / "control.sqlite") == 0o644
    assert mode_of(data / "tenants/a/snapshot") == 0o600


@needs_root
def test_lost_and_found_of_a_mounted_disk_is_no_trouble(data, monkeypatch):
    for path in (data, *data.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    (data / "lost+found").mkdir(mode=0o700)
    with as_nobody(data, monkeypatch) as here:
        found = mend(here, of=OURS)
        assert (found.not_mended, found.left, found.mended) == ([], [], 9)


def test_what_is_not_the_services_is_left_as_it_is_in_a_folder_that_is_shut(data):
    """Somebody let the data lie in his home."""
    (data / "bin").mkdir()
    for file in ("bin/program", "notes.txt", ".profile"):
        (data / file).write_bytes(b"x")
        (data / file).chmod(0o755)
    found = mend(data, of=OURS)
    assert mode_of(data) == 0o700
    assert [mode_of(data / file) for file in ("bin/program", "notes.txt", "control.sqlite-wal")] == [0o755, 0o755, 0o600]
    assert sorted(found.left) == [".profile", "bin", "notes.txt"]


@pytest.mark.parametrize("name", ["/", "tmp"])
def test_a_folder_that_is_everybodys_is_refused_and_left(name, tmp_path):
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    if name != "/":
        folder.chmod(0o1777)
    before = mode_of(folder)
    found = mend(folder, of=OURS)
    assert found.is_refused
    assert found.sentence(folder) == f"the data directory {folder} is everybody's: name a folder of the service's own"
    assert mode_of(folder) == before


def test_a_command_writes_for_nobody_else_whatever_the_umask_of_the_operator(tmp_path):
    before = os.umask(0)
    try:
        with data_modes.private():
            (tmp_path / "file").write_bytes(b"x")
            (tmp_path / "folder").mkdir()
        assert os.umask(0) == 0
    finally:
        os.umask(before)
    assert (mode_of(tmp_path / "file"), mode_of(tmp_path / "folder")) == (0o600, 0o700)
