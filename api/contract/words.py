"""The lists of words that documents of the contract share. A list may grow within a version: clients let pass what they do not know."""

from __future__ import annotations

from typing import Literal

Direction = Literal["inbound", "outbound", "internal"]
CallOutcome = Literal["answered", "abandoned", "overflowed", "busy", "no_answer", "rejected", "failed", "cut"]
LegRole = Literal["caller", "agent", "forward", "destination", "supervisor"]
OfferOutcome = Literal["answered", "no_answer", "declined", "failed", "answered_elsewhere", "abandoned", "withdrawn"]
MissReason = Literal["no_answer", "unreachable", "failed", "busy", "declined", "forwarded"]
"""Why an agent who was offered a contact did not take it."""
Purpose = Literal["menu", "notice", "greeting", "position", "music", "ringback", "hold", "announcement", "pin", "aside", "party_notice"]
"""Why something plays."""
ForwardReason = Literal[
    "always", "busy", "no_answer", "unregistered", "overflow", "menu", "number", "transfer", "closed", "exit", "redirected", "consult"
]
"""Why a call is sent on to another number."""
PageLoss = Literal["suspect", "gone", "closed", "failed"]
"""How a page was lost: nothing came for 8 s, or for 30 s; it said goodbye; its keys failed."""
QuestionOutcome = Literal["answered", "unanswered", "withdrawn"]
"""What came of asking a browser's page whether it is there."""
Saving = Literal["longer_ptime", "opus"]
"""How a speech channel is made to take less of a full line: packets of 40 ms; Opus and nothing else."""
QueueOutcome = Literal["answered", "abandoned", "overflowed", "exited", "closed", "withdrawn"]
SupervisionMode = Literal["listen", "whisper", "barge"]
NumberClass = Literal[
    "geographic", "mobile", "national", "personal", "freephone", "shared_cost", "mass", "premium", "directory", "emergency", "harmonised",
    "authority", "pager", "user_group", "network", "unassigned", "international", "international_special", "satellite",
]  # fmt: skip
"""Kinds of numbers that are priced under rules of their own."""
Precision = Literal["0.01", "0.0001"]
"""The smallest part of the currency that a call may cost."""
Rounding = Literal["half_up", "half_even", "up", "down"]
"""What becomes of the rest when an amount is finished; away from zero are `half_up` (at half) and `up`."""
