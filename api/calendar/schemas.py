"""What the calendar takes in and tells."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, model_validator

from api.kit.ids import Slug
from api.kit.period import require_order
from api.kit.schema import Given, Moment, Name, Told


class AppointmentGiven(Given):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "contact": "0f1e2d3c4b5a697887",
                    "title": "Callback about the offer",
                    "starts_at": "2026-03-02T09:00:00+01:00",
                    "ends_at": "2026-03-02T09:30:00+01:00",
                }
            ]
        }
    )

    contact: Slug
    title: Name
    starts_at: Moment
    ends_at: Moment

    @model_validator(mode="after")
    def _order(self) -> AppointmentGiven:
        require_order(self.starts_at, self.ends_at, ("starts_at", "ends_at"))
        return self


class AppointmentTold(Told):
    id: str
    contact: str
    title: str
    starts_at: datetime
    ends_at: datetime
    created_at: datetime
