"""What billing is made of."""

from __future__ import annotations

from collections.abc import Mapping

from api.billing import models
from api.billing.permissions import PERMISSIONS
from api.billing.routes import router
from api.kit.slices import Slice
from api.shared import Shared


def _figures(this: Shared) -> Mapping[str, float]:
    return this.services.lane.figures()


SLICE = Slice(
    tag="billing",
    says="Tariffs, CDRs, charges with their trace, exports.",
    routers=(router,),
    permissions=PERMISSIONS,
    models=(models,),
    personal={
        "listCdrs": "cdr",
        "getCdr": "cdr",
        "exportCdrs": "cdr",
        "getCharge": "charge",
        "listCharges": "charge",
        "exportCharges": "charge",
    },
    # sums, and prices
    impersonal=frozenset({"getMonth", "getInvoice", "exportInvoice", "listTariffs", "getHouseTariff", "listRates", "getTariff"}),
    answered={"rerate": "charge"},
    unanswered=frozenset({"createTariff"}),
    figures=(_figures,),
    metrics={
        "fernamt_export_seconds_total": "Seconds that a tenant's exports, months and rating again took of the main process.",
    },
)
