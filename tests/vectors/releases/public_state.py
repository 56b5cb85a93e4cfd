"""What anybody may know of an exchange's state, as a JSON document in plain words: the measure of a journal that is read again.

The generator computes it with the code of the release, the tests with today's. The words of the document never change: when the
state names something otherwise, this module translates.
"""

from __future__ import annotations

from typing import Any

CALL = [
    "direction",
    "state",
    "calling",
    "calling_name",
    "called",
    "trunk",
    "agent",
    "number",
    "country",
    "language",
    "party",
    "pair",
    "menu",
    "entry",
    "queue",
    "ending",
    "recording",
    "notice_heard",
    "began_at",
    "since",
]
LEG = ["call", "role", "state", "agent", "number", "trunk", "site", "offer", "purpose", "arrived", "since"]
ENTRY = ["call", "queue", "state", "queued_at", "priority_s", "relaxation", "wait_limit_at", "tried", "offer"]
OFFER = ["call", "entry", "queue", "made_at", "open", "width"]
AGENT = ["state", "reason", "leaving", "since", "idle_since"]
WORK = ["leg", "kind", "queue", "state", "since", "until"]
BINDING = ["expires_at", "flow", "user_agent"]
QUEUE = ["state", "last_agent"]
LINE = ["reserved_kbits", "channels"]
TRUNK = ["up", "since", "detail"]
QUEUE_TALLY = [
    "offered",
    "answered",
    "abandoned",
    "short_abandoned",
    "overflowed",
    "exited",
    "closed",
    "withdrawn",
    "answered_in_time",
    "abandoned_in_time",
    "answer_wait_s",
    "abandon_wait_s",
    "longest_wait_s",
    "handled",
    "talk_s",
    "hold_s",
    "wrap_s",
]
AGENT_TALLY = [
    "offered",
    "answered",
    "no_answer",
    "declined",
    "failed",
    "handled",
    "outbound",
    "talk_s",
    "hold_s",
    "wrap_s",
    "idle_s",
    "busy_s",
    "not_ready_s",
]


def public_state(state: Any) -> dict[str, Any]:
    """Give the document.

    Args:
        state: an `acd.core.state.State`.
    Returns: strings, numbers, booleans, None, lists and dictionaries with string keys; as it comes back from JSON.
    """
    agents = {
        name: _told(one, AGENT) | {"works": _all(one.works, WORK), "bindings": _all(one.bindings, BINDING)}
        for name, one in state.agents.items()
    }
    return {
        "tenant": str(state.tenant),
        "stopping": state.stopping,
        "calls": {
            name: _told(one, CALL) | {"legs": _plain(one.legs), "forward": _forward(one.forward)} for name, one in state.calls.items()
        },
        "legs": _all(state.legs, LEG),
        "entries": _all(state.entries, ENTRY),
        "offers": _all(state.offers, OFFER),
        "agents": agents,
        "queues": _all(state.queues, QUEUE),
        "lines": _all(state.lines, LINE),
        "trunks": _all(state.trunks, TRUNK),
        "recordings": _plain(state.recordings),
        "timers": _plain(state.timers),
        "statistics": {
            "day_ends_at": state.statistics.day_ends_at,
            "queues": _all(state.statistics.queues, QUEUE_TALLY),
            "agents": _all(state.statistics.agents, AGENT_TALLY),
        },
        "configured": _configured(state.configuration),
    }


def _configured(configuration: Any) -> dict[str, list[str]] | None:
    """What is configured, by name: the documents stand in the database."""
    if configuration is None:
        return None
    kinds = ("agents", "queues", "menus", "schedules", "sites", "trunks")
    names = {kind: [str(one.id) for one in getattr(configuration, kind)] for kind in kinds}
    return names | {"numbers": [one.number for one in configuration.numbers], "reasons": [one.code for one in configuration.reasons]}


def _forward(forward: Any) -> dict[str, Any] | None:
    return None if forward is None else _told(forward, ["number", "reason", "by"])


def _all(parts: dict[Any, Any], fields: list[str]) -> dict[str, Any]:
    return {str(name): _told(one, fields) for name, one in parts.items()}


def _told(part: Any, fields: list[str]) -> dict[str, Any]:
    return {field: _plain(getattr(part, field)) for field in fields}


def _plain(value: Any) -> Any:
    if isinstance(value, bool | int | float) or value is None:
        return value
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return str(value)
