"""Errors of mails."""

from __future__ import annotations

from api.errors import Conflict, NotFound, TooMany


class MailUnknown(NotFound):
    """No such mail."""

    def __init__(self, mail: str) -> None:
        super().__init__(f"There is no mail {mail}; they are forgotten by age.")


class TestedEnough(TooMany):
    """Strangers are not written to by way of tests."""

    def __init__(self) -> None:
        super().__init__("Ten test mails within an hour are enough; look what became of them.", 3600)


class NotGivenUp(Conflict):
    """It was sent, or is still tried."""

    def __init__(self, mail: str) -> None:
        super().__init__(f"Mail {mail} was not given up.")
