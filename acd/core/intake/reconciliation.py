"""What the shell holds is made to be what the exchange knows: after a start that took calls over, and whenever both differ (ADR 0024; U6).

What nobody holds any more ends with its cause. What is in force is declared once more; every such effect says what shall be, so that a
shell to which it is no news does nothing.
"""

from __future__ import annotations

from acd.core import inputs as inp
from acd.core.effects import AnswerCaller, BeginRecording, JudgePin, PassEarlyMedia, RingCaller
from acd.core.intake import facts
from acd.core.machines import leg as legs
from acd.core.state import values as s
from acd.core.steps import audio, queueing, reach
from acd.core.steps.clearing import end_dialog
from acd.core.steps.step import Ending, Step


def reconciled(x: Step, fact: inp.Reconciled) -> None:
    """End what is missing, then declare what is in force."""
    for leg in [x.state.legs[one] for one in fact.missing if one in x.state.legs]:
        if leg.id in x.state.legs:  # the end of one may have ended others
            end_dialog(x, leg, fact.cause)
            _missing(x, leg, fact.cause)
    for call in fact.calls:
        if call in x.state.calls:
            declare(x, x.state.calls[call])


def _missing(x: Step, leg: s.Leg, cause: str) -> None:
    """A phone that rang for an offer has missed nothing: the caller is offered on at once, to whoever is best now."""
    offer = x.state.offers.get(leg.offer) if leg.offer is not None else None
    if offer is not None and leg.agent is not None:
        queueing.end_offer_part(x, offer, leg.agent, Ending("withdrawn", cause, is_gone=True))
    elif leg.arrived or leg.state in legs.ANSWERED or leg.id == x.state.calls[leg.call].party:
        facts.gone(x, x.state.calls[leg.call], leg, cause)
    else:
        reach.failed(x, x.state.calls[leg.call], leg, cause)


def declare(x: Step, call: s.Call) -> None:
    """Everything that is in force in a call."""
    for one in call.legs:
        _declare_leg(x, x.state.legs[one])
    if call.early is not None and call.party is not None:
        x.do(PassEarlyMedia(party=call.party, leg=call.early))
    there = tuple([one for one in call.recorded if one in x.state.legs])
    if call.recording is not None and there:
        x.do(BeginRecording(recording=call.recording, call=call.id, legs=there))
    audio.arrange(x, call)
    if call.desk_log_in is not None and call.party is not None:
        x.do(JudgePin(leg=call.party, agent=call.desk_log_in.agent, at=call.desk_log_in.at))


def _declare_leg(x: Step, leg: s.Leg) -> None:
    if leg.arrived and leg.state is legs.State.ALERTING:
        x.do(RingCaller(leg=leg.id))
    if leg.arrived and leg.state in legs.ANSWERED:
        x.do(AnswerCaller(leg=leg.id))
    if leg.play is not None:
        x.do(x.playing(leg, leg.play))
