"""Set up what a run needs through the public API: a tenant, a trunk, a queue, a number, agents with devices (house)."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import msgspec

from load.api_client import ApiClient, ApiError
from load.records import AgentAccount

QUEUE = "load"
SKILL = "load"
SITE_KBITS = 100_000_000
"""Room for a million channels: a load run measures the exchange, not the admission."""
SOURCE = "127.0.0.0/8"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is set up; all of it may be there already."""

    tenant: str = "load"
    agents: int = 10
    dial: str = "601"
    after_call_work_s: float = 0.0
    ring_timeout_s: float = 20.0
    greeting: bool = True
    source: str = SOURCE
    """Where the callers' calls come from: the trunk's IP authentication."""
    admin: str = "load-admin"
    admin_password: str = ""


def provision(api: ApiClient, plan: Plan, tell: Callable[[str], None] = lambda _line: None) -> tuple[AgentAccount, ...]:
    """Create what is missing, change what differs; afterwards `api` is logged in as the tenant's administrator.

    Args:
        api: logged in as the platform's operator.
    Returns: the agents with fresh device passwords.
    Raises: ApiError: the service said no; the text says to what.
    """
    password = plan.admin_password or secrets.token_urlsafe(18)
    try:
        admin = {"username": plan.admin, "password": password}
        api.post("/api/v1/tenants", {"id": plan.tenant, "name": f"Load {plan.tenant}", "admin": admin})
        tell(f"tenant {plan.tenant} created")
    except ApiError as fault:
        if fault.status != 409:
            raise
        if not plan.admin_password:
            raise ApiError(
                "POST", "/api/v1/tenants", 409, f"tenant {plan.tenant} is there already: name another, or give its administrator's password"
            ) from fault
    api.post(f"/api/v1/tenants/{plan.tenant}/sources", {"network": plan.source, "note": "synthetic callers"})
    if plan.dial.startswith("+"):
        api.post(f"/api/v1/tenants/{plan.tenant}/numbers", {"numbers": [plan.dial]})
    api.log_in(plan.admin, password, plan.tenant)
    setup = _Setup(api)
    setup.put("sites", "load", {"id": "load", "upload_kbits": SITE_KBITS})
    trunk = {"id": "load", "name": "Load", "peer": "127.0.0.1:9", "sources": [plan.source], "probe_every_s": 0, "outbound": False}
    setup.put("trunks", "load", trunk)
    setup.put("reasons", "break", {"code": "break", "name": "Break"}, key="code")
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
    setup.put("queues", QUEUE, queue)
    setup.put("numbers", plan.dial, {"number": plan.dial, "target": {"to": "queue", "queue": QUEUE}, "language": "en"}, key="number")
    tell(f"trunk, queue and number {plan.dial} set up")
    accounts = tuple(_agent(api, f"load-{index:03d}", plan) for index in range(plan.agents))
    tell(f"{len(accounts)} agents set up")
    return accounts


class _Setup:
    """Create, or replace what is there."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    def put(self, kind: str, name: str, document: dict[str, Any], *, key: str = "id") -> None:
        try:
            self._api.post(f"/api/v1/{kind}", document)
        except ApiError as fault:
            if fault.status != 409:
                raise
            self._api.put(f"/api/v1/{kind}/{name}", {**document, key: name})


def _agent(api: ApiClient, agent: str, plan: Plan) -> AgentAccount:
    password = secrets.token_urlsafe(15)
    document = {"id": agent, "name": agent.title(), "skills": {SKILL: 5}, "languages": ["en", "de"], "device_password": password}
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
