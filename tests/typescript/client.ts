// A small client on the types that openapi-typescript makes of the service's document (`#api`; `check.mjs` makes it). Compiled under
// `strict`, and run by Node as it is, which leaves the types away: `node client.ts <address> <tenant> <user> <password>`.

import createClient from "openapi-fetch";
import type { components, paths } from "#api";

type Schemas = components["schemas"];
export type Event = Schemas["Event"];
export type Charge = Schemas["Charge"];

export type Told = Schemas["WebhookEvent"];

/** What a webhook is about, from the body alone: `type` tells the kinds apart. */
export function about(told: Told): string {
  switch (told.type) {
    case "ticket.created":
      return `ticket ${told.data.number + 0} ${told.data.state}`;
    case "cdr.rated":
      return `call ${told.data.id} ${told.data.outcome satisfies Schemas["Cdr"]["outcome"]} ${told.data.gross === null ? "-" : micros(told.data.gross)}`;
    default:
      return told.type;
  }
}

export const VERSION = "fernamt.v1";
const MICROS = 1_000_000n; // prices have at most six decimals

/** Decimal text as a whole number of millionths. */
function micros(amount: string): bigint {
  const [whole = "0", fraction = ""] = amount.split(".");
  return BigInt(whole) * MICROS + BigInt(fraction.padEnd(6, "0").slice(0, 6));
}

/** What the lines of a charge add up to, by currency, and whether its totals say so. */
export function addsUp(charge: Charge): boolean {
  return charge.totals.every((total) => {
    const lines = charge.lines.filter((line) => line.currency === total.currency);
    return lines.reduce((sum, line) => sum + micros(line.gross), 0n) === micros(total.gross);
  });
}

/** How a price came about: every step of every line. */
export function trace(charge: Charge): string[] {
  return charge.lines.flatMap((line) => line.steps.map((step) => `${line.prefix} ${step.band} ${step.units}x${step.unit_ms}ms ${step.per_minute}`));
}

/** Who was looked at for an offer, who was chosen, and what it came to. */
export function reasons(record: Schemas["DecisionRecord"]): string {
  const { candidates, chosen, removed, term_names } = record.decision;
  const terms = candidates.map((one) => `${one.agent}: ${term_names.map((name, at) => `${name} ${one.terms[at] ?? 0}`).join(", ")}`);
  const outcomes = record.outcomes.map((one) => `${one.agent} ${one.outcome}${one.reason ? ` (${one.reason})` : ""}`);
  const filters = Object.entries(removed).map(([filter, agents]) => `${filter} ${agents.length}`);
  return [chosen.join("+"), terms.join("; "), filters.join("; "), outcomes.join("; ")].join(" | ");
}

/** One sentence of a message; `type` tells the events apart, and the compiler knows each one's fields. */
export function sentence(message: Schemas["SocketMessage"]): string {
  if (!("event" in message)) {
    return message.type === "live" ? `${message.live.agents.length} agents` : `nothing until ${message.at}`;
  }
  const event = message.event;
  switch (event.type) {
    case "Queued":
      return `${event.call ?? event.contact} is ${event.position}. in ${event.queue}`;
    case "OfferMade":
      return `${event.contact} is offered to ${event.decision.chosen.join(", ")}`;
    case "LegCleared":
      return `${event.leg} has gone: ${event.cause}, by ${event.by ?? "exchange"}`;
    case "LegMeasured":
      return `${event.leg} was heard at ${event.quality.mos ?? "?"}`;
    case "ScreenPop":
      return `${event.contact?.name ?? event.number ?? "somebody"} for ${event.agent}, ${event.tickets?.length ?? 0} tickets`;
    default:
      return event.type;
  }
}

/** The first message of a socket. */
function first(address: string, token: string): Promise<Schemas["SocketMessage"]> {
  const socket = new WebSocket(address.replace(/^http/, "ws"), [VERSION, `bearer.${token}`]);
  return new Promise((resolve, reject) => {
    socket.onmessage = ({ data }) => {
      resolve(JSON.parse(String(data)) as Schemas["SocketMessage"]);
      socket.close();
    };
    socket.onclose = ({ code, reason }) => reject(new Error(`${code} ${reason}`));
  });
}

function got<T>(answer: { data?: T; error?: unknown }): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

export async function main(address: string, tenant: string, username: string, password: string): Promise<object> {
  const api = createClient<paths>({ baseUrl: address });
  const { token } = got(await api.POST("/api/v1/login", { body: { tenant, username, password } }));
  api.use({ onRequest: ({ request }) => request.headers.set("Authorization", `Bearer ${token}`) });
  got(await api.POST("/api/v1/messages", { body: { queue: "support", customer: "erika@example.com" } }));
  const records = got(await api.GET("/api/v1/cdrs", { params: { query: { limit: 10 } } })).items;
  const told = [];
  for (const { cdr } of records) {
    const params = { path: { cdr: cdr.id }, query: { language: "en" as const } };
    const { charge, sentences } = got(await api.GET("/api/v1/cdrs/{cdr}/charge", { params }));
    const talks = cdr.segments.filter((one) => one.kind === "talk").length;
    told.push({ cdr: cdr.id, legs: cdr.legs.length, talks, gross: charge.totals[0]?.gross, trace: trace(charge), addsUp: addsUp(charge), sentences: sentences.length });
  }
  const { quote } = got(await api.GET("/api/v1/quote", { params: { query: { number: "+491711234567" } } }));
  const contacts = got(await api.GET("/api/v1/live")).queues.flatMap((queue) => queue.waiting.map((one) => one.contact));
  const why = [];
  for (const contact of contacts) {
    const answer = await api.GET("/api/v1/waiting/{contact}/decisions", { params: { path: { contact } } });
    why.push(...(answer.data?.decisions ?? []).map(reasons));
  }
  const message = await first(`${address}/api/v1/events`, token);
  return { told, perMinute: "per_minute" in quote ? quote.per_minute : "0", why, first: sentence(message) };
}

declare const process: { argv: string[] };
if (process.argv[1]?.endsWith("client.ts")) {
  const [address = "", tenant = "", username = "", password = ""] = process.argv.slice(2);
  console.log(JSON.stringify(await main(address, tenant, username, password)));
}
