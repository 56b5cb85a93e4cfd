"""What an agent keys in a conversation for what a desk has buttons for: the prefix (`TenantConfiguration.conversation_keys`), and these.

| keys        | what                                                        |
|-------------|-------------------------------------------------------------|
| `1`         | end the consultation, back to who is held                   |
| `2<number>#` | hold, and ask this extension or number                      |
| `3`         | conference of all                                           |
| `4`         | leave it to the others: complete the transfer               |
| `5`         | speak with the other side                                   |

The keys are heard by whoever is in the conversation, as every other key is; what does not fit the moment does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from acd.core.configuration import ToOutside
from acd.core.errors import IllegalTransition
from acd.core.machines import call as calls
from acd.core.state import values as s
from acd.core.steps import consultation, reach
from acd.core.steps.step import Step

CONSULT: Final = "2"
_DO: Final[dict[str, Callable[[Step, s.Call], None]]] = {
    "1": consultation.reconnect,
    "3": consultation.conference,
    "4": consultation.complete,
    "5": consultation.alternate,
}


def pressed(x: Step, call: s.Call, leg: s.Leg, keys: str) -> bool:
    """Carry it out, if it fits.

    Returns: whether it did.
    """
    try:
        if keys.startswith(CONSULT):
            return _consult(x, call, leg, keys.removeprefix(CONSULT).removesuffix("#"))
        act = _DO.get(keys)
        if act is None or call.consultation is None or call.consultation.leg != leg.id:
            return False
        act(x, call)
    except IllegalTransition:
        return False
    return True


def _consult(x: Step, call: s.Call, leg: s.Leg, number: str) -> bool:
    if not number or leg.agent is None or leg.id not in call.parties or calls.Input.CONSULTED not in calls.TRANSITIONS[call.state]:
        return False
    target = reach.own_target(x, number) or ToOutside(number=number)
    consultation.begin(x, call, leg, leg.agent, target)
    return True
