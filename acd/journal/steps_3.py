"""From version 2 of the journal's words to version 3: dates are resolved before they decide (ADR 0015; reads libraries' data), and queues,
offers and work know contacts, of which a call is one (ADR 0016).

Programs until 0.2 looked time zones and public holidays up while they decided. What they found is put into their entries as today's
libraries know it: into every schedule, and as the zone that divides the figures. An entry that is no configuration passes untouched.
"""

from __future__ import annotations

from typing import Any, Final

from acd.resolve import YEARS, Years, public_holidays, year_of, zone

Raw = list[Any]
"""As in `acd.journal.words`."""

_BERLIN: Final = "Europe/Berlin"
"""The zone of schedules that named none, and of the figures of tenants without schedules."""
_WHOLE: Final = frozenset({"Configured", "ConfigurationChanged"})
_CHANGES: Final = frozenset({"Reconfigured", "ConfigurationAltered"})


def resolve_dates(entry: Raw) -> Raw:
    """An entry of version 2 with its dates; the entry itself is changed.

    They reach further than what the service would resolve (`acd.resolve.YEARS`): a journal may go on for years after its last change of the
    configuration, and the first start with this version sees that they are not its own, and writes down what holds from then on.
    """
    _, now, given, events = entry
    if given["type"] not in _WHOLE and given["type"] not in _CHANGES:
        return entry
    first = year_of(now) - 1
    years = (first, first + 2 * YEARS)
    # A change of the figures' zone was told by the event alone; the settings tell it now, and what came in told them.
    moved = next((name for event in events if event["type"] == "ConfigurationAltered" and (name := event.pop("zone", None))), None)
    for word in (given, *events):
        if word["type"] in _WHOLE:
            _resolve_whole(word["configuration"], years)
        elif word["type"] in _CHANGES:
            word["changes"] = _with_zone([_resolve_change(one, years) for one in word["changes"]], moved, years)
    return entry


def _resolve_whole(configuration: dict[str, Any], years: Years) -> None:
    schedules = configuration.get("schedules", ())
    configuration["zone"] = _resolve_zone(schedules[0].get("timezone", _BERLIN) if schedules else _BERLIN, years)
    if schedules:
        configuration["schedules"] = [_resolve_hours(one, years) for one in schedules]


def _resolve_change(change: dict[str, Any], years: Years) -> dict[str, Any]:
    return {**change, "value": _resolve_hours(change["value"], years)} if change["type"] == "SchedulePut" else change


def _resolve_hours(raw: dict[str, Any], years: Years) -> dict[str, Any]:
    days = [day.isoformat() for day in public_holidays(raw.get("holiday_region"), years)]
    return {**raw, "zone": _resolve_zone(raw.get("timezone", _BERLIN), years), "holidays": days}


def _resolve_zone(name: str, years: Years) -> dict[str, Any]:
    found = zone(name, years)
    return {"name": name, "offsets": found.offsets, "until": found.until}


def _with_zone(changes: list[dict[str, Any]], moved: str | None, years: Years) -> list[dict[str, Any]]:
    """With the zone that was changed to; a first configuration that came as changes said none where it was the usual one."""
    begins = any(one["type"] == "SettingsPut" and "tenant" in one for one in changes)
    if moved is None and not begins:
        return changes
    found = _resolve_zone(moved or _BERLIN, years)
    settings = [one for one in changes if one["type"] == "SettingsPut"] or [{"type": "SettingsPut"}]
    return [{**settings[0], "zone": found}, *(one for one in changes if one["type"] != "SettingsPut")]


# ---------------------------------------------------------------------- contacts

_OF_CONTACTS: Final = frozenset(
    {
        "Queued",
        "QueueLeft",
        "OfferMade",
        "OfferEnded",
        "WorkReserved",
        "WorkConnected",
        "AfterCallWorkBegan",
        "WorkDone",
        "DispositionSet",
        "SetDisposition",
    }
)


def know_contacts(entry: Raw) -> Raw:
    """What was said of a call is said of the contact, whose id is the call's; a leg says which offer it rings for, instead of the offer.

    The status of our own refusals is told by their cause.
    """
    _, _, given, events = entry
    rings_for: dict[str, str] = {}
    for word in (given, *events):
        kind = word["type"]
        if kind in _OF_CONTACTS:
            word["contact"] = word.pop("call")
        if kind == "OfferMade":
            rings_for |= dict.fromkeys(word.pop("legs").values(), word["offer"])
        elif kind == "WorkReserved":
            del word["leg"]
        elif kind == "LegInitiated" and word["leg"] in rings_for:
            word["offer"] = rings_for[word["leg"]]
        elif kind == "LegCleared" and word.get("by", "exchange") == "exchange":
            word.pop("status", None)
    return entry
