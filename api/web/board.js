// The live queue board: logs in, listens to /api/v1/board, polls /api/v1/live where no WebSocket comes through.
"use strict";

const POLL_MS = 2000;
const RETRY_MS = [500, 1000, 2000, 5000];
const TICK_MS = 250;  // often enough that no second is passed over
const SILENCE_MS = 45000;  // three of the service's heartbeats: a cable that was pulled closes no socket
const STEP_MS = 2000;  // the server's clock was set, or this machine has slept: no delay of the network is so long
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
let ahead = null;  // the server's clock less this page's `performance.now()`, ms: of the messages so far the one that came quickest
let heardAt = 0;  // when the socket said something last, by `performance.now()`
let stoppedAt = null;  // the server's time, s, at which the connection was lost
const clocks = {};  // table -> [cell, its text]: what counts on by itself
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

/* The time of what is shown, s, by the server's clock. It goes on by itself only while the socket is there. */
function shownAt() {
  if (status === "connected" && ahead !== null) return Math.max(last.at, (performance.now() + ahead) / 1000);
  return stoppedAt ?? last.at;
}

/* A message that took longer than another would set the clocks back. */
function setClock(at) {
  const found = at * 1000 - performance.now();
  ahead = ahead === null || Math.abs(found - ahead) > STEP_MS ? found : Math.max(found, ahead);
  stoppedAt = null;
}

function stopClocks() {
  if (status === "connected" && last) stoppedAt = shownAt();
  ahead = null;
}

/* Only cells that say something else are written: what somebody has marked stays marked. No table is a live region. */
function tick() {
  if (status !== "connected" || !last) return;
  if (performance.now() - heardAt > SILENCE_MS) { lose(); return; }
  for (const [cell, text] of Object.values(clocks).flat()) {
    const now = text();
    if (cell.textContent !== now) cell.textContent = now;
  }
  showStatus();
}

function showStatus() {
  if (!status) { $("connection").textContent = ""; return; }
  const time = last ? " " + new Date(shownAt() * 1000).toLocaleTimeString(language) : "";
  const text = word(status) + (status === "lost" && time ? ", " + word("stopped") : "") + time;
  // A screen reader is told of a change of the connection, not of every second.
  $("connection").setAttribute("aria-live", $("connection").dataset.status === status ? "off" : "polite");
  $("connection").dataset.status = status;
  if ($("connection").textContent !== text) $("connection").textContent = text;
}

function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const hours = Math.floor(whole / 3600);
  const rest = String(Math.floor((whole % 3600) / 60)).padStart(hours ? 2 : 1, "0") + ":" + String(whole % 60).padStart(2, "0");
  return hours ? hours + ":" + rest : rest;
}

const reasonName = (code) => WORDS[language].reasons[code] ?? reasons[code] ?? code;
const percent = (share) => share === null || share === undefined ? "–" : Math.round(share * 100) + " %";

/* columns: [word, value(row), kind]; the first column heads its row. A kind is nothing, NUMBER, or CLOCK: a number that counts on, or
   begins anew at midnight.
   On a narrow screen board.css stacks the cells of a row, each with its column's name; what is no longer laid out as a table is
   one for screen readers only by its roles. */
const NUMBER = "number";
const CLOCK = "clock";

function table(id, rows, columns, mark) {
  $(id).setAttribute("role", "table");
  const head = document.createElement("thead");
  head.setAttribute("role", "rowgroup");
  const titles = head.insertRow();
  titles.setAttribute("role", "row");
  for (const [title, , kind] of columns) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.setAttribute("role", "columnheader");
    cell.textContent = word(title);
    if (kind) cell.className = "number";
    titles.append(cell);
  }
  const body = document.createElement("tbody");
  clocks[id] = [];
  body.setAttribute("role", "rowgroup");
  for (const row of rows) {
    const line = body.insertRow();
    line.setAttribute("role", "row");
    if (mark && mark(row)) line.className = "waiting";
    columns.forEach(([title, value, kind], index) => {
      const cell = document.createElement(index ? "td" : "th");
      if (!index) cell.scope = "row";
      cell.setAttribute("role", index ? "cell" : "rowheader");
      cell.dataset.column = word(title);
      if (kind) cell.className = "number";
      cell.textContent = value(row) ?? "";
      if (kind === CLOCK) clocks[id].push([cell, () => value(row) ?? ""]);
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

const since = (at) => shownAt() - at;
/* Of the day that is shown: after midnight what was told is of the day before, until the next message. */
const ofDay = (told, anew) => shownAt() < last.day_ends_at ? told : anew;
const idleToday = (agent) => ofDay(agent.idle_today_s ?? 0, 0) + (isIdle(agent) ? since(ofDay(last.at, last.day_ends_at)) : 0);
const isIdle = (agent) => agent.state === "ready" && !agent.work.length;

/* With whom who called talks or is to talk; a number outside is somebody too. Phones of ours that ring have their agent's name. */
const partners = (call) => call.parties.filter((p) => !isSupervisor(p) && (p.agent || (p.role !== "caller" && p.number)));

/* Why somebody is not ready, or will be when the present work is done. */
const wish = (agent) => agent.state !== "not_ready" || !agent.reason || !["not_ready", "busy"].includes(agent.category) ? ""
  : " (" + (agent.category === "busy" ? word("then") + " " : "") + reasonName(agent.reason) + ")";

const channelName = (channel) => WORDS[language].channelNames[channel] ?? channel;
/* Nobody talks with what has been written. */
const stateBy = (channel, state) => channel === "voice" ? named(state) : WORDS[language].deskStates[state] ?? named(state);

/* Who waits otherwise than on the telephone: how many, by channel. */
function written(queue) {
  const counts = {};
  for (const one of queue.waiting) if (one.channel !== "voice") counts[one.channel] = (counts[one.channel] ?? 0) + 1;
  return Object.entries(counts).map(([channel, count]) => channelName(channel) + "\u00a0" + count).join(", ");
}

function draw(live) {
  last = live;
  const names = Object.fromEntries(live.agents.map((agent) => [agent.id, agent.name]));
  const queueNames = Object.fromEntries(live.queues.map((queue) => [queue.id, queue.name]));
  const trunks = Object.fromEntries(live.trunks.map((trunk) => ["trunk:" + trunk.id, trunk]));
  table("queues", live.queues, [
    ["queue", (q) => q.name],
    ["waiting", (q) => q.waiting_count + (written(q) ? " (" + written(q) + ")" : ""), NUMBER],
    ["longest", (q) => duration(q.waiting_count ? q.longest_wait_s + since(live.at) : 0), CLOCK],
    ["ready", (q) => q.ready, NUMBER],
    ["busy", (q) => q.busy, NUMBER],
    ["loggedOn", (q) => q.logged_on, NUMBER],
    ["offered", (q) => ofDay(q.offered_today, 0), CLOCK],
    ["answered", (q) => ofDay(q.answered_today, 0), CLOCK],
    ["abandoned", (q) => ofDay(q.abandoned_today, 0), CLOCK],
    ["overflowed", (q) => ofDay(q.overflowed_today, 0), CLOCK],
    ["exited", (q) => ofDay(q.exited_today, 0), CLOCK],
    ["closed", (q) => ofDay(q.closed_today, 0), CLOCK],
    ["withdrawn", (q) => ofDay(q.withdrawn_today, 0), CLOCK],
    ["level", (q) => percent(ofDay(q.service_level, null)), CLOCK],
  ], (q) => q.waiting_count > 0);
  table("agents", live.agents, [
    ["agent", (a) => a.name],
    ["state", (a) => named(a.category) + wish(a)],
    ["inState", (a) => a.category_since ? duration(since(a.category_since)) : "", CLOCK],
    ["work", (a) => a.work.map((w) => (w.channel === "voice" ? "" : channelName(w.channel) + " ") + (w.kind === "supervision" && w.state === "connected" ? named("supervising") : stateBy(w.channel, w.state))
      + (w.queue ? ", " + (queueNames[w.queue] ?? w.queue) : "")).join("; ")],
    ["phone", (a) => word(a.unreachable ? "unreachable" : a.registered ? "registered" : "unregistered")
      + (a.at ? ", " + word("at") + " " + (names[a.at] ?? a.at) : "")],
    ["answered", (a) => ofDay(a.answered_today, 0), CLOCK],
    ...(live.agents.some((a) => a.idle_today_s !== undefined) ? [["idleToday", (a) => duration(idleToday(a)), CLOCK]] : []),
  ]);
  table("calls", live.calls, [
    ["caller", (c) => c.calling ?? "–"],
    ["called", (c) => c.called],
    ["direction", (c) => named(c.direction)],
    ["state", (c) => named(c.state)],
    ["queue", (c) => c.queue ? queueNames[c.queue] ?? c.queue : ""],
    ["with", (c) => partners(c).map((p) => p.agent ? names[p.agent] ?? p.agent : p.number).join(", ")],
    ["since", (c) => duration(since(c.began_at)), CLOCK],
  ]);
  $("contacts-part").hidden = !live.contacts.length;
  table("contacts", live.contacts, [
    ["channel", (c) => channelName(c.channel)],
    ["caller", (c) => c.customer ?? "–"],
    ["subject", (c) => c.subject],
    ["state", (c) => stateBy(c.channel, c.state)],
    ["queue", (c) => c.queue ? queueNames[c.queue] ?? c.queue : ""],
    ["with", (c) => c.agents.map((id) => names[id] ?? id).join(", ")],
    ["since", (c) => duration(since(c.began_at)), CLOCK],
  ], (c) => c.state === "open");
  table("lines", live.lines, [
    ["line", (l) => { const [kind, id] = l.line.split(/:(.*)/); return word(kind) + " " + (trunks[l.line]?.name ?? id); }],
    ["reserved", (l) => l.reserved_kbits, NUMBER],
    ["upload", (l) => l.upload_kbits ?? word("free"), NUMBER],
    ["channels", (l) => l.reservations.length, NUMBER],
    ["saved", (l) => l.reservations.filter((r) => r.step).length || "", NUMBER],
    ["state", (l) => trunks[l.line] ? word(trunks[l.line].up ? "trunkUp" : "trunkDown") : ""],
  ]);
  drawBudgets(names);
  drawDesk(live, names, queueNames);
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
    ["spent", (a) => written(a.reserved), NUMBER],
    ["running", (a) => written(a.running), NUMBER],
    ["limit", (a) => written(a.limit), NUMBER],
    ["left", (a) => written(Math.max(0, a.limit - a.reserved)), NUMBER],
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
    heardAt = performance.now();
    stopPolling();
    status = "connected";
    if (message.type === "live") { setClock(message.live.at); money = message.spending ?? null; draw(message.live); }
  };
  socket.onclose = (event) => {
    socket = null;
    if (!session) return;
    if (event.code === NO_TOKEN) { leave("expired"); return; }
    if (event.code === NOT_FOR_THIS_ROLE) { goWithoutBoard(); return; }
    lose();
  };
}

/* The clocks stand from now on; the state is asked for until there is a socket again. */
function lose() {
  if (socket) { socket.onmessage = socket.onclose = null; socket.close(); socket = null; }
  failures += 1;
  stopClocks();
  status = "lost";
  showStatus();
  startPolling();
  setTimeout(listen, RETRY_MS[Math.min(failures, RETRY_MS.length) - 1]);
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
      if (socket && status === "connected") return;  // a socket came meanwhile
      status = "polling";
      stoppedAt = null;
      draw(live);
    } catch {
      if (session && last && status === "polling") stoppedAt = last.at;
      status = session ? "lost" : null;
      showStatus();
    }
  }, POLL_MS);
}

function stopPolling() {
  clearInterval(poll);
  poll = null;
}

function show() {
  $("login").hidden = Boolean(session);
  $("board").hidden = $("desk").hidden = !hasBoard();
  $("no-board").hidden = !session || hasBoard();
  showNoBoard();
  $("logout").hidden = !session;
  if (!session) $("login").elements.tenant.focus();
}

function leave(reason) {
  session = null;
  last = null;
  refusal = null;
  money = null;
  reasons = {};
  status = null;
  sessionStorage.removeItem("session");
  ahead = stoppedAt = null;
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
  setInterval(tick, TICK_MS);
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
