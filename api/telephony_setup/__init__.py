"""Telephony setup: agents and devices, queues, menus, numbers, schedules, sites, trunks, reasons; effective at the next event.

`rules` (documents -> values, digests; pure) · `draft` (the values of one transaction -> `TenantSetup`; pure) · `service` ·
`pins` (hot desk) · `repository` · `models` · `schemas` · `errors` · `routes`.
"""

from api.telephony_setup.pins import pins_of
from api.telephony_setup.sealed import seal_rows, sealed_values
from api.telephony_setup.service import (
    Author,
    agents_hear_recordings,
    create,
    dialling,
    general,
    has_agent,
    hold,
    own_carriers,
    refresh,
    sealed_setup_of,
    set_device,
    setup_of,
    take_effect,
)

__all__ = [
    "Author",
    "agents_hear_recordings",
    "create",
    "dialling",
    "general",
    "has_agent",
    "hold",
    "own_carriers",
    "pins_of",
    "refresh",
    "seal_rows",
    "sealed_setup_of",
    "sealed_values",
    "set_device",
    "setup_of",
    "take_effect",
]
