"""What mails take in and tell: never their text."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, StringConstraints

from api.kit.mail import address
from api.kit.schema import Given, Told

MailAddress = Annotated[str, StringConstraints(strip_whitespace=True, max_length=254), AfterValidator(address)]


class TestMailGiven(Given):
    to: MailAddress


class MailTold(Told):
    id: str
    recipient: str
    subject: str
    message_id: str
    """The same at each try; empty before the first."""
    state: Literal["pending", "sent", "dead"]
    created_at: datetime
    tries: int
    tried_at: datetime | None
    sent_at: datetime | None
    error: str | None
    """Of the last try that failed."""
