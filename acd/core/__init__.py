"""The pure, event-sourced exchange: decides, never acts (DESIGN.md §3).

Words: `ids`, `configuration`, `configuration_changes`, `inputs`, `events`, `effects`, `errors`.
Machines, a table each: `call`, `leg`, `agent`, `work`, `queue`, `queue_entry`; the kit is `machine`, the deadlines `timers`.
State: `state` (values), `fold` (state + event -> state, the only place that changes it), `replay` (journal entries, snapshots).
Deciding, lowest first: `exchange`, `clearing`, `treatment`, `conversation`, `reach`, `distribution`, `targets`, then by who speaks:
`arrival` (callers), `facts` (lines), `desk` (people), `house` (configuration and time); `engine` composes them.
Rules: `skills`, `roster` (who could), `routing` (who gets whom), `decision` (proof of it), `schedule`, `estimates`, `statistics`,
`admission`; board: `live`.
"""
