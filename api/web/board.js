// The live queue board: logs in, listens to /api/v1/board, polls /api/v1/live where no WebSocket comes through.
"use strict";

const POLL_MS = 2000;
const RETRY_MS = [500, 1000, 2000, 5000];
const NO_TOKEN = 4401;
const NOT_FOR_THIS_ROLE = 4403;
const WITH_BOARD = ["agent", "supervisor", "admin"];

const $ = (id) => document.getElementById(id);
let language = localStorage.getItem("language") || (navigator.language.startsWith("de") ? "de" : "en");
let session = JSON.parse(sessionStorage.getItem("session") || "null");
let socket = null;
let poll = null;
let failures = 0;
let last = null;
let money = null;
let reasons = {};
let status = null;
let trouble = null;  // what the log-in form has to say: a function, as it is said anew in the other language

const word = (key) => WORDS[language][key] ?? key;
const named = (state) => WORDS[language].states[String(state).toLowerCase()] ?? state;

function speak() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = word(element.dataset.word);
  $("language").textContent = language === "de" ? "English" : "Deutsch";
  $("language").lang = language === "de" ? "en" : "de";
  showTrouble();
  showNoBoard();
  showStatus();
  if (last) draw(last);
}

function showTrouble() { $("login-error").textContent = trouble ? trouble() : ""; }

const hasBoard = () => Boolean(session) && !session.boardless && (!session.role || WITH_BOARD.includes(session.role));

/* Who is logged in and has no board is told so: logging in again would bring nobody further. */
function showNoBoard() {
  const known = session ? WORDS[language].roles[session.role] : null;
  $("no-board-role").textContent = session ? known ?? word("roleOther") : "";
}

function showStatus() {
  if (!status) { $("connection").textContent = ""; return; }
  const time = last ? " " + new Date(last.at * 1000).toLocaleTimeString(language) : "";
  const text = word(status) + (status === "lost" ? "" : time);
  // A screen reader is told of a change of the connection, not of every second.
  $("connection").setAttribute("aria-live", $("connection").dataset.status === status ? "off" : "polite");
  $("connection").dataset.status = status;
  $("connection").textContent = text;
}

function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const hours = Math.floor(whole / 3600);
  const rest = String(Math.floor((whole % 3600) / 60)).padStart(hours ? 2 : 1, "0") + ":" + String(whole % 60).padStart(2, "0");
  return hours ? hours + ":" + rest : rest;
}

const reasonName = (code) => WORDS[language].reasons[code] ?? reasons[code] ?? code;
const percent = (share) => share === null || share === undefined ? "–" : Math.round(share * 100) + " %";

/* columns: [word, value(row), isNumber]; the first column heads its row.
   On a narrow screen board.css stacks the cells of a row, each with its column's name; what is no longer laid out as a table is
   one for screen readers only by its roles. */
function table(id, rows, columns, mark) {
  $(id).setAttribute("role", "table");
  const head = document.createElement("thead");
  head.setAttribute("role", "rowgroup");
  const titles = head.insertRow();
  titles.setAttribute("role", "row");
  for (const [title, , number] of columns) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.setAttribute("role", "columnheader");
    cell.textContent = word(title);
    if (number) cell.className = "number";
    titles.append(cell);
  }
  const body = document.createElement("tbody");
  body.setAttribute("role", "rowgroup");
  for (const row of rows) {
    const line = body.insertRow();
    line.setAttribute("role", "row");
    if (mark && mark(row)) line.className = "waiting";
    columns.forEach(([title, value, number], index) => {
      const cell = document.createElement(index ? "td" : "th");
      if (!index) cell.scope = "row";
      cell.setAttribute("role", index ? "cell" : "rowheader");
      cell.dataset.column = word(title);
      if (number) cell.className = "number";
      cell.textContent = value(row) ?? "";
      line.append(cell);
    });
  }
  if (!rows.length) {
    const line = body.insertRow();
    line.setAttribute("role", "row");
    const cell = line.insertCell();
    cell.setAttribute("role", "cell");
    cell.colSpan = columns.length;
    cell.className = "empty";
    cell.textContent = word("none");
  }
  $(id).replaceChildren(head, body);
}

function draw(live) {
  last = live;
  const names = Object.fromEntries(live.agents.map((agent) => [agent.id, agent.name]));
  const queueNames = Object.fromEntries(live.queues.map((queue) => [queue.id, queue.name]));
  const trunks = Object.fromEntries(live.trunks.map((trunk) => ["trunk:" + trunk.id, trunk]));
  table("queues", live.queues, [
    ["queue", (q) => q.name],
    ["waiting", (q) => q.waiting_count, true],
    ["longest", (q) => duration(q.longest_wait_s), true],
    ["ready", (q) => q.ready, true],
    ["busy", (q) => q.busy, true],
    ["loggedOn", (q) => q.logged_on, true],
    ["answered", (q) => q.answered_today, true],
    ["abandoned", (q) => q.abandoned_today, true],
    ["level", (q) => percent(q.service_level), true],
  ], (q) => q.waiting_count > 0);
  table("agents", live.agents, [
    ["agent", (a) => a.name],
    ["state", (a) => named(a.category) + (a.category === "not_ready" && a.reason ? " (" + reasonName(a.reason) + ")" : "")],
    ["inState", (a) => a.category_since ? duration(live.at - a.category_since) : "", true],
    ["call", (a) => a.work.map((w) => named(w.state) + (w.queue ? ", " + (queueNames[w.queue] ?? w.queue) : "")).join("; ")],
    ["phone", (a) => word(a.registered ? "registered" : "unregistered")],
    ["answered", (a) => a.answered_today, true],
    ...(live.agents.some((a) => a.idle_today_s !== undefined) ? [["idleToday", (a) => duration(a.idle_today_s ?? 0), true]] : []),
  ]);
  table("calls", live.calls, [
    ["caller", (c) => c.calling ?? "–"],
    ["called", (c) => c.called],
    ["direction", (c) => named(c.direction)],
    ["state", (c) => named(c.state)],
    ["queue", (c) => c.queue ? queueNames[c.queue] ?? c.queue : ""],
    ["with", (c) => c.parties.filter((p) => p.agent).map((p) => names[p.agent] ?? p.agent).join(", ")],
    ["since", (c) => duration(live.at - c.began_at), true],
  ]);
  table("lines", live.lines, [
    ["line", (l) => { const [kind, id] = l.line.split(/:(.*)/); return word(kind) + " " + (trunks[l.line]?.name ?? id); }],
    ["reserved", (l) => l.reserved_kbits, true],
    ["upload", (l) => l.upload_kbits ?? word("free"), true],
    ["channels", (l) => l.reservations.length, true],
    ["state", (l) => trunks[l.line] ? word(trunks[l.line].up ? "trunkUp" : "trunkDown") : ""],
  ]);
  drawBudgets(names);
  showStatus();
}

/* Amounts are text with four decimals: a browser's numbers are none to reckon money with, and are only asked how to write them. */
function drawBudgets(names) {
  const accounts = (money?.accounts ?? []).filter((account) => account.limit !== null);
  const written = (value) => Number(value).toLocaleString(language, { style: "currency", currency: money.currency });
  const whose = (account) => account.startsWith("agent:") ? names[account.slice(6)] ?? account.slice(6) : word("account_" + account);
  $("budgets-part").hidden = !accounts.length;
  table("budgets", accounts, [
    ["account", (a) => whose(a.account)],
    ["spent", (a) => written(a.reserved), true],
    ["running", (a) => written(a.running), true],
    ["limit", (a) => written(a.limit), true],
    ["left", (a) => written(Math.max(0, a.limit - a.reserved)), true],
  ], (a) => a.reserved >= 0.8 * a.limit);
}

async function request(path, options = {}) {
  const headers = { Accept: "application/json", ...(options.body ? { "Content-Type": "application/json" } : {}) };
  if (session) headers.Authorization = "Bearer " + session.token;
  const answer = await fetch(path, { ...options, headers });
  if (answer.status === 401 && session) { leave("expired"); throw new Error("401"); }
  if (!answer.ok) throw new Refusal(answer, await answer.json().catch(() => ({})));
  return answer.status === 204 ? null : answer.json();
}

/* An answer that is a problem document (RFC 9457), or should have been one. */
class Refusal extends Error {
  constructor(answer, problem) {
    super(problem.detail ?? answer.statusText);
    this.kind = String(problem.type ?? "").split(":").pop();
    this.wait = answer.headers.get("Retry-After");
  }
}

/* In the reader's language where the page has words for it, else as the API says it. */
function spelled(error) {
  const kind = error instanceof TypeError ? "unreachable" : error.kind;  // fetch: the request came nowhere
  const words = WORDS[language].problems[kind];
  return words ? words.replace("{wait}", error.wait ?? "60") : error.message;
}

/* What the tenant calls its reasons; the page can do without. */
async function learnReasons() {
  try {
    const page = await request("api/v1/reasons?limit=500");
    reasons = Object.fromEntries(page.items.map((reason) => [reason.code, reason.name]));
    if (last) draw(last);
  } catch { /* the codes are shown */ }
}

function listen() {
  if (!hasBoard()) return;
  if (!Object.keys(reasons).length) learnReasons();
  const address = new URL("api/v1/board", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(address, ["fernamt.v1", "bearer." + session.token]);
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    failures = 0;
    stopPolling();
    status = "connected";
    if (message.type === "live") { money = message.spending ?? null; draw(message.live); }
  };
  socket.onclose = (event) => {
    socket = null;
    if (!session) return;
    if (event.code === NO_TOKEN) { leave("expired"); return; }
    if (event.code === NOT_FOR_THIS_ROLE) { goWithoutBoard(); return; }
    failures += 1;
    status = "lost";
    showStatus();
    startPolling();
    setTimeout(listen, RETRY_MS[Math.min(failures, RETRY_MS.length) - 1]);
  };
}

/* The role has become another since the log-in, or was not known: the service has the last word. */
async function goWithoutBoard() {
  const role = (await request("api/v1/me").catch(() => null))?.role;
  if (!session) return;
  session = { ...session, role, boardless: true };
  last = null;
  status = null;
  stopPolling();
  show();
  showStatus();
}

function startPolling() {
  poll ??= setInterval(async () => {
    try {
      const live = await request("api/v1/live");
      status = "polling";
      draw(live);
    } catch { status = session ? "lost" : null; showStatus(); }
  }, POLL_MS);
}

function stopPolling() {
  clearInterval(poll);
  poll = null;
}

function show() {
  $("login").hidden = Boolean(session);
  $("board").hidden = !hasBoard();
  $("no-board").hidden = !session || hasBoard();
  showNoBoard();
  $("logout").hidden = !session;
  if (!session) $("login").elements.tenant.focus();
}

function leave(reason) {
  session = null;
  last = null;
  money = null;
  reasons = {};
  status = null;
  sessionStorage.removeItem("session");
  stopPolling();
  if (socket) { socket.onclose = null; socket.close(); socket = null; }
  show();
  showStatus();
  $("login").elements.password.value = "";
  trouble = reason ? () => word(reason) : null;
  showTrouble();
}

$("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target.elements;
  try {
    const body = { tenant: form.tenant.value.trim() || null, username: form.username.value.trim(), password: form.password.value };
    session = await request("api/v1/login", { method: "POST", body: JSON.stringify(body) });
    sessionStorage.setItem("session", JSON.stringify(session));
    form.password.value = "";
    trouble = null;
    failures = 0;
    show();
    $("main").focus();
    listen();
  } catch (error) {
    trouble = () => spelled(error);
  }
  showTrouble();
});

$("logout").addEventListener("click", async () => {
  try { await request("api/v1/logout", { method: "POST" }); } catch { /* the token is forgotten here in any case */ }
  leave();
});

$("language").addEventListener("click", () => {
  language = language === "de" ? "en" : "de";
  localStorage.setItem("language", language);
  speak();
});

async function start() {
  speak();
  show();
  if (session) { listen(); return; }
  try {
    const demo = await request("api/v1/demo");
    if (demo.demo) {
      for (const name of ["tenant", "username", "password"]) $("login").elements[name].value = demo[name] ?? "";
      $("login-demo").hidden = false;
    }
  } catch { /* the form stays empty */ }
}

start();
