"""What can go wrong with assignments. Nobody is told whose a thing is, nor whether it is anybody's where it cannot be had anyhow."""

from __future__ import annotations

from api.assignments.rules import WIDEST
from api.errors import Conflict, Forbidden, NotFound, Place, Unprocessable


class NotAssigned(Forbidden):
    """A number that the operator has not assigned, and the tenant may not take."""

    def __init__(self, number: str) -> None:
        super().__init__(f"The number {number} is not assigned to you; numbers are assigned by the platform's operator.")


class NotFree(Conflict):
    """A number that is another's."""

    def __init__(self, number: str) -> None:
        super().__init__(f"The number {number} cannot be had; ask the platform's operator.")


class TooWide(Forbidden):
    """A network that many people's calls come from."""

    def __init__(self, network: str) -> None:
        widest = f"/{WIDEST[4]} (IPv6 /{WIDEST[6]})"
        super().__init__(f"The source {network} is wider than {widest}: it needs a grant of the platform's operator.")


class SourceNotFree(Conflict):
    """A network that somebody else has."""

    def __init__(self, network: str) -> None:
        super().__init__(f"The source {network} cannot be had without a grant of the platform's operator.")


class PeerNotFree(Conflict):
    """A host that calls would go to, and that somebody else's calls come from. Of whoever has it no more is told than of a source."""

    def __init__(self, place: str, host: str) -> None:
        text = f"The address {host} cannot be had without a grant of the platform's operator."
        super().__init__(text, [Place(detail=text, pointer=place)])


class TooManyClaims(Conflict):
    """A tenant that takes more than any needs."""

    def __init__(self, what: str, most: int) -> None:
        super().__init__(f"By yourself you can take {most} {what}; more are the platform's operator's to give.")


class CallerIdNotYours(Forbidden):
    """A number that the tenant may not show."""

    def __init__(self, number: str) -> None:
        super().__init__(
            f"The caller id {number} is no number of yours: the platform's operator has neither assigned nor granted it to you (§ 120 TKG)."
        )


class NeverShown(Unprocessable):
    """A number that nobody calls from."""

    def __init__(self, number: str) -> None:
        super().__init__(
            f"{number} cannot be a caller id: emergency, 118, 0137, 0900 and short numbers are never shown (§ 120 TKG); write E.164."
        )


class InternalNotAllowed(Forbidden):
    """A trunk that would be the tenant's own PBX, without price and with any caller id."""

    def __init__(self) -> None:
        super().__init__("Whether you may have internal trunks is the platform's operator to say: calls over them have no price.")


class DomainTaken(Conflict):
    """Another tenant's telephony domain, or the realm itself."""

    def __init__(self, domain: str) -> None:
        super().__init__(f"The telephony domain {domain} is taken.")


class NumberTaken(Conflict):
    """For the operator, who may know whose it is."""

    def __init__(self, number: str, tenant: str) -> None:
        super().__init__(f"The number {number} is assigned to tenant {tenant}: take it from there first.")


class UnknownAssignment(NotFound):
    """The tenant has no such thing."""

    def __init__(self, what: str) -> None:
        super().__init__(f"The tenant has no {what}.")
