"""`fernamt run --take-over`: first everything is looked at that could keep us from starting, then the service that runs is asked to leave.

Whoever has asked cannot take it back: a predecessor that has gone, and a successor that cannot start, are no service at all. So what can
be known beforehand is looked at beside the one that runs, and nothing of it is changed: no database is migrated, no key made.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from acd import data_lock, data_modes
from acd.core.ids import TenantId
from acd.data_lock import DataLock, Doing, Holder
from acd.errors import CannotStart, DirectoryInUse
from api import keyring, lost_key, tenants
from api.commands.address_holders import in_the_way, sockets_of
from api.config import Settings
from api.db import Databases, control_url, tenant_directory
from api.health import disk_trouble
from api.kit.sealing import Keys
from api.outages import place, sentence
from api.security import open_log

log = logging.getLogger(__name__)

LEAVES_WITHIN_S = 30.0
"""How long the one that we take over from may take: open requests, records that a slow database does not take."""
AGAIN_S = 0.01
"""How often it is looked whether it has left: nobody is told when a lock comes free."""
AT_ONCE = 8
"""So many tenants are looked at beside each other; a server that is away keeps each of them waiting for `api.db.CONNECT_S`."""
SOME = 3
"""So many tenants are named."""


@dataclass(frozen=True, slots=True)
class Address:
    """One that we are to listen on."""

    kind: socket.SocketKind
    host: str
    port: int
    bind: Callable[[], object]
    """Has it for a moment. Raises: OSError: whose text names the address, and the setting."""


async def predecessor(settings: Settings, addresses: Sequence[Address], certificate: Callable[[], None]) -> Holder | None:
    """Who runs on our data, and we could start in its place; None: nobody runs.

    Args:
        certificate: sees that SIP over TLS has what it needs. Raises: CannotStart: it has not.
    Raises: CannotStart: we could not start, or it cannot be asked to leave.
    """
    found = data_lock.holder(settings.data)
    if found is None:
        log.info("= nobody runs on %s: there is nothing to take over", settings.data)
        return None
    with _left_alone(found, settings.data):
        _may_be_asked(found, settings.data)
        certificate()
        await _could_start(settings, addresses, found)
    return found


async def take_over(data: Path, found: Holder) -> DataLock:
    """Ask the predecessor to leave its calls to us, and wait until it has.

    Returns: the lock of the data directory, ours.
    Raises: CannotStart: somebody else is starting, or it does not leave.
    """
    _refuse_another(found, data)
    if data_lock.holder(data) is not None:  # it may have ended by itself meanwhile
        log.warning("> taking over from process %d", found.pid)
        with contextlib.suppress(ProcessLookupError):  # it is just going
            os.kill(found.pid, signal.SIGTERM)
    return await _when_it_has_left(data, found)


@contextlib.contextmanager
def _left_alone(found: Holder, data: Path) -> Iterator[None]:
    """Raises: CannotStart: what went wrong inside, and that whoever runs has not been asked."""
    try:
        yield
    except Exception as error:
        _refuse_another(found, data)  # what is in our way may be theirs
        told = sentence(error)
        if told is None:
            log.critical("! process %d, which runs, was left alone", found.pid)
            raise
        raise CannotStart(f"{told}; process {found.pid}, which runs, was left alone") from error


def _refuse_another(before: Holder, data: Path) -> None:
    """Raises: CannotStart: the data directory is somebody else's meanwhile."""
    now: Holder | None = before
    with contextlib.suppress(DirectoryInUse):  # it changes hands just now
        now = data_lock.holder(data)
    if now is not None and now.pid != before.pid:
        raise CannotStart(f"another start has taken over from process {before.pid}: process {now.pid}")


async def _when_it_has_left(data: Path, left: Holder) -> DataLock:
    until = time.monotonic() + LEAVES_WITHIN_S
    while True:
        with contextlib.suppress(DirectoryInUse):
            return DataLock(data, Doing.START)
        _refuse_another(left, data)
        if time.monotonic() >= until:
            raise CannotStart(f"process {left.pid} was asked to leave, and has not within {LEAVES_WITHIN_S:g} s; start again when it has")
        await asyncio.sleep(AGAIN_S)


def _may_be_asked(found: Holder, data: Path) -> None:
    """Raises: DirectoryInUse: it is no service that has started, or out of our reach."""
    if found.host != socket.gethostname():
        raise DirectoryInUse(f"the data directory {data.absolute()} is in use on {found.host}: end it there")
    match found.doing:
        case Doing.START:
            raise DirectoryInUse(f"another start is under way on the data directory {data.absolute()}")
        case Doing.COMMAND:
            raise DirectoryInUse(f"a command works on the data directory {data.absolute()}, and no service runs")
        case Doing.SERVICE:
            try:
                os.kill(found.pid, 0)
            except ProcessLookupError:
                pass  # it is just going
            except PermissionError as error:
                raise DirectoryInUse(f"the service on the data directory {data.absolute()} is another user's") from error


async def _could_start(settings: Settings, addresses: Sequence[Address], found: Holder) -> None:
    """What a start looks at, as far as that can be seen beside the one that runs.

    Raises: CannotStart, Unreachable, DataMissing, OSError: what is wrong.
    """
    await asyncio.to_thread(_data_can_be_used, settings)
    with open_log(settings.security.log):
        pass
    for address in addresses:
        _can_be_had(address, found)
    await _databases_can_be_opened(settings)


def _data_can_be_used(settings: Settings) -> None:
    control = control_url(settings)
    file = Path(str(control.database)) if control.get_backend_name() == "sqlite" else None
    for folder in {settings.data, *([] if file is None else [file.parent])}:
        if (trouble := disk_trouble(folder)) is not None:
            raise CannotStart(f"the data directory cannot be written: {trouble}")
    if file is not None and file.exists() and not os.access(file, os.R_OK | os.W_OK):
        raise CannotStart(f"{place(control)}: {os.strerror(errno.EACCES)}")
    modes = data_modes.mend(settings.data, of=data_modes.OURS, thorough=False)
    if modes.is_refused:
        raise CannotStart(modes.sentence(settings.data))


def _can_be_had(address: Address, found: Holder) -> None:
    """Raises: OSError, CannotStart: it cannot be had, also when the one that runs has gone."""
    try:
        address.bind()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        its = sockets_of(found.pid)  # first: what it closes meanwhile is in nobody's way
        there = in_the_way(address.kind, address.host, address.port)
        if not there or its is None:
            log.warning("! whether %s:%d is taken by the one that runs cannot be told: going on", address.host, address.port)
        elif not there <= its:
            raise CannotStart(f"{error.strerror}. It is not process {found.pid} that has it") from error


async def _databases_can_be_opened(settings: Settings) -> None:
    """The control database must be; a tenant that cannot be opened keeps no service from starting, unless there is no other."""
    await lost_key.refuse(settings)
    is_to_be_made = keyring.is_to_be_made(settings)
    keys = Keys((keyring.new_key(),), "no file") if is_to_be_made else await asyncio.to_thread(keyring.load, settings, make=False)
    databases = Databases(settings)
    try:
        await databases.look(keys)
        await databases.refuse_later(None)
        async with databases.unit(None) as unit:
            active = sorted(tenant for tenant, is_active in (await tenants.every(unit.session)).items() if is_active)
        some = asyncio.Semaphore(AT_ONCE)
        told = await asyncio.gather(*(_trouble_of(tenant, settings, databases, some) for tenant in active))
    finally:
        await databases.close()
    troubles = {tenant: trouble for tenant, trouble in zip(active, told, strict=True) if trouble is not None}
    if troubles and len(troubles) == len(active):
        named = "; ".join(f"{tenant}: {trouble}" for tenant, trouble in list(troubles.items())[:SOME])
        raise CannotStart(f"no tenant could be opened: {named}")
    for tenant, trouble in troubles.items():
        log.warning("! tenant %s will not be open: %s", tenant, trouble)


async def _trouble_of(tenant: TenantId, settings: Settings, databases: Databases, some: asyncio.Semaphore) -> str | None:
    """Why a tenant could not be opened, in one sentence."""
    async with some:
        if (trouble := await asyncio.to_thread(disk_trouble, tenant_directory(settings, tenant))) is not None:
            return trouble
        try:
            await databases.look_at_tenant(tenant)
            await databases.refuse_later(tenant)
        except Exception as error:
            if (told := sentence(error)) is None:
                raise
            return told
    return None
