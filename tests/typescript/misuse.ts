// What a client may not do: each line below a `@ts-expect-error` must fail to compile, else the compiler complains that it did not. A document
// with an untyped object in these places makes all of them pass.

import type { components } from "#api";

type Schemas = components["schemas"];

export function misuse(cdr: Schemas["Cdr"], charge: Schemas["Charge"], record: Schemas["DecisionRecord"], event: Schemas["Event"], quote: Schemas["Quote"]) {
  // @ts-expect-error a record has no such field
  cdr.talk_seconds;
  // @ts-expect-error it may be null: nobody may have answered
  cdr.answered_at.length;
  // @ts-expect-error there is no such outcome
  if (cdr.outcome === "missed") return;
  // @ts-expect-error amounts are text, which nobody multiplies by accident
  charge.lines[0]!.gross * 2;
  // @ts-expect-error a step has no price of its own
  charge.lines[0]!.steps[0]!.price;
  // @ts-expect-error candidates have terms, no score
  record.decision.candidates[0]!.score;
  // @ts-expect-error a quote says what a minute costs
  quote.per_second;
  // @ts-expect-error before its type is known an event has nothing else
  event.queue;
  // @ts-expect-error there is no such event
  if (event.type === "Ringing") return;
  if (event.type === "LegCleared") {
    // @ts-expect-error the end of a leg says why, and not how long it waited
    event.waited_s;
  }
}
