"""Who hears whom in a call: one matrix, computed from the state and declared whole whenever it may have changed (DESIGN.md §4; house).

| who is there                        | hears                                             | is heard by                              |
|-------------------------------------|---------------------------------------------------|------------------------------------------|
| parties of a conversation, n of them | every other one                                  | every other one                          |
| one that holds, at desk or phone    | nobody; if only one other is there, that hears music | nobody                                 |
| who consults, and who is asked      | each other                                        | each other; of the held ones nobody      |
| those who are held meanwhile        | each other; one alone hears music                 | each other                               |
| a supervisor who listens            | who is in the agent's conversation, and was told  | nobody                                   |
| a supervisor who whispers           | the same                                          | the agent                                |
| a supervisor who barges in          | a party                                           | a party                                  |
| who is heard before it answers      | who is served                                     | who is served                            |

What plays to somebody (music, an announcement to one side, a tone) stands over what it hears, and what it hears goes on beneath.
"""

from __future__ import annotations

from typing import Final

from acd.core.effects import ArrangeAudio, RecordParties
from acd.core.ids import LegId
from acd.core.machines import leg as legs
from acd.core.state import values as s
from acd.core.steps.step import Step

OVER: Final = frozenset({None, "aside", "party_notice"})
"""Purposes of what is heard over a conversation."""
HOLD_MUSIC = "music/default"


def groups(call: s.Call) -> list[list[LegId]]:
    """Who is in conversation with whom, be some of them on hold: one group, of a consultation two."""
    consultation = call.consultation
    if consultation is None:
        return [list(call.parties)]
    front = list(call.parties) or [consultation.leg]
    if consultation.alternated:
        return [[consultation.leg, *consultation.held], [one for one in front if one != consultation.leg]]
    return [front, list(consultation.held)]


def others_of(x: Step, call: s.Call, leg: s.Leg) -> list[s.Leg]:
    """The other parties of the conversation that a leg is in."""
    for group in groups(call):
        if leg.id in group:
            return [x.state.legs[one] for one in group if one != leg.id and one in x.state.legs]
    return []


def hears(state: s.State, call: s.Call) -> tuple[tuple[LegId, LegId], ...]:
    """The matrix, as pairs (listener, speaker) in order."""
    pairs: set[tuple[LegId, LegId]] = set()
    for present in _present(state, call):
        pairs.update((listener, speaker) for listener in present for speaker in present if listener != speaker)
        if call.supervisions:
            pairs.update(_supervised(state, call, present))
    if call.early is not None and call.party is not None:
        pairs.update({(call.party, call.early), (call.early, call.party)})
    return tuple(sorted(pairs))


def _present(state: s.State, call: s.Call) -> list[list[LegId]]:
    """The groups without who holds; who is alone then is in none."""
    present = [[one for one in group if one in state.legs and state.legs[one].state not in legs.ON_HOLD] for group in groups(call)]
    return [group for group in present if len(group) > 1]


def _supervised(state: s.State, call: s.Call, present: list[LegId]) -> set[tuple[LegId, LegId]]:
    pairs: set[tuple[LegId, LegId]] = set()
    for leg, supervision in call.supervisions.items():
        agent = next((one for one in present if state.legs[one].agent == supervision.agent), None)
        if agent is None or not supervision.joined or supervision.mode == "barge" or state.legs[leg].state in legs.ON_HOLD:
            continue
        pairs.update((leg, one) for one in present if _may_be_heard(state, call, one))
        if supervision.mode == "whisper":
            pairs.add((agent, leg))
    return pairs


def _may_be_heard(state: s.State, call: s.Call, one: LegId) -> bool:
    """Our own people know; of others the caller may have been told. Who comes from outside later was not (§ 201 (2) StGB)."""
    configuration, leg = state.configuration, state.legs[one]
    told = leg.role == "caller" and call.supervision_told
    return told or leg.agent is not None or (configuration is not None and not configuration.supervision_notice)


def arrange(x: Step, call: s.Call) -> None:
    """Declare it, and who of them is recorded."""
    x.do(ArrangeAudio(contact=call.id, hears=hears(x.state, call)))
    if call.recording is not None and not call.recording_paused:
        x.do(RecordParties(recording=call.recording, legs=talking(x.state, call)))


def talking(state: s.State, call: s.Call) -> tuple[LegId, ...]:
    """Those with a channel in the recording who are in conversation: what is said on hold, or to an agent alone, is in no recording."""
    found = {one for present in _present(state, call) for one in present}
    return tuple([one for one in call.recorded if one in found])


def settle(x: Step, call: s.Call) -> None:
    """Declare it after somebody came or went, and let music begin and end for whoever is left alone, or is so no longer."""
    wanted = hears(x.state, call)
    lonely = [one for group in groups(call) for one in group if _waits(x, call, group, one)]
    for group in groups(call):
        for one in group:
            leg = x.state.legs[one]
            if one not in lonely and leg.purpose not in OVER and any(listener == one for listener, _ in wanted):
                x.silence(leg)
    arrange(x, call)
    for one in lonely:
        leg = x.state.legs[one]
        if leg.purpose != "hold":
            x.play(leg, music(x, call), "hold", loop=True)


def _waits(x: Step, call: s.Call, group: list[LegId], one: LegId) -> bool:
    """Whether it is there for somebody who is not: all others of its conversation hold, or are elsewhere in a consultation."""
    others = [x.state.legs[other] for other in group if other != one]
    if others:
        return all(other.state in legs.ON_HOLD for other in others)
    consultation = call.consultation
    return consultation is not None and one != consultation.leg


def music(x: Step, call: s.Call) -> tuple[str, ...]:
    """What is heard on hold: that of the queue that the call was answered from."""
    queue_id = x.contact(call).queue if call.consultation is None else call.consultation.queue
    queue = x.fold.index.queues.get(queue_id) if queue_id is not None else None
    return (queue.music if queue is not None else HOLD_MUSIC,)
