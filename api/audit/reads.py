"""Which route gives out personal data, and of what kind. Every GET stands in one of the two tables: a test walks the application's routes.

Personal is what tells of a person: callers, contacts, and the people who work here. The dependency that lets a request in records the read
when the route has answered (`api.identity.access`), so a route cannot forget it; the WebSockets record when they are opened.
"""

from __future__ import annotations

from collections.abc import Mapping

PERSONAL: Mapping[str, str] = {
    # operation -> kind of the entry
    "listContacts": "contact",
    "getContact": "contact",
    "listTickets": "ticket",
    "getTicket": "ticket",
    "listAppointments": "appointment",
    "getAppointment": "appointment",
    "listCdrs": "cdr",
    "getCdr": "cdr",
    "exportCdrs": "cdr",
    "listRecordings": "recording",
    "getRecording": "recording",
    "getRecordingAudio": "recording_audio",  # told apart: who looked it up has not heard it yet
    "getCharge": "charge",
    "listCharges": "charge",
    "exportCharges": "charge",
    "getLive": "live",
    "getDecisions": "decision",
    "getWhyWaiting": "decision",
    "getState": "state",
    "listAudit": "audit",
    "listUsers": "user",
    "getUser": "user",
    "listAgents": "agent",
    "getAgent": "agent",
    "getDevice": "device",
    "getSpending": "spending",
    "getDialling": "dialling",
}
IMPERSONAL: frozenset[str] = frozenset(
    {
        "whoAmI",  # what the asker knows
        "getQuote",  # a price; the number is the asker's own
        "getMonth",  # sums
        "getInvoice",
        "exportInvoice",
        "listTariffs",
        "getHouseTariff",
        "listRates",
        "getTariff",
        "listApiKeys",
        "getSetup",
        "getPrepaidOfTenant",  # what a tenant has paid
        "listQueues",
        "getQueue",
        "listMenus",
        "getMenu",
        "listNumbers",
        "getNumber",
        "listSchedules",
        "getSchedule",
        "listSites",
        "getSite",
        "listTrunks",
        "getTrunk",
        "listReasons",
        "getReason",
        "getAssignments",
        "listAssignedNumbers",
        # the platform's: companies, not people
        "getAssignmentsOfTenant",
        "listNumbersOfTenant",
        "listSources",
        "listTenants",
        "getTenant",
        "listOperatorAudit",
        "listBans",
        "listAttempts",
        # without a log-in
        "isAlive",
        "isReady",
        "getMetrics",
        "getDemo",
    }
)
SOCKETS: Mapping[str, str] = {"/api/v1/events": "live", "/api/v1/board": "live"}
"""WebSockets: an entry for each that is opened."""
