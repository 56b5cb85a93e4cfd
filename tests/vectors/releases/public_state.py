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
    "party",
    "menu",
    "ending",
    "recording",
    "notice_heard",
    "began_at",
    "since",
]
CONTACT = ["language", "entry", "queue"]
LEG = ["call", "role", "state", "agent", "number", "trunk", "site", "offer", "purpose", "arrived", "since"]
ENTRY = ["queue", "state", "queued_at", "priority_s", "relaxation", "wait_limit_at", "tried", "offer"]
OFFER = ["entry", "queue", "made_at", "width"]
AGENT = ["state", "reason", "leaving", "since", "idle_since"]
WORK = ["kind", "queue", "state", "since", "until"]
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
        name: _told(one, AGENT)
        | {
            "works": {
                str(contact): _told(work, WORK) | {"leg": _leg_of(state, name, contact, work)} for contact, work in one.works.items()
            },
            "bindings": _all(one.bindings, BINDING),
        }
        for name, one in state.agents.items()
    }
    return {
        "tenant": str(state.tenant),
        "stopping": state.stopping,
        "calls": {
            name: _told(one, CALL)
            | _told(_contact_of(state, one), CONTACT)
            | {"legs": _plain(one.legs), "forward": _forward(one.forward), "pair": _pair(one)}
            for name, one in state.calls.items()
        },
        "legs": _all(state.legs, LEG),
        "entries": {str(name): _told(one, ENTRY) | {"call": _call_of(one)} for name, one in state.entries.items()},
        "offers": {str(name): _told(one, OFFER) | {"call": _call_of(one), "open": _open(state, one)} for name, one in state.offers.items()},
        "agents": agents,
        "queues": _all(state.queues, QUEUE),
        "lines": _all(state.lines, LINE),
        "trunks": _all(state.trunks, TRUNK),
        "recordings": _plain(state.recordings),
        "timers": {_timer(name): at for name, at in state.timers.items()},
        "statistics": {
            "day_ends_at": state.statistics.day_ends_at,
            "queues": _all(state.statistics.queues, QUEUE_TALLY),
            "agents": _all(state.statistics.agents, AGENT_TALLY),
        },
        "configured": _configured(state.configuration),
    }


# What the state has named otherwise since a release is translated here.


def _contact_of(state: Any, call: Any) -> Any:
    """What is a contact's own since words of version 3 was its call's."""
    return state.contacts[call.id] if hasattr(state, "contacts") else call


def _pair(call: Any) -> list[str] | None:
    """The two in conversation; they are a list of parties now, of which there may be more."""
    if hasattr(call, "pair"):
        return _plain(call.pair)
    return _plain(call.parties) or None


def _call_of(part: Any) -> str:
    return str(part.contact if hasattr(part, "contact") else part.call)


def _leg_of(state: Any, agent: str, call: str, work: Any) -> str | None:
    """The agent's leg in a call that is up; after-call work is told without."""
    if work.state == "after_call_work":
        return None
    if hasattr(work, "leg"):
        return str(work.leg)
    return next((str(one.id) for one in state.legs.values() if one.call == call and one.agent == agent), None)


def _open(state: Any, offer: Any) -> Any:
    """Whose part of an offer has not ended, with the leg that rings."""
    if isinstance(offer.open, dict):
        return _plain(offer.open)
    rings = {one.agent: str(one.id) for one in state.legs.values() if one.offer == offer.id}
    return {str(agent): rings.get(agent) for agent in offer.open}


def _timer(name: str) -> str:
    """After-call work was timed by agent."""
    kind, _, subject = name.partition(" ")
    return f"{kind} {subject.rpartition(' ')[2]}" if kind == "after_call_work" else name


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
