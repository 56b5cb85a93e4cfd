"""Which route gives out personal data, and of what kind. Every GET stands in one of two tables, and whatever writes in one of two others: a
test walks the application's routes.

Personal is what tells of a person: callers, contacts, and the people who work here. The dependency that lets a request in records the read
when the route has answered (`api.identity.access`), so a route cannot forget it; the WebSockets record when they are opened.
"""

from __future__ import annotations

from collections.abc import Mapping

_SETUP = ("Queue", "Menu", "Number", "Schedule", "Site", "Trunk", "Reason", "Sound")

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
    "getDecisionsOfContact": "decision",
    "getWhyContactWaits": "decision",
    "getMessage": "message",
    "getCallback": "callback",
    "getState": "state",
    "listAudit": "audit",
    "listUsers": "user",
    "listMails": "mail",
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
        "listEventTypes",
        "listWebhooks",  # servers
        "getWebhook",
        "listDeliveries",  # what became of them, not what was in them
        "listJobs",
        "listJobsOfTenant",
        "listSounds",
        "listPackagedSounds",
        "getSound",
        "getSoundAudio",  # an announcement, which every caller hears
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
ANSWERED: Mapping[str, str] = {
    # operation -> kind of the entry
    "createContact": "contact",
    "replaceContact": "contact",
    "createTicket": "ticket",
    "changeTicket": "ticket",
    "createAppointment": "appointment",
    "replaceAppointment": "appointment",
    "createUser": "user",
    "testMail": "mail",
    "sendMailAgain": "mail",
    "changeUser": "user",
    "createAgent": "agent",
    "replaceAgent": "agent",
    "setDevice": "device",
    "rerate": "charge",
    "setDialling": "dialling",
}
"""Writes that answer with personal data. One that leaves an entry of what it changed has been recorded by that; one that changed nothing
(an empty PATCH, a PUT of what is there, a dry run) is a read.
"""
UNANSWERED: frozenset[str] = frozenset(
    {
        # nothing is answered
        "logOut",
        "changePassword",
        "deleteUser",
        "deleteApiKey",
        "deleteContact",
        "deleteAppointment",
        "deleteRecording",
        "deleteAgent",
        "setPin",
        "deletePin",
        # what the asker knows, or what is no person
        "logIn",
        "createApiKey",
        "createTariff",
        "setSetup",
        "createWebhook",
        "replaceWebhook",
        "deleteWebhook",
        "rotateWebhookSecret",
        "testWebhook",
        "replayDelivery",
        "replayDeadDeliveries",
        "tryJobAgain",
        "dropJob",
        "tryJobOfTenantAgain",
        *(f"{verb}{kind}" for verb in ("create", "replace", "delete") for kind in _SETUP),
        # events of a call at the desk that is meant, which the journal keeps with the command
        "logOn",
        "logOff",
        "goReady",
        "goNotReady",
        "endAfterCallWork",
        "endAcw",
        "dial",
        "answer",
        "decline",
        "hold",
        "retrieve",
        "hangUp",
        "transfer",
        "consult",
        "alternate",
        "reconnect",
        "conference",
        "completeTransfer",
        "announce",
        "supervise",
        "setDisposition",
        "clearCall",
        "pick",
        "closeContact",
        "setDispositionOfContact",
        "moveContact",
        "prioritiseContact",
        "reskillContact",
        "assignContact",
        # what the asker has just told, or what it takes away
        "createMessage",
        "createCallback",
        "deleteMessage",
        "deleteCallback",
        # the platform's: companies, not people
        "createTenant",
        "openTenant",
        "closeTenant",
        "liftBan",
        "setRightsOfTenant",
        "assignNumbers",
        "withdrawNumber",
        "grantSource",
        "withdrawSource",
        "grantCallerId",
        "withdrawCallerId",
        "payIn",
        "endPrepaid",
    }
)
SOCKETS: Mapping[str, str] = {"/api/v1/events": "live", "/api/v1/board": "live"}
"""WebSockets: an entry for each that is opened."""
