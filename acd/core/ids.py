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

ContactId = NewType("ContactId", str)
"""Somebody's concern, whatever it comes by. Of a call it is the call's id; of every other channel it begins with the channel's name and a
colon, so that an id says by itself what it is (`channel_of`)."""

CallId = NewType("CallId", ContactId)
"""One conversation from its first leg to its last; given by the shell for calls that arrive, derived for calls that agents dial."""

LegId = NewType("LegId", str)
"""One party's connection; the caller's is given by the shell, all others are `<call>.<n>`, n counting from 1 in the call."""

EntryId = NewType("EntryId", str)
"""One stay in one queue: `<contact>/q<n>`."""

OfferId = NewType("OfferId", str)
"""One offer of a queued contact to agents: `<contact>/o<n>`; with ring-all several agents have it under one offer."""

QuestionId = NewType("QuestionId", str)
"""One question to the pages that a waiting contact could be offered to, before it is: `<contact>/a<n>`."""

PlayId = NewType("PlayId", str)
"""One playing of sounds to one leg: `<leg>/p<n>`."""

RecordingId = NewType("RecordingId", str)

VOICE = "voice"
"""The channel of calls; all others stand beside it in `acd.core.channel_kinds`."""


def channel_of(contact: ContactId) -> str:
    """The channel a contact came by, told from its id."""
    channel, colon, _ = contact.partition(":")
    return channel if colon else VOICE
