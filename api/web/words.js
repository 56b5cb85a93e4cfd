// What the page says, in German and English.
"use strict";

const WORDS = {
  de: {
    demoUsers: "Vorführung: alle Benutzer, Telefone und Passwörter wurden beim Start gezeigt und stehen in demo-credentials.json im Datenordner (data).",
    skip: "Zum Inhalt", login: "Anmelden", logout: "Abmelden", enter: "Anmelden", tenant: "Mandant", username: "Benutzer", password: "Passwort",
    queues: "Warteschlangen", agents: "Mitarbeitende", calls: "Gespräche", lines: "Leitungen",
    queue: "Warteschlange", waiting: "Wartend", longest: "Längste Wartezeit", ready: "Bereit", busy: "Beschäftigt", loggedOn: "Angemeldet",
    answered: "Angenommen", abandoned: "Aufgelegt", level: "Service-Level heute",
    agent: "Name", state: "Zustand", inState: "Dauer des Zustands", idleToday: "Frei heute", since: "Dauer", call: "Gespräch", phone: "Telefon", registered: "registriert", unregistered: "nicht registriert",
    caller: "Von", called: "An", direction: "Richtung", with: "Mit",
    line: "Leitung", reserved: "Belegt (kbit/s)", upload: "Upload (kbit/s)", channels: "Kanäle", free: "unbegrenzt", trunkUp: "erreichbar", trunkDown: "gestört",
    budgets: "Budgets", account: "Wofür", spent: "Verbraucht und reserviert", running: "davon laufend", limit: "Grenze", left: "Frei",
    account_tenant: "Alle Gespräche, je Stunde", account_balance: "Guthaben",
    none: "keine", connected: "verbunden, Stand", polling: "ohne WebSocket, wird abgefragt, Stand", lost: "Verbindung unterbrochen", expired: "Bitte neu anmelden",
    site: "Standort", trunk: "Amtsleitung",
    states: {
      free: "bereit", busy: "beschäftigt", not_ready: "nicht bereit", logged_off: "abgemeldet", unregistered: "Telefon fehlt",
      inbound: "eingehend", outbound: "ausgehend", internal: "intern", offered: "angekommen", treatment: "Ansage", queued: "wartet",
      alerting: "klingelt", established: "im Gespräch", held: "gehalten", consulting: "Rückfrage", cleared: "beendet",
      reserved: "belegt", connected: "im Gespräch", after_call_work: "Nachbearbeitung", done: "fertig",
    },
    reasons: { logged_on: "eben angemeldet", no_answer: "nicht abgenommen", device_failed: "Telefon gestört", logging_off: "meldet sich ab" },
  },
  en: {
    demoUsers: "Demonstration: all users, phones and passwords were shown at the start and are kept in demo-credentials.json in the data folder (data).",
    skip: "Skip to content", login: "Log in", logout: "Log out", enter: "Log in", tenant: "Tenant", username: "User name", password: "Password",
    queues: "Queues", agents: "Agents", calls: "Calls", lines: "Lines",
    queue: "Queue", waiting: "Waiting", longest: "Longest wait", ready: "Ready", busy: "Busy", loggedOn: "Logged on",
    answered: "Answered", abandoned: "Abandoned", level: "Service level today",
    agent: "Name", state: "State", inState: "Time in state", idleToday: "Idle today", since: "Duration", call: "Call", phone: "Phone", registered: "registered", unregistered: "not registered",
    caller: "From", called: "To", direction: "Direction", with: "With",
    line: "Line", reserved: "In use (kbit/s)", upload: "Upload (kbit/s)", channels: "Channels", free: "unlimited", trunkUp: "up", trunkDown: "down",
    budgets: "Budgets", account: "For", spent: "Spent and reserved", running: "of it running", limit: "Limit", left: "Left",
    account_tenant: "All calls, an hour", account_balance: "Prepaid balance",
    none: "none", connected: "connected, as of", polling: "no WebSocket, polling, as of", lost: "connection lost", expired: "Please log in again",
    site: "Site", trunk: "Trunk",
    states: {
      free: "ready", busy: "busy", not_ready: "not ready", logged_off: "logged off", unregistered: "no phone",
      inbound: "inbound", outbound: "outbound", internal: "internal", offered: "arrived", treatment: "announcement", queued: "waiting",
      alerting: "ringing", established: "talking", held: "on hold", consulting: "consulting", cleared: "over",
      reserved: "reserved", connected: "talking", after_call_work: "after-call work", done: "done",
    },
    reasons: { logged_on: "just logged on", no_answer: "did not answer", device_failed: "phone failed", logging_off: "logging off" },
  },
};
