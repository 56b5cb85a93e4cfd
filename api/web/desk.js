// What can be done in one's own call, and what supervisors can hear: drawn by board.js with every state, changed only where it differs.
"use strict";

const ON_THE_LINE = ["connected", "held", "held_by_phone", "held_by_both"];
const MODES = ["listen", "whisper", "barge"];
const drawn = {};  // part -> what it shows, as text: buttons under somebody's finger are not made anew
let refusal = null;  // what the last button has come to, if to nothing: a function, as it is said anew in the other language

const isThere = (party) => ON_THE_LINE.includes(party.state);
const isSupervisor = (party) => party.role === "supervisor" && party.mode && party.mode !== "barge";
const mayHear = () => Boolean(session?.agent) && ["supervisor", "admin"].includes(session.role);

/* [verb, word] of what fits the moment, in the order of the row. */
function fitting(call, own) {
  const others = call.parties.filter((party) => party !== own && !party.supervises);
  if (own.supervises) return [];
  if (own.doing === "consulting") {
    const isAnswered = others.some((party) => party.doing === "talking" || (party.doing === "asked" && isThere(party)));
    return [["reconnect", "reconnect"], ["complete", "complete"], ...(isAnswered ? [["alternate", "alternate"], ["conference", "conference"]] : []),
      ["hang-up", "hangUp"]];
  }
  if (!["talking", "holding", "held"].includes(own.doing) || !isThere(own)) return [];
  return [own.state === "held" || own.state === "held_by_both" ? ["retrieve", "retrieve"] : ["hold", "hold"], ["consult", "consult"],
    ["hang-up", "hangUp"]];
}

function says(call, own, names) {
  const nameOf = (party) => party.agent ? names[party.agent] ?? party.agent : party.number ?? word("somebody");
  const listeners = call.parties.filter((party) => party.supervises === own.agent && isThere(party));
  if (own.supervises) return word(isThere(own) ? "you_" + own.mode : "rings") + " " + (names[own.supervises] ?? own.supervises);
  return listeners.map((party) => nameOf(party) + " " + word("does_" + party.mode)).join("; ");
}

function drawDesk(live, names, queueNames) {
  drawOwn(live, names, queueNames);
  drawSupervision(live, names);
  $("desk-error").textContent = refusal ? refusal() : "";
}

function drawOwn(live, names, queueNames) {
  const mine = session?.agent ? live.calls.flatMap((call) => call.parties.filter((p) => p.agent === session.agent).map((own) => [call, own])) : [];
  $("own-part").hidden = !mine.length;
  const rows = mine.map(([call, own]) => ({
    title: own.supervises ? "" : own.role === "caller" ? call.called : call.calling ?? "–",
    told: [own.supervises ? "" : named(call.state), says(call, own, names)].filter(Boolean).join(" – "),
    buttons: fitting(call, own).map(([verb, name]) => ({ name, path: `agents/me/calls/${encodeURIComponent(call.id)}/${verb}`, asks: verb === "consult" })),
  }));
  const targets = rows.some((row) => row.buttons.some((one) => one.asks)) ? { ...queueNames, ...names } : {};
  if (changed("own", [language, rows])) $("own").replaceChildren(...rows.map(line));
  if (changed("targets", targets)) $("targets").replaceChildren(...Object.values(targets).map((name) => new Option(name)));
}

/* Everybody who is in conversation, with how it can be heard. */
function drawSupervision(live, names) {
  const rows = !mayHear() ? [] : live.calls.flatMap((call) => {
    const own = call.parties.find((party) => party.agent === session.agent);
    const path = `calls/${encodeURIComponent(call.id)}/supervise`;
    return call.parties.filter((party) => party.agent && party !== own && !party.supervises && isThere(party)
        && ["established", "held", "consulting"].includes(call.state) && (!own || own.supervises === party.agent)).map((party) => ({
      title: names[party.agent] ?? party.agent,
      told: [call.calling ?? "–", ...call.parties.filter((one) => one.supervises === party.agent).map((one) =>
        (names[one.agent] ?? one.agent) + " " + (isThere(one) ? word("does_" + one.mode) : named("alerting")))].join(" – "),
      buttons: [
        ...MODES.map((mode) => ({ name: mode, path, body: { agent: party.agent, mode }, pressed: own?.mode === mode })),
        ...(own ? [isThere(own) ? { name: "stop", path: `agents/me/calls/${encodeURIComponent(call.id)}/hang-up` }
          : { name: "stop", path: "agents/me/decline", body: { contact: call.id } }] : []),
      ],
    }));
  });
  $("supervision-part").hidden = !rows.length;
  if (changed("supervision", [language, rows])) $("supervision").replaceChildren(...rows.map(line));
}

function changed(part, shown) {
  const text = JSON.stringify(shown);
  if (drawn[part] === text) return false;
  drawn[part] = text;
  return true;
}

/* One call: who it is, what happens, buttons. The field for a target stands before the button that reads it. */
function line(row) {
  const item = document.createElement("li");
  for (const [kind, text] of [["strong", row.title], ["span", row.told]]) {
    const part = document.createElement(kind);
    part.textContent = text;
    if (text) item.append(part);
  }
  const group = document.createElement("span");
  group.className = "buttons";
  for (const one of row.buttons) {
    let field = null;
    if (one.asks) {
      field = document.createElement("input");
      field.setAttribute("list", "targets");
      field.setAttribute("aria-label", word("target"));
      field.placeholder = word("target");
      group.append(field);
    }
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.act = one.name;
    button.textContent = word(one.name);
    if (one.pressed !== undefined) button.setAttribute("aria-pressed", String(one.pressed));
    button.addEventListener("click", () => act(one, field));
    group.append(button);
  }
  item.append(group);
  return item;
}

async function act(one, field) {
  const body = field ? { target: meant(field.value.trim()) } : one.body;
  if (field && !body.target) { field.focus(); return; }
  try {
    await request("api/v1/" + one.path, { method: "POST", ...(body ? { body: JSON.stringify(body) } : {}) });
    refusal = null;
  } catch (error) {
    refusal = () => error.kind === "invalid" ? word("noTarget") : spelled(error);
  }
  $("desk-error").textContent = refusal ? refusal() : "";
}

/* A name of a colleague or a queue, else a number. */
function meant(text) {
  const agent = last.agents.find((one) => one.name === text || one.id === text);
  if (agent) return { to: "agent", agent: agent.id };
  const queue = last.queues.find((one) => one.name === text || one.id === text);
  if (queue) return { to: "queue", queue: queue.id };
  return text ? { to: "outside", number: text } : null;
}
