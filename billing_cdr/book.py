"""Reading a tenant's plan documents into the book that its calls are rated by: its own, those of its own carriers, and the house's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from billing_cdr.house_plan import house_plan
from billing_cdr.rating import PlanBook
from billing_cdr.tariff import Plan, parse_json


def read_book(
    tenant: str,
    own: Sequence[bytes],
    trunks: Mapping[str, Sequence[bytes]],
    known: Mapping[bytes, Plan] = MappingProxyType({}),
    own_carriers: Iterable[str] = (),
) -> PlanBook:
    """Read plan documents (JSON) into a book.

    Args:
        trunks: by the trunk to the tenant's own carrier.
        known: documents that were read already: a version never changes, and ten thousand rates are a sixth of a second.
        own_carriers: trunks over which the house's plan prices nothing.
    Raises: TariffError: a document is no plan.
    """

    def read(documents: Sequence[bytes]) -> tuple[Plan, ...]:
        return tuple(known[document] if document in known else parse_json(document) for document in documents)

    plans = read(own)
    return PlanBook(
        house=(house_plan(),),
        tenants={tenant: plans} if plans else {},
        trunks={(tenant, trunk): read(documents) for trunk, documents in trunks.items()},
        own_carriers=frozenset((tenant, trunk) for trunk in own_carriers),
    )
