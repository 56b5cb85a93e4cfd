"""Telephony setup: agents and devices, queues, menus, numbers, schedules, sites, trunks, reasons; effective at the next event.

`rules` (documents -> values, digests; pure) · `draft` (the values of one transaction -> `TenantSetup`; pure) · `service` ·
`pins` (hot desk) · `repository` · `models` · `schemas` · `errors` · `routes`.
"""

from api.telephony_setup.models import Row
from api.telephony_setup.pins import pins_of
from api.telephony_setup.sealed import seal_rows, sealed_values
from api.telephony_setup.service import (
    Author,
    agents_hear_recordings,
    create,
    delete,
    dialling,
    general,
    has_agent,
    hold,
    must_have_sounds,
    one,
    own_carriers,
    refresh,
    replace,
    rows,
    sealed_setup_of,
    set_device,
    setup_of,
    some,
    take_effect,
)

__all__ = [
    "Author",
    "Row",
    "agents_hear_recordings",
    "create",
    "delete",
    "dialling",
    "general",
    "has_agent",
    "hold",
    "must_have_sounds",
    "one",
    "own_carriers",
    "pins_of",
    "refresh",
    "replace",
    "rows",
    "seal_rows",
    "sealed_setup_of",
    "sealed_values",
    "set_device",
    "setup_of",
    "some",
    "take_effect",
]
