"""What billing takes in and tells."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from api.kit.ids import Slug
from api.kit.schema import Given, Lines, Told


class TariffGiven(Given):
    """A plan version, as TOML text or as a JSON object; amounts in JSON are strings, never floats."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "document": {
                        "id": "acme",
                        "version": "2026-1",
                        "currency": "EUR",
                        "valid_from": "2026-01-01T00:00:00+01:00",
                        "vat_rate": "0.19",
                        "vat_included": False,
                        "rate": [
                            {
                                "prefix": "49",
                                "name": {"de": "Deutschland", "en": "Germany"},
                                "class": "geographic",
                                "per_minute": "0.01",
                            }
                        ],
                    }
                }
            ]
        }
    )

    trunk: Slug | None = None
    """The own carrier it holds for; None: every call of the tenant."""
    toml: Annotated[Lines, Field(max_length=1_000_000)] | None = None
    document: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _one(self) -> TariffGiven:
        if (self.toml is None) == (self.document is None):
            raise ValueError("give the plan as `toml` or as `document`")
        return self


class TariffTold(Told):
    """A plan version without its rates."""

    key: str
    trunk: str | None
    plan: str
    version: str
    currency: str
    valid_from: datetime
    fingerprint: str
    created_at: datetime
    created_by: str


class TariffWhole(TariffTold):
    document: dict[str, Any]


class DeletedRecording(Told):
    """One that the record names and that is there no more."""

    name: str
    deleted_at: datetime
    deleted_by: str | None = Field(description="User, `key:<id>`, or `retention`: its time was over.")


class CdrTold(Told):
    """A record and its price as it stands."""

    cdr: dict[str, Any]
    charge: dict[str, Any] | None
    revision: int
    deleted_recordings: list[DeletedRecording] = Field(default=[], description="Those of `cdr.recordings` that were deleted.")


class Explained(Told):
    """The charge with its trace, and why it is what it is, sentence by sentence."""

    charge: dict[str, Any]
    revision: int
    sentences: list[str]


class Sum(Told):
    currency: str
    calls: int
    net: Decimal
    vat: Decimal
    gross: Decimal


class Month(Told):
    """What a month's conversations add up to; a conversation counts where it began."""

    month: str
    calls: int
    unrated: int
    """Conversations without a price yet; they are in no sum."""
    sums: list[Sum]


Language = Literal["de", "en"]
