"""Moving a leg to another worker, case by case, with a plane and a far end that do as the test says."""

import asyncio
from collections import Counter

import pytest

from acd.core import effects as ef
from acd.core.ids import CallId, LegId, TenantId
from acd.switch import media_plan, relocation
from acd.switch.addresses import LocalAddresses
from acd.switch.legs import Phase, SwitchLeg
from acd.switch.relocation import MOST_LOSSES, Relocation
from acd.switch.rooms import Rooms
from media.control import ArrangeAudio, CloseLeg, LegOpened, Play
from media.errors import Refused, WorkerGone
from sip.events import ReInviteAnswered
from sip.sdp.description import Direction
from sip.sdp.offer_answer import LocalMedia, answer, audio_offer
from sip.sdp.parser import parse_sdp

HOST = "127.0.0.1"


class Plane:
    """A media plane: what it was asked for, answered when the test says so."""

    def __init__(self) -> None:
        self.is_up = True
        self.asked: list[tuple[str, object]] = []
        self.orders: list[object] = []
        self._port = 20000

    def request_leg(self, _call, leg, _address, on_answer, *, ice=None) -> None:
        self.ice = ice
        if self.is_up:
            self.asked.append((leg, on_answer))
        else:
            on_answer(WorkerGone("down"))

    def send(self, _call, order) -> None:
        self.orders.append(order)

    def answer(self) -> None:
        asked, self.asked = self.asked, []
        for leg, tell in asked:
            self._port += 2
            tell(LegOpened(request=1, leg=leg, address=HOST, rtp_port=self._port, rtcp_port=self._port + 1))

    def fail(self, error: Exception) -> None:
        asked, self.asked = self.asked, []
        for _, tell in asked:
            tell(error)


class Hands:
    """The switch: its SIP port is this too."""

    def __init__(self) -> None:
        self.offers: list[bytes] = []
        self.described: list[tuple[str, int]] = []
        self.over: list[tuple[str, str]] = []

    @property
    def sip(self):
        return self

    def reinvite(self, _session, sdp) -> None:
        self.offers.append(sdp)

    def note(self, leg) -> None:
        """Nobody comes after us."""

    def told(self, opened):
        return opened

    def to_page(self, leg):
        return media_plan.to_page(leg.media, leg.ice, (), leg.plan) if leg.is_page else None

    def describe_media(self, leg) -> None:
        if leg.media is not None:
            self.described.append((leg.leg, leg.media.rtp_port))

    def adopt(self, leg, plan) -> None:
        leg.plan = plan
        self.describe_media(leg)

    def lose(self, leg, cause) -> None:
        leg.is_gone = True
        self.over.append((leg.leg, cause))

    def without_media(self, leg, _reason) -> None:
        self.lose(leg, "no media")


class House:
    def __init__(self) -> None:
        self.plane, self.hands, self.counters = Plane(), Hands(), Counter()
        self.legs: dict[LegId, SwitchLeg] = {}
        self.hands.rooms = Rooms(self.plane, self.legs)
        self.moves = Relocation(self.plane, LocalAddresses(HOST), self.counters, self.hands, bytes)

    def leg(self, name: str = "c.0", *, held: bool = False) -> SwitchLeg:
        """A leg that is up: the far end has offered, we have answered."""
        leg = SwitchLeg(LegId(name), CallId("c"), TenantId("demo"), Phase.ANSWERED, peer=HOST, session=name)
        self.legs[leg.leg] = leg
        self.moves.open(leg)
        self.plane.answer()
        theirs = audio_offer(LocalMedia(HOST, 40000), session_id=7, direction=Direction.SENDONLY if held else Direction.SENDRECV)
        leg.local, leg.plan = media_plan.answer(theirs, leg.media, ("PCMA", "PCMU"), 1)
        leg.is_confirmed = True
        return leg

    def far_end_answers(self, leg: SwitchLeg, status: int = 200) -> None:
        sdp = answer(parse_sdp(self.hands.offers[-1]), LocalMedia(HOST, 40000), session_id=7).description.to_bytes()
        self.moves.answered(leg, ReInviteAnswered(leg.session, sdp if status < 300 else None, status))


@pytest.fixture
async def house() -> House:
    return House()


def offered_port(offer: bytes) -> int:
    return parse_sdp(offer).media[0].port


async def test_the_offer_is_our_next_description_with_the_new_ports_and_nothing_else_new(house):
    leg = house.leg()
    before = leg.local
    house.moves.move(leg)
    house.plane.answer()
    (offer,) = map(parse_sdp, house.hands.offers)
    # RFC 3264 §8: same session id, "the version in the origin field MUST increment by one"; §8.3.1: another port.
    assert (offer.origin.session_id, offer.origin.session_version) == (before.origin.session_id, before.origin.session_version + 1)
    assert offer.media[0].port == leg.media.rtp_port != before.media[0].port
    assert offer.media[0].formats == before.media[0].formats
    house.far_end_answers(leg)
    assert not leg.is_moving
    assert house.counters["legs_moved"] == 1


async def test_a_held_leg_is_offered_as_held(house):
    leg = house.leg(held=True)
    house.moves.move(leg)
    house.plane.answer()
    offer = parse_sdp(house.hands.offers[0])
    assert offer.direction_of(offer.media[0]) is Direction.RECVONLY


async def test_two_hear_each_other_when_both_are_there_and_before_the_far_ends_know(house):
    a, b = house.leg("c.0"), house.leg("c.1")
    hears = (("c.0", "c.1"), ("c.1", "c.0"))
    house.hands.rooms.declare(ef.ArrangeAudio(contact="c", hears=hears))
    house.hands.rooms.declare(ef.ArrangeAudio(contact="c", hears=hears))
    house.moves.move(a)
    house.moves.move(b)
    house.plane.answer()
    assert house.plane.orders == [ArrangeAudio(room="c", hears=hears)] * 2  # once to each worker
    assert {name for name, _ in house.hands.described} == {"c.0", "c.1"}
    assert len(house.hands.offers) == 2


async def test_what_played_is_played_again_once(house):
    leg = house.leg()
    leg.playing = Play(leg="c.0", play="p", sounds=("music/default",), loop=True)
    house.moves.move(leg)
    house.plane.answer()
    assert house.plane.orders == [leg.playing]


async def test_a_leg_that_is_not_confirmed_is_offered_the_new_ports_when_it_is(house):
    leg = house.leg()
    leg.is_confirmed = False
    house.moves.move(leg)
    house.plane.answer()
    assert house.hands.offers == []
    leg.is_confirmed = True
    house.moves.settle(leg)
    assert len(house.hands.offers) == 1


async def test_glare_is_tried_again_and_a_change_of_the_far_end_settles_it_as_well(house, monkeypatch):
    monkeypatch.setattr(relocation, "GLARE_S", 0.0)
    leg = house.leg()
    house.moves.move(leg)
    house.plane.answer()
    house.far_end_answers(leg, 491)
    while len(house.hands.offers) < 2:
        await asyncio.sleep(0)
    house.far_end_answers(leg, 491)
    leg.local = media_plan.moved(leg.local, leg.media, "PCMA")  # their re-INVITE came first and was answered
    house.moves.settle(leg)
    for _ in range(3):  # the second try is due in the next round of the loop
        await asyncio.sleep(0)
    assert len(house.hands.offers) == 2
    assert not leg.is_moving


async def test_a_second_loss_while_the_offer_is_under_way_is_offered_after_it(house):
    leg = house.leg()
    house.moves.move(leg)
    house.plane.answer()
    house.moves.move(leg)
    house.far_end_answers(leg)  # it agreed to ports that are dead again
    assert leg.is_moving
    house.plane.answer()
    assert [offered_port(offer) for offer in house.hands.offers][-1] == leg.media.rtp_port
    house.far_end_answers(leg)
    assert not leg.is_moving


@pytest.mark.parametrize(("status", "over"), [(488, [("c.0", "error")]), (401, [("c.0", "error")]), (408, []), (481, [])])
async def test_a_refusal_is_the_end_and_of_a_dead_dialog_the_session_itself_tells(house, status, over):
    leg = house.leg()
    house.moves.move(leg)
    house.plane.answer()
    house.far_end_answers(leg, status)
    assert house.hands.over == over
    assert house.counters["legs_move_failed"] == 1


async def test_a_leg_that_was_being_opened_is_opened_at_the_next_worker(house):
    leg = SwitchLeg(LegId("c.0"), CallId("c"), TenantId("demo"), Phase.ARRIVED, peer=HOST, session="s")
    house.moves.open(leg)
    house.plane.fail(WorkerGone("ended"))
    house.plane.answer()
    assert leg.media is not None
    house.moves.open(gone := SwitchLeg(LegId("c.1"), CallId("c"), TenantId("demo"), Phase.ARRIVED, peer=HOST))
    gone.is_gone = True
    house.plane.answer()
    assert house.plane.orders == [CloseLeg(leg="c.1")]


async def test_where_no_worker_is_up_one_is_waited_for(house):
    leg = house.leg()
    house.plane.is_up = False
    house.moves.move(leg)
    assert house.plane.asked == []
    house.plane.is_up = True
    house.moves.worker_restarted()
    house.plane.answer()
    assert leg.media is not None


async def test_no_worker_is_waited_for_for_ever(house, monkeypatch):
    monkeypatch.setattr(relocation, "WORKER_PATIENCE_S", 0.0)
    leg = house.leg()
    house.plane.is_up = False
    house.moves.move(leg)
    while not house.hands.over:
        await asyncio.sleep(0)
    assert house.hands.over == [("c.0", "no media")]


async def test_a_leg_that_takes_worker_after_worker_down_is_given_up(house):
    leg = house.leg()
    for _ in range(MOST_LOSSES):
        house.moves.move(leg)
        house.plane.answer()
    assert house.hands.over == []
    house.moves.move(leg)
    assert house.hands.over == [("c.0", "no media")]


async def test_where_no_ports_are_free_the_leg_is_given_up_at_once(house):
    leg = house.leg()
    house.moves.move(leg)
    house.plane.fail(Refused("all RTP ports are in use"))
    assert house.hands.over == [("c.0", "no media")]
