"""Where the keys of stored secrets come from: a file named by the settings, a systemd credential, or our own file (docs/secrets.md)."""

from __future__ import annotations

import logging
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from acd.errors import CannotStart
from acd.journal.writing import replace
from api.config import Settings
from api.kit.sealing import KEY_OCTETS, Key, Keys, KeysWrong, keys_of

log = logging.getLogger(__name__)

OWN = "secret.key"
"""In the data directory, where nothing else is named."""
CREDENTIAL = "fernamt.key"
"""`LoadCredential=fernamt.key:…` of systemd.exec(5)."""


def place(settings: Settings, environ: Mapping[str, str] | None = None) -> Path:
    """The file that counts."""
    if settings.secrets.key_file is not None:
        return settings.secrets.key_file
    return _credential(environ) or settings.data / OWN


def _credential(environ: Mapping[str, str] | None) -> Path | None:
    directory = (os.environ if environ is None else environ).get("CREDENTIALS_DIRECTORY")
    credential = Path(directory) / CREDENTIAL if directory else None
    return credential if credential is not None and credential.exists() else None


def is_to_be_made(settings: Settings, environ: Mapping[str, str] | None = None) -> bool:
    """Whether the next start makes our own file."""
    path = place(settings, environ)
    return path == settings.data / OWN and not path.exists()


def load(settings: Settings, environ: Mapping[str, str] | None = None, *, make: bool = True) -> Keys:
    """Read the keys; our own file is made where there is none.

    Args:
        make: False: only read.
    Raises: CannotStart: there is none, it cannot be read, or is none.
    """
    path = place(settings, environ)
    if make and is_to_be_made(settings, environ):
        _make(path)
    try:
        text = path.read_text(encoding="ascii")
        mode = stat.S_IMODE(path.stat().st_mode)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise CannotStart(f"the key of the stored secrets cannot be read from {path}: {reason}") from error
    try:
        keys = keys_of(text, str(path))
    except KeysWrong as error:
        raise CannotStart(str(error)) from None
    if mode & 0o077 and path != _credential(environ):  # those are ours by an ACL, which shows as the mode of a group
        log.warning("! %s has mode %04o: others on this machine may read the key of the stored secrets", path, mode)
    return keys


def new_key() -> Key:
    """A key of random octets."""
    return Key(secrets.token_bytes(KEY_OCTETS))


def told(key: Key) -> str:
    """A key as a file has it, and above it the name that `fernamt secrets check` and the stored values have for it."""
    return f"# key {key.id}\n{key.line}"


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace(
        path, f"# Keys of the stored secrets: the first one seals, the others only open (docs/secrets.md).\n{told(new_key())}\n".encode()
    )
    log.warning(
        "= made %s: keep a copy of it, apart from backups of the data; without it stored carrier and device passwords are lost", path
    )
