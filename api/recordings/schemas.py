"""What recordings tell."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from api.kit.schema import Told


class PartyTold(Told):
    """Who is on a channel."""

    channel: int = Field(description="Counted from 1, as in the file.")
    leg: str
    role: str
    party: str = Field(description="The agent, or the number.")
    number: str | None


class RecordingTold(Told):
    """A recording: of what, of whom, since when; and what its file is."""

    name: str
    call: str = Field(description="The conversation, and the id of its record.")
    direction: str
    calling: str
    called: str
    queue: str | None
    parties: list[PartyTold]
    began_at: datetime
    duration_ms: int
    media_type: str
    octets: int | None = Field(description="Of the file; null: it is not there any more, though nobody deleted it here.")
    channels: int | None
    sample_rate: int | None
    bits: int | None
