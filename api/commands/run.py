"""`fernamt run`: voice service and API in one process, one asyncio loop (DESIGN.md §2)."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import gc
import logging
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI

from acd import certificates, data_lock, data_modes
from acd.bus import MemoryBus
from acd.client import VoiceClient
from acd.config import Listen, TlsFiles, VoiceSettings
from acd.core.ids import TenantId
from acd.data_lock import DataLock, Doing
from acd.errors import CannotStart
from acd.guard import Guard
from acd.logs import Logging, set_up
from acd.networks import LOOPBACK
from acd.platform import Platform, serve_platform
from acd.serving import serve as serve_voice
from acd.sink import Home, Homes
from api import lost_key
from api.app import create_app
from api.commands.addresses import how_to_call, only_here, pages, phone_servers
from api.commands.stopping import Interrupted, StopSignals
from api.commands.taking_over import Address, predecessor, take_over
from api.config import Settings, SettingsError, for_demo, split_address
from api.db import Databases, tenant_directory, tenant_url
from api.demo import FILE as DEMO_FILE
from api.edge.connections import Lease
from api.edge.protocol import HttpProtocol, Patience, ServerConfig
from api.health import disk_trouble
from api.https import Https
from api.https.certificate import check_files, given
from api.outages import place, sentence
from api.screen import lookup_in
from api.security import open_log, policy_of
from api.shared import shared_in
from api.telephony import CallEvents
from api.telephony_setup import pins_of
from billing_cdr.sink import SqlSink

if TYPE_CHECKING:
    from acd.runtime import Voice

try:
    import uvloop
except ImportError:  # not on this platform: asyncio's own loop does the same, slower
    new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
else:
    new_event_loop = uvloop.new_event_loop

log = logging.getLogger(__name__)

DEMO_SEED = 3
"""Of the demonstration's callers: the first comes at once and waits to be answered. With 1 a visitor first sees a call given up."""
GRACE_S = 3
"""How long open requests and WebSockets may take at an orderly stop."""
SELDOM = 2_000, 2_500, 1000
"""When the collector looks at the young, the middle, the old (`gc.set_threshold`): from the start on, where hardly anything is dropped.

A look at the young takes a microsecond for each of them, in which nobody is served: a few at a time (load/README.md).
"""


class Run:
    """The subcommand."""

    help = "start the whole service"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument("--config", type=Path, metavar="FILE", help="settings; default FERNAMT_CONFIG, else ./fernamt.toml")
        parser.add_argument("--role", choices=("all",), default="all", help="what this process does (only `all` so far)")
        parser.add_argument("--demo", action="store_true", help="create the tenant `demo`, print its credentials, let it be called")
        parser.add_argument("--accept-clock", action="store_true", help="open journals that are more than a day ahead of the clock")
        parser.add_argument("--take-over", action="store_true", help="go on with the calls of the service that runs here, and end it")
        parser.add_argument("--still", action="store_true", help="with --demo: no synthetic callers and agents")

    def run(self, args: argparse.Namespace) -> int:
        """Serve until SIGTERM or SIGINT."""
        try:
            settings = Settings.load(args.config)
        except SettingsError as error:
            for problem in error.problems:
                print(problem, file=sys.stderr)
            return 2
        settings = for_demo(settings) if settings.demo or args.demo else settings
        set_up(log_settings(settings))
        gc.freeze()  # what was loaded stays
        gc.set_threshold(*SELDOM)
        try:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                return runner.run(
                    serve(
                        settings, plays_demo=args.demo and not args.still, accept_clock=args.accept_clock, takes_over=bool(args.take_over)
                    )
                )
        except Interrupted as stop:
            print(stop, file=sys.stderr)
            # Whoever was to take over and has not must not be taken for the service that runs now.
            return stop.status or int(args.take_over)
        except Exception as error:
            if (told := sentence(error)) is not None:
                print(f"cannot start: {told}", file=sys.stderr)
            else:
                log.critical("! the service ended", exc_info=error)
            return 1


def log_settings(settings: Settings) -> Logging:
    """What is written, and how."""
    return Logging(level=settings.log_level.upper(), form=settings.log.format, masks_numbers=settings.log.numbers == "masked")


def voice_settings(settings: Settings, *, accept_clock: bool = False) -> VoiceSettings:
    """The part of the settings that the voice service takes."""
    defaults = VoiceSettings()
    listen = tuple(
        Listen(transport=transport, host=host, port=port)
        for transport in settings.sip.transports
        for host, port in settings.sip.addresses(transport)
    ) + tuple(Listen(transport="tls", host=host, port=port, asks=True) for host, port in settings.sip.carriers_addresses)
    return VoiceSettings(
        listen=listen,
        advertised_address=settings.sip.advertised,
        realm=settings.sip.realm,
        data=settings.data,
        accept_clock=accept_clock,
        media_workers=settings.media.workers or defaults.media_workers,
        media_ports=(settings.media.first_port, settings.media.last_port),
        calls_per_second=settings.overload.calls_per_second,
        burst=settings.overload.burst,
        max_sessions=settings.overload.max_sessions,
        tenant_weights=settings.fairness.weights,
        guaranteed=settings.fairness.guaranteed,
        emergency_pairs=settings.fairness.emergency_pairs,
        strangers_per_second=settings.fairness.strangers_per_second,
        strangers_burst=settings.fairness.strangers_burst,
        probe_trunks=settings.sip.probe_trunks,
        probe_phones_every_s=settings.sip.probe_phones_every_s,
        probe_phone_misses=settings.sip.probe_phone_misses,
        ping_pages_every_s=settings.sip.ping_pages_every_s,
        ping_page_misses=settings.sip.ping_page_misses,
        phone_answer_within_s=settings.sip.phone_answer_within_s,
        force_rport=settings.sip.force_rport,
        tls=TlsFiles(certificate=settings.sip.tls_certificate, key=settings.sip.tls_key, ca=settings.sip.tls_ca),
        tls_of_https=next((TlsFiles(certificate=one.certificate, key=one.key) for one in given(settings.http, settings.data)), TlsFiles()),
        contacts_per_device=settings.sip.contacts_per_device,
        tcp_strangers_per_source=settings.sip.strangers_per_source,
        tcp_stranger_idle_s=settings.sip.stranger_idle_s,
        phone_shows=settings.phones.shows,
        phone_codecs=settings.phones.codecs,
        answer_within_s=settings.phones.answer_within_s,
        phone_pass_s=settings.phones.pass_s,
        session_refresh_s=settings.timers.session_refresh_s,
        media_silence_s=settings.media.silence_s,
        media_info_digits=settings.media.info_digits,
        media_addresses=settings.media.addresses,
        media_orphan_s=settings.media.orphan_s,
        registration_min_s=settings.timers.registration_min_s,
        registration_max_s=settings.timers.registration_max_s,
        log=log_settings(settings),
        # The demonstration's callers and agents are on this machine.
        reach_allow=settings.reach.allow + (LOOPBACK if settings.demo else ()),
        reach_deny=settings.reach.deny,
    )


def patience(settings: Settings) -> Patience:
    """How long clients of the API may take."""
    http = settings.http
    return Patience(head_s=http.head_s, body_s=http.body_s, keep_alive_s=http.keep_alive_s, stalled_s=http.stalled_s)


def _room_for_connections() -> None:
    """As many descriptors as this process may have: the usual soft limit of 1024 is less than two hundred desks and their phones need."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@dataclass(frozen=True, slots=True)
class Up:
    """What has started, and answers no request yet."""

    app: FastAPI
    voice: Voice
    listening: socket.socket
    beside: socket.socket | None
    """Without TLS, where there is HTTPS."""
    https: Https | None
    lock: DataLock


class _Server(uvicorn.Server):
    """Leaves signals to us: uvicorn would raise them again after its own end, before calls are cleared and CDRs saved."""

    def __init__(self, config: ServerConfig, on_started: Callable[[], None], https: Https | None = None) -> None:
        """Args:
        https: what the first socket is listened on with; None: none of them goes by TLS.
        """
        super().__init__(config)
        self._config = config
        self._on_started = on_started
        self._https = https

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        if self._https is None:
            await super().startup(sockets)
        else:
            assert sockets
            listening, *beside = sockets
            await super().startup(beside)
            listener = self._https.listen(listening, self._config.connections, self._speaks, self._config.patience.head_s)
            self.servers.append(listener)  # type: ignore[arg-type]  # of these it is asked to close, and waited until it has
        if self.started:
            self._on_started()

    def _speaks(self, lease: Lease) -> HttpProtocol:
        return HttpProtocol(self._config, self.server_state, self.lifespan.state, lease=lease)


async def serve(
    settings: Settings,
    until: Awaitable[object] | None = None,
    *,
    plays_demo: bool = False,
    accept_clock: bool = False,
    takes_over: bool = False,
) -> int:
    """Run the service until a signal comes or `until` is done; returns the exit status.

    Args:
        plays_demo: let synthetic agents and callers play the demonstration, so that the board moves.
        accept_clock: open journals that are more than a day ahead of this machine's clock, and go on from the present time.
        takes_over: from the service that runs on our data, if there is one.

    Raises: OSError: an address is taken; CannotStart, Unreachable: something outside must be mended first, in one sentence.
    """
    with StopSignals() as signals:
        async with contextlib.AsyncExitStack() as stack:
            with signals.interrupt():
                up = await _start(settings, stack, signals, accept_clock=accept_clock, takes_over=takes_over)
            return await _serve(settings, up, signals, stack, until, plays_demo=plays_demo)


def _leaves(settings: Settings, signals: StopSignals) -> bool:
    """SIGTERM leaves the calls to whoever starts next; Ctrl-C, and a service that keeps no calls, ends them."""
    return signals.first is signal.SIGTERM and settings.media.orphan_s > 0


async def _leave_or_close(voice: Voice, settings: Settings, signals: StopSignals) -> None:
    if _leaves(settings, signals):
        await voice.leave()
    else:
        await voice.close()


async def _start(settings: Settings, stack: contextlib.AsyncExitStack, signals: StopSignals, *, accept_clock: bool, takes_over: bool) -> Up:
    """Everything but the answering of requests; `stack` ends what came about, also when the rest does not."""
    # SIP and media are needed by nobody who only asks for help; read before a predecessor goes, lest phones wait longer than they must.
    from acd.runtime import Given, Voice  # noqa: PLC0415

    voice_wanted = voice_settings(settings, accept_clock=accept_clock)
    certificate = partial(_check_certificates, settings, voice_wanted)
    before = await predecessor(settings, _addresses(settings, voice_wanted), certificate) if takes_over else None
    certificate()
    stack.enter_context(_data_checked(settings.data))
    _say(settings, "opening the databases, bringing them up to date")
    _room_for_connections()
    databases = Databases(settings)
    lock = stack.enter_context(DataLock(settings.data, Doing.START) if before is None else await take_over(settings.data, before))
    stack.push_async_callback(await _shut_data(settings.data))
    listening = _listen(settings, settings.http.port)
    stack.callback(listening.close)
    beside = None if settings.http.plain_port is None else _listen(settings, settings.http.plain_port, "REDIRECT_PORT")
    if beside is not None:
        stack.callback(beside.close)
    https = None if settings.http.tls == "off" else Https(settings)
    if https is not None:
        await asyncio.to_thread(https.start)
        signals.on_reload.append(https.reload)
    _check_sip(voice_wanted.listen)
    stack.push_async_callback(databases.close)
    await lost_key.refuse(settings)
    await databases.open()
    _say(settings, "starting the media workers and SIP")
    guard = Guard(policy_of(settings))
    stack.enter_context(open_log(settings.security.log))
    bus, made = MemoryBus(), list[FastAPI]()
    platform = Platform(bus)
    homes = _homes(settings, databases, lambda: shared_in(made[0]).part(CallEvents))
    given = Given(homes=homes, bus=bus, lookup=platform.who_is, check_pin=platform.check_pin)
    voice = await Voice.start(voice_wanted, given, guard)
    stack.push_async_callback(_leave_or_close, voice, settings, signals)
    signals.on_reload.append(voice.reload_certificate)
    serve_voice(voice, bus)
    app = create_app(settings, VoiceClient(bus), databases, guard=guard, serve_page=voice.serve_page)
    serve_platform(bus, lookup_in(databases), pins_of(app))
    made.append(app)
    shared_in(app).https = https
    is_first_demo = settings.demo and not (settings.data / DEMO_FILE).exists()
    _say(settings, "making the demonstration, once" if is_first_demo else "opening the tenants")
    try:
        # Entered here and not by uvicorn, which answers a failure with sys.exit in the middle of the loop.
        await stack.enter_async_context(app.router.lifespan_context(app))
    except BaseException:  # it is in the database now, and no later start can tell it
        _say_operator(app, settings)
        raise
    return Up(app, voice, listening, beside, https, lock)


def _addresses(settings: Settings, voice: VoiceSettings) -> list[Address]:
    """All that we are to listen on."""
    http = settings.http
    plain = http.plain_port
    beside = (
        () if plain is None else (Address(socket.SOCK_STREAM, http.host, plain, lambda: _listen(settings, plain, "REDIRECT_PORT").close()),)
    )
    kinds = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM, "tls": socket.SOCK_STREAM}
    return [
        Address(socket.SOCK_STREAM, http.host, http.port, lambda: _listen(settings, http.port).close()),
        *beside,
        *(Address(kinds[one.transport], one.host, one.port, partial(_check_sip, (one,))) for one in voice.listen),
    ]


def _homes(settings: Settings, databases: Databases, events: Callable[[], CallEvents]) -> Homes:
    """Where the exchange of a tenant keeps its journal and saves its records.

    Args:
        events: who is told of records that are stored; there when tenants are opened.
    """

    def home(tenant: TenantId) -> Home:
        told = events()
        sink = SqlSink(
            databases.tenant(tenant),
            tenant,
            place(tenant_url(settings, tenant)),
            also=partial(told.rated, tenant),
            on_stored=partial(told.stored, tenant),
        )
        return Home(sink, tenant_directory(settings, tenant))

    return home


async def _serve(
    settings: Settings,
    up: Up,
    signals: StopSignals,
    stack: contextlib.AsyncExitStack,
    until: Awaitable[object] | None,
    *,
    plays_demo: bool,
) -> int:
    app, voice, listening, https = up.app, up.voice, up.listening, up.https
    config = ServerConfig(
        app if https is None else https.outside(app),
        shared_in(app).connections,
        patience(settings),
        timeout_graceful_shutdown=GRACE_S,
        forwarded_allow_ips=list(settings.http.proxies),
    )

    def started() -> None:
        _spare_the_collector()
        _say_serving(up.lock)
        _say_started(app, settings, listening, voice.listening)
        if https is not None:
            keeping = asyncio.create_task(https.keep(), name="certificate of https")
            stack.push_async_callback(_stop, keeping)

    server = _Server(config, started, https)
    sockets = [listening] if up.beside is None else [listening, up.beside]
    serving = asyncio.create_task(server.serve(sockets=sockets), name="http")
    waiting: set[asyncio.Future[Any]] = {asyncio.ensure_future(signals.stopped.wait()), serving}
    if until is not None:
        waiting.add(asyncio.ensure_future(until))
    if plays_demo:
        playing = asyncio.create_task(_play(server, settings, listening, signals), name="demo")
        stack.push_async_callback(_stop, playing)
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    voice.stopping()
    log.info("> stopping")
    await voice.let_pages_go(leaves=_leaves(settings, signals))
    server.should_exit = True
    await serving
    status = 0 if server.started else 1
    for future in waiting - {serving}:
        if future.done() and not future.cancelled() and (error := future.exception()) is not None:
            log.critical("! %s", error)
            status = 1
        future.cancel()
    await asyncio.gather(*(waiting - {serving}), return_exceptions=True)
    return status


def _spare_the_collector() -> None:
    """What is there now stays: code, schemas, configuration. Walking it again and again stopped the loop for up to 0.2 s (load/README.md).

    Calls die by reference counting alone, as the tests of `sip` see to: the collector may look seldom, a few milliseconds each time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*SELDOM)


async def _play(server: uvicorn.Server, settings: Settings, listening: socket.socket, signals: StopSignals) -> None:
    """Run `fernamt load --demo` as a process of its own: it is a client like any other, and the service must not feel its work."""
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.05)
    http = f"http://{_reachable(settings.http.host)}:{listening.getsockname()[1]}"
    host, port = split_address(settings.sip.listen[0])
    command = [sys.executable, "-m", "load", "--demo", str(settings.data / DEMO_FILE), "--quiet"]
    command += ["--seed", str(DEMO_SEED)]
    command += ["--api", http, "--server", f"{_reachable(host)}:{port}", "--parent", str(os.getpid())]
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL)
    try:
        status = await process.wait()
        if signals.first is None:
            log.warning("! the demonstration's callers ended with status %d", status)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _reachable(host: str) -> str:
    """A wildcard is listened on, not called."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)


@contextlib.contextmanager
def _data_checked(data: Path) -> Iterator[None]:
    """The data directory, made where there is none, and seen to take what is written; a start that fails before anything is in it takes it
    away again.

    Raises: CannotStart: it cannot be used; better said here than by the first of those who need it.
    """
    folder_of_data = data.absolute()
    made = [folder for folder in (folder_of_data, *folder_of_data.parents) if not folder.exists()]
    try:
        data.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise CannotStart(f"the data directory {folder_of_data} is no directory") from error
    except OSError as error:
        raise CannotStart(f"the data directory {folder_of_data} cannot be made: {error.strerror}") from error
    try:
        if (trouble := disk_trouble(data)) is not None:
            raise CannotStart(f"the data directory cannot be written: {trouble}")
        yield
    except BaseException:
        if made and {one.name for one in folder_of_data.iterdir()} <= {data_lock.NAME}:
            (folder_of_data / data_lock.NAME).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # somebody else has put something there meanwhile
                for folder in made:
                    folder.rmdir()
        raise


async def _shut_data(data: Path) -> Callable[[], Awaitable[None]]:
    """See that nobody else can read the data directory: at once, but for recordings, which may be many and are looked at meanwhile.

    Returns: what ends it.
    Raises: CannotStart: something cannot be mended.
    """
    found = await asyncio.to_thread(data_modes.mend, data, of=data_modes.OURS, thorough=False)
    tell_modes(found, data)
    if found.is_refused:
        raise CannotStart(found.sentence(data))
    stopped = threading.Event()

    def look() -> None:
        for folder in found.later:
            try:
                later = data_modes.mend(folder, is_over=stopped.is_set)
            except OSError as error:
                log.error("! %s cannot be looked at: %s", folder, error.strerror)  # noqa: TRY400 - the trace says nothing more
                continue
            tell_modes(later, folder)
            if later.is_refused:
                log.error("! %s", later.sentence(data))

    looking = asyncio.create_task(asyncio.to_thread(look), name="modes of recordings")

    async def end() -> None:
        stopped.set()
        await asyncio.gather(looking, return_exceptions=True)

    return end


def tell_modes(found: data_modes.Found, folder: Path) -> None:
    """One line where there was something to mend, one where nothing can be."""
    if found.mended:
        log.warning("= %s: %d of %d files and folders were open to others on this machine: mended", folder, found.mended, found.looked)
    if found.left:
        log.warning("= %s is shut, and what is not the service's in it is left as it is: %s", folder, ", ".join(sorted(found.left)))
    if found.without_modes:
        where = ", ".join(map(str, found.without_modes))
        log.warning("! the file system of %s keeps no modes: who may read the data there is decided by how it is mounted", where)


def _check_certificates(settings: Settings, voice: VoiceSettings) -> None:
    """Raises: CannotStart: files that the settings name cannot be used."""
    certificates.check(voice)
    check_files(settings.http, settings.data)


def _listen(settings: Settings, port: int, setting: str = "PORT") -> socket.socket:
    host = settings.http.host
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(error.errno, f"HTTP address {host}:{port}: {reason}{_another(error, 'HTTP', setting, 'HOST')}") from error


def _check_sip(listen: Sequence[Listen]) -> None:
    """Raises: OSError: an address is taken or not ours, before the databases have anything of this start."""
    from acd.runtime import check_addresses  # noqa: PLC0415 - as in `_start`

    for one in listen:
        setting = "TLS_CARRIERS_LISTEN" if one.asks else "TLS_LISTEN" if one.transport == "tls" else "LISTEN"
        try:
            check_addresses((one,))
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror}{_another(error, 'SIP', setting, setting)}") from error


def _another(error: OSError, group: str, port: str, host: str) -> str:
    """Which setting has the address that cannot be had."""
    match error.errno:
        case errno.EADDRINUSE:
            return f"; FERNAMT_{group}__{port}, or `{port.lower()}` in [{group.lower()}], chooses another"
        case errno.EADDRNOTAVAIL:
            return f"; this machine does not have it, FERNAMT_{group}__{host}, or `{host.lower()}` in [{group.lower()}], says which"
        case _:
            return ""


def _say(settings: Settings, what: str) -> None:
    """A line of progress, at once, where somebody is waiting: the demonstration's visitor, or whoever sits at a terminal."""
    if settings.demo or sys.stdout.isatty():
        print(f"fernamt: {what} ...", flush=True)


def _say_serving(lock: DataLock) -> None:
    """From now on who takes over may ask us to leave."""
    try:
        lock.tell(Doing.SERVICE)
    except OSError as error:
        log.warning("! %s cannot be written: %s; --take-over will take this for a start", lock.path, error.strerror)


def _say_started(app: FastAPI, settings: Settings, listening: socket.socket, sip: tuple[tuple[str, str, int], ...]) -> None:
    host, port = listening.getsockname()[:2]
    ours = shared_in(app)
    this = ours.services
    line = f"fernamt is ready: {pages(host, port, 'http' if settings.http.tls == 'off' else 'https')} and SIP on {phone_servers(sip)}"
    if this.failed:
        closed = "; ".join(f"{tenant} is not: {failure.reason}" for tenant, failure in sorted(this.failed.items()))
        opened = len(this.databases.opened)
        line += f"; {opened} of {opened + len(this.failed)} tenants are open; {closed}"
        for tenant, failure in sorted(this.failed.items()):
            print(f"tenant {tenant} is not open: {failure.reason}", file=sys.stderr)
    print(line)
    if ours.demo is not None:
        print(ours.demo.table())
        print(f"  a phone's server: {phone_servers(sip)}{', from this machine only' if only_here(sip) else ''}")
        for hint in how_to_call(sip):
            print(f"  {hint}")
        print(f"  users and phones are kept in {settings.data / DEMO_FILE}")
    _say_operator(app, settings)
    sys.stdout.flush()


def _say_operator(app: FastAPI, settings: Settings) -> None:
    """Last, and apart from what a file keeps: this one is in none."""
    password = shared_in(app).operator_password
    if password is not None:
        print(
            f"  operator (shown this once): {settings.operator.username} {password} (logs in without a tenant; kept in no file)", flush=True
        )


command = Run()
