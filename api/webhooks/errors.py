"""Errors of webhooks."""

from __future__ import annotations

from api.errors import Conflict, Forbidden, NotFound, Place, Unprocessable


class WebhookUnknown(NotFound):
    """No such endpoint."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(f"There is no webhook {endpoint}.")


class DeliveryUnknown(NotFound):
    """No such delivery."""

    def __init__(self, delivery: str) -> None:
        super().__init__(f"There is no delivery {delivery} of this webhook; they are forgotten by age.")


class AddressRefused(Unprocessable):
    """Nothing is sent there."""

    def __init__(self, why: str) -> None:
        super().__init__(why, [Place(detail=why, pointer="#/url")])


class NoSuchEvent(Unprocessable):
    """The catalogue has no such event."""

    def __init__(self, name: str, index: int, meant: str) -> None:
        why = f"There is no event {name!r}; {meant}"
        super().__init__(why, [Place(detail=why, pointer=f"#/events/{index}")])


class BeyondWhatItReads(Forbidden):
    """A webhook would tell what whoever asks may not read."""

    def __init__(self, kind: str, why: str, pointer: str | None = None) -> None:
        detail = f"{kind} tells of what is read elsewhere only with a permission of its own. {why}"
        super().__init__(detail, [Place(detail=detail, pointer=pointer)] if pointer is not None else [])


class NotActive(Conflict):
    """Nothing is sent to an endpoint that is not active."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(f"Webhook {endpoint} is not active; make it so first.")


class StillOnItsWay(Conflict):
    """A delivery that is still tried is not sent anew."""

    def __init__(self, delivery: str) -> None:
        super().__init__(f"Delivery {delivery} is still being tried.")
