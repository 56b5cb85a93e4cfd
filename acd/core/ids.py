"""Names of things as types of their own, so that a queue is never passed where an agent is meant: house vocabulary."""

from __future__ import annotations

from typing import NewType

TenantId = NewType("TenantId", str)
AgentId = NewType("AgentId", str)
QueueId = NewType("QueueId", str)
MenuId = NewType("MenuId", str)
ScheduleId = NewType("ScheduleId", str)
TrunkId = NewType("TrunkId", str)
SiteId = NewType("SiteId", str)

CallId = NewType("CallId", str)
"""One conversation from its first leg to its last; given by the shell for calls that arrive, derived for calls that agents dial."""

LegId = NewType("LegId", str)
"""One party's connection; the caller's is given by the shell, all others are `<call>.<n>`, n counting from 1 in the call."""

EntryId = NewType("EntryId", str)
"""One stay in one queue: `<call>/q<n>`."""

OfferId = NewType("OfferId", str)
"""One offer of a queued contact to agents: `<call>/o<n>`; ring-all rings several legs under one offer."""

PlayId = NewType("PlayId", str)
"""One playing of sounds to one leg: `<leg>/p<n>`."""

RecordingId = NewType("RecordingId", str)
