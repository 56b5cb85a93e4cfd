"""Set up what a run needs through the public API, and take it away again: tenant, trunk, queue, number, agents with devices (house).

The tenant says in its name whose it is. A run that could not take it away (killed, the service gone) leaves it to the next one, which
removes what belonged to a process of this machine that is gone, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import msgspec

from load.api_client import ApiClient, ApiError
from load.records import AgentAccount
from load.server_process import started

QUEUE = "load"
SKILL = "load"
SITE_KBITS = 100_000_000
"""Room for a million channels: a load run measures the exchange, not the admission."""
NUMBER = "+493023125770"
"""+4930231257xx are kept for load runs: of the block that is free for fiction (Bundesnetzagentur, Mitteilung 148/2021), no demonstration's
and no check's."""
SOURCE = "127.0.0.77"
"""Where the callers of a run on the service's own machine come from: any address of 127.0.0.0/8 can be bound on Linux."""
PREFIX = "load"
_MARK = re.compile(r"^fernamt load: (?P<number>\S+) from (?P<source>\S+), (?P<host>\S+) (?P<pid>\d+):(?P<start>\d+)$")
Tell = Callable[[str], None]


class CannotProvision(Exception):
    """What the run needs is somebody else's; the text says what to do."""


class Stopped(Exception):
    """The run was ended while it was being set up."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is set up; all of it may be there already."""

    tenant: str = PREFIX
    agents: int = 10
    dial: str = NUMBER
    after_call_work_s: float = 0.0
    ring_timeout_s: float = 20.0
    greeting: bool = True
    source: str = SOURCE
    """Where the callers' calls come from: the trunk's IP authentication."""
    admin: str = "load-admin"
    admin_password: str = ""
    keep: bool = False
    """Leave the tenant for later runs."""


class Left(msgspec.Struct, frozen=True):
    """A tenant of a run that is over, or of one that is not."""

    tenant: str
    number: str
    source: str
    host: str
    pid: int
    start: int

    @property
    def is_here(self) -> bool:
        return self.host == _host()

    @property
    def is_alive(self) -> bool:
        """Whether the very process that made it still runs."""
        return started(self.pid) == self.start


def provision(api: ApiClient, plan: Plan, tell: Tell = lambda _line: None, stop: threading.Event | None = None) -> tuple[AgentAccount, ...]:
    """Create what is missing, change what differs; afterwards `api` is logged in as the tenant's administrator.

    Args:
        api: logged in as the platform's operator.
        stop: set by another thread, it ends the work between two requests.
    Returns: the agents with fresh device passwords.
    Raises: ApiError: the service said no; CannotProvision: to something that is somebody else's; Stopped
    """
    password = plan.admin_password or secrets.token_urlsafe(18)
    _make_tenant(api, plan, password, tell)
    api.log_in(plan.admin, password, plan.tenant)
    setup = _Setup(api, stop or threading.Event())
    for kind, key, document in _documents(plan):
        setup.put(kind, key, document)
    tell(f"trunk, queue and number {plan.dial} set up")
    accounts = tuple(setup.agent(f"load-{index:03d}", plan) for index in range(plan.agents))
    tell(f"{len(accounts)} agents set up")
    return accounts


def _make_tenant(api: ApiClient, plan: Plan, password: str, tell: Tell) -> None:
    """Everything that the operator does for a run is here."""
    try:
        admin = {"username": plan.admin, "password": password}
        api.post("/api/v1/tenants", {"id": plan.tenant, "name": mark(plan), "admin": admin})
        tell(f"tenant {plan.tenant} created")
    except ApiError as fault:
        if fault.status != 409:
            raise
        if not plan.admin_password:
            raise CannotProvision(
                f"there is a tenant {plan.tenant} already, and it is not this run's: give another name with --tenant, or the password of "
                "its administrator with --admin-password"
            ) from fault
    try:
        api.post(f"/api/v1/tenants/{plan.tenant}/sources", {"network": plan.source, "note": "synthetic callers"})
        if plan.dial.startswith("+"):
            api.post(f"/api/v1/tenants/{plan.tenant}/numbers", {"numbers": [plan.dial]})
    except ApiError as fault:
        if fault.status != 409:
            raise
        raise CannotProvision(f"the number {plan.dial} cannot be had for this run: {fault}; give another one with --dial") from fault


def _documents(plan: Plan) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Kind, member that names it, document; each needs only those before it."""
    yield "sites", "id", {"id": "load", "upload_kbits": SITE_KBITS}
    # Nothing is ever sent to the peer, and whatever the operator allows, nobody has this name (RFC 6761 §6.4).
    trunk = {"id": "load", "name": "Load", "peer": "load.invalid", "sources": [plan.source], "probe_every_s": 0, "outbound": False}
    yield "trunks", "id", trunk
    yield "reasons", "code", {"code": "break", "name": "Break"}
    queue: dict[str, Any] = {
        "id": QUEUE,
        "name": "Load",
        "requirements": [{"skill": SKILL, "level": 1}],
        "after_call_work_s": plan.after_call_work_s,
        "ring_timeout_s": plan.ring_timeout_s,
        # A device that misses an offer on purpose must stay in the game.
        "redirect_on_no_answer": "stay_ready",
    }
    if not plan.greeting:
        queue |= {"greeting": [], "announce_position": False}
    yield "queues", "id", queue
    yield "numbers", "number", {"number": plan.dial, "target": {"to": "queue", "queue": QUEUE}, "language": "en"}


class _Setup:
    """Create, or replace what is there."""

    def __init__(self, api: ApiClient, stop: threading.Event) -> None:
        self._api = api
        self._stop = stop

    def put(self, kind: str, key: str, document: dict[str, Any]) -> None:
        self._go_on()
        try:
            self._api.post(f"/api/v1/{kind}", document)
        except ApiError as fault:
            if fault.status == 409:
                with contextlib.suppress(ApiError):  # not ours: then the first answer says why
                    self._api.put(f"/api/v1/{kind}/{document[key]}", document)
                    return
            if fault.status in {403, 409, 422} and kind in {"numbers", "trunks"}:
                what = f"the number {document[key]}" if kind == "numbers" else f"the address {document['sources'][0]}"
                option = "--dial" if kind == "numbers" else "--local-address"
                raise CannotProvision(f"{what} cannot be had for this run: {fault}; give another one with {option}") from fault
            raise

    def agent(self, agent: str, plan: Plan) -> AgentAccount:
        self._go_on()
        password = secrets.token_urlsafe(15)
        document = {"id": agent, "name": agent.title(), "skills": {SKILL: 5}, "languages": ["en", "de"], "device_password": password}
        api = self._api
        try:
            device = api.post("/api/v1/agents", document)["device"]
        except ApiError as fault:
            if fault.status != 409:
                raise
            device = api.put(f"/api/v1/agents/{agent}/device", {"username": f"{plan.tenant}-{agent}", "password": password})
        return AgentAccount(
            agent=agent,
            aor=f"sip:{device['username']}@{device['domain']}",
            username=device["username"],
            password=device.get("password") or password,
            token=api.token,
        )

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise Stopped


# ---------------------------------------------------------------------- and away again


def mark(plan: Plan) -> str:
    """The name of a run's tenant: what it takes, and the process whose it is; one that is to stay has no such mark."""
    if plan.keep:
        return f"Load {plan.tenant}"
    pid = os.getpid()
    return f"fernamt load: {plan.dial} from {plan.source.partition('/')[0]}, {_host()} {pid}:{started(pid)}"


def _host() -> str:
    return socket.gethostname()[:40] or "unknown"  # a tenant's name has room for 120 characters


def left_behind(api: ApiClient) -> list[Left]:
    """Every active tenant that a load run has made.

    Args:
        api: logged in as the platform's operator.
    Raises: ApiError
    """
    found: list[Left] = []
    after: str | None = ""
    while after is not None:
        page = api.get(f"/api/v1/tenants?limit=200{f'&after={after}' if after else ''}")
        for one in page["items"]:
            if one["state"] == "active" and (read := _MARK.match(one["name"])) is not None:
                told = read.groupdict()
                found.append(Left(one["id"], told["number"], told["source"], told["host"], int(told["pid"]), int(told["start"])))
        after = page["next"]
    return found


def clear(api: ApiClient, plan: Plan, tell: Tell = lambda _line: None) -> None:
    """Close what runs of this machine have left behind, and see that the plan crosses none that goes on.

    Args:
        api: logged in as the platform's operator.
    Raises: ApiError; CannotProvision: another run has the number or the address
    """
    for left in left_behind(api):
        if left.is_here and not left.is_alive:
            _close(api, left.tenant)
            tell(f"tenant {left.tenant} closed, which a run of process {left.pid} left behind")
        elif left.tenant != plan.tenant and (left.number == plan.dial or left.source == plan.source.partition("/")[0]):
            whose = f"process {left.pid} on {left.host}"
            over = "" if left.is_here else f", or close tenant {left.tenant} if that run is over (DELETE /api/v1/tenants/{left.tenant})"
            raise CannotProvision(
                f"another load run ({whose}) calls {left.number} from {left.source}: wait for it, give another number and another address "
                f"with --dial and --local-address{over}"
            )


def _close(api: ApiClient, tenant: str) -> None:
    try:
        api.request("DELETE", f"/api/v1/tenants/{tenant}")
    except ApiError as fault:
        if fault.status not in {404, 409}:  # not there, or closed by somebody else meanwhile
            raise


def remove(operator: ApiClient, admin: ApiClient | None, plan: Plan) -> bool:
    """Give back what the run had and close its tenant; its records stay, as with every tenant.

    Args:
        operator: logged in as the platform's operator.
        admin: logged in as the tenant's administrator; None: it did not come that far.
    Returns: whether there was one: a tenant without the mark of this very process is somebody's, and stays as it is.
    Raises: ApiError: the tenant could not be closed
    """
    try:
        found = operator.get(f"/api/v1/tenants/{plan.tenant}")
    except ApiError as fault:
        if fault.status != 404:
            raise
        return False
    if found["name"] != mark(plan) or found["state"] != "active":
        return False
    if admin is not None:
        for kind, key in [("numbers", plan.dial), ("trunks", "load"), *(("agents", f"load-{index:03d}") for index in range(plan.agents))]:
            try:
                admin.request("DELETE", f"/api/v1/{kind}/{key}")
            except ApiError:  # not there yet; or the closing takes it out of service
                break
    _close(operator, plan.tenant)
    return True


@contextlib.asynccontextmanager
async def provisioned(
    api: ApiClient, plan: Plan, tell: Tell, check: Callable[[], Awaitable[None]] | None = None
) -> AsyncIterator[tuple[AgentAccount, ...]]:
    """A tenant for as long as the context lasts, however it ends, unless `plan.keep`.

    Args:
        api: logged in as the platform's operator; inside, and afterwards, as the tenant's administrator.
        check: asked before anything is made, after what was left behind is gone.
    Raises: ApiError, CannotProvision: it could not be set up; what was made of it is gone again
    """
    with ApiClient(api.url, api.token) as operator:
        await asyncio.to_thread(clear, operator, plan, tell)
        if check is not None:
            await check()
        stop = threading.Event()
        making = asyncio.ensure_future(asyncio.to_thread(provision, api, plan, tell, stop))
        try:
            yield await asyncio.shield(making)
        finally:
            stop.set()
            await asyncio.wait({making})
            _ = making.exception()  # it was raised above, or the run was ended before it was
            if not plan.keep:
                await _take_away(api, operator, plan, tell)


async def _take_away(api: ApiClient, operator: ApiClient, plan: Plan, tell: Tell) -> None:
    admin = api if api.token != operator.token else None
    removing = asyncio.ensure_future(asyncio.to_thread(remove, operator, admin, plan))
    try:
        await asyncio.shield(removing)
    except asyncio.CancelledError:  # somebody is impatient; it is a matter of moments
        await asyncio.wait({removing})
        raise
    except ApiError:
        pass  # said below
    finally:
        if removing.done() and not removing.cancelled():
            if (fault := removing.exception()) is not None:
                tell(f"tenant {plan.tenant} could not be closed ({fault}); the next run on this machine does it")
            elif removing.result():
                tell(f"tenant {plan.tenant} closed")
