"""The pure, event-sourced exchange: decides, never acts (DESIGN.md §3). Its rooms, lowest first: each imports only what
stands before it (within a room the order is its own; the linter proves that nothing goes round).

- words, the modules of this folder: `ids`, `configuration`, `configuration_changes`, `inputs`, `events`, `effects`, `errors`; the tables
  `causes`, `channel_costs`, `channel_kinds`, `strategies`; `personal` (marks), `schedule`, `spoken_menu`
- `machines`: call, leg, agent, work, queue, queue entry: one machine, one table; `kit`
- `state`: `values`, the `fold` (state + event -> state; positions in a queue: `fold.kit`), `index`, `timers`, `statistics`; and what
  decides a value of it: `skills`, `capacity` (how much an agent can do at once), `score` (who is before whom), `line` (who waits for the
  same), `bandwidth` (names of lines, the floor), `limits`, `moved`
- `routing`, pure choice: `rosters` (who could), `pick` (who gets whom), `decision` (the proof), `estimates`; `admission` (the bandwidth
  rule)
- `steps`, what a decision is made of: `step` (its context), `working` (after-call work), `queueing`, `clearing`, `audio` (who hears
  whom), `recording`, `conversation`, `referral`, `consultation`, `treatment`, `reach`, `targets`, `supervision`, `device`, `loops`,
  `feature_codes`, `hot_desk`, `keys` (in a conversation)
- `channels`, what waiting, reached, withdrawn and taken mean: `voice`, `message`, `callback`
- `intake`, by who speaks: `arrival` (callers), `facts` (lines), `desk` (people), `contacts`, `operation` (ourselves), `deadlines`
- `live` (the board), `engine` (the one way in), `replay` (the journal's way in)

ADR 0017 says why; the linter's contracts prove it.
"""
